//! `grpo`: reinforcement learning from verifiable rewards, with groups in place of a critic.

use super::arguments::{Argument, DatasetInput, ToFields, Tokens, arguments, choice, string_argument, variant};
use super::dataset;
use super::language_model::LanguageModel;
use super::memory::{self, Sizes};
use super::sampling::{SEQUENCES_AT_ONCE, SamplingArgs, encode_prompts};
use super::training::{TRAINING, TrainingArgs};
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::base::seed::Seed;
use crate::lang::signature::{Signature, Training, Variant};
use crate::lang::types::Type;
use crate::lang::value::Value;
use crate::reward::RewardSum;
use crate::rollout::Sampling;
use crate::train::budget::Budget;
use crate::train::grpo::{GrpoSettings, Overlong, train};
use crate::train::loss::{KlEstimator, Objective, PolicyLoss, RewardScaling};
use serde::Deserialize;
use serde_json::Value as Json;

/// The stage kind.
pub struct Grpo;

arguments! {
    /// The fields of `grpo`.
    pub struct GrpoArgs {
        /// Rows with prompts and gold answers; completions are not read.
        data: DatasetInput, aliases ["dataset", "train_dataset", "train_data", "train_files", "prompt_data", "prompts"];
        /// What scores a completion.
        reward: RewardSum, aliases ["reward_funcs", "reward_function", "reward_fn", "reward_model", "rewards", "remote_rm_url"], source "TRL (reward_funcs)";
        /// How long to train: steps, epochs over the prompts, or prompt tokens.
        budget: Budget = Budget::Steps(300),
            aliases ["max_steps", "num_train_epochs", "epochs", "num_epochs", "max_epochs", "n_epochs", "total_epochs", "total_training_steps", "num_steps", "train_steps", "max_train_steps", "num_episodes"], range 1e-6 ..= 1e300,
            source "TRL (max_steps, num_train_epochs)";
        /// Peak learning rate.
        learning_rate: f64 = 1e-6, aliases ["lr", "actor_learning_rate"], range 0 ..= 10, source "TRL (GRPOConfig)";
        /// Prompts an optimiser step.
        prompts_per_step: usize = 32,
            aliases ["batch", "batch_size", "per_device_train_batch_size", "train_batch_size", "rollout_batch_size", "prompt_batch_size", "num_prompts", "global_batch_size"], range 1 ..= 1e6;
        /// Completions a prompt: the group whose mean is the baseline.
        num_generations: usize = 8, aliases ["group_size", "n", "rollout_n", "num_samples", "n_samples_per_prompt", "num_rollouts", "G", "samples"], range 2 ..= 4096,
            source "TRL (num_generations), arXiv:2402.03300";
        /// The longest completion in tokens.
        max_completion_length: Tokens = Tokens { tokens: 512 },
            aliases ["max_new_tokens", "max_completion_tokens", "response_length", "max_response_length", "generate_max_len", "max_tokens"], range 1 ..= 1e6,
            source "TRL (max_completion_length)";
        /// Sampling temperature; log-probabilities are taken after dividing logits by it.
        temperature: f64 = 1.0, range 0.01 ..= 100, source "TRL (temperature)";
        /// Nucleus: the smallest set of tokens with this much probability.
        top_p: f64 = 1.0, range 0.0001 ..= 1, source "arXiv:1904.09751";
        /// Only the most probable tokens.
        top_k: Option<usize> = None, range 1 ..= 1e6, source "arXiv:1805.04833";
        /// "dapo": token mean over the batch; "grpo": mean of sequence means; "dr_grpo": over the longest length
        /// allowed, advantages undivided; "gspo": one ratio a sequence; "cispo": clipped ratio as a weight.
        loss: PolicyLoss = PolicyLoss::Dapo, aliases ["loss_type"],
            source "arXiv:2503.14476 (dapo), 2402.03300 (grpo), 2503.20783 (dr_grpo), 2507.18071 (gspo), 2506.13585 (cispo)";
        /// What the centred rewards are divided by; always "none" under `loss: "dr_grpo"`.
        scale_rewards: RewardScaling = RewardScaling::Group, source "TRL (scale_rewards), arXiv:2503.20783";
        /// Lower clip of the ratio; where none 0.2, and 3e-4 under `loss: "gspo"`.
        epsilon: Option<f64> = None, aliases ["clip_ratio", "epsilon_low", "clip_eps", "eps_clip", "cliprange", "clip_ratio_low", "clip_range"], range 0 ..= 1,
            source "TRL (epsilon), arXiv:1707.06347";
        /// Upper clip; where none `epsilon`, or 4e-4 under `loss: "gspo"` without an `epsilon`. Under `loss: "cispo"`
        /// the absolute cap, 5.0 where none.
        epsilon_high: Option<f64> = None, aliases ["clip_ratio_high", "eps_clip_high", "clip_range_high"], range 0 ..= 100,
            source "TRL (epsilon_high), arXiv:2503.14476";
        /// Factor of the KL to the model that the stage started from.
        kl_coef: f64 = 0.0, aliases ["beta", "kl_coeff", "kl_loss_coef", "kl_beta", "init_kl_coef", "kl_penalty_coef"], range 0 ..= 100,
            source "arXiv:2402.03300, eq. 3";
        /// How that KL is estimated. "k1" has no gradient in expectation and is refused where `kl_coef` is not 0.
        kl_estimator: KlEstimator = KlEstimator::K3, aliases ["kl_loss_type", "kl_penalty"],
            source "Schulman, Approximating KL Divergence (2020)";
        /// Optimiser steps a rollout batch. At the first of them the ratio is 1: the loss is near 0 there, its gradient
        /// is not.
        iterations: u64 = 1, aliases ["num_iterations", "ppo_epochs", "mu", "num_ppo_epochs", "update_epochs"], range 1 ..= 1000,
            source "TRL (num_iterations), arXiv:2402.03300";
        /// Groups whose rewards are all equal teach nothing: other prompts are drawn in their place, until the batch is
        /// full or prompts were drawn ten times. The step's metrics say how many groups were dropped.
        dynamic_sampling: bool = false, aliases ["filter_groups", "dynamic_sample"],
            source "arXiv:2503.14476 (DAPO, section 3.2)";
        /// Completions cut at the limit: counted like any other ("keep"), masked out of the loss ("mask"), scored 0 at
        /// most ("zero"), or punished the nearer they come to it (`soft`).
        overlong: OverlongArg = OverlongArg::Keep, aliases ["mask_truncated_completions", "overlong_filter"],
            source "arXiv:2503.14476 (DAPO, section 3.4)";
        ..sampling: SamplingArgs;
        ..training: TrainingArgs;
    }
}

