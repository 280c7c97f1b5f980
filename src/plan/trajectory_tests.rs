//! Tests of trajectories: which trainings share their states, which go on from which, and what the plan says of it.

use super::tests::{Fixture, call, fixture, graph, pipeline, reason_of, status_of, steps};
use super::*;
use crate::base::digest::Digest;
use crate::base::state::Manifest;
use crate::lang::program::Program;
use crate::lang::signature::Training;
use crate::lang::types::Dimension;
use crate::lang::value::Value;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fs;

/// "constant" has no horizon; "decay" is constant but for its last tenth; anything else has one.
const TRAINING: Training = Training {
    budget: "budget",
    of_the_end: &["schedule"],
    total: |args| args["budget"]["steps"].as_u64(),
    open: |args, total| match args["schedule"].as_str() {
        Some("constant") => Some(total),
        Some("decay") => Some(total - total / 10),
        _ => None,
    },
};

fn epochs(amount: f64) -> Value {
    Value::quantity(amount, Dimension::Epochs)
}

/// tiny, data → one training for each name, budget and schedule.
fn trainings(each: &[(&str, Value, &str)]) -> Program {
    let mut calls = vec![
        call("tiny", "base", &[("seed", Value::Int(0))], &[]),
        call("jsonl", "train", &[("file", Value::Path("train.jsonl".into()))], &[]),
    ];
    let mut pipelines = vec![pipeline("rows", 1)];
    for (name, budget, schedule) in each {
        let schedule = Value::String(schedule.to_string());
        let args = [("budget", budget.clone()), ("schedule", schedule), ("learning_rate", Value::Float(0.1))];
        let mut call = call("sft", name, &args, &[("model", 0), ("data", 1)]);
        call.training = Some(TRAINING);
        pipelines.push(pipeline(name, calls.len()));
        calls.push(call);
    }
    Program { calls, pipelines, ..Program::default() }
}

impl Fixture {
    /// Makes `base` and `train`, and nothing that trains.
    fn make_inputs(&self) -> BTreeMap<String, Digest> {
        let bare = Program { pipelines: vec![pipeline("base", 0), pipeline("rows", 1)], ..trainings(&[]) };
        self.run(&graph(&bare));
        let plan = self.plan(&graph(&bare));
        let output = |index: usize| plan.step(index).and_then(|step| step.output(&graph(&bare))).expect("it is made");
        BTreeMap::from([("model".to_string(), output(0)), ("data".to_string(), output(1))])
    }

    fn save(&self, trajectory: &Digest, step: u64, budget: Json, total: u64) {
        let folder = self.store.place(trajectory).state(step);
        let (trajectory, files, metrics) = (*trajectory, BTreeMap::new(), BTreeMap::new());
        let key = Digest::of_bytes(b"stage");
        let manifest = Manifest { trajectory, step, key, budget, total, end: true, seconds: 1.0, metrics, files };
        fs::create_dir_all(&folder).and_then(|()| manifest.write(&folder)).expect("writable");
    }
}

fn trajectories(graph: &Graph, inputs: &BTreeMap<String, Digest>) -> Vec<Trajectories> {
    graph.nodes().filter_map(|node| node.trajectories(inputs)).collect()
}

#[test]
fn trainings_share_their_states_where_they_differ_in_the_budget_or_the_end_alone() {
    let graph = graph(&trainings(&[
        ("a", steps(500.0), "constant"),
        ("b", steps(800.0), "constant"),
        ("c", epochs(2.0), "decay"),
        ("d", steps(500.0), "cosine"),
        ("e", steps(800.0), "cosine"),
    ]));
    let inputs =
        BTreeMap::from([("model".to_string(), Digest::of_bytes(b"m")), ("data".to_string(), Digest::of_bytes(b"d"))]);
    let found = trajectories(&graph, &inputs);
    let shared: Vec<_> = found.iter().map(|one| one.shared).collect();
    assert!(shared[0].is_some() && shared[0] == shared[1] && shared[0] == shared[2]);
    assert_eq!(shared[3..], [None, None]);
    let own: std::collections::BTreeSet<_> = found.iter().map(|one| one.own).collect();
    assert_eq!(own.len(), 5);
    let other =
        BTreeMap::from([("model".to_string(), Digest::of_bytes(b"d")), ("data".to_string(), Digest::of_bytes(b"m"))]);
    assert!(
        trajectories(&graph, &other)
            .iter()
            .zip(&found)
            .all(|(a, b)| a.own != b.own && (a.shared.is_none() || a.shared != b.shared))
    );
}

/// A change here makes every saved training state useless: it needs another domain in `key.rs`, and a line in the log.
#[test]
fn trajectory_keys_are_pinned() {
    let graph = graph(&trainings(&[("a", steps(500.0), "constant")]));
    let one = trajectories(&graph, &BTreeMap::from([("model".to_string(), Digest::of_bytes(b"m"))])).remove(0);
    let pinned = [
        "595e3e18499e9b82e9fe99b8f65c1ac86a88a1df5619eed99add7150acee3c64",
        "67c518fc64d31135a2ff68b933e626295f71ddc3e976fd03f47356da9c72d129",
    ];
    assert_eq!([one.own.to_string(), one.shared.expect("it shares").to_string()], pinned);
}

