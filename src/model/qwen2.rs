//! Qwen2 and Qwen2.5: biases on queries, keys and values, always.

use crate::model::Family;

pub(super) static FAMILY: Family = Family {
    model_type: "qwen2",
    architecture: "Qwen2ForCausalLM",
    qkv_bias: |_| true,
    output_bias: |_| false,
    qk_norm: false,
    head_dim: None,
};
