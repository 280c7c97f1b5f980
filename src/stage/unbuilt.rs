//! What this version checks and plans but cannot run: the last line of defence, in the worker.

use super::{StageError, catalogue};
use serde_json::Value;

/// Refuses arguments that this version cannot run. The program's check and `run` have refused them already; a stage
/// that got here must not compute something else instead.
///
/// # Errors
/// [`StageError::Input`] that names the first of them.
pub fn refuse(kind: &str, args: &Value) -> Result<(), StageError> {
    match catalogue().unbuilt(kind, args).into_iter().next() {
        Some(found) => Err(refused(found.what)),
        None => Ok(()),
    }
}

/// The error that names what cannot be run.
pub fn refused(what: &str) -> StageError {
    StageError::input(format!("this version checks and plans {what}, but cannot run it yet"))
}

/// The canonical arguments of a stage: defaults, and an input where there is none.
#[cfg(test)]
pub(super) fn defaults_of(kind: &str) -> Value {
    let value = |field: &crate::lang::signature::Field| {
        let default = field.default.as_ref().map(|default| default.to_json());
        (field.name.to_string(), default.unwrap_or_else(|| serde_json::json!({ "input": field.name })))
    };
    let fields = super::find(kind).map(|stage| stage.signature().fields).unwrap_or_default();
    Value::Object(fields.iter().map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{STAGES, distill::DistillArgs, grpo::GrpoArgs, sft::SftArgs};
    use super::*;
    use serde_json::json;

    fn changed(kind: &str, changes: &[(&str, Value)]) -> Value {
        let mut args = defaults_of(kind);
        changes.iter().for_each(|(name, value)| args[*name] = value.clone());
        args
    }

    #[test]
    fn defaults_are_built_wherever_the_stage_is() {
        for stage in STAGES.iter().map(|stage| stage.signature()) {
            assert_eq!(
                refuse(stage.kind, &defaults_of(stage.kind)).is_err(),
                stage.unbuilt.is_some(),
                "{}",
                stage.kind
            );
        }
    }

    #[test]
    fn whatever_is_not_built_is_refused_by_name() {
        let cases = [("sft", vec![("dtype", json!("bf16"))], "bf16")];
        for (kind, changes, what) in cases {
            let message = refuse(kind, &changed(kind, &changes)).unwrap_err().to_string();
            assert!(message.contains(what) && message.contains("cannot run it yet"), "{message}");
        }
    }

    #[test]
    fn what_is_not_built_reads_all_the_same() {
        let lora = json!({ "lora": { "rank": 8, "alpha": 16, "dropout": 0.1, "targets": "mlp" } });
        let args = changed("sft", &[("lora", lora), ("dtype", json!("bf16"))]);
        assert!(serde_json::from_value::<SftArgs>(args).is_ok());
        let jsd = json!({ "jsd": { "beta": 0.5, "temperature": 1.0 } });
        let args = changed("distill", &[("on_policy", json!({ "percent": 30.0 })), ("loss", jsd)]);
        assert!(serde_json::from_value::<DistillArgs>(args).is_ok());
        let args = [
            ("dynamic_sampling", json!(true)),
            ("overlong", json!({ "soft": { "buffer": { "tokens": 64 } } })),
            ("reward", json!({ "offset": 0.0, "terms": [] })),
        ];
        assert!(serde_json::from_value::<GrpoArgs>(changed("grpo", &args)).is_ok());
    }
}
