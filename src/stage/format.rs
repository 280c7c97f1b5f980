//! The `format` field of dataset sources: the name of a layout, or `columns(…)` for any other.

use super::arguments::{Argument, ToFields, arguments, variant};
use crate::data::format::{Columns, FORMATS, Format};
use crate::lang::signature::Variant;
use crate::lang::types::Type;
use crate::lang::value::Value;

arguments! {
    /// Which field of a row is what.
    pub struct ColumnsArgs {
        /// The field that holds the prompt: a text, or a list of turns.
        prompt: String, aliases ["question", "problem", "input"];
        /// The field that holds the worked solution, where there is one.
        completion: Option<String> = None, aliases ["solution", "output", "response"];
        /// The field that holds the gold answer, where there is one.
        answer: Option<String> = None, aliases ["label", "target"];
    }
}

impl Argument for Format {
    fn ty() -> Type {
        let named = FORMATS.iter().map(|(_, name, _)| name.to_string()).collect();
        Type::OneOf(vec![Type::Strings(named), Type::Variant("columns".to_string())])
    }
    fn to_value(&self) -> Value {
        match self {
            Format::Columns(columns) => Value::Variant("columns".into(), arguments_of(columns).to_fields()),
            named => Value::String(named.name().to_string()),
        }
    }
}

fn arguments_of(columns: &Columns) -> ColumnsArgs {
    let Columns { prompt, completion, answer } = columns.clone();
    ColumnsArgs { prompt, completion, answer }
}

/// The variant that `format` takes.
pub fn variants() -> Vec<Variant> {
    vec![variant("columns", "A layout of the user's own: which field of a row is what.", ColumnsArgs::fields(), None)]
}
