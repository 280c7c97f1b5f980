//! Adapters in PEFT's files: `adapter_config.json` and `adapter_model.safetensors`, written, read and folded in.

use crate::base::fs::{at, write_atomic};
use crate::model::lora::{LORA_A, LORA_B, LoraConfig};
use crate::model::{ModelError, Weights, checkpoint};
use crate::nn::ops::fold_adapter;
use candle_core::Tensor;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of a model that holds its adapter.
pub const FOLDER: &str = "adapter";
/// How it was trained.
pub const CONFIG: &str = "adapter_config.json";
/// Its matrices.
pub const WEIGHTS: &str = "adapter_model.safetensors";

/// What PEFT puts before the name of a map.
const PREFIX: &str = "base_model.model.";

/// Writes an adapter into a folder that exists; PEFT reads it.
///
/// `tensors` are the parameters of [`crate::model::Decoder::adapted`], by name.
///
/// # Errors
/// What the disk said.
pub fn save(folder: &Path, lora: &LoraConfig, tensors: Vec<(String, Tensor)>) -> Result<(), ModelError> {
    let mut targets = lora.targets.clone();
    targets.sort_unstable();
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        // The base stands in the folder above.
        "base_model_name_or_path": null,
        "r": lora.rank,
        "lora_alpha": whole(lora.alpha),
        "lora_dropout": lora.dropout,
        "target_modules": targets,
        "bias": "none",
        "fan_in_fan_out": false,
        "use_rslora": false,
        "use_dora": false,
        "modules_to_save": null,
        "init_lora_weights": true,
        "inference_mode": true,
    });
    let named = tensors.into_iter().map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor));
    checkpoint::write_tensors(&folder.join(WEIGHTS), named.collect())?;
    let text = serde_json::to_string_pretty(&config).map_err(|error| wrong(error.to_string()))? + "\n";
    Ok(write_atomic(&folder.join(CONFIG), text.as_bytes())?)
}

