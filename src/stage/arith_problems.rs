//! `arith_problems`: multi-step word problems with worked solutions, made by the tool itself.

use super::arguments::{arguments, string_argument};
use super::dataset;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::base::seed::Seed;
use crate::data::arith::{Problem, Split, problems};
use crate::data::row::Row;
use crate::lang::signature::Signature;
use std::ops::RangeInclusive;

/// The stage kind.
pub struct ArithProblems;

arguments! {
    /// The fields of `arith_problems`.
    pub struct ArithArgs {
        /// "train" and "test" share no problem, whatever their seeds.
        split: SplitArg;
        /// How many problems, all different.
        items: usize = 1000, range 1 ..= 1e6;
        /// Levels of difficulty, neighbours without a gap: the number of arithmetic steps to the answer.
        levels: Vec<u64> = vec![1, 2, 3], range 1 ..= 4;
        /// Solutions that always show their steps; else the longer a problem, the oftener they are left out.
        worked: bool = false;
        /// Root of the choice of problems.
        seed: u64 = 0, aliases ["random_seed"], range 0 ..= 9e15;
    }
}

/// The `split` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitArg {
    /// To learn from.
    Train,
    /// To be examined on.
    Test,
}

string_argument!(SplitArg { "train" => SplitArg::Train, "test" => SplitArg::Test });

impl Stage for ArithProblems {
    fn signature(&self) -> Signature {
        Signature {
            kind: "arith_problems",
            version: 1,
            doc: "Multi-step word problems with worked solutions, of several levels of difficulty.",
            piped: None,
            output: Kind::Dataset,
            fields: ArithArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: ArithArgs = context.args()?;
        let split = match args.split {
            SplitArg::Train => Split::Train,
            SplitArg::Test => Split::Test,
        };
        let problems =
            problems(split, args.items, span(&args.levels)?, Seed::new(args.seed)).map_err(StageError::input)?;
        let rows: Vec<Row> = problems.into_iter().map(|problem| row(problem, args.worked)).collect();
        dataset::write(context, &rows)?;
        Ok(Metrics::from([("rows".to_string(), rows.len() as f64)]))
    }
}

/// The levels as a range.
fn span(levels: &[u64]) -> Result<RangeInclusive<u8>, StageError> {
    let neighbours = levels.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    match (levels.first(), levels.last()) {
        (Some(&first), Some(&last)) if neighbours => Ok(first as u8..=last as u8),
        _ => Err(StageError::input(format!("`levels: {levels:?}`: give neighbours in order, such as [1, 2, 3]"))),
    }
}

fn row(problem: Problem, worked: bool) -> Row {
    let solution = if worked { problem.worked } else { problem.solution };
    let mut row = Row::new(problem.question, Some(solution), Some(problem.answer));
    row.id = problem.id;
    row.with_meta("level", problem.level)
}
