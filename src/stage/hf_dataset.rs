//! `hf_dataset`: a dataset from the Hugging Face Hub, of one revision.

use super::arguments::arguments;
use super::hub_files::{self, Pinned};
use super::inspect::{self, Inputs, Problem, Prompt};
use super::{Metrics, Stage, StageContext, StageError, dataset};
use crate::base::kind::Kind;
use crate::data::format::Format;
use crate::hub::{RepoKind, Wanted};
use crate::lang::signature::Signature;
use serde::Deserialize;
use serde_json::Value as Json;
use std::path::PathBuf;

/// The stage kind.
pub struct HfDataset;

arguments! {
    /// The fields of `hf_dataset`.
    pub struct HfDatasetArgs {
        /// The repository, as in "openai/gsm8k".
        repo: String, aliases ["repo_id", "dataset_id", "path"];
        /// The commit, in 40 hexadecimal digits; a branch or tag, or nothing, where `srlm.lock` holds the commit.
        rev: Option<String> = None, aliases ["revision", "commit", "tag", "branch"];
        /// The configuration, where the repository has several: "main".
        config: Option<String> = None, aliases ["name", "subset"];
        /// The split.
        split: String = "train".to_string();
        /// The file inside the repository, where configuration and split do not tell it.
        file: Option<String> = None, aliases ["data_files", "data_file"];
        /// How a row is laid out: "auto" looks at the names of its fields.
        format: Format = Format::Auto;
    }
}

impl HfDatasetArgs {
    fn wanted(&self) -> Wanted {
        Wanted {
            kind: RepoKind::Dataset,
            repo: self.repo.clone(),
            rev: self.rev.clone(),
            config: self.config.clone(),
            split: Some(self.split.clone()),
            file: self.file.clone(),
        }
    }
}

impl Stage for HfDataset {
    fn signature(&self) -> Signature {
        Signature {
            kind: "hf_dataset",
            version: 1,
            doc: "A dataset from the Hugging Face Hub, held to one revision by `rev` or by `srlm.lock`.",
            piped: None,
            output: Kind::Dataset,
            fields: HfDatasetArgs::fields(),
            positional: Some("repo"),
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: HfDatasetArgs = context.args()?;
        let files = hub_files::fetch(&args.wanted(), &context.args::<Pinned>()?)?;
        let paths: Vec<_> = files.into_iter().map(|(_, path)| path).collect();
        dataset::import(context, &paths, &args.format)
    }

    fn wanted(&self, args: &Json) -> Option<Wanted> {
        HfDatasetArgs::deserialize(args).ok().map(|args| args.wanted())
    }

    fn declares_rows(&self) -> bool {
        true
    }

    fn prompts(&self, args: &Json, inputs: &Inputs) -> Result<Option<Vec<Prompt>>, Problem> {
        let Ok(declared) = HfDatasetArgs::deserialize(args) else { return Ok(None) };
        let Ok(pinned) = Pinned::deserialize(args) else { return Ok(None) };
        let Some(files) = hub_files::cached(&declared.wanted(), &pinned, inputs.cache) else { return Ok(None) };
        let named = |(name, path): (String, PathBuf)| (format!("{}/{name}", declared.repo), path);
        inspect::prompts(&files.into_iter().map(named).collect::<Vec<_>>(), &declared.format).map(Some)
    }
}
