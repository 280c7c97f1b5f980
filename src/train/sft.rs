//! Supervised fine-tuning: the mean negative log-probability of the trained tokens of each optimiser batch.
//!
//! Loss = Σ −log π(token) over the trained tokens / their number, over the whole optimiser batch, so that the result
//! does not depend on how the batch is split into forward passes.

use super::budget::Budget;
use super::resume::States;
use super::step::{Applied, Learner, OptimiserSettings};
use super::stream::streams;
use super::watch::{TrainError, Watch};
use crate::base::seed::Seed;
use crate::data::encode::Example;
use crate::data::order::Order;
use crate::model::Decoder;
use crate::nn::Params;
use crate::rollout::RolloutError;
use std::collections::BTreeMap;

/// What to train with.
#[derive(Clone, Copy, Debug)]
pub struct SftSettings {
    /// How long.
    pub budget: Budget,
    /// Sequences an optimiser step.
    pub batch: usize,
    /// Several sequences in one forward pass.
    pub packing: bool,
    /// Learning rate, schedule, AdamW, clipping.
    pub optimiser: OptimiserSettings,
    /// Root of the data order.
    pub seed: Seed,
}

/// Trains a decoder on examples. Returns the trained parameters and the last step's numbers.
///
/// # Errors
/// [`TrainError`]: nothing to train on, numbers that are not finite, or a stop.
pub fn train(
    decoder: Decoder,
    params: Params,
    examples: &[Example],
    settings: &SftSettings,
    watch: &Watch<'_>,
) -> Result<(Params, BTreeMap<String, f64>), TrainError> {
    let loss = |learner: &mut Learner, batch: &[&Example]| {
        let loss = add_gradients(learner, batch, settings.packing)?;
        Ok(Added { loss, tokens: tokens_of(batch), metrics: Vec::new() })
    };
    run_epochs(decoder, params, examples, settings, watch, loss)
}

/// What a batch added to the gradient.
pub struct Added {
    /// Its loss.
    pub loss: f64,
    /// Tokens that passed through the model.
    pub tokens: usize,
    /// What else there is to tell of it.
    pub metrics: Vec<(&'static str, f64)>,
}

/// Tokens of a batch, prompts included.
pub fn tokens_of(batch: &[&Example]) -> usize {
    batch.iter().map(|example| example.ids.len()).sum()
}

/// The loop that SFT and token-level distillation share: `add_batch` adds a batch's gradient and returns its loss.
///
/// # Errors
/// As [`train`].
pub fn run_epochs(
    decoder: Decoder,
    params: Params,
    examples: &[Example],
    settings: &SftSettings,
    watch: &Watch<'_>,
    add_batch: impl Fn(&mut Learner, &[&Example]) -> Result<Added, TrainError>,
) -> Result<(Params, BTreeMap<String, f64>), TrainError> {
    let mut order = order_of(examples, settings)?;
    let lengths: Vec<usize> = examples.iter().map(|example| example.ids.len()).collect();
    let total = settings.budget.steps(&lengths, settings.batch, &mut order);
    let mut learner = Learner::new(decoder, params, settings.optimiser, total);
    let mut states = States::new(watch, learner.course(1));
    let mut last = BTreeMap::new();
    if let Some(state) = states.newest() {
        learner.restore(&state)?;
        last = state.metrics;
    }
    while learner.steps() < total {
        states.checkpoint(learner.steps(), &last, || learner.state())?;
        let position = learner.steps() * settings.batch as u64;
        let chosen = order.batch(position, settings.batch);
        let batch: Vec<&Example> = chosen.iter().map(|&index| &examples[index]).collect();
        let added = match add_batch(&mut learner, &batch) {
            // Asked to stop while sampling: the checkpoint at the top of the loop saves the state and ends it.
            Err(TrainError::Rollout(RolloutError::Stopped)) => continue,
            added => added?,
        };
        let applied = learner.apply(added.loss).map_err(|error| {
            let named: Vec<String> = chosen.iter().map(|index| format!("example {index}")).collect();
            states.keep_last_good(error, learner.steps(), &named, &last, || learner.state())
        })?;
        last = report(watch, &learner, &added, applied);
    }
    states.finish(&last, || learner.state());
    last.insert("trained_tokens".to_string(), learner.trained_tokens());
    Ok((learner.into_params(), last))
}

fn order_of(examples: &[Example], settings: &SftSettings) -> Result<Order, TrainError> {
    if examples.is_empty() || examples.iter().all(|example| example.trained() == 0) {
        let message = "there is no token to train on: every row was dropped, or no row has a completion";
        return Err(TrainError::Input(message.to_string()));
    }
    Ok(Order::new(examples.len(), settings.seed.child("order", 0)))
}

/// Adds the gradient of a batch's mean negative log-probability of the trained tokens, and returns that mean.
///
/// # Errors
/// What the tensor library says.
pub fn add_gradients(learner: &mut Learner, batch: &[&Example], packing: bool) -> Result<f64, TrainError> {
    let tokens = batch.iter().map(|example| example.trained()).sum::<usize>().max(1) as f64;
    let streams = streams(batch, packing);
    let trained = streams.iter().filter(|stream| !stream.rows.is_empty());
    trained.map(|stream| learner.add_log_probs(stream, -1.0 / tokens)).sum()
}

fn report(watch: &Watch<'_>, learner: &Learner, added: &Added, applied: Applied) -> BTreeMap<String, f64> {
    let Applied { grad_norm, learning_rate } = applied;
    let mut metrics = vec![("loss", added.loss), ("grad_norm", grad_norm), ("learning_rate", learning_rate)];
    metrics.extend(&added.metrics);
    watch.progress(learner.steps(), learner.total(), "step", added.tokens, &metrics);
    metrics.iter().map(|(name, value)| (name.to_string(), *value)).collect()
}