/// A whole number without a fraction, as PEFT writes α.
fn whole(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

/// The parts of `adapter_config.json` that decide what is computed.
#[derive(Debug, Deserialize)]
struct Config {
    peft_type: String,
    r: f64,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Where the adapter of a model's files is: in its folder, or beside the weights. None where there is none.
pub fn find(files: &BTreeMap<String, PathBuf>) -> Option<[&Path; 2]> {
    [format!("{FOLDER}/"), String::new()].iter().find_map(|folder| {
        let file = |name: &str| files.get(&format!("{folder}{name}")).map(PathBuf::as_path);
        Some([file(CONFIG)?, file(WEIGHTS)?])
    })
}

/// Folds an adapter, as [`find`] found it, into the weights: W + s · B·A.
///
/// # Errors
/// Where it is of a kind that is not computed here, or does not fit the weights: which field or tensor.
pub fn fold([config, tensors]: [&Path; 2], weights: &mut Weights) -> Result<(), ModelError> {
    let text = std::fs::read(config).map_err(|error| at(config, error))?;
    let config: Config = serde_json::from_slice(&text).map_err(|error| wrong(format!("not LoRA's config: {error}")))?;
    let scale = config.scale()?;
    let mut tensors = checkpoint::read_tensors(tensors, WEIGHTS)?;
    while let Some((name, a)) = tensors.pop_first() {
        let map = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(LORA_A));
        let Some(map) = map else { return Err(unknown(&name)) };
        let partner = format!("{PREFIX}{map}{LORA_B}");
        let missing = || ModelError::MissingTensor { file: WEIGHTS.into(), name: partner.clone() };
        let b = tensors.remove(&partner).ok_or_else(missing)?;
        let weight = weights.get_mut(&format!("{map}.weight")).ok_or_else(|| unknown(&name))?;
        *weight = fold_adapter(weight, (&a, &b), scale).map_err(|error| wrong(format!("{map}: {error}")))?;
    }
    Ok(())
}

impl Config {
    /// The factor before B·A: α/r, or α/√r for a rank-stabilised adapter (Kalajdzievski, arXiv:2312.03732).
    fn scale(&self) -> Result<f64, ModelError> {
        if self.peft_type != "LORA" {
            return Err(wrong(format!("peft_type `{}` is not supported, only LORA", self.peft_type)));
        }
        if !(self.r >= 1.0 && self.lora_alpha.is_finite()) {
            return Err(wrong(format!("r is {} and lora_alpha {}", self.r, self.lora_alpha)));
        }
        let plain = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text == "none",
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        let changing = ["bias", "use_dora", "fan_in_fan_out", "modules_to_save", "rank_pattern", "alpha_pattern"];
        let set = changing.iter().find(|name| self.other.get(**name).is_some_and(|value| !plain(value)));
        match set {
            Some(name) => Err(wrong(format!("{name} is {}, which is not supported", self.other[*name]))),
            None if self.use_rslora => Ok(self.lora_alpha / self.r.sqrt()),
            None => Ok(self.lora_alpha / self.r),
        }
    }
}

fn unknown(name: &str) -> ModelError {
    wrong(format!("{WEIGHTS} has {name}, which adapts no map of the model"))
}

fn wrong(message: String) -> ModelError {
    ModelError::Config { file: CONFIG.into(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::Seed;
    use crate::model::config::tests::small;
    use crate::model::{Decoder, ModelConfig, random_weights};

    fn saved() -> (tempfile::TempDir, ModelConfig, Weights) {
        let config = ModelConfig::parse(&small(json!({})).to_string()).unwrap();
        let weights = random_weights(&config, 0.2, Seed::new(1)).unwrap();
        let targets = vec!["v_proj".into(), "down_proj".into()];
        let lora = LoraConfig { rank: 4, alpha: 8.0, dropout: 0.0, targets, seed: Seed::new(2) };
        let (_, params) = Decoder::adapted(&config, &weights, &lora).unwrap();
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &lora, params.tensors()).unwrap();
        (folder, config, weights)
    }

    fn with(folder: &Path, name: &str, value: Value) -> String {
        let text = std::fs::read_to_string(folder.join(CONFIG)).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config[name] = value;
        let changed = folder.join("changed.json");
        std::fs::write(&changed, config.to_string()).unwrap();
        let (_, _, mut weights) = saved();
        fold([&changed, &folder.join(WEIGHTS)], &mut weights).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_is_not_computed_here_is_named() {
        let (folder, _, _) = saved();
        assert_eq!(with(folder.path(), "use_rslora", json!(true)), "");
        for (name, value) in [
            ("peft_type", json!("IA3")),
            ("use_dora", json!(true)),
            ("bias", json!("all")),
            ("modules_to_save", json!(["lm_head"])),
            ("rank_pattern", json!({"q_proj": 8})),
            ("r", json!(0)),
        ] {
            let message = with(folder.path(), name, value);
            assert!(message.contains(name) && message.contains(CONFIG), "{name}: {message}");
        }
    }

    #[test]
    fn an_adapter_of_another_model_is_named() {
        let (folder, _, mut weights) = saved();
        weights.remove("model.layers.1.mlp.down_proj.weight");
        let [config, tensors] = [CONFIG, WEIGHTS].map(|name| folder.path().join(name));
        let message = fold([&config, &tensors], &mut weights).unwrap_err().to_string();
        assert!(message.contains("layers.1.mlp.down_proj"), "{message}");
    }

    #[test]
    fn a_fresh_adapter_changes_nothing() {
        let (folder, _, weights) = saved();
        let mut folded = weights.clone();
        let [config, tensors] = [CONFIG, WEIGHTS].map(|name| folder.path().join(name));
        fold([&config, &tensors], &mut folded).unwrap();
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(weights.iter().all(|(name, weight)| values(weight) == values(&folded[name])));
    }
}
