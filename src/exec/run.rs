//! A run: the plan's stages through an executor into the store, every happening told as an event.

mod ending;
mod fresh;
mod heal;
mod names;
mod results;
mod start;
mod stop;

use super::executor::{Executor, Stop, Ticket};
use super::fetching::Fetching;
use super::gpus::GpuLocks;
use super::queue::Queue;
use super::resources::{Claim, Demand, Pool};
use super::settings::Given;
use super::summary::{Outcome, Summary};
use crate::base::digest::Digest;
use crate::base::event::{Event, Sink};
use crate::base::memory;
use crate::base::source::SourceMap;
use crate::plan::{Files, Graph, Plan, Resolver};
use crate::store::lease::stale_after;
use crate::store::{Attempt, Lease, Owner, Remote, Resumed, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

pub use super::settings::Settings;
#[cfg(test)]
pub(super) use start::group_key;

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
    /// Stages that are computed anew though their results are there.
    pub fresh: &'a BTreeSet<usize>,
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
    /// Stages that ran again in this run, because their results turned out to be damaged.
    healed: BTreeSet<usize>,
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
        // What is computed anew may lie behind a target whose result is there.
        let wanted: Vec<usize> = world.plan.targets.iter().chain(world.fresh).copied().collect();
        let mut queue = Queue::new(&wanted, needs);
        world.plan.chains.iter().for_each(|(&node, link)| queue.put_off(node, link.before));
        let mut labels = BTreeMap::new();
        for target in world.graph.targets() {
            labels.entry(target.node).or_insert(target.label.as_str());
        }
        let cores =
            settings.limits.cores.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let memory = settings.limits.memory.or_else(memory::available);
        let pool = Pool::new(settings.jobs, memory, cores, world.gpus.clone(), world.gpu_locks.clone())
            .with_limit(settings.limits.memory.or_else(memory::total));
        Engine {
            world,
            settings,
            executor,
            resolver: Resolver::new(world.graph, world.store, world.sources)
                .with_remote(world.remote)
                .with_fresh(world.fresh),
            owner: Owner::current(&settings.run),
            queue,
            known: BTreeMap::new(),
            healed: BTreeSet::new(),
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

    /// How long to wait for news: until the next thing that is to be done anyhow.
    fn pause(&self) -> Duration {
        let looks = (!self.waiting.is_empty()).then(|| self.look_after.saturating_sub(self.looked.elapsed()));
        let tries = self.again.iter().map(|(due, _)| due.saturating_duration_since(Instant::now()));
        tries.chain(looks).chain([TICK]).min().unwrap_or(TICK)
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
}
