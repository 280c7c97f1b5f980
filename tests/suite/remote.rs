//! A remote cache through the real binary: a folder, and an S3 server that checks signatures and conditions.

use crate::program::{Answer, Project};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const KEY: &str = "AKIDsesame";
const SECRET: &str = "open/sesame+secret";

const FILE: &str = r#"
let rows = arith_problems { split: "train", items: 24, levels: [1], seed: 5 }
let test = arith_problems { split: "test", items: 12, levels: [1], seed: 6 }
let base = init_model { layers: 1, hidden: 32, heads: 2, kv_heads: 1, intermediate: 64, vocab: 320 }
let warm = sft { data: rows, budget: 2steps, learning_rate: 1e-2, batch: 8seqs }

param longest: Tokens = 4tok
suite exam { arith: bench(test, max_completion_length: longest) }
pipeline scores = base |> warm |> evaluate(exam)
"#;
/// Rows, test, base, warm, scores.
const STAGES: usize = 5;

/// A server on this machine with one bucket; its objects are the files of a folder.
struct Server {
    folder: tempfile::TempDir,
    endpoint: String,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("team")).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = builder.build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        // It serves until the process ends: with its folder gone, it has nothing left to serve.
        std::thread::spawn(move || {
            runtime.block_on(async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let service = service.clone();
                    tokio::spawn(async move {
                        let _ =
                            Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                    });
                }
            });
        });
        Server { folder, endpoint }
    }

    fn objects(&self) -> PathBuf {
        self.folder.path().join("team/cache")
    }
}

/// A machine that shares a remote cache with others.
struct Machine {
    project: Project,
    remote: String,
    environment: Vec<(String, String)>,
}

impl Machine {
    fn new(remote: &str, environment: &[(&str, &str)]) -> Machine {
        let project = Project::quick();
        project.write("a.srlm", FILE);
        let owned = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Machine { project, remote: remote.to_string(), environment: owned.collect() }
    }

    fn with_folder(folder: &Path) -> Machine {
        Machine::new(&folder.to_string_lossy(), &[])
    }

    fn with_s3(endpoint: &str, secret: &str) -> Machine {
        let environment = [
            ("AWS_ENDPOINT", endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ];
        Machine::new("s3://team/cache", &environment)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command(arguments);
        command.envs(self.environment.iter().cloned()).env("SRLM_REMOTE", &self.remote);
        command
    }

    fn srlm(&self, arguments: &[&str]) -> Answer {
        Answer(self.command(arguments).output().unwrap())
    }

    /// Runs to the end; returns the events.
    fn run(&self, more: &[&str]) -> Vec<Value> {
        self.srlm(&[&["run", "a.srlm", "--json"], more].concat()).ok().objects()
    }

    fn store(&self) -> PathBuf {
        self.project.path().join(".srlm")
    }

    /// Every blob here, by its name.
    fn blobs(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files_below(&self.store().join("objects"))
    }
}

fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut open) = (BTreeMap::new(), vec![folder.to_path_buf()]);
    while let Some(inner) = open.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => drop(files.insert(path.strip_prefix(folder).unwrap().to_path_buf(), fs::read(&path).unwrap())),
            }
        }
    }
    files
}

fn count(events: &[Value], name: &str) -> usize {
    events.iter().filter(|event| event["event"] == name).count()
}

fn summary(events: &[Value]) -> [u64; 3] {
    let summary = events.iter().find(|event| event["event"] == "remote_finished");
    ["fetched", "uploaded", "left"].map(|field| summary.map_or(0, |event| event[field].as_u64().unwrap()))
}

/// One machine makes, another one takes, whatever the remote cache is.
fn share(one: &Machine, two: &Machine) {
    let made = one.run(&[]);
    assert_eq!((count(&made, "stage_started"), summary(&made)), (STAGES, [0, STAGES as u64, 0]), "{made:?}");

    let planned = two.srlm(&["plan", "a.srlm", "--json"]).ok().objects();
    assert!(planned.iter().all(|stage| stage["status"] == "hit"), "{planned:?}");
    assert!(planned[0]["reason"].as_str().unwrap().starts_with("in the remote cache: made "), "{planned:?}");
    let why = two.srlm(&["why", "a.srlm", "warm", "--json"]).ok().objects();
    let warm = planned.iter().find(|stage| stage["name"] == "warm").unwrap();
    assert_eq!((&why[0]["status"], &why[0]["reason"]), (&warm["status"], &warm["reason"]));
    assert!(!two.store().exists(), "`plan` and `why` leave no trace");

    // Only the target's result is needed: what it was made from stays where it is.
    let taken = two.run(&[]);
    assert_eq!((count(&taken, "stage_started"), summary(&taken)), (0, [1, 0, 0]), "{taken:?}");
    assert_eq!(count(&taken, "remote_warning"), 0, "{taken:?}");
    let all = one.blobs();
    assert!(two.blobs().iter().all(|(name, bytes)| all.get(name) == Some(bytes)));
    assert!(two.blobs().len() < all.len());
    assert_eq!(table(one), table(two), "what stayed away counts in the costs");

    // Another exam needs the model: it comes, and nothing but the exam runs.
    let changed = two.run(&["-p", "longest=6tok"]);
    assert_eq!((count(&changed, "stage_started"), summary(&changed)), (1, [2, 1, 0]), "{changed:?}");

    // A machine that lost its store has everything again.
    fs::remove_dir_all(one.store()).unwrap();
    one.srlm(&["store", "pull", "a.srlm"]).ok();
    assert_eq!(one.blobs(), all);
    assert_eq!(count(&one.run(&[]), "stage_started"), 0);
}

