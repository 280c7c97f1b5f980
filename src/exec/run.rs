//! A run: the plan's stages through an executor into the store, every happening told as an event.

use super::executor::{Ended, Executor, Stop, Ticket, Update};
use super::fetching::{self, Fetching};
use super::job::Job;
use super::outputs;
use super::queue::Queue;
use super::summary::{Outcome, Summary};
use crate::base::digest::Digest;
use crate::base::event::{Event, Sink, StageEvent, StageRef};
use crate::base::failpoint::failpoint;
use crate::base::source::SourceMap;
use crate::base::state::Places;
use crate::plan::{Files, Graph, Node, Plan, Resolver, Status, Step, Trajectories};
use crate::stage::{Metrics, StageError};
use crate::store::{
    Attempt, Holder, Lease, LeaseOutcome, Owner, Published, Record, RecordDraft, Remote, Resumed, Store, StoreError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long the engine waits for news before it looks around.
const TICK: Duration = Duration::from_millis(100);
/// Time between two looks at a stage that another process works on.
const RETRY: Duration = Duration::from_millis(500);
/// Time between two heartbeats of a lease, well within its staleness.
const BEAT: Duration = Duration::from_secs(15);

/// The device of every stage so far.
const CPU: &str = "cpu";

/// How to run: nothing here changes a result.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The run's id.
    pub run: String,
    /// Stages at the same time.
    pub jobs: usize,
    /// Threads a worker has.
    pub threads: usize,
    /// After a failure, go on with what does not need the failed stage.
    pub keep_going: bool,
    /// Seconds between two saved states.
    pub checkpoint_seconds: f64,
}

/// What a run works with.
pub struct World<'a> {
    /// The stages.
    pub graph: &'a Graph,
    /// What is to be done about each.
    pub plan: &'a Plan,
    /// Where results are.
    pub store: &'a Store,
    /// Where results of other machines are, and ours for them.
    pub remote: Option<&'a Remote>,
    /// The texts that spans point into.
    pub sources: &'a SourceMap,
    /// Where a path of the arguments is on this machine.
    pub locate: &'a dyn Fn(&str) -> Result<PathBuf, String>,
    /// What is there.
    pub files: &'a dyn Files,
    /// Who is told.
    pub sink: &'a dyn Sink,
    /// How often the user asked to stop: once saves states, twice ends at once.
    pub stops: &'a AtomicUsize,
}

/// Runs what the plan says.
///
/// # Errors
/// [`StoreError`] where the store fails; workers are ended then. A stage that fails is an [`Outcome`], no error.
pub fn run(world: &World, executor: &mut dyn Executor, settings: &Settings) -> Result<Summary, StoreError> {
    let mut engine = Engine::new(world, executor, settings);
    let worked = engine.begin().and_then(|()| engine.work());
    if worked.is_err() {
        engine.executor.cancel(Stop::Kill);
    }
    worked?;
    Ok(engine.end())
}

struct Engine<'a> {
    world: &'a World<'a>,
    settings: &'a Settings,
    executor: &'a mut dyn Executor,
    resolver: Resolver<'a>,
    owner: Owner,
    queue: Queue<usize>,
    /// Artifact digests of the results there are, by node.
    known: BTreeMap<usize, Digest>,
    /// Artifacts whose bytes this run has read or written.
    verified: BTreeSet<Digest>,
    active: BTreeMap<Ticket, Active>,
    /// Stages that another process works on.
    waiting: BTreeSet<usize>,
    fetching: Vec<Fetching>,
    outcomes: BTreeMap<usize, Outcome>,
    /// Whether there were training states when the run began.
    has_states: bool,
    /// Nothing new is started: a stage failed, or the user asked to stop.
    halted: bool,
    stops_heeded: usize,
    started: Instant,
    retried: Instant,
}

/// A stage that runs.
struct Active {
    node: usize,
    inputs: BTreeMap<String, Digest>,
    attempt: Attempt,
    leases: Leases,
    resumed: Option<Resumed>,
    started: Instant,
    beaten: Instant,
}

