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
        reward: RewardSum;
        /// The smallest score that stays.
        at_least: f64 = 1.0;
    }
}

impl Stage for Keep {
    fn signature(&self) -> Signature {
        Signature {
            kind: "keep",
            version: 1,
            doc: "Keeps the rows whose completion scores at least `at_least`.",
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
            args.reward.evaluate(row, completion).total.is_some_and(|total| total >= args.at_least)
        });
        if rows.is_empty() {
            return Err(StageError::input(format!(
                "none of {read} rows scores at least {}: lower `at_least`, or sample more completions",
                args.at_least
            )));
        }
        dataset::write(context, &rows)?;
        Ok(Metrics::from([("rows_read".to_string(), read as f64), ("rows".to_string(), rows.len() as f64)]))
    }
}
