//! One optimiser step: gradients summed over streams, checked, clipped, applied.

use super::resume::{Course, State, Tensors};
use super::stream::Stream;
use super::watch::TrainError;
use crate::model::{Decoder, lora};
use crate::nn::ops::Part;
use crate::nn::ops::clock::timed;
use crate::nn::{AdamW, AdamWConfig, Gradients, MissingGradients, Params, Schedule, clip_to_norm};
use candle_core::{Device, Tensor};

/// AdamW's own count: it falls behind the learner's where batches taught nothing.
const ADAMW_STEPS: &str = "adamw.steps";
/// Trained tokens so far, for the record.
const TRAINED_TOKENS: &str = "trained_tokens";

/// What an optimiser needs to know.
#[derive(Clone, Copy, Debug)]
pub struct OptimiserSettings {
    /// The learning rate's peak and course; its `total` is set when the steps are known.
    pub schedule: Schedule,
    /// AdamW's own settings.
    pub adamw: AdamWConfig,
    /// The largest global gradient norm that is not scaled down; 0 clips nothing.
    pub max_grad_norm: f64,
}

/// A model in training.
pub struct Learner {
    /// Shares its storage with `params`.
    pub decoder: Decoder,
    params: Params,
    gradients: Gradients,
    optimiser: AdamW,
    schedule: Schedule,
    max_grad_norm: f64,
    steps: u64,
    trained_tokens: f64,
    /// At how many first steps every parameter must have received a gradient.
    checked_steps: u64,
}

/// The numbers of one optimiser step.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
    /// The learning rate used.
    pub learning_rate: f64,
}

impl Learner {
    /// A learner at step 0 of `total`.
    pub fn new(decoder: Decoder, params: Params, settings: OptimiserSettings, total: u64) -> Self {
        // Half of an adapter learns from the second step on.
        let checked_steps = if lora::are_adapters(&params) { 2 } else { 1 };
        Learner {
            decoder,
            gradients: Gradients::new(&params),
            optimiser: AdamW::new(&params, settings.adamw),
            params,
            schedule: Schedule { total, ..settings.schedule },
            max_grad_norm: settings.max_grad_norm,
            steps: 0,
            trained_tokens: 0.0,
            checked_steps,
        }
    }

    /// Optimiser steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Optimiser steps in all.
    pub fn total(&self) -> u64 {
        self.schedule.total
    }

    /// How far the training goes; between two states lies a multiple of `stride` steps.
    pub fn course(&self, stride: u64) -> Course {
        let open = self.schedule.open_steps().map(|steps| steps - steps % stride);
        Course { total: self.total(), open }
    }

    /// Numbers that are trained.
    pub fn parameters(&self) -> usize {
        self.params.elements()
    }

    /// Tokens that carried loss, over all steps so far.
    pub fn trained_tokens(&self) -> f64 {
        self.trained_tokens
    }

    /// Adds the gradient of a stream's summand of the loss over `tokens` tokens.
    ///
    /// # Errors
    /// What the tensor library says.
    pub fn add_gradient(&mut self, loss: &Tensor, tokens: usize) -> Result<(), TrainError> {
        self.trained_tokens += tokens as f64;
        Ok(self.gradients.accumulate(&self.params, loss)?)
    }

    /// Adds the gradient of Σ factor · log π over a stream's trained tokens, and returns that sum.
    ///
    /// # Errors
    /// What the tensor library says.
    pub fn add_log_probs(&mut self, stream: &Stream, factor: f64) -> Result<f64, TrainError> {
        let factors = vec![factor as f32; stream.rows.len()];
        let decoder = &self.decoder;
        let sum = || decoder.weighted_log_probs(&stream.hidden(decoder)?, &stream.targets, &factors);
        let sum = self.gradients.accumulate_from(&self.params, sum)?;
        self.trained_tokens += stream.rows.len() as f64;
        Ok(f64::from(sum.to_scalar::<f32>()?))
    }

