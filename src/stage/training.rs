//! The fields that every training stage shares, and the argument types they need.

use super::arguments::{Argument, Percent, Steps, ToFields, arguments, choice, string_argument, variant};
use crate::base::seed::Seed;
use crate::data::encode::LossOn;
use crate::data::prepare::Overlong;
use crate::lang::signature::{Training, Variant};
use crate::lang::types::{Dimension, Type};
use crate::lang::value::Value;
use crate::model::LoraConfig;
use crate::nn::{AdamWConfig, Schedule, ScheduleShape as Shape, Warmup};
use crate::train::budget::Budget;
use crate::train::step::OptimiserSettings;
use serde::Deserialize;
use serde_json::Value as Json;

arguments! {
    /// What every training stage can be told about its optimiser.
    pub struct TrainingArgs {
        /// Shape of the learning rate over the stage's steps.
        schedule: ScheduleArg = ScheduleArg::Cosine, aliases ["lr_scheduler_type", "lr_scheduler", "lr_schedule", "scheduler"],
            source "transformers (lr_scheduler_type), arXiv:1608.03983";
        /// Share of the steps, or number of steps, in which the learning rate rises linearly from 0.
        warmup: WarmupArg = WarmupArg::Share(Percent { percent: 3.0 }), aliases ["warmup_ratio", "warmup_steps", "lr_warmup_ratio", "lr_warmup_steps_ratio", "num_warmup_steps", "warmup_epochs"], range 0 ..= 1e300,
            source "transformers (warmup_ratio, warmup_steps), arXiv:1706.02677";
        /// The learning rate at the end, as a share of its peak.
        min_lr_ratio: f64 = 0.1, aliases ["min_lr", "min_lr_rate", "min_learning_rate", "lr_min_ratio"], range 0 ..= 1,
            source "transformers (min_lr_rate)";
        /// Decoupled weight decay on matrices; norms and biases are never decayed.
        weight_decay: f64 = 0.0, range 0 ..= 1, source "arXiv:1711.05101 (AdamW)";
        /// Decay of AdamW's first moment.
        adam_beta1: f64 = 0.9, aliases ["beta1", "adam_b1"], range 0 ..= 0.999999, source "arXiv:1412.6980 (Adam)";
        /// Decay of AdamW's second moment.
        adam_beta2: f64 = 0.999, aliases ["beta2", "adam_b2"], range 0 ..= 0.999999, source "arXiv:1412.6980 (Adam)";
        /// AdamW's ε; above 0, or a weight that never had a gradient would be 0/0.
        adam_epsilon: f64 = 1e-8, aliases ["eps", "adam_eps"], range 1e-16 ..= 1, source "arXiv:1412.6980 (Adam)";
        /// Gradients with a larger global norm are scaled down to it; 0 clips nothing.
        max_grad_norm: f64 = 1.0, aliases ["gradient_clipping", "clip_grad_norm", "max_norm", "grad_clip", "gradient_clip_val", "clip_grad"], range 0 ..= 1e9,
            source "transformers (max_grad_norm), arXiv:1211.5063";
        /// Low-rank adapters on the linear layers instead of training every weight; `none` trains them all.
        lora: Option<Adapter> = None, aliases ["peft_config", "use_peft", "use_lora", "peft"],
            source "arXiv:2106.09685 (LoRA)";
        /// Number format of the matrix products. "bf16" keeps the weights and the optimiser's state in f32.
        dtype: Dtype = Dtype::F32, aliases ["bf16", "fp16", "torch_dtype", "precision", "mixed_precision"],
            source "arXiv:1710.03740 (mixed precision)", unbuilt "`dtype: \"bf16\"`";
        /// Root of every random choice of the stage.
        seed: u64 = 0, aliases ["random_seed"], range 0 ..= 9e15;
    }
}

/// The `schedule` field.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleArg {
    /// Half a cosine down to the minimum.
    Cosine,
    /// A straight line down to the minimum.
    Linear,
    /// The peak, to the end.
    Constant,
    /// The peak, then a straight line down over the last share of the steps.
    Wsd(WsdArgs),
}

