//! GRPO and its family: sample groups of completions, score them, move towards what beat its group's mean.
//!
//! Simplified against the papers: every rollout batch is one optimiser batch, done `iterations` times; the old
//! log-probabilities are the trainer's own at the first of these (the sampler's differ by rounding, which is reported
//! as `sampler_gap`). With one iteration the ratio is 1 and the loss is near 0 while its gradient is right.
//!
//! [`super::groups`] samples and scores, [`super::loss`] is the mathematics, [`super::signs`] tells when it goes wrong.

use super::budget::Budget;
pub use super::groups::Task;
use super::groups::{Groups, Rollout, Sampler};
use super::loss::{self, Denominators, Objective, RewardScaling, Trajectory, TrajectoryLoss};
use super::resume::{Metrics, States, Tensors};
use super::signs::{Batch, Signs};
use super::step::{Learner, OptimiserSettings};
use super::stream::{Stream, streams};
use super::watch::{TrainError, Watch};
use crate::base::seed::Seed;
use crate::data::encode::Example;
use crate::data::order::Order;
use crate::data::tokenizer::Tokenizer;
use crate::model::Decoder;
use crate::nn::Params;
use crate::reward::RewardSum;
use crate::rollout::{Completion, RolloutError, Sampling, Stop};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;

/// How many prompts were drawn, in a saved state.
const PROMPTS_DRAWN: &str = "prompts_drawn";

/// What becomes of completions that were cut at the length limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlong {
    /// They count like any other.
    Keep,
    /// They leave numerator and denominator.
    Mask,
    /// Their reward is 0, or what it was where that is less: a wrong answer never gains by running on.
    Zero,
    /// [`loss::soft_overlong`] is added to the reward of every completion.
    Soft {
        /// Tokens before the limit in which the punishment grows.
        buffer: usize,
        /// The longest completion in tokens.
        limit: usize,
    },
}

impl Overlong {
    /// The reward after what its length costs.
    pub(super) fn reward(self, total: f64, completion: &Completion) -> f64 {
        match self {
            Overlong::Zero if completion.stop == Stop::Length => total.min(0.0),
            Overlong::Soft { buffer, limit } => total + loss::soft_overlong(completion.ids.len(), limit, buffer),
            _ => total,
        }
    }
}

/// What to train with.
#[derive(Clone, Debug)]
pub struct GrpoSettings {
    /// How long.
    pub budget: Budget,
    /// Prompts an optimiser step.
    pub prompts_per_step: usize,
    /// Completions a prompt.
    pub num_generations: usize,
    /// Optimiser steps a rollout batch.
    pub iterations: u64,
    /// Temperature, truncation, length.
    pub sampling: Sampling,
    /// Sequences that are generated at the same time; it changes no token.
    pub sequences_at_once: usize,
    /// What scores a completion.
    pub reward: RewardSum,
    /// What the centred rewards are divided by.
    pub scale_rewards: RewardScaling,
    /// The loss.
    pub objective: Objective,
    /// Completions cut at the limit.
    pub overlong: Overlong,
    /// Groups without a spread of rewards are sampled again.
    pub dynamic_sampling: bool,
    /// Learning rate, schedule, AdamW, clipping.
    pub optimiser: OptimiserSettings,
    /// Root of data order and sampling.
    pub seed: Seed,
}

/// Everything the steps share.
struct Trainer<'a> {
    settings: &'a GrpoSettings,
    reference: Option<Decoder>,
    watch: &'a Watch<'a>,
}

/// What changes from one rollout batch to the next, besides the learner.
struct Course {
    drawn: u64,
    signs: Signs,
}

impl Course {
    /// As a saved state left it, or as at the start.
    fn from(tensors: &Tensors, step: u64, settings: &GrpoSettings) -> Result<Self, TrainError> {
        let drawn = match tensors.get(PROMPTS_DRAWN) {
            Some(drawn) => drawn.to_vec1::<f64>()?[0] as u64,
            None => step / settings.iterations * settings.prompts_per_step as u64,
        };
        Ok(Course { drawn, signs: Signs::restored(tensors)? })
    }

    /// The learner's state and this.
    fn state(&self, learner: &Learner) -> Result<Tensors, TrainError> {
        let mut tensors = learner.state()?;
        tensors.insert(PROMPTS_DRAWN.to_string(), Tensor::new(&[self.drawn as f64], &Device::Cpu)?);
        self.signs.save(&mut tensors)?;
        Ok(tensors)
    }
}

