//! Tests of the plan: which stages are one, which must run, and that every reason names what changed.

use super::*;
use crate::base::digest::Digest;
use crate::base::kind::Kind;
use crate::base::seed::{Seed, Stream};
use crate::base::source::{SourceMap, Span};
use crate::lang::program::{Cell, Compare, Pipeline, Program, StageCall, Sweep};
use crate::lang::types::Dimension;
use crate::lang::value::{NodeId, RewardSum, RewardTerm, Value};
use crate::store::{Record, RecordDraft, Store};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::sync::Arc;

const TEXT: &str = "let warm = sft {\n  learning_rate: 1e-3\n  budget: 60steps\n}\n";

/// Every path has a content, but for those that end in `.missing`; those that begin alike have the same.
struct Contents;

impl Files for Contents {
    fn digest(&self, path: &str) -> Result<Digest, String> {
        let content = path.split('@').next().unwrap_or(path);
        if path.ends_with(".missing") { Err("no such file".into()) } else { Ok(Digest::of_bytes(content.as_bytes())) }
    }
}

fn sources() -> (SourceMap, Span) {
    let mut sources = SourceMap::default();
    let id = sources.add("a.srlm", TEXT);
    (sources, Span::new(id, 0, 3))
}

fn span_of(text: &str) -> Span {
    let start = TEXT.find(text).expect("the text is there");
    Span::new(sources().1.source, start, start + text.len())
}

pub(super) fn call(kind: &str, name: &str, args: &[(&str, Value)], inputs: &[(&str, usize)]) -> StageCall {
    StageCall {
        kind: kind.into(),
        version: 1,
        args: Arc::new(args.iter().map(|(name, value)| (name.to_string().into(), value.clone())).collect()),
        unkeyed: Vec::new(),
        inputs: inputs.iter().map(|(role, id)| (role.to_string(), NodeId(*id))).collect(),
        output: if kind == "jsonl" { Kind::Dataset } else { Kind::Model },
        name: name.into(),
        span: sources().1,
        field_spans: Arc::new([
            ("learning_rate".into(), span_of("1e-3")),
            ("budget".into(), span_of("60steps")),
            ("file".into(), span_of("sft")),
        ]),
        training: None,
    }
}

pub(super) fn pipeline(name: &str, target: usize) -> Pipeline {
    Pipeline { name: name.into(), doc: None, target: NodeId(target), span: sources().1 }
}

pub(super) fn steps(amount: f64) -> Value {
    Value::quantity(amount, Dimension::Steps)
}

/// tiny, data → warm → reason
pub(super) fn program(learning_rate: f64, budget: f64) -> Program {
    let data = Value::Input("data".into());
    let calls = vec![
        call("tiny", "base", &[("seed", Value::Int(0))], &[]),
        call("jsonl", "train", &[("file", Value::Path("train.jsonl".into()))], &[]),
        call(
            "sft",
            "warm",
            &[("learning_rate", Value::Float(learning_rate)), ("budget", steps(60.0)), ("data", data.clone())],
            &[("model", 0), ("data", 1)],
        ),
        call("grpo", "reason", &[("budget", steps(budget)), ("data", data)], &[("model", 2), ("data", 1)]),
    ];
    Program { calls, pipelines: vec![pipeline("sft_then_rl", 3)], ..Program::default() }
}

pub(super) fn graph(program: &Program) -> Graph {
    Graph::build(program, &Contents).expect("every file has a content")
}

pub(super) struct Fixture {
    folder: tempfile::TempDir,
    pub(super) store: Store,
}

pub(super) fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path().join("store")).expect("a new store opens");
    Fixture { folder, store }
}

impl Fixture {
    pub(super) fn plan(&self, graph: &Graph) -> Plan {
        resolve(graph, &self.store, &sources().0, &[]).expect("the store can be read")
    }

    /// Does what `run` does, with stages whose output forgets the field `noise`; returns the nodes that ran.
    pub(super) fn run(&self, graph: &Graph) -> HashSet<usize> {
        let (sources, _) = sources();
        let resolver = Resolver::new(graph, &self.store, &sources);
        let wanted: Vec<usize> = graph.targets().iter().map(|target| target.node).collect();
        let (mut known, mut ran) = (BTreeMap::new(), HashSet::new());
        for index in graph.in_order(&wanted) {
            let step = resolver.decide(index, &known).expect("readable");
            let record = match (step.status, &step.record) {
                (Status::Hit, Some(record)) => record.clone(),
                (Status::ShallowHit, Some(record)) => {
                    self.store.alias(record, draft(graph.node(index), &step)).expect("writable")
                }
                _ => {
                    ran.insert(index);
                    self.make(graph.node(index), &step)
                }
            };
            known.insert(index, record.outputs[&graph.node(index).output_role()]);
        }
        ran
    }

