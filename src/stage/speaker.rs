//! Whoever completes prompts: a model of this machine, or one behind a server.

use super::api::ApiArgs;
use super::language_model::LanguageModel;
use super::sampling::{Completed, SamplingArgs, complete};
use super::{StageContext, StageError, Teacher};
use crate::api::{
    Address, Answer, ApiError, Client, Kept, Limits, Outcome, Progress, Prompt, Request, Secret, Settings, ask_all,
};
use crate::base::event::StageEvent;
use crate::base::seed::Seed;
use crate::data::row::Row;
use crate::rollout::Sampling;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Time between two progress events.
const TELL: Duration = Duration::from_millis(250);

/// A model that writes completions.
pub enum Speaker {
    /// Its weights are here.
    Here(Box<LanguageModel>),
    /// A server has it.
    There(Remote),
}

impl Speaker {
    /// The model that is the input of that role.
    ///
    /// # Errors
    /// As [`LanguageModel::load`]; [`StageError::Input`] where the fields of an `api` are at fault.
    pub fn load(context: &StageContext, role: &str) -> Result<Speaker, StageError> {
        match context.teachers.get(role) {
            Some(teacher) => Remote::new(teacher).map(Speaker::There),
            None => Ok(Speaker::Here(Box::new(LanguageModel::load(context.input(role)?)?))),
        }
    }

    /// The model itself, for those that look at its distributions.
    ///
    /// # Errors
    /// [`StageError::Input`] where it is behind a server, which tells words only. The check has refused it already.
    pub fn weights(&self) -> Result<&LanguageModel, StageError> {
        match self {
            Speaker::Here(model) => Ok(model),
            Speaker::There(remote) => Err(StageError::input(format!(
                "the teacher is behind {}, which tells words and no distributions: use `loss: text()`",
                remote.address
            ))),
        }
    }

    /// How its completions are sampled, and what ends them. A server knows its own stop tokens.
    pub fn sampling(&self, args: &SamplingArgs) -> Sampling {
        match self {
            Speaker::Here(model) => args.sampling(model),
            Speaker::There(_) => {
                let (min_p, repetition_penalty) = (args.min_p, args.repetition_penalty.0);
                Sampling { min_p, repetition_penalty, stop_ids: args.more_stop_ids(), ..Sampling::default() }
            }
        }
    }

    /// Samples `samples` completions for every row, in the order of the rows, ended by the texts of `stop` too. Rows
    /// whose prompts leave no room are left out, with a warning.
    ///
    /// # Errors
    /// As [`complete`]; what the server says, or [`StageError::Interrupted`] with the number of answers there are.
    pub fn complete(
        &self,
        context: &StageContext,
        rows: &[Row],
        samples: usize,
        (sampling, stop): (&Sampling, &[String]),
        seed: Seed,
    ) -> Result<Vec<Completed>, StageError> {
        match self {
            Speaker::Here(model) => complete(context, model, rows, samples, sampling, seed),
            Speaker::There(remote) => remote.complete(context, rows, samples, &remote.settings(sampling, stop), seed),
        }
    }
}

/// A model behind a server.
pub struct Remote {
    args: ApiArgs,
    address: Address,
    kept: Kept,
}

impl Remote {
    fn new(teacher: &Teacher) -> Result<Remote, StageError> {
        let args: ApiArgs = serde_json::from_value(teacher.args.clone())
            .map_err(|error| StageError::machine(format!("the arguments of `api` cannot be read: {error}")))?;
        if let Some(fault) = args.fault() {
            return Err(StageError::input(format!("the `{}` of `api`: {}", fault.field, fault.why)));
        }
        let address = args.address().map_err(StageError::input)?;
        Ok(Remote { args, address, kept: Kept::new(&teacher.answers) })
    }

    fn complete(
        &self,
        context: &StageContext,
        rows: &[Row],
        samples: usize,
        settings: &Settings,
        seed: Seed,
    ) -> Result<Vec<Completed>, StageError> {
        if rows.is_empty() {
            return Err(StageError::input("the dataset has no row: there is nothing to complete"));
        }
        let request = |at: usize| self.request(&rows[at / samples], at % samples, settings, seed);
        let requests = (0..rows.len() * samples).map(request).collect::<Result<Vec<Request>, _>>()?;
        let limits = Limits::new(self.args.concurrency, self.args.retries);
        let mut told = Told::default();
        let mut watch = |now: Progress| {
            told.tell(context, now);
            !context.should_stop()
        };
        let outcomes = ask_all(self.client()?, &requests, &self.kept, limits, seed.child("server", 0), &mut watch)?;
        self.sum_up(context, &outcomes, told.last);
        let completed = completed(rows, samples, outcomes);
        match completed.is_empty() {
            true => Err(StageError::input(format!(
                "{} takes none of the {} prompts: they leave no room for `max_completion_length`, or its filter refuses \
                 them",
                self.address,
                rows.len()
            ))),
            false => Ok(completed),
        }
    }

    fn settings(&self, sampling: &Sampling, stop: &[String]) -> Settings {
        Settings {
            model: self.args.model.clone(),
            chat: !self.args.plain,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k,
            min_p: sampling.min_p,
            repetition_penalty: sampling.repetition_penalty,
            max_tokens: sampling.max_tokens,
            stop: stop.iter().filter(|text| !text.is_empty()).cloned().collect(),
            stop_ids: sampling.stop_ids.clone(),
        }
    }

