//! Batched generation with a key-value cache: sequences enter and leave the batch as they come and end.

use crate::base::memory;
use crate::base::seed::Seed;
use crate::data::DataError;
use crate::data::tokenizer::Tokenizer;
use crate::model::{DecodeStep, Decoder, KvCache, ModelConfig};
use crate::nn::ops;
use crate::rollout::Sampling;
use crate::rollout::sampler::{Chosen, choose};
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
    /// By a stop text.
    Text,
    /// By `max_tokens`, or by the model's last position.
    Length,
}

/// What a model wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Token ids, with the stop token or the token that completed a stop text as the last.
    pub ids: Vec<u32>,
    /// Log-probability of each under the policy: softmax(logits / temperature) over the whole vocabulary, and
    /// softmax(logits) at temperature 0. It is what a trainer computes of the same tokens, and what ratios are made of.
    pub logprobs: Vec<f32>,
    /// Log-probability of each under the distribution that it was drawn from: after the repetition penalty, and over
    /// what top-k, top-p and min-p left. Equal to `logprobs` without those; 0 at temperature 0.
    pub drawn_logprobs: Vec<f32>,
    /// Why it ended.
    pub stop: Stop,
}

impl Completion {
    /// Whether it was cut at a length limit.
    pub fn is_truncated(&self) -> bool {
        self.stop == Stop::Length
    }

    /// Its text without what ended it: neither the stop token nor a stop text, nor what its last token says behind that.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn text(&self, tokenizer: &Tokenizer, sampling: &Sampling) -> Result<String, DataError> {
        let shown = self.ids.len() - usize::from(self.stop == Stop::Stop);
        let text = tokenizer.decode(&self.ids[..shown], true)?;
        Ok(match &sampling.stop_texts {
            Some(stops) if self.stop == Stop::Text => stops.cut(&text).to_string(),
            _ => text,
        })
    }
}

/// A token of a running sequence, as it was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Emitted {
    /// Which prompt it follows, from 0.
    pub prompt: usize,
    /// The token.
    pub id: u32,
    /// As in [`Completion::logprobs`].
    pub logprob: f32,
    /// Why the sequence ends with it, where it does.
    pub stop: Option<Stop>,
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
    /// Prompt tokens computed so far: equal prompts that are in the cache count once.
    pub prompt_tokens: usize,
    /// Completions that were cut at a length limit.
    pub truncated: usize,
    /// Steps done: each extends every running sequence by a token.
    pub steps: usize,
    /// Sequences that may run at the same time.
    pub slots: usize,
    /// Positions that the running sequences hold in the cache, and how many it has.
    pub cache_used: usize,
    /// Positions of the cache in all.
    pub cache_room: usize,
}

impl Progress {
    /// The mean share of the slots that steps extended a sequence in.
    pub fn occupancy(&self) -> f64 {
        self.tokens as f64 / (self.steps * self.slots).max(1) as f64
    }

    /// The share of the cache that running sequences hold now.
    pub fn cache_use(&self) -> f64 {
        self.cache_used as f64 / self.cache_room.max(1) as f64
    }