    fn make(&self, node: &Node, step: &Step) -> Record {
        let attempt = self.store.attempt(&node.key).expect("writable");
        let mut args = node.document()["science"].clone();
        args.as_object_mut().expect("fields").remove("noise");
        let output = format!("{} {args} {:?}", node.kind, step.inputs);
        fs::write(attempt.out.join("output"), output).expect("writable");
        let outputs = BTreeMap::from([(node.output_role(), attempt.out)]);
        self.store.publish(draft(node, step), &outputs).expect("writable").record
    }
}

pub(super) fn draft(node: &Node, step: &Step) -> RecordDraft {
    let inputs = step.inputs.clone().expect("inputs are made first");
    RecordDraft {
        key: node.key,
        shallow: node.shallow_key(&inputs),
        kind: node.kind.clone(),
        name: node.name.clone(),
        document: node.document().clone(),
        inputs,
        metrics: BTreeMap::new(),
        seconds: 0.0,
        resumed: None,
        threads: 1,
        peak_memory: None,
        device: "cpu".into(),
        declared_at: None,
        run: "run".into(),
    }
}

pub(super) fn reason_of(plan: &Plan, graph: &Graph, name: &str) -> String {
    let step = plan.steps.iter().find(|step| graph.node(step.node).name == name).expect("a step of that name");
    step.reason.clone()
}

pub(super) fn status_of(plan: &Plan, graph: &Graph, name: &str) -> Status {
    let step = plan.steps.iter().find(|step| graph.node(step.node).name == name).expect("a step of that name");
    step.status
}

const PINNED_SHALLOW: &str = "95fb333b11d041808f2c96f10ec8785c78844f606eedfe4658e18bfc3e659c6a";

/// A change here makes every stored result stale: it needs another domain or salt in `key.rs`, and a line in the log.
#[test]
fn keys_are_pinned() {
    let graph = graph(&program(1e-3, 60.0));
    let keys: Vec<String> = graph.nodes().map(|node| node.key.to_string()).collect();
    let pinned = [
        "e7444f028cb5d9908cb998ee558208de6736be6064e63fd2ee1f7c3b00848bab",
        "64ada601bc5d1c4de48025dbfc5149c99e29769769d1d1edff8ae36da134fbf2",
        "aeb38099945e7ee37d57a69ba454d9926f14ca0b3b67694c446c94726159df8f",
        "a889c7885ef14c31627fa7256a2d12bddacd9ea4b7d2921f09891a1a5bbbfe7c",
    ];
    assert_eq!(keys, pinned);
    let roles = [("data", "d"), ("model", "m")];
    let inputs = roles.map(|(role, bytes)| (role.to_string(), Digest::of_bytes(bytes.as_bytes())));
    assert_eq!(graph.node(3).shallow_key(&BTreeMap::from(inputs)).to_string(), PINNED_SHALLOW);
}

#[test]
fn names_order_paths_and_float_spelling_do_not_reach_a_key() {
    let model = [("model", 0), ("data", 1)];
    let args = [("learning_rate", Value::Float(1.0)), ("budget", steps(60.0))];
    let reordered = [("budget", steps(60.0)), ("learning_rate", Value::Int(1))];
    let program = Program {
        calls: vec![
            call("tiny", "base", &[], &[]),
            call("jsonl", "train", &[("file", Value::Path("train.jsonl".into()))], &[]),
            call("jsonl", "again", &[("file", Value::Path("train.jsonl@elsewhere".into()))], &[]),
            call("sft", "warm", &args, &model),
            call("sft", "other name", &reordered, &[("data", 2), ("model", 0)]),
        ],
        pipelines: vec![pipeline("a", 3), pipeline("b", 4)],
        ..Program::default()
    };
    let graph = graph(&program);
    assert_eq!(graph.len(), 3);
    assert_eq!(graph.targets()[0].node, graph.targets()[1].node);
    assert_eq!(graph.node(graph.targets()[0].node).labels, ["a".into(), "b".into()]);
    assert_eq!(graph.node(1).args()["file"]["path"], "train.jsonl");
}

