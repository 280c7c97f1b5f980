//! `evaluate`: a model's answers to the benchmarks of a suite, item by item.

use super::arguments::{Argument, DatasetInput, ToFields, Tokens, arguments, string_argument, variant};
use super::dataset;
use super::memory::{self, Sizes};
use super::sampling::{Completed, SamplingArgs};
use super::speaker::Speaker;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::base::seed::Seed;
use crate::data::row::Row;
use crate::eval::score::{Completion, ItemScore, Summary, score_item, write_scores};
use crate::lang::signature::{Signature, Variant};
use crate::lang::types::Type;
use crate::lang::value::Value;
use crate::reward::grade;
use crate::reward::grade::profile::Profile;
use crate::rollout::Sampling;
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The stage kind.
pub struct Evaluate;

/// Raised whenever the same completions would be scored or counted in another way; verdicts have a version of their own.
const REVISION: u32 = 0;

arguments! {
    /// The fields of `evaluate`.
    pub struct EvaluateArgs {
        /// The benchmarks, by name.
        suite: BTreeMap<String, Bench>;
    }
}

/// A benchmark of a suite.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bench {
    /// The only kind so far.
    Bench(BenchArgs),
}

arguments! {
    /// The settings of a `bench`.
    pub struct BenchArgs {
        /// Rows with prompts and gold answers.
        data: DatasetInput, aliases ["dataset"];
        /// Completions an item; with more than one, pass@k and maj@k are reported too.
        samples: usize = 1, aliases ["n", "num_samples"], range 1 ..= 4096, source "arXiv:2107.03374 (pass@k)";
        /// Sampling temperature; 0 is greedy.
        temperature: f64 = 0.0, range 0 ..= 100;
        /// Nucleus: the smallest set of tokens with this much probability.
        top_p: f64 = 1.0, range 0.0001 ..= 1, source "arXiv:1904.09751";
        /// Only the most probable tokens.
        top_k: Option<usize> = None, range 1 ..= 1e6, source "arXiv:1805.04833";
        /// The longest completion in tokens.
        max_completion_length: Tokens = Tokens { tokens: 512 },
            aliases ["max_new_tokens", "max_tokens", "max_gen_toks"], range 1 ..= 1e6,
            source "TRL (max_completion_length)";
        /// Where an answer is looked for: "strict" takes marked ones alone, as rewards do; "lenient" also those behind
        /// "answer is", and the last number; "lm-eval-strict" and "lm-eval-flexible" score as lm-evaluation-harness
        /// scores GSM8K, for figures that must compare.
        metric: Profile = Profile::Lenient, aliases ["filter", "metrics", "extraction"],
            source "lm-evaluation-harness (strict-match, flexible-extract)";
        /// Root of every random choice of the benchmark.
        seed: u64 = 0, aliases ["random_seed"], range 0 ..= 9e15;
        ..sampling: SamplingArgs;
    }
}

string_argument!(Profile {
    "lenient" => Profile::Lenient,
    "strict" => Profile::Strict,
    "lm-eval-strict" => Profile::LmEvalStrict,
    "lm-eval-flexible" => Profile::LmEvalFlexible,
});

impl Argument for Bench {
    fn ty() -> Type {
        Type::Bench
    }
    fn record_ty() -> Type {
        Type::Suite
    }
    fn to_value(&self) -> Value {
        let Bench::Bench(args) = self;
        Value::Variant("bench".into(), args.to_fields())
    }
}

/// The variants that suites are made of.
pub fn variants() -> Vec<Variant> {
    vec![variant("bench", "One benchmark: data, and how answers to it are sampled.", BenchArgs::fields(), Some("data"))]
}

impl Stage for Evaluate {
    fn signature(&self) -> Signature {
        Signature {
            kind: "evaluate",
            // Either may be raised: the sum is new each time, and so is the key.
            version: REVISION + grade::VERSION,
            doc: "A model's answers to the benchmarks of a suite, judged and kept item by item.",
            piped: Some(("model", Type::OneOf(vec![Type::Model, Type::Teacher]))),
            output: Kind::Scores,
            fields: EvaluateArgs::fields(),
            positional: Some("suite"),
            unbuilt: None,
        }
    }

    fn memory(&self, args: &Json, sizes: &dyn Sizes) -> Option<u64> {
        let args = EvaluateArgs::deserialize(args).ok()?;
        let config = sizes.model("model")?;
        let of = |Bench::Bench(bench): &Bench| {
            let prompt = memory::longest(&config, sizes, &bench.data.input);
            memory::generation(&config, usize::MAX, prompt, bench.max_completion_length.tokens)
        };
        Some(memory::BASE + memory::asked(&config) + args.suite.values().map(of).max()?)
    }

    fn memory_settings(&self) -> &'static [&'static str] {
        &["max_completion_length"]
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: EvaluateArgs = context.args()?;
        let model = Speaker::load(context, "model")?;
        let (mut items, mut metrics) = (Vec::new(), Metrics::new());
        for (name, Bench::Bench(bench)) in &args.suite {
            let rows = gold_rows(context, bench)?;
            let completed = answer(context, &model, bench, &rows)?;
            // An accuracy over fewer items than the benchmark has must not pass for one over all of them.
            let dropped = rows.len() - completed.len() / bench.samples;
            metrics.insert(format!("{name}.dropped"), dropped as f64);
            items.extend(completed.chunks(bench.samples).filter_map(|samples| judge(name, bench.metric, samples)));
        }
        let summaries = write_scores(&context.out, &items, Seed::new(0).child("intervals", 0))?;
        let named = |(bench, summary): (String, Summary)| {
            summary.into_iter().map(move |(metric, value)| (format!("{bench}.{metric}"), value))
        };
        metrics.extend(summaries.into_iter().flat_map(named));
        Ok(metrics)
    }
}

/// The verdicts on one row's samples.
fn judge(bench: &str, profile: Profile, samples: &[Completed]) -> Option<ItemScore> {
    let completion = |sample: &Completed| Completion {
        text: sample.text.clone(),
        tokens: sample.tokens,
        truncated: sample.truncated,
    };
    let completions: Vec<Completion> = samples.iter().map(completion).collect();
    score_item(bench, &samples.first()?.row, &completions, profile)
}

fn gold_rows(context: &StageContext, bench: &BenchArgs) -> Result<Vec<Row>, StageError> {
    let rows = dataset::read(context, &bench.data.input)?;
    if let Some(row) = rows.iter().find(|row| row.answer.is_none()) {
        return Err(StageError::input(format!(
            "row `{}` has no gold answer to judge by: give rows with answers, such as a format with an answer field",
            row.id
        )));
    }
    Ok(rows)
}

fn answer(
    context: &StageContext,
    model: &Speaker,
    bench: &BenchArgs,
    rows: &[Row],
) -> Result<Vec<Completed>, StageError> {
    let sampling = Sampling {
        temperature: bench.temperature,
        top_k: bench.top_k,
        top_p: bench.top_p,
        max_tokens: bench.max_completion_length.tokens,
        ..model.sampling(&bench.sampling)
    };
    let seed = Seed::new(bench.seed).child("evaluate", 0);
    model.complete(context, rows, bench.samples, (&sampling, &bench.sampling.stop), seed)
}