    /// The request for one of a row's samples. As here, a stream belongs to a row's id.
    fn request(&self, row: &Row, sample: usize, settings: &Settings, seed: Seed) -> Result<Request, StageError> {
        if self.args.plain && row.messages.len() != 1 {
            return Err(StageError::input(format!(
                "row `{}` is a conversation of {} turns, and with `plain: true` a prompt is one text: leave `plain` out",
                row.id,
                row.messages.len()
            )));
        }
        let turns = row.messages.iter().map(|turn| (turn.role.clone(), turn.content.clone())).collect();
        let prompt = Prompt { turns, seed: seed.child(&row.id, sample as u64) };
        Ok(Request::new(&prompt, settings))
    }

    fn client(&self) -> Result<Client, StageError> {
        let key_env = self.args.key_env.as_deref();
        let secret = key_env.and_then(Secret::from_env);
        if let (Some(name), None) = (key_env, &secret) {
            return Err(StageError::input(format!(
                "the environment variable {name}, which `key_env` names, is not set: set it to the key of {}",
                self.address
            )));
        }
        Ok(Client::new(
            self.address.clone(),
            (&self.args.model, !self.args.plain),
            (key_env, secret),
            Duration::from_millis(self.args.timeout.milliseconds),
            self.args.concurrency,
        ))
    }

    /// Says what was asked, and warns of what the server did otherwise.
    fn sum_up(&self, context: &StageContext, outcomes: &[Outcome], progress: Progress) {
        let answers = || outcomes.iter().filter_map(answer);
        let sum = |of: fn(&Answer) -> Option<u64>| answers().filter_map(of).sum::<u64>() as f64;
        context.facts([
            ("requests", progress.done as f64),
            ("requests_retried", progress.retried as f64),
            ("prompt_tokens", sum(|answer| answer.prompt_tokens)),
            ("completion_tokens", sum(|answer| answer.tokens)),
        ]);
        let warn = |message: String| context.say(StageEvent::Warning { message });
        let uncounted = answers().filter(|answer| answer.tokens.is_none()).count();
        if uncounted > 0 {
            warn(format!("{} counted no tokens of {uncounted} completions: they count as 0 tokens", self.address));
        }
        let odd = answers().filter(|answer| !["stop", "length", "eos"].contains(&answer.finish.as_str()));
        let odd: Vec<&str> = odd.map(|answer| answer.finish.as_str()).collect();
        if let Some(first) = odd.first() {
            warn(format!("{} of {} completions ended by `{first}` or the like", odd.len(), outcomes.len()));
        }
        let left_out = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::LeftOut(why) => Some(why),
            Outcome::Answer(_) => None,
        });
        let left_out: Vec<&String> = left_out.collect();
        if let Some(why) = left_out.first() {
            let (count, all) = (left_out.len(), outcomes.len());
            warn(format!(
                "{} took {count} of {all} prompts not at all, and their rows are left out{why}",
                self.address
            ));
        }
    }
}

impl ApiArgs {
    /// Where the server is: by the environment where it says so, else by `url`.
    fn address(&self) -> Result<Address, String> {
        let elsewhere = self.url_env.as_ref().and_then(|name| Some((name, std::env::var(name).ok()?)));
        match elsewhere.filter(|(_, value)| !value.trim().is_empty()) {
            Some((name, value)) => Address::new(value.trim())
                .map_err(|why| format!("the address in the environment variable {name}: {why}")),
            None => Address::new(&self.url).map_err(|why| format!("the `url` of `api`: {why}")),
        }
    }
}

fn answer(outcome: &Outcome) -> Option<&Answer> {
    match outcome {
        Outcome::Answer(answer) => Some(answer),
        Outcome::LeftOut(_) => None,
    }
}

/// The rows with their completions. A row of which a sample was not taken is left out whole: those that judge look at
/// all samples of a row.
fn completed(rows: &[Row], samples: usize, outcomes: Vec<Outcome>) -> Vec<Completed> {
    let mut found = Vec::with_capacity(outcomes.len());
    for (row, outcomes) in rows.iter().zip(outcomes.chunks(samples)) {
        let answers: Vec<&Answer> = outcomes.iter().filter_map(answer).collect();
        if answers.len() < samples {
            continue;
        }
        found.extend(answers.into_iter().enumerate().map(|(sample, answer)| Completed {
            row: row.clone(),
            sample,
            text: answer.text.clone(),
            tokens: answer.tokens.unwrap_or(0) as usize,
            truncated: answer.is_truncated(),
        }));
    }
    found
}

/// What listeners have been told.
#[derive(Default)]
struct Told {
    last: Progress,
    said: Progress,
    when: Option<Instant>,
    began: Option<Instant>,
}

impl Told {
    fn tell(&mut self, context: &StageContext, now: Progress) {
        self.last = now;
        if self.began.is_none() {
            context.facts([("answers_kept", now.kept as f64), ("answers_to_come", now.total as f64)]);
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        let is_due = self.when.is_none_or(|when| when.elapsed() >= TELL) || now.done == now.total;
        if now.done == self.said.done || !is_due {
            return;
        }
        let seconds = began.elapsed().as_secs_f64().max(1e-3);
        context.say(StageEvent::Progress {
            step: now.done as u64,
            total: now.total as u64,
            unit: "request".to_string(),
            tokens: now.tokens - self.said.tokens,
            metrics: BTreeMap::from([("requests_per_second".to_string(), now.done as f64 / seconds)]),
        });
        (self.said, self.when) = (now, Some(Instant::now()));
    }
}

impl From<ApiError> for StageError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Refused(message) => StageError::Input { message },
            ApiError::Unreachable(message) => StageError::Machine { message },
            // Whatever was answered is kept, so that a further try costs little.
            ApiError::Unavailable(message) => StageError::Io { message },
            ApiError::Stopped(answers) => StageError::Interrupted { saved_at: Some(answers as u64) },
            ApiError::Io(error) => error.into(),
        }
    }
}
