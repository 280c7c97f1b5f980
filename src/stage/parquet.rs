//! `parquet`: a dataset from a parquet file of the user's.

use super::arguments::{InputPath, arguments};
use super::{Metrics, Stage, StageContext, StageError, dataset};
use crate::base::kind::Kind;
use crate::data::format::Format;
use crate::lang::signature::Signature;

/// The stage kind.
pub struct Parquet;

arguments! {
    /// The fields of `parquet`.
    pub struct ParquetArgs {
        /// The file; its content, not its name, is the input.
        path: InputPath, aliases ["file"];
        /// How a row is laid out: "auto" looks at the names of its fields.
        format: Format = Format::Auto;
    }
}

impl Stage for Parquet {
    fn signature(&self) -> Signature {
        Signature {
            kind: "parquet",
            version: 1,
            doc: "A dataset from a parquet file.",
            piped: None,
            output: Kind::Dataset,
            fields: ParquetArgs::fields(),
            positional: Some("path"),
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: ParquetArgs = context.args()?;
        dataset::import(context, &[context.path(&args.path.path)?], &args.format)
    }
}