    /// Clips and applies the summed gradient, and clears it.
    ///
    /// At the first step every trainable tensor must have received a finite gradient that is not all zero: the tensor
    /// library drops gradients silently in several of its ops, and the loss falls all the same.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] where `loss` or the gradient is not finite or a parameter received no gradient.
    pub fn apply(&mut self, loss: f64) -> Result<Applied, TrainError> {
        let at = self.steps + 1;
        if !loss.is_finite() {
            return Err(diverged(at, &format!("the loss is {loss}")));
        }
        if self.optimiser.steps() < self.checked_steps {
            self.check_gradients().map_err(|error| unreached(at, &error))?;
        }
        let grad_norm = timed(Part::Optimiser, || clip_to_norm(&mut self.gradients, self.max_grad_norm));
        if !grad_norm.is_finite() {
            return Err(diverged(at, &format!("the gradient norm is {grad_norm}")));
        }
        let learning_rate = self.schedule.at(self.steps);
        timed(Part::Optimiser, || self.optimiser.step(&self.params, &self.gradients, learning_rate))?;
        self.next_step();
        Ok(Applied { grad_norm, learning_rate })
    }

    fn check_gradients(&self) -> Result<(), MissingGradients> {
        let Err(MissingGradients { mut zero, not_finite }) = self.gradients.check_all_received() else { return Ok(()) };
        zero.retain(|name| !lora::waits_for_its_partner(&self.params, name));
        match zero.is_empty() && not_finite.is_empty() {
            true => Ok(()),
            false => Err(MissingGradients { zero, not_finite }),
        }
    }

    fn next_step(&mut self) {
        timed(Part::Optimiser, || self.gradients.reset());
        self.steps += 1;
        self.decoder.at_step(self.steps);
    }

    /// Counts a step whose batch taught nothing, so that data order and schedule go on.
    pub fn skip(&mut self) {
        self.next_step();
    }

    /// Ends the training.
    pub fn into_params(self) -> Params {
        self.params
    }

    /// Weights and moments, for a saved state.
    ///
    /// # Errors
    /// What the tensor library says.
    pub fn state(&self) -> Result<Tensors, TrainError> {
        let weights = self.params.tensors().into_iter().map(|(name, value)| (format!("weight.{name}"), value));
        let moments = self.optimiser.state()?.into_iter().map(|(name, value)| (format!("adamw.{name}"), value));
        let mut tensors: Tensors = weights.chain(moments).collect();
        tensors.insert(ADAMW_STEPS.to_string(), Tensor::new(&[self.optimiser.steps() as u32], &Device::Cpu)?);
        tensors.insert(TRAINED_TOKENS.to_string(), Tensor::new(&[self.trained_tokens], &Device::Cpu)?);
        Ok(tensors)
    }

    /// Continues from a saved state.
    ///
    /// # Errors
    /// [`TrainError::Tensor`] where a tensor is missing or has another shape.
    pub fn restore(&mut self, state: &State) -> Result<(), TrainError> {
        let find = |prefix: &'static str| move |name: &str| state.tensors.get(&format!("{prefix}.{name}")).cloned();
        self.params.load(find("weight"))?;
        let steps = find("adamw")("steps").map_or(Ok(state.step), |steps| Ok(u64::from(steps.to_vec1::<u32>()?[0])));
        self.optimiser.restore(steps.map_err(TrainError::Tensor)?, find("adamw"))?;
        self.steps = state.step;
        self.decoder.at_step(self.steps);
        if let Some(tokens) = state.tensors.get(TRAINED_TOKENS) {
            self.trained_tokens = tokens.to_vec1::<f64>()?[0];
        }
        Ok(())
    }
}

fn unreached(step: u64, error: &MissingGradients) -> TrainError {
    let cure = "look at the model's weights for tensors of zeros, and at the rows of this batch";
    TrainError::Diverged(format!("step {step}: {error}; {cure}"))
}

fn diverged(step: u64, what: &str) -> TrainError {
    let cure = "lower `learning_rate`, raise `warmup`, or look at the rows of this batch";
    TrainError::Diverged(format!("step {step}: {what}; {cure}"))
}
