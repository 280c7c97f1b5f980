//! Asking a remote cache for records: many at once, and nothing twice.

use super::{FRESH, Remote, RemoteError, Shared, lock, parallel::parallel};
use crate::base::digest::Digest;
use crate::store::record::Record;
use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Instant;

/// Questions at the same time.
const WIDTH: usize = 32;
/// No record is so long.
const LONGEST: u64 = 64 << 20;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// The record of a deep key.
    Key(Digest),
    /// A record with this shallow key.
    Shallow(Digest),
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A record whose seal and key are right. Whether its blobs are, is seen when they are fetched.
    Found(Box<Record>),
    /// There is none.
    Absent,
    /// No answer that helps, and why.
    Failed(String),
}

/// Answers so far; what is not there may be there later.
#[derive(Default)]
pub(super) struct Answers(Mutex<HashMap<Question, Held>>);

struct Held {
    answer: Answer,
    /// When it stops to count; some count for good.
    stale: Option<Instant>,
}

impl Answers {
    fn get(&self, question: &Question) -> Option<Answer> {
        let held = lock(&self.0);
        let held = held.get(question)?;
        held.stale.is_none_or(|stale| Instant::now() < stale).then(|| held.answer.clone())
    }

    fn hold(&self, question: Question, answer: Answer) {
        let stale = match answer {
            Answer::Found(_) => None,
            _ => Some(Instant::now() + FRESH),
        };
        lock(&self.0).insert(question, Held { answer, stale });
    }

    fn hold_for_good(&self, question: Question, answer: Answer) {
        lock(&self.0).insert(question, Held { answer, stale: None });
    }
}

impl Remote {
    /// The answer to a question that was asked a short while ago. No network is used.
    pub fn answer(&self, question: &Question) -> Option<Answer> {
        self.0.answers.get(question)
    }

    /// Asks what was not asked a short while ago, all at once. Failures are told as warnings.
    pub fn ask(&self, questions: impl IntoIterator<Item = Question>) {
        let shared = &self.0;
        let open: BTreeSet<Question> =
            questions.into_iter().filter(|question| self.answer(question).is_none()).collect();
        if open.is_empty() {
            return;
        }
        let open = Vec::from_iter(open);
        match shared.is_there() {
            Ok(true) => drop(parallel(&open, WIDTH, |question| shared.settle(*question))),
            Ok(false) => open.into_iter().for_each(|question| shared.answers.hold(question, Answer::Absent)),
            Err(error) => {
                shared.warn(&error);
                let failed = |question| shared.answers.hold(question, Answer::Failed(error.to_string()));
                open.into_iter().for_each(failed);
            }
        }
    }
}

impl Shared {
    /// Finds the answer to one question and keeps it.
    fn settle(&self, question: Question) {
        let found = match question {
            Question::Key(key) => self.record(&key),
            Question::Shallow(shallow) => self.record_by_shallow(&shallow),
        };
        let answer = match found {
            Ok(Some(record)) => {
                self.answers.hold(Question::Key(record.key), Answer::Found(Box::new(record.clone())));
                Answer::Found(Box::new(record))
            }
            Ok(None) => Answer::Absent,
            Err(error) => {
                self.warn(&error);
                Answer::Failed(error.to_string())
            }
        };
        self.answers.hold(question, answer);
    }

    /// The record there under a key.
    pub(super) fn record(&self, key: &Digest) -> Result<Option<Record>, RemoteError> {
        if self.distrusts(key) {
            return Ok(None);
        }
        let Some(bytes) = self.link.read(&self.names.record(key), LONGEST)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_string());
        let parsed = text.and_then(|text| Record::from_text(key, text));
        parsed.map(Some).map_err(|why| {
            self.distrust(*key);
            RemoteError::Damaged(format!("the record {}: {why}", key.short()))
        })
    }

    fn record_by_shallow(&self, shallow: &Digest) -> Result<Option<Record>, RemoteError> {
        let Some(key) = self.lead(shallow)? else { return Ok(None) };
        let record = match self.answers.get(&Question::Key(key)) {
            Some(Answer::Found(record)) => Some(*record),
            _ => self.record(&key)?,
        };
        Ok(record.filter(|record| record.shallow == *shallow))
    }

    /// Where a shallow key leads to.
    pub(super) fn lead(&self, shallow: &Digest) -> Result<Option<Digest>, RemoteError> {
        let bytes = self.link.read(&self.names.shallow(shallow), 1 << 10)?;
        Ok(bytes.and_then(|bytes| String::from_utf8_lossy(&bytes).trim_end().parse().ok()))
    }

    /// What is there under a key is of no use: it is not asked for again, and replaced by what is made here.
    pub(super) fn give_up_on(&self, record: &Record, why: &RemoteError) {
        let failed = Answer::Failed(why.to_string());
        self.answers.hold_for_good(Question::Key(record.key), failed.clone());
        self.answers.hold_for_good(Question::Shallow(record.shallow), failed);
        if why.is_damage() {
            self.distrust(record.key);
        }
    }
}
