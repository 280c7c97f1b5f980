//! Models behind a server through the real binary, against one that misbehaves: what is asked, what is kept, what is
//! told, and that the key stands nowhere.

use crate::openai::{Act, Asked, Server, prompt};
use crate::program::{Answer, Project};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const KEY: &str = "sk-open-sesame-1234";
const REQUESTS: usize = 12;

/// A project whose file asks the server under `url`.
struct Lab {
    project: Project,
}

impl Lab {
    fn new(url: &str) -> Lab {
        let lab = Lab { project: Project::quick() };
        lab.rows(REQUESTS);
        lab.file(&format!("url: \"{url}\", model: \"big\", key_env: \"LAB_KEY\", concurrency: 3"));
        lab
    }

    fn rows(&self, count: usize) {
        let row = |at: usize| json!({ "prompt": format!("What is {at} + 0?"), "answer": at.to_string() }).to_string();
        self.project.write("rows.jsonl", &((0..count).map(row).collect::<Vec<_>>().join("\n") + "\n"));
    }

    fn file(&self, api: &str) {
        let text = format!(
            r#"
let rows = jsonl("rows.jsonl", format: columns(prompt: "prompt", answer: "answer"))
let big  = api({api})
let base = init_model {{ layers: 1, hidden: 32, heads: 2, kv_heads: 1, intermediate: 64, vocab: 320 }}
pipeline words  = big |> generate(data: rows)
pipeline scores = big |> evaluate({{ sums: bench(rows) }})
pipeline taught = base |> distill {{ teacher: big, data: rows, budget: 1steps, max_length: 256tok, overlong: "drop" }}
"#
        );
        self.project.write("a.srlm", &text);
    }

    fn srlm(&self, arguments: &[&str]) -> Answer {
        Answer(self.project.command(arguments).env("LAB_KEY", KEY).output().unwrap())
    }

    fn run(&self, target: &str) -> Answer {
        self.srlm(&["run", "a.srlm", "--target", target, "--json"])
    }

    fn store(&self) -> PathBuf {
        self.project.path().join(".srlm")
    }

    /// The keys of the plan by the names of its stages.
    fn keys(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let steps = self.srlm(&["plan", "a.srlm", "--json"]).ok().objects();
        steps.iter().map(|step| (text(&step["name"]), text(&step["key"]))).collect()
    }
}

fn metrics(events: &[Value], kind: &str) -> Value {
    let of_kind = |event: &&Value| event["event"] == "stage_finished" && event["stage"]["kind"] == kind;
    events.iter().find(of_kind).map(|event| event["metrics"].clone()).unwrap_or_else(|| panic!("{events:?}"))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut open) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(inner) = open.pop() {
        for entry in std::fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    files
}

/// Nothing that a run left or said holds the key.
fn assert_hidden(lab: &Lab, said: &[Answer]) {
    let holds = |bytes: &[u8]| bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
    for file in files_below(lab.project.path()) {
        assert!(!holds(&std::fs::read(&file).unwrap()), "the key stands in {}", file.display());
    }
    for answer in said {
        assert!(!holds(&answer.0.stdout) && !holds(&answer.0.stderr), "{}\n{}", answer.out(), answer.err());
    }
}

/// A server that knows sums, after it failed once at each.
fn moody(asked: &Asked) -> Act {
    let sum = prompt(asked).trim_start_matches("What is ").split(' ').next().unwrap_or_default().to_string();
    match (asked.tries, asked.index % 4) {
        (0, 0) => Act::Status(429, vec![("retry-after-ms", "5".into())], "{}".into()),
        (0, 1) => Act::HalfJson,
        (0, 2) => Act::Close,
        // One answer is cut, and so wrong.
        _ if sum == "7" => Act::Say("The answer is".into(), "length"),
        _ => Act::Say(format!("The answer is \\boxed{{{sum}}}."), "stop"),
    }
}

