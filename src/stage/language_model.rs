//! A model artifact in memory: configuration, weights and tokenizer, read from and written to a Hugging Face folder.

use super::{Files, StageError};
use crate::base::fs::{at, copy};
use crate::data::tokenizer::{TOKENIZER_FILES, Tokenizer};
use crate::model::{Decoder, LoraConfig, ModelConfig, Weights, adapter, checkpoint};
use crate::nn::Params;
use std::path::Path;

/// A loaded model folder.
pub struct LanguageModel {
    /// The architecture.
    pub config: ModelConfig,
    /// Text to ids and back, with the chat template.
    pub tokenizer: Tokenizer,
    weights: Weights,
    files: Files,
}

impl LanguageModel {
    /// Reads and checks a model artifact. An adapter in it is folded into the weights: what is loaded is the whole model,
    /// whether it is sampled from, judged or trained on.
    ///
    /// # Errors
    /// [`StageError::Input`] that names the file or tensor that is missing, broken or does not fit.
    pub fn load(files: &Files) -> Result<Self, StageError> {
        let (config, mut weights) = checkpoint::load(files)?;
        if let Some(found) = adapter::find(files) {
            adapter::fold(found, &mut weights)?;
        }
        let tokenizer = Tokenizer::from_files(files)?;
        tokenizer.check_fits(config.vocab_size)?;
        Ok(LanguageModel { config, tokenizer, weights, files: files.clone() })
    }

    /// Numbers in all weights.
    pub fn parameters(&self) -> usize {
        self.weights.values().map(|tensor| tensor.elem_count()).sum()
    }

    /// The files that it was read from.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The longest sequence the model takes, prompt and completion together, in tokens.
    pub fn context_length(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// Whether an adapter was folded into the weights.
    pub fn has_adapter(&self) -> bool {
        adapter::find(&self.files).is_some()
    }

    /// A decoder to train: with adapters over frozen weights where `lora` is given, else with trainable copies of them.
    ///
    /// # Errors
    /// What the tensor library says.
    pub fn trainable(&self, lora: Option<&LoraConfig>) -> Result<(Decoder, Params), StageError> {
        Ok(match lora {
            Some(lora) => Decoder::adapted(&self.config, &self.weights, lora)?,
            None => Decoder::trainable(&self.config, &self.weights)?,
        })
    }

    /// As [`LanguageModel::trainable`], where the weights as they were loaded are not needed any more: they are trained
    /// where they are, and this model keeps none.
    ///
    /// # Errors
    /// What the tensor library says.
    pub fn take_trainable(&mut self, lora: Option<&LoraConfig>) -> Result<(Decoder, Params), StageError> {
        match lora {
            Some(_) => self.trainable(lora),
            None => Ok(Decoder::trainable_in_place(&self.config, std::mem::take(&mut self.weights))?),
        }
    }

    /// A decoder over the weights as they were loaded.
    ///
    /// # Errors
    /// What the tensor library says.
    pub fn frozen(&self) -> Result<Decoder, StageError> {
        Ok(Decoder::frozen(&self.config, &self.weights)?)
    }

    /// Writes what was trained as a model folder with this model's configuration and tokenizer: its weights, or the
    /// weights it started from and the adapter beside them, in a folder of its own.
    ///
    /// # Errors
    /// [`StageError::Machine`] where the disk refuses.
    pub fn save(&self, out: &Path, params: &Params, lora: Option<&LoraConfig>) -> Result<(), StageError> {
        match lora {
            None => checkpoint::save(out, &self.config, &params.tensors().into_iter().collect())?,
            Some(lora) => {
                self.save_base(out)?;
                let folder = out.join(adapter::FOLDER);
                std::fs::create_dir_all(&folder).map_err(|error| at(&folder, error))?;
                adapter::save(&folder, lora, params.tensors())?;
            }
        }
        self.copy_files(out, |name| TOKENIZER_FILES.contains(&name))
    }

    /// Writes the model as it was loaded, an earlier adapter folded in. Where there is none these are the files that it
    /// was loaded from, which a store that has them takes no second time.
    ///
    /// # Errors
    /// [`StageError::Machine`] where the disk refuses.
    pub fn save_whole(&self, out: &Path) -> Result<(), StageError> {
        self.save_base(out)?;
        self.copy_files(out, |name| TOKENIZER_FILES.contains(&name))
    }

    fn save_base(&self, out: &Path) -> Result<(), StageError> {
        if self.has_adapter() {
            return Ok(checkpoint::save(out, &self.config, &self.weights)?);
        }
        let shards = checkpoint::weight_files(&self.files)?;
        self.copy_files(out, |name| name == checkpoint::CONFIG || shards.iter().any(|shard| shard == name))
    }

    fn copy_files(&self, out: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), StageError> {
        for (name, path) in self.files.iter().filter(|(name, _)| wanted(name)) {
            copy(path, &out.join(name))?;
        }
        Ok(())
    }
}
