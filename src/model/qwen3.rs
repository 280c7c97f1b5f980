//! Qwen3: queries and keys normalised head by head, heads of a width of their own, no biases unless asked for.

use crate::model::Family;

pub(super) static FAMILY: Family = Family {
    model_type: "qwen3",
    architecture: "Qwen3ForCausalLM",
    qkv_bias: |config| config.attention_bias.unwrap_or(false),
    output_bias: |config| config.attention_bias.unwrap_or(false),
    qk_norm: true,
    // transformers' default, whatever the hidden width.
    head_dim: Some(128),
};
