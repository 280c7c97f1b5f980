//! What must run: the one resolver that `plan` and `run` share. It only looks, and writes nothing.

use super::graph::{Graph, Node, UnknownTarget};
use super::trajectory::{self, Link};
use super::why::{self, Explanation, History};
use crate::base::digest::Digest;
use crate::base::source::SourceMap;
use crate::store::{Lookup, MissReason, Record, Store, StoreError};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
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

    /// `hit`, `resume`, `run` or `not_needed`: the word in `plan --json`.
    pub fn word(self) -> &'static str {
        match self {
            Status::Hit | Status::ShallowHit => "hit",
            Status::Resume { .. } | Status::ResumeAfter { .. } => "resume",
            Status::Run | Status::MayBeCutOff => "run",
            Status::NotNeeded => "not_needed",
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
    /// The artifact digests that go in by role, and so its shallow key, where all are known.
    pub inputs: Option<BTreeMap<String, Digest>>,
    /// The record, where a result is there.
    pub record: Option<Record>,
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

/// Decides about stages by what the store holds.
pub struct Resolver<'a> {
    graph: &'a Graph,
    store: &'a Store,
    sources: &'a SourceMap,
    /// The records there were when the first miss asked for them.
    history: OnceLock<History>,
}

impl<'a> Resolver<'a> {
    /// A resolver for a graph and a store; `sources` give the lines that reasons name.
    pub fn new(graph: &'a Graph, store: &'a Store, sources: &'a SourceMap) -> Self {
        Resolver { graph, store, sources, history: OnceLock::new() }
    }

    /// What is to be done about one stage, given the artifact digests of stages (by node) that are known so far.
    /// In `run`, called again for a stage as soon as its inputs are made.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub fn decide(&self, index: usize, known: &BTreeMap<usize, Digest>) -> Result<Step, StoreError> {
        let node = self.graph.node(index);
        let inputs = known_inputs(node, known);
        let missed = match usable(node, self.store.lookup(&node.key)?) {
            Lookup::Found(record) => return Ok(hit(index, inputs, *record)),
            Lookup::Missing(missed) => missed,
        };
        if let Some(inputs) = &inputs
            && let Lookup::Found(record) = usable(node, self.store.lookup_shallow(&node.shallow_key(inputs))?)
        {
            return Ok(shallow_hit(index, inputs.clone(), *record));
        }
        let (status, reason) = self.to_run(index, inputs.as_ref(), &missed)?;
        Ok(Step { node: index, status, reason, inputs, record: None })
    }

    /// The plan for the targets of these names, or for all.
    ///
    /// # Errors
    /// [`PlanError`] for an unknown name or a store that cannot be read.
    pub fn plan(&self, names: &[String]) -> Result<Plan, PlanError> {
        let targets = self.graph.select(names)?;
        let wanted: Vec<usize> = targets.iter().map(|target| target.node).collect();
        let (mut known, mut steps) = (BTreeMap::new(), Vec::new());
        for index in self.graph.in_order(&wanted) {
            let step = self.decide(index, &known)?;
            if let Some(digest) = step.output(self.graph) {
                known.insert(index, digest);
            }
            steps.push(step);
        }
        self.drop_unneeded(&mut steps, &wanted);
        let chains = trajectory::chains(self.graph, &steps);
        self.continue_chains(&mut steps, &chains);
        let cells = targets.iter().filter(|target| target.is_cell).count();
        let uses = wanted.iter().map(|&node| self.graph.closure(node).len()).sum();
        let summary = Summary::new(&steps, targets.len() - cells, cells, uses);
        Ok(Plan { steps, targets: wanted, chains, summary })
    }

    /// Why a stage has no result, compared with the nearest earlier record; for `srlm why`.
    ///
    /// # Errors
    /// [`StoreError`] where the records cannot be read.
    pub fn explain(&self, index: usize) -> Result<Explanation, StoreError> {
        Ok(why::explain(self.graph, index, self.history()?, self.sources))
    }

    fn to_run(
        &self,
        index: usize,
        inputs: Option<&BTreeMap<String, Digest>>,
        missed: &MissReason,
    ) -> Result<(Status, String), StoreError> {
        let node = self.graph.node(index);
        let why = match missed {
            MissReason::NoRecord => self.explain(index)?.to_string(),
            missed => missed.to_string(),
        };
        if let Some(step) = inputs.and_then(|inputs| node.newest_state(self.store, inputs)) {
            return Ok((Status::Resume { step }, format!("a training state of step {step} was saved; {why}")));
        }
        if inputs.is_none() && self.history()?.knows_definition(&node.document) {
            return Ok((Status::MayBeCutOff, format!("{why}; not if its inputs come out as in an earlier run")));
        }
        Ok((Status::Run, why))
    }

    fn history(&self) -> Result<&History, StoreError> {
        if let Some(history) = self.history.get() {
            return Ok(history);
        }
        let history = History::new(self.store.records()?.records);
        Ok(self.history.get_or_init(|| history))
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
        wanted.iter().for_each(|&index| needed[index] = true);
        for step in steps.iter_mut().rev().filter(|step| step.status.runs()) {
            if needed[step.node] {
                self.graph.node(step.node).inputs.iter().for_each(|(_, input)| needed[*input] = true);
            } else {
                step.status = Status::NotNeeded;
                step.reason = "every stage that takes its result is cached".to_string();
            }
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
fn usable(node: &Node, lookup: Lookup) -> Lookup {
    let role = node.output_role();
    match lookup {
        Lookup::Found(record) if !record.outputs.contains_key(&role) => {
            Lookup::Missing(MissReason::CorruptRecord { why: format!("it has no output `{role}`") })
        }
        lookup => lookup,
    }
}

fn hit(node: usize, inputs: Option<BTreeMap<String, Digest>>, record: Record) -> Step {
    let reason = format!("made {} on {} in {:.1} s", record.made.time, record.made.host, record.seconds);
    Step { node, status: Status::Hit, reason, inputs, record: Some(record) }
}

fn shallow_hit(node: usize, inputs: BTreeMap<String, Digest>, record: Record) -> Step {
    let reason = format!("its inputs are byte for byte those of `{}` ({})", record.name, record.key.short());
    Step { node, status: Status::ShallowHit, reason, inputs: Some(inputs), record: Some(record) }
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
}

impl Plan {
    /// What is to be done about a node.
    pub fn step(&self, node: usize) -> Option<&Step> {
        self.steps.iter().find(|step| step.node == node)
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
        "inputs": inputs,
    });
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
}

impl Summary {
    fn new(steps: &[Step], pipelines: usize, cells: usize, uses: usize) -> Summary {
        let cached = steps.iter().filter(|step| step.status.is_cached()).count();
        let to_run = steps.iter().filter(|step| step.status.runs()).count();
        let stages = steps.len();
        Summary { pipelines, cells, uses, stages, cached, to_run, not_needed: stages - cached - to_run }
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
        Ok(())
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