#[test]
fn every_field_file_version_and_role_reaches_the_key() {
    let reward = |weight: f64, version: u32| {
        let term = RewardTerm { weight, reward: "correct".into(), version, args: vec![("n".into(), Value::Int(1))] };
        Value::Reward(RewardSum { offset: 0.0, terms: vec![term] })
    };
    let variants = [
        call("sft", "x", &[("a", Value::Int(1))], &[("model", 0), ("teacher", 1)]),
        call("sft", "x", &[("a", Value::Int(1))], &[("model", 1), ("teacher", 0)]),
        call("sft", "x", &[("a", Value::Int(2))], &[("model", 0), ("teacher", 1)]),
        call("sft", "x", &[("a", Value::Float(1.5))], &[("model", 0), ("teacher", 1)]),
        call("sft", "x", &[("a", Value::String("1".into()))], &[("model", 0), ("teacher", 1)]),
        call("sft", "x", &[("b", Value::Int(1))], &[("model", 0), ("teacher", 1)]),
        call("grpo", "x", &[("a", Value::Int(1))], &[("model", 0), ("teacher", 1)]),
        call("sft", "x", &[("a", Value::Path("one".into()))], &[]),
        call("sft", "x", &[("a", Value::List(vec![Value::Path("two".into())]))], &[]),
        call("sft", "x", &[("a", Value::Variant("v".into(), vec![("p".into(), Value::Path("one".into()))]))], &[]),
        call("sft", "x", &[("a", steps(1.0))], &[]),
        call("sft", "x", &[("a", Value::quantity(1.0, Dimension::Epochs))], &[]),
        call("sft", "x", &[("a", reward(1.0, 1))], &[]),
        call("sft", "x", &[("a", reward(0.1, 1))], &[]),
        call("sft", "x", &[("a", reward(1.0, 2))], &[]),
        StageCall { version: 2, ..call("sft", "x", &[("a", steps(1.0))], &[]) },
    ];
    let count = variants.len();
    let mut calls = vec![call("tiny", "one", &[], &[]), call("small", "two", &[], &[])];
    calls.extend(variants);
    assert_eq!(graph(&Program { calls, ..Program::default() }).len(), 2 + count);
}

#[test]
fn a_missing_file_is_told_once_at_its_field() {
    let mut program = program(1e-3, 60.0);
    Arc::make_mut(&mut program.calls[1].args)[0].1 = Value::Path("train.missing".into());
    let errors = Graph::build(&program, &Contents).expect_err("a file is missing");
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].code, errors[0].labels[0].span), (crate::diag::codes::UNREADABLE_INPUT, span_of("sft")));
    assert!(errors[0].message.contains("train.missing") && errors[0].labels[0].text == "no such file");
}

fn sweep_program() -> Program {
    let mut program = program(1e-3, 60.0);
    let cell = |order: &str, seed: &str, target| Cell {
        coordinates: vec![("order".into(), order.into()), ("seed".into(), seed.into())],
        target: NodeId(target),
    };
    let span = sources().1;
    let cells = vec![cell("sft_rl", "1", 3), cell("sft", "1", 2)];
    program.sweeps = vec![Sweep { name: "orderings".into(), doc: None, axes: vec![], cells, span }];
    program.compares = vec![Compare {
        name: "which".into(),
        of: "orderings".into(),
        bench: String::new(),
        metric: crate::base::measure::Measure::Accuracy,
        by: vec![],
        across: None,
        baseline: vec![],
        span,
    }];
    program
}

#[test]
fn targets_are_chosen_by_pipeline_sweep_compare_and_cell() {
    let graph = graph(&sweep_program());
    let labels = |names: &[&str]| -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        graph.select(&names).expect("they exist").into_iter().map(|target| target.label.clone()).collect()
    };
    let cells = ["orderings[order=sft_rl, seed=1]", "orderings[order=sft, seed=1]"];
    assert_eq!(labels(&[]), ["sft_then_rl", cells[0], cells[1]]);
    assert_eq!(labels(&["orderings"]), cells);
    assert_eq!(labels(&["which"]), cells);
    assert_eq!(labels(&[cells[1], "sft_then_rl"]), ["sft_then_rl", cells[1]]);
    let error = graph.select(&["wich".into()]).expect_err("there is none").to_string();
    assert_eq!(
        error,
        "the file has no pipeline, sweep or compare called `wich`; it has `sft_then_rl`, `orderings`, `which`"
    );
    assert_eq!(graph.named("warm"), [2]);
}

