//! What must run: the one resolver that `plan` and `run` share. It only looks, and writes nothing.

use super::estimate::{Estimate, Total, left_after};
use super::graph::{Graph, Node, UnknownTarget};
use super::history::{History, Past};
use super::remote::Elsewhere;
use super::trajectory::{self, Link};
use super::why::{Earlier, Explainer, Explanation};
use crate::base::digest::Digest;
use crate::base::source::SourceMap;
use crate::store::{Lookup, MissReason, Record, Remote, Store, StoreError};
use rayon::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::OnceLock;

/// What is to be done about a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The result is there under the deep key.
    Hit,
    /// A result is there that was made from byte-equal inputs: `run` records it under the deep key, too.
    ShallowHit,
    /// It runs on from a saved training state.
    Resume {
        /// The step of the state.
        step: u64,
    },
    /// It runs on from the state that a shorter training leaves, which runs before it.
    ResumeAfter {
        /// That stage's index in the graph.
        before: usize,
    },
    /// It runs.
    Run,
    /// Its inputs are not made yet; should they come out as they once were, it need not run.
    MayBeCutOff,
    /// It has no result, and nothing that runs needs one.
    NotNeeded,
    /// It would have to run and cannot: this version cannot run it, or something that it needs is blocked.
    Blocked,
}

impl Status {
    /// Whether a result is there.
    pub fn is_cached(self) -> bool {
        matches!(self, Status::Hit | Status::ShallowHit)
    }

    /// Whether it is to run, as far as is known.
    pub fn runs(self) -> bool {
        matches!(self, Status::Resume { .. } | Status::ResumeAfter { .. } | Status::Run | Status::MayBeCutOff)
    }

    /// `hit`, `resume`, `run`, `not_needed` or `blocked`: the word in `plan --json`.
    pub fn word(self) -> &'static str {
        match self {
            Status::Hit | Status::ShallowHit => "hit",
            Status::Resume { .. } | Status::ResumeAfter { .. } => "resume",
            Status::Run | Status::MayBeCutOff => "run",
            Status::NotNeeded => "not_needed",
            Status::Blocked => "blocked",
        }
    }
}

/// What a reason is about: the word in `plan --json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The result is there.
    Made,
    /// A result made of the same bytes is there.
    SameInputs,
    /// No stage of its kind has a record.
    NeverRun,
    /// It differs from every stage that has a record.
    Changed,
    /// Its own record cannot be used; the word says why.
    Missed(&'static str),
    /// Every stage that takes its result is cached.
    NotNeeded,
    /// It was asked for anew.
    Fresh,
    /// This version cannot run it.
    Unbuilt,
    /// A stage that it needs is blocked.
    InputBlocked,
}

impl Cause {
    /// The word in `plan --json`.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Made => "made",
            Cause::SameInputs => "same_inputs",
            Cause::NeverRun => "never_run",
            Cause::Changed => "changed",
            Cause::Missed(word) => word,
            Cause::NotNeeded => "not_needed",
            Cause::Fresh => "fresh",
            Cause::Unbuilt => "unbuilt",
            Cause::InputBlocked => "input_blocked",
        }
    }
}

/// A stage and what is to be done about it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its index in the graph.
    pub node: usize,
    /// What is to be done.
    pub status: Status,
    /// Why, in one sentence.
    pub reason: String,
    /// What that sentence is about.
    pub cause: Cause,
    /// The artifact digests that go in by role, and so its shallow key, where all are known; none for a hit, which needs
    /// none.
    pub inputs: Option<BTreeMap<String, Digest>>,
    /// The record, where a result is there.
    pub record: Option<Record>,
    /// What it will probably take, where it is to run and an earlier stage of its kind tells.
    pub estimate: Option<Estimate>,
    /// Whether that result is in the remote cache and not here.
    pub far: bool,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A target was asked for that the file does not have.
    #[error(transparent)]
    Target(#[from] UnknownTarget),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many stages are looked up before the first of them is decided about.
const SIDE_BY_SIDE: usize = 1024;

/// Decides about stages by what the store holds.
pub struct Resolver<'a> {
    graph: &'a Graph,
    store: &'a Store,
    sources: &'a SourceMap,
    pub(super) remote: Option<&'a Remote>,
    /// Stages that are computed anew, whatever the store holds.
    fresh: Option<&'a BTreeSet<usize>>,
    /// Knows the records there were when the first miss asked for them.
    explainer: OnceLock<Explainer<'a>>,
}

