//! Many requests at a time: each answered once, kept before it counts, and tried again with patience.

use super::ApiError;
use super::answer::Answer;
use super::client::{Client, Reply};
use super::kept::Kept;
use super::patience::Patience;
use super::request::Request;
use crate::base::digest::Digest;
use crate::base::seed::{Seed, Stream};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long requests on their way are waited for when no more are sent: what they cost is paid.
const GRACE: Duration = Duration::from_secs(5);
/// Time between two looks at whether to stop.
const TICK: Duration = Duration::from_millis(50);
/// Further tries where no server was ever there: it is down, or the address is wrong.
const TRIES_AT_NOBODY: u32 = 2;

/// How a server is asked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests at a time.
    pub concurrency: usize,
    /// How requests are tried again.
    pub patience: Patience,
}

impl Limits {
    /// So many requests at a time, each tried again so often.
    pub fn new(concurrency: usize, retries: usize) -> Limits {
        Limits { concurrency, patience: Patience::of(retries) }
    }
}

/// What came of a request in the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A completion.
    Answer(Answer),
    /// The server takes no such prompt, and says why.
    LeftOut(String),
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests with an outcome.
    pub done: usize,
    /// Requests in all that had no answer when it began.
    pub total: usize,
    /// Those that had one.
    pub kept: usize,
    /// Tokens of all completions since.
    pub tokens: u64,
    /// Tries that failed and were followed by another.
    pub retried: usize,
}

/// Asks everything that has no answer yet, and returns the outcome of each request in their order. Requests that are
/// the same are asked once.
///
/// `watch` hears how far it is, several times a second; it says whether to go on. Whatever happens, answers that came
/// are kept.
///
/// # Errors
/// [`ApiError`]; after one, no further request is sent.
pub fn ask_all(
    client: Client,
    requests: &[Request],
    kept: &Kept,
    limits: Limits,
    seed: Seed,
    watch: &mut dyn FnMut(Progress) -> bool,
) -> Result<Vec<Outcome>, ApiError> {
    let names: Vec<Digest> = requests.iter().map(Request::digest).collect();
    let mut answers = kept.read(&names.iter().copied().collect())?;
    let mut seen: HashSet<Digest> = answers.keys().copied().collect();
    let open = names.iter().zip(requests).filter(|(name, _)| seen.insert(**name));
    let open: Vec<(Digest, Request)> = open.map(|(name, request)| (*name, request.clone())).collect();
    let mut crowd = Crowd::start(client, open, limits, seed, answers.len());
    let mut outcomes: HashMap<Digest, Outcome> = HashMap::new();
    let ended = crowd.work(kept, &mut answers, &mut outcomes, watch);
    crowd.shared.halt.store(true, Ordering::Relaxed);
    ended?;
    outcomes.extend(answers.into_iter().map(|(name, answer)| (name, Outcome::Answer(answer))));
    let outcome = |name: &Digest| outcomes.get(name).cloned().ok_or_else(lost);
    names.iter().map(outcome).collect()
}

fn lost() -> ApiError {
    ApiError::Unavailable("a bug in srlm, please report it: a request has no outcome".to_string())
}

/// What the threads share.
struct Shared {
    client: Client,
    open: Vec<(Digest, Request)>,
    next: AtomicUsize,
    /// No further request is sent.
    halt: AtomicBool,
    /// Nobody asks before then: a server that asks one of us to wait means all.
    gate: Mutex<Instant>,
    /// Whether a server was ever there.
    reached: AtomicBool,
    retried: AtomicUsize,
    patience: Patience,
    seed: Seed,
}

/// The outcome of the request at an index, or what ends it all.
type News = (usize, Result<Outcome, ApiError>);

/// The threads that ask, from the side of the one that listens. They are not joined: one that waits for a slow server
/// must not keep a stage from stopping.
struct Crowd {
    shared: Arc<Shared>,
    news: Receiver<News>,
    progress: Progress,
}

impl Crowd {
    fn start(client: Client, open: Vec<(Digest, Request)>, limits: Limits, seed: Seed, kept: usize) -> Crowd {
        let (sender, news) = channel();
        let progress = Progress { total: open.len(), kept, ..Progress::default() };
        let threads = limits.concurrency.min(open.len());
        let shared = Arc::new(Shared {
            client,
            open,
            next: AtomicUsize::new(0),
            halt: AtomicBool::new(false),
            gate: Mutex::new(Instant::now()),
            reached: AtomicBool::new(false),
            retried: AtomicUsize::new(0),
            patience: limits.patience,
            seed,
        });
        for _ in 0..threads {
            let (shared, sender) = (Arc::clone(&shared), sender.clone());
            std::thread::spawn(move || shared.ask_in_turn(&sender));
        }
        Crowd { shared, news, progress }
    }

