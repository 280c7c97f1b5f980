//! Shapes of models that speed is measured on, with random weights.

use super::{ModelConfig, ModelError};
use serde_json::json;

/// A shape with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedShape {
    /// Its name on the command line.
    pub name: &'static str,
    layers: usize,
    hidden: usize,
    heads: usize,
    kv_heads: usize,
    intermediate: usize,
    vocabulary: usize,
}

/// The shapes: A is that of Qwen2.5-0.5B, B and C are small ones that two cores train in hours.
pub const SHAPES: [NamedShape; 3] = [
    NamedShape { name: "A", layers: 24, hidden: 896, heads: 14, kv_heads: 2, intermediate: 4864, vocabulary: 151_936 },
    NamedShape { name: "B", layers: 6, hidden: 256, heads: 8, kv_heads: 4, intermediate: 704, vocabulary: 512 },
    NamedShape { name: "C", layers: 8, hidden: 512, heads: 8, kv_heads: 4, intermediate: 1408, vocabulary: 4096 },
];

impl NamedShape {
    /// A Qwen2 configuration of this shape with tied embeddings and room for `positions`.
    ///
    /// # Errors
    /// Where the configuration is none, which a test rules out.
    pub fn config(&self, positions: usize) -> Result<ModelConfig, ModelError> {
        let config = json!({
            "model_type": "qwen2",
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "intermediate_size": self.intermediate,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": positions,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1e6,
            "tie_word_embeddings": true,
        });
        ModelConfig::parse(&config.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_a_model() {
        let widths = SHAPES.map(|shape| shape.config(128).unwrap().head_width());
        assert_eq!(widths, [64, 32, 64]);
    }
}