/// Trains a decoder by its own completions. Returns the trained parameters and the last steps' numbers.
///
/// # Errors
/// [`TrainError`]: nothing to train on, numbers that are not finite, or a stop.
pub fn train(
    decoder: Decoder,
    params: Params,
    reference: Option<Decoder>,
    tasks: &[Task],
    tokenizer: &Tokenizer,
    settings: &GrpoSettings,
    watch: &Watch<'_>,
) -> Result<(Params, Metrics), TrainError> {
    if tasks.is_empty() {
        return Err(TrainError::Input("there is no prompt to sample from: every row was dropped".to_string()));
    }
    let mut order = Order::new(tasks.len(), settings.seed.child("order", 0));
    let lengths: Vec<usize> = tasks.iter().map(|task| task.prompt.len()).collect();
    let total = settings.budget.steps(&lengths, settings.prompts_per_step, &mut order) * settings.iterations;
    let (trainer, sampler) = (Trainer { settings, reference, watch }, Sampler { tasks, tokenizer, settings, watch });
    let mut learner = Learner::new(decoder, params, settings.optimiser, total);
    let mut states = States::new(watch, learner.course(settings.iterations));
    let (mut last, mut course) = (Metrics::new(), Course::from(&Tensors::new(), 0, settings)?);
    if let Some(state) = states.newest() {
        learner.restore(&state)?;
        course = Course::from(&state.tensors, state.step, settings)?;
        last = state.metrics;
    }
    while learner.steps() < total {
        // States are taken between rollout batches only: a batch in flight is sampled again after a resume.
        states.checkpoint(learner.steps(), &last, || course.state(&learner))?;
        let step = learner.steps() / settings.iterations;
        let groups = match sampler.groups(&learner.decoder, &mut order, course.drawn, step) {
            // Asked to stop while sampling: the checkpoint at the top of the loop saves the state and ends it.
            Err(TrainError::Rollout(RolloutError::Stopped)) => continue,
            groups => groups?,
        };
        last = trainer.learn(&mut learner, &groups).map_err(|error| {
            let prompts: Vec<String> = groups.chosen.iter().map(|&at| format!("row `{}`", tasks[at].row.id)).collect();
            match learner.steps() % settings.iterations {
                0 => states.keep_last_good(error, learner.steps(), &prompts, &last, || course.state(&learner)),
                // In the midst of a rollout batch there is no state to resume from.
                _ => error,
            }
        })?;
        course.drawn = groups.drawn;
        let batch = Batch { metrics: &last, earned: groups.earned, step: learner.steps() };
        course.signs.look(&batch, settings).into_iter().for_each(|warning| watch.warn(warning));
    }
    states.finish(&last, || course.state(&learner));
    last.insert("trained_tokens".to_string(), learner.trained_tokens());
    last.extend(course.signs.verdict());
    Ok((learner.into_params(), last))
}