impl<'a> Resolver<'a> {
    /// A resolver for a graph and a store; `sources` give the lines that reasons name.
    pub fn new(graph: &'a Graph, store: &'a Store, sources: &'a SourceMap) -> Self {
        Resolver { graph, store, sources, remote: None, fresh: None, explainer: OnceLock::new() }
    }

    /// The same, with stages that are computed anew though their results are there.
    pub fn with_fresh(self, fresh: &'a BTreeSet<usize>) -> Self {
        Resolver { fresh: Some(fresh), ..self }
    }

    fn is_fresh(&self, index: usize) -> bool {
        self.fresh.is_some_and(|fresh| fresh.contains(&index))
    }

    /// What is to be done about one stage, given the artifact digests of stages (by node) that are known so far.
    /// In `run`, called again for a stage as soon as its inputs are made.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub fn decide(&self, index: usize, known: &BTreeMap<usize, Digest>) -> Result<Step, StoreError> {
        self.decided(index, known, self.store.result(&self.graph.node(index).key)?)
    }

    /// As [`Resolver::decide`], given what the store has under the deep key.
    fn decided(&self, index: usize, known: &BTreeMap<usize, Digest>, found: Lookup) -> Result<Step, StoreError> {
        let node = self.graph.node(index);
        let inputs = || known_inputs(node, known);
        let missed = match usable(node, found) {
            Lookup::Found(record) if self.is_fresh(index) => return Ok(anew(index, inputs(), &record)),
            Lookup::Found(record) => return Ok(hit(index, *record)),
            Lookup::Missing(missed) => missed,
        };
        let inputs = inputs();
        if let Some(inputs) = &inputs
            && let Lookup::Found(record) = usable(node, self.store.lookup_shallow(&node.shallow_key(inputs))?)
        {
            return Ok(match self.is_fresh(index) {
                true => anew(index, Some(inputs.clone()), &record),
                false => shallow_hit(index, inputs.clone(), *record),
            });
        }
        let trouble = match self.elsewhere(index, inputs.as_ref()) {
            Elsewhere::Found(step) if !self.is_fresh(index) => return Ok(*step),
            Elsewhere::Found(_) | Elsewhere::Absent => None,
            Elsewhere::Failed(trouble) => Some(trouble),
        };
        let (status, mut reason, mut cause) = self.to_run(index, inputs.as_ref(), &missed)?;
        if let Some(trouble) = trouble {
            reason += &format!("; {trouble}");
            cause = Cause::Missed(trouble.word());
        }
        Ok(Step { node: index, status, reason, cause, inputs, record: None, far: false, estimate: None })
    }

    /// The plan for the targets of these names, or for all.
    ///
    /// # Errors
    /// [`PlanError`] for an unknown name or a store that cannot be read.
    pub fn plan(&self, names: &[String]) -> Result<Plan, PlanError> {
        let targets = self.graph.select(names)?;
        let cells = targets.iter().filter(|target| target.is_cell).count();
        let wanted = targets.iter().map(|target| target.node).collect();
        Ok(self.plan_for(wanted, targets.len() - cells, cells)?)
    }

    /// The plan for the targets of an earlier one, by what is there now.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub fn again(&self, plan: &Plan) -> Result<Plan, StoreError> {
        self.plan_for(plan.targets.clone(), plan.summary.pipelines, plan.summary.cells)
    }

    fn plan_for(&self, targets: Vec<usize>, pipelines: usize, cells: usize) -> Result<Plan, StoreError> {
        let (mut steps, mut asked) = (self.steps(&targets)?, BTreeSet::new());
        // An answer may make inputs known, and so lead to further questions.
        while self.ask_for(&steps, &mut asked) {
            steps = self.steps(&targets)?;
        }
        self.block(&mut steps);
        let chains = trajectory::chains(self.graph, &steps);
        self.continue_chains(&mut steps, &chains);
        self.estimate(&mut steps)?;
        let uses = targets.iter().map(|&node| self.graph.closure(node).len()).sum();
        let summary = Summary::new(&steps, pipelines, cells, uses);
        Ok(Plan::new(steps, targets, chains, summary))
    }

    /// What is to be done about everything that some nodes need, by what is known now.
    fn steps(&self, wanted: &[usize]) -> Result<Vec<Step>, StoreError> {
        let order = self.graph.in_order(wanted);
        let (mut known, mut steps) = (BTreeMap::new(), Vec::with_capacity(order.len()));
        for share in order.chunks(SIDE_BY_SIDE) {
            // One after the other they would wait for the disk and for each other's digests.
            let found: Vec<_> = share.par_iter().map(|&index| self.store.result(&self.graph.node(index).key)).collect();
            for (&index, found) in share.iter().zip(found) {
                let step = self.decided(index, &known, found?)?;
                if let Some(digest) = step.output(self.graph) {
                    known.insert(index, digest);
                }
                steps.push(step);
            }
        }
        self.drop_unneeded(&mut steps, wanted);
        Ok(steps)
    }

    pub(super) fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// Why a stage has no result, compared with the nearest earlier record; for `srlm why`.
    ///
    /// # Errors
    /// [`StoreError`] where the records cannot be read.
    pub fn explain(&self, index: usize) -> Result<Explanation, StoreError> {
        Ok(self.explainer()?.explain(index))
    }

    fn to_run(
        &self,
        index: usize,
        inputs: Option<&BTreeMap<String, Digest>>,
        missed: &MissReason,
    ) -> Result<(Status, String, Cause), StoreError> {
        let node = self.graph.node(index);
        let (why, cause) = match missed {
            MissReason::NoRecord => {
                let explanation = self.explain(index)?;
                let cause = if explanation.nearest.is_some() { Cause::Changed } else { Cause::NeverRun };
                (explanation.to_string(), cause)
            }
            missed => (missed.to_string(), Cause::Missed(missed.word())),
        };
        if let Some(step) = inputs.and_then(|inputs| node.newest_state(self.store, inputs)) {
            return Ok((Status::Resume { step }, format!("a training state of step {step} was saved; {why}"), cause));
        }
        if inputs.is_none() && self.explainer()?.history().knows_definition(node.document()) {
            let why = format!("{why}; not if its inputs come out as in an earlier run");
            return Ok((Status::MayBeCutOff, why, cause));
        }
        Ok((Status::Run, why, cause))
    }

    /// What compares stages with earlier ones. Reading every record takes a while, so a plan without a miss does not.
    pub fn explainer(&self) -> Result<&Explainer<'a>, StoreError> {
        if let Some(explainer) = self.explainer.get() {
            return Ok(explainer);
        }
        let history = History::new(self.store.history(Past::of)?);
        let look = Box::new(|key: &Digest| self.store.record(key).map(Earlier::from));
        let explainer = Explainer::new(self.graph, self.sources, history, look);
        Ok(self.explainer.get_or_init(|| explainer))
    }

    /// A training that goes on from what a shorter one leaves: where that one surely runs, so does this one on.
    fn continue_chains(&self, steps: &mut [Step], chains: &BTreeMap<usize, Link>) {
        let surely_runs: BTreeSet<usize> = steps
            .iter()
            .filter(|step| step.status.runs() && step.status != Status::MayBeCutOff)
            .map(|step| step.node)
            .collect();
        for step in steps.iter_mut() {
            let Some(Link { before, goes_on: true }) = chains.get(&step.node) else { continue };
            if surely_runs.contains(&step.node) && surely_runs.contains(before) {
                let shorter = self.graph.node(*before);
                step.status = Status::ResumeAfter { before: *before };
                step.reason = format!("goes on from the state that {} leaves; {}", shorter.with_budget(), step.reason);
            }
        }
    }

    /// Stages without a result that only cached stages take from need not run.
    fn drop_unneeded(&self, steps: &mut [Step], wanted: &[usize]) {
        let mut needed = vec![false; self.graph.len()];
        wanted.iter().chain(self.fresh.into_iter().flatten()).for_each(|&index| needed[index] = true);
        for step in steps.iter_mut().rev().filter(|step| step.status.runs()) {
            if needed[step.node] {
                self.graph.node(step.node).inputs.iter().for_each(|(_, input)| needed[*input] = true);
            } else {
                step.status = Status::NotNeeded;
                step.reason = "every stage that takes its result is cached".to_string();
                step.cause = Cause::NotNeeded;
            }
        }
    }

    /// What the stages to run will take, by the records nearest to them.
    fn estimate(&self, steps: &mut [Step]) -> Result<(), StoreError> {
        for step in steps.iter_mut().filter(|step| step.status.runs()) {
            let node = self.graph.node(step.node);
            // The record that tells best is its own, where only the result is gone.
            let nearest = || self.explainer().map(|explainer| explainer.nearest(step.node));
            let record = match self.store.record(&node.key) {
                None => nearest()?.and_then(|key| self.store.record(&key)),
                own => own,
            };
            let science = &node.document()["science"];
            let left = match step.status {
                Status::Resume { step } => left_after(science, &json!({ "budget": { "steps": step } })),
                Status::ResumeAfter { before } => left_after(science, &self.graph.node(before).document()["science"]),
                _ => 1.0,
            };
            step.estimate = record.map(|record| Estimate::new(&record, &node.key, science, left));
        }
        Ok(())
    }

    /// Marks what would have to run and cannot. Inputs stand before what takes them.
    fn block(&self, steps: &mut [Step]) {
        let mut blocked = vec![false; self.graph.len()];
        for step in steps.iter_mut().filter(|step| step.status.runs()) {
            let node = self.graph.node(step.node);
            let input = node.inputs.iter().find(|(_, input)| blocked[*input]);
            (step.reason, step.cause) = match (node.unbuilt, input) {
                (Some(what), _) => (format!("this version cannot run {what} yet"), Cause::Unbuilt),
                (None, Some((role, input))) => {
                    let name = &self.graph.node(*input).name;
                    (format!("its input `{role}` comes from `{name}`, which is blocked"), Cause::InputBlocked)
                }
                (None, None) => continue,
            };
            step.status = Status::Blocked;
            blocked[step.node] = true;
        }
    }
}

