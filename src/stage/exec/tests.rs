//! Programs of `/bin/sh` as stages, without an engine around them.

use super::*;
use crate::base::digest::Digest;
use crate::base::event::StageEvent;
use crate::stage::Files;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// A call, and a folder for it.
struct Call {
    folder: tempfile::TempDir,
    args: serde_json::Value,
    inputs: BTreeMap<String, Files>,
    paths: BTreeMap<String, PathBuf>,
    contents: BTreeMap<String, Digest>,
    said: Mutex<Vec<StageEvent>>,
}

impl Call {
    /// A script that `/bin/sh` reads from its command line.
    fn shell(script: &str) -> Call {
        let args = json!({
            "cmd": ["sh", "-c", script], "code": [], "inputs": {}, "takes": null, "makes": "dataset", "outputs": [],
            "env": {},
        });
        let folder = tempfile::tempdir().unwrap();
        let (inputs, paths, contents, said) = Default::default();
        Call { folder, args, inputs, paths, contents, said }
    }

    fn with(mut self, name: &str, value: serde_json::Value) -> Call {
        self.args[name] = value;
        self
    }

    /// A file of code with its planned content.
    fn code(mut self, name: &str, text: &str) -> Call {
        let path = self.folder.path().join(name.replace(['/', '.'], "_"));
        fs::write(&path, text).unwrap();
        self.contents.insert(name.to_string(), Digest::of_bytes(text.as_bytes()));
        self.paths.insert(name.to_string(), path);
        self.args["code"].as_array_mut().unwrap().push(json!({ "file": { "path": name }, "name": name }));
        self
    }

    /// An artifact with one file.
    fn input(mut self, role: &str, name: &str, text: &str) -> Call {
        let path = self.folder.path().join(role);
        fs::write(&path, text).unwrap();
        self.inputs.insert(role.to_string(), Files::from([(name.to_string(), path)]));
        self
    }

    fn run(&self) -> Result<Metrics, StageError> {
        self.run_until(&AtomicBool::new(false))
    }

    fn run_until(&self, stop: &AtomicBool) -> Result<Metrics, StageError> {
        let place = |name: &str| self.folder.path().join(name);
        let events = |event| self.said.lock().unwrap().push(event);
        let _ = fs::remove_dir_all(place("out"));
        fs::create_dir(place("out")).unwrap();
        Exec.run(&StageContext {
            args: self.args.clone(),
            inputs: self.inputs.clone(),
            paths: self.paths.clone(),
            contents: self.contents.clone(),
            teachers: BTreeMap::new(),
            out: place("out"),
            work: place("work"),
            log: place("log"),
            states: None,
            cache: None,
            checkpoint_seconds: 60.0,
            events: &events,
            stop,
        })
    }

    fn refused(&self) -> String {
        self.run().unwrap_err().to_string()
    }

    fn out(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("out").join(name)).unwrap()
    }
}

const ROW: &str = r#"{"id":"a","messages":[{"role":"user","content":"How many?"}],"answer":"2"}"#;

#[test]
fn it_finds_its_code_and_inputs_by_name_and_leaves_nothing_but_its_output() {
    let call = Call::shell("sh lib/copy.sh input/data.jsonl && cat inputs/more/data.jsonl >> out/data.jsonl")
        .code("lib/copy.sh", "cp \"$1\" \"$SRLM_OUT/data.jsonl\" && echo said >&2\n")
        .input("input", "data.jsonl", &format!("{ROW}\n"))
        .input("inputs.more", "data.jsonl", &format!("{}\n", ROW.replace("\"a\"", "\"b\"")))
        .with("takes", json!("dataset"))
        .with("inputs", json!({ "more": { "input": "inputs.more" } }));
    assert_eq!(call.run().unwrap(), Metrics::from([("rows".to_string(), 2.0)]));
    assert_eq!(call.out("data.jsonl").lines().count(), 2);
    assert!(!call.folder.path().join("work").exists());
    assert_eq!(fs::read_to_string(call.folder.path().join("log")).unwrap(), "said\n");
}

#[test]
fn a_program_cannot_change_what_goes_into_it() {
    let call = Call::shell("echo harm > input/data.jsonl; true > out/data.jsonl")
        .input("input", "data.jsonl", ROW)
        .with("takes", json!("dataset"));
    // Whether the write is refused depends on who runs the test; the stored file stays as it is.
    let _ = call.run();
    assert_eq!(fs::read_to_string(call.folder.path().join("input")).unwrap(), ROW);
}

#[test]
fn its_environment_is_what_the_call_lists() {
    let call = Call::shell("env > out/env.txt; true > out/data.jsonl").with("env", json!({ "MODE": "fast" }));
    call.run().unwrap();
    let allowed = ["PATH", "HOME", "CUDA_VISIBLE_DEVICES", "MODE", "SRLM_OUT", "PWD", "OLDPWD", "SHLVL", "_"];
    let text = call.out("env.txt");
    let names: Vec<&str> = text.lines().map(|line| line.split('=').next().unwrap()).collect();
    assert!(names.contains(&"MODE") && names.iter().all(|name| allowed.contains(name)), "{text}");
}

