//! Results: published, found, and handed on to the stages that wait for them.

use super::{Active, CPU, Engine};
use crate::base::digest::Digest;
use crate::base::event::{Event, StageEvent};
use crate::base::failpoint::failpoint;
use crate::exec::summary::Outcome;
use crate::plan::{Status, Step, Trajectories};
use crate::stage::{Metrics, StageError};
use crate::store::{Published, Record, RecordDraft, StoreError};
use std::collections::BTreeMap;

impl Engine<'_> {
    pub(super) fn publish(
        &mut self,
        active: Active,
        metrics: Metrics,
        peak_memory: Option<u64>,
    ) -> Result<(), StoreError> {
        let node = active.node;
        let seconds = active.started.elapsed().as_secs_f64();
        let trajectories = self.trajectories(node, &active.inputs);
        let made = metrics.clone();
        let (resumed, draft) = (active.resumed, self.draft(node, active.inputs, metrics, seconds));
        let draft = RecordDraft { peak_memory, resumed, ..draft };
        let outputs = BTreeMap::from([(self.node(node).output_role(), active.attempt.out.clone())]);
        let Published { record, alternate } = match self.world.store.publish(draft, &outputs) {
            Ok(published) => published,
            Err(error) => {
                // Where the disk is full, what could not be published is in the way of everything else.
                active.attempt.discard();
                return match error {
                    StoreError::Output { .. } => self.fail(node, StageError::machine(error.to_string())),
                    error => Err(error),
                };
            }
        };
        trajectories.iter().for_each(|trajectories| self.settle_states(trajectories));
        failpoint("states.settled");
        drop(active.leases);
        self.offer(&record);
        // What replaces damaged bytes is read again before it is taken: the disk is not to be trusted.
        if !self.healed.contains(&node) {
            self.verified.extend(record.outputs.values());
        }
        let new = alternate.as_ref().unwrap_or(&record);
        let (outputs, metrics, device) = (new.outputs.clone().into(), made.clone(), new.made.device.clone());
        self.tell(Event::StageFinished { stage: self.stage(node), seconds, outputs, metrics, peak_memory, device });
        match self.is_fresh(node) {
            true if record.run != self.settings.run => self.compare(node, &record, alternate.as_ref(), &made)?,
            true => {}
            false => self.warn_of(node, &record, alternate.as_ref()),
        }
        self.take_record(node, &record);
        self.outcomes.insert(node, Outcome::Finished(Box::new(record)));
        Ok(())
    }

    /// A stage with a result needs no states of its own any more; those that longer trainings may start from stay,
    /// within their bounds.
    pub(super) fn settle_states(&self, trajectories: &Trajectories) {
        let store = self.world.store;
        store.drop_states(&trajectories.own);
        if let Some(shared) = &trajectories.shared {
            store.drop_bare_states(shared);
            store.keep_states_in_bounds();
        }
    }

    pub(super) fn trajectories(&self, node: usize, inputs: &BTreeMap<String, Digest>) -> Option<Trajectories> {
        self.node(node).trajectories(inputs)
    }

    /// Says that a stage is no function of its inputs, where another run was first and made other bytes of them.
    pub(super) fn warn_of(&self, node: usize, record: &Record, alternate: Option<&Record>) {
        let Some(alternate) = alternate else { return };
        let stage = self.stage(node);
        let of = |record: &Record| record.outputs.values().map(Digest::short).collect::<Vec<_>>().join(", ");
        let message = format!(
            "it made other bytes than run {} did from the same inputs ({} and {}): the first result counts, and this one \
             is kept beside it; `srlm show` lists both",
            record.run,
            of(record),
            of(alternate)
        );
        self.tell(Event::StageSaid { stage, said: StageEvent::Warning { message } });
    }

    pub(super) fn draft(
        &self,
        index: usize,
        inputs: BTreeMap<String, Digest>,
        metrics: Metrics,
        seconds: f64,
    ) -> RecordDraft {
        let node = self.node(index);
        RecordDraft {
            key: node.key,
            shallow: node.shallow_key(&inputs),
            kind: node.kind.clone(),
            name: node.name.clone(),
            document: node.document().clone(),
            inputs,
            metrics,
            seconds,
            resumed: None,
            threads: self.given(index).threads.unwrap_or(self.settings.threads),
            peak_memory: None,
            device: CPU.to_string(),
            declared_at: Some(self.declared_at(index)),
            run: self.settings.run.clone(),
        }
    }

    pub(super) fn offer(&self, record: &Record) {
        if let Some(remote) = self.world.remote {
            remote.offer(&record.key);
        }
    }

    /// A result that is there already; one found by its shallow key is recorded under the deep key, too. One that stays
    /// in the remote cache, because nothing here needs its bytes, is only remembered.
    pub(super) fn take_cached(&mut self, step: Step) -> Result<(), StoreError> {
        let (node, Some(record)) = (step.node, step.record) else { return Ok(()) };
        let record = match (step.status, step.inputs) {
            (Status::ShallowHit, Some(inputs)) => {
                let draft = self.draft(node, inputs, record.metrics.clone().into(), record.seconds);
                if step.far {
                    record.aliased(draft)
                } else {
                    let alias = self.world.store.alias(&record, draft)?;
                    self.offer(&alias);
                    alias
                }
            }
            _ => record,
        };
        if step.far {
            self.world.store.remember(&record);
        }
        if self.has_states
            && let Some(trajectories) = self.trajectories(node, &record.inputs.clone().into())
        {
            self.world.store.drop_states(&trajectories.own);
        }
        self.tell(Event::StageCached { stage: self.stage(node) });
        self.take_record(node, &record);
        self.outcomes.insert(node, Outcome::Cached(Box::new(record)));
        Ok(())
    }

    pub(super) fn take_record(&mut self, node: usize, record: &Record) {
        if let Some(digest) = record.outputs.get(&self.node(node).output_role()) {
            self.known.insert(node, *digest);
        }
        self.queue.finish(node);
    }
}