/// Accuracies and costs.
fn table(machine: &Machine) -> String {
    machine.srlm(&["run", "a.srlm"]).ok().out()
}

#[test]
fn a_shared_folder_is_a_remote_cache() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    share(&Machine::with_folder(&cache), &Machine::with_folder(&cache));
    let names = files_below(&cache);
    assert_eq!(names[Path::new("format")], b"srlm remote 1\n");
    assert_eq!(names.keys().filter(|name| name.starts_with("records")).count(), STAGES + 1);
}

#[test]
fn a_profile_names_one() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::with_folder(Path::new("")); // nothing in the environment
    let cache = folder.path().join("cache");
    machine.project.write("a.srlm", &format!("{FILE}\nprofile team {{ remote: {:?} }}\n", cache.to_string_lossy()));
    let mut command = machine.command(&["run", "a.srlm", "--json", "--profile", "team"]);
    let ran = Answer(command.env_remove("SRLM_REMOTE").output().unwrap()).ok().objects();
    assert_eq!(summary(&ran), [0, STAGES as u64, 0], "{ran:?}");
    assert!(cache.join("format").is_file());
}

#[test]
fn an_s3_bucket_is_a_remote_cache() {
    let server = Server::start();
    let machine = || Machine::with_s3(&server.endpoint, SECRET);
    share(&machine(), &machine());
    assert!(server.objects().join("format").is_file());
}

#[test]
fn damage_in_the_bucket_is_a_warning_and_is_mended() {
    let server = Server::start();
    let machine = || Machine::with_s3(&server.endpoint, SECRET);
    let (one, two, three) = (machine(), machine(), machine());
    one.run(&[]);
    let blobs = files_below(&server.objects().join("objects"));
    let (name, bytes) = blobs.iter().find(|(_, bytes)| bytes.starts_with(b"{") && bytes.len() > 300).unwrap();
    for (name, bytes) in &blobs {
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        if let Some(byte) = damaged.get_mut(middle) {
            *byte ^= 1;
        }
        fs::write(server.objects().join("objects").join(name), damaged).unwrap();
    }
    let ran = two.run(&[]);
    assert_eq!(count(&ran, "stage_started"), STAGES, "every blob is damaged, so everything runs: {ran:?}");
    assert!(count(&ran, "remote_warning") > 0 && count(&ran, "stage_failed") == 0, "{ran:?}");
    let reasons: Vec<&str> = ran.iter().filter_map(|event| event["reason"].as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("the remote cache holds damaged bytes")), "{reasons:?}");
    assert_eq!(one.blobs(), two.blobs(), "no damaged byte came in");
    assert_eq!(&fs::read(server.objects().join("objects").join(name)).unwrap(), bytes, "what was damaged is mended");
    assert_eq!(count(&three.run(&[]), "stage_started"), 0);
}

#[test]
fn without_the_network_a_run_goes_on_and_the_rest_is_pushed_later() {
    let server = Server::start();
    // Nobody listens on this port once the listener is gone.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut one = Machine::with_s3(&format!("http://{closed}"), SECRET);
    let ran = one.run(&[]);
    assert_eq!((count(&ran, "stage_finished"), count(&ran, "remote_warning")), (STAGES, 1), "{ran:?}");
    assert_eq!(summary(&ran), [0, 0, STAGES as u64]);
    let planned = Machine::with_s3(&format!("http://{closed}"), SECRET).srlm(&["plan", "a.srlm"]).ok();
    assert_eq!(planned.err().matches("cannot be reached").count(), 1, "{}", planned.err());

    one.environment[0].1.clone_from(&server.endpoint);
    one.srlm(&["store", "push", "a.srlm"]).ok();
    let two = Machine::with_s3(&server.endpoint, SECRET);
    assert_eq!(count(&two.run(&[]), "stage_started"), 0);

    // A store that has everything asks nobody.
    one.environment[0].1 = format!("http://{closed}");
    let again = one.run(&[]);
    assert_eq!((count(&again, "remote_warning"), count(&again, "remote_finished")), (0, 0), "{again:?}");
}

#[test]
fn credentials_are_never_told() {
    let server = Server::start();
    let wrong = "wrong+sesame/secret";
    let one = Machine::with_s3(&server.endpoint, wrong);
    let answer = one.srlm(&["run", "a.srlm"]).ok();
    assert!(answer.err().contains("refuses access"), "{}", answer.err());
    let two = Machine::with_s3(&server.endpoint, SECRET);
    let json = two.srlm(&["run", "a.srlm", "--json"]).ok();
    let mut told = [answer.out(), answer.err(), json.out(), json.err()].concat().into_bytes();
    for folder in [one.store(), two.store(), server.objects()] {
        files_below(&folder).into_values().for_each(|bytes| told.extend(bytes));
    }
    let told = String::from_utf8_lossy(&told);
    assert!([wrong, SECRET, KEY].iter().all(|secret| !told.contains(secret)));
}

#[test]
fn what_names_no_remote_cache_is_a_mistake_of_the_command_line() {
    let machine = Machine::with_folder(Path::new("unused"));
    for (url, why) in [("ftp://host/x", "not known"), ("s3://user:sesame@bucket", "environment")] {
        let answer = machine.srlm(&["run", "a.srlm", "--remote", url]);
        assert_eq!(answer.code(), Some(2));
        assert!(answer.err().contains(why) && !answer.err().contains("sesame"), "{}", answer.err());
    }
    let answer = Answer(machine.command(&["store", "push"]).env_remove("SRLM_REMOTE").output().unwrap());
    assert!(answer.code() == Some(2) && answer.err().contains("no remote cache is named"), "{}", answer.err());
}
