//! Prompts to completions: what `generate`, `evaluate` and `distill` share.

use super::arguments::{OneByDefault, arguments};
use super::completions::{Completions, Written};
use super::language_model::LanguageModel;
use super::{StageContext, StageError};
use crate::base::digest::Digest;
use crate::base::event::StageEvent;
use crate::base::seed::Seed;
use crate::data::encode::encode_prompt;
use crate::data::row::Row;
use crate::reward::RewardSum;
use crate::rollout::{self, Completion, Progress, Prompt, Sampling, StopTexts};
use crate::train::grpo::Task;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashSet};

/// Sequences that are generated at the same time; it bounds the cache and changes no token.
pub const SEQUENCES_AT_ONCE: usize = 128;

/// Completions after which those that are done are kept: few enough to lose little, many enough to fill the batch.
const KEPT_AT_ONCE: usize = 1024;

arguments! {
    /// What sampling takes beside temperature, top_p and top_k.
    pub struct SamplingArgs {
        /// Only tokens with at least this share of the probability of the most probable one, after `top_k` and `top_p`.
        min_p: f64 = 0.0, range 0 ..= 1, source "arXiv:2407.01082", added "2026-11";
        /// The logit of a token that prompt or completion has already is divided by it where it is positive and
        /// multiplied where it is negative; 1 is none.
        repetition_penalty: OneByDefault = OneByDefault(1.0), range 0.01 ..= 100, source "arXiv:1909.05858", added "2026-11";
        /// Texts that end a completion. It is cut before the first of them, also where that begins inside a token.
        stop: Vec<String> = Vec::new(), aliases ["stop_strings", "stop_sequences", "stop_words", "until"],
            source "vLLM (stop)", added "2026-11";
        /// Tokens that end a completion, beside those that the model's folder names.
        stop_token_ids: Vec<usize> = Vec::new(), range 0 ..= 4.294967295e9, source "vLLM (stop_token_ids)", added "2026-11";
    }
}

impl Default for SamplingArgs {
    /// The model's own distribution, ended by its own stop tokens alone.
    fn default() -> Self {
        let repetition_penalty = OneByDefault::default();
        SamplingArgs { min_p: 0.0, repetition_penalty, stop: Vec::new(), stop_token_ids: Vec::new() }
    }
}

impl SamplingArgs {
    /// The tokens of `stop_token_ids`.
    pub fn more_stop_ids(&self) -> Vec<u32> {
        self.stop_token_ids.iter().filter_map(|&id| u32::try_from(id).ok()).collect()
    }

    /// How the model's completions are sampled, with the stop tokens of its folder.
    pub fn sampling(&self, model: &LanguageModel) -> Sampling {
        let tokenizer = &model.tokenizer;
        Sampling {
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty.0,
            stop_ids: tokenizer.stop_ids().iter().copied().chain(self.more_stop_ids()).collect(),
            stop_texts: StopTexts::new(&self.stop, tokenizer),
            ..Sampling::default()
        }
    }
}

/// A row and what a model wrote to it.
pub struct Completed {
    /// The row that was asked.
    pub row: Row,
    /// Which of the row's samples, from 0.
    pub sample: usize,
    /// The text without the stop token or stop text.
    pub text: String,
    /// Tokens, those of what ended it included.
    pub tokens: usize,
    /// Cut at the length limit.
    pub truncated: bool,
}

impl Completed {
    /// What a reward says of it.
    pub fn score(&self, reward: &RewardSum) -> Option<f64> {
        reward.evaluate(&self.row, &self.text).total
    }

    /// The row with this completion in place of its own.
    pub fn into_row(self) -> Row {
        let mut row = self.row;
        row.id = format!("{}/{}", row.id, self.sample);
        row.completion = Some(self.text);
        row.with_meta("sample", self.sample as u64).with_meta("truncated", self.truncated)
    }
}

/// Renders and encodes the rows' prompts, and drops those that leave no room for a completion; says how many.
///
/// # Errors
/// [`StageError::Input`] where a row cannot be rendered or none is left.
pub fn encode_prompts(
    context: &StageContext,
    model: &LanguageModel,
    rows: Vec<Row>,
    max_completion: usize,
) -> Result<Vec<Task>, StageError> {
    let read = rows.len();
    let prompts: Result<Vec<Vec<u32>>, _> = rows.par_iter().map(|row| encode_prompt(&model.tokenizer, row)).collect();
    let room = model.context_length();
    let tasks = rows.into_iter().zip(prompts?).map(|(row, prompt)| Task { row, prompt });
    let tasks: Vec<Task> = tasks.filter(|task| task.prompt.len() + max_completion <= room).collect();
    let longest = tasks.iter().map(|task| task.prompt.len()).max().unwrap_or(0);
    context.facts([
        ("prompts_read", read as f64),
        ("prompts_dropped", (read - tasks.len()) as f64),
        ("longest_prompt", longest as f64),
    ]);
    if tasks.is_empty() && read == 0 {
        return Err(StageError::input("the dataset has no row: there is nothing to complete"));
    }
    if tasks.is_empty() {
        return Err(StageError::input(format!(
            "none of {read} prompts leaves room for {max_completion} tokens in a context of {room}: \
             lower `max_completion_length`"
        )));
    }
    if tasks.len() < read {
        let message = format!(
            "{} of {read} prompts are left out: they leave no room for {max_completion} tokens in a context of \
             {room}; lower `max_completion_length` to have them all",
            read - tasks.len()
        );
        context.say(StageEvent::Warning { message });
    }
    Ok(tasks)
}