string_argument!(PolicyLoss {
    "dapo" => PolicyLoss::Dapo,
    "grpo" => PolicyLoss::Grpo,
    "dr_grpo" => PolicyLoss::DrGrpo,
    "gspo" => PolicyLoss::Gspo,
    "cispo" => PolicyLoss::Cispo,
});
string_argument!(RewardScaling {
    "group" => RewardScaling::Group,
    "batch" => RewardScaling::Batch,
    "none" => RewardScaling::None,
});
string_argument!(KlEstimator { "k3" => KlEstimator::K3, "k1" => KlEstimator::K1, "k2" => KlEstimator::K2 });

/// The `overlong` field.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlongArg {
    /// They count like any other.
    Keep,
    /// They leave the loss.
    Mask,
    /// They score 0 at most.
    Zero,
    /// They are punished before the limit already.
    Soft(SoftArgs),
}

arguments! {
    /// Soft overlong punishment: 0 up to `buffer` tokens before the limit, then falling linearly to −1 at the limit,
    /// added to the reward.
    pub struct SoftArgs {
        /// Tokens before `max_completion_length` in which the punishment grows.
        buffer: Tokens, aliases ["cache", "overlong_buffer", "len"], range 1 ..= 1e6,
            source "arXiv:2503.14476 (DAPO, eq. 13: L_cache)";
    }
}

impl Copy for SoftArgs {}

impl Argument for OverlongArg {
    fn ty() -> Type {
        choice(&["keep", "mask", "zero"], &["soft"])
    }
    fn to_value(&self) -> Value {
        match self {
            OverlongArg::Keep => Value::String("keep".to_string()),
            OverlongArg::Mask => Value::String("mask".to_string()),
            OverlongArg::Zero => Value::String("zero".to_string()),
            OverlongArg::Soft(args) => Value::Variant("soft".into(), args.to_fields()),
        }
    }
}

/// The variants that `overlong` takes.
pub fn variants() -> Vec<Variant> {
    let doc = "Soft overlong punishment: the nearer a completion comes to the limit, the less it scores.";
    vec![variant("soft", doc, SoftArgs::fields(), Some("buffer"))]
}

