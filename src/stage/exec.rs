//! `exec`: a program of the user's own as a stage.
//!
//! It runs without a shell in a working folder of its own, with nothing in its environment but what the call names, and
//! what it leaves in its output folder must be what the call promises.

mod folder;
mod group;
mod made;
mod program;
mod said;
#[cfg(test)]
mod tests;

use super::arguments::{ArtifactInput, CodePath, arguments, string_argument};
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::lang::signature::Signature;
use crate::lang::types::Type;
use folder::Folder;
use program::Program;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The stage kind.
pub struct Exec;

arguments! {
    /// The fields of `exec`.
    pub struct ExecArgs {
        /// The program and its arguments, such as `["python", "clean.py"]`. No shell reads them. Paths count from the
        /// working folder, where `code` lies, and which holds `input`, `inputs/NAME` and `out`.
        cmd: Vec<String>, aliases ["command", "run", "args"];
        /// The program's own files and folders. Their names and content are part of the key, so a changed script runs
        /// anew; the program finds copies of them in its working folder.
        code: Vec<CodePath>, aliases ["files", "scripts", "src"];
        /// Further models, datasets and scores by name; each is a folder `inputs/NAME` that the program may read.
        inputs: BTreeMap<String, ArtifactInput> = BTreeMap::new();
        /// What `|>` hands in, as the folder `input`; `none` makes a value that stands alone.
        takes: Option<Artifact> = None;
        /// What the program must leave in its folder `out`: a model folder that loads, a `data.jsonl` of rows, or an
        /// `items.jsonl` of scores.
        makes: Artifact = Artifact::Dataset, aliases ["output", "kind"];
        /// Files and folders that it must leave in `out`, besides those that every result of its kind has.
        outputs: Vec<String> = Vec::new();
        /// Environment variables with their values, which are part of the key. It is given no others but PATH, HOME and
        /// CUDA_VISIBLE_DEVICES, which are not, and those that say where its folders are: SRLM_INPUT, SRLM_INPUT_NAME and
        /// SRLM_OUT.
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
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: ExecArgs = context.args()?;
        let folder = Folder::lay_out(context, &args)?;
        let mut metrics = Program { words: &args.cmd, env: &args.env, folder: &folder }.run(context)?;
        folder.hand_over(&context.out)?;
        metrics.extend(made::check(context, &args)?);
        Ok(metrics)
    }
}
