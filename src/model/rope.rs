//! The rotary embedding that a configuration asks for: its frequencies, plain or scaled for longer contexts.

use crate::model::{ModelConfig, ModelError};
use crate::nn::ops::{RopeTable, frequencies};
use serde_json::{Map, Value};
use std::f64::consts::TAU;

/// Llama 3's scaling: slow frequencies are divided, fast ones stay, those between are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Llama3Scaling {
    factor: f64,
    low_freq_factor: f64,
    high_freq_factor: f64,
    original_positions: f64,
}

/// The angles of all positions.
pub(super) fn rope_table(config: &ModelConfig) -> RopeTable {
    let mut all = frequencies(config.head_width(), config.theta());
    // A configuration is checked before it is used.
    if let Ok(Some(scaling)) = scaling(config) {
        all.iter_mut().for_each(|frequency| *frequency = scaling.scale(f64::from(*frequency)) as f32);
    }
    RopeTable::from_frequencies(&all, config.max_position_embeddings)
}

/// The scaling that `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5) asks for.
///
/// # Errors
/// [`ModelError::Config`] for a kind that the decoder does not know, or a number that is missing or makes no sense.
pub(super) fn scaling(config: &ModelConfig) -> Result<Option<Llama3Scaling>, ModelError> {
    let older = config.other.get("rope_scaling").filter(|value| !value.is_null());
    let older = match older {
        Some(Value::Object(fields)) => Some(fields),
        Some(other) => return Err(ModelError::config(format!("rope_scaling is {other}, not an object"))),
        None => None,
    };
    // Both are written by tools that keep to old readers; then they say the same.
    let Some(fields) = config.rope_parameters.as_ref().or(older) else { return Ok(None) };
    let kind = fields.get("rope_type").or_else(|| fields.get("type")).and_then(Value::as_str);
    match kind {
        None if older.is_some() => Err(ModelError::config("rope_scaling names no rope_type")),
        None | Some("default") => Ok(None),
        Some("llama3") => Llama3Scaling::read(fields, config.max_position_embeddings).map(Some),
        Some(other) => {
            let message = format!("rope_type `{other}` is not supported; supported: `default`, `llama3`");
            Err(ModelError::config(message))
        }
    }
}

impl Llama3Scaling {
    fn read(fields: &Map<String, Value>, positions: usize) -> Result<Self, ModelError> {
        let number = |name: &str| {
            let value = fields.get(name).and_then(Value::as_f64).filter(|value| value.is_finite() && *value > 0.0);
            value.ok_or_else(|| {
                let found = fields.get(name).map_or("missing".to_string(), Value::to_string);
                ModelError::config(format!("rope_type `llama3` needs a positive {name}, which is {found}"))
            })
        };
        let scaling = Llama3Scaling {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original_positions: number("original_max_position_embeddings")?,
        };
        if scaling.high_freq_factor <= scaling.low_freq_factor {
            return Err(ModelError::config("rope_type `llama3` needs a high_freq_factor above its low_freq_factor"));
        }
        if scaling.original_positions > positions as f64 {
            return Err(ModelError::config(format!(
                "original_max_position_embeddings is {}, more than the model's {positions} positions",
                scaling.original_positions
            )));
        }
        Ok(scaling)
    }

    /// f → f / factor where f turns fewer than `low_freq_factor` times over the original context, f where it turns
    /// more than `high_freq_factor` times, and a mixture in between, linear in the turns
    /// (transformers, `modeling_rope_utils.py`, `_compute_llama3_parameters`).
    fn scale(&self, frequency: f64) -> f64 {
        let turns = self.original_positions * frequency / TAU;
        let kept = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor);
        let kept = kept.clamp(0.0, 1.0);
        kept * frequency + (1.0 - kept) * frequency / self.factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::tests::small;
    use serde_json::json;

    fn llama3() -> Value {
        json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32})
    }

    fn parsed(changes: Value) -> Result<ModelConfig, String> {
        ModelConfig::parse(&small(changes).to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn both_spellings_are_one_scaling() {
        let older = parsed(json!({"rope_scaling": llama3()})).unwrap();
        let mut parameters = llama3();
        parameters["rope_theta"] = 10_000.0.into();
        let newer = parsed(json!({"rope_theta": null, "rope_parameters": parameters})).unwrap();
        assert!(scaling(&older).unwrap().is_some());
        assert_eq!(scaling(&older).unwrap(), scaling(&newer).unwrap());
        assert_eq!(scaling(&parsed(json!({"rope_scaling": null})).unwrap()).unwrap(), None);
    }

    /// Context 32, turns 1 and 4: a frequency of 2π·4/32 and above stays, one of 2π/32 and below is an eighth.
    #[test]
    fn fast_frequencies_stay_slow_ones_are_divided() {
        let scaling = scaling(&parsed(json!({"rope_scaling": llama3()})).unwrap()).unwrap().unwrap();
        assert_eq!(scaling.scale(1.0), 1.0);
        assert_eq!(scaling.scale(0.1), 0.1 / 8.0);
        let middle = TAU * 2.5 / 32.0;
        assert!((scaling.scale(middle) - middle * (0.5 + 0.5 / 8.0)).abs() < 1e-12);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let with = |name: &str, value: Value| {
            let mut fields = llama3();
            fields[name] = value;
            json!({ "rope_scaling": fields })
        };
        for (change, word) in [
            (with("rope_type", "yarn".into()), "yarn"),
            (with("factor", Value::Null), "factor"),
            (with("low_freq_factor", 0.into()), "low_freq_factor"),
            (with("high_freq_factor", 1.into()), "high_freq_factor"),
            (with("original_max_position_embeddings", 4096.into()), "4096"),
            (json!({"rope_scaling": {"factor": 2.0}}), "rope_type"),
            (json!({"rope_scaling": "linear"}), "rope_scaling"),
        ] {
            let error = parsed(change).unwrap_err();
            assert!(error.contains(word) && error.contains("config.json"), "{error}");
        }
    }
}