/// What a stage holds while it runs.
struct Leases {
    key: Lease,
    /// That on the states it shares with longer and shorter trainings.
    training: Option<Lease>,
}

impl<'a> Engine<'a> {
    fn new(world: &'a World, executor: &'a mut dyn Executor, settings: &'a Settings) -> Self {
        let needs = |index: usize| {
            let cached = world.plan.step(index).is_some_and(|step| step.status.is_cached());
            let inputs = || world.graph.node(index).inputs.iter().map(|(_, input)| *input).collect();
            (!cached).then(inputs)
        };
        let mut queue = Queue::new(&world.plan.targets, needs);
        world.plan.chains.iter().for_each(|(&node, link)| queue.put_off(node, link.before));
        Engine {
            world,
            settings,
            executor,
            resolver: Resolver::new(world.graph, world.store, world.sources).with_remote(world.remote),
            owner: Owner::current(&settings.run),
            queue,
            known: BTreeMap::new(),
            verified: BTreeSet::new(),
            active: BTreeMap::new(),
            waiting: BTreeSet::new(),
            fetching: Vec::new(),
            outcomes: BTreeMap::new(),
            has_states: !world.store.trajectories().is_empty(),
            halted: false,
            stops_heeded: 0,
            started: Instant::now(),
            retried: Instant::now(),
        }
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        let plan = self.world.plan;
        let (stages, cached, to_run) = (plan.summary.stages, plan.summary.cached, plan.summary.to_run);
        let file = self.world.sources.files().iter().find(|file| file.is_file).map(|file| file.name.clone());
        self.tell(Event::RunStarted { run: self.settings.run.clone(), stages, cached, to_run, file });
        let cached = || plan.steps.iter().filter(|step| step.status.is_cached());
        let keys = cached().map(|step| self.node(step.node).key);
        self.world.store.clear_leftovers_of(&keys.collect());
        cached().try_for_each(|step| self.take_cached(step.clone()))
    }

    fn work(&mut self) -> Result<(), StoreError> {
        loop {
            self.heed_stops();
            self.pass_on_news();
            if !self.halted {
                self.take_fetched()?;
                self.retry_waiting()?;
                self.start_ready()?;
            }
            if self.active.is_empty() && (self.halted || (self.waiting.is_empty() && self.fetching.is_empty())) {
                return Ok(());
            }
            for (ticket, update) in self.executor.poll(TICK) {
                self.hear(ticket, update)?;
            }
            self.beat();
        }
    }

    fn end(self) -> Summary {
        let summary = Summary {
            run: self.settings.run.clone(),
            interrupted: self.stops_heeded > 0
                || self.outcomes.values().any(|outcome| matches!(outcome, Outcome::Interrupted { .. })),
            outcomes: self.outcomes,
            seconds: self.started.elapsed().as_secs_f64(),
        };
        self.world.sink.emit(&Event::RunFinished {
            run: summary.run.clone(),
            finished: summary.finished(),
            cached: summary.cached(),
            failed: summary.failed(),
            blocked: summary.blocked(),
            interrupted: summary.interrupted,
            seconds: summary.seconds,
        });
        summary
    }

    fn heed_stops(&mut self) {
        let stops = self.world.stops.load(Ordering::Relaxed);
        if stops > self.stops_heeded {
            self.stops_heeded = stops;
            self.halted = true;
            self.executor.cancel(if stops == 1 { Stop::Save } else { Stop::Kill });
        }
    }

    fn start_ready(&mut self) -> Result<(), StoreError> {
        while self.active.len() < self.settings.jobs && self.fetching.len() < fetching::WIDTH && !self.halted {
            let Some(node) = self.queue.take() else { return Ok(()) };
            self.try_start(node)?;
        }
        Ok(())
    }

