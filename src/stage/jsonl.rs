//! `jsonl`: a dataset from a file of the user's.

use super::arguments::{InputPath, arguments};
use super::dataset;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::data::read::{FORMATS, Format, read_file};
use crate::lang::signature::Signature;

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

impl super::arguments::Argument for Format {
    fn ty() -> crate::lang::types::Type {
        crate::lang::types::Type::Strings(FORMATS.iter().map(|(_, name, _)| name.to_string()).collect())
    }
    fn to_value(&self) -> crate::lang::value::Value {
        crate::lang::value::Value::String(self.name().to_string())
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
        let path = context.path(&args.path.path)?;
        if path.is_dir() {
            return Err(StageError::input(format!("{} is a folder, not a file of JSON lines", path.display())));
        }
        let rows = read_file(path, args.format)?;
        let answers = rows.iter().filter(|row| row.answer.is_some()).count();
        let completions = rows.iter().filter(|row| row.completion.is_some()).count();
        dataset::write(context, &rows)?;
        Ok(Metrics::from([
            ("rows".to_string(), rows.len() as f64),
            ("answers".to_string(), answers as f64),
            ("completions".to_string(), completions as f64),
        ]))
    }
}