/// The `warmup` field.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum WarmupArg {
    /// A share of all steps.
    Share(Percent),
    /// That many steps.
    Steps(Steps),
}

impl Argument for WarmupArg {
    fn ty() -> Type {
        Type::OneOf([Dimension::Percent, Dimension::Steps].map(Type::Quantity).to_vec())
    }
    fn to_value(&self) -> Value {
        match self {
            WarmupArg::Share(share) => share.to_value(),
            WarmupArg::Steps(steps) => steps.to_value(),
        }
    }
}

arguments! {
    /// Warm up, stay, decay (arXiv:2404.06395).
    pub struct WsdArgs {
        /// Share of the steps, at the end, in which the learning rate falls to its minimum.
        decay: Percent = Percent { percent: 10.0 }, range 0 ..= 100, source "arXiv:2404.06395 (MiniCPM)";
    }
}

/// The `lora` field, where it is set.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adapter {
    /// Low-rank adapters.
    Lora(LoraArgs),
}

arguments! {
    /// Low-rank adapters: a frozen matrix W becomes W + (alpha / rank) · B·A, and only A and B are trained.
    pub struct LoraArgs {
        /// Rows of A and columns of B: the rank of what can be added to a matrix.
        rank: usize = 16, aliases ["r", "lora_r", "lora_rank"], range 1 ..= 4096,
            source "PEFT (r), arXiv:2106.09685";
        /// Numerator of the factor alpha / rank before B·A.
        alpha: f64 = 32.0, aliases ["lora_alpha"], range 0 ..= 1e6, source "PEFT (lora_alpha), arXiv:2106.09685";
        /// Share of the adapter's inputs that is zeroed in training, from 0 to 1.
        dropout: f64 = 0.0, aliases ["lora_dropout"], range 0 ..= 0.99, source "PEFT (lora_dropout)";
        /// The matrices that get an adapter: every linear layer but the head, those of attention, or those of the
        /// feed-forward blocks.
        targets: LoraTargets = LoraTargets::AllLinear, aliases ["target_modules", "lora_target", "modules"],
            source "PEFT (target_modules), arXiv:2305.14314";
    }
}

/// The `targets` field of `lora`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoraTargets {
    /// Every linear layer but the head.
    AllLinear,
    /// Queries, keys, values and the attention's output.
    Attention,
    /// The feed-forward blocks.
    Mlp,
}

string_argument!(LoraTargets {
    "all-linear" => LoraTargets::AllLinear,
    "attention" => LoraTargets::Attention,
    "mlp" => LoraTargets::Mlp,
});

impl Argument for Adapter {
    fn ty() -> Type {
        Type::Variant("lora".to_string())
    }
    fn to_value(&self) -> Value {
        let Adapter::Lora(args) = self;
        Value::Variant("lora".into(), args.to_fields())
    }
}

/// The `dtype` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// 32-bit floats.
    F32,
    /// 16 bits with f32's exponent.
    Bf16,
}

string_argument!(Dtype { "f32" => Dtype::F32, "bf16" => Dtype::Bf16 });

impl PartialEq for WsdArgs {
    fn eq(&self, other: &Self) -> bool {
        self.decay == other.decay
    }
}

impl Copy for WsdArgs {}

impl Argument for ScheduleArg {
    fn ty() -> Type {
        choice(&["cosine", "linear", "constant"], &["wsd"])
    }
    fn to_value(&self) -> Value {
        match self {
            ScheduleArg::Cosine => Value::String("cosine".to_string()),
            ScheduleArg::Linear => Value::String("linear".to_string()),
            ScheduleArg::Constant => Value::String("constant".to_string()),
            ScheduleArg::Wsd(args) => Value::Variant("wsd".into(), args.to_fields()),
        }
    }
}

impl Argument for Budget {
    fn ty() -> Type {
        let dimensions = [Dimension::Epochs, Dimension::Steps, Dimension::Tokens];
        Type::OneOf(dimensions.map(Type::Quantity).to_vec())
    }
    fn to_value(&self) -> Value {
        match *self {
            Budget::Epochs(epochs) => Value::quantity(epochs, Dimension::Epochs),
            Budget::Steps(steps) => Value::quantity(steps as f64, Dimension::Steps),
            Budget::Tokens(tokens) => Value::quantity(tokens as f64, Dimension::Tokens),
        }
    }
}