#[test]
fn the_summary_counts_shared_stages_once() {
    let fixture = fixture();
    let graph = graph(&sweep_program());
    let names = ["orderings".to_string()];
    let plan = resolve(&graph, &fixture.store, &sources().0, &names).expect("readable");
    assert_eq!(plan.summary.to_string(), "2 cells, 7 stage uses, 4 stages, 0 cached, 4 to run");
    fixture.run(&graph);
    let plan = resolve(&graph, &fixture.store, &sources().0, &[]).expect("readable");
    assert_eq!(plan.summary.to_string(), "1 pipeline, 2 cells, 11 stage uses, 4 stages, 4 cached, 0 to run");
}

#[test]
fn planning_leaves_no_trace() {
    let fixture = fixture();
    fixture.plan(&graph(&program(1e-3, 60.0)));
    assert_eq!(fs::read_dir(fixture.folder.path()).expect("readable").count(), 0);
}

#[test]
fn a_changed_field_reruns_what_follows_and_is_named_with_its_line() {
    let fixture = fixture();
    fixture.run(&graph(&program(1e-3, 60.0)));

    let changed = graph(&program(1e-3, 80.0));
    let plan = fixture.plan(&changed);
    assert_eq!((plan.summary.cached, plan.summary.to_run), (3, 1));
    assert_eq!(reason_of(&plan, &changed, "reason"), "`budget` changed: 60steps → 80steps (a.srlm:3)");

    let changed = graph(&program(2e-3, 60.0));
    let plan = fixture.plan(&changed);
    assert_eq!((plan.summary.cached, plan.summary.to_run), (2, 2));
    let learning_rate = "`learning_rate` changed: 1e-3 → 2e-3 (a.srlm:2)";
    assert_eq!(reason_of(&plan, &changed, "warm"), learning_rate);
    assert_eq!(status_of(&plan, &changed, "reason"), Status::MayBeCutOff);
    assert_eq!(
        reason_of(&plan, &changed, "reason"),
        format!(
            "its input `model` changed: in `warm`, {learning_rate}; not if its inputs come out as in an earlier run"
        )
    );
}

#[test]
fn reasons_name_files_versions_new_fields_and_first_runs() {
    let fixture = fixture();
    let empty = fixture.plan(&graph(&program(1e-3, 60.0)));
    assert!(empty.steps.iter().all(|step| step.reason == "never run before"));
    fixture.run(&graph(&program(1e-3, 60.0)));
    let reason = |edit: &dyn Fn(&mut StageCall), node: usize| {
        let mut program = program(1e-3, 60.0);
        edit(&mut program.calls[node]);
        let graph = graph(&program);
        let plan = fixture.plan(&graph);
        plan.step(node).expect("it is planned").reason.clone()
    };
    let other_file = |call: &mut StageCall| Arc::make_mut(&mut call.args)[0].1 = Value::Path("new.jsonl".into());
    let reason_for_file = reason(&other_file, 1);
    assert!(reason_for_file.starts_with("`file` changed: the file's content, "), "{reason_for_file}");
    assert!(reason_for_file.ends_with("(a.srlm:1)"), "{reason_for_file}");
    assert_eq!(reason(&|call| call.version = 2, 0), "srlm's `tiny` changed: version 1 → 2");
    assert_eq!(
        reason(&|call| Arc::make_mut(&mut call.args).push(("dtype".into(), Value::Bool(true))), 0),
        "`dtype` is new: true"
    );
    assert_eq!(reason(&|call| drop(Arc::make_mut(&mut call.args).pop()), 0), "`seed` is gone: it was 0");
    let renamed = |call: &mut StageCall| (call.name, Arc::make_mut(&mut call.args)[0].1) = ("cold".into(), steps(9.0));
    assert_eq!(reason(&renamed, 3), "never run before; unlike `reason`, `budget` is 9steps, not 60steps (a.srlm:3)");
}

#[test]
fn a_lost_blob_is_the_reason_and_its_producer_alone_reruns() {
    let fixture = fixture();
    let graph = graph(&program(1e-3, 60.0));
    fixture.run(&graph);
    let record = fixture.store.lookup(&graph.node(3).key).expect("readable").found().expect("it ran");
    fs::remove_file(fixture.store.layout().blob(&record.outputs["model"])).expect("it was there");
    let plan = fixture.plan(&graph);
    assert_eq!((plan.summary.cached, plan.summary.to_run), (3, 1));
    assert!(reason_of(&plan, &graph, "reason").starts_with("a blob of its result is missing: "));
}

