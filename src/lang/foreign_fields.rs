//! Fields as other tools spell them: what ours is called, how the value is written here, and what has no place here.

use super::datum::Datum;
use super::nearest::nearest;
use super::signature::Field;
use super::types::{Dimension, Type};
use super::units;
use super::value::Value;
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};

/// A field that was written and that its owner does not have.
pub(super) struct Foreign<'a> {
    /// What was written.
    pub name: &'a str,
    /// Where.
    pub span: Span,
    /// Its value.
    pub value: &'a Datum,
    /// Where that stands.
    pub value_span: Span,
    /// Whether it came with a spread, so that it is not written where it is used.
    pub spread: bool,
}

/// Settings of other tools that are on purpose no field of any stage: prefix of the name, and where they belong.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &[
            "gradient_accumulation_steps",
            "gradient_accumulation",
            "grad_accum",
            "accumulate_grad_batches",
            "micro_batch_size",
            "per_device_eval_batch_size",
            "per_device_batch_size",
            "ppo_micro_batch_size",
            "ppo_micro_batch_size_per_gpu",
            "micro_train_batch_size",
            "micro_rollout_batch_size",
            "eval_batch_size",
            "auto_find_batch_size",
            "sample_packing_group_size",
        ],
        "how a batch is cut up does not change the result: it is the machine's business, or a `profile`'s",
    ),
    (
        &[
            "device",
            "device_map",
            "cuda",
            "gpus",
            "num_gpus",
            "n_gpus",
            "n_gpus_per_node",
            "nnodes",
            "use_cpu",
            "no_cuda",
            "local_rank",
            "world_size",
            "tensor_parallel_size",
            "tensor_model_parallel_size",
            "ddp",
            "gpu_memory_utilization",
            "vllm_gpu_memory_utilization",
            "use_vllm",
            "vllm_mode",
            "deepspeed",
            "fsdp",
            "fsdp_config",
            "zero_stage",
            "gradient_checkpointing",
            "activation_checkpointing",
            "flash_attention",
            "flash_attn",
            "attn_implementation",
            "torch_compile",
            "use_liger_kernel",
            "optim",
            "optimizer",
            "num_workers",
            "dataloader_num_workers",
            "dataloader_pin_memory",
            "preprocessing_num_workers",
            "dataset_num_proc",
            "num_threads",
            "threads",
            "low_cpu_mem_usage",
            "offload",
        ],
        "where and with what the work is done must not change the result: it is no field, but the machine's business, \
         or a `profile`'s",
    ),
    (
        &["fp16", "bf16", "tf32", "torch_dtype", "mixed_precision", "load_in_8bit", "load_in_4bit", "precision"],
        "weights and optimiser state are float32; `dtype` says how matrix products are computed",
    ),
    (
        &[
            "output_dir",
            "save_dir",
            "hub_model_id",
            "push_to_hub",
            "overwrite_output_dir",
            "run_name",
            "experiment_name",
            "project_name",
            "checkpoint_dir",
            "save_path",
        ],
        "results go to the store under their key; `srlm save FILE NODE DIR` writes a model as a folder",
    ),
    (
        &[
            "save_steps",
            "save_strategy",
            "save_total_limit",
            "save_freq",
            "save_only_model",
            "checkpoint_interval",
            "resume_from_checkpoint",
            "ckpt_path",
            "load_best_model_at_end",
        ],
        "states are saved by themselves and a stopped run resumes: `srlm run --checkpoint-every SECONDS` sets how often",
    ),
    (
        &[
            "logging_steps",
            "logging_dir",
            "logging_strategy",
            "logging_first_step",
            "report_to",
            "log_level",
            "wandb_project",
            "use_wandb",
            "logger",
            "disable_tqdm",
            "log_completions",
        ],
        "every step is logged: progress on the terminal, all numbers as JSON lines in the store",
    ),
    (
        &["eval_steps", "eval_strategy", "evaluation_strategy", "eval_dataset", "val_set_size", "test_freq", "do_eval"],
        "a stage only trains: end a pipeline with `|> evaluate(SUITE)` to measure its model",
    ),
    (
        &["model", "model_name", "model_name_or_path", "base_model", "pretrain", "actor_rollout_ref"],
        "a stage does not name its model: the value in front of `|>` goes in, as in `base |> stage`",
    ),
    (
        &["ref_model", "reference_model", "ref_policy"],
        "the reference of the KL term is the model that goes into the stage",
    ),
    (&["shuffle", "shuffle_dataset"], "rows are always shuffled, in an order that follows from `seed`"),
    (&["trust_remote_code"], "no code of a model repository is ever run"),
];

