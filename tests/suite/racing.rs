//! Runs at the same time on one store and one file: every stage runs once, the others wait and say for whom, and a dead
//! or silent holder is taken over without a command. Test 3 of the store.

use crate::program::{Project, fixture};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Starts a run whose events can be read.
fn start(project: &Project, environment: &[(&str, &str)]) -> Child {
    use std::os::unix::process::CommandExt;
    let mut command = project.command(&["run", "quick.srlm", "--json", "--checkpoint-every", "0.05"]);
    command.stderr(Stdio::null()).process_group(0).envs(environment.iter().copied());
    command.spawn().unwrap()
}

/// Reads a run's events until one is as wanted; none where the run ends before.
fn until(events: &mut impl BufRead, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
    for line in events.lines().map_while(Result::ok) {
        let event: Value = serde_json::from_str(&line).unwrap();
        if wanted(&event) {
            return Some(event);
        }
    }
    None
}

fn is(event: &Value, kind: &str) -> bool {
    event["event"] == kind
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: a signal to a child of this test.
    unsafe { libc::kill(child.id() as i32, signal) };
}

/// How often each stage was started, by the logs of all runs on the store.
fn executions(project: &Project) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for log in std::fs::read_dir(project.path().join(".srlm/runs")).unwrap() {
        let text = std::fs::read_to_string(log.unwrap().path()).unwrap();
        // A run that was killed may have been about to write a line.
        for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            if is(&event, "stage_started") {
                *found.entry(event["stage"]["key"].as_str().unwrap().to_string()).or_default() += 1;
            }
        }
    }
    found
}

fn undisturbed() -> Vec<String> {
    let project = Project::quick();
    project.srlm(&["run", "quick.srlm"]).ok();
    project.results()
}

fn race(runs: usize) {
    let project = Project::quick();
    let children: Vec<Child> = (0..runs).map(|_| start(&project, &[])).collect();
    let mut waited = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        waited.extend(events.filter(|event| is(event, "stage_waiting")));
    }
    let executions = executions(&project);
    assert!(executions.len() == 12 && executions.values().all(|&count| count == 1), "{executions:?}");
    assert_eq!(project.results(), undisturbed());
    assert!(!waited.is_empty());
    for event in waited {
        let holder = event["holder"].as_str().unwrap();
        assert!(holder.starts_with("process ") && holder.contains(" on ") && holder.ends_with(" s"), "{holder}");
        assert!(event["stage"]["name"].is_string(), "{event}");
    }
}

#[test]
fn test_3_two_racing_processes_run_every_stage_once() {
    race(2);
}

#[test]
fn test_3_eight_racing_processes_run_every_stage_once() {
    race(8);
}

/// Two runs: the first is at work on `warm`, the second waits for it.
fn one_waits_for_the_other(
    project: &Project,
    environment: &[(&str, &str)],
) -> (Child, Child, BufReader<std::process::ChildStdout>) {
    // Long enough to be met at work.
    let text = std::fs::read_to_string(fixture("quick.srlm")).unwrap().replace("100steps", "1500steps");
    project.write("quick.srlm", &text);
    let mut first = start(project, environment);
    let mut events = BufReader::new(first.stdout.take().unwrap());
    let begun = |event: &Value| is(event, "stage_said") && event["stage"]["name"] == "warm";
    until(&mut events, begun).expect("the first run is at work");
    // Its pipe is read on, so that it never waits for a reader.
    std::thread::spawn(move || until(&mut events, |_| false));
    let mut second = start(project, environment);
    let mut events = BufReader::new(second.stdout.take().unwrap());
    let pid = format!("process {} on ", first.id());
    let waits = |event: &Value| is(event, "stage_waiting") && event["holder"].as_str().unwrap().starts_with(&pid);
    until(&mut events, waits).expect("the second run waits for the first");
    (first, second, events)
}

#[test]
fn a_killed_holder_is_taken_over_without_a_command() {
    let project = Project::quick();
    let (mut first, mut second, mut events) = one_waits_for_the_other(&project, &[]);
    signal(&first, libc::SIGKILL);
    first.wait().unwrap();
    let killed = Instant::now();
    let taken = until(&mut events, |event| is(event, "stage_started") && event["stage"]["name"] == "warm");
    assert!(taken.is_some() && killed.elapsed() < Duration::from_secs(20), "{taken:?} after {:?}", killed.elapsed());
    until(&mut events, |_| false);
    assert_eq!(second.wait().unwrap().code(), Some(0));
}

#[test]
fn a_holder_that_hangs_is_taken_over_when_its_lease_is_stale() {
    let project = Project::quick();
    let (mut first, mut second, mut events) = one_waits_for_the_other(&project, &[("SRLM_STALE_SECONDS", "1")]);
    signal(&first, libc::SIGSTOP);
    let taken = until(&mut events, |event| is(event, "stage_started") && event["stage"]["name"] == "warm");
    assert!(taken.is_some());
    signal(&first, libc::SIGCONT);
    until(&mut events, |_| false);
    // Both have the one result, whoever was first.
    assert_eq!((first.wait().unwrap().code(), second.wait().unwrap().code()), (Some(0), Some(0)));
}
