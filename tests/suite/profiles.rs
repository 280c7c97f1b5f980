//! `srlm run --profile`: what the file says of running is done, and what cannot be done is told.

use crate::program::Project;

const PROFILES: &str = r#"
use "quick.srlm" as q
let rows = q.test
pipeline p = rows |> take(4)
profile laptop  { jobs: 2, threads: 1, memory: 8GiB, stages: { take: { threads: 2, retries: 0, mutex: "disk" } } }
profile cluster { executor: slurm { partition: "a100" } }
profile gpus    { gpus: [0], stages: { take: { gpus: 2 } } }
"#;

fn project() -> Project {
    let project = Project::quick();
    project.write("p.srlm", PROFILES);
    project
}

#[test]
fn a_profile_says_how_to_run_and_changes_no_key() {
    let (with, without) = (project(), project());
    with.srlm(&["run", "p.srlm", "--profile", "laptop"]).ok();
    without.srlm(&["run", "p.srlm"]).ok();
    assert_eq!(with.results(), without.results());
    let record =
        |name: &str| with.srlm(&["show", "p.srlm", name, "--json"]).ok().objects()[0]["record"]["made"].clone();
    assert_eq!((record("take")["threads"].as_u64(), record("test")["threads"].as_u64()), (Some(2), Some(1)));
    assert_eq!(record("take")["device"], "cpu");
    assert!(record("take")["peak_memory"].as_u64().is_some_and(|peak| peak > 1 << 20), "{}", record("take"));
}

#[test]
fn what_cannot_be_run_so_is_told_before_anything_runs() {
    let project = project();
    let unknown = project.srlm(&["run", "p.srlm", "--profile", "labtop"]);
    assert_eq!(unknown.code(), Some(2));
    assert!(unknown.err().contains("no profile `labtop`; did you mean `laptop`?"), "{}", unknown.err());
    let unbuilt = project.srlm(&["run", "p.srlm", "--profile", "cluster"]);
    assert_eq!(unbuilt.code(), Some(2));
    assert!(unbuilt.err().contains("this machine only") && unbuilt.err().contains("slurm"), "{}", unbuilt.err());
    assert!(!project.path().join(".srlm/runs").exists());
    let wrong = project.srlm(&["run", "p.srlm", "--memory", "12"]);
    assert!(wrong.code() == Some(2) && wrong.err().contains("GiB"), "{}", wrong.err());
}

#[test]
fn a_stage_that_needs_more_than_there_is_says_what_and_how_much() {
    let project = project();
    let failed = project.srlm(&["run", "p.srlm", "--profile", "gpus"]);
    assert_eq!(failed.code(), Some(3), "{}", failed.err());
    assert!(failed.err().contains("it needs 2 GPUs, and the run has 1 GPU"), "{}", failed.err());
    project.srlm(&["run", "p.srlm", "--profile", "laptop"]).ok();
}

#[test]
fn a_time_limit_saves_and_stops_and_the_same_command_continues() {
    let undisturbed = Project::quick();
    undisturbed.srlm(&["run", "quick.srlm", "--target", "orderings"]).ok();
    let project = Project::quick();
    let limited = ["run", "quick.srlm", "--time", "300ms", "--json"];
    let stopped = project.srlm(&limited);
    let events = stopped.objects();
    let limit = |event: &&serde_json::Value| event["event"] == "stage_interrupted" && event["why"].is_string();
    if events.iter().find(limit).is_some() {
        assert_eq!(stopped.code(), Some(130), "{}", stopped.err());
    }
    project.srlm(&["run", "quick.srlm"]).ok();
    assert_eq!(project.results(), undisturbed.results());
}
