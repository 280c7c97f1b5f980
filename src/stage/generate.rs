//! `generate`: a model's completions of a dataset's prompts, as a dataset.

use super::arguments::{DatasetInput, Tokens, arguments};
use super::dataset;
use super::memory::{self, Sizes};
use super::sampling::SamplingArgs;
use super::speaker::Speaker;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::base::seed::Seed;
use crate::data::row::Row;
use crate::lang::signature::Signature;
use crate::lang::types::Type;
use crate::rollout::Sampling;
use serde::Deserialize;
use serde_json::Value as Json;

/// The stage kind.
pub struct Generate;

arguments! {
    /// The fields of `generate`.
    pub struct GenerateArgs {
        /// Rows with prompts; their own completions are not read.
        data: DatasetInput, aliases ["dataset", "prompts"];
        /// Completions a prompt.
        samples: usize = 1, aliases ["n", "num_samples", "num_return_sequences"], range 1 ..= 4096,
            source "vLLM (n)";
        /// Sampling temperature; 0 is greedy.
        temperature: f64 = 1.0, range 0 ..= 100;
        /// Nucleus: the smallest set of tokens with this much probability.
        top_p: f64 = 1.0, range 0.0001 ..= 1, source "arXiv:1904.09751";
        /// Only the most probable tokens.
        top_k: Option<usize> = None, range 1 ..= 1e6, source "arXiv:1805.04833";
        /// The longest completion in tokens.
        max_completion_length: Tokens = Tokens { tokens: 512 },
            aliases ["max_new_tokens", "max_tokens"], range 1 ..= 1e6, source "TRL (max_completion_length)";
        /// Root of every random choice of the stage.
        seed: u64 = 0, aliases ["random_seed"], range 0 ..= 9e15;
        ..sampling: SamplingArgs;
    }
}

impl Stage for Generate {
    fn signature(&self) -> Signature {
        Signature {
            kind: "generate",
            version: 1,
            doc: "A model's completions of a dataset's prompts, as a dataset.",
            piped: Some(("model", Type::OneOf(vec![Type::Model, Type::Teacher]))),
            output: Kind::Dataset,
            fields: GenerateArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    fn keeps_prompts(&self) -> bool {
        true
    }

    fn memory(&self, args: &Json, sizes: &dyn Sizes) -> Option<u64> {
        let args = GenerateArgs::deserialize(args).ok()?;
        let config = sizes.model("model")?;
        let prompt = memory::longest(&config, sizes, &args.data.input);
        let generation = memory::generation(&config, usize::MAX, prompt, args.max_completion_length.tokens);
        Some(memory::BASE + memory::asked(&config) + generation)
    }

    fn memory_settings(&self) -> &'static [&'static str] {
        &["max_completion_length"]
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: GenerateArgs = context.args()?;
        let model = Speaker::load(context, "model")?;
        let rows = dataset::read(context, &args.data.input)?;
        let sampling = Sampling {
            temperature: args.temperature,
            top_k: args.top_k,
            top_p: args.top_p,
            max_tokens: args.max_completion_length.tokens,
            ..model.sampling(&args.sampling)
        };
        let seed = Seed::new(args.seed).child("generate", 0);
        let completed = model.complete(context, &rows, args.samples, (&sampling, &args.sampling.stop), seed)?;
        let tokens: usize = completed.iter().map(|completed| completed.tokens).sum();
        let truncated = completed.iter().filter(|completed| completed.truncated).count();
        let rows: Vec<Row> = completed.into_iter().map(|completed| completed.into_row()).collect();
        dataset::write(context, &rows)?;
        Ok(Metrics::from([
            ("completions".to_string(), rows.len() as f64),
            ("tokens".to_string(), tokens as f64),
            ("truncated".to_string(), truncated as f64),
        ]))
    }
}
