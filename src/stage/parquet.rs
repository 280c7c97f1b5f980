//! `parquet`: a dataset from a parquet file of the user's.

use super::arguments::{InputPath, arguments};
use super::inspect::{self, Inputs, Place, Problem, Prompt};
use super::{Metrics, Stage, StageContext, StageError, dataset};
use crate::base::kind::Kind;
use crate::data::format::Format;
use crate::lang::signature::Signature;
use serde::Deserialize;
use serde_json::Value as Json;

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

    fn place(&self) -> Option<Place> {
        Some(Place::File)
    }

    fn declares_rows(&self) -> bool {
        true
    }

    fn prompts(&self, args: &Json, inputs: &Inputs) -> Result<Option<Vec<Prompt>>, Problem> {
        let Ok(args) = ParquetArgs::deserialize(args) else { return Ok(None) };
        let Some(path) = (inputs.locate)(&args.path.path) else { return Ok(None) };
        inspect::prompts(&[(args.path.path, path)], &args.format).map(Some)
    }
}