impl Stage for Grpo {
    fn signature(&self) -> Signature {
        Signature {
            kind: "grpo",
            version: 1,
            doc: "Reinforcement learning from verifiable rewards, with groups of completions in place of a critic.",
            piped: Some(("model", Type::Model)),
            output: Kind::Model,
            fields: GrpoArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    fn training(&self) -> Option<Training> {
        Some(TRAINING)
    }

    /// Policy and, under a KL penalty, the model that the stage started from; the copy that generates stands beside them.
    fn memory(&self, args: &Json, sizes: &dyn Sizes) -> Option<u64> {
        let args = GrpoArgs::deserialize(args).ok()?;
        let config = sizes.model("model")?;
        let prompt = memory::longest(&config, sizes, &args.data.input);
        let (sequences, length) = (args.prompts_per_step * args.num_generations, args.max_completion_length.tokens);
        let longest = prompt.map_or(config.max_position_embeddings, |prompt| prompt + length);
        let tokens = memory::tokens_a_pass(sequences, longest.min(config.max_position_embeddings), true);
        let copies = if args.kl_coef > 0.0 { 2 } else { 1 };
        let generation = memory::generation(&config, sequences, prompt, length);
        let lora = args.training.adapter("grpo");
        let learning = memory::training(&config, tokens, lora.as_ref()) + memory::kept(&config, lora.as_ref());
        Some(memory::BASE + learning + copies * memory::weights(&config) + generation)
    }

    fn memory_settings(&self) -> &'static [&'static str] {
        &["prompts_per_step", "num_generations", "max_completion_length"]
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: GrpoArgs = context.args()?;
        let model = LanguageModel::load(context.input("model")?)?;
        let settings = args.settings(&model)?;
        let rows = dataset::read(context, &args.data.input)?;
        let read = rows.len();
        let tasks = encode_prompts(context, &model, rows, args.max_completion_length.tokens)?;
        let reference = if args.kl_coef > 0.0 { Some(model.frozen()?) } else { None };
        let lora = args.training.adapter("grpo");
        let (decoder, params) = model.trainable(lora.as_ref())?;
        let (params, mut metrics) =
            train(decoder, params, reference, &tasks, &model.tokenizer, &settings, &context.watch())?;
        metrics.insert("data.prompts".to_string(), read as f64);
        metrics.insert("data.prompts_dropped".to_string(), (read - tasks.len()) as f64);
        model.save(&context.out, &params, lora.as_ref())?;
        Ok(metrics)
    }
}

impl GrpoArgs {
    fn settings(&self, model: &LanguageModel) -> Result<GrpoSettings, StageError> {
        self.reward.check().map_err(|error| StageError::input(error.to_string()))?;
        if self.kl_coef > 0.0 && self.kl_estimator == KlEstimator::K1 {
            return Err(StageError::input(
                "`kl_estimator: \"k1\"` has no gradient in expectation as a loss: use \"k3\" or \"k2\"",
            ));
        }
        Ok(GrpoSettings {
            budget: self.budget,
            prompts_per_step: self.prompts_per_step,
            num_generations: self.num_generations,
            iterations: self.iterations,
            sampling: self.sampling(model),
            sequences_at_once: SEQUENCES_AT_ONCE,
            reward: self.reward.clone(),
            scale_rewards: match self.loss {
                PolicyLoss::DrGrpo => RewardScaling::None,
                _ => self.scale_rewards,
            },
            objective: self.objective(),
            overlong: self.overlong()?,
            dynamic_sampling: self.dynamic_sampling,
            optimiser: self.training.optimiser(self.learning_rate),
            seed: Seed::new(self.training.seed).child("grpo", 0),
        })
    }

    fn sampling(&self, model: &LanguageModel) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            max_tokens: self.max_completion_length.tokens,
            ..self.sampling.sampling(model)
        }
    }

    /// Lower and upper clip. One ratio a sequence stays far nearer to 1 than a token's: the defaults of GSPO are those
    /// of its paper (arXiv:2507.18071, section 5).
    fn clips(&self) -> (f64, f64) {
        let (low, high) = match (self.loss, self.epsilon) {
            (PolicyLoss::Cispo, low) => (low.unwrap_or(0.2), 5.0),
            (PolicyLoss::Gspo, None) => (3e-4, 4e-4),
            (_, low) => (low.unwrap_or(0.2), low.unwrap_or(0.2)),
        };
        (low, self.epsilon_high.unwrap_or(high))
    }

    fn overlong(&self) -> Result<Overlong, StageError> {
        let limit = self.max_completion_length.tokens;
        match self.overlong {
            OverlongArg::Keep => Ok(Overlong::Keep),
            OverlongArg::Mask => Ok(Overlong::Mask),
            OverlongArg::Zero => Ok(Overlong::Zero),
            OverlongArg::Soft(SoftArgs { buffer }) if buffer.tokens <= limit => {
                Ok(Overlong::Soft { buffer: buffer.tokens, limit })
            }
            OverlongArg::Soft(SoftArgs { buffer }) => Err(StageError::input(format!(
                "`soft({}tok)` is longer than `max_completion_length: {limit}tok`: its buffer is the end of that length",
                buffer.tokens
            ))),
        }
    }

    fn objective(&self) -> Objective {
        let (epsilon, epsilon_high) = self.clips();
        Objective {
            loss: self.loss,
            epsilon,
            epsilon_high,
            kl_coef: self.kl_coef,
            kl_estimator: self.kl_estimator,
            max_completion_length: self.max_completion_length.tokens,
        }
    }
}
