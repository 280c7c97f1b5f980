//! The values that expressions fold to, and their canonical JSON: the form that keys hash and workers read.

use super::name::Name;
use super::types::Dimension;
use crate::base::kind::Kind;
use serde_json::{Map, json};

/// Index of a stage call in a [`super::program::Program`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// A number with a unit, in the base unit of its dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    /// How many base units.
    pub amount: f64,
    /// Of what.
    pub dimension: Dimension,
}

/// A weighted sum of verifiers plus a constant.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RewardSum {
    /// The constant.
    pub offset: f64,
    /// The weighted verifiers, in the order they were written.
    pub terms: Vec<RewardTerm>,
}

/// One weighted verifier.
#[derive(Clone, Debug, PartialEq)]
pub struct RewardTerm {
    /// Its factor.
    pub weight: f64,
    /// The verifier's name in the catalogue.
    pub reward: String,
    /// The verifier's semantic version.
    pub version: u32,
    /// Its settings, defaults filled in.
    pub args: Vec<(Name, Value)>,
}

/// A folded value. Functions stay in the evaluator: they never reach a stage's arguments.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `none`
    None,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// Text.
    String(String),
    /// A file or folder, as written, relative to the file that wrote it and resolved against the project's root.
    Path(String),
    /// A number with a unit.
    Quantity(Quantity),
    /// `[…]`
    List(Vec<Value>),
    /// `{ … }`
    Record(Vec<(Name, Value)>),
    /// `lora(rank: 16)`, defaults filled in.
    Variant(Name, Vec<(Name, Value)>),
    /// A reward.
    Reward(RewardSum),
    /// The result of a stage that is to run.
    Node(NodeId, Kind),
    /// A stage's argument that is the artifact of this role among the stage's inputs.
    Input(String),
}

impl Value {
    /// A quantity.
    pub fn quantity(amount: f64, dimension: Dimension) -> Value {
        Value::Quantity(Quantity { amount, dimension })
    }

    /// The canonical JSON. Quantities become `{"steps": 60}`, variants `{"lora": {…}}`, inputs `{"input": role}`,
    /// paths `{"path": text}` (the key replaces the text by the content's digest).
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::None => json!(null),
            Value::Bool(value) => json!(value),
            Value::Int(value) => json!(value),
            Value::Float(value) => json!(value),
            Value::String(text) => json!(text),
            Value::Path(path) => json!({ "path": path }),
            Value::Quantity(quantity) => quantity.to_json(),
            Value::List(items) => items.iter().map(Value::to_json).collect(),
            Value::Record(fields) => fields_to_json(fields),
            Value::Variant(name, fields) => json!({ name.as_str(): fields_to_json(fields) }),
            Value::Reward(sum) => sum.to_json(),
            Value::Node(id, _) => json!({ "node": id.0 }),
            Value::Input(role) => json!({ "input": role }),
        }
    }
}

impl Quantity {
    fn to_json(self) -> serde_json::Value {
        let name = self.dimension.json_name();
        if self.dimension.is_whole() { json!({ name: self.amount as i64 }) } else { json!({ name: self.amount }) }
    }
}

impl RewardSum {
    fn to_json(&self) -> serde_json::Value {
        let term = |term: &RewardTerm| {
            json!({
                "weight": term.weight,
                "reward": term.reward,
                "version": term.version,
                "args": fields_to_json(&term.args),
            })
        };
        json!({ "offset": self.offset, "terms": self.terms.iter().map(term).collect::<Vec<_>>() })
    }
}

/// Fields as a JSON object.
pub fn fields_to_json(fields: &[(Name, Value)]) -> serde_json::Value {
    let fields: Map<_, _> = fields.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect();
    serde_json::Value::Object(fields)
}
