//! What a plan says is what a run does: random graphs over stores in random states.

use super::gpus::GpuLocks;
use super::mock::MockExecutor;
use super::run::{Settings, World, run};
use super::{Outcome, Summary, job::Job};
use crate::base::digest::Digest;
use crate::base::event::{Event, Sink};
use crate::base::kind::Kind;
use crate::base::seed::{Seed, Stream};
use crate::base::source::{SourceId, SourceMap, Span};
use crate::base::state::Manifest;
use crate::lang::program::{Pipeline, Program, StageCall, Unbuilt};
use crate::lang::signature::Training;
use crate::lang::value::{NodeId, Value};
use crate::plan::resolve::{Cause, known_inputs};
use crate::plan::{Files, Graph, Plan, Status, Trajectories, resolve};
use crate::stage::{Metrics, StageContext, StageError};
use crate::store::Store;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

struct NoFiles;

impl Files for NoFiles {
    fn digest(&self, path: &str) -> Result<Digest, String> {
        Err(format!("no stage here reads {path}"))
    }
}

const KINDS: [(&str, Kind); 3] = [("train", Kind::Model), ("clean", Kind::Dataset), ("judge", Kind::Scores)];

/// Trains for as many steps as its level says, and shares no state with others.
const TRAINING: Training = Training { budget: "level", of_the_end: &[], total: |_| Some(90), open: |_, _| None };

/// A program of random stages. `noise` does not reach a stage's output, so that early cutoff happens.
fn program(stream: &mut Stream) -> Program {
    let span = Span::new(SourceId(0), 0, 1);
    let count = stream.between(3, 10) as usize;
    let mut calls: Vec<StageCall> = Vec::new();
    for index in 0..count {
        let fan_in = stream.below(3).min(index as u64) as usize;
        let roles = ["one", "two"].into_iter().take(fan_in);
        let inputs = roles.map(|role| (role.to_string(), NodeId(stream.below(index as u64) as usize))).collect();
        let (kind, output) = *stream.pick(&KINDS);
        let (level, noise) = (stream.between(0, 1), stream.between(0, 2));
        calls.push(StageCall {
            kind: kind.into(),
            version: 1,
            args: Arc::new(vec![("level".into(), Value::Int(level)), ("noise".into(), Value::Int(noise))]),
            unkeyed: Vec::new(),
            inputs,
            output,
            name: format!("s{index}"),
            span,
            field_spans: Arc::default(),
            training: (kind == "train").then_some(TRAINING),
        });
    }
    let target = |at: i64| NodeId(if at == 0 { count - 1 } else { (at as usize * 7) % count });
    let pipeline = |at: i64| Pipeline { name: format!("p{at}"), doc: None, target: target(at), span };
    let pipelines = (0..stream.between(1, 3)).map(pipeline).collect();
    Program { calls, pipelines, ..Program::default() }
}

/// The same program after an edit of some fields.
fn edited(program: &Program, stream: &mut Stream) -> Program {
    let mut edited = program.clone();
    for call in &mut edited.calls {
        if stream.below(3) == 0 {
            let at = stream.below(2) as usize;
            Arc::make_mut(&mut call.args)[at].1 = Value::Int(stream.between(0, 2));
        }
    }
    edited
}

