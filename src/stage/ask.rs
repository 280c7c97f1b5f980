//! A model asked by hand: prompts as text in, completions as text out while they grow.

use super::language_model::LanguageModel;
use super::{Files, StageError};
use crate::base::seed::Seed;
use crate::data::encode::encode_prompt;
use crate::data::row::{Message, Row};
pub use crate::rollout::Sampling;
use crate::rollout::{Completion, Emitted, Progress, Prompt, Stop, StopTexts, generate_watched};
use serde::Serialize;

/// Sequences that are generated at the same time; it changes no token.
const AT_ONCE: usize = 64;

/// What is asked, and how completions are sampled.
#[derive(Clone, Debug)]
pub struct Question {
    /// The prompts.
    pub prompts: Vec<String>,
    /// What the model is told before each.
    pub system: Option<String>,
    /// Whether a prompt is the start of the text itself, without the model's chat template.
    pub raw: bool,
    /// Completions a prompt.
    pub samples: usize,
    /// How they are sampled; `stop_ids` are added to the model's own, and `stop_texts` is taken from `stop`.
    pub sampling: Sampling,
    /// Texts that end a completion.
    pub stop: Vec<String>,
    /// Root of every random choice.
    pub seed: u64,
}

/// A token of a completion.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Token {
    /// Which prompt, from 0.
    pub prompt: usize,
    /// Which of its samples, from 0.
    pub sample: usize,
    /// Its id.
    pub token: u32,
    /// Its log-probability under the model at the temperature.
    pub logprob: f32,
    /// What can be shown by now and could not before: often the token's text, less where a character or a stop text
    /// may be under way.
    pub text: String,
}

/// A completion that has ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Which prompt, from 0.
    pub prompt: usize,
    /// Which of its samples, from 0.
    pub sample: usize,
    /// The text, without what ended it.
    pub text: String,
    /// Why it ended: `stop` (a token), `text` (a stop text) or `length`.
    pub stop: &'static str,
    /// Its token ids.
    pub ids: Vec<u32>,
    /// The log-probability of each under the model at the temperature.
    pub logprobs: Vec<f32>,
}

/// What is told while completions grow.
pub enum Said<'a> {
    /// A token more.
    Token(&'a Token),
    /// The rest of a sequence's text that was held back, and that it has ended.
    End {
        /// Which prompt.
        prompt: usize,
        /// Which sample.
        sample: usize,
        /// What is still to be shown.
        rest: String,
    },
}

/// Numbers of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Asked {
    /// Tokens of all prompts; equal ones are computed once.
    pub prompt_tokens: usize,
    /// Tokens generated.
    pub tokens: usize,
    /// Completions that were cut at a length limit.
    pub truncated: usize,
}

