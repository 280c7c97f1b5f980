//! `distill`: learning from a teacher, by its completions (`text`) or its distributions (`kl`, `jsd`).

use super::arguments::{
    Argument, DatasetInput, OneByDefault, Percent, TeacherInput, ToFields, Tokens, arguments, choice, string_argument,
    variant,
};
use super::dataset;
use super::language_model::LanguageModel;
use super::memory::{self, Sizes};
use super::sampling::{SEQUENCES_AT_ONCE, SamplingArgs, encode_prompts};
use super::sft::TextArgs;
use super::speaker::Speaker;
use super::teacher_rows::TeacherRows;
use super::training::TRAINING;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::digest::Digest;
use crate::base::fs::write_atomic;
use crate::base::kind::Kind;
use crate::base::seed::Seed;
use crate::data::row::{Row, read_rows, write_rows};
use crate::lang::signature::{Signature, Training, Variant};
use crate::lang::types::Type;
use crate::lang::value::Value;
use crate::nn::Params;
use crate::reward::RewardSum;
use crate::rollout::Sampling;
use crate::train::distill::{Divergence, Goal, train};
use crate::train::divergence::{Direction, Measure};
use crate::train::on_policy::OnPolicy;
use crate::train::sft;
use crate::train::stream::LOGIT_BYTES_A_PASS;
use crate::train::teacher::Teacher;
use serde::Deserialize;
use serde_json::Value as Json;
use std::path::Path;

/// The stage kind.
pub struct Distill;

arguments! {
    /// The fields of `distill`.
    pub struct DistillArgs {
        /// The model to learn from.
        teacher: TeacherInput, aliases ["teacher_model", "teacher_model_name_or_path", "teacher_name_or_path"],
            source "TRL (GKDConfig)";
        /// Prompts for `text`; prompts with completions for `kl` and `jsd`.
        data: DatasetInput, aliases ["dataset", "train_dataset", "train_data", "train_files"];
        /// What is matched: the teacher's completions (`text`) or its distributions (`kl`, `jsd`).
        loss: DistillLoss = DistillLoss::Text(TextLoss::default()),
            source "arXiv:1606.07947 (text), arXiv:1503.02531 (kl), arXiv:2306.13649 (jsd)";
        /// Share of the batches whose completions the student samples, at temperature 1; the others are those of the
        /// data. For `kl` and `jsd` only: under `text` the student would learn its own words.
        on_policy: Percent = Percent { percent: 0.0 }, aliases ["lmbda", "lambda", "on_policy_ratio"],
            range 0 ..= 100, source "arXiv:2306.13649 (GKD's λ, TRL's lmbda)";
        /// The longest completion asked of the teacher, or sampled from the student.
        max_completion_length: Tokens = Tokens { tokens: 512 },
            aliases ["max_new_tokens", "max_completion_tokens", "max_tokens", "generate_max_len"], range 1 ..= 1e6,
            source "TRL (max_completion_length)";
        ..text: TextArgs;
    }
}

/// The `loss` field.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DistillLoss {
    /// Sequence-level distillation.
    Text(TextLoss),
    /// Token-level distillation by a Kullback–Leibler divergence.
    Kl(KlLoss),
    /// Token-level distillation by the generalised Jensen–Shannon divergence.
    Jsd(JsdLoss),
}

arguments! {
    /// Cross-entropy on the teacher's completions (Kim and Rush, arXiv:1606.07947).
    pub struct TextLoss {
        /// Completions a prompt.
        samples: usize = 1, aliases ["n", "num_samples", "num_return_sequences"], range 1 ..= 1024;
        /// The teacher's sampling temperature; 0 is greedy.
        temperature: f64 = 1.0, range 0 ..= 100;
        /// Completions that score less than 1 are left out.
        keep: Option<RewardSum> = None, source "arXiv:2203.14465 (STaR)";
        /// Nucleus: the smallest set of tokens with this much probability.
        top_p: OneByDefault = OneByDefault(1.0), range 0.0001 ..= 1, source "arXiv:1904.09751", added "2026-11";
        /// Only the most probable tokens.
        top_k: Option<usize> = None, range 1 ..= 1e6, source "arXiv:1805.04833", added "2026-11";
        ..sampling: SamplingArgs;
    }
}

