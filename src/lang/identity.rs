//! What makes a stage call the call it is, as bytes: two calls are one where these are equal.

use super::name::Name;
use super::program::StageCall;
use super::value::{Quantity, RewardSum, Value};

/// Kind, version, arguments and inputs; the call's name and places are not part of it. Arguments go with their names: one
/// that was added to a kind later is left out where it has its default, so that their order alone tells nothing.
pub(super) fn identity(call: &StageCall) -> Vec<u8> {
    let mut out = Bytes(Vec::with_capacity(1024));
    out.text(&call.kind);
    out.number(u64::from(call.version));
    out.fields(&call.args);
    out.number(call.inputs.len() as u64);
    for (role, id) in &call.inputs {
        out.text(role);
        out.number(id.0 as u64);
    }
    out.0
}

/// Every part says its length or its kind first, so that no two values have the same bytes.
struct Bytes(Vec<u8>);

impl Bytes {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn real(&mut self, number: f64) {
        self.number(number.to_bits());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend(text.as_bytes());
    }

    fn fields(&mut self, fields: &[(Name, Value)]) {
        self.number(fields.len() as u64);
        for (name, value) in fields {
            self.text(name);
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::None => self.0.push(0),
            Value::Bool(value) => self.0.extend([1, u8::from(*value)]),
            Value::Int(value) => {
                self.0.push(2);
                self.number(value.cast_unsigned());
            }
            Value::Float(value) => {
                self.0.push(3);
                self.real(*value);
            }
            Value::String(text) => self.tagged(4, text),
            Value::Path(text) => self.tagged(5, text),
            Value::Input(role) => self.tagged(6, role),
            Value::Quantity(quantity) => self.quantity(*quantity),
            Value::List(items) => {
                self.0.push(8);
                self.number(items.len() as u64);
                items.iter().for_each(|item| self.value(item));
            }
            Value::Record(fields) => {
                self.0.push(9);
                self.fields(fields);
            }
            Value::Variant(name, fields) => {
                self.tagged(10, name);
                self.fields(fields);
            }
            Value::Reward(sum) => self.reward(sum),
            Value::Node(id, _) => {
                self.0.push(12);
                self.number(id.0 as u64);
            }
        }
    }

    fn tagged(&mut self, tag: u8, text: &str) {
        self.0.push(tag);
        self.text(text);
    }

    fn quantity(&mut self, quantity: Quantity) {
        self.tagged(7, quantity.dimension.json_name());
        self.real(quantity.amount);
    }

    fn reward(&mut self, sum: &RewardSum) {
        self.0.push(11);
        self.real(sum.offset);
        self.number(sum.terms.len() as u64);
        for term in &sum.terms {
            self.real(term.weight);
            self.text(&term.reward);
            self.number(u64::from(term.version));
            self.fields(&term.args);
        }
    }
}