/// Asks a model. `say` hears every token and every end; false stops the call.
///
/// # Errors
/// [`StageError::Input`] for a prompt that the model cannot take, [`StageError::Interrupted`] where `say` stops it.
pub fn ask(
    files: &Files,
    question: &Question,
    say: &mut dyn FnMut(Said<'_>) -> bool,
) -> Result<(Vec<Answer>, Asked), StageError> {
    let model = LanguageModel::load(files)?;
    let prompts = question.encoded(&model)?;
    let sampling = question.sampling(&model);
    let decoder = model.frozen()?;
    let mut texts = vec![Growing::default(); prompts.len()];
    let mut asked = Asked::default();
    let completions = generate_watched(&decoder, &prompts, &sampling, AT_ONCE, &mut |progress, emitted| {
        asked = Asked::of(progress);
        emitted.iter().all(|token| hear(token, question.samples, &model, &sampling, &mut texts, say))
    })?;
    let answer = |(at, completion): (usize, Completion)| {
        Ok(Answer {
            prompt: at / question.samples,
            sample: at % question.samples,
            text: completion.text(&model.tokenizer, &sampling)?,
            stop: word(completion.stop),
            ids: completion.ids,
            logprobs: completion.logprobs,
        })
    };
    let answers: Result<Vec<Answer>, StageError> = completions.into_iter().enumerate().map(answer).collect();
    Ok((answers?, asked))
}

impl Asked {
    fn of(progress: &Progress) -> Self {
        let Progress { prompt_tokens, tokens, truncated, .. } = *progress;
        Asked { prompt_tokens, tokens, truncated }
    }
}

impl Question {
    fn encoded(&self, model: &LanguageModel) -> Result<Vec<Prompt>, StageError> {
        let (room, seed) = (model.context_length(), Seed::new(self.seed).child("ask", 0));
        let mut prompts = Vec::with_capacity(self.prompts.len() * self.samples);
        for (at, text) in self.prompts.iter().enumerate() {
            let ids = self.ids(text, model)?;
            let number = at + 1;
            if ids.is_empty() {
                return Err(StageError::input(format!(
                    "prompt {number} is empty: a completion needs at least one token to follow"
                )));
            }
            if ids.len() >= room {
                return Err(StageError::input(format!(
                    "prompt {number} has {} tokens, but the model has {room} positions: shorten it",
                    ids.len()
                )));
            }
            let sample = |sample: usize| Prompt {
                ids: ids.clone(),
                seed: seed.child("prompt", at as u64).child("sample", sample as u64),
            };
            prompts.extend((0..self.samples).map(sample));
        }
        Ok(prompts)
    }

    fn ids(&self, text: &str, model: &LanguageModel) -> Result<Vec<u32>, StageError> {
        if self.raw {
            return Ok(model.tokenizer.encode(text, true)?);
        }
        let mut row = Row::new(text, None, None);
        if let Some(system) = &self.system {
            row.messages.insert(0, Message::new("system", system));
        }
        Ok(encode_prompt(&model.tokenizer, &row)?)
    }

    fn sampling(&self, model: &LanguageModel) -> Sampling {
        let own = model.tokenizer.stop_ids().iter().copied();
        Sampling {
            stop_ids: own.chain(self.sampling.stop_ids.iter().copied()).collect(),
            stop_texts: StopTexts::new(&self.stop, &model.tokenizer),
            ..self.sampling.clone()
        }
    }
}

/// A sequence's tokens so far, and how many bytes of its text have been shown.
#[derive(Clone, Debug, Default)]
struct Growing {
    ids: Vec<u32>,
    shown: usize,
}

impl Growing {
    /// The text behind what was shown, as far as `settled` lets it be seen.
    fn more(&mut self, text: &str) -> String {
        let more = text.get(self.shown..).unwrap_or_default().to_string();
        self.shown += more.len();
        more
    }
}

fn hear(
    emitted: &Emitted,
    samples: usize,
    model: &LanguageModel,
    sampling: &Sampling,
    texts: &mut [Growing],
    say: &mut dyn FnMut(Said<'_>) -> bool,
) -> bool {
    let growing = &mut texts[emitted.prompt];
    let (prompt, sample) = (emitted.prompt / samples, emitted.prompt % samples);
    if emitted.stop != Some(Stop::Stop) {
        growing.ids.push(emitted.id);
    }
    // A text that cannot be made now is told of when the completion is made.
    let text = model.tokenizer.decode(&growing.ids, true).unwrap_or_default();
    let whole = sampling.stop_texts.as_ref().map_or(text.as_str(), |stops| stops.cut(&text));
    let settled = sampling.stop_texts.as_ref().map_or(text.as_str(), |stops| stops.settled(&text));
    // The rest of a character may be in the next token.
    let seen = growing.more(settled.trim_end_matches('\u{fffd}'));
    let token = Token { prompt, sample, token: emitted.id, logprob: emitted.logprob, text: seen };
    let goes_on = say(Said::Token(&token));
    match emitted.stop {
        None => goes_on,
        Some(_) => say(Said::End { prompt, sample, rest: growing.more(whole) }) && goes_on,
    }
}

fn word(stop: Stop) -> &'static str {
    match stop {
        Stop::Stop => "stop",
        Stop::Text => "text",
        Stop::Length => "length",
    }
}
