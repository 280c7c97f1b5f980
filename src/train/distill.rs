//! Token-level distillation: the divergence between teacher and student at every trained token.
//!
//! Sequence-level distillation (Kim and Rush, arXiv:1606.07947) is [`super::sft`] on the teacher's completions. Both
//! sides are cut to the tokenizer's real vocabulary and renormalised; there is no T² factor.

use super::divergence::{Measure, Targets, divergence_rows};
use super::on_policy::OnPolicy;
use super::sft::{Added, SftSettings, run_epochs, tokens_of};
use super::step::Learner;
use super::stream::{Stream, streams_for_logits};
use super::teacher::{Teacher, flat, real_logits};
use super::watch::{TrainError, Watch};
use crate::data::encode::Example;
use crate::model::Decoder;
use crate::nn::Params;
use candle_core::Tensor;
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

/// What the student is moved towards.
pub struct Goal<'a> {
    /// Whose distributions.
    pub teacher: Teacher<'a>,
    /// By what measure.
    pub divergence: Divergence,
    /// Where a share of the batches has completions of the student's in place of the data's (GKD, arXiv:2306.13649,
    /// algorithm 1).
    pub on_policy: Option<OnPolicy>,
}

/// Trains `decoder` towards a teacher on the trained tokens of the examples.
///
/// # Errors
/// [`TrainError`], as [`super::sft::train`].
pub fn train(
    decoder: Decoder,
    params: Params,
    goal: &Goal<'_>,
    examples: &[Example],
    settings: &SftSettings,
    watch: &Watch<'_>,
) -> Result<(Params, BTreeMap<String, f64>), TrainError> {
    let add_batch = |learner: &mut Learner, batch: &[&Example]| {
        let Some(on_policy) = &goal.on_policy else { return goal.add(learner, batch, settings.packing, Vec::new()) };
        if !on_policy.samples(learner.steps()) {
            return goal.add(learner, batch, settings.packing, vec![("on_policy", 0.0)]);
        }
        let sampled = on_policy.batch(&learner.decoder, learner.steps(), batch.len(), watch)?;
        let batch: Vec<&Example> = sampled.examples.iter().collect();
        goal.add(learner, &batch, settings.packing, sampled.metrics)
    };
    run_epochs(decoder, params, examples, settings, watch, add_batch)
}

impl Goal<'_> {
    /// Adds the gradient of a batch; one that the student wrote has `metrics` that say so.
    fn add(
        &self,
        learner: &mut Learner,
        batch: &[&Example],
        packing: bool,
        metrics: Vec<(&'static str, f64)>,
    ) -> Result<Added, TrainError> {
        let tokens = batch.iter().map(|example| example.trained()).sum::<usize>().max(1) as f64;
        let comes_again = !metrics.contains(&("on_policy", 1.0));
        let mut loss = 0.0;
        for stream in streams_for_logits(batch, packing, self.divergence.vocabulary) {
            if stream.rows.is_empty() {
                continue;
            }
            let targets = match comes_again {
                true => self.teacher.targets(&self.divergence, batch, &stream)?,
                false => self.teacher.compute(&self.divergence, &stream)?,
            };
            loss += self.add_stream(learner, &stream, &targets, tokens)?;
        }
        Ok(Added { loss, tokens: tokens_of(batch), metrics })
    }

    fn add_stream(
        &self,
        learner: &mut Learner,
        stream: &Stream,
        targets: &Targets,
        tokens: f64,
    ) -> Result<f64, TrainError> {
        let Divergence { measure, temperature, vocabulary } = self.divergence;
        let student = real_logits(&learner.decoder, stream, vocabulary)?;
        let mut gradient = vec![0.0; student.elem_count()];
        let value = divergence_rows(measure, temperature, vocabulary, targets, &flat(&student)?, &mut gradient);
        let gradient = Tensor::from_vec(gradient, student.shape(), student.device())?;
        // Linear in the logits with the divergence's own gradient as the factor: the tape carries it on exactly.
        let loss = ((student * gradient)?.sum_all()? * (1.0 / tokens))?;
        learner.add_gradient(&loss, stream.rows.len())?;
        Ok(value / tokens)
    }
}
