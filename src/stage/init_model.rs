//! `init_model`: a model with random weights and a tokenizer trained on the built-in problems.

use super::arguments::arguments;
use super::inspect::Inputs;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::digest::Digest;
use crate::base::facts::{ModelFacts, TokenizerId};
use crate::base::fs::{at, copy, write_atomic};
use crate::base::kind::Kind;
use crate::base::seed::Seed;
use crate::data::arith;
use crate::data::tokenizer::{TOKENIZER_FILES, Tokenizer};
use crate::data::train_tokenizer::{TokenizerFiles, train_tokenizer};
use crate::lang::signature::Signature;
use crate::model::{ModelConfig, checkpoint, random_weights};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::path::Path;

/// The stage kind.
pub struct InitModel;

arguments! {
    /// The fields of `init_model`.
    pub struct InitModelArgs {
        /// Decoder layers.
        layers: usize = 2, aliases ["num_hidden_layers"], range 1 ..= 1024;
        /// Width of the residual stream.
        hidden: usize = 128, aliases ["hidden_size"], range 8 ..= 65536;
        /// Attention heads; they divide `hidden`.
        heads: usize = 4, aliases ["num_attention_heads"], range 1 ..= 1024;
        /// Heads of keys and values; they divide `heads`.
        kv_heads: usize = 2, aliases ["num_key_value_heads"], range 1 ..= 1024;
        /// Width of the feed-forward layers.
        intermediate: usize = 384, aliases ["intermediate_size"], range 8 ..= 1e6;
        /// Tokens of the tokenizer that is trained on the built-in problems.
        vocab: usize = 512, aliases ["vocab_size"], range 270 ..= 65536;
        /// The longest sequence in tokens.
        context: usize = 512, aliases ["max_position_embeddings"], range 16 ..= 1e6;
        /// Standard deviation of the random matrices.
        deviation: f64 = 0.02, aliases ["initializer_range"], range 0 ..= 1;
        /// Root of the weights.
        seed: u64 = 0, aliases ["random_seed"], range 0 ..= 9e15;
    }
}

impl Stage for InitModel {
    fn signature(&self) -> Signature {
        Signature {
            kind: "init_model",
            version: 1,
            doc: "A Qwen2-architecture model with random weights and a small tokenizer for the built-in problems.",
            piped: None,
            output: Kind::Model,
            fields: InitModelArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: InitModelArgs = context.args()?;
        let tokenizer = built_in_tokenizer(args.vocab)?;
        tokenizer.save(&context.out)?;
        let parameters = args.shape(tokenizer.vocab_size).write(&context.out)?;
        Ok(Metrics::from([("parameters".to_string(), parameters as f64)]))
    }

    fn model_shape(&self, args: &Json, _inputs: &Inputs) -> Option<ModelConfig> {
        let args = InitModelArgs::deserialize(args).ok()?;
        ModelConfig::parse(&args.shape(args.vocab).config(Json::Null, Json::Null).to_string()).ok()
    }

    fn facts(&self, args: &Json, _inputs: &Inputs) -> Option<ModelFacts> {
        let args = InitModelArgs::deserialize(args).ok()?;
        Some(ModelFacts {
            architecture: "qwen2".to_string(),
            vocabulary: args.vocab,
            positions: args.context,
            tokenizer: Some(TokenizerId::BuiltIn { vocabulary: args.vocab }),
        })
    }
}

impl InitModelArgs {
    fn shape(&self, vocab_size: usize) -> Shape {
        Shape {
            layers: self.layers,
            hidden: self.hidden,
            heads: self.heads,
            kv_heads: self.kv_heads,
            intermediate: self.intermediate,
            context: self.context,
            vocab_size,
            deviation: self.deviation,
            seed: self.seed,
        }
    }
}

/// A tokenizer for the problems of [`arith`]: the same bytes for the same size, whatever the model.
fn built_in_tokenizer(vocab_size: usize) -> Result<TokenizerFiles, StageError> {
    let problems =
        arith::problems(arith::Split::Train, 4000, arith::LEVELS, Seed::new(0)).map_err(StageError::input)?;
    let texts = problems.iter().flat_map(|problem| [problem.question.as_str(), problem.solution.as_str()]);
    Ok(train_tokenizer(texts, vocab_size, &["<think>", "</think>"])?)
}

/// The digest of the tokenizer that a model of so many tokens gets; it is trained to find out.
pub fn built_in_tokenizer_digest(vocab_size: usize) -> Option<Digest> {
    built_in_tokenizer(vocab_size).ok().map(|files| files.digest())
}

/// The shape of a Qwen2-architecture model.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Decoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width of the feed-forward layers.
    pub intermediate: usize,
    /// The longest sequence in tokens.
    pub context: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Standard deviation of the random matrices.
    pub deviation: f64,
    /// Root of the weights.
    pub seed: u64,
}

impl Shape {
    /// Writes config.json, generation_config.json and random weights; a tokenizer in the folder names the stop token.
    /// Returns the number of parameters.
    ///
    /// # Errors
    /// [`StageError::Input`] for a shape that is none, [`StageError::Machine`] where the disk refuses.
    pub fn write(&self, folder: &Path) -> Result<usize, StageError> {
        let tokenizer = Tokenizer::from_folder(folder)?;
        tokenizer.check_fits(self.vocab_size)?;
        let config = self.config(json!(tokenizer.eos_id()?), json!(tokenizer.pad_id()));
        let config = ModelConfig::parse(&config.to_string())?;
        let weights = random_weights(&config, self.deviation, Seed::new(self.seed).child("weights", 0))?;
        checkpoint::save(folder, &config, &weights)?;
        let generation = json!({ "eos_token_id": tokenizer.eos_id()?, "pad_token_id": tokenizer.pad_id() });
        write_atomic(&folder.join("generation_config.json"), format!("{generation:#}\n").as_bytes())?;
        Ok(weights.values().map(|tensor| tensor.elem_count()).sum())
    }

    fn config(&self, eos: Json, pad: Json) -> Json {
        json!({
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "max_position_embeddings": self.context,
            "hidden_act": "silu",
            "initializer_range": self.deviation,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": true,
            "attention_dropout": 0.0,
            "use_sliding_window": false,
            "torch_dtype": "float32",
            "eos_token_id": eos,
            "bos_token_id": Json::Null,
            "pad_token_id": pad,
        })
    }
}

/// Makes a model folder with the tokenizer of another folder; `shape` is told how many ids that tokenizer has.
/// Returns the number of parameters.
///
/// # Errors
/// [`StageError::Input`] for a missing tokenizer or a shape that is none, [`StageError::Machine`] for the disk.
pub fn init_model_folder(
    folder: &Path,
    tokenizer: &Path,
    shape: impl FnOnce(usize) -> Shape,
) -> Result<usize, StageError> {
    let ids = Tokenizer::from_folder(tokenizer)?.max_id() as usize + 1;
    std::fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
    for name in TOKENIZER_FILES {
        let source = tokenizer.join(name);
        if source.is_file() {
            copy(&source, &folder.join(name))?;
        }
    }
    shape(ids).write(folder)
}
