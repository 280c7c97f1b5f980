//! `take`: some rows of a dataset, the first ones or a sample.

use super::arguments::{arguments, string_argument};
use super::dataset;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::event::StageEvent;
use crate::base::kind::Kind;
use crate::base::seed::Seed;
use crate::data::row::Row;
use crate::data::subset::sample;
use crate::lang::signature::Signature;
use crate::lang::types::Type;
use serde::Deserialize;

/// The stage kind.
pub struct Take;

arguments! {
    /// The fields of `take`.
    pub struct TakeArgs {
        /// How many rows; all of them, with a warning, where there are fewer.
        n: usize, aliases ["count", "limit", "rows", "max_samples", "num_samples"], range 1 ..= 1e9;
        /// "first" takes rows from the top; "shuffled" a sample without replacement, in the order drawn. A sample of
        /// 100 rows begins with the sample of 50.
        order: TakeOrder = TakeOrder::First, aliases ["shuffle"];
        /// Root of the sample.
        seed: u64 = 0, aliases ["random_seed"], range 0 ..= 9e15;
    }
}

/// The `order` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakeOrder {
    /// From the top.
    First,
    /// A seeded sample.
    Shuffled,
}

string_argument!(TakeOrder { "first" => TakeOrder::First, "shuffled" => TakeOrder::Shuffled });

impl Stage for Take {
    fn signature(&self) -> Signature {
        Signature {
            kind: "take",
            version: 1,
            doc: "Some rows of a dataset: the first ones, or a sample.",
            piped: Some(("data", Type::Dataset)),
            output: Kind::Dataset,
            fields: TakeArgs::fields(),
            positional: Some("n"),
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: TakeArgs = context.args()?;
        let rows = dataset::read(context, "data")?;
        let read = rows.len();
        if read < args.n {
            let message = format!("`take({})` is given {read} rows, and takes all of them", args.n);
            context.say(StageEvent::Warning { message });
        }
        let rows: Vec<Row> = match args.order {
            TakeOrder::First => rows.into_iter().take(args.n).collect(),
            TakeOrder::Shuffled => sample(rows, args.n, Seed::new(args.seed).child("take", 0)),
        };
        dataset::finish(context, read, &rows)
    }
}
