//! `dedup`: of rows that are the same, the first.

use super::arguments::{arguments, string_argument};
use super::dataset;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::lang::signature::Signature;
use crate::lang::types::Type;
use serde::Deserialize;
use std::collections::HashSet;

/// The stage kind.
pub struct Dedup;

arguments! {
    /// The fields of `dedup`.
    pub struct DedupArgs {
        /// What makes two rows the same: prompt and completion ("row"), or the prompt alone.
        by: DedupBy = DedupBy::Row, aliases ["key", "on", "columns"], source "arXiv:2107.06499";
    }
}

/// The `by` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DedupBy {
    /// All turns and the completion.
    Row,
    /// All turns before the completion.
    Prompt,
}

string_argument!(DedupBy { "row" => DedupBy::Row, "prompt" => DedupBy::Prompt });

impl Stage for Dedup {
    fn signature(&self) -> Signature {
        Signature {
            kind: "dedup",
            version: 1,
            doc: "Of rows that are the same, keeps the first.",
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
        let args: DedupArgs = context.args()?;
        let mut rows = dataset::read(context, "data")?;
        let read = rows.len();
        let mut seen = HashSet::new();
        rows.retain(|row| {
            let turns: Vec<_> = row.messages.iter().map(|turn| (turn.role.clone(), turn.content.clone())).collect();
            let completion = row.completion.clone().filter(|_| args.by == DedupBy::Row);
            seen.insert((turns, completion))
        });
        dataset::finish(context, read, &rows)
    }
}
