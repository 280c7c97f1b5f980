//! Which stage starts next, and what it is given: leases, resources, an attempt, a job.

use super::{Active, Engine, LOOKS, Leases};
use crate::base::digest::Digest;
use crate::base::event::Event;
use crate::base::kind::Kind;
use crate::base::memory;
use crate::base::state::Places;
use crate::exec::fetching::{self, Fetching};
use crate::exec::job::Job;
use crate::exec::needs;
use crate::exec::resources::{Claim, Demand, Held};
use crate::exec::settings::Given;
use crate::plan::{Status, Step};
use crate::stage::{StageError, Teacher};
use crate::store::{Attempt, Holder, Lease, LeaseOutcome, StoreError};
use std::collections::BTreeMap;
use std::time::Instant;

impl Engine<'_> {
    pub(super) fn start_ready(&mut self) -> Result<(), StoreError> {
        while self.fetching.len() < fetching::WIDTH && !self.halted {
            let Some(node) = self.next() else { return Ok(()) };
            self.try_start(node)?;
        }
        Ok(())
    }

    /// The first stage in the order of the plan that could start now. One that lacks something keeps later ones from
    /// taking it.
    pub(super) fn next(&mut self) -> Option<usize> {
        if self.active.len() >= self.settings.jobs {
            return None;
        }
        let (world, settings, demands, pool) = (self.world, self.settings, &mut self.demands, &self.pool);
        let known = &self.known;
        let mut held = Held::default();
        self.queue.take_first(|node| {
            let demand = demands.entry(node).or_insert_with(|| needs::demand(world, settings, node, known));
            if held.is_all() || !held.spares(demand) {
                return false;
            }
            match pool.lacks(demand) {
                // What can never start is taken, to be told of.
                Some(_) if pool.refusal(demand).is_some() => true,
                Some(resource) => {
                    held.keep(resource);
                    false
                }
                None => true,
            }
        })
    }

    /// Lets stages whose pause is over wait for their turn again.
    pub(super) fn take_up_again(&mut self) {
        let now = Instant::now();
        let due = self.again.extract_if(.., |(due, _)| *due <= now);
        for (_, node) in due {
            self.queue.put_back(node);
        }
    }

    pub(super) fn look_at_waiting(&mut self) -> Result<(), StoreError> {
        if self.waiting.is_empty() || self.looked.elapsed() < self.look_after {
            return Ok(());
        }
        let waiting = self.waiting.clone();
        for &node in &waiting {
            let demand = self.demand(node);
            if !self.halted && self.active.len() < self.settings.jobs && self.pool.lacks(&demand).is_none() {
                self.try_start(node)?;
            }
        }
        self.looked = Instant::now();
        self.look_after = if self.waiting == waiting { (self.look_after * 2).min(LOOKS[1]) } else { LOOKS[0] };
        Ok(())
    }

    pub(super) fn demand(&mut self, node: usize) -> Demand {
        let (world, settings, known) = (self.world, self.settings, &self.known);
        self.demands.entry(node).or_insert_with(|| needs::demand(world, settings, node, known)).clone()
    }

    pub(super) fn given(&self, node: usize) -> Given {
        self.settings.rules.of(&self.node(node).name, &self.node(node).kind)
    }

    /// Takes the lease, looks once more whether the result is there by now, and starts the stage if not.
    pub(super) fn try_start(&mut self, node: usize) -> Result<(), StoreError> {
        let key = match self.world.store.lease(&self.node(node).key, &self.owner)? {
            LeaseOutcome::Acquired(lease) => lease,
            LeaseOutcome::Held(holder) => {
                self.wait(node, describe(&holder));
                return Ok(());
            }
        };
        if !self.is_fresh(node) {
            self.resolver.ask_about(node, &self.known);
        }
        let step = self.resolver.decide(node, &self.known)?;
        if let (true, Some(remote), Some(record)) = (step.far, self.world.remote, &step.record) {
            self.waiting.remove(&node);
            self.fetching.push(Fetching::begin(remote, node, record.clone(), key));
            return Ok(());
        }
        if step.status.is_cached() {
            self.waiting.remove(&node);
            self.take_cached(step)?;
            self.world.store.clear_leftovers(&self.node(node).key);
            return Ok(());
        }
        // A stage that is computed anew takes no training state up, and leaves none.
        let inputs = step.inputs.as_ref().filter(|_| !self.is_fresh(node));
        let trajectories = inputs.and_then(|inputs| self.node(node).trajectories(inputs));
        let training = match trajectories.as_ref().and_then(|trajectories| trajectories.shared) {
            None => None,
            Some(trajectory) => match self.world.store.lease(&trajectory, &self.owner)? {
                LeaseOutcome::Acquired(lease) => Some(lease),
                LeaseOutcome::Held(holder) => {
                    self.wait(node, format!("{}, on the same training with another budget", describe(&holder)));
                    return Ok(());
                }
            },
        };
        let Some((claim, group)) = self.claim(node)? else { return Ok(()) };
        self.waiting.remove(&node);
        // A shorter training may have ended since the first look.
        let step = if training.is_some() { self.resolver.decide(node, &self.known)? } else { step };
        let states = trajectories.map(|trajectories| trajectories.places(self.world.store, self.node(node).key));
        self.start(step, Leases { key, training, group }, claim, states)
    }

    pub(super) fn wait(&mut self, node: usize, holder: String) {
        if self.waiting.insert(node) {
            (self.looked, self.look_after) = (Instant::now(), LOOKS[0]);
            self.tell(Event::StageWaiting { stage: self.stage(node), holder });
        }
    }

    /// Takes what a stage needs while it runs, in this run and among all runs. None where it has to wait, or where it
    /// can never have it, which is told.
    pub(super) fn claim(&mut self, node: usize) -> Result<Option<(Claim, Option<Lease>)>, StoreError> {
        if self.pool.is_idle() && self.settings.limits.memory.is_none() {
            self.pool.set_memory(memory::available());
        }
        let demand = self.demand(node);
        if let Some(mut refusal) = self.pool.refusal(&demand) {
            if let Some(there) = self.pool.limit().filter(|there| demand.is_estimated && demand.memory > *there) {
                refusal += &needs::advice(self.world, self.node(node), &self.known, there);
            }
            self.waiting.remove(&node);
            self.fail(node, StageError::machine(refusal))?;
            return Ok(None);
        }
        let group = match &demand.mutex {
            Some(group) => match self.world.store.lease(&group_key(group), &self.owner)? {
                LeaseOutcome::Acquired(lease) => Some(lease),
                LeaseOutcome::Held(holder) => {
                    self.wait(node, format!("{}, in the group `{group}`", describe(&holder)));
                    return Ok(None);
                }
            },
            None => None,
        };
        match self.pool.claim(&demand) {
            Ok(claim) => Ok(Some((claim, group))),
            Err(holder) => {
                self.wait(node, holder);
                Ok(None)
            }
        }
    }

    /// Results that came from the remote cache are taken as if they had always been here; a stage whose result did not
    /// come is decided about anew.
    pub(super) fn take_fetched(&mut self) -> Result<(), StoreError> {
        let (over, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.fetching).into_iter().partition(Fetching::is_over);
        self.fetching = open;
        for Fetching { node, lease, .. } in over {
            drop(lease);
            if self.active.len() < self.settings.jobs {
                self.try_start(node)?;
            } else {
                self.waiting.insert(node);
            }
        }
        Ok(())
    }

    pub(super) fn start(
        &mut self,
        step: Step,
        leases: Leases,
        claim: Claim,
        states: Option<Places>,
    ) -> Result<(), StoreError> {
        let node = step.node;
        let given = self.given(node);
        let inputs = step.inputs.unwrap_or_default();
        if let Some(damage) = self.check_inputs(&inputs)? {
            drop(leases);
            self.pool.give_back(claim);
            return self.heal(node, &damage);
        }
        let attempt = self.world.store.attempt(&self.node(node).key)?;
        for place in states.iter().flat_map(Places::all) {
            self.world.store.prepare_states(place)?;
        }
        let job = self.job(node, &inputs, &attempt, (&given, &claim), states)?;
        let submitted = job.and_then(|job| self.executor.submit(job));
        let ticket = match submitted {
            Ok(ticket) => ticket,
            Err(error) => {
                attempt.give_up();
                self.pool.give_back(claim);
                return self.fail(node, error);
            }
        };
        let resumed_from = match step.status {
            Status::Resume { step } => Some(step),
            _ => None,
        };
        let gpus = claim.gpus.clone();
        self.tell(Event::StageStarted { stage: self.stage(node), resumed_from, reason: step.reason, gpus });
        let now = Instant::now();
        let (started, beaten, resumed, stopping) = (now, now, None, None);
        let active = Active { node, inputs, attempt, leases, claim, given, resumed, started, beaten, stopping };
        self.active.insert(ticket, active);
        Ok(())
    }

    /// The job of a stage, or what keeps it from being one: a declared file that has gone since the plan was made.
    pub(super) fn job(
        &self,
        index: usize,
        inputs: &BTreeMap<String, Digest>,
        attempt: &Attempt,
        (given, claim): (&Given, &Claim),
        states: Option<Places>,
    ) -> Result<Result<Job, StageError>, StoreError> {
        let node = self.node(index);
        let files = |(role, digest): (&String, &Digest)| Ok((role.clone(), self.world.store.artifact(digest)?.files()));
        let teachers = self.teachers(index, inputs, attempt)?;
        let inputs = inputs.iter().map(files).collect::<Result<_, StoreError>>()?;
        let locate = |path: &String| Ok((path.clone(), (self.world.locate)(path).map_err(StageError::input)?));
        let paths = node.contents.keys().map(locate).collect::<Result<_, StageError>>();
        Ok(paths.map(|paths| Job {
            key: node.key,
            kind: node.kind.clone(),
            name: node.name.clone(),
            args: node.args(),
            inputs,
            paths,
            contents: (*node.contents).clone(),
            teachers,
            out: attempt.out.clone(),
            work: attempt.work(),
            states,
            // What other stages had written would not be computed anew.
            cache: (!self.is_fresh(index)).then(|| self.world.store.layout().cache()),
            log: attempt.log(),
            checkpoint_seconds: self.settings.checkpoint_seconds,
            threads: given.threads,
            gpus: self.settings.rules.give_gpus().then(|| claim.gpus.clone()),
        }))
    }

    /// The inputs that are models behind a server. The result that stands for one holds only what is in its key; how it
    /// is reached is said by the file that is run now.
    fn teachers(
        &self,
        asking: usize,
        inputs: &BTreeMap<String, Digest>,
        attempt: &Attempt,
    ) -> Result<BTreeMap<String, Teacher>, StoreError> {
        let mut found = BTreeMap::new();
        for (role, index) in
            self.node(asking).inputs.iter().filter(|(_, index)| self.node(*index).output == Kind::Teacher)
        {
            let Some(digest) = inputs.get(role) else { continue };
            // As with completions: what it answered before is asked again.
            let answers = match self.is_fresh(asking) {
                true => attempt.work(),
                false => self.world.store.prepare_answers(digest)?,
            };
            found.insert(role.clone(), Teacher { args: self.node(*index).args(), answers });
        }
        Ok(found)
    }
}

/// The key of the lease that a group has: no stage's key hashes such a text.
pub(in crate::exec) fn group_key(group: &str) -> Digest {
    Digest::of_bytes(format!("srlm mutex group {group}").as_bytes())
}

fn describe(holder: &Holder) -> String {
    if holder.pid == 0 {
        return "its lease cannot be read, and is taken over after 90 s without a sign of life".to_string();
    }
    format!("process {} on {}, at work for {} s", holder.pid, holder.host, holder.age_seconds)
}
