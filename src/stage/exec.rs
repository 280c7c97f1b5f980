//! `exec`: a program of the user's own as a stage.

use super::arguments::{ArtifactInput, InputPath, arguments, string_argument};
use super::unbuilt::refused;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::lang::signature::Signature;
use crate::lang::types::Type;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The stage kind.
pub struct Exec;

arguments! {
    /// The fields of `exec`.
    pub struct ExecArgs {
        /// The program and its arguments, such as `["python", "clean.py"]`. No shell reads them.
        cmd: Vec<String>, aliases ["command", "run", "args"];
        /// The program's own files; their content is part of the key, so a changed script runs anew.
        code: Vec<InputPath>, aliases ["files", "scripts", "src"];
        /// Further models, datasets and scores by name; each is a folder that the program may read.
        inputs: BTreeMap<String, ArtifactInput> = BTreeMap::new();
        /// What `|>` hands in; `none` makes a value that stands alone.
        takes: Option<Artifact> = None;
        /// What the program makes.
        makes: Artifact = Artifact::Dataset, aliases ["output", "kind"];
        /// Files that it must leave in its output folder, besides those that every result of its kind has.
        outputs: Vec<String> = Vec::new();
        /// Environment variables with their values, which are part of the key; it is given no others but PATH and HOME.
        env: BTreeMap<String, String> = BTreeMap::new(), aliases ["environment"];
    }
}

/// The `takes` and `makes` fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Artifact {
    /// A model folder.
    Model,
    /// Rows.
    Dataset,
    /// Results of an evaluation.
    Scores,
}

string_argument!(Artifact {
    "model" => Artifact::Model,
    "dataset" => Artifact::Dataset,
    "scores" => Artifact::Scores,
});

impl Stage for Exec {
    fn signature(&self) -> Signature {
        Signature {
            kind: "exec",
            version: 1,
            doc: "A program of your own as a stage; it takes and makes what its fields say.",
            piped: Some(("input", Type::OneOf(vec![Type::Model, Type::Dataset, Type::Scores]))),
            output: Kind::Dataset,
            fields: ExecArgs::fields(),
            positional: None,
            unbuilt: Some("`exec`"),
        }
    }

    fn run(&self, _: &StageContext) -> Result<Metrics, StageError> {
        Err(refused("`exec`"))
    }
}