impl Default for TextLoss {
    /// One completion a prompt, from the teacher's own distribution.
    fn default() -> Self {
        let (top_p, sampling) = (OneByDefault::default(), SamplingArgs::default());
        TextLoss { samples: 1, temperature: 1.0, keep: None, top_p, top_k: None, sampling }
    }
}

arguments! {
    /// Divergence between the two distributions at every trained token, without a T² factor.
    pub struct KlLoss {
        /// "forward" is KL(teacher ‖ student), "reverse" KL(student ‖ teacher).
        direction: Direction = Direction::Forward, source "arXiv:1503.02531 (forward), arXiv:2306.08543 (reverse)";
        /// Both logits are divided by it.
        temperature: f64 = 1.0, range 0.01 ..= 100, source "arXiv:1503.02531";
        /// Only the teacher's most probable tokens are told apart; all others are one bucket that holds the rest of
        /// the mass. `none` tells all apart.
        top_k: Option<usize> = None, range 1 ..= 1e6;
    }
}

arguments! {
    /// Generalised Jensen–Shannon divergence at every trained token: with M = βP + (1−β)Q of teacher P and student Q,
    /// β·KL(P‖M) + (1−β)·KL(Q‖M).
    pub struct JsdLoss {
        /// The teacher's share of the mixture.
        beta: f64 = 0.5, range 0 ..= 1, source "arXiv:2306.13649 (GKD, eq. 1)";
        /// Both logits are divided by it.
        temperature: f64 = 1.0, range 0.01 ..= 100, source "arXiv:1503.02531";
    }
}

string_argument!(Direction { "forward" => Direction::Forward, "reverse" => Direction::Reverse });

impl Argument for DistillLoss {
    fn ty() -> Type {
        choice(&[], &["text", "kl", "jsd"])
    }
    fn to_value(&self) -> Value {
        let (name, fields) = match self {
            DistillLoss::Text(text) => ("text", text.to_fields()),
            DistillLoss::Kl(kl) => ("kl", kl.to_fields()),
            DistillLoss::Jsd(jsd) => ("jsd", jsd.to_fields()),
        };
        Value::Variant(name.into(), fields)
    }
}

/// The variants that `loss` takes.
pub fn variants() -> Vec<Variant> {
    vec![
        variant("text", "Sequence-level distillation: train on the teacher's completions.", TextLoss::fields(), None),
        variant("kl", "Token-level distillation: match the teacher's distributions.", KlLoss::fields(), None),
        variant("jsd", "Token-level distillation: meet the teacher in a mixture of both.", JsdLoss::fields(), None),
    ]
}

impl Stage for Distill {
    fn signature(&self) -> Signature {
        Signature {
            kind: "distill",
            version: 1,
            doc: "Distillation from a teacher, by its completions (`text`) or its distributions (`kl`, `jsd`).",
            piped: Some(("model", Type::Model)),
            output: Kind::Model,
            fields: DistillArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    /// Distributions over different tokens cannot be compared; words can.
    fn same_tokenizer(&self, arg: &dyn Fn(&str) -> serde_json::Value) -> &'static [&'static str] {
        if arg("loss").get("text").is_some() { &[] } else { &["teacher"] }
    }

    fn training(&self) -> Option<Training> {
        Some(TRAINING)
    }

    /// From words, the teacher writes first and its weights stay while the student learns; from distributions, whole rows
    /// of both models' logits and their gradient stand beside each other.
    fn memory(&self, args: &Json, sizes: &dyn Sizes) -> Option<u64> {
        let args = DistillArgs::deserialize(args).ok()?;
        let (student, teacher) = (sizes.model("model")?, sizes.model(&args.teacher.input)?);
        let longest = memory::longest(&student, sizes, &args.data.input);
        let lora = args.text.training.adapter("distill");
        let learning = |longest| {
            let tokens = args.text.tokens_a_pass(&student, longest);
            memory::training(&student, tokens, lora.as_ref()) + memory::kept(&student, lora.as_ref())
        };
        let (asked, read) = (memory::asked(&teacher), memory::weights(&student));
        let length = args.max_completion_length.tokens;
        let needed = match &args.loss {
            DistillLoss::Text(_) => {
                let writing = asked + memory::generation(&teacher, usize::MAX, longest, length);
                (asked + learning(longest.map(|longest| longest + length))).max(read + writing)
            }
            _ if args.on_policy.percent > 0.0 => {
                let own = read + memory::generation(&student, args.text.batch.seqs, longest, length);
                asked + learning(longest) + own + 4 * LOGIT_BYTES_A_PASS as u64
            }
            _ => asked + learning(longest) + 4 * LOGIT_BYTES_A_PASS as u64,
        };
        Some(memory::BASE + needed)
    }

    fn memory_settings(&self) -> &'static [&'static str] {
        &["batch", "max_length", "max_completion_length", "packing"]
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: DistillArgs = context.args()?;
        let model = LanguageModel::load(context.input("model")?)?;
        let teacher = Speaker::load(context, &args.teacher.input)?;
        let rows = dataset::read(context, &args.data.input)?;
        let (params, metrics) = match &args.loss {
            DistillLoss::Text(loss) => from_text(context, &args, loss, &model, &teacher, rows)?,
            DistillLoss::Kl(KlLoss { direction, temperature, top_k }) => {
                let measure = Measure::Kl { direction: *direction, top_k: *top_k };
                from_distributions(context, &args, measure, *temperature, &model, teacher.weights()?, &rows)?
            }
            DistillLoss::Jsd(JsdLoss { beta, temperature }) => {
                let measure = Measure::Jsd { beta: *beta };
                from_distributions(context, &args, measure, *temperature, &model, teacher.weights()?, &rows)?
            }
        };
        model.save(&context.out, &params, args.text.training.adapter("distill").as_ref())?;
        Ok(metrics)
    }
}

