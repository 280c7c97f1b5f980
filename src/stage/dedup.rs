//! `dedup`: of rows with the same prompt and completion, the first.

use super::arguments::arguments;
use super::dataset;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::lang::signature::Signature;
use crate::lang::types::Type;
use std::collections::HashSet;

/// The stage kind.
pub struct Dedup;

arguments! {
    /// `dedup` has no fields yet.
    pub struct DedupArgs {}
}

impl Stage for Dedup {
    fn signature(&self) -> Signature {
        Signature {
            kind: "dedup",
            version: 1,
            doc: "Of rows with the same turns and the same completion, keeps the first.",
            piped: Some(("data", Type::Dataset)),
            output: Kind::Dataset,
            fields: DedupArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    fn keeps_prompts(&self) -> bool {
        true
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let mut rows = dataset::read(context, "data")?;
        let read = rows.len();
        let mut seen = HashSet::new();
        rows.retain(|row| {
            let turns: Vec<_> = row.messages.iter().map(|turn| (turn.role.clone(), turn.content.clone())).collect();
            seen.insert((turns, row.completion.clone()))
        });
        dataset::write(context, &rows)?;
        Ok(Metrics::from([("rows_read".to_string(), read as f64), ("rows".to_string(), rows.len() as f64)]))
    }
}