string_argument!(LossOn {
    "completion" => LossOn::Completion,
    "assistant" => LossOn::Assistant,
    "all" => LossOn::All,
});
string_argument!(Overlong { "drop" => Overlong::Drop, "error" => Overlong::Error, "truncate" => Overlong::Truncate });

/// What every training stage says of its length.
pub const TRAINING: Training = Training { budget: "budget", of_the_end: &["schedule"], total, open };

/// What of a training stage's arguments its length depends on.
#[derive(Deserialize)]
struct LengthArgs {
    budget: Budget,
    schedule: ScheduleArg,
    warmup: WarmupArg,
    min_lr_ratio: f64,
    #[serde(default = "once")]
    iterations: u64,
}

fn once() -> u64 {
    1
}

fn total(args: &Json) -> Option<u64> {
    match LengthArgs::deserialize(args).ok()? {
        LengthArgs { budget: Budget::Steps(steps), iterations, .. } => steps.max(1).checked_mul(iterations),
        _ => None,
    }
}

fn open(args: &Json, total: u64) -> Option<u64> {
    let args = LengthArgs::deserialize(args).ok()?;
    let schedule = schedule(args.schedule, args.warmup, args.min_lr_ratio, 1.0);
    Schedule { total, ..schedule }.open_steps().map(|steps| steps - steps % args.iterations)
}

/// A schedule whose number of steps is not known yet.
fn schedule(shape: ScheduleArg, warmup: WarmupArg, min_lr_ratio: f64, peak: f64) -> Schedule {
    let shape = match shape {
        ScheduleArg::Cosine => Shape::Cosine,
        ScheduleArg::Linear => Shape::Linear,
        ScheduleArg::Constant => Shape::Constant,
        ScheduleArg::Wsd(args) => Shape::Wsd { decay: args.decay.ratio() },
    };
    let warmup = match warmup {
        WarmupArg::Share(share) => Warmup::Share(share.ratio()),
        WarmupArg::Steps(steps) => Warmup::Steps(steps.steps),
    };
    Schedule { shape, peak, warmup, min_lr_ratio, total: 0 }
}

impl TrainingArgs {
    /// The settings as the trainers take them.
    pub fn optimiser(&self, learning_rate: f64) -> OptimiserSettings {
        OptimiserSettings {
            schedule: schedule(self.schedule, self.warmup, self.min_lr_ratio, learning_rate),
            adamw: AdamWConfig {
                beta1: self.adam_beta1,
                beta2: self.adam_beta2,
                epsilon: self.adam_epsilon,
                weight_decay: self.weight_decay,
            },
            max_grad_norm: self.max_grad_norm,
        }
    }

    /// The adapters to train, where there are any; two kinds of stage with one seed draw from different streams.
    pub fn adapter(&self, kind: &str) -> Option<LoraConfig> {
        let Adapter::Lora(args) = self.lora.as_ref()?;
        Some(LoraConfig {
            rank: args.rank,
            alpha: args.alpha,
            dropout: args.dropout,
            targets: args.targets.maps().map(str::to_string).collect(),
            seed: Seed::new(self.seed).child(kind, 0).child("lora", 0),
        })
    }
}

impl LoraTargets {
    /// The maps of a layer that get an adapter, by PEFT's names of modules.
    fn maps(self) -> impl Iterator<Item = &'static str> {
        let (attention, mlp) = (["q_proj", "k_proj", "v_proj", "o_proj"], ["gate_proj", "up_proj", "down_proj"]);
        let attention = attention.into_iter().filter(move |_| self != LoraTargets::Mlp);
        attention.chain(mlp.into_iter().filter(move |_| self != LoraTargets::Attention))
    }
}

/// The variants that training fields take.
pub fn variants() -> Vec<Variant> {
    vec![
        variant("wsd", "Warm up, stay at the peak, decay at the end.", WsdArgs::fields(), Some("decay")),
        variant("lora", "Low-rank adapters in place of training every weight.", LoraArgs::fields(), Some("rank")),
    ]
}
