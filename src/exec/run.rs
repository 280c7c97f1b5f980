//! A run: the plan's stages through an executor into the store, every happening told as an event.

use super::executor::{Ended, Executor, Stop, Ticket, Update};
use super::fetching::{self, Fetching};
use super::gpus::GpuLocks;
use super::job::Job;
use super::outputs;
use super::queue::Queue;
use super::resources::{Claim, Demand, Held, Pool};
use super::retry::{self, Cause};
use super::settings::Given;
use super::summary::{Outcome, Summary};
use crate::base::digest::Digest;
use crate::base::event::{Event, Sink, StageEvent, StageRef};
use crate::base::failpoint::failpoint;
use crate::base::kind::Kind;
use crate::base::memory;
use crate::base::source::SourceMap;
use crate::base::state::Places;
use crate::plan::{Files, Graph, Node, Plan, Resolver, Status, Step, Trajectories};
use crate::stage::{Metrics, StageError, Teacher};
use crate::store::lease::stale_after;
use crate::store::{
    Attempt, Holder, Lease, LeaseOutcome, Owner, Published, Record, RecordDraft, Remote, Resumed, Store, StoreError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use super::settings::Settings;

/// How long the engine waits for news before it looks around.
const TICK: Duration = Duration::from_millis(100);
/// Time between two looks at a stage that another process works on: short at first, then longer.
const LOOKS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(500)];

/// The device of every stage so far.
const CPU: &str = "cpu";

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
    /// The GPUs that the run may give out.
    pub gpus: Vec<String>,
    /// Where other runs on this machine see which of them are in use.
    pub gpu_locks: GpuLocks,
}

