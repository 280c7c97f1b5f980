//! `hf_dataset`: a dataset from the Hugging Face Hub, of one revision.

use super::arguments::arguments;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::data::format::Format;
use crate::lang::signature::Signature;

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
            unbuilt: Some("downloads"),
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: HfDatasetArgs = context.args()?;
        Err(StageError::input(format!("`{}` cannot be downloaded yet", args.repo)))
    }
}