    /// Listens until everything has an outcome, or something ends it.
    fn work(
        &mut self,
        kept: &Kept,
        answers: &mut HashMap<Digest, Answer>,
        outcomes: &mut HashMap<Digest, Outcome>,
        watch: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<(), ApiError> {
        let mut ending: Option<(Instant, ApiError)> = None;
        loop {
            let (batch, is_over) = self.listen();
            let mut fresh = Vec::new();
            for (index, outcome) in batch {
                let name = self.shared.open[index].0;
                match outcome {
                    Ok(Outcome::Answer(answer)) => fresh.push((name, answer)),
                    Ok(left_out) => drop(outcomes.insert(name, left_out)),
                    Err(error) => {
                        ending.get_or_insert((Instant::now(), error));
                        continue;
                    }
                }
                self.progress.done += 1;
            }
            if !fresh.is_empty() {
                kept.add(&fresh)?;
            }
            self.progress.tokens += fresh.iter().filter_map(|(_, answer)| answer.tokens).sum::<u64>();
            self.progress.retried = self.shared.retried.load(Ordering::Relaxed);
            answers.extend(fresh);
            if !watch(self.progress) {
                ending.get_or_insert((Instant::now(), ApiError::Stopped(answers.len())));
            }
            self.shared.halt.fetch_or(ending.is_some(), Ordering::Relaxed);
            let is_late = ending.as_ref().is_some_and(|(since, _)| since.elapsed() > GRACE);
            if is_over || is_late {
                return match ending {
                    Some((_, ApiError::Stopped(_))) => Err(ApiError::Stopped(answers.len())),
                    Some((_, error)) => Err(error),
                    None => Ok(()),
                };
            }
        }
    }

    /// What has happened since, and whether nothing more will.
    fn listen(&self) -> (Vec<News>, bool) {
        match self.news.recv_timeout(TICK) {
            Ok(first) => (std::iter::once(first).chain(self.news.try_iter()).collect(), false),
            Err(RecvTimeoutError::Timeout) => (Vec::new(), false),
            Err(RecvTimeoutError::Disconnected) => (Vec::new(), true),
        }
    }
}

impl Shared {
    /// Takes requests until there are none.
    fn ask_in_turn(&self, news: &Sender<News>) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((_, request)) = self.open.get(index) else { return };
            let Some(outcome) = self.ask(index, request) else { return };
            self.halt.fetch_or(outcome.is_err(), Ordering::Relaxed);
            if news.send((index, outcome)).is_err() {
                return;
            }
        }
    }

    /// Asks until there is an outcome; none where there is to be none any more.
    fn ask(&self, index: usize, request: &Request) -> Option<Result<Outcome, ApiError>> {
        let mut stream = self.seed.child("retry", index as u64).stream();
        let mut tried = 0;
        loop {
            self.wait()?;
            let (why, after, reached) = match self.client.ask(request) {
                Reply::Answer(answer) => {
                    self.reached.store(true, Ordering::Relaxed);
                    return Some(Ok(Outcome::Answer(answer)));
                }
                Reply::LeftOut(why) => return Some(Ok(Outcome::LeftOut(why))),
                Reply::Refused(why) => return Some(Err(ApiError::Refused(why))),
                Reply::Again { why, after, reached } => (why, after, reached),
            };
            if let Err(error) = self.pause(tried, &why, after, reached, &mut stream) {
                return Some(Err(error));
            }
            tried += 1;
            self.retried.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Puts the next try off, or gives up.
    fn pause(
        &self,
        tried: u32,
        why: &str,
        after: Option<Duration>,
        reached: bool,
        stream: &mut Stream,
    ) -> Result<(), ApiError> {
        let was_reached = self.reached.fetch_or(reached, Ordering::Relaxed) || reached;
        if !was_reached && tried >= TRIES_AT_NOBODY.min(self.patience.retries) {
            return Err(ApiError::Unreachable(format!("{why}; start it, or look at `url`")));
        }
        if tried >= self.patience.retries {
            let times = if tried == 0 { "once".to_string() } else { format!("{} times", tried + 1) };
            return Err(ApiError::Unavailable(format!(
                "{why}, and was asked {times}; what it answered is kept, and the same command goes on from there"
            )));
        }
        if let Some(after) = after.filter(|after| *after > self.patience.limit) {
            return Err(ApiError::Unavailable(format!(
                "{why}, and asks to wait {} minutes; what it answered is kept, and the same command goes on from there",
                after.as_secs() / 60
            )));
        }
        let own = self.patience.pause(tried, stream);
        let until = Instant::now() + after.map_or(own, |after| after.max(own));
        if after.is_some() {
            let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            *gate = (*gate).max(until);
        } else {
            self.sleep_until(until);
        }
        Ok(())
    }

    /// Waits until the gate is open; none where no further request is to be sent.
    fn wait(&self) -> Option<()> {
        loop {
            let gate = *self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.sleep_until(gate) {
                return None;
            }
            if *self.gate.lock().unwrap_or_else(PoisonError::into_inner) == gate {
                return Some(());
            }
        }
    }

    /// Whether to go on by then.
    fn sleep_until(&self, until: Instant) -> bool {
        while !self.halt.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(TICK));
        }
        false
    }
}
