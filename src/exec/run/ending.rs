//! What becomes of a stage that has ended: a result, a further try, a failure.

use super::{Active, Engine};
use crate::base::digest::Digest;
use crate::base::event::{Event, StageEvent};
use crate::exec::executor::{Ended, Ticket, Update};
use crate::exec::outputs;
use crate::exec::retry::{self, Cause};
use crate::exec::summary::Outcome;
use crate::plan::Trajectories;
use crate::stage::StageError;
use crate::store::{Resumed, StoreError};
use std::time::Instant;

impl Engine<'_> {
    pub(super) fn hear(&mut self, ticket: Ticket, update: Update) -> Result<(), StoreError> {
        match update {
            Update::Said(said) => {
                self.pass_on(ticket, said);
                Ok(())
            }
            Update::Ended(ended) => match self.active.remove(&ticket) {
                Some(active) => self.take_end(active, ended),
                None => Ok(()),
            },
        }
    }

    pub(super) fn pass_on(&mut self, ticket: Ticket, said: StageEvent) {
        if let Some(active) = self.active.get_mut(&ticket) {
            if let StageEvent::Resumed { step, seconds } = said {
                active.resumed = Some(Resumed { step, seconds });
            }
            let active = &self.active[&ticket];
            self.tell(Event::StageSaid { stage: self.stage(active.node), said });
        }
    }

    pub(super) fn take_end(&mut self, mut active: Active, ended: Ended) -> Result<(), StoreError> {
        self.pool.give_back(std::mem::take(&mut active.claim));
        drop(active.leases.group.take());
        let checked = ended.result.and_then(|metrics| {
            outputs::check(self.node(active.node).output, &active.attempt.out, &metrics)?;
            self.check_contents(active.node)?;
            Ok(metrics)
        });
        match checked {
            Ok(metrics) => self.publish(active, metrics, ended.peak_memory),
            Err(error) if self.is_tried_again(&active, &error) => {
                active.attempt.discard();
                Ok(())
            }
            Err(StageError::Interrupted { saved_at }) => {
                self.interrupt(active, saved_at);
                Ok(())
            }
            Err(error) => {
                active.attempt.give_up();
                let trajectories = self.trajectories(active.node, &active.inputs);
                trajectories.iter().flat_map(Trajectories::all).for_each(|key| self.world.store.drop_bare_states(key));
                self.fail(active.node, error)
            }
        }
    }

    /// The key stands for what the declared files held when the plan was made: a result made of anything else would be
    /// a wrong hit for ever.
    pub(super) fn check_contents(&self, index: usize) -> Result<(), StageError> {
        let changed = |(path, planned): &(&String, &Digest)| self.world.files.digest(path).as_ref() != Ok(*planned);
        let Some((path, _)) = self.node(index).contents.iter().find(changed) else { return Ok(()) };
        let message = format!("{path} changed since the run began, so this result is not kept: run the command again");
        Err(StageError::input(message))
    }

    /// Puts a stage that the machine ended off until a further try, where it has one left.
    pub(super) fn is_tried_again(&mut self, active: &Active, error: &StageError) -> bool {
        let (node, retries) = (active.node, active.given.retries);
        let Some(cause) = Cause::of(error, active.stopping.is_some() || self.is_asked_to_stop()) else { return false };
        let tries = self.tries.entry(node).or_default();
        if *tries >= retries || self.halted {
            return false;
        }
        let pause = retry::pause(self.settings.patience.back_off, *tries);
        *tries += 1;
        let (retry, message) = (*tries, error.to_string());
        if cause == Cause::OutOfMemory {
            self.demands.entry(node).or_default().alone = true;
        }
        let (stage, cause) = (self.stage(node), cause.word().to_string());
        self.tell(Event::StageRetried { stage, cause, message, retry, retries, pause: pause.as_secs_f64() });
        self.again.push((Instant::now() + pause, node));
        true
    }

    pub(super) fn interrupt(&mut self, active: Active, saved_at: Option<u64>) {
        let node = active.node;
        let saved_at = saved_at.or_else(|| self.node(node).newest_state(self.world.store, &active.inputs));
        active.attempt.discard();
        let why = active.stopping.and_then(|(_, why)| why);
        self.tell(Event::StageInterrupted { stage: self.stage(node), saved_at, why });
        self.outcomes.insert(node, Outcome::Interrupted { saved_at });
        self.block(node);
    }

    /// What needs a stage without result cannot go on in this run. Where the whole run was asked to stop, that goes
    /// without saying.
    pub(super) fn block(&mut self, node: usize) {
        for blocked in self.queue.fail(node) {
            if !self.is_asked_to_stop() {
                self.tell(Event::StageBlocked { stage: self.stage(blocked), by: self.stage(node) });
                self.outcomes.insert(blocked, Outcome::Blocked { by: node });
            }
        }
    }

    pub(super) fn fail(&mut self, node: usize, error: StageError) -> Result<(), StoreError> {
        let declared_at = Some(self.declared_at(node));
        let source_line = Some(self.source_line(node));
        self.tell(Event::StageFailed { stage: self.stage(node), message: error.to_string(), declared_at, source_line });
        self.outcomes.insert(node, Outcome::Failed(error));
        self.block(node);
        self.halted |= !self.settings.keep_going;
        Ok(())
    }
}
