//! `hf`: a model from the Hugging Face Hub, of one revision.

use super::arguments::arguments;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::lang::signature::Signature;

/// The stage kind.
pub struct Hf;

arguments! {
    /// The fields of `hf`.
    pub struct HfArgs {
        /// The repository, as in "Qwen/Qwen2.5-0.5B".
        repo: String, aliases ["repo_id", "model_id", "model_name_or_path", "path"];
        /// The commit, in 40 hexadecimal digits; a branch or tag, or nothing, where `srlm.lock` holds the commit.
        rev: Option<String> = None, aliases ["revision", "commit", "tag", "branch"];
    }
}

impl Stage for Hf {
    fn signature(&self) -> Signature {
        Signature {
            kind: "hf",
            version: 1,
            doc: "A model from the Hugging Face Hub, held to one revision by `rev` or by `srlm.lock`.",
            piped: None,
            output: Kind::Model,
            fields: HfArgs::fields(),
            positional: Some("repo"),
            unbuilt: Some("downloads"),
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: HfArgs = context.args()?;
        Err(StageError::input(format!("`{}` cannot be downloaded yet", args.repo)))
    }
}
