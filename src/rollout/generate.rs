//! Batched generation with a key-value cache: sequences enter and leave the batch as they come and end.

use crate::base::seed::Seed;
use crate::model::{DecodeStep, Decoder, KvCache};
use crate::rollout::Sampling;
use crate::rollout::sampler::choose;
use crate::rollout::schedule::{Admission, Running, Schedule};
use rayon::prelude::*;

/// Prompt tokens computed in one pass, at most: bounds the activations.
const PREFILL: usize = 4096;

/// What to complete.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Token ids, at least one.
    pub ids: Vec<u32>,
    /// Randomness of this completion alone.
    pub seed: Seed,
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// By a stop token.
    Stop,
    /// By `max_tokens`, or by the model's last position.
    Length,
}

/// What a model wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Token ids, the stop token included.
    pub ids: Vec<u32>,
    /// Log-probability of each under the temperature, before truncation.
    pub logprobs: Vec<f32>,
    /// Why it ended.
    pub stop: Stop,
}

/// How far generation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Completions that have ended.
    pub finished: usize,
    /// Completions in all.
    pub total: usize,
    /// Tokens generated so far.
    pub tokens: usize,
}

/// Why nothing was generated.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// A prompt fills the model's positions.
    #[error("prompt {index} has {length} tokens, but the model has {limit} positions; shorten or drop it")]
    PromptTooLong {
        /// Which prompt, from 0.
        index: usize,
        /// Its tokens.
        length: usize,
        /// The model's positions.
        limit: usize,
    },
    /// A prompt without tokens.
    #[error("prompt {index} is empty; a completion needs at least one token to follow")]
    EmptyPrompt {
        /// Which prompt, from 0.
        index: usize,
    },
    /// A setting that no token can be chosen by.
    #[error("{0}")]
    Sampling(String),
    /// The model gave a logit that is no number.
    #[error(
        "the model's logits for prompt {index} are not finite: its weights have diverged; \
         lower the `learning_rate` they were trained with"
    )]
    NotFinite {
        /// Which prompt, from 0.
        index: usize,
    },
    /// The caller asked to stop.
    #[error("generation was stopped")]
    Stopped,
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// One completion of each prompt, in the order of the prompts.
///
/// At most `max_batch` sequences run at a time. Each draws from the stream of its own seed and its values do
/// not depend on its neighbours, so the batch does not change what it writes. Equal prompts are computed
/// once. `progress` is called after every step; false ends the call.
///
/// # Errors
/// An empty or too long prompt, settings out of range, [`RolloutError::Stopped`] on request.
pub fn generate(
    model: &Decoder,
    prompts: &[Prompt],
    sampling: &Sampling,
    max_batch: usize,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<Vec<Completion>, RolloutError> {
    let limit = model.config().max_position_embeddings;
    check(prompts, sampling, limit)?;
    let longest = prompts.iter().map(|prompt| prompt.ids.len()).max().unwrap_or(0);
    let capacity = (longest + sampling.max_tokens).min(limit);
    let slots = max_batch.clamp(1, prompts.len().max(1));
    let policy = model.for_generation()?;
    let cache = KvCache::new(model.config(), slots, capacity, model.device())?;
    let mut batch = Batch { policy, cache, prompts, sampling, capacity, schedule: Schedule::new(prompts, slots) };
    let mut completions: Vec<Option<Completion>> = vec![None; prompts.len()];
    let mut state = Progress { total: prompts.len(), ..Progress::default() };
    while state.finished < state.total {
        batch.admit()?;
        state.tokens += batch.step()?;
        for ended in batch.schedule.finished() {
            state.finished += 1;
            let prompt = ended.prompt;
            completions[prompt] = Some(completion(ended));
        }
        if !progress(state) {
            return Err(RolloutError::Stopped);
        }
    }
    Ok(completions.into_iter().flatten().collect())
}

fn check(prompts: &[Prompt], sampling: &Sampling, limit: usize) -> Result<(), RolloutError> {
    for (index, Prompt { ids, .. }) in prompts.iter().enumerate() {
        match ids.len() {
            0 => return Err(RolloutError::EmptyPrompt { index }),
            length if length >= limit => return Err(RolloutError::PromptTooLong { index, length, limit }),
            _ => {}
        }
    }
    let wrong = |message: String| Err(RolloutError::Sampling(message));
    match sampling {
        Sampling { max_tokens: 0, .. } => wrong("max_tokens is 0: there is nothing to generate".into()),
        Sampling { top_k: Some(0), .. } => wrong("top_k is 0: no token would be left".into()),
        Sampling { temperature, .. } if !(temperature.is_finite() && *temperature >= 0.0) => {
            wrong(format!("a temperature of {temperature}: it is a number from 0"))
        }
        Sampling { top_p, .. } if !(*top_p > 0.0 && *top_p <= 1.0) => {
            wrong(format!("a top_p of {top_p}: it is a share above 0, at most 1"))
        }
        _ => Ok(()),
    }
}

fn completion(ended: Running<'_>) -> Completion {
    let ids = ended.completion().to_vec();
    Completion { ids, logprobs: ended.logprobs, stop: ended.stop.unwrap_or(Stop::Length) }
}

/// Everything that one call of [`generate`] works on.
struct Batch<'a> {
    policy: Decoder,
    cache: KvCache,
    prompts: &'a [Prompt],
    sampling: &'a Sampling,
    capacity: usize,
    schedule: Schedule<'a>,
}

