//! Where the wings meet: each stage kind is one file that reads its arguments and calls a trainer.

mod api;
mod arguments;
mod arith_problems;
mod context;
mod dataset;
mod decontaminate;
mod dedup;
mod distill;
mod evaluate;
mod exec;
mod format;
mod generate;
mod grpo;
mod hf;
mod hf_dataset;
mod init_model;
mod jsonl;
mod keep;
mod language_model;
mod local;
mod map_format;
mod merge;
mod mix;
mod parquet;
mod rewards;
mod sampling;
mod seam;
mod sft;
mod split;
mod take;
mod training;
mod unbuilt;

pub use context::{Files, Metrics, StageContext, StageError};
pub use init_model::{Shape, init_model_folder};
pub use unbuilt::refuse as refuse_unbuilt;

use crate::lang::signature::{Catalogue, Signature};

/// A stage kind.
pub trait Stage: Sync {
    /// What the language may know of it.
    fn signature(&self) -> Signature;

    /// Does the work: reads the inputs of `context`, fills its output folder, returns its final numbers.
    ///
    /// # Errors
    /// A [`StageError`] that says what went wrong and what to do, or that the stage was asked to stop.
    fn run(&self, context: &StageContext) -> Result<Metrics, StageError>;
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
    STAGES.iter().copied().find(|stage| stage.signature().kind == kind)
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
    }
}