#[test]
fn a_server_teaches_writes_and_is_evaluated_and_is_asked_once() {
    let server = Server::start(1, moody);
    let lab = Lab::new(&server.url);
    let words = lab.run("words").ok();
    let made = metrics(&words.objects(), "generate");
    assert_eq!((&made["completions"], &made["truncated"], &made["tokens"]), (&json!(12.0), &json!(1.0), &json!(36.0)));
    let scores = lab.run("scores").ok();
    let accuracy = metrics(&scores.objects(), "evaluate")["sums.accuracy"].as_f64().unwrap();
    assert!((accuracy - 11.0 / 12.0).abs() < 1e-9, "{accuracy}");
    let taught = lab.run("taught").ok();
    assert!(metrics(&taught.objects(), "distill")["trained_tokens"].as_f64().unwrap() > 0.0);
    assert!(server.most_at_once() <= 3, "{} requests at a time", server.most_at_once());
    let header = format!("Bearer {KEY}");
    assert!(server.asked().iter().all(|asked| asked.authorization.as_ref() == Some(&header)));
    assert!(server.asked().iter().all(|asked| asked.path == "/v1/chat/completions" && asked.body["model"] == "big"));
    let progress = |event: &Value| event["said"]["unit"] == "request" && event["said"]["total"] == REQUESTS;
    assert!(words.objects().iter().any(progress), "{}", words.out());

    // Everything is cached; more rows ask for those rows.
    let asked = server.asked().len();
    let again = lab.srlm(&["run", "a.srlm"]).ok();
    assert_eq!(server.asked().len(), asked);
    lab.rows(REQUESTS + 2);
    let more = lab.run("words").ok();
    assert_eq!(metrics(&more.objects(), "generate")["completions"], json!(14.0));
    let fresh: BTreeSet<String> = server.asked()[asked..].iter().map(prompt).collect();
    assert_eq!(fresh, BTreeSet::from(["What is 12 + 0?".to_string(), "What is 13 + 0?".to_string()]));
    // Computed anew, it is asked anew.
    let asked = server.asked().len();
    let fresh = lab.srlm(&["run", "a.srlm", "--target", "words", "--fresh", "words"]).ok();
    assert_eq!(server.asked().len(), asked + REQUESTS + 2, "{}", fresh.out());
    assert_hidden(&lab, &[words, scores, taught, again, more, fresh]);
}

#[test]
fn a_refusal_says_where_and_what_to_do_and_not_the_key() {
    let server = Server::start(0, |asked: &Asked| {
        let sent = asked.authorization.clone().unwrap_or_default();
        Act::Status(401, vec![], json!({ "error": { "message": format!("wrong key: {sent}") } }).to_string())
    });
    let lab = Lab::new(&server.url);
    let json = lab.run("words");
    let plain = lab.srlm(&["run", "a.srlm", "--target", "words"]);
    assert_eq!((json.code(), plain.code()), (Some(1), Some(1)), "{}", plain.err());
    let told = plain.out() + &plain.err();
    for part in ["wrong key: Bearer [hidden]", "LAB_KEY", "(401)", "a.srlm:5:"] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    assert_hidden(&lab, &[json, plain]);
}

#[test]
fn a_run_without_the_key_starts_nothing() {
    let server = Server::start(0, |_: &Asked| Act::Answer);
    let lab = Lab::new(&server.url);
    let run = |arguments: &[&str]| Answer(lab.project.command(arguments).env_remove("LAB_KEY").output().unwrap());
    let checked = run(&["check", "a.srlm"]).ok();
    assert!(checked.err().contains("W003") && checked.err().contains("LAB_KEY"), "{}", checked.err());
    assert!(run(&["plan", "a.srlm"]).ok().err().contains("W003"));
    let refused = run(&["run", "a.srlm"]);
    assert_eq!(refused.code(), Some(2), "{}", refused.err());
    assert!(refused.err().contains("E072") && refused.err().contains("export LAB_KEY="), "{}", refused.err());
    assert!(server.asked().is_empty() && lab.project.results().is_empty());
    // What is cached needs no key.
    lab.run("words").ok();
    run(&["run", "a.srlm", "--target", "words"]).ok();
}

