//! Floor 2: decoder-only language models, their files, and the cache that generation keeps.

pub mod adapter;
mod cache;
pub mod checkpoint;
mod config;
mod decoder;
mod error;
mod init;
mod llama;
pub mod lora;
#[cfg(test)]
mod lora_parity;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod parity;
mod qwen2;
mod qwen3;
mod rope;
mod shapes;
mod weight_file;
mod weights;

pub use cache::KvCache;
pub use config::ModelConfig;
pub use decoder::{Compute, DecodeStep, Decoder, Kernels};
pub use error::ModelError;
pub use init::random_weights;
pub use lora::LoraConfig;
pub use shapes::{NamedShape, SHAPES};
pub use weights::{Weights, expected_weights};

/// What tells one family from another, where they share the decoder.
#[derive(Debug)]
pub struct Family {
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    /// `architectures` in `config.json`.
    pub architecture: &'static str,
    /// Whether the query, key and value maps have biases.
    pub qkv_bias: fn(&ModelConfig) -> bool,
    /// Whether the attention's output map has one.
    pub output_bias: fn(&ModelConfig) -> bool,
    /// Whether each head's queries and keys are normalised before they are rotated.
    pub qk_norm: bool,
    /// Width of a head where `config.json` names none; none where it follows from the hidden width.
    pub head_dim: Option<usize>,
}

/// Every family that the decoder knows.
pub static FAMILIES: &[&Family] = &[&qwen2::FAMILY, &qwen3::FAMILY, &llama::FAMILY];
