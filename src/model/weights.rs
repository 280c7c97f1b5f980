//! The tensors of a decoder: Hugging Face's names and the shapes a configuration gives them.

use crate::model::{ModelConfig, ModelError};
use candle_core::Tensor;
use std::collections::BTreeMap;

/// Name to f32 tensor.
pub type Weights = BTreeMap<String, Tensor>;

/// Name of the embedding.
pub(super) const EMBEDDING: &str = "model.embed_tokens.weight";
/// Name of the final norm.
pub(super) const NORM: &str = "model.norm.weight";
/// Name of the head, where it is not the embedding.
pub(super) const HEAD: &str = "lm_head.weight";

/// The name of a layer's tensor, such as `self_attn.q_proj.weight`.
pub(super) fn in_layer(layer: usize, name: &str) -> String {
    format!("model.layers.{layer}.{name}")
}

/// Every tensor that the configuration asks for, with its shape, in the order of the model.
///
/// # Errors
/// [`ModelError::Config`] where the family is unknown.
pub fn expected_weights(config: &ModelConfig) -> Result<Vec<(String, Vec<usize>)>, ModelError> {
    let embedding = vec![config.vocab_size, config.hidden_size];
    let mut all = vec![(EMBEDDING.to_string(), embedding.clone())];
    for layer in 0..config.num_hidden_layers {
        all.extend(layer_weights(config)?.into_iter().map(|(name, shape)| (in_layer(layer, &name), shape)));
    }
    all.push((NORM.to_string(), vec![config.hidden_size]));
    if !config.tie_word_embeddings {
        all.push((HEAD.to_string(), embedding));
    }
    Ok(all)
}

fn layer_weights(config: &ModelConfig) -> Result<Vec<(String, Vec<usize>)>, ModelError> {
    let family = config.family()?;
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (config.num_attention_heads * config.head_width(), config.kv_heads() * config.head_width());
    let (qkv_bias, output_bias) = ((family.qkv_bias)(config), (family.output_bias)(config));
    let mut all = vec![("input_layernorm.weight".to_string(), vec![d])];
    let mut map = |name: &str, outputs: usize, inputs: usize, bias: bool| {
        all.push((format!("{name}.weight"), vec![outputs, inputs]));
        all.extend(bias.then(|| (format!("{name}.bias"), vec![outputs])));
    };
    map("self_attn.q_proj", q, d, qkv_bias);
    map("self_attn.k_proj", kv, d, qkv_bias);
    map("self_attn.v_proj", kv, d, qkv_bias);
    map("self_attn.o_proj", d, q, output_bias);
    if family.qk_norm {
        let width = vec![config.head_width()];
        all.extend(
            ["self_attn.q_norm.weight", "self_attn.k_norm.weight"].map(|name| (name.to_string(), width.clone())),
        );
    }
    let mut map = |name: &str, outputs: usize, inputs: usize| {
        all.push((format!("{name}.weight"), vec![outputs, inputs]));
    };
    map("mlp.gate_proj", f, d);
    map("mlp.up_proj", f, d);
    map("mlp.down_proj", d, f);
    all.push(("post_attention_layernorm.weight".to_string(), vec![d]));
    Ok(all)
}
