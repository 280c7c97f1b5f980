//! Training prefixes on the real binary: a longer budget goes on from a shorter one, to the same bytes.

use crate::program::Project;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One training of each kind and loss, as long as `n` says.
const EVERY_TRAINING: &str = r#"use "quick.srlm" as q
param n: Int = 4
let steady  = { schedule: "constant", warmup: 2steps, learning_rate: 1e-2 }
let teacher = q.base |> sft { data: q.train, budget: 20steps, batch: 8seqs }
let shared  = { ...steady, teacher: teacher, data: q.train, batch: 8seqs, budget: n * 1steps }
pipeline tuned   = q.base |> sft { ...steady, data: q.train, budget: n * 1epochs, batch: 32seqs }
pipeline said    = q.base |> distill { ...shared, loss: text(samples: 2), max_completion_length: 8tok }
pipeline ranked  = q.base |> distill { ...shared, loss: kl(top_k: 8) }
pipeline meeting = q.base |> distill { ...shared, loss: jsd() }
pipeline decayed = q.base |> sft { data: q.train, budget: 5 * n * 1steps, batch: 8seqs, warmup: 2steps, schedule: wsd(decay: 20%) }
pipeline taught  = teacher |> (q.reason with { ...steady, iterations: 2, budget: n * 1steps })
"#;

const KINDS: [&str; 6] = ["tuned", "said", "ranked", "meeting", "decayed", "taught"];

fn project() -> Project {
    let project = Project::quick();
    project.write("every.srlm", EVERY_TRAINING);
    project
}

/// The records of the pipelines of `every.srlm` with that many steps, by pipeline.
fn records(project: &Project, n: &str) -> BTreeMap<&'static str, Value> {
    let show = |name: &&'static str| {
        let arguments = ["show", "every.srlm", name, "-p", n, "--json"];
        (*name, project.srlm(&arguments).ok().objects().remove(0)["record"].clone())
    };
    KINDS.iter().map(show).collect()
}

/// Optimiser steps that a run did, and the steps it went on from.
fn work(events: &[Value]) -> (usize, Vec<u64>) {
    let said = events.iter().filter(|event| event["event"] == "stage_said");
    let (mut steps, mut resumed) = (0, Vec::new());
    for event in said {
        match event["said"]["event"].as_str() {
            Some("progress") if event["said"]["unit"] == "step" => steps += 1,
            Some("resumed") => resumed.extend(event["said"]["step"].as_u64()),
            _ => {}
        }
    }
    (steps, resumed)
}

#[test]
fn every_training_goes_on_from_a_shorter_one_to_the_bytes_and_numbers_of_a_straight_run() {
    let (straight, continued) = (project(), project());
    straight.srlm(&["run", "every.srlm", "-p", "n=4"]).ok();
    continued.srlm(&["run", "every.srlm", "-p", "n=2"]).ok();
    let plan = continued.srlm(&["plan", "every.srlm", "-p", "n=4", "--json"]).ok().objects();
    let planned = |name: &str| {
        let step = plan.iter().find(|step| step["labels"].as_array().is_some_and(|labels| labels[..] == [name]));
        step.map(|step| (step["status"].as_str().unwrap_or_default().to_string(), step["resume_step"].as_u64()))
    };
    // Two epochs of 96 rows by 32 are 6 steps; the decay of 10 steps starts after 8, the first of them has the peak.
    let expected = [("tuned", 6), ("said", 2), ("ranked", 2), ("meeting", 2), ("decayed", 9), ("taught", 4)];
    for (name, step) in expected {
        assert_eq!(planned(name), Some(("resume".to_string(), Some(step))), "{name}: {plan:?}");
    }
    let events = continued.srlm(&["run", "every.srlm", "-p", "n=4", "--json"]).ok().objects();
    let (_, mut resumed) = work(&events);
    resumed.sort_unstable();
    assert_eq!(resumed, [2, 2, 2, 4, 6, 9]);
    let (wanted, found) = (records(&straight, "n=4"), records(&continued, "n=4"));
    for (name, step) in expected {
        let (wanted, found) = (&wanted[name], &found[name]);
        assert_eq!((&wanted["outputs"], &wanted["metrics"]), (&found["outputs"], &found["metrics"]), "{name}");
        assert!(wanted["resumed"].is_null() && found["resumed"]["step"] == step, "{found}");
        assert!(found["resumed"]["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{found}");
    }
}

const SWEEP: &str = r#"use "quick.srlm" as q
let tuned = sft { data: q.train, batch: 8seqs, schedule: "constant", warmup: 0% }
sweep lengths {
  over epochs in [4, 1, 2]
  return q.base |> (tuned with { budget: epochs * 1epochs })
}
"#;

#[test]
fn a_sweep_of_epochs_costs_its_maximum() {
    let project = Project::quick();
    project.write("sweep.srlm", SWEEP);
    let plan = project.srlm(&["plan", "sweep.srlm"]).ok().out();
    assert_eq!(plan.matches("RESUME").count(), 2, "{plan}");
    assert!(plan.contains("goes on from the state that `tuned` (2epochs) leaves"), "{plan}");
    let events = project.srlm(&["run", "sweep.srlm", "--jobs", "3", "--json"]).ok().objects();
    let (steps, resumed) = work(&events);
    // 96 rows by 8 are 12 steps an epoch.
    assert_eq!((steps, resumed), (4 * 12, vec![12, 24]));
    let swept = project.results();

    let alone = Project::quick();
    for (epochs, steps) in [("[4]", 48), ("[2]", 24), ("[1]", 12)] {
        alone.write("sweep.srlm", &SWEEP.replace("[4, 1, 2]", epochs));
        let events = alone.srlm(&["run", "sweep.srlm", "--store", epochs, "--json"]).ok().objects();
        assert_eq!(work(&events), (steps, Vec::new()));
        let alone = alone.results_in(epochs);
        assert!(alone.iter().all(|result| swept.contains(result)), "{alone:?} in {swept:?}");
    }
}

#[test]
fn killed_at_any_moment_a_sweep_of_epochs_ends_in_the_same_bytes() {
    let undisturbed = Project::quick();
    undisturbed.write("sweep.srlm", SWEEP);
    undisturbed.srlm(&["run", "sweep.srlm"]).ok();
    let project = Project::quick();
    project.write("sweep.srlm", SWEEP);
    let mut pause = Duration::from_millis(60);
    for _ in 0..12 {
        let mut child = project.start(&["run", "sweep.srlm", "--checkpoint-every", "0.001"]);
        let deadline = Instant::now() + pause;
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        // SAFETY: a signal to the process group that this test started.
        unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
        if child.wait().unwrap().success() {
            break;
        }
        pause = pause * 4 / 3 + Duration::from_millis(7);
    }
    project.srlm(&["run", "sweep.srlm"]).ok();
    assert_eq!(project.results(), undisturbed.results());
    let states = std::fs::read_dir(project.path().join(".srlm/states")).unwrap().count();
    assert_eq!(states, 1, "the one training's; what belongs to one budget alone went with its result");
}