impl Trainer<'_> {
    /// Does the optimiser steps of one rollout batch.
    fn learn(&self, learner: &mut Learner, groups: &Groups) -> Result<Metrics, TrainError> {
        let rollouts = &groups.rollouts;
        let rewards: Vec<Option<f64>> = rollouts.iter().map(|rollout| rollout.reward).collect();
        let advantages = loss::advantages(&rewards, self.settings.num_generations, self.settings.scale_rewards);
        let counted = rollouts.iter().filter(|rollout| !rollout.masked);
        let mut update = Update {
            denominators: Denominators::of(counted.map(|rollout| rollout.example.trained())),
            learned: self.learned(rollouts, &advantages.values),
            advantages: advantages.values,
            old: BTreeMap::new(),
            reference: BTreeMap::new(),
        };
        let mut metrics = Metrics::new();
        for _ in 0..self.settings.iterations {
            metrics = groups.metrics.clone();
            metrics.extend(self.iterate(learner, rollouts, &mut update)?);
            metrics.retain(|_, value| value.is_finite());
            self.report(learner, rollouts, &metrics);
        }
        Ok(metrics)
    }

    /// Rollouts that have a gradient: an advantage, or a reference to stay near to.
    fn learned(&self, rollouts: &[Rollout], advantages: &[f64]) -> Vec<usize> {
        let teaches = |at: &usize| !rollouts[*at].masked && (advantages[*at] != 0.0 || self.reference.is_some());
        (0..rollouts.len()).filter(teaches).collect()
    }

    /// One optimiser step over the rollout batch.
    fn iterate(&self, learner: &mut Learner, rollouts: &[Rollout], update: &mut Update) -> Result<Metrics, TrainError> {
        let learned = update.learned.clone();
        let batch: Vec<&Example> = learned.iter().map(|&at| &rollouts[at].example).collect();
        let mut sums = Sums::default();
        for stream in streams(&batch, true) {
            self.add_stream(learner, &stream, rollouts, &learned, update, &mut sums)?;
        }
        if !sums.teaches {
            // Every group is flat, and the policy is still where its reference is.
            learner.skip();
            return Ok(sums.metrics());
        }
        let applied = learner.apply(sums.loss)?;
        let mut metrics = sums.metrics();
        metrics.insert("grad_norm".to_string(), applied.grad_norm);
        metrics.insert("learning_rate".to_string(), applied.learning_rate);
        Ok(metrics)
    }

    fn add_stream(
        &self,
        learner: &mut Learner,
        stream: &Stream,
        rollouts: &[Rollout],
        learned: &[usize],
        update: &mut Update,
        sums: &mut Sums,
    ) -> Result<(), TrainError> {
        let temperature = self.settings.sampling.temperature;
        let (log_probs, entropy) = stream.log_probs(&learner.decoder, temperature)?;
        let current = as_f64(&log_probs)?;
        sums.entropy += as_f64(&entropy)?.iter().sum::<f64>();
        self.note_reference(stream, learned, rollouts, update)?;
        let mut gradient = Vec::with_capacity(current.len());
        let mut from = 0;
        for &member in &stream.members {
            let at = learned[member];
            let to = from + rollouts[at].example.trained();
            let loss = update.trajectory_loss(at, &current[from..to], &self.settings.objective);
            gradient.extend(loss.gradient.iter().map(|&slope| slope as f32));
            sums.add(&loss);
            sums.compare(&update.old[&at], &rollouts[at].completion.logprobs);
            from = to;
        }
        let gradient = Tensor::from_vec(gradient, log_probs.shape(), log_probs.device())?;
        learner.add_gradient(&(log_probs * gradient)?.sum_all()?, stream.rows.len())
    }

    /// Keeps the reference's log-probabilities of a stream, once a rollout batch.
    fn note_reference(
        &self,
        stream: &Stream,
        learned: &[usize],
        rollouts: &[Rollout],
        update: &mut Update,
    ) -> Result<(), TrainError> {
        let Some(reference) = &self.reference else { return Ok(()) };
        if stream.members.iter().all(|&member| update.reference.contains_key(&learned[member])) {
            return Ok(());
        }
        let (log_probs, _) = stream.log_probs(reference, self.settings.sampling.temperature)?;
        let mut rest = as_f64(&log_probs)?;
        for &member in &stream.members {
            let at = learned[member];
            let tail = rest.split_off(rollouts[at].example.trained());
            update.reference.insert(at, std::mem::replace(&mut rest, tail));
        }
        Ok(())
    }

    fn report(&self, learner: &Learner, rollouts: &[Rollout], metrics: &Metrics) {
        let tokens = rollouts.iter().map(|rollout| rollout.example.ids.len()).sum();
        let metrics: Vec<(&str, f64)> = metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        self.watch.progress(learner.steps(), learner.total(), "step", tokens, &metrics);
    }
}

/// What one rollout batch's optimiser steps share; maps are from a rollout's index.
struct Update {
    advantages: Vec<f64>,
    denominators: Denominators,
    learned: Vec<usize>,
    old: BTreeMap<usize, Vec<f64>>,
    reference: BTreeMap<usize, Vec<f64>>,
}

impl Update {
    fn trajectory_loss(&mut self, at: usize, log_probs: &[f64], objective: &Objective) -> TrajectoryLoss {
        let old_log_probs = self.old.entry(at).or_insert_with(|| log_probs.to_vec());
        let reference_log_probs = self.reference.get(&at).map_or(&[][..], Vec::as_slice);
        let advantage = self.advantages[at];
        let trajectory = Trajectory { log_probs, old_log_probs, reference_log_probs, advantage };
        objective.evaluate(&trajectory, &self.denominators)
    }
}

/// Sums over the learned tokens of an optimiser step.
#[derive(Default)]
struct Sums {
    loss: f64,
    tokens: f64,
    clipped: f64,
    kl: f64,
    entropy: f64,
    sampler_gap: f64,
    teaches: bool,
}

impl Sums {
    fn add(&mut self, loss: &TrajectoryLoss) {
        self.loss += loss.value;
        self.teaches |= loss.gradient.iter().any(|&slope| slope != 0.0);
        self.tokens += loss.gradient.len() as f64;
        self.clipped += loss.clipped as f64;
        self.kl += loss.kl;
    }

    /// Notes how far the trainer's log-probabilities, before any step, are from the sampler's.
    fn compare(&mut self, trainer: &[f64], sampler: &[f32]) {
        let gaps = trainer.iter().zip(sampler).map(|(trainer, sampler)| (trainer - f64::from(*sampler)).abs());
        self.sampler_gap = gaps.fold(self.sampler_gap, f64::max);
    }

    fn metrics(&self) -> Metrics {
        let share = |sum: f64| sum / self.tokens.max(1.0);
        let metrics = [
            ("loss", self.loss),
            ("kl", share(self.kl)),
            ("clip_fraction", share(self.clipped)),
            ("entropy", share(self.entropy)),
            ("sampler_gap", self.sampler_gap),
        ];
        metrics.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }
}

fn as_f64(tensor: &Tensor) -> Result<Vec<f64>, TrainError> {
    Ok(tensor.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
}