type Trained = (Params, Metrics);

fn from_text(
    context: &StageContext,
    args: &DistillArgs,
    loss: &TextLoss,
    model: &LanguageModel,
    teacher: &Speaker,
    rows: Vec<Row>,
) -> Result<Trained, StageError> {
    if args.on_policy.percent > 0.0 {
        return Err(StageError::input(
            "`on_policy` needs the teacher's distributions: under `loss: text(…)` the student would learn its own words; \
             take `kl` or `jsd`, or `on_policy: 0%`",
        ));
    }
    let taught = teacher_rows(context, args, loss, teacher, rows)?;
    let (examples, facts) = args.text.examples(context, model, &taught, model.context_length())?;
    let (decoder, params) = model.trainable(args.text.training.adapter("distill").as_ref())?;
    let (params, metrics) = sft::train(decoder, params, &examples, &args.text.settings("distill"), &context.watch())?;
    Ok((params, facts.into_iter().chain(metrics).collect()))
}

/// The teacher's completions. They are kept beside the training states, so that a stage that goes on does not ask again.
fn teacher_rows(
    context: &StageContext,
    args: &DistillArgs,
    loss: &TextLoss,
    teacher: &Speaker,
    rows: Vec<Row>,
) -> Result<Vec<Row>, StageError> {
    if let Some(reward) = &loss.keep {
        reward.check().map_err(|error| StageError::input(error.to_string()))?;
    }
    let folder = context.states.as_ref().map(|places| places.common().folder.as_path());
    if let Some(rows) = folder.and_then(kept_rows) {
        return Ok(rows);
    }
    let sampling = Sampling {
        temperature: loss.temperature,
        top_k: loss.top_k,
        top_p: loss.top_p.0,
        max_tokens: args.max_completion_length.tokens,
        ..teacher.sampling(&loss.sampling)
    };
    let seed = Seed::new(args.text.training.seed).child("teacher", 0);
    let mut taught = teacher.complete(context, &rows, loss.samples, (&sampling, &loss.sampling.stop), seed)?;
    let asked = taught.len();
    if let Some(reward) = &loss.keep {
        taught.retain(|completed| completed.score(reward).is_some_and(|score| score >= 1.0));
    }
    let taught: Vec<Row> = taught.into_iter().map(|completed| completed.into_row()).collect();
    context.facts([("teacher_completions", asked as f64), ("teacher_completions_kept", taught.len() as f64)]);
    if taught.is_empty() {
        return Err(StageError::input(format!(
            "none of the teacher's {asked} completions scores at least 1 by `keep`: raise `samples` or \
             `max_completion_length`, use a better teacher, or a reward whose terms reach 1"
        )));
    }
    folder.map_or(Ok(()), |folder| keep_rows(folder, &taught))?;
    Ok(taught)
}