    /// The share of the ended completions that were cut at a length limit.
    pub fn truncated_share(&self) -> f64 {
        self.truncated as f64 / self.finished.max(1) as f64
    }
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
    /// A cache for one sequence alone does not fit.
    #[error(
        "a sequence of {capacity} tokens needs {needed} MiB for its keys and values, but {available} MiB of memory are \
         left: lower `max_completion_length`"
    )]
    NoRoom {
        /// Tokens of prompt and completion.
        capacity: usize,
        /// MiB that they need.
        needed: u64,
        /// MiB that there are.
        available: u64,
    },
    /// A prompt without tokens.
    #[error("prompt {index} is empty; a completion needs at least one token to follow")]
    EmptyPrompt {
        /// Which prompt, from 0.
        index: usize,
    },
    /// A prompt with a token that the model has no embedding of.
    #[error(
        "prompt {index} has the token {id}, but the model's vocabulary has {vocabulary}: use the tokenizer that the \
         model was trained with"
    )]
    TokenOutside {
        /// Which prompt, from 0.
        index: usize,
        /// The token.
        id: u32,
        /// Rows of the embedding.
        vocabulary: usize,
    },
    /// The text of a completion could not be made, to look for stop texts.
    #[error(transparent)]
    Text(#[from] DataError),
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
/// An empty or too long prompt, settings out of range, logits that are no numbers, [`RolloutError::Stopped`] on request.
pub fn generate(
    model: &Decoder,
    prompts: &[Prompt],
    sampling: &Sampling,
    max_batch: usize,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<Vec<Completion>, RolloutError> {
    generate_watched(model, prompts, sampling, max_batch, &mut |state, _| progress(*state))
}

/// As [`generate`], and `watch` is told each step's tokens, too.
///
/// # Errors
/// As [`generate`].
pub fn generate_watched(
    model: &Decoder,
    prompts: &[Prompt],
    sampling: &Sampling,
    max_batch: usize,
    watch: &mut dyn FnMut(&Progress, &[Emitted]) -> bool,
) -> Result<Vec<Completion>, RolloutError> {
    let limit = model.config().max_position_embeddings;
    check(prompts, sampling, model.config())?;
    let longest = prompts.iter().map(|prompt| prompt.ids.len()).max().unwrap_or(0);
    let capacity = longest.saturating_add(sampling.max_tokens).min(limit);
    let policy = model.for_generation()?;
    let slots = slots(model.config(), capacity, max_batch.clamp(1, prompts.len().max(1)), memory::available())?;
    let cache = KvCache::new(model.config(), slots, capacity, model.device())?;
    let mut batch = Batch { policy, cache, prompts, sampling, capacity, schedule: Schedule::new(prompts, slots) };
    let mut completions: Vec<Option<Completion>> = vec![None; prompts.len()];
    let mut state = Progress { total: prompts.len(), slots, cache_room: slots * capacity, ..Progress::default() };
    while state.finished < state.total {
        // Inside the pool, so that the many short ops of a step do not each hand their work over to it.
        let (computed, emitted) = rayon::scope(|_| Ok::<_, RolloutError>((batch.admit()?, batch.step()?)))?;
        state.prompt_tokens += computed;
        state.steps += 1;
        state.tokens += emitted.len();
        state.cache_used = batch.schedule.running.iter().map(|running| running.ids.len() - 1).sum();
        for ended in batch.schedule.finished() {
            let (prompt, completion) = (ended.prompt, completion(ended));
            state.finished += 1;
            state.truncated += usize::from(completion.is_truncated());
            completions[prompt] = Some(completion);
        }
        if !watch(&state, &emitted) {
            return Err(RolloutError::Stopped);
        }
    }
    Ok(completions.into_iter().flatten().collect())
}

/// How many of the sequences may run at the same time: as many as find room in half of the memory that is left.
fn slots(config: &ModelConfig, capacity: usize, wanted: usize, left: Option<u64>) -> Result<usize, RolloutError> {
    let (needed, Some(left)) = (KvCache::bytes_a_slot(config, capacity).max(1), left) else { return Ok(wanted) };
    match usize::try_from(left / 2 / needed).unwrap_or(usize::MAX) {
        0 if needed > left => {
            Err(RolloutError::NoRoom { capacity, needed: needed.div_ceil(1 << 20), available: left >> 20 })
        }
        room => Ok(room.clamp(1, wanted)),
    }
}

fn check(prompts: &[Prompt], sampling: &Sampling, config: &ModelConfig) -> Result<(), RolloutError> {
    let (limit, vocabulary) = (config.max_position_embeddings, config.vocab_size);
    for (index, Prompt { ids, .. }) in prompts.iter().enumerate() {
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
            return Err(RolloutError::TokenOutside { index, id, vocabulary });
        }
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
        Sampling { min_p, .. } if !(*min_p >= 0.0 && *min_p <= 1.0) => {
            wrong(format!("a min_p of {min_p}: it is a share from 0 to 1"))
        }
        Sampling { repetition_penalty: penalty, .. } if !(penalty.is_finite() && *penalty > 0.0) => {
            wrong(format!("a repetition_penalty of {penalty}: it is a number above 0; 1 is none"))
        }
        _ => Ok(()),
    }
}

fn completion(ended: Running<'_>) -> Completion {
    let ids = ended.completion().to_vec();
    let Running { logprobs, drawn_logprobs, stop, .. } = ended;
    Completion { ids, logprobs, drawn_logprobs, stop: stop.unwrap_or(Stop::Length) }
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
    /// Lets waiting prompts in: all their tokens but the last, which their first step runs. Returns how many it ran.
    fn admit(&mut self) -> Result<usize, RolloutError> {
        let mut step = DecodeStep::default();
        let mut computed = 0;
        for admission in self.schedule.admit() {
            match admission {
                Admission::Prefill { prompt, slot } => {
                    let ids = &self.prompts[prompt].ids;
                    computed += ids.len() - 1;
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
        self.flush(&mut step)?;
        Ok(computed)
    }

    fn flush(&mut self, step: &mut DecodeStep) -> Result<(), RolloutError> {
        if !step.ids.is_empty() {
            self.policy.decode(&std::mem::take(step), &mut self.cache)?;
        }
        Ok(())
    }

    /// Extends every running sequence by one token; returns those.
    fn step(&mut self) -> Result<Vec<Emitted>, RolloutError> {
        let mut step = DecodeStep::default();
        for running in &self.schedule.running {
            let position = running.ids.len() - 1;
            push(&mut step, running.ids[position], running.slot, position);
        }
        step.outputs = (0..step.ids.len() as u32).collect();
        let logits = self.policy.decode(&step, &mut self.cache)?;
        let width = logits.dim(1)?;
        let (sampling, capacity) = (self.sampling, self.capacity);
        let running = &mut self.schedule.running;
        ops::with_rows(&logits, |logits| {
            let rows = logits.par_chunks(width).zip(running.par_iter_mut());
            let advance = |row: &mut Vec<f32>, (logits, running): (&[f32], &mut Running<'_>)| {
                row.clear();
                row.extend_from_slice(logits);
                extend(running, row, sampling, capacity)
            };
            rows.map_init(Vec::new, advance).collect()
        })?
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
) -> Result<Emitted, RolloutError> {
    let prompt = running.prompt;
    let Chosen { id, logprob, drawn } = choose(logits, &running.ids, sampling, &mut running.stream);
    if !logprob.is_finite() {
        return Err(RolloutError::NotFinite { index: prompt });
    }
    running.ids.push(id);
    running.logprobs.push(logprob);
    running.drawn_logprobs.push(drawn);
    running.stop = if sampling.stop_ids.contains(&id) {
        Some(Stop::Stop)
    } else if let Some(stops) = &sampling.stop_texts
        && stops.end(running.completion())?
    {
        Some(Stop::Text)
    } else {
        let full = running.logprobs.len() == sampling.max_tokens || running.ids.len() > capacity;
        full.then_some(Stop::Length)
    };
    Ok(Emitted { prompt, id, logprob, stop: running.stop })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_is_cut_to_the_memory_that_is_left() {
        let config = crate::model::SHAPES[2].config(4096).unwrap();
        // Keys and values of 8 layers, 4 heads of 64, 4096 positions: 64 MiB.
        let mib = |mib: u64| Some(mib << 20);
        assert_eq!(slots(&config, 4096, 128, None).unwrap(), 128);
        assert_eq!(slots(&config, 4096, 128, mib(1 << 20)).unwrap(), 128);
        assert_eq!(slots(&config, 4096, 128, mib(1000)).unwrap(), 7);
        assert_eq!(slots(&config, 4096, 128, mib(70)).unwrap(), 1);
        let error = slots(&config, 4096, 128, mib(60)).unwrap_err().to_string();
        assert!(error.contains("4096 tokens needs 64 MiB") && error.contains("60 MiB of memory are left"), "{error}");
    }
}
