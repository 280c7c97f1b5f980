//! Rewards as arguments of a stage, and the verifiers as the language sees them.

use super::arguments::Argument;
use crate::lang::signature::{Field, RewardSignature};
use crate::lang::types::Type;
use crate::lang::value::{self, Value};
use crate::reward::{RewardSum, RewardTerm, VERIFIERS, Verifier};

impl Argument for RewardSum {
    fn ty() -> Type {
        Type::Reward
    }
    fn to_value(&self) -> Value {
        Value::Reward(value::RewardSum { offset: self.offset, terms: self.terms.iter().map(term).collect() })
    }
}

fn term(term: &RewardTerm) -> value::RewardTerm {
    let text = |value: &serde_json::Value| Value::String(value.as_str().unwrap_or_default().to_string());
    value::RewardTerm {
        weight: term.weight,
        reward: term.reward.clone(),
        version: term.version,
        args: term.args.iter().map(|(name, value)| (name.clone().into(), text(value))).collect(),
    }
}

/// The verifiers with their settings.
pub fn signatures() -> Vec<RewardSignature> {
    VERIFIERS.iter().map(signature).collect()
}

fn signature(verifier: &'static Verifier) -> RewardSignature {
    let field = |setting: &'static crate::reward::verifier::Setting| Field {
        name: setting.name,
        ty: Type::Strings(setting.options.iter().map(|option| option.to_string()).collect()),
        default: setting.options.first().map(|option| Value::String(option.to_string())),
        doc: setting.doc,
        aliases: &[],
        range: None,
        source: "",
        unbuilt: None,
        added: false,
        unkeyed: false,
    };
    RewardSignature {
        name: verifier.name,
        version: verifier.version,
        doc: verifier.doc,
        fields: verifier.settings.iter().map(field).collect(),
    }
}
