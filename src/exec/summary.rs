//! What came of a run, stage by stage.

use crate::stage::StageError;
use crate::store::Record;
use std::collections::BTreeMap;

/// What came of one stage.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Its result was in the store.
    Cached(Box<Record>),
    /// It ran, and its result is in the store now.
    Finished(Box<Record>),
    /// It ran, and has no result.
    Failed(StageError),
    /// It could not run: the stage of this graph index failed.
    Blocked {
        /// The failed one.
        by: usize,
    },
    /// It was stopped; what it had saved is kept.
    Interrupted {
        /// The step of its newest saved state.
        saved_at: Option<u64>,
    },
}

/// What came of a run. A stage without an outcome was not started.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The run's id.
    pub run: String,
    /// Graph index to outcome.
    pub outcomes: BTreeMap<usize, Outcome>,
    /// Whether the run was asked to stop.
    pub interrupted: bool,
    /// Wall time.
    pub seconds: f64,
}

impl Summary {
    /// The record of a stage, where there is one now.
    pub fn record(&self, node: usize) -> Option<&Record> {
        match self.outcomes.get(&node)? {
            Outcome::Cached(record) | Outcome::Finished(record) => Some(record),
            _ => None,
        }
    }

    /// Stages run to the end.
    pub fn finished(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Finished(_)))
    }

    /// Stages found in the store.
    pub fn cached(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Cached(_)))
    }

    /// Stages that failed.
    pub fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// Stages that could not start because one they need failed.
    pub fn blocked(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Blocked { .. }))
    }

    /// Whether something failed, and only ever because of the machine: no file needs a change.
    pub fn machine_failed(&self) -> bool {
        let mut failures = self.outcomes.values().filter_map(|outcome| match outcome {
            Outcome::Failed(error) => Some(error.is_of_the_machine()),
            _ => None,
        });
        failures.next().is_some_and(|first| first && failures.all(|machine| machine))
    }

    fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.values().filter(|outcome| wanted(outcome)).count()
    }
}
