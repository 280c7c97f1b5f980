//! `jsonl`: a dataset from a file of the user's.

use super::arguments::{InputPath, arguments};
use super::inspect::{self, Inputs, Place, Problem, Prompt};
use super::{Metrics, Stage, StageContext, StageError, dataset};
use crate::base::kind::Kind;
use crate::data::format::Format;
use crate::lang::signature::Signature;
use serde::Deserialize;
use serde_json::Value as Json;

/// The stage kind.
pub struct Jsonl;

arguments! {
    /// The fields of `jsonl`.
    pub struct JsonlArgs {
        /// The file; its content, not its name, is the input.
        path: InputPath, aliases ["file"];
        /// How a line is laid out: "auto" looks at the names of its fields.
        format: Format = Format::Auto;
    }
}

impl Stage for Jsonl {
    fn signature(&self) -> Signature {
        Signature {
            kind: "jsonl",
            version: 1,
            doc: "A dataset from a JSON Lines file (or, for SVAMP, a JSON array).",
            piped: None,
            output: Kind::Dataset,
            fields: JsonlArgs::fields(),
            positional: Some("path"),
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: JsonlArgs = context.args()?;
        dataset::import(context, &[context.path(&args.path.path)?], &args.format)
    }

    fn place(&self) -> Option<Place> {
        Some(Place::File)
    }

    fn declares_rows(&self) -> bool {
        true
    }

    fn prompts(&self, args: &Json, inputs: &Inputs) -> Result<Option<Vec<Prompt>>, Problem> {
        let Ok(args) = JsonlArgs::deserialize(args) else { return Ok(None) };
        let Some(path) = (inputs.locate)(&args.path.path) else { return Ok(None) };
        inspect::prompts(&[(args.path.path, path)], &args.format).map(Some)
    }
}