impl Step {
    /// The artifact digest of the stage's result, where one is there.
    pub fn output(&self, graph: &Graph) -> Option<Digest> {
        self.record.as_ref()?.outputs.get(&graph.node(self.node).output_role()).copied()
    }
}

/// The plan for some targets. It was made by looking only: nothing was written.
///
/// # Errors
/// [`PlanError`] for an unknown name or a store that cannot be read.
pub fn resolve(graph: &Graph, store: &Store, sources: &SourceMap, names: &[String]) -> Result<Plan, PlanError> {
    Resolver::new(graph, store, sources).plan(names)
}

/// The artifact digests that go into a node, once all are known.
pub fn known_inputs(node: &Node, known: &BTreeMap<usize, Digest>) -> Option<BTreeMap<String, Digest>> {
    node.inputs.iter().map(|(role, index)| known.get(index).map(|digest| (role.clone(), *digest))).collect()
}

/// A record without the output that the stage makes is no result.
pub(super) fn usable(node: &Node, lookup: Lookup) -> Lookup {
    let role = node.output_role();
    match lookup {
        Lookup::Found(record) if !record.outputs.contains_key(&role) => {
            Lookup::Missing(MissReason::CorruptRecord { why: format!("it has no output `{role}`") })
        }
        lookup => lookup,
    }
}

