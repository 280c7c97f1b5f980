//! Programs of the user's own as stages, on the real binary: scripts of `/bin/sh` between the stages that train.

use crate::program::{Answer, Project};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

const FILE: &str = r#"
let train = arith_problems { split: "train", items: 96, levels: [1], seed: 5 }
let base  = init_model { layers: 1, hidden: 32, heads: 2, kv_heads: 1, intermediate: 64, vocab: 320 }
let clean = exec {
  cmd: ["sh", "tools/clean.sh"], code: ["tools/clean.sh"], takes: "dataset", outputs: ["count"], env: { KEEP: "40" }
}
let copied = exec { cmd: ["sh", "-c", "cp inputs/base/* out"], code: [], inputs: { base: base }, makes: "model" }
let judged = exec {
  cmd: ["./judge"], code: ["judge"], takes: "model", makes: "scores"
}
pipeline trained = copied |> sft { data: train |> clean |> take(20), budget: 2steps, batch: 4seqs } |> judged
"#;

const CLEAN: &str = "head -n \"$KEEP\" input/data.jsonl > out/data.jsonl\nwc -l < out/data.jsonl > out/count\n";
const JUDGE: &str = "#!/bin/sh\ntest -s \"$SRLM_INPUT/model.safetensors\" &&\n\
    echo '{\"bench\": \"own\", \"id\": \"1\", \"correct\": true}' > \"$SRLM_OUT/items.jsonl\"\n";

fn project() -> Project {
    let project = Project::quick();
    fs::create_dir(project.path().join("tools")).unwrap();
    project.write("tools/clean.sh", CLEAN);
    project.write("judge", JUDGE);
    project.write("own.srlm", FILE);
    project
}

/// The names of the stages that a run started, or that a plan would.
fn to_run(project: &Project, file: &str) -> Vec<String> {
    let stages = project.srlm(&["plan", file, "--json"]).ok().objects();
    let waiting = stages.iter().filter(|stage| stage["status"] != "hit");
    waiting.map(|stage| stage["name"].as_str().unwrap_or_default().to_string()).collect()
}

fn started(answer: &Answer) -> Vec<String> {
    let events = answer.objects();
    let started = events.iter().filter(|event| event["event"] == "stage_started");
    started.map(|event| event["stage"]["name"].as_str().unwrap_or_default().to_string()).collect()
}

#[test]
fn programs_stand_between_other_stages_and_are_cached_as_they_are() {
    let project = project();
    let first = project.srlm(&["run", "own.srlm", "--json"]).ok().objects();
    let rows = |kind: &str| {
        let done = |event: &&Value| event["event"] == "stage_finished" && event["stage"]["kind"] == kind;
        first.iter().find(done).map(|event| event["metrics"]["rows"].clone())
    };
    assert_eq!(rows("take"), Some(Value::from(20.0)), "{first:?}");
    assert!(to_run(&project, "own.srlm").is_empty());

    // Neither its time nor the folder it is called from is part of a key; its name and content are.
    let script = project.path().join("tools/clean.sh");
    fs::File::open(&script).unwrap().set_modified(std::time::SystemTime::now() - Duration::from_secs(9)).unwrap();
    assert!(to_run(&project, "own.srlm").is_empty());
    project.write("tools/clean.sh", &format!("# the same rows\n{CLEAN}"));
    assert_eq!(to_run(&project, "own.srlm")[0], "clean");
    let again = project.srlm(&["run", "own.srlm", "--json"]).ok();
    assert_eq!(started(&again), ["clean"], "its output came out the same, so nothing behind it ran");
    fs::rename(&script, project.path().join("tools/tidy.sh")).unwrap();
    project.write("own.srlm", &FILE.replace("tools/clean.sh", "tools/tidy.sh"));
    assert_eq!(to_run(&project, "own.srlm")[0], "clean");
}