    fn retry_waiting(&mut self) -> Result<(), StoreError> {
        if self.waiting.is_empty() || self.retried.elapsed() < RETRY {
            return Ok(());
        }
        self.retried = Instant::now();
        for node in self.waiting.clone() {
            if self.active.len() < self.settings.jobs {
                self.try_start(node)?;
            }
        }
        Ok(())
    }

    /// Takes the lease, looks once more whether the result is there by now, and starts the stage if not.
    fn try_start(&mut self, node: usize) -> Result<(), StoreError> {
        let key = match self.world.store.lease(&self.node(node).key, &self.owner)? {
            LeaseOutcome::Acquired(lease) => lease,
            LeaseOutcome::Held(holder) => {
                self.wait(node, describe(&holder));
                return Ok(());
            }
        };
        self.resolver.ask_about(node, &self.known);
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
        let trajectories = step.inputs.as_ref().and_then(|inputs| self.node(node).trajectories(inputs));
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
        self.waiting.remove(&node);
        // A shorter training may have ended since the first look.
        let step = if training.is_some() { self.resolver.decide(node, &self.known)? } else { step };
        let states = trajectories.map(|trajectories| trajectories.places(self.world.store, self.node(node).key));
        self.start(step, Leases { key, training }, states)
    }

    fn wait(&mut self, node: usize, holder: String) {
        if self.waiting.insert(node) {
            self.tell(Event::StageWaiting { stage: self.stage(node), holder });
        }
    }

    /// Results that came from the remote cache are taken as if they had always been here; a stage whose result did not
    /// come is decided about anew.
    fn take_fetched(&mut self) -> Result<(), StoreError> {
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

    fn pass_on_news(&self) {
        self.world.remote.iter().flat_map(|remote| remote.news()).for_each(|event| self.tell(event));
    }

    fn offer(&self, record: &Record) {
        if let Some(remote) = self.world.remote {
            remote.offer(&record.key);
        }
    }

    /// A result that is there already; one found by its shallow key is recorded under the deep key, too. One that stays
    /// in the remote cache, because nothing here needs its bytes, is only remembered.
    fn take_cached(&mut self, step: Step) -> Result<(), StoreError> {
        let (node, Some(record)) = (step.node, step.record) else { return Ok(()) };
        let record = match (step.status, step.inputs) {
            (Status::ShallowHit, Some(inputs)) => {
                let draft = self.draft(node, inputs, record.metrics.clone(), record.seconds);
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
            && let Some(trajectories) = self.trajectories(node, &record.inputs)
        {
            self.world.store.drop_states(&trajectories.own);
        }
        self.tell(Event::StageCached { stage: self.stage(node) });
        self.take_record(node, &record);
        self.outcomes.insert(node, Outcome::Cached(Box::new(record)));
        Ok(())
    }

    fn take_record(&mut self, node: usize, record: &Record) {
        if let Some(digest) = record.outputs.get(&self.node(node).output_role()) {
            self.known.insert(node, *digest);
        }
        self.queue.finish(node);
    }

    fn start(&mut self, step: Step, leases: Leases, states: Option<Places>) -> Result<(), StoreError> {
        let node = step.node;
        let inputs = step.inputs.unwrap_or_default();
        let attempt = self.world.store.attempt(&self.node(node).key)?;
        for place in states.iter().flat_map(Places::all) {
            self.world.store.prepare_states(place)?;
        }
        let submitted = match self.check_inputs(&inputs)? {
            Ok(()) => self.job(node, &inputs, &attempt, states)?.and_then(|job| self.executor.submit(job)),
            Err(error) => Err(error),
        };
        let ticket = match submitted {
            Ok(ticket) => ticket,
            Err(error) => {
                attempt.give_up();
                return self.fail(node, error);
            }
        };
        let resumed_from = match step.status {
            Status::Resume { step } => Some(step),
            _ => None,
        };
        self.tell(Event::StageStarted { stage: self.stage(node), resumed_from, reason: step.reason });
        let now = Instant::now();
        let active = Active { node, inputs, attempt, leases, resumed: None, started: now, beaten: now };
        self.active.insert(ticket, active);
        Ok(())
    }

    /// Holds the bytes that go in against their digests, once a run: a damaged file must not reach another result.
    fn check_inputs(&mut self, inputs: &BTreeMap<String, Digest>) -> Result<Result<(), StageError>, StoreError> {
        for (role, digest) in inputs.iter().filter(|(_, digest)| !self.verified.contains(digest)) {
            if let Some(wrong) = self.world.store.remove_damaged(digest)? {
                let message = format!("its input `{role}` is damaged, and the same command makes it again: {wrong}");
                return Ok(Err(StageError::machine(message)));
            }
        }
        self.verified.extend(inputs.values());
        Ok(Ok(()))
    }

    /// The job of a stage, or what keeps it from being one: a declared file that has gone since the plan was made.
    fn job(
        &self,
        index: usize,
        inputs: &BTreeMap<String, Digest>,
        attempt: &Attempt,
        states: Option<Places>,
    ) -> Result<Result<Job, StageError>, StoreError> {
        let node = self.node(index);
        let files = |(role, digest): (&String, &Digest)| Ok((role.clone(), self.world.store.artifact(digest)?.files()));
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
            out: attempt.out.clone(),
            work: attempt.work(),
            states,
            log: attempt.log(),
            checkpoint_seconds: self.settings.checkpoint_seconds,
        }))
    }

