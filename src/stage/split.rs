//! `split`: one of two complementary parts of a dataset.

use super::arguments::{Percent, arguments, string_argument};
use super::dataset;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::base::seed::Seed;
use crate::data::subset::is_in_share;
use crate::lang::signature::Signature;
use crate::lang::types::Type;
use serde::Deserialize;

/// The stage kind.
pub struct Split;

arguments! {
    /// The fields of `split`.
    pub struct SplitArgs {
        /// Which part: "train" is `share` of the rows, "rest" all others. With equal `share` and `seed` the two have no
        /// row in common and leave none out.
        part: SplitPart, aliases ["split", "name"];
        /// Share of the prompts in "train", in expectation. Each prompt is drawn by itself, by a hash of its text:
        /// further rows move no other row, and rows with the same prompt stay together.
        share: Percent = Percent { percent: 90.0 }, aliases ["train_size", "ratio", "fraction", "test_size"],
            range 0 ..= 100;
        /// Root of the choice.
        seed: u64 = 0, aliases ["random_seed", "random_state"], range 0 ..= 9e15;
    }
}

/// The `part` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitPart {
    /// The share.
    Train,
    /// All others.
    Rest,
}

string_argument!(SplitPart { "train" => SplitPart::Train, "rest" => SplitPart::Rest });

impl Stage for Split {
    fn signature(&self) -> Signature {
        Signature {
            kind: "split",
            version: 1,
            doc: "One of two complementary parts of a dataset, chosen by a hash of each row's prompt.",
            piped: Some(("data", Type::Dataset)),
            output: Kind::Dataset,
            fields: SplitArgs::fields(),
            positional: Some("part"),
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: SplitArgs = context.args()?;
        let mut rows = dataset::read(context, "data")?;
        let read = rows.len();
        let seed = Seed::new(args.seed).child("split", 0);
        rows.retain(|row| is_in_share(row, args.share.ratio(), seed) == (args.part == SplitPart::Train));
        if rows.is_empty() {
            return Err(StageError::input(format!(
                "none of {read} rows falls into this part with `share: {}%`: change `share`, or give more rows",
                args.share.percent
            )));
        }
        dataset::finish(context, read, &rows)
    }
}