pub(super) fn hit(node: usize, record: Record) -> Step {
    let reason = format!("made {} on {} in {:.1} s", record.made.time, record.made.host, record.seconds);
    Step {
        node,
        status: Status::Hit,
        reason,
        cause: Cause::Made,
        inputs: None,
        record: Some(record),
        far: false,
        estimate: None,
    }
}

fn anew(node: usize, inputs: Option<BTreeMap<String, Digest>>, kept: &Record) -> Step {
    Step {
        node,
        status: Status::Run,
        reason: format!("asked for anew; the result of {} is kept", kept.made.time),
        cause: Cause::Fresh,
        inputs,
        record: None,
        far: false,
        estimate: None,
    }
}

pub(super) fn shallow_hit(node: usize, inputs: BTreeMap<String, Digest>, record: Record) -> Step {
    let reason = format!("its inputs are byte for byte those of `{}` ({})", record.name, record.key.short());
    let cause = Cause::SameInputs;
    Step {
        node,
        status: Status::ShallowHit,
        reason,
        cause,
        inputs: Some(inputs),
        record: Some(record),
        far: false,
        estimate: None,
    }
}

/// What is to be done for some targets.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Every distinct stage upstream of the targets, each after its inputs, what the first target needs first.
    pub steps: Vec<Step>,
    /// The targets' nodes, in the file's order.
    pub targets: Vec<usize>,
    /// By node, what a stage waits for though it does not need its result: a shorter training of which it is the
    /// continuation.
    pub chains: BTreeMap<usize, Link>,
    /// The counts.
    pub summary: Summary,
    /// Where the step of a node stands among the steps.
    places: HashMap<usize, usize>,
}

