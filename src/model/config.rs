//! `config.json` of a Hugging Face model, read, checked and written; fields unknown here are kept.

use crate::model::{FAMILIES, Family, ModelError, rope};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The shape of a decoder, by Hugging Face's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The family: `qwen2`, `qwen3` or `llama`.
    pub model_type: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated layer.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; as many as query heads where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<usize>,
    /// Width of a head; the family's, or `hidden_size` / `num_attention_heads`, where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// ε of the norms.
    #[serde(default = "default_epsilon")]
    pub rms_norm_eps: f64,
    /// θ of the rotary embedding, as transformers 4 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// The same as transformers 5 writes it, scaling included: `{"rope_type": "default", "rope_theta": θ}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<Map<String, Value>>,
    /// Whether the head is the embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Biases in the attention, where the family leaves the choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention_bias: Option<bool>,
    /// Positions the model may see.
    #[serde(default = "default_positions")]
    pub max_position_embeddings: usize,
    /// Everything else, kept as it is: token ids, dtype, dropout, and so on.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn default_epsilon() -> f64 {
    1e-6
}

fn default_positions() -> usize {
    32_768
}

/// transformers' default for every family.
const DEFAULT_THETA: f64 = 10_000.0;

impl ModelConfig {
    /// Reads and checks the text of a `config.json`.
    ///
    /// # Errors
    /// [`ModelError::Config`] where a field is missing, malformed, or asks for what the decoder cannot do.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let config: ModelConfig =
            serde_json::from_str(text).map_err(|error| ModelError::config(format!("not a model's config: {error}")))?;
        config.check()?;
        Ok(config)
    }

    /// The text of a `config.json`, with a newline at its end.
    ///
    /// # Errors
    /// [`ModelError::Config`] where a number is not finite.
    pub fn to_json(&self) -> Result<String, ModelError> {
        let mut config = self.clone();
        config.other.entry("architectures").or_insert_with(|| match self.family() {
            Ok(family) => Value::from(vec![family.architecture]),
            Err(_) => Value::Null,
        });
        let text = serde_json::to_string_pretty(&config).map_err(|error| ModelError::config(error.to_string()))?;
        Ok(text + "\n")
    }

    /// The family that `model_type` names.
    ///
    /// # Errors
    /// [`ModelError::Config`] where there is none, with those there are.
    pub fn family(&self) -> Result<&'static Family, ModelError> {
        FAMILIES.iter().copied().find(|family| family.model_type == self.model_type).ok_or_else(|| {
            let known: Vec<_> = FAMILIES.iter().map(|family| family.model_type).collect();
            ModelError::config(format!("model_type `{}` is not supported; supported: {known:?}", self.model_type))
        })
    }

    /// Key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head.
    pub fn head_width(&self) -> usize {
        let follows = || self.hidden_size / self.num_attention_heads.max(1);
        self.head_dim.or_else(|| self.family().ok()?.head_dim).unwrap_or_else(follows)
    }

    /// θ of the rotary embedding.
    pub fn theta(&self) -> f64 {
        let newer = self.rope_parameters.as_ref().and_then(|rope| rope.get("rope_theta")).and_then(Value::as_f64);
        newer.or(self.rope_theta).unwrap_or(DEFAULT_THETA)
    }

    /// Checks that the decoder computes what this configuration asks for.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the field and its value.
    pub fn check(&self) -> Result<(), ModelError> {
        self.family()?;
        self.check_sizes()?;
        self.check_rope()?;
        match self.other.get("hidden_act").and_then(Value::as_str) {
            None | Some("silu") => {}
            Some(other) => return Err(ModelError::config(format!("hidden_act `{other}` is not supported, only silu"))),
        }
        if self.flag("mlp_bias") {
            return Err(ModelError::config("mlp_bias is not supported"));
        }
        if self.slides() {
            return Err(ModelError::config("a sliding window is in use, which is not supported"));
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), ModelError> {
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.kv_heads()),
            ("head_dim", self.head_width()),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(ModelError::config(format!("{name} is 0")));
        }
        if !self.num_attention_heads.is_multiple_of(self.kv_heads()) {
            return Err(ModelError::config(format!(
                "{} query heads do not share {} key heads evenly",
                self.num_attention_heads,
                self.kv_heads()
            )));
        }
        let follows = self.head_dim.is_none() && self.family()?.head_dim.is_none();
        if follows && !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(ModelError::config(
                "hidden_size is no multiple of num_attention_heads, and head_dim is missing",
            ));
        }
        match self.head_width() % 2 {
            0 => Ok(()),
            _ => Err(ModelError::config(format!("a head of {} values cannot be rotated in pairs", self.head_width()))),
        }
    }

    fn check_rope(&self) -> Result<(), ModelError> {
        rope::scaling(self)?;
        match self.theta() {
            theta if theta.is_finite() && theta > 0.0 => Ok(()),
            theta => Err(ModelError::config(format!("rope_theta is {theta}"))),
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.other.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Qwen2 names a window without using it; only `use_sliding_window` or a layer of that type means it.
    fn slides(&self) -> bool {
        let layers = self.other.get("layer_types").and_then(Value::as_array);
        self.flag("use_sliding_window")
            || layers.is_some_and(|layers| layers.iter().any(|kind| kind == "sliding_attention"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A small configuration, with some fields replaced.
    pub(crate) fn small(changes: Value) -> Value {
        let mut config = json!({
            "model_type": "qwen2", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 96, "rope_theta": 10000.0,
            "max_position_embeddings": 64, "tie_word_embeddings": true, "eos_token_id": [1, 2], "use_cache": true
        });
        for (name, value) in changes.as_object().unwrap() {
            config[name] = value.clone();
        }
        config
    }

    #[test]
    fn unknown_fields_survive_a_round_trip() {
        let config = ModelConfig::parse(&small(json!({})).to_string()).unwrap();
        let again = ModelConfig::parse(&config.to_json().unwrap()).unwrap();
        assert_eq!(again.other["eos_token_id"], json!([1, 2]));
        assert_eq!(again.other["architectures"], json!(["Qwen2ForCausalLM"]));
        assert_eq!((again.kv_heads(), again.head_width(), again.theta()), (2, 8, 10_000.0));
    }

    #[test]
    fn both_places_of_theta_are_read() {
        let newer = small(json!({"rope_theta": null, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}));
        assert_eq!(ModelConfig::parse(&newer.to_string()).unwrap().theta(), 5e5);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (change, word) in [
            (json!({"model_type": "gpt2"}), "gpt2"),
            (json!({"rope_parameters": {"rope_type": "yarn"}}), "yarn"),
            (json!({"model_type": "llama", "mlp_bias": true}), "mlp_bias"),
            (json!({"use_sliding_window": true}), "sliding"),
            (json!({"hidden_act": "gelu"}), "gelu"),
            (json!({"num_key_value_heads": 3}), "share"),
            (json!({"hidden_size": 0}), "hidden_size"),
            (json!({"hidden_size": "big"}), "config"),
        ] {
            let error = ModelConfig::parse(&small(change).to_string()).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("config.json"), "{error}");
        }
    }
}