#[test]
fn what_the_program_finds_under_which_name_is_part_of_the_key() {
    let project = Project::quick();
    let file = r#"pipeline p = exec { cmd: ["sh", "-c", "cat a b > out/data.jsonl"], code: ["a", "b"] }"#;
    let row = |id: &str| format!("{{\"id\":\"{id}\",\"messages\":[]}}\n");
    let write = |a: &str, b: &str, file: &str| {
        project.write("a", &row(a));
        project.write("b", &row(b));
        project.write("own.srlm", file);
    };
    write("1", "2", file);
    project.srlm(&["run", "own.srlm"]).ok();
    // The same contents in the same order of the field, under swapped names: another computation.
    write("2", "1", &file.replace(r#"["a", "b"]"#, r#"["b", "a"]"#));
    assert_eq!(to_run(&project, "own.srlm").len(), 1);
}

#[test]
fn a_program_that_fails_is_a_failed_stage_told_with_its_last_words() {
    let project = project();
    project.write("tools/clean.sh", "echo cannot divide by zero >&2\nexit 7\n");
    let failed = project.srlm(&["run", "own.srlm"]);
    assert_eq!(failed.code(), Some(1));
    let told = failed.err();
    for part in ["own.srlm:4:", "`sh tools/clean.sh` ended with exit status 7", "cannot divide by zero"] {
        assert!(told.contains(part), "{told}");
    }
    let log = fs::read_dir(project.path().join(".srlm/attempts")).unwrap().count();
    assert_eq!(log, 1, "its log is kept");
    project.write("tools/clean.sh", CLEAN);
    project.srlm(&["run", "own.srlm"]).ok();
}

/// A stage that notes the processes it consists of, and waits.
fn sleeper(project: &Project) -> std::path::PathBuf {
    let pids = project.path().join("pids");
    let script = "sleep 300 & echo $! $$ > notes; cp notes $PIDS.new; mv $PIDS.new $PIDS; wait";
    project.write(
        "own.srlm",
        &format!(
            "pipeline p = exec {{ cmd: [\"sh\", \"-c\", \"{script}\"], code: [], env: {{ PIDS: \"{}\" }} }}\n",
            pids.display()
        ),
    );
    pids
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Some(found) => return found,
            None => assert!(started.elapsed() < Duration::from_secs(20), "{what}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_alive(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z")
}

fn kill(pid: u32, signal: i32) {
    // SAFETY: a signal to a process that this test started.
    unsafe { libc::kill(pid as i32, signal) };
}

/// The process that `parent` started: the worker.
fn child_of(parent: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent_of = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    pids.into_iter().find(|&pid| parent_of(pid) == Some(parent))
}

#[test]
fn nothing_of_a_program_outlives_its_worker_or_its_run() {
    for (whom, signal) in [("worker", libc::SIGKILL), ("run", libc::SIGKILL), ("run", libc::SIGINT)] {
        let project = Project::quick();
        let pids = sleeper(&project);
        let mut run = project.start(&["run", "own.srlm", "--retries", "0"]);
        let text = wait_for("the program started", || fs::read_to_string(&pids).ok());
        let victim = if whom == "run" { run.id() } else { child_of(run.id()).unwrap() };
        assert!(text.split_whitespace().all(is_alive), "{text}");
        kill(victim, signal);
        wait_for("no orphan is left", || (!text.split_whitespace().any(is_alive)).then_some(()));
        let code = run.wait().unwrap().code();
        let expected = match (whom, signal) {
            ("worker", _) => Some(3),
            (_, libc::SIGINT) => Some(130),
            _ => None,
        };
        assert_eq!(code, expected, "{whom} {signal}");
    }
}

/// The processes that another one started.
fn children(of: u32) -> Vec<u32> {
    let is_child = |stat: &str| {
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok()) == Some(of)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|id| fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| is_child(&stat))).collect()
}

fn signal(signal: &str, process: u32) {
    let sent = std::process::Command::new("kill").args([signal, &process.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_worker_that_does_not_heed_the_stop_is_ended_when_its_grace_is_over() {
    let project = Project::quick();
    project.write(
        "slow.srlm",
        r#"
let rows = arith_problems { split: "train", items: 4, levels: [1] }
let slow = exec { cmd: ["sh", "-c", "touch \"$MARK\"; sleep 600"], code: [], takes: "dataset", env: { MARK: "MARK_HERE" } }
pipeline p = rows |> slow
profile short { grace: 1s }
"#
        .replace("MARK_HERE", &project.path().join("began").to_string_lossy())
        .as_str(),
    );
    let mut run = project.start(&["run", "slow.srlm", "--profile", "short"]);
    let start = Instant::now();
    while !project.path().join("began").exists() {
        assert!(
            start.elapsed() < Duration::from_secs(60) && run.try_wait().unwrap().is_none(),
            "the program never began"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let workers = children(run.id());
    assert_eq!(workers.len(), 1, "{workers:?}");
    let programs = children(workers[0]);
    // A stopped process reads no line and heeds no signal but the last.
    signal("-STOP", workers[0]);
    let asked = Instant::now();
    signal("-INT", run.id());
    let code = run.wait().unwrap().code();
    let took = asked.elapsed();
    assert_eq!(code, Some(130));
    assert!((Duration::from_secs(1)..Duration::from_secs(30)).contains(&took), "{took:?}");
    let alive =
        |process: &u32| fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
    while programs.iter().any(alive) {
        assert!(asked.elapsed() < Duration::from_secs(60), "what it had started lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
}
