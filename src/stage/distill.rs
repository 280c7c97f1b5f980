//! `distill`: learning from a teacher, by its completions (`text`) or its distributions (`kl`).

use super::arguments::{Argument, DatasetInput, TeacherInput, ToFields, Tokens, arguments, string_argument, variant};
use super::dataset;
use super::language_model::LanguageModel;
use super::sampling::complete;
use super::sft::TextArgs;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::base::seed::Seed;
use crate::data::row::{Row, read_rows, write_rows};
use crate::lang::signature::{Signature, Variant};
use crate::lang::types::Type;
use crate::lang::value::Value;
use crate::nn::Params;
use crate::reward::RewardSum;
use crate::rollout::Sampling;
use crate::train::distill::{Divergence, train};
use crate::train::divergence::Direction;
use crate::train::sft;
use serde::Deserialize;

/// The stage kind.
pub struct Distill;

arguments! {
    /// The fields of `distill`.
    pub struct DistillArgs {
        /// The model to learn from.
        teacher: TeacherInput, aliases ["teacher_model", "teacher_model_name_or_path"];
        /// Prompts for `text`; prompts with completions for `kl`.
        data: DatasetInput, aliases ["dataset", "train_dataset"];
        /// What is matched: the teacher's completions or its distributions.
        loss: DistillLoss = DistillLoss::Text(TextLoss { samples: 1, temperature: 1.0, keep: None });
        /// The longest completion asked of the teacher.
        max_completion_length: Tokens = Tokens { tokens: 512 },
            aliases ["max_new_tokens", "max_completion_tokens"], range 1 ..= 1e6;
        ..text: TextArgs;
    }
}

/// The `loss` field.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DistillLoss {
    /// Sequence-level distillation.
    Text(TextLoss),
    /// Token-level distillation.
    Kl(KlLoss),
}

arguments! {
    /// Cross-entropy on the teacher's completions (Kim and Rush, arXiv:1606.07947).
    pub struct TextLoss {
        /// Completions a prompt.
        samples: usize = 1, range 1 ..= 1024;
        /// The teacher's sampling temperature; 0 is greedy.
        temperature: f64 = 1.0, range 0 ..= 100;
        /// Completions that score less than 1 are left out.
        keep: Option<RewardSum> = None;
    }
}

arguments! {
    /// Divergence between the two distributions at every trained token, without a T² factor.
    pub struct KlLoss {
        /// "forward" is KL(teacher ‖ student), "reverse" KL(student ‖ teacher).
        direction: Direction = Direction::Forward;
        /// Both logits are divided by it.
        temperature: f64 = 1.0, range 0.01 ..= 100;
    }
}

string_argument!(Direction { "forward" => Direction::Forward, "reverse" => Direction::Reverse });

impl Argument for DistillLoss {
    fn ty() -> Type {
        Type::OneOf(vec![Type::Variant("text".to_string()), Type::Variant("kl".to_string())])
    }
    fn to_value(&self) -> Value {
        let (name, fields) = match self {
            DistillLoss::Text(text) => ("text", text.to_fields()),
            DistillLoss::Kl(kl) => ("kl", kl.to_fields()),
        };
        Value::Variant(name.to_string(), fields)
    }
}

/// The variants that `loss` takes.
pub fn variants() -> Vec<Variant> {
    vec![
        variant("text", "Sequence-level distillation: train on the teacher's completions.", TextLoss::fields(), None),
        variant("kl", "Token-level distillation: match the teacher's distributions.", KlLoss::fields(), None),
    ]
}

impl Stage for Distill {
    fn signature(&self) -> Signature {
        Signature {
            kind: "distill",
            version: 1,
            doc: "Distillation from a teacher, by its completions (`text`) or its distributions (`kl`).",
            piped: Some(("model", Type::Model)),
            output: Kind::Model,
            fields: DistillArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    /// Distributions over different tokens cannot be compared; words can.
    fn same_tokenizer(&self, args: &serde_json::Value) -> &'static [&'static str] {
        if args["loss"].get("text").is_some() { &[] } else { &["teacher"] }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: DistillArgs = context.args()?;
        let model = LanguageModel::load(context.input("model")?)?;
        let teacher = LanguageModel::load(context.input(&args.teacher.input)?)?;
        let rows = dataset::read(context, &args.data.input)?;
        let (params, metrics) = match &args.loss {
            DistillLoss::Text(loss) => from_text(context, &args, loss, &model, &teacher, rows)?,
            DistillLoss::Kl(loss) => from_distributions(context, &args, loss, &model, &teacher, &rows)?,
        };
        model.save(&context.out, &params)?;
        Ok(metrics)
    }
}

type Trained = (Params, Metrics);

fn from_text(
    context: &StageContext,
    args: &DistillArgs,
    loss: &TextLoss,
    model: &LanguageModel,
    teacher: &LanguageModel,
    rows: Vec<Row>,
) -> Result<Trained, StageError> {
    let taught = teacher_rows(context, args, loss, teacher, rows)?;
    let (examples, facts) = args.text.examples(context, model, &taught, model.context_length())?;
    let (decoder, params) = model.trainable()?;
    let (params, metrics) = sft::train(decoder, params, &examples, &args.text.settings("distill"), &context.watch())?;
    Ok((params, facts.into_iter().chain(metrics).collect()))
}

/// The teacher's completions. They are kept beside the training states, so that a resumed stage does not ask again.
fn teacher_rows(
    context: &StageContext,
    args: &DistillArgs,
    loss: &TextLoss,
    teacher: &LanguageModel,
    rows: Vec<Row>,
) -> Result<Vec<Row>, StageError> {
    if let Some(reward) = &loss.keep {
        reward.check().map_err(|error| StageError::input(error.to_string()))?;
    }
    let kept = context.states.join("teacher.jsonl");
    if kept.exists() {
        return Ok(read_rows(&kept)?);
    }
    let sampling = Sampling {
        temperature: loss.temperature,
        top_k: None,
        top_p: 1.0,
        max_tokens: args.max_completion_length.tokens,
        stop_ids: teacher.tokenizer.stop_ids().to_vec(),
    };
    let seed = Seed::new(args.text.training.seed).child("teacher", 0);
    let mut taught = complete(context, teacher, &rows, loss.samples, &sampling, seed)?;
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
    std::fs::create_dir_all(&context.states)?;
    write_rows(&kept, &taught)?;
    Ok(taught)
}

fn from_distributions(
    context: &StageContext,
    args: &DistillArgs,
    loss: &KlLoss,
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
    let divergence = Divergence {
        direction: loss.direction,
        temperature: loss.temperature,
        vocabulary: model.tokenizer.max_id() as usize + 1,
    };
    let (decoder, params) = model.trainable()?;
    let teacher = teacher.frozen()?;
    let (params, metrics) =
        train(decoder, params, &teacher, &examples, &divergence, &args.text.settings("distill"), &context.watch())?;
    Ok((params, facts.into_iter().chain(metrics).collect()))
}
