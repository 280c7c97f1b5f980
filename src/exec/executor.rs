//! What the scheduler asks of whatever runs its jobs.

use super::job::Job;
use crate::base::event::StageEvent;
use crate::stage::{Metrics, StageError};
use std::time::Duration;

/// Which submitted job an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What became of a job since the last look.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// It said something.
    Said(StageEvent),
    /// It is over; nothing follows for its ticket.
    Ended(Ended),
}

/// How a job ended, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Its final numbers, or why there are none.
    pub result: Result<Metrics, StageError>,
    /// The most memory that its process had at once, or a process that it started and waited for; in bytes, where the
    /// executor can tell.
    pub peak_memory: Option<u64>,
}

/// How to stop jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Save a state, then end.
    Save,
    /// End now.
    Kill,
}

/// Runs jobs somewhere: in processes of this machine, in this process for tests, on a cluster.
pub trait Executor {
    /// Begins a job.
    ///
    /// # Errors
    /// [`StageError::Machine`] where it could not even be started.
    fn submit(&mut self, job: Job) -> Result<Ticket, StageError>;

    /// Waits at most `timeout` for something to happen and returns all that did, in order.
    fn poll(&mut self, timeout: Duration) -> Vec<(Ticket, Update)>;

    /// Asks a job to stop; it still gets its [`Update::Ended`].
    fn cancel(&mut self, ticket: Ticket, how: Stop);
}
