//! `hf`: a model from the Hugging Face Hub, of one revision.

use super::arguments::arguments;
use super::hub_files::{self, Pinned};
use super::inspect::Inputs;
use super::local::{facts_of, shape_of, take_over};
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::facts::ModelFacts;
use crate::base::kind::Kind;
use crate::hub::{RepoKind, Wanted};
use crate::lang::signature::Signature;
use crate::model::ModelConfig;
use serde::Deserialize;
use serde_json::Value as Json;

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

impl HfArgs {
    fn wanted(&self) -> Wanted {
        let (kind, repo, rev) = (RepoKind::Model, self.repo.clone(), self.rev.clone());
        Wanted { kind, repo, rev, config: None, split: None, file: None }
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
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: HfArgs = context.args()?;
        let files = hub_files::fetch(&args.wanted(), &context.args::<Pinned>()?)?;
        take_over(context, &files.into_iter().collect())
    }

    fn wanted(&self, args: &Json) -> Option<Wanted> {
        HfArgs::deserialize(args).ok().map(|args| args.wanted())
    }

    fn facts(&self, args: &Json, inputs: &Inputs) -> Option<ModelFacts> {
        let folder = hub_files::snapshot(&self.wanted(args)?, inputs.cache)?;
        facts_of(&folder.join("config.json"), &folder.join("tokenizer.json"))
    }

    fn model_shape(&self, args: &Json, inputs: &Inputs) -> Option<ModelConfig> {
        shape_of(&hub_files::snapshot(&self.wanted(args)?, inputs.cache)?)
    }
}