impl Plan {
    fn new(steps: Vec<Step>, targets: Vec<usize>, chains: BTreeMap<usize, Link>, summary: Summary) -> Plan {
        let places = steps.iter().enumerate().map(|(at, step)| (step.node, at)).collect();
        Plan { steps, targets, chains, summary, places }
    }

    /// What is to be done about a node.
    pub fn step(&self, node: usize) -> Option<&Step> {
        self.places.get(&node).map(|&at| &self.steps[at])
    }

    /// What everything that is to run will probably take.
    pub fn estimate(&self) -> Total {
        Total::of(self)
    }

    /// One object per distinct stage, in the plan's order.
    pub fn to_json(&self, graph: &Graph) -> Json {
        self.steps.iter().map(|step| step_to_json(step, graph)).collect()
    }
}

fn step_to_json(step: &Step, graph: &Graph) -> Json {
    let node = graph.node(step.node);
    let inputs: BTreeMap<&String, Digest> =
        node.inputs.iter().map(|(role, index)| (role, graph.node(*index).key)).collect();
    let mut object = json!({
        "key": node.key,
        "kind": node.kind,
        "name": node.name,
        "labels": node.labels,
        "status": step.status.word(),
        "reason": step.reason,
        "cause": step.cause.word(),
        "inputs": inputs,
    });
    if step.status.runs() {
        object["estimate"] = json!(step.estimate);
    }
    match step.status {
        Status::ShallowHit => object["alias_of"] = json!(step.record.as_ref().map(|record| record.key)),
        Status::Resume { step } => object["resume_step"] = json!(step),
        Status::ResumeAfter { before } => object["resume_after"] = json!(graph.node(before).key),
        Status::MayBeCutOff => object["may_be_cut_off"] = json!(true),
        _ => {}
    }
    object
}

/// The counts of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Pipelines among the targets.
    pub pipelines: usize,
    /// Cells of sweeps among the targets.
    pub cells: usize,
    /// Stages upstream of each target, summed over the targets.
    pub uses: usize,
    /// Distinct stages.
    pub stages: usize,
    /// Those whose result is there.
    pub cached: usize,
    /// Those to run.
    pub to_run: usize,
    /// Those without a result that nothing needs.
    pub not_needed: usize,
    /// Those that would have to run and cannot.
    pub blocked: usize,
}

impl Summary {
    fn new(steps: &[Step], pipelines: usize, cells: usize, uses: usize) -> Summary {
        let cached = steps.iter().filter(|step| step.status.is_cached()).count();
        let to_run = steps.iter().filter(|step| step.status.runs()).count();
        let blocked = steps.iter().filter(|step| step.status == Status::Blocked).count();
        let stages = steps.len();
        let not_needed = stages - cached - to_run - blocked;
        Summary { pipelines, cells, uses, stages, cached, to_run, not_needed, blocked }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [(self.pipelines, "pipeline"), (self.cells, "cell")];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{}, ", counted(count, what))?;
        }
        write!(f, "{}, {}, ", counted(self.uses, "stage use"), counted(self.stages, "stage"))?;
        write!(f, "{} cached, {} to run", self.cached, self.to_run)?;
        if self.not_needed > 0 {
            write!(f, ", {} not needed", self.not_needed)?;
        }
        if self.blocked > 0 {
            write!(f, ", {} blocked", self.blocked)?;
        }
        Ok(())
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
