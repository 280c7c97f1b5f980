//! `merge`: a model with its adapter folded into the weights.

use super::arguments::arguments;
use super::unbuilt::refused;
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
            doc: "Folds the adapter of a model that was trained with `lora` into its weights.",
            piped: Some(("model", Type::Model)),
            output: Kind::Model,
            fields: MergeArgs::fields(),
            positional: None,
            unbuilt: Some("`merge`"),
        }
    }

    fn run(&self, _: &StageContext) -> Result<Metrics, StageError> {
        Err(refused("`merge`"))
    }
}
