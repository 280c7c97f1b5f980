//! Llama 2 to 3.3: biases in the attention only where `attention_bias` asks for them.

use crate::model::Family;

pub(super) static FAMILY: Family = Family {
    model_type: "llama",
    architecture: "LlamaForCausalLM",
    qkv_bias: |config| config.attention_bias.unwrap_or(false),
    output_bias: |config| config.attention_bias.unwrap_or(false),
    qk_norm: false,
    head_dim: None,
};
