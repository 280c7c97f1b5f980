//! Token-level distillation: the divergence between teacher and student at every trained token.
//!
//! Sequence-level distillation (Kim and Rush, arXiv:1606.07947) is [`super::sft`] on the teacher's completions. Both
//! sides are cut to the tokenizer's real vocabulary and renormalised; there is no T² factor.

use super::divergence::{Measure, divergence_rows};
use super::on_policy::OnPolicy;
use super::sft::{Added, SftSettings, run_epochs, tokens_of};
use super::step::Learner;
use super::stream::{Stream, streams_for_logits};
use super::watch::{TrainError, Watch};
use crate::data::encode::Example;
use crate::model::Decoder;
use crate::nn::Params;
use candle_core::{Result as TensorResult, Tensor};
use std::collections::BTreeMap;

/// The divergence and its settings.
#[derive(Clone, Copy, Debug)]
pub struct Divergence {
    /// What is measured.
    pub measure: Measure,
    /// Both logits are divided by it.
    pub temperature: f64,
    /// Ids that the tokenizer really has; logits beyond are left out on both sides.
    pub vocabulary: usize,
}

/// Trains `decoder` towards `teacher` on the trained tokens of the examples; where `on_policy` is there, a share of the
/// batches has completions of the student's in their place (GKD, arXiv:2306.13649, algorithm 1).
///
/// # Errors
/// [`TrainError`], as [`super::sft::train`].
pub fn train(
    decoder: Decoder,
    params: Params,
    teacher: &Decoder,
    examples: &[Example],
    divergence: &Divergence,
    on_policy: Option<&OnPolicy>,
    settings: &SftSettings,
    watch: &Watch<'_>,
) -> Result<(Params, BTreeMap<String, f64>), TrainError> {
    let add = |learner: &mut Learner, batch: &[&Example], metrics| {
        let loss = add_gradients(learner, teacher, divergence, batch, settings.packing)?;
        Ok(Added { loss, tokens: tokens_of(batch), metrics })
    };
    let add_batch = |learner: &mut Learner, batch: &[&Example]| {
        let Some(on_policy) = on_policy else { return add(learner, batch, Vec::new()) };
        if !on_policy.samples(learner.steps()) {
            return add(learner, batch, vec![("on_policy", 0.0)]);
        }
        let sampled = on_policy.batch(&learner.decoder, learner.steps(), batch.len(), watch)?;
        let batch: Vec<&Example> = sampled.examples.iter().collect();
        add(learner, &batch, sampled.metrics)
    };
    run_epochs(decoder, params, examples, settings, watch, add_batch)
}

fn add_gradients(
    learner: &mut Learner,
    teacher: &Decoder,
    divergence: &Divergence,
    batch: &[&Example],
    packing: bool,
) -> Result<f64, TrainError> {
    let tokens = batch.iter().map(|example| example.trained()).sum::<usize>().max(1) as f64;
    let streams = streams_for_logits(batch, packing, divergence.vocabulary);
    let trained = streams.iter().filter(|stream| !stream.rows.is_empty());
    trained.map(|stream| add_stream(learner, teacher, divergence, stream, tokens)).sum()
}

fn add_stream(
    learner: &mut Learner,
    teacher: &Decoder,
    divergence: &Divergence,
    stream: &Stream,
    tokens: f64,
) -> Result<f64, TrainError> {
    let student = real_logits(&learner.decoder, stream, divergence.vocabulary)?;
    let taught = flat(&real_logits(teacher, stream, divergence.vocabulary)?)?;
    let mut gradient = vec![0.0; taught.len()];
    let (measure, temperature) = (divergence.measure, divergence.temperature);
    let value = divergence_rows(measure, temperature, divergence.vocabulary, &taught, &flat(&student)?, &mut gradient);
    let gradient = Tensor::from_vec(gradient, student.shape(), student.device())?;
    // Linear in the logits with the divergence's own gradient as the factor: the tape carries it on exactly.
    let loss = ((student * gradient)?.sum_all()? * (1.0 / tokens))?;
    learner.add_gradient(&loss, stream.rows.len())?;
    Ok(value / tokens)
}

/// Logits of the trained positions over the real vocabulary, `[trained, vocabulary]`.
fn real_logits(decoder: &Decoder, stream: &Stream, vocabulary: usize) -> TensorResult<Tensor> {
    decoder.logits(&stream.hidden(decoder)?)?.narrow(1, 0, vocabulary)?.contiguous()
}

fn flat(tensor: &Tensor) -> TensorResult<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}
