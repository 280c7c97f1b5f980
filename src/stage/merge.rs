//! `merge`: a model with its adapter folded into the weights.

use super::arguments::arguments;
use super::language_model::LanguageModel;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::lang::signature::Signature;
use crate::lang::types::Type;

/// The stage kind.
pub struct Merge;

arguments! {
    /// `merge` has no fields.
    pub struct MergeArgs {}
}

impl Stage for Merge {
    fn signature(&self) -> Signature {
        Signature {
            kind: "merge",
            version: 1,
            doc: "Folds the adapter of a model that was trained with `lora` into its weights; a model without one stays.",
            piped: Some(("model", Type::Model)),
            output: Kind::Model,
            fields: MergeArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let model = LanguageModel::load(context.input("model")?)?;
        model.save_whole(&context.out)?;
        let folded = f64::from(u8::from(model.has_adapter()));
        Ok([("parameters", model.parameters() as f64), ("adapters_folded", folded)].map(named).into())
    }
}

fn named((name, value): (&str, f64)) -> (String, f64) {
    (name.to_string(), value)
}