#[test]
fn how_a_server_is_reached_is_no_part_of_the_key() {
    let server = Server::start(0, |_: &Asked| Act::Slow(Duration::from_millis(50)));
    let lab = Lab::new("http://localhost:9/v1");
    let keys = lab.keys();
    let same = "url: \"http://localhost:9/v1\", model: \"big\", key_env: \"OTHER_KEY\", concurrency: 16, retries: 2, \
                timeout: 5s, url_env: \"LAB_URL\"";
    lab.file(same);
    assert_eq!(lab.keys(), keys);
    for other in ["rev: \"2\", model: \"big\"", "model: \"other\"", "model: \"big\", plain: true"] {
        lab.file(&format!("url: \"http://localhost:9/v1\", {other}"));
        assert!(lab.keys().iter().all(|(name, key)| ["rows", "base"].contains(&name.as_str()) || keys[name] != *key));
    }
    // The result of `api` is there by now, made with other settings: those of the file count.
    lab.file(same);
    let found = lab.project.command(&["run", "a.srlm", "--target", "words"]).env("OTHER_KEY", KEY).output().unwrap();
    assert!(String::from_utf8_lossy(&found.stderr).contains("no server answers at http://localhost:9/v1"));
    let command = &mut lab.project.command(&["run", "a.srlm", "--target", "words"]);
    let elsewhere = command.env("OTHER_KEY", KEY).env("LAB_URL", &server.url).output().unwrap();
    Answer(elsewhere).ok();
    assert_eq!(server.asked().len(), REQUESTS);
    assert!(server.most_at_once() > 3, "{} at a time", server.most_at_once());
}

#[test]
fn plain_texts_go_to_completions() {
    let server = Server::start(0, |_: &Asked| Act::Answer);
    let lab = Lab::new(&server.url);
    lab.file(&format!("url: \"{}\", model: \"base\", plain: true", server.url));
    lab.run("words").ok();
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.path == "/v1/completions" && asked.body["prompt"].is_string()));
    assert!(asked.iter().all(|asked| asked.authorization.is_none()));
}

/// However a run ends, nothing that was answered is asked again.
#[test]
fn a_stopped_or_killed_run_goes_on_where_it_was() {
    for signal in [libc::SIGINT, libc::SIGKILL] {
        let server = Server::start(0, |_: &Asked| Act::Slow(Duration::from_millis(120)));
        let lab = Lab::new(&server.url);
        let mut command = lab.project.command(&["run", "a.srlm", "--target", "words"]);
        let mut run = command.env("LAB_KEY", KEY).spawn().unwrap();
        let began = Instant::now();
        while server.asked().len() < 7 {
            assert!(began.elapsed() < Duration::from_secs(60), "the server was not asked");
            std::thread::sleep(Duration::from_millis(5));
        }
        // SAFETY: a signal to a process that this test started.
        unsafe {
            libc::kill(run.id() as i32, signal);
        }
        let code = run.wait().unwrap().code();
        assert_eq!(code, (signal == libc::SIGINT).then_some(130));
        // A worker whose run was killed still keeps what it gets.
        std::thread::sleep(Duration::from_millis(500));
        let before = server.asked().len();
        assert!(before < REQUESTS, "{before} requests");
        lab.run("words").ok();
        let bodies: BTreeSet<String> = server.asked().iter().map(|asked| asked.body.to_string()).collect();
        assert_eq!((bodies.len(), server.asked().len()), (REQUESTS, REQUESTS), "signal {signal}");
    }
}

#[test]
fn kept_answers_that_were_damaged_are_asked_again() {
    let server = Server::start(0, |_: &Asked| Act::Answer);
    let lab = Lab::new(&server.url);
    lab.run("words").ok();
    let folder = lab.store().join("answers");
    let file = files_below(&folder).into_iter().find(|file| file.ends_with("answers.jsonl")).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("Echo", "Ecco", 2)).unwrap();
    lab.rows(REQUESTS + 1);
    lab.run("words").ok();
    assert_eq!(server.asked().len(), REQUESTS + 2 + 1);
}

#[test]
fn a_loss_over_distributions_is_refused_before_anything_runs() {
    let lab = Lab::new("http://localhost:9/v1");
    let text = std::fs::read_to_string(lab.project.path().join("a.srlm")).unwrap();
    lab.project.write("a.srlm", &text.replace("budget: 1steps", "budget: 1steps, loss: jsd()"));
    let refused = lab.srlm(&["plan", "a.srlm"]);
    assert_eq!(refused.code(), Some(2));
    assert!(refused.err().contains("E070") && refused.err().contains("loss: text()"), "{}", refused.err());
}
