//! `keep`: the rows whose completion a reward accepts.

use super::arguments::arguments;
use super::dataset;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::lang::signature::Signature;
use crate::lang::types::Type;
use crate::reward::RewardSum;

/// The stage kind.
pub struct Keep;

arguments! {
    /// The fields of `keep`.
    pub struct KeepArgs {
        /// What scores a row's completion.
        reward: RewardSum, source "arXiv:2203.14465 (STaR: keep what is correct)";
        /// The smallest score that stays.
        at_least: f64 = 1.0, aliases ["threshold", "min_score", "min_reward"];
        /// The largest score that stays; `none` has no upper end.
        at_most: Option<f64> = None, aliases ["max_score", "max_reward"];
    }
}

impl Stage for Keep {
    fn signature(&self) -> Signature {
        Signature {
            kind: "keep",
            version: 1,
            doc: "Keeps the rows whose completion a reward scores between `at_least` and `at_most`.",
            piped: Some(("data", Type::Dataset)),
            output: Kind::Dataset,
            fields: KeepArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    fn keeps_prompts(&self) -> bool {
        true
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: KeepArgs = context.args()?;
        args.reward.check().map_err(|error| StageError::input(error.to_string()))?;
        let mut rows = dataset::read(context, "data")?;
        let read = rows.len();
        rows.retain(|row| {
            let completion = row.completion.as_deref().unwrap_or_default();
            args.reward
                .evaluate(row, completion)
                .total
                .is_some_and(|total| total >= args.at_least && args.at_most.is_none_or(|most| total <= most))
        });
        if rows.is_empty() {
            return Err(StageError::input(format!(
                "none of {read} rows scores at least {}{}: widen `at_least` and `at_most`, or sample more completions",
                args.at_least,
                args.at_most.map(|most| format!(" and at most {most}")).unwrap_or_default()
            )));
        }
        dataset::finish(context, read, &rows)
    }
}
