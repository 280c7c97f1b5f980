//! An executor for tests: stages are a closure in this process.

use super::executor::{Ended, Executor, Stop, Ticket, Update};
use super::job::Job;
use super::worker::catching;
use crate::base::event::StageEvent;
use crate::stage::{Metrics, StageContext, StageError};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Runs each job by calling a closure, one a [`Executor::poll`].
pub struct MockExecutor<F> {
    stage: F,
    queue: VecDeque<(Ticket, Job)>,
    stop: AtomicBool,
    stopped: BTreeSet<Ticket>,
    next: u64,
    /// Names of the stages run so far, in order.
    pub ran: Vec<String>,
    /// The most jobs that were ever in its hands at once.
    pub peak: usize,
}

impl<F: Fn(&Job, &StageContext) -> Result<Metrics, StageError>> MockExecutor<F> {
    /// An executor that runs `stage`.
    pub fn new(stage: F) -> Self {
        MockExecutor {
            stage,
            queue: VecDeque::new(),
            stop: AtomicBool::new(false),
            stopped: BTreeSet::new(),
            next: 0,
            ran: vec![],
            peak: 0,
        }
    }

    fn run(&mut self, job: &Job) -> (Vec<StageEvent>, Result<Metrics, StageError>) {
        self.ran.push(job.name.clone());
        let said = Mutex::new(Vec::new());
        let say = |event| {
            if let Ok(mut said) = said.lock() {
                said.push(event);
            }
        };
        let ended = catching(|context| (self.stage)(job, context), &job.context(&say, &self.stop));
        (said.into_inner().unwrap_or_default(), ended)
    }
}

impl<F: Fn(&Job, &StageContext) -> Result<Metrics, StageError>> Executor for MockExecutor<F> {
    fn submit(&mut self, job: Job) -> Result<Ticket, StageError> {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.queue.push_back((ticket, job));
        self.peak = self.peak.max(self.queue.len());
        Ok(ticket)
    }

    fn poll(&mut self, timeout: Duration) -> Vec<(Ticket, Update)> {
        let Some((ticket, job)) = self.queue.pop_front() else {
            std::thread::sleep(timeout.min(Duration::from_millis(5)));
            return Vec::new();
        };
        let (said, result) = match self.stopped.contains(&ticket) {
            true => (Vec::new(), Err(StageError::Interrupted { saved_at: None })),
            false => self.run(&job),
        };
        let said = said.into_iter().map(|event| (ticket, Update::Said(event)));
        said.chain([(ticket, Update::Ended(Ended { result, peak_memory: None }))]).collect()
    }

    fn cancel(&mut self, ticket: Ticket, _how: Stop) {
        self.stopped.insert(ticket);
    }
}
