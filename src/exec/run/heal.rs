//! Results that turn out to be damaged when a stage is about to take them: the stages that made them run again, in the
//! same run, and the stage waits for them.

use super::Engine;
use crate::base::digest::Digest;
use crate::base::event::{Event, StageEvent};
use crate::stage::StageError;
use crate::store::{MissReason, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// An input whose bytes are not those that were written. They are gone.
pub(super) struct Damage {
    role: String,
    what: MissReason,
}

impl Engine<'_> {
    /// Holds the bytes that go in against their digests, once a run: a damaged file must not reach another result.
    pub(super) fn check_inputs(&mut self, inputs: &BTreeMap<String, Digest>) -> Result<Option<Damage>, StoreError> {
        for (role, digest) in inputs.iter().filter(|(_, digest)| !self.verified.contains(digest)) {
            if let Some(what) = self.world.store.remove_damaged(digest)? {
                return Ok(Some(Damage { role: role.clone(), what }));
            }
        }
        self.verified.extend(inputs.values());
        Ok(None)
    }

    /// Lets a stage that was about to start wait until its damaged input is made again. What was made again and is
    /// damaged again points at the disk: that is a failure.
    pub(super) fn heal(&mut self, node: usize, damage: &Damage) -> Result<(), StoreError> {
        let Damage { role, what } = damage;
        let found = self.node(node).inputs.iter().find(|(name, _)| name == role).map(|(_, input)| *input);
        let Some(producer) = found else {
            return self.fail(node, StageError::machine(format!("its input `{role}` is damaged: {what}")));
        };
        let name = self.name(producer);
        if !self.queue.is_open(producer) {
            if !self.healed.insert(producer) {
                let message = format!(
                    "its input `{role}` is damaged again, though `{name}` made it anew in this run: {what}; \
                     look at the disk of the store, `srlm store verify` reads all of it"
                );
                return self.fail(node, StageError::machine(message));
            }
            self.revive(producer);
        }
        let message = format!("its input `{role}` is damaged, and `{name}` makes it again first: {what}");
        self.tell(Event::StageSaid { stage: self.stage(node), said: StageEvent::Warning { message } });
        self.queue.wait_for(node, producer);
        Ok(())
    }

    /// Brings a stage back that need not run any more, with whatever it needs that has no result.
    fn revive(&mut self, node: usize) {
        let (mut wanted, mut open) = (BTreeSet::new(), vec![node]);
        while let Some(index) = open.pop() {
            if wanted.insert(index) {
                let inputs = self.world.graph.node(index).inputs.iter().map(|(_, input)| *input);
                open.extend(inputs.filter(|input| !self.known.contains_key(input) && !self.queue.is_open(*input)));
            }
        }
        // By their indices, inputs come before what takes them.
        for index in wanted {
            let inputs: BTreeSet<usize> = self.world.graph.node(index).inputs.iter().map(|(_, input)| *input).collect();
            self.queue.reopen(index, inputs);
        }
    }
}
