//! `local`: a model from a Hugging Face folder on this machine.

use super::arguments::{InputPath, arguments};
use super::inspect::{Inputs, Place};
use super::language_model::LanguageModel;
use super::{Files, Metrics, Stage, StageContext, StageError};
use crate::base::digest::Digest;
use crate::base::facts::{ModelFacts, TokenizerId};
use crate::base::fs::{at, copy};
use crate::base::kind::Kind;
use crate::lang::signature::Signature;
use crate::model::{ModelConfig, adapter};
use serde::Deserialize;
use serde_json::Value as Json;
use std::path::Path;

/// The stage kind.
pub struct Local;

arguments! {
    /// The fields of `local`.
    pub struct LocalArgs {
        /// The folder; its content, not its name, is the input.
        path: InputPath, aliases ["dir", "folder"];
    }
}

impl Stage for Local {
    fn signature(&self) -> Signature {
        Signature {
            kind: "local",
            version: 1,
            doc: "A model from a Hugging Face folder: config.json, safetensors, tokenizer.json, tokenizer_config.json.",
            piped: None,
            output: Kind::Model,
            fields: LocalArgs::fields(),
            positional: Some("path"),
            unbuilt: None,
        }
    }

    /// Checks the folder by loading it, and takes over the files that make the model.
    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: LocalArgs = context.args()?;
        let folder = context.path(&args.path.path)?;
        if !folder.is_dir() {
            return Err(StageError::input(format!("{} is not a folder with a model in it", folder.display())));
        }
        take_over(context, &model_files(folder)?)
    }

    fn place(&self) -> Option<Place> {
        Some(Place::ModelFolder)
    }

    fn facts(&self, args: &Json, inputs: &Inputs) -> Option<ModelFacts> {
        let args = LocalArgs::deserialize(args).ok()?;
        let folder = (inputs.locate)(&args.path.path)?;
        facts_of(&folder.join("config.json"), &folder.join("tokenizer.json"))
    }

    fn model_shape(&self, args: &Json, inputs: &Inputs) -> Option<ModelConfig> {
        let args = LocalArgs::deserialize(args).ok()?;
        shape_of(&(inputs.locate)(&args.path.path)?)
    }
}

/// Checks a model by loading it, and makes its files the stage's output.
///
/// # Errors
/// [`StageError::Input`] where they make no model, [`StageError::Machine`] for the disk.
pub fn take_over(context: &StageContext, files: &Files) -> Result<Metrics, StageError> {
    let parameters = LanguageModel::load(files)?.parameters();
    for (name, path) in files {
        let target = context.out.join(name);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        }
        copy(path, &target)?;
    }
    Ok(Metrics::from([("parameters".to_string(), parameters as f64)]))
}

/// What a model's config and tokenizer tell; the tokenizer may be elsewhere still.
pub fn facts_of(config: &Path, tokenizer: &Path) -> Option<ModelFacts> {
    let config = ModelConfig::parse(&std::fs::read_to_string(config).ok()?).ok()?;
    let tokenizer = std::fs::read(tokenizer).ok().map(|bytes| TokenizerId::File(Digest::of_bytes(&bytes)));
    Some(ModelFacts {
        architecture: config.model_type,
        vocabulary: config.vocab_size,
        positions: config.max_position_embeddings,
        tokenizer,
    })
}

/// The shape of the model in a folder, where it holds one.
pub fn shape_of(folder: &Path) -> Option<ModelConfig> {
    ModelConfig::parse(&std::fs::read_to_string(folder.join("config.json")).ok()?).ok()
}

/// The files of a model folder that belong to the model, its adapter's included: READMEs, other weight formats and other
/// folders stay behind.
fn model_files(folder: &Path) -> Result<Files, StageError> {
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).map_err(|error| at(folder, error))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let wanted = [".json", ".safetensors", ".jinja", ".txt", ".model"].iter().any(|end| name.ends_with(end));
        if path.is_file() && wanted && !name.starts_with('.') {
            files.insert(name, path);
        }
    }
    for name in [adapter::CONFIG, adapter::WEIGHTS].map(|name| format!("{}/{name}", adapter::FOLDER)) {
        let path = folder.join(&name);
        if path.is_file() {
            files.insert(name, path);
        }
    }
    Ok(files)
}