impl Batch<'_> {
    /// Lets waiting prompts in: all their tokens but the last, which their first step runs.
    fn admit(&mut self) -> Result<(), RolloutError> {
        let mut step = DecodeStep::default();
        for admission in self.schedule.admit() {
            match admission {
                Admission::Prefill { prompt, slot } => {
                    let ids = &self.prompts[prompt].ids;
                    for (position, &id) in ids[..ids.len() - 1].iter().enumerate() {
                        push(&mut step, id, slot, position);
                        if step.ids.len() == PREFILL {
                            self.policy.decode(&std::mem::take(&mut step), &mut self.cache)?;
                        }
                    }
                }
                Admission::Copy { from, to, length } => {
                    // Copies come after the prefills they may copy from.
                    self.flush(&mut step)?;
                    self.cache.copy(from, to, length)?;
                }
            }
        }
        self.flush(&mut step)
    }

    fn flush(&mut self, step: &mut DecodeStep) -> Result<(), RolloutError> {
        if !step.ids.is_empty() {
            self.policy.decode(&std::mem::take(step), &mut self.cache)?;
        }
        Ok(())
    }

    /// Extends every running sequence by one token; returns how many there are.
    fn step(&mut self) -> Result<usize, RolloutError> {
        let mut step = DecodeStep::default();
        for running in &self.schedule.running {
            let position = running.ids.len() - 1;
            push(&mut step, running.ids[position], running.slot, position);
        }
        step.outputs = (0..step.ids.len() as u32).collect();
        let logits = self.policy.decode(&step, &mut self.cache)?;
        let width = logits.dim(1)?;
        let mut logits: Vec<f32> = logits.flatten_all()?.to_vec1()?;
        let (sampling, capacity) = (self.sampling, self.capacity);
        let rows = logits.par_chunks_mut(width).zip(self.schedule.running.par_iter_mut());
        rows.try_for_each(|(logits, running)| extend(running, logits, sampling, capacity))?;
        Ok(step.ids.len())
    }
}

fn push(step: &mut DecodeStep, id: u32, slot: usize, position: usize) {
    step.ids.push(id);
    step.tokens.slots.push(slot);
    step.tokens.positions.push(position);
}

/// Appends one token to a sequence and says whether that was its last.
fn extend(
    running: &mut Running<'_>,
    logits: &mut [f32],
    sampling: &Sampling,
    capacity: usize,
) -> Result<(), RolloutError> {
    let (token, logprob) = choose(logits, sampling, &mut running.stream);
    if !logprob.is_finite() {
        return Err(RolloutError::NotFinite { index: running.prompt });
    }
    running.ids.push(token);
    running.logprobs.push(logprob);
    if sampling.stop_ids.contains(&token) {
        running.stop = Some(Stop::Stop);
    } else if running.logprobs.len() == sampling.max_tokens || running.ids.len() > capacity {
        running.stop = Some(Stop::Length);
    }
    Ok(())
}
