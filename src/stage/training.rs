//! The fields that every training stage shares, and the argument types they need.

use super::arguments::{Argument, Percent, arguments, string_argument, variant};
use crate::data::encode::LossOn;
use crate::data::prepare::Overlong;
use crate::lang::signature::Variant;
use crate::lang::types::{Dimension, Type};
use crate::lang::value::Value;
use crate::nn::{AdamWConfig, Schedule, ScheduleShape as Shape};
use crate::train::budget::Budget;
use crate::train::step::OptimiserSettings;
use serde::Deserialize;

arguments! {
    /// What every training stage can be told about its optimiser.
    pub struct TrainingArgs {
        /// Shape of the learning rate over the stage's steps.
        schedule: ScheduleArg = ScheduleArg::Cosine, aliases ["lr_scheduler_type", "lr_scheduler"];
        /// Share of the steps in which the learning rate rises linearly from 0.
        warmup: Percent = Percent { percent: 3.0 }, aliases ["warmup_ratio", "warmup_steps"], range 0 ..= 100;
        /// The learning rate at the end, as a share of its peak.
        min_lr_ratio: f64 = 0.1, aliases ["min_lr", "min_lr_rate"], range 0 ..= 1;
        /// Decoupled weight decay (arXiv:1711.05101) on matrices; norms and biases are never decayed.
        weight_decay: f64 = 0.0, range 0 ..= 1;
        /// Decay of AdamW's first moment.
        adam_beta1: f64 = 0.9, aliases ["beta1"], range 0 ..= 0.999999;
        /// Decay of AdamW's second moment.
        adam_beta2: f64 = 0.999, aliases ["beta2"], range 0 ..= 0.999999;
        /// AdamW's ε; above 0, or a weight that never had a gradient would be 0/0.
        adam_epsilon: f64 = 1e-8, aliases ["eps", "adam_eps"], range 1e-16 ..= 1;
        /// Gradients with a larger global norm are scaled down to it; 0 clips nothing.
        max_grad_norm: f64 = 1.0, aliases ["gradient_clipping", "clip_grad_norm"], range 0 ..= 1e9;
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

arguments! {
    /// Warm up, stay, decay (arXiv:2404.06395).
    pub struct WsdArgs {
        /// Share of the steps, at the end, in which the learning rate falls to its minimum.
        decay: Percent = Percent { percent: 10.0 }, range 0 ..= 100;
    }
}

impl PartialEq for WsdArgs {
    fn eq(&self, other: &Self) -> bool {
        self.decay == other.decay
    }
}

impl Copy for WsdArgs {}

impl Argument for ScheduleArg {
    fn ty() -> Type {
        let plain = ["cosine", "linear", "constant"].map(String::from).to_vec();
        Type::OneOf(vec![Type::Strings(plain), Type::Variant("wsd".to_string())])
    }
    fn to_value(&self) -> Value {
        match self {
            ScheduleArg::Cosine => Value::String("cosine".to_string()),
            ScheduleArg::Linear => Value::String("linear".to_string()),
            ScheduleArg::Constant => Value::String("constant".to_string()),
            ScheduleArg::Wsd(args) => {
                Value::Variant("wsd".to_string(), vec![("decay".to_string(), args.decay.to_value())])
            }
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

string_argument!(LossOn { "completion" => LossOn::Completion, "all" => LossOn::All });
string_argument!(Overlong { "drop" => Overlong::Drop, "error" => Overlong::Error, "truncate" => Overlong::Truncate });

impl TrainingArgs {
    /// The settings as the trainers take them.
    pub fn optimiser(&self, learning_rate: f64) -> OptimiserSettings {
        OptimiserSettings {
            schedule: Schedule {
                peak: learning_rate,
                total: 0,
                shape: match self.schedule {
                    ScheduleArg::Cosine => Shape::Cosine,
                    ScheduleArg::Linear => Shape::Linear,
                    ScheduleArg::Constant => Shape::Constant,
                    ScheduleArg::Wsd(args) => Shape::Wsd { decay: args.decay.ratio() },
                },
                warmup: self.warmup.ratio(),
                min_lr_ratio: self.min_lr_ratio,
            },
            adamw: AdamWConfig {
                beta1: self.adam_beta1,
                beta2: self.adam_beta2,
                epsilon: self.adam_epsilon,
                weight_decay: self.weight_decay,
            },
            max_grad_norm: self.max_grad_norm,
        }
    }
}

/// The variants that training fields take.
pub fn variants() -> Vec<Variant> {
    vec![variant("wsd", "Warm up, stay at the peak, decay at the end.", WsdArgs::fields(), Some("decay"))]
}
