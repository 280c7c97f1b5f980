//! Where the wings meet: each stage kind is one file that reads its arguments and calls a trainer.

pub mod api;
mod arguments;
mod arith_problems;
pub mod ask;
pub mod bench_generate;
pub mod bench_train;
mod completions;
mod context;
mod dataset;
mod decontaminate;
mod dedup;
mod distill;
mod evaluate;
mod exec;
mod few_shot;
mod format;
mod generate;
mod grpo;
mod hf;
mod hf_dataset;
mod hub_files;
mod init_model;
pub mod inspect;
mod jsonl;
mod keep;
mod language_model;
mod local;
mod map_format;
pub mod memory;
mod merge;
mod mix;
mod parquet;
pub mod profile;
mod rewards;
mod sampling;
mod seam;
mod sft;
mod speaker;
mod split;
mod take;
mod teacher_rows;
mod training;
mod unbuilt;

pub use context::{Files, Metrics, StageContext, StageError, Teacher};
pub use init_model::{Shape, built_in_tokenizer_digest, init_model_folder};
pub use unbuilt::refuse as refuse_unbuilt;

use crate::base::facts::ModelFacts;
use crate::hub::Wanted;
use crate::lang::signature::{Catalogue, Signature, Training};
use crate::model::ModelConfig;
use inspect::{Inputs, Place, Problem, Prompt};
use memory::Sizes;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A stage kind.
pub trait Stage: Sync {
    /// What the language may know of it.
    fn signature(&self) -> Signature;

    /// Does the work: reads the inputs of `context`, fills its output folder, returns its final numbers.
    ///
    /// # Errors
    /// A [`StageError`] that says what went wrong and what to do, or that the stage was asked to stop.
    fn run(&self, context: &StageContext) -> Result<Metrics, StageError>;

    /// How its training depends on its length, where it trains: by this its states are kept and found again.
    fn training(&self) -> Option<Training> {
        None
    }

    /// What its path must name, where it has one.
    fn place(&self) -> Option<Place> {
        None
    }

    /// What it takes from the Hub, where it does.
    fn wanted(&self, _args: &Json) -> Option<Wanted> {
        None
    }

    /// Whether its rows come from declared files: those that [`Stage::prompts`] reads.
    fn declares_rows(&self) -> bool {
        false
    }

    /// The prompts of its declared files, read before anything runs; none where it declares none or lacks them yet.
    ///
    /// # Errors
    /// A [`Problem`] of a file.
    fn prompts(&self, _args: &Json, _inputs: &Inputs) -> Result<Option<Vec<Prompt>>, Problem> {
        Ok(None)
    }

    /// Whether the rows it makes have the prompts of the rows it takes.
    fn keeps_prompts(&self) -> bool {
        false
    }

    /// The facts of the model it makes from nothing but its arguments and declared files.
    fn facts(&self, _args: &Json, _inputs: &Inputs) -> Option<ModelFacts> {
        None
    }

    /// The shape of the model it makes, where arguments and declared files alone say it.
    fn model_shape(&self, _args: &Json, _inputs: &Inputs) -> Option<ModelConfig> {
        None
    }

    /// Bytes of memory that its worker will need at once, about; none where no formula tells, or where a size it needs is
    /// not known.
    fn memory(&self, _args: &Json, _sizes: &dyn Sizes) -> Option<u64> {
        None
    }

    /// The fields that [`Stage::memory`] grows with, those to lower first before others.
    fn memory_settings(&self) -> &'static [&'static str] {
        &[]
    }

    /// The roles of the models that must have the tokenizer of the model it changes; `_arg` gives an argument by its name.
    fn same_tokenizer(&self, _arg: &dyn Fn(&str) -> Json) -> &'static [&'static str] {
        &[]
    }
}

/// Every stage kind. A new one adds its line here and its `mod` above.
pub static STAGES: &[&dyn Stage] = &[
    &sft::Sft,
    &distill::Distill,
    &grpo::Grpo,
    &evaluate::Evaluate,
    &generate::Generate,
    &keep::Keep,
    &map_format::MapFormat,
    &few_shot::FewShot,
    &dedup::Dedup,
    &decontaminate::Decontaminate,
    &mix::Mix,
    &take::Take,
    &split::Split,
    &merge::Merge,
    &exec::Exec,
    &local::Local,
    &init_model::InitModel,
    &hf::Hf,
    &jsonl::Jsonl,
    &parquet::Parquet,
    &hf_dataset::HfDataset,
    &api::Api,
    &arith_problems::ArithProblems,
];

/// The stage of that kind.
pub fn find(kind: &str) -> Option<&'static dyn Stage> {
    // A program may ask for each of its stages, and a signature is built anew whenever it is asked for.
    static BY_KIND: LazyLock<HashMap<&str, &dyn Stage>> =
        LazyLock::new(|| STAGES.iter().map(|&stage| (stage.signature().kind, stage)).collect());
    BY_KIND.get(kind).copied()
}

/// What the language is told: stages, rewards and variants.
pub fn catalogue() -> Catalogue {
    Catalogue {
        stages: STAGES.iter().map(|stage| stage.signature()).collect(),
        rewards: rewards::signatures(),
        variants: [
            training::variants(),
            distill::variants(),
            grpo::variants(),
            evaluate::variants(),
            format::variants(),
        ]
        .concat(),
        profile: profile::signature(),
        trainings: STAGES.iter().filter_map(|stage| Some((stage.signature().kind, stage.training()?))).collect(),
    }
}