#[test]
fn rows_of_a_known_format_become_rows() {
    let call = Call::shell(r#"echo '{"prompt": "1 + 1?", "completion": "2"}' > out/data.jsonl"#);
    assert_eq!(call.run().unwrap()["completions"], 1.0);
    assert!(call.out("data.jsonl").contains("\"messages\""));
    let refused = Call::shell("echo '{\"prompt\": 1}' > out/data.jsonl; echo my last words").refused();
    assert!(refused.contains("data.jsonl:1") && refused.ends_with("my last words"), "{refused}");
}

#[test]
fn scores_are_items_and_get_their_summary() {
    let script = r#"for id in 1 2; do echo '{"bench": "own", "id": "'$id'", "correct": true}'; done > out/items.jsonl"#;
    let call = Call::shell(script).with("makes", json!("scores"));
    assert_eq!(call.run().unwrap()["own.accuracy"], 1.0);
    assert!(call.out("summary.json").contains("accuracy"));
    let twice = Call::shell(&script.replace("'$id'", "1")).with("makes", json!("scores")).refused();
    assert!(twice.contains("stands there twice"), "{twice}");
    let many = r#"echo '{"bench": "own", "id": "1", "correct": 3, "samples": 2}' > out/items.jsonl"#;
    let many = Call::shell(many).with("makes", json!("scores")).refused();
    assert!(many.contains("items.jsonl:1: 3 of 2 samples"), "{many}");
}

#[test]
fn what_is_missing_is_named_with_what_is_there() {
    let refused = Call::shell("true > out/rows.jsonl; echo done >&2").refused();
    assert!(refused.contains("without `data.jsonl`") && refused.contains("there is `rows.jsonl`"), "{refused}");
    assert!(refused.ends_with("done"), "{refused}");
    let refused = Call::shell("true > out/data.jsonl").with("outputs", json!(["log.txt"])).refused();
    assert!(refused.contains("without `log.txt`") && refused.contains("`outputs`"), "{refused}");
    let refused = Call::shell("true > out/config.json").with("makes", json!("model")).refused();
    assert!(refused.contains("config.json"), "{refused}");
    let refused = Call::shell("ln -s /etc/passwd out/data.jsonl").refused();
    assert!(refused.contains("is no file"), "{refused}");
    assert!(Call::shell("rmdir out").refused().contains("removed or replaced"));
}

#[test]
fn a_failure_shows_the_last_lines() {
    let refused = Call::shell("for i in $(seq 40); do echo line $i; done; exit 3").refused();
    assert!(refused.contains("exit status 3") && refused.ends_with("line 40"), "{refused}");
    assert!(!refused.contains("line 28\n") && refused.contains("line 29\n"), "{refused}");
    assert!(Call::shell("kill -SEGV $$").refused().contains("signal 11, a memory fault"));
    let killed = Call::shell("kill -9 $$").run().unwrap_err();
    assert!(matches!(&killed, StageError::Machine { message } if message.contains("want of memory")), "{killed}");
}

#[test]
fn what_cannot_be_started_says_what_to_do() {
    let cmd = |words: &[&str]| Call::shell("").with("cmd", json!(words));
    assert!(cmd(&[]).refused().contains("`cmd` is empty"));
    assert!(cmd(&["no-such-tool"]).refused().contains("no program `no-such-tool` in PATH"));
    assert!(cmd(&["tool.sh"]).code("tool.sh", "").refused().contains("write `./tool.sh`"));
    assert!(cmd(&["./gone"]).refused().contains("`code` lists"));
    // Without its execute bit, since only name and content are part of the key.
    cmd(&["./tool"]).code("tool", "#!/bin/sh\ntrue > out/data.jsonl\n").run().unwrap();
}

#[test]
fn code_that_changed_since_the_plan_is_not_run() {
    let mut call = Call::shell("true > out/data.jsonl").code("a.sh", "old");
    fs::write(&call.paths["a.sh"], "new").unwrap();
    assert!(call.refused().contains("a.sh changed since the run began"));
    call.contents.insert("a.sh".into(), Digest::of_bytes(b"new"));
    call.run().unwrap();
    let taken = Call::shell("").code("out/x", "").refused();
    assert!(taken.contains("a folder that srlm makes there"), "{taken}");
    assert!(Call::shell("").code("a", "").code("a", "").refused().contains("twice"));
}

#[test]
fn progress_is_told_and_its_last_numbers_are_kept() {
    let line = |step: u64, loss: &str| format!(r#"echo '{{"step": {step}, "total": 2, "loss": {loss}}}';"#);
    let call = Call::shell(&format!("{} echo noise; {} true > out/data.jsonl", line(1, "0.5"), line(2, "0.25")));
    assert_eq!(call.run().unwrap()["loss"], 0.25);
    let said = call.said.lock().unwrap();
    assert_eq!(said.len(), 2);
    assert!(matches!(&said[0], StageEvent::Progress { step: 1, total: 2, .. }), "{said:?}");
}

#[test]
fn a_request_to_stop_reaches_the_program_and_what_it_started() {
    let call = Call::shell("trap 'echo asked > asked; cp asked $MARK; exit 0' TERM; sleep 60 & wait");
    let mark = call.folder.path().join("mark");
    let call = call.with("env", json!({ "MARK": mark }));
    let stop = AtomicBool::new(false);
    let started = std::time::Instant::now();
    let ended = std::thread::scope(|scope| {
        let running = scope.spawn(|| call.run_until(&stop));
        std::thread::sleep(std::time::Duration::from_millis(300));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        running.join().unwrap()
    });
    assert_eq!(ended, Err(StageError::Interrupted { saved_at: None }), "an end on request is no result");
    assert!(mark.exists() && started.elapsed().as_secs() < 8);
}

#[test]
fn what_a_program_leaves_running_is_ended_with_it() {
    let call = Call::shell("sleep 60 & echo $! > out/pid; true > out/data.jsonl");
    let started = std::time::Instant::now();
    call.run().unwrap();
    assert!(started.elapsed().as_secs() < 10);
    let pid = call.out("pid");
    let state = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    while !state().is_empty() && !state().contains(") Z") {
        assert!(started.elapsed().as_secs() < 20, "{}", state());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