#[test]
fn the_plan_resumes_from_the_newest_state_that_the_budget_passes_through() {
    let fixture = fixture();
    let inputs = fixture.make_inputs();
    let plan = |budget: Value, schedule: &str| {
        let graph = graph(&trainings(&[("warm", budget, schedule)]));
        (status_of(&fixture.plan(&graph), &graph, "warm"), graph)
    };
    let (status, graph) = plan(steps(60.0), "constant");
    assert_eq!(status, Status::Run);
    let one = trajectories(&graph, &inputs).remove(0);
    let shared = one.shared.expect("it shares");
    fixture.save(&shared, 20, json!({"epochs": 1.0}), 20);
    fixture.save(&shared, 50, json!({"steps": 50}), 50);
    assert_eq!(plan(steps(60.0), "constant").0, Status::Resume { step: 50 });
    assert_eq!(plan(steps(50.0), "constant").0, Status::Resume { step: 50 });
    assert_eq!(plan(steps(49.0), "constant").0, Status::Resume { step: 20 });
    assert_eq!(plan(steps(50.0), "decay").0, Status::Resume { step: 20 });
    assert_eq!(plan(steps(19.0), "constant").0, Status::Run);
    assert_eq!(plan(steps(60.0), "cosine").0, Status::Run);
    // Three epochs are as many steps as one at least; how many tokens an epoch has, nothing here tells.
    assert_eq!(plan(epochs(3.0), "constant").0, Status::Resume { step: 20 });
    assert_eq!(plan(epochs(0.5), "constant").0, Status::Run);
    assert_eq!(plan(Value::quantity(1e6, Dimension::Tokens), "constant").0, Status::Run);

    let (_, closed) = plan(steps(60.0), "cosine");
    fixture.save(&trajectories(&closed, &inputs)[0].own, 42, json!({"steps": 60}), 60);
    let plan = fixture.plan(&closed);
    assert_eq!(status_of(&plan, &closed, "warm"), Status::Resume { step: 42 });
    let json = plan.to_json(&closed);
    let object = json.as_array().and_then(|steps| steps.iter().find(|step| step["name"] == "warm")).expect("a step");
    assert_eq!((object["status"].as_str(), object["resume_step"].as_u64()), (Some("resume"), Some(42)));
    assert_eq!((&object["inputs"]["model"], &object["labels"][0]), (&json!(closed.node(0).key), &json!("warm")));
}

#[test]
fn what_lies_in_the_wrong_folder_is_no_state_to_resume_from() {
    let fixture = fixture();
    let inputs = fixture.make_inputs();
    let graph = graph(&trainings(&[("warm", steps(60.0), "constant")]));
    let shared = trajectories(&graph, &inputs)[0].shared.expect("it shares");
    let other = Digest::of_bytes(b"another");
    fixture.save(&other, 50, json!({"steps": 50}), 50);
    let (from, to) = (fixture.store.place(&other).folder, fixture.store.place(&shared).folder);
    fs::rename(from, to).expect("a folder");
    assert_eq!(status_of(&fixture.plan(&graph), &graph, "warm"), Status::Run);
}

#[test]
fn of_trainings_that_share_a_prefix_the_longer_goes_on_from_the_shorter() {
    let fixture = fixture();
    let names = ["four", "one", "two", "end", "other", "tokens"];
    let budgets =
        [epochs(4.0), epochs(1.0), epochs(2.0), epochs(4.0), epochs(3.0), Value::quantity(1e3, Dimension::Tokens)];
    let schedules = ["constant", "constant", "constant", "decay", "cosine", "constant"];
    let each: Vec<_> =
        names.iter().zip(budgets).zip(schedules).map(|((name, budget), schedule)| (*name, budget, schedule)).collect();
    let graph = graph(&trainings(&each));
    let plan = fixture.plan(&graph);
    let node = |name: &str| graph.named(name)[0];
    let waits: Vec<_> = plan.chains.iter().map(|(&node, link)| (node, link.before, link.goes_on)).collect();
    let mut expected = vec![
        (node("two"), node("one"), true),
        (node("end"), node("two"), true),
        (node("four"), node("end"), true),
        (node("tokens"), node("four"), false),
    ];
    expected.sort_unstable();
    assert_eq!(waits, expected, "the decay starts before the end, so it goes first");
    assert_eq!(status_of(&plan, &graph, "one"), Status::Run);
    assert_eq!(status_of(&plan, &graph, "two"), Status::ResumeAfter { before: node("one") });
    assert_eq!(status_of(&plan, &graph, "tokens"), Status::Run);
    assert_eq!(status_of(&plan, &graph, "other"), Status::Run);
    let reason = reason_of(&plan, &graph, "four");
    assert!(reason.starts_with("goes on from the state that `end` (4epochs) leaves; "), "{reason}");
    let json = plan.to_json(&graph);
    let two = json.as_array().and_then(|steps| steps.iter().find(|step| step["name"] == "two")).expect("a step");
    assert_eq!((two["status"].as_str(), &two["resume_after"]), (Some("resume"), &json!(graph.node(node("one")).key)));

    fixture.run(&graph);
    assert!(fixture.plan(&graph).chains.is_empty(), "what is there waits for nothing");
}
