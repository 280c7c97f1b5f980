//! `decontaminate`: training rows without those that give test items away.

use super::arguments::{DatasetInputs, arguments};
use super::dataset;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::data::overlap::TestItems;
use crate::lang::signature::Signature;
use crate::lang::types::Type;

/// The stage kind.
pub struct Decontaminate;

arguments! {
    /// The fields of `decontaminate`.
    pub struct DecontaminateArgs {
        /// The test items: one dataset, or a list.
        against: DatasetInputs, aliases ["test", "eval", "benchmarks", "test_data"];
        /// Words in a row that must not stand in both. Words are runs of letters and digits in lower case. A test item
        /// with fewer words counts only where a whole prompt equals it; a run that stands in more than ten test items
        /// belongs to their template and does not count.
        ngram: usize = 13, aliases ["n", "ngram_size", "ngram_length"], range 1 ..= 1000,
            source "arXiv:2005.14165 (GPT-3, appendix C)";
    }
}

impl Stage for Decontaminate {
    fn signature(&self) -> Signature {
        Signature {
            kind: "decontaminate",
            version: 1,
            doc: "Drops the rows that share a run of words with a test item's prompt.",
            piped: Some(("data", Type::Dataset)),
            output: Kind::Dataset,
            fields: DecontaminateArgs::fields(),
            positional: Some("against"),
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: DecontaminateArgs = context.args()?;
        let mut rows = dataset::read(context, "data")?;
        let read = rows.len();
        let mut items = Vec::new();
        for role in args.against.roles() {
            items.extend(dataset::read(context, role)?);
        }
        let tests = TestItems::new(&items, args.ngram);
        rows.retain(|row| !tests.overlap(row));
        if rows.is_empty() {
            return Err(StageError::input(format!(
                "all of {read} rows share {} words in a row with a test item: raise `ngram`, or check that the \
                 training data is not the test data",
                args.ngram
            )));
        }
        dataset::finish(context, read, &rows)
    }
}