/// Samples `samples` completions for every row, in the order of the rows. Those that another stage has sampled before,
/// with the same model, settings, prompt and seed, are taken as they were.
///
/// # Errors
/// As [`encode_prompts`], or [`StageError::Interrupted`].
pub fn complete(
    context: &StageContext,
    model: &LanguageModel,
    rows: &[Row],
    samples: usize,
    sampling: &Sampling,
    seed: Seed,
) -> Result<Vec<Completed>, StageError> {
    let tasks = encode_prompts(context, model, rows.to_vec(), sampling.max_tokens)?;
    // A stream belongs to a row's id, so that other rows can come and go without changing its completions.
    let prompt = |at: usize| {
        let task = &tasks[at / samples];
        Prompt { ids: task.prompt.clone(), seed: seed.child(&task.row.id, (at % samples) as u64) }
    };
    let prompts: Vec<Prompt> = (0..tasks.len() * samples).map(prompt).collect();
    let mut kept = Completions::open(context.cache.as_deref(), model.files(), sampling)?;
    let keys: Vec<Digest> = prompts.par_iter().map(|prompt| Completions::key(&prompt.ids, &prompt.seed)).collect();
    write_missing(context, model, &prompts, &keys, sampling, &mut kept)?;
    let completed = |(at, key): (usize, &Digest)| {
        let written = kept.get(key).ok_or_else(|| StageError::machine("a completion was sampled and is not there"))?;
        let Written { text, tokens, truncated, .. } = written.clone();
        Ok(Completed { row: tasks[at / samples].row.clone(), sample: at % samples, text, tokens, truncated })
    };
    keys.iter().enumerate().map(completed).collect()
}

/// Samples what is not known yet, in parts where it is kept, so that what is done is not lost when the stage is stopped.
fn write_missing(
    context: &StageContext,
    model: &LanguageModel,
    prompts: &[Prompt],
    keys: &[Digest],
    sampling: &Sampling,
    kept: &mut Completions,
) -> Result<(), StageError> {
    let mut asked = HashSet::new();
    let missing: Vec<usize> =
        (0..keys.len()).filter(|&at| kept.get(&keys[at]).is_none() && asked.insert(keys[at])).collect();
    let known = keys.len() - missing.len();
    if known > 0 {
        context.facts([("completions_known", known as f64)]);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let decoder = model.frozen()?;
    let mut told = Progress { finished: known, total: keys.len(), ..Progress::default() };
    for part in missing.chunks(if kept.are_kept() { KEPT_AT_ONCE } else { usize::MAX }) {
        let before = told;
        let asked: Vec<Prompt> = part.iter().map(|&at| prompts[at].clone()).collect();
        let completions = rollout::generate(&decoder, &asked, sampling, SEQUENCES_AT_ONCE, &mut |now| {
            let now = Progress {
                finished: before.finished + now.finished,
                total: keys.len(),
                tokens: before.tokens + now.tokens,
                ..now
            };
            if now.finished > told.finished {
                context.say(progress(&told, &now));
                told = now;
            }
            !context.should_stop()
        })?;
        let written =
            part.par_iter().zip(&completions).map(|(&at, completion)| write(model, keys[at], completion, sampling));
        kept.add(written.collect::<Result<_, StageError>>()?);
    }
    Ok(())
}

fn write(
    model: &LanguageModel,
    key: Digest,
    completion: &Completion,
    sampling: &Sampling,
) -> Result<Written, StageError> {
    Ok(Written {
        key,
        text: completion.text(&model.tokenizer, sampling)?,
        tokens: completion.ids.len(),
        truncated: completion.is_truncated(),
    })
}

fn progress(before: &Progress, now: &Progress) -> StageEvent {
    StageEvent::Progress {
        step: now.finished as u64,
        total: now.total as u64,
        unit: "sequence".to_string(),
        tokens: (now.tokens - before.tokens) as u64,
        metrics: BTreeMap::from([
            ("occupancy".to_string(), now.occupancy()),
            ("cache_use".to_string(), now.cache_use()),
            ("truncated".to_string(), now.truncated_share()),
            ("prompt_tokens".to_string(), (now.prompt_tokens - before.prompt_tokens) as f64),
        ]),
    }
}
