//! A model artifact in memory: configuration, weights and tokenizer, read from and written to a Hugging Face folder.

use super::{Files, StageError};
use crate::base::fs::copy;
use crate::data::tokenizer::{TOKENIZER_FILES, Tokenizer};
use crate::model::{Decoder, ModelConfig, Weights, checkpoint};
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
    /// Reads and checks a model artifact.
    ///
    /// # Errors
    /// [`StageError::Input`] that names the file or tensor that is missing, broken or does not fit.
    pub fn load(files: &Files) -> Result<Self, StageError> {
        let (config, weights) = checkpoint::load(files)?;
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

    /// A decoder with trainable copies of the weights.
    ///
    /// # Errors
    /// What the tensor library says.
    pub fn trainable(&self) -> Result<(Decoder, Params), StageError> {
        Ok(Decoder::trainable(&self.config, &self.weights)?)
    }

    /// A decoder over the weights as they were loaded.
    ///
    /// # Errors
    /// What the tensor library says.
    pub fn frozen(&self) -> Result<Decoder, StageError> {
        Ok(Decoder::frozen(&self.config, &self.weights)?)
    }

    /// Writes the trained parameters as a model folder with this model's configuration and tokenizer.
    ///
    /// # Errors
    /// [`StageError::Machine`] where the disk refuses.
    pub fn save(&self, out: &Path, params: &Params) -> Result<(), StageError> {
        checkpoint::save(out, &self.config, &params.tensors().into_iter().collect())?;
        for name in TOKENIZER_FILES {
            if let Some(path) = self.files.get(*name) {
                copy(path, &out.join(name))?;
            }
        }
        Ok(())
    }
}
