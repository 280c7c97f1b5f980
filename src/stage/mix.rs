//! `mix`: several datasets as one.

use super::arguments::{DatasetInputs, arguments, string_argument};
use super::dataset;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::data::mix::{concatenate, interleave, weighted};
use crate::lang::signature::Signature;
use crate::lang::types::Type;
use serde::Deserialize;

/// The stage kind.
pub struct Mix;

arguments! {
    /// The fields of `mix`.
    pub struct MixArgs {
        /// What is mixed with the dataset that comes by `|>`: one dataset, or a list.
        others: DatasetInputs, aliases ["datasets", "data"];
        /// Shares of the result, one number a dataset, that of `|>` first; they need not add up to 1. As many rows are
        /// taken, from the top of each, as the scarcest dataset allows. `none` takes every row.
        weights: Option<Vec<f64>> = None, aliases ["probabilities", "ratios"], range 0 ..= 1e9,
            source "datasets (interleave_datasets, first_exhausted)";
        /// "concatenated" puts one after the other; "interleaved" spreads each evenly over the whole.
        order: MixOrder = MixOrder::Concatenated;
    }
}

/// The `order` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MixOrder {
    /// One after the other.
    Concatenated,
    /// Each spread evenly.
    Interleaved,
}

string_argument!(MixOrder { "concatenated" => MixOrder::Concatenated, "interleaved" => MixOrder::Interleaved });

impl Stage for Mix {
    fn signature(&self) -> Signature {
        Signature {
            kind: "mix",
            version: 1,
            doc: "Several datasets as one; a row whose id is taken gets another.",
            piped: Some(("data", Type::Dataset)),
            output: Kind::Dataset,
            fields: MixArgs::fields(),
            positional: Some("others"),
            unbuilt: None,
        }
    }

    fn keeps_prompts(&self) -> bool {
        true
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: MixArgs = context.args()?;
        let roles = std::iter::once("data").chain(args.others.roles());
        let mut parts = roles.map(|role| dataset::read(context, role)).collect::<Result<Vec<_>, _>>()?;
        let read = parts.iter().map(Vec::len).sum();
        if let Some(weights) = &args.weights {
            parts = weighted(parts, weights)?;
        }
        let taken: Vec<f64> = parts.iter().map(|part| part.len() as f64).collect();
        context.facts(taken.iter().enumerate().map(|(at, rows)| (format!("rows_of_{}", at + 1), *rows)));
        let rows = match args.order {
            MixOrder::Concatenated => concatenate(parts),
            MixOrder::Interleaved => interleave(parts),
        };
        dataset::finish(context, read, &rows)
    }
}