#[test]
fn a_stage_below_a_hit_need_not_run() {
    let fixture = fixture();
    let graph = graph(&program(1e-3, 60.0));
    fixture.run(&graph);
    fs::remove_file(fixture.store.layout().record(&graph.node(2).key)).expect("it was there");
    let plan = fixture.plan(&graph);
    assert_eq!(status_of(&plan, &graph, "warm"), Status::NotNeeded);
    assert_eq!((plan.summary.cached, plan.summary.to_run, plan.summary.not_needed), (3, 0, 1));
}

/// A program of random stages. `noise` does not reach a stage's output, so that early cutoff happens.
fn random_program(stream: &mut Stream) -> Program {
    let mut calls: Vec<StageCall> = Vec::new();
    let count = stream.between(2, 9) as usize;
    for index in 0..count {
        let args = [("level", Value::Int(stream.between(0, 1))), ("noise", Value::Int(stream.between(0, 2)))];
        let roles = ["model", "data"];
        let fan_in = stream.below(3).min(index as u64) as usize;
        let inputs: Vec<(&str, usize)> =
            roles[..fan_in].iter().map(|role| (*role, stream.below(index as u64) as usize)).collect();
        let (kind, name) = (*stream.pick(&["sft", "grpo"]), *stream.pick(&["a", "b"]));
        calls.push(call(kind, name, &args, &inputs));
    }
    let pipelines =
        (0..stream.between(1, 3)).map(|at| pipeline(&format!("p{at}"), stream.below(count as u64) as usize));
    Program { pipelines: pipelines.collect(), calls, ..Program::default() }
}

/// The resolver as `store.md` tells it, walking down from the targets, over sets of keys.
struct NaiveModel<'a> {
    graph: &'a Graph,
    deep: BTreeMap<Digest, Digest>,
    shallow: BTreeMap<Digest, Digest>,
    to_run: BTreeSet<usize>,
}

impl NaiveModel<'_> {
    /// The digest of a node's output, if it need not run.
    fn visit(&mut self, index: usize) -> Option<Digest> {
        let node = self.graph.node(index);
        if let Some(output) = self.deep.get(&node.key) {
            return Some(*output);
        }
        let inputs: Vec<_> = node.inputs.iter().map(|(role, input)| (role.clone(), self.visit(*input))).collect();
        let inputs: Option<BTreeMap<_, _>> = inputs.into_iter().map(|(role, digest)| Some((role, digest?))).collect();
        let found = inputs.and_then(|inputs| self.shallow.get(&node.shallow_key(&inputs)).copied());
        if found.is_none() {
            self.to_run.insert(index);
        }
        found
    }
}

fn expected_to_run(graph: &Graph, store: &Store) -> BTreeSet<usize> {
    let records = store.records().expect("readable").records;
    let output = |record: &Record| record.outputs["model"];
    let deep = records.iter().map(|record| (record.key, output(record))).collect();
    let shallow = records.iter().map(|record| (record.shallow, output(record))).collect();
    let mut model = NaiveModel { graph, deep, shallow, to_run: BTreeSet::new() };
    for target in graph.targets() {
        model.visit(target.node);
    }
    model.to_run
}

#[test]
fn the_resolver_agrees_with_a_naive_model_and_with_a_run_on_random_graphs() {
    let mut cut_off = 0;
    for case in 0..20 {
        let mut stream = Seed::new(case).stream();
        let fixture = fixture();
        for _ in 0..3 {
            let graph = graph(&random_program(&mut stream));
            let plan = fixture.plan(&graph);
            let planned = |wanted: &dyn Fn(Status) -> bool| -> BTreeSet<usize> {
                plan.steps.iter().filter(|step| wanted(step.status)).map(|step| step.node).collect()
            };
            assert_eq!(planned(&Status::runs), expected_to_run(&graph, &fixture.store), "case {case}");
            let ran = fixture.run(&graph);
            let possible: BTreeSet<usize> = planned(&|status| status.runs() || status == Status::NotNeeded);
            assert!(ran.iter().all(|node| possible.contains(node)), "case {case}");
            cut_off += possible.len() - ran.len();
            assert!(fixture.plan(&graph).steps.iter().all(|step| step.status == Status::Hit), "case {case}");
        }
    }
    assert!(cut_off > 0, "the cases were too easy: nothing was cut off");
}