/// Writes what the job's kind promises; what it holds depends on everything but `noise`.
fn make(job: &Job, context: &StageContext) -> Result<Metrics, StageError> {
    let mut inputs: Vec<(&String, String)> = Vec::new();
    for (role, files) in &job.inputs {
        inputs.push((role, fs::read_to_string(&files["made_of"])?));
    }
    let made_of = format!("{} {} {inputs:?}", job.kind, job.args["level"]);
    let promised: &[(&str, &[u8])] = match job.kind.as_str() {
        "clean" => &[("data.jsonl", b"{}\n")],
        "judge" => &[("summary.json", b"{}")],
        _ => &[("config.json", b"{}"), ("model.safetensors", b"\x02\0\0\0\0\0\0\0{}")],
    };
    promised.iter().try_for_each(|(name, bytes)| fs::write(context.out.join(name), bytes))?;
    fs::write(context.out.join("made_of"), Digest::of_bytes(made_of.as_bytes()).to_string())?;
    Ok(Metrics::from([("loss".into(), 0.5)]))
}

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Sink for Heard {
    fn emit(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn store(&self) -> Store {
        Store::open(self.folder.path().join("store")).unwrap()
    }

    fn plan(&self, graph: &Graph) -> Plan {
        let mut sources = SourceMap::default();
        sources.add("a.srlm", "pipeline");
        resolve(graph, &self.store(), &sources, &[]).unwrap()
    }

    /// Does what a plan says; the summary, and for each stage that was begun the step that it resumed from.
    fn run(&self, graph: &Graph, plan: &Plan, id: &str, jobs: usize) -> (Summary, BTreeMap<Digest, Option<u64>>) {
        let mut sources = SourceMap::default();
        sources.add("a.srlm", "pipeline");
        let locate = |path: &str| Ok(PathBuf::from(path));
        let (store, heard, stops) = (self.store(), Heard::default(), AtomicUsize::new(0));
        let world = World {
            graph,
            plan,
            store: &store,
            remote: None,
            sources: &sources,
            locate: &locate,
            files: &NoFiles,
            sink: &heard,
            stops: &stops,
            gpus: Vec::new(),
            gpu_locks: GpuLocks::in_folder(&self.folder.path().join("gpus")),
            fresh: &BTreeSet::new(),
        };
        let settings = Settings { jobs, ..Settings::new(id) };
        let summary = run(&world, &mut MockExecutor::new(make), &settings).unwrap();
        let begun = |event: Event| match event {
            Event::StageStarted { stage, resumed_from, .. } => Some((stage.key, resumed_from)),
            _ => None,
        };
        (summary, heard.0.into_inner().unwrap().into_iter().filter_map(begun).collect())
    }

    /// Takes away, cuts short or adds whatever a crash, a hand or a gc may.
    fn disturb(&self, graph: &Graph, stream: &mut Stream) {
        let (store, plan) = (self.store(), self.plan(graph));
        let known = plan.steps.iter().filter_map(|step| Some((step.node, step.output(graph)?))).collect();
        for step in plan.steps {
            let node = graph.node(step.node);
            let path = store.layout().record(&node.key);
            let trajectories = known_inputs(node, &known).and_then(|inputs| node.trajectories(&inputs));
            // A result that is at hand under another stage's key has no record of its own.
            let record = step.record.filter(|_| path.exists());
            match (stream.below(9), record) {
                (0, Some(_)) => fs::remove_file(path).unwrap(),
                (1, Some(_)) => cut(&path),
                (2, Some(record)) => {
                    let artifact = store.artifact(&record.outputs[&node.output_role()]);
                    artifact.iter().for_each(|artifact| take_away(&artifact.files()["made_of"]));
                }
                (3, Some(record)) => take_away(&store.layout().blob(&record.outputs[&node.output_role()])),
                (4 | 5, Some(_)) => {
                    fs::remove_file(path).unwrap();
                    trajectories.iter().for_each(|found| save_state(&store, node.key, found, 1 + stream.below(89)));
                }
                _ => {}
            }
        }
    }
}

fn save_state(store: &Store, key: Digest, trajectories: &Trajectories, step: u64) {
    let place = store.place(&trajectories.own);
    let (files, metrics) = Default::default();
    let (trajectory, budget) = (trajectories.own, trajectories.budget.clone());
    let manifest = Manifest { trajectory, step, key, budget, total: 90, end: false, seconds: 1.0, metrics, files };
    fs::create_dir_all(place.state(step)).and_then(|()| manifest.write(&place.state(step))).unwrap();
}

/// Equal results share their files, so it may have been taken away with another's.
fn take_away(path: &Path) {
    assert!(fs::remove_file(path).is_ok() || !path.exists());
}

fn cut(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    fs::remove_file(path).unwrap();
    fs::write(path, &text[..text.len() / 2]).unwrap();
}

/// What must hold of each step of a plan that was run.
fn held(
    graph: &Graph,
    plan: &Plan,
    id: &str,
    summary: &Summary,
    begun: &BTreeMap<Digest, Option<u64>>,
) -> Result<(), String> {
    for step in &plan.steps {
        let key = graph.node(step.node).key;
        let outcome = summary.outcomes.get(&step.node);
        let is_cached = matches!(outcome, Some(Outcome::Cached(_)));
        let was_made = matches!(outcome, Some(Outcome::Finished(_))) && begun.contains_key(&key);
        // A stage that comes to the very bytes of another one of this run shares what that one made.
        let shares = matches!(outcome, Some(Outcome::Cached(record)) if record.run == id && record.alias_of.is_some());
        // A lost file is back where another stage of this run made the very same one.
        let is_restored = is_cached && !begun.contains_key(&key) && step.cause == Cause::Missed("missing");
        let agrees = match step.status {
            Status::Hit | Status::ShallowHit => is_cached && !begun.contains_key(&key),
            // Training states are known by what goes in: where that is not made yet, one may turn up when the stage starts.
            Status::Run => (was_made && (begun[&key].is_none() || step.inputs.is_none())) || shares || is_restored,
            Status::Resume { step } => (was_made && begun[&key] == Some(step)) || shares || is_restored,
            Status::ResumeAfter { .. } => was_made,
            Status::MayBeCutOff => was_made || is_cached,
            Status::NotNeeded => outcome.is_none(),
            Status::Blocked => false,
        };
        if !agrees {
            return Err(format!("{}: {:?}, {} but {outcome:?}", graph.node(step.node).name, step.status, step.reason));
        }
    }
    Ok(())
}

/// The stages that this version cannot run, and what needs them, among those that would have to run.
fn expected_blocked(graph: &Graph, free: &Plan, unbuilt: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut blocked = BTreeSet::new();
    for step in free.steps.iter().filter(|step| step.status.runs()) {
        let needs_blocked = graph.node(step.node).inputs.iter().any(|(_, input)| blocked.contains(input));
        if unbuilt.contains(&step.node) || needs_blocked {
            blocked.insert(step.node);
        }
    }
    blocked
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_plan_says_is_what_a_run_does(seed in any::<u64>()) {
        let mut stream = Seed::new(seed).stream();
        let bench = Bench { folder: tempfile::tempdir().unwrap() };
        let mut program = program(&mut stream);
        for round in 0..4 {
            let graph = Graph::build(&program, &NoFiles).unwrap();
            let plan = bench.plan(&graph);
            let jobs = stream.between(1, 3) as usize;
            let id = format!("r{round}");
            let (summary, begun) = bench.run(&graph, &plan, &id, jobs);
            let held = held(&graph, &plan, &id, &summary, &begun);
            prop_assert!(held.is_ok(), "round {round}: {}", held.unwrap_err());
            let after = bench.plan(&graph);
            prop_assert!(after.steps.iter().all(|step| !step.status.runs()), "something is left to run");
            bench.disturb(&graph, &mut stream);
            program = edited(&program, &mut stream);
        }
    }

    #[test]
    fn what_cannot_run_blocks_what_needs_it_and_nothing_else(seed in any::<u64>()) {
        let mut stream = Seed::new(seed).stream();
        let bench = Bench { folder: tempfile::tempdir().unwrap() };
        let mut program = program(&mut stream);
        let graph = Graph::build(&program, &NoFiles).unwrap();
        bench.run(&graph, &bench.plan(&graph), "r0", 1);
        bench.disturb(&graph, &mut stream);
        program = edited(&program, &mut stream);
        let free = bench.plan(&Graph::build(&program, &NoFiles).unwrap());
        let chosen = NodeId(stream.below(program.calls.len() as u64) as usize);
        program.unbuilt.push(Unbuilt { node: chosen, what: "`it`", span: program.calls[0].span, by_way_of: None });
        let graph = Graph::build(&program, &NoFiles).unwrap();
        let plan = bench.plan(&graph);
        let blocked = plan.steps.iter().filter(|step| step.status == Status::Blocked).map(|step| step.node).collect();
        let unbuilt = graph.node_of(chosen).into_iter().collect();
        prop_assert_eq!(expected_blocked(&graph, &free, &unbuilt), blocked);
        prop_assert_eq!(plan.summary.stages, plan.summary.cached + plan.summary.to_run + plan.summary.not_needed + plan.summary.blocked);
    }
}