const TEACHER_ROWS: &str = "teacher.jsonl";
/// The digest of the rows' file, written after it.
const TEACHER_DIGEST: &str = "teacher.digest";

fn keep_rows(folder: &Path, rows: &[Row]) -> Result<(), StageError> {
    std::fs::create_dir_all(folder)?;
    write_rows(&folder.join(TEACHER_ROWS), rows)?;
    let digest = Digest::of_bytes(&std::fs::read(folder.join(TEACHER_ROWS))?);
    Ok(write_atomic(&folder.join(TEACHER_DIGEST), digest.to_string().as_bytes())?)
}

/// The rows that an earlier attempt kept, where they are those that it wrote.
fn kept_rows(folder: &Path) -> Option<Vec<Row>> {
    let (rows, digest) = (folder.join(TEACHER_ROWS), std::fs::read_to_string(folder.join(TEACHER_DIGEST)).ok()?);
    let whole = Digest::of_bytes(&std::fs::read(&rows).ok()?).to_string() == digest;
    whole.then(|| read_rows(&rows).ok()).flatten()
}

fn from_distributions(
    context: &StageContext,
    args: &DistillArgs,
    measure: Measure,
    temperature: f64,
    model: &LanguageModel,
    teacher: &LanguageModel,
    rows: &[Row],
) -> Result<Trained, StageError> {
    if model.tokenizer.digest() != teacher.tokenizer.digest() {
        return Err(StageError::input(
            "teacher and student have different tokenizers, so their distributions are over different tokens: \
             use `loss: text()`, or a teacher with the student's tokenizer",
        ));
    }
    let positions = model.context_length().min(teacher.context_length());
    let (examples, facts) = args.text.examples(context, model, rows, positions)?;
    let divergence = Divergence { measure, temperature, vocabulary: model.tokenizer.max_id() as usize + 1 };
    let on_policy = on_policy(context, args, model, positions, rows)?;
    let goal = Goal { teacher: kept_teacher(context, teacher, &divergence)?, divergence, on_policy };
    let (decoder, params) = model.trainable(args.text.training.adapter("distill").as_ref())?;
    let (params, metrics) = train(decoder, params, &goal, &examples, &args.text.settings("distill"), &context.watch())?;
    Ok((params, facts.into_iter().chain(metrics).collect()))
}

/// The teacher; where few of its numbers are needed they are kept for other epochs, students and seeds.
fn kept_teacher(
    context: &StageContext,
    teacher: &LanguageModel,
    divergence: &Divergence,
) -> Result<Teacher<'static>, StageError> {
    let decoder = teacher.frozen()?;
    let few = divergence.measure.top_k(divergence.vocabulary).is_some();
    Ok(match context.cache.as_deref().filter(|_| few) {
        Some(cache) => Teacher::keeping(decoder, TeacherRows::open(cache, teacher.files(), divergence)?),
        None => Teacher::new(decoder),
    })
}

/// The batches that the student samples, where there are any; prompts that leave no room in either model are dropped.
fn on_policy(
    context: &StageContext,
    args: &DistillArgs,
    model: &LanguageModel,
    positions: usize,
    rows: &[Row],
) -> Result<Option<OnPolicy>, StageError> {
    if args.on_policy.percent == 0.0 {
        return Ok(None);
    }
    let max_tokens = args.max_completion_length.tokens;
    let tasks = encode_prompts(context, model, rows.to_vec(), max_tokens)?;
    let prompts: Vec<Vec<u32>> =
        tasks.into_iter().map(|task| task.prompt).filter(|prompt| prompt.len() + max_tokens <= positions).collect();
    if prompts.is_empty() {
        return Err(StageError::input(format!(
            "no prompt leaves room for {max_tokens} tokens in the teacher's {positions} positions: lower \
             `max_completion_length`"
        )));
    }
    Ok(Some(OnPolicy {
        share: args.on_policy.ratio(),
        prompts,
        sampling: Sampling { max_tokens, stop_ids: model.tokenizer.stop_ids().to_vec(), ..Sampling::default() },
        sequences_at_once: SEQUENCES_AT_ONCE,
        seed: Seed::new(args.text.training.seed).child("on_policy", 0),
    }))
}
