//! Declared inputs beyond the cases of `tests/spec/inputs`, and sources on a Hub that is a small server on this machine.

use crate::program::{Answer, Project};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const LATER: &str = "89abcdef0123456789abcdef0123456789abcdef";

fn check(project: &Project, text: &str) -> Vec<Value> {
    project.write("a.srlm", text);
    project.srlm(&["check", "a.srlm", "--json"]).objects()
}

#[test]
fn what_a_machine_can_mend_has_a_fix() {
    let project = Project::quick();
    project.write("train.jsonl", "{\"problem\":\"P\",\"answer\":\"2\"}\n");
    let found = &check(&project, "pipeline p = jsonl(\"trian.jsonl\")\n")[0];
    assert_eq!(found["fix"]["replacement"], "\"train.jsonl\"", "{found}");
    let found = &check(&project, "pipeline p = jsonl(\"train.jsonl\", format: \"gsm8k\")\n")[0];
    assert_eq!(found["fix"]["replacement"], "\"math\"", "{found}");
    let found = &check(&project, "pipeline p = jsonl(\"train.jsonl\", format: \"svmp\")\n")[0];
    assert_eq!(found["code"], "E030", "{found}");
}

#[test]
fn a_dataset_in_the_store_is_not_read_again() {
    let project = Project::quick();
    project.write("rows.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\"}\n");
    project.write("a.srlm", "pipeline p = jsonl(\"rows.jsonl\")\n");
    project.srlm(&["run", "a.srlm"]).ok();
    project.srlm(&["plan", "a.srlm"]).ok();
    project.write("rows.jsonl", "{\"prompt\":\"a\"}\n");
    let answer = project.srlm(&["plan", "a.srlm"]);
    assert_eq!(answer.code(), Some(2), "{}", answer.out());
    assert!(answer.err().contains("rows.jsonl:1"), "{}", answer.err());
}

/// A Hub of one model and one dataset.
struct Hub {
    address: String,
    /// Path to body.
    answers: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start() -> Hub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let hub = Hub { address, answers: Arc::default(), asked: Arc::default() };
        let (answers, asked) = (Arc::clone(&hub.answers), Arc::clone(&hub.asked));
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| serve(stream, &answers, &asked)));
        hub
    }

    /// Makes files a repository, `main` of which is at `commit`.
    fn put(&self, kind: &str, repo: &str, commit: &str, files: &[(&str, Vec<u8>)]) {
        let mut answers = self.answers.lock().unwrap();
        let mut siblings = Vec::new();
        for (name, bytes) in files {
            let lfs = name.ends_with(".safetensors").then(|| json!({ "sha256": sha256(bytes) }));
            siblings.push(json!({ "rfilename": name, "size": bytes.len(), "lfs": lfs }));
            let prefix = if kind == "models" { "" } else { "datasets/" };
            answers.insert(format!("/{prefix}{repo}/resolve/{commit}/{name}"), bytes.clone());
        }
        let told = json!({ "sha": commit, "siblings": siblings }).to_string().into_bytes();
        for revision in ["main", commit] {
            answers.insert(format!("/api/{kind}/{repo}/revision/{revision}?blobs=true"), told.clone());
        }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn srlm(&self, project: &Project, arguments: &[&str]) -> Answer {
        let mut command = project.command(arguments);
        command.env("HF_ENDPOINT", &self.address).env("HF_HOME", project.path().join("hf"));
        command.env("HF_TOKEN", "hf_secret").env_remove("HF_HUB_OFFLINE").env_remove("HF_HUB_CACHE");
        Answer(command.output().unwrap())
    }
}