/// Aliases whose numbers mean something else than ours: what to write instead.
const OTHER_MEANING: &[(&str, &str)] = &[
    ("min_lr", "a share of the peak, such as `min_lr_ratio: 0.1`"),
    ("min_learning_rate", "a share of the peak, such as `min_lr_ratio: 0.1`"),
    ("warmup_epochs", "a share of the steps or a number of them, such as `warmup: 3%` or `warmup: 20steps`"),
];

/// Aliases that are a truth value where ours is a choice: name, value, ours.
const CHOICES: &[(&str, bool, &str)] = &[
    ("completion_only_loss", true, "\"completion\""),
    ("completion_only_loss", false, "\"all\""),
    ("assistant_only_loss", true, "\"completion\""),
    ("assistant_only_loss", false, "\"all\""),
    ("train_on_inputs", true, "\"all\""),
    ("train_on_inputs", false, "\"completion\""),
    ("train_on_prompt", true, "\"all\""),
    ("train_on_prompt", false, "\"completion\""),
    ("mask_truncated_completions", true, "\"mask\""),
    ("mask_truncated_completions", false, "\"keep\""),
];

/// What to say of a field that `owner` does not have.
pub(super) fn unknown(owner: &str, fields: &[Field], foreign: &Foreign) -> Diagnostic {
    let name = foreign.name;
    let text = if foreign.spread { format!("`{name}` comes with this") } else { "no such field".to_string() };
    let message = format!("`{owner}` has no field `{name}`");
    let renamed = fields.iter().find(|field| field.aliases.contains(&name));
    if let (None, Some(why)) = (renamed, elsewhere(name)) {
        let message = format!("`{name}` is no field of `{owner}`, on purpose");
        return Diagnostic::error(codes::ELSEWHERE, message, foreign.span, "does not belong here").help(why);
    }
    let found = Diagnostic::error(codes::UNKNOWN_FIELD, message, foreign.span, text);
    if let Some(field) = renamed {
        return called(found, field, foreign);
    }
    match nearest(name, fields.iter().map(|field| field.name)) {
        Some(meant) if foreign.spread => found.help(format!("did you mean `{meant}`?")),
        Some(meant) => found.help(format!("did you mean `{meant}`?")).fix(foreign.span, meant),
        None if fields.is_empty() => found.help(format!("`{owner}` has no fields at all")),
        None => {
            let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
            found.help(format!("fields are: {}", known.join(", ")))
        }
    }
}

/// The field that a name means which is no field itself: by its alias, or by its spelling.
pub(super) fn meant(name: &str, fields: &[Field]) -> Option<&'static str> {
    let same = fields.iter().any(|field| field.name == name);
    let renamed = fields.iter().find(|field| field.aliases.contains(&name)).map(|field| field.name);
    renamed.or_else(|| nearest(name, fields.iter().map(|field| field.name))).filter(|_| !same)
}

/// Why a setting of another tool is no field here.
pub(super) fn elsewhere(name: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(names, _)| names.contains(&name)).map(|&(_, why)| why)
}