/// Runs what the plan says.
///
/// # Errors
/// [`StoreError`] where the store fails; workers are ended then. A stage that fails is an [`Outcome`], no error.
pub fn run(world: &World, executor: &mut dyn Executor, settings: &Settings) -> Result<Summary, StoreError> {
    let mut engine = Engine::new(world, executor, settings);
    let worked = engine.begin().and_then(|()| engine.work());
    if worked.is_err() {
        engine.cancel_all(Stop::Kill);
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
    /// Stages that another process works on, or whose GPUs or group it uses.
    waiting: BTreeSet<usize>,
    fetching: Vec<Fetching>,
    pool: Pool,
    /// What stages that could start would take.
    demands: BTreeMap<usize, Demand>,
    /// Further tries at stages so far.
    tries: BTreeMap<usize, usize>,
    /// Stages to be tried again, and when.
    again: Vec<(Instant, usize)>,
    /// The first result that each stage is.
    labels: BTreeMap<usize, &'a str>,
    outcomes: BTreeMap<usize, Outcome>,
    /// Whether there were training states when the run began.
    has_states: bool,
    /// Nothing new is started: a stage failed, or the user asked to stop.
    halted: bool,
    stops_heeded: usize,
    started: Instant,
    looked: Instant,
    /// Time until the next look at what waits for other processes.
    look_after: Duration,
}

/// A stage that runs.
struct Active {
    node: usize,
    inputs: BTreeMap<String, Digest>,
    attempt: Attempt,
    leases: Leases,
    claim: Claim,
    given: Given,
    resumed: Option<Resumed>,
    started: Instant,
    beaten: Instant,
    /// Since when it has been asked to stop, and why where that was not the user.
    stopping: Option<(Instant, Option<String>)>,
}

/// What a stage holds while it runs.
struct Leases {
    key: Lease,
    /// That on the states it shares with longer and shorter trainings.
    training: Option<Lease>,
    /// That on its group.
    group: Option<Lease>,
}

impl<'a> Engine<'a> {
    fn new(world: &'a World, executor: &'a mut dyn Executor, settings: &'a Settings) -> Self {
        let cached: BTreeSet<usize> =
            world.plan.steps.iter().filter(|step| step.status.is_cached()).map(|step| step.node).collect();
        let needs = |index: usize| {
            let inputs = || world.graph.node(index).inputs.iter().map(|(_, input)| *input).collect();
            (!cached.contains(&index)).then(inputs)
        };
        let mut queue = Queue::new(&world.plan.targets, needs);
        world.plan.chains.iter().for_each(|(&node, link)| queue.put_off(node, link.before));
        let mut labels = BTreeMap::new();
        for target in world.graph.targets() {
            labels.entry(target.node).or_insert(target.label.as_str());
        }
        let cores =
            settings.limits.cores.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let memory = settings.limits.memory.or_else(memory::available);
        let pool = Pool::new(settings.jobs, memory, cores, world.gpus.clone(), world.gpu_locks.clone());
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
            pool,
            demands: BTreeMap::new(),
            tries: BTreeMap::new(),
            again: Vec::new(),
            labels,
            outcomes: BTreeMap::new(),
            has_states: !world.store.trajectories().is_empty(),
            halted: false,
            stops_heeded: 0,
            started: Instant::now(),
            looked: Instant::now(),
            look_after: LOOKS[0],
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
            self.enforce_limits();
            if !self.halted {
                self.take_fetched()?;
                self.take_up_again();
                self.look_at_waiting()?;
                self.start_ready()?;
            }
            let is_all_done = self.waiting.is_empty() && self.again.is_empty() && self.fetching.is_empty();
            if self.active.is_empty() && (self.halted || is_all_done) {
                return Ok(());
            }
            for (ticket, update) in self.executor.poll(self.pause()) {
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
            self.cancel_all(if stops == 1 { Stop::Save } else { Stop::Kill });
        }
    }

    /// Whether the user asked, heeded or not yet: a stage may have been asked beside this run, and end before it.
    fn is_asked_to_stop(&self) -> bool {
        self.world.stops.load(Ordering::Relaxed) > 0
    }

    fn cancel_all(&mut self, how: Stop) {
        for (ticket, active) in &mut self.active {
            active.stopping.get_or_insert((Instant::now(), None));
            self.executor.cancel(*ticket, how);
        }
    }

    /// Stops stages that have used up their time, and ends those that were asked to stop and do not.
    fn enforce_limits(&mut self) {
        for (ticket, active) in &mut self.active {
            match (&active.stopping, active.given.time) {
                (Some((since, _)), _) if since.elapsed() > self.settings.patience.grace => {
                    self.executor.cancel(*ticket, Stop::Kill);
                }
                (None, Some(limit)) if active.started.elapsed() > limit => {
                    let why = format!("its time limit of {}", in_words(limit));
                    active.stopping = Some((Instant::now(), Some(why)));
                    self.executor.cancel(*ticket, Stop::Save);
                }
                _ => {}
            }
        }
    }

    /// How long to wait for news: until the next thing that is to be done anyhow.
    fn pause(&self) -> Duration {
        let looks = (!self.waiting.is_empty()).then(|| self.look_after.saturating_sub(self.looked.elapsed()));
        let tries = self.again.iter().map(|(due, _)| due.saturating_duration_since(Instant::now()));
        tries.chain(looks).chain([TICK]).min().unwrap_or(TICK)
    }

    fn start_ready(&mut self) -> Result<(), StoreError> {
        while self.fetching.len() < fetching::WIDTH && !self.halted {
            let Some(node) = self.next() else { return Ok(()) };
            self.try_start(node)?;
        }
        Ok(())
    }

    /// The first stage in the order of the plan that could start now. One that lacks something keeps later ones from
    /// taking it.
    fn next(&mut self) -> Option<usize> {
        if self.active.len() >= self.settings.jobs {
            return None;
        }
        let (world, settings, demands, pool) = (self.world, self.settings, &mut self.demands, &self.pool);
        let mut held = Held::default();
        self.queue.take_first(|node| {
            let demand = demands.entry(node).or_insert_with(|| demand(world, settings, node));
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
    fn take_up_again(&mut self) {
        let now = Instant::now();
        let due = self.again.extract_if(.., |(due, _)| *due <= now);
        for (_, node) in due {
            self.queue.put_back(node);
        }
    }

    fn look_at_waiting(&mut self) -> Result<(), StoreError> {
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

    fn demand(&mut self, node: usize) -> Demand {
        let (world, settings) = (self.world, self.settings);
        self.demands.entry(node).or_insert_with(|| demand(world, settings, node)).clone()
    }

    fn given(&self, node: usize) -> Given {
        self.settings.rules.of(&self.node(node).name, &self.node(node).kind)
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
        let Some((claim, group)) = self.claim(node)? else { return Ok(()) };
        self.waiting.remove(&node);
        // A shorter training may have ended since the first look.
        let step = if training.is_some() { self.resolver.decide(node, &self.known)? } else { step };
        let states = trajectories.map(|trajectories| trajectories.places(self.world.store, self.node(node).key));
        self.start(step, Leases { key, training, group }, claim, states)
    }

    fn wait(&mut self, node: usize, holder: String) {
        if self.waiting.insert(node) {
            (self.looked, self.look_after) = (Instant::now(), LOOKS[0]);
            self.tell(Event::StageWaiting { stage: self.stage(node), holder });
        }
    }

    /// Takes what a stage needs while it runs, in this run and among all runs. None where it has to wait, or where it
    /// can never have it, which is told.
    fn claim(&mut self, node: usize) -> Result<Option<(Claim, Option<Lease>)>, StoreError> {
        if self.pool.is_idle() && self.settings.limits.memory.is_none() {
            self.pool.set_memory(memory::available());
        }
        let demand = self.demand(node);
        if let Some(refusal) = self.pool.refusal(&demand) {
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

    fn take_record(&mut self, node: usize, record: &Record) {
        if let Some(digest) = record.outputs.get(&self.node(node).output_role()) {
            self.known.insert(node, *digest);
        }
        self.queue.finish(node);
    }

    fn start(&mut self, step: Step, leases: Leases, claim: Claim, states: Option<Places>) -> Result<(), StoreError> {
        let node = step.node;
        let given = self.given(node);
        let inputs = step.inputs.unwrap_or_default();
        let attempt = self.world.store.attempt(&self.node(node).key)?;
        for place in states.iter().flat_map(Places::all) {
            self.world.store.prepare_states(place)?;
        }
        let submitted = match self.check_inputs(&inputs)? {
            Ok(()) => {
                self.job(node, &inputs, &attempt, (&given, &claim), states)?.and_then(|job| self.executor.submit(job))
            }
            Err(error) => Err(error),
        };
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
        (given, claim): (&Given, &Claim),
        states: Option<Places>,
    ) -> Result<Result<Job, StageError>, StoreError> {
        let node = self.node(index);
        let files = |(role, digest): (&String, &Digest)| Ok((role.clone(), self.world.store.artifact(digest)?.files()));
        let teachers = self.teachers(node, inputs)?;
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
            completions: Some(self.world.store.layout().completions()),
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
        node: &Node,
        inputs: &BTreeMap<String, Digest>,
    ) -> Result<BTreeMap<String, Teacher>, StoreError> {
        let mut found = BTreeMap::new();
        for (role, index) in node.inputs.iter().filter(|(_, index)| self.node(*index).output == Kind::Teacher) {
            let Some(digest) = inputs.get(role) else { continue };
            let answers = self.world.store.prepare_answers(digest)?;
            found.insert(role.clone(), Teacher { args: self.node(*index).args(), answers });
        }
        Ok(found)
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

    fn take_end(&mut self, mut active: Active, ended: Ended) -> Result<(), StoreError> {
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
        let (outputs, metrics) = (record.outputs.clone().into(), record.metrics.clone().into());
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

    /// Puts a stage that the machine ended off until a further try, where it has one left.
    fn is_tried_again(&mut self, active: &Active, error: &StageError) -> bool {
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

    fn interrupt(&mut self, active: Active, saved_at: Option<u64>) {
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
    fn block(&mut self, node: usize) {
        for blocked in self.queue.fail(node) {
            if !self.is_asked_to_stop() {
                self.tell(Event::StageBlocked { stage: self.stage(blocked), by: self.stage(node) });
                self.outcomes.insert(blocked, Outcome::Blocked { by: node });
            }
        }
    }

    fn fail(&mut self, node: usize, error: StageError) -> Result<(), StoreError> {
        let declared_at = Some(self.declared_at(node));
        let source_line = Some(self.source_line(node));
        self.tell(Event::StageFailed { stage: self.stage(node), message: error.to_string(), declared_at, source_line });
        self.outcomes.insert(node, Outcome::Failed(error));
        self.block(node);
        self.halted |= !self.settings.keep_going;
        Ok(())
    }

    fn beat(&mut self) {
        // Well within the time after which a lease is stale.
        let beat = stale_after() / 6;
        for fetching in self.fetching.iter_mut().filter(|fetching| fetching.beaten.elapsed() > beat) {
            fetching.beaten = Instant::now();
            // As below.
            let _ = fetching.lease.beat();
        }
        for active in self.active.values_mut().filter(|active| active.beaten.elapsed() > beat) {
            active.beaten = Instant::now();
            // A lease that is lost, or whose heartbeat a full disk refuses, saves no double work any more, and spoils
            // nothing: the first record wins.
            let _ = active.leases.key.beat();
            let others = active.leases.training.iter().chain(&active.leases.group);
            others.for_each(|lease| drop(lease.beat()));
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
            threads: self.given(index).threads.unwrap_or(self.settings.threads),
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
        let label = self.labels.get(&index).filter(|_| node.name == node.kind);
        label.map_or_else(|| node.name.clone(), ToString::to_string)
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

/// What a stage would take.
fn demand(world: &World, settings: &Settings, node: usize) -> Demand {
    let node = world.graph.node(node);
    let given = settings.rules.of(&node.name, &node.kind);
    let memory = given.memory.unwrap_or(0);
    Demand { memory, cores: given.cpus, gpus: given.gpus, mutex: given.mutex, alone: false }
}

/// The key of the lease that a group has: no stage's key hashes such a text.
pub(super) fn group_key(group: &str) -> Digest {
    Digest::of_bytes(format!("srlm mutex group {group}").as_bytes())
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        _ if seconds > 0 && seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds > 0 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{} s", time.as_secs_f64()),
    }
}

fn describe(holder: &Holder) -> String {
    if holder.pid == 0 {
        return "its lease cannot be read, and is taken over after 90 s without a sign of life".to_string();
    }
    format!("process {} on {}, at work for {} s", holder.pid, holder.host, holder.age_seconds)
}