fn serve(mut stream: TcpStream, answers: &Mutex<BTreeMap<String, Vec<u8>>>, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    let path = first.split(' ').nth(1).unwrap().to_string();
    let answer = answers.lock().unwrap().get(&path).cloned();
    asked.lock().unwrap().push(path);
    let (status, body) = answer.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of a tiny model.
fn model_files(project: &Project, seed: usize) -> Vec<(&'static str, Vec<u8>)> {
    let text =
        format!("pipeline m = std.models.tiny(layers: 1, hidden: 16, intermediate: 16, vocab: 300, seed: {seed})\n");
    project.write("m.srlm", &text);
    let folder = format!("model{seed}");
    project.srlm(&["run", "m.srlm"]).ok();
    project.srlm(&["save", "m.srlm", "m", &folder]).ok();
    let names =
        ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
    names.map(|name| (name, std::fs::read(project.path().join(&folder).join(name)).unwrap())).to_vec()
}

const ROWS: &str = "{\"question\":\"How many?\",\"answer\":\"#### 24\"}\n";

#[test]
fn a_locked_model_is_planned_without_network_and_run_from_the_cache() {
    let (project, hub) = (Project::quick(), Hub::start());
    let files = model_files(&project, 1);
    hub.put("models", "org/tiny", COMMIT, &files);
    hub.put("datasets", "org/rows", COMMIT, &[("README.md", vec![]), ("data/test.jsonl", ROWS.into())]);
    project.write(
        "a.srlm",
        "let rows = hf_dataset(\"org/rows\", split: \"test\", format: \"gsm8k\")\n\
         suite exam { rows: bench(rows, max_completion_length: 4tok) }\n\
         pipeline p = hf(\"org/tiny\") |> evaluate(exam)\n",
    );
    let refused = hub.srlm(&project, &["plan", "a.srlm", "--json"]);
    assert_eq!((refused.code(), hub.asked()), (Some(2), 0));
    assert_eq!(refused.objects().iter().map(|found| &found["code"]).collect::<Vec<_>>(), ["E065", "E065"]);

    let locked = hub.srlm(&project, &["lock", "a.srlm", "--json"]).ok().objects();
    assert_eq!(locked.len(), 2);
    assert_eq!((&locked[0]["change"], &locked[0]["revision"]), (&json!("added"), &json!(COMMIT)));
    assert_eq!(locked[0]["files"]["model.safetensors"]["sha256"], sha256(&files[2].1));
    let text = std::fs::read_to_string(project.path().join("srlm.lock")).unwrap();
    assert!(text.contains("version: 1") && !text.contains("hf_secret") && !text.contains("127.0.0.1"), "{text}");

    let asked = hub.asked();
    let kept = hub.srlm(&project, &["lock", "a.srlm"]).ok();
    assert!(kept.out().contains("kept     org/tiny at 0123456789, 5 files"), "{}", kept.out());
    hub.srlm(&project, &["check", "a.srlm"]).ok();
    let plan = hub.srlm(&project, &["plan", "a.srlm", "--json"]).ok().out();
    assert_eq!(hub.asked(), asked, "neither check, plan nor a kept lock may use the network");

    hub.srlm(&project, &["run", "a.srlm"]).ok();
    assert_eq!(hub.asked(), asked + 1, "only the weights were missing");
    let mut again = project.command(&["run", "a.srlm", "--store", "other"]);
    again.env("HF_HOME", project.path().join("hf")).env("HF_HUB_OFFLINE", "1").env_remove("HF_HUB_CACHE");
    Answer(again.output().unwrap()).ok();
    assert_eq!(project.results_in("other").len(), 3);

    // What the Hub has now is another model: the lock holds until it is updated, and then the key is another.
    hub.put("models", "org/tiny", LATER, &model_files(&project, 2));
    hub.srlm(&project, &["lock", "a.srlm"]).ok();
    assert_eq!(std::fs::read_to_string(project.path().join("srlm.lock")).unwrap(), text);
    let updated = hub.srlm(&project, &["lock", "a.srlm", "--update", "--json"]).ok().objects();
    assert_eq!((&updated[0]["change"], &updated[0]["revision"]), (&json!("updated"), &json!(LATER)));
    assert_eq!(updated[1]["change"], "kept");
    let replanned = hub.srlm(&project, &["plan", "a.srlm", "--json"]).ok().out();
    assert_ne!(replanned, plan);
    assert!(project.results().iter().all(|line| !line.contains("hf_secret")));
}

#[test]
fn files_that_differ_from_the_lock_are_refused_by_name() {
    let (project, hub) = (Project::quick(), Hub::start());
    hub.put("datasets", "org/rows", COMMIT, &[("train.jsonl", ROWS.into())]);
    project.write("a.srlm", "pipeline p = hf_dataset(\"org/rows\")\n");
    hub.srlm(&project, &["lock", "a.srlm"]).ok();
    let cached = project.path().join(format!("hf/hub/datasets--org--rows/snapshots/{COMMIT}/train.jsonl"));

    std::fs::remove_file(&cached).unwrap();
    std::fs::write(&cached, format!("{ROWS}{ROWS}")).unwrap();
    let found = hub.srlm(&project, &["check", "a.srlm", "--json"]).objects();
    assert_eq!(found[0]["code"], "E066");
    assert!(found[0]["message"].as_str().unwrap().contains("`train.jsonl`"), "{found:?}");

    // The same size, other bytes: only reading tells, so the stage does.
    std::fs::write(&cached, ROWS.replace("24", "42")).unwrap();
    let answer = hub.srlm(&project, &["run", "a.srlm"]);
    assert_eq!(answer.code(), Some(1));
    assert!(answer.err().contains("SHA-256") && answer.err().contains("train.jsonl"), "{}", answer.err());

    std::fs::write(project.path().join("srlm.lock"), "<<<<<<< HEAD\n").unwrap();
    assert_eq!(hub.srlm(&project, &["check", "a.srlm", "--json"]).objects()[0]["code"], "E067");
}

#[test]
fn a_commit_needs_no_lock_and_what_is_not_there_is_told_at_its_place() {
    let (project, hub) = (Project::quick(), Hub::start());
    hub.put("datasets", "org/rows", COMMIT, &[("train.jsonl", ROWS.into())]);
    project.write("a.srlm", &format!("pipeline p = hf_dataset(\"org/rows\", rev: \"{COMMIT}\")\n"));
    hub.srlm(&project, &["run", "a.srlm"]).ok();
    project.write("b.srlm", "pipeline p = hf_dataset(\"org/rows\", split: \"dev\")\npipeline q = hf(\"org/none\")\n");
    let answer = hub.srlm(&project, &["lock", "b.srlm", "--json"]);
    assert_eq!(answer.code(), Some(2));
    let found = answer.objects();
    assert_eq!(
        found.iter().map(|found| (&found["code"], &found["line"])).collect::<Vec<_>>(),
        [(&json!("E068"), &json!(1)), (&json!("E068"), &json!(2))]
    );
    assert!(found[0]["message"].as_str().unwrap().contains("`dev`"), "{found:?}");
    assert!(!project.path().join("srlm.lock").exists());
}