/// Says what a field of another tool is called here, with its value as it is written here.
pub(super) fn called(found: Diagnostic, field: &Field, foreign: &Foreign) -> Diagnostic {
    let ours = field.name;
    let found = if foreign.name == "per_device_train_batch_size" || foreign.name == "train_batch_size" {
        found.label(foreign.value_span, "counts one device")
    } else {
        found
    };
    if let Some((_, instead)) = OTHER_MEANING.iter().find(|(alias, _)| *alias == foreign.name) {
        return found.help(format!("here it is called `{ours}` and is {instead}"));
    }
    match converted(foreign.name, foreign.value, &field.ty) {
        _ if foreign.spread => found.help(format!("here it is called `{ours}`")),
        Some(value) => {
            let whole = foreign.span.to(foreign.value_span);
            let written = format!("{ours}: {value}");
            found.help(format!("here it is written `{written}`")).fix(whole, written)
        }
        None => found.help(format!("here it is called `{ours}`")).fix(foreign.span, ours),
    }
}

/// The value of another tool's field as ours takes it; `None` where it is taken as it stands, or cannot be told.
fn converted(alias: &str, value: &Datum, ty: &Type) -> Option<String> {
    let number = match value {
        Datum::Plain(Value::Bool(set)) => {
            let choice = CHOICES.iter().find(|(name, given, _)| *name == alias && given == set);
            return choice.map(|(.., ours)| (*ours).to_string());
        }
        Datum::Plain(Value::Int(number)) => *number as f64,
        Datum::Plain(Value::Float(number)) => *number,
        _ => return None,
    };
    let dimension = dimension_of(alias, ty)?;
    let amount = if dimension == Dimension::Percent { percent(number) } else { number };
    let fits = amount >= 0.0 && (amount.fract() == 0.0 || !dimension.is_whole());
    fits.then(|| format!("{amount}{}", units::base_name(dimension)))
}

/// A share between 0 and 1 in hundredths, without the digits that binary fractions add.
fn percent(share: f64) -> f64 {
    if share <= 1.0 { (share * 1e8).round() / 1e6 } else { share }
}

fn dimension_of(alias: &str, ty: &Type) -> Option<Dimension> {
    match ty {
        Type::Quantity(dimension) => Some(*dimension),
        Type::Optional(inner) => dimension_of(alias, inner),
        Type::OneOf(options) => {
            let words = [
                ("ratio", Dimension::Percent),
                ("epoch", Dimension::Epochs),
                ("step", Dimension::Steps),
                ("token", Dimension::Tokens),
            ];
            let meant = words.iter().find(|(word, _)| alias.contains(word))?.1;
            options.contains(&Type::Quantity(meant)).then_some(meant)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_other_tools_get_our_units() {
        let budget = [Dimension::Epochs, Dimension::Steps, Dimension::Tokens].map(Type::Quantity).to_vec();
        let budget = Type::OneOf(budget);
        assert_eq!(converted("num_train_epochs", &Datum::int(3), &budget).as_deref(), Some("3epochs"));
        assert_eq!(converted("num_train_epochs", &Datum::float(0.5), &budget).as_deref(), Some("0.5epochs"));
        assert_eq!(converted("max_steps", &Datum::int(100), &budget).as_deref(), Some("100steps"));
        let share = Type::Quantity(Dimension::Percent);
        assert_eq!(converted("warmup_ratio", &Datum::float(0.03), &share).as_deref(), Some("3%"));
        let warmup = Type::OneOf([Dimension::Percent, Dimension::Steps].map(Type::Quantity).to_vec());
        assert_eq!(converted("warmup_steps", &Datum::int(20), &warmup).as_deref(), Some("20steps"));
        assert_eq!(converted("lr_warmup_steps_ratio", &Datum::float(0.03), &warmup).as_deref(), Some("3%"));
        assert_eq!(converted("lr", &Datum::float(0.03), &Type::Float), None);
        assert_eq!(converted("max_steps", &Datum::float(0.5), &budget), None);
    }

    #[test]
    fn no_name_has_two_reasons() {
        let mut names: Vec<&str> = ELSEWHERE.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