    fn hear(&mut self, ticket: Ticket, update: Update) -> Result<(), StoreError> {
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

    fn pass_on(&mut self, ticket: Ticket, said: StageEvent) {
        if let Some(active) = self.active.get_mut(&ticket) {
            if let StageEvent::Resumed { step, seconds } = said {
                active.resumed = Some(Resumed { step, seconds });
            }
            let active = &self.active[&ticket];
            self.tell(Event::StageSaid { stage: self.stage(active.node), said });
        }
    }

    fn take_end(&mut self, active: Active, ended: Ended) -> Result<(), StoreError> {
        let checked = ended.result.and_then(|metrics| {
            outputs::check(self.node(active.node).output, &active.attempt.out, &metrics)?;
            self.check_contents(active.node)?;
            Ok(metrics)
        });
        match checked {
            Ok(metrics) => self.publish(active, metrics, ended.peak_memory),
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
    fn check_contents(&self, index: usize) -> Result<(), StageError> {
        let changed = |(path, planned): &(&String, &Digest)| self.world.files.digest(path).as_ref() != Ok(*planned);
        let Some((path, _)) = self.node(index).contents.iter().find(changed) else { return Ok(()) };
        let message = format!("{path} changed since the run began, so this result is not kept: run the command again");
        Err(StageError::input(message))
    }

    fn publish(&mut self, active: Active, metrics: Metrics, peak_memory: Option<u64>) -> Result<(), StoreError> {
        let node = active.node;
        let seconds = active.started.elapsed().as_secs_f64();
        let trajectories = self.trajectories(node, &active.inputs);
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
        self.warn_of(node, &record, alternate.as_ref());
        self.verified.extend(record.outputs.values());
        let (outputs, metrics) = (record.outputs.clone(), record.metrics.clone());
        let device = record.made.device.clone();
        self.tell(Event::StageFinished { stage: self.stage(node), seconds, outputs, metrics, peak_memory, device });
        self.take_record(node, &record);
        self.outcomes.insert(node, Outcome::Finished(Box::new(record)));
        Ok(())
    }

    /// A stage with a result needs no states of its own any more; those that longer trainings may start from stay,
    /// within their bounds.
    fn settle_states(&self, trajectories: &Trajectories) {
        let store = self.world.store;
        store.drop_states(&trajectories.own);
        if let Some(shared) = &trajectories.shared {
            store.drop_bare_states(shared);
            store.keep_states_in_bounds();
        }
    }

    fn trajectories(&self, node: usize, inputs: &BTreeMap<String, Digest>) -> Option<Trajectories> {
        self.node(node).trajectories(inputs)
    }

    /// Says that a stage is no function of its inputs, where another run was first and made other bytes of them.
    fn warn_of(&self, node: usize, record: &Record, alternate: Option<&Record>) {
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

    fn interrupt(&mut self, active: Active, saved_at: Option<u64>) {
        let node = active.node;
        let saved_at = saved_at.or_else(|| self.node(node).newest_state(self.world.store, &active.inputs));
        active.attempt.discard();
        self.tell(Event::StageInterrupted { stage: self.stage(node), saved_at });
        self.outcomes.insert(node, Outcome::Interrupted { saved_at });
        // Asked for or not (someone may have ended the worker itself): what needs it cannot go on in this run.
        self.queue.fail(node);
    }

    fn fail(&mut self, node: usize, error: StageError) -> Result<(), StoreError> {
        let declared_at = Some(self.declared_at(node));
        let source_line = Some(self.source_line(node));
        self.tell(Event::StageFailed { stage: self.stage(node), message: error.to_string(), declared_at, source_line });
        self.outcomes.insert(node, Outcome::Failed(error));
        for blocked in self.queue.fail(node) {
            self.tell(Event::StageBlocked { stage: self.stage(blocked), by: self.stage(node) });
            self.outcomes.insert(blocked, Outcome::Blocked { by: node });
        }
        self.halted |= !self.settings.keep_going;
        Ok(())
    }

    fn beat(&mut self) {
        for fetching in self.fetching.iter_mut().filter(|fetching| fetching.beaten.elapsed() > BEAT) {
            fetching.beaten = Instant::now();
            // As below.
            let _ = fetching.lease.beat();
        }
        for active in self.active.values_mut().filter(|active| active.beaten.elapsed() > BEAT) {
            active.beaten = Instant::now();
            // A lease that is lost, or whose heartbeat a full disk refuses, saves no double work any more, and spoils
            // nothing: the first record wins.
            let _ = active.leases.key.beat();
            let _ = active.leases.training.as_ref().map(Lease::beat);
        }
    }

    fn draft(&self, index: usize, inputs: BTreeMap<String, Digest>, metrics: Metrics, seconds: f64) -> RecordDraft {
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
            threads: self.settings.threads,
            peak_memory: None,
            device: CPU.to_string(),
            declared_at: Some(self.declared_at(index)),
            run: self.settings.run.clone(),
        }
    }

    fn node(&self, index: usize) -> &'a Node {
        self.world.graph.node(index)
    }

    fn stage(&self, index: usize) -> StageRef {
        let node = self.node(index);
        StageRef { key: node.key, kind: node.kind.clone(), name: self.name(index) }
    }

    /// The name the file gives a stage; where it gives none, the first result that the stage is, such as a cell.
    fn name(&self, index: usize) -> String {
        let node = self.node(index);
        let target = self.world.graph.targets().iter().find(|target| target.node == index);
        match target.filter(|_| node.name == node.kind) {
            Some(target) => target.label.clone(),
            None => node.name.clone(),
        }
    }

    fn declared_at(&self, index: usize) -> String {
        let (file, position) = self.world.sources.locate(self.node(index).span);
        format!("{file}:{}:{}", position.line, position.column)
    }

    fn source_line(&self, index: usize) -> String {
        let span = self.node(index).span;
        let (_, position) = self.world.sources.locate(span);
        self.world.sources.file(span.source).line(position.line).to_string()
    }

    fn tell(&self, event: Event) {
        self.world.sink.emit(&event);
    }
}

fn describe(holder: &Holder) -> String {
    if holder.pid == 0 {
        return "its lease cannot be read, and is taken over after 90 s without a sign of life".to_string();
    }
    format!("process {} on {}, at work for {} s", holder.pid, holder.host, holder.age_seconds)
}
