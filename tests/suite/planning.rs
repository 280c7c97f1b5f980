//! Plans and what explains them, by the real program: reasons, saved plans, lineages, runs side by side.

use crate::program::{Answer, Project};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const ROWS: &str =
    "{\"question\": \"1+1?\", \"answer\": \"#### 2\"}\n{\"question\": \"2+2?\", \"answer\": \"#### 4\"}\n";

/// rows → some → once; rows → part. Stages of moments.
const FILE: &str = r#"
param n: Int = 2
let rows = jsonl("rows.jsonl")
let some = take { n: n, seed: 3 }
let once = dedup {}
let part = split { part: "train" }
pipeline few  = rows |> some |> once
pipeline half = rows |> part
"#;

fn project() -> Project {
    let project = Project::quick();
    project.write("a.srlm", FILE);
    project.write("rows.jsonl", ROWS);
    project
}

/// Status, cause and reason of each stage by its name.
fn planned(answer: &Answer) -> BTreeMap<String, [String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let stage = |stage: &Value| (text(&stage["name"]), ["status", "cause", "reason"].map(|field| text(&stage[field])));
    answer.objects().iter().map(stage).collect()
}

/// Every file below a folder with its bytes, and every file and folder with the time of its last change.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, Option<Vec<u8>>)> {
    let (mut found, mut open) = (BTreeMap::new(), vec![folder.to_path_buf()]);
    while let Some(path) = open.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let bytes = metadata.is_file().then(|| std::fs::read(&path).unwrap());
        found.insert(path, (metadata.modified().unwrap(), bytes));
    }
    found
}

#[test]
fn looking_leaves_no_trace_on_disk() {
    let project = project();
    let looks: [&[&str]; 19] = [
        &["check", "a.srlm"],
        &["plan", "a.srlm"],
        &["plan", "a.srlm", "--json"],
        &["plan", "a.srlm", "-p", "n=1"],
        &["plan", "quick.srlm"],
        &["why", "a.srlm", "some"],
        &["why", "a.srlm", "some", "-p", "n=1"],
        &["lineage", "a.srlm", "few"],
        &["lineage", "a.srlm", "rows", "--dependents"],
        &["runs"],
        &["diff"],
        &["diff", "latest", "latest~1", "--json"],
        &["show", "a.srlm", "few"],
        &["compare", "quick.srlm"],
        &["graph", "a.srlm"],
        &["store", "ls"],
        &["doc", "a.srlm"],
        &["fmt", "--check", "a.srlm"],
        &["explain", "E021"],
    ];
    let look = |project: &Project| {
        let before = tree(project.path());
        for arguments in looks {
            let code = project.srlm(arguments).code();
            assert!(matches!(code, Some(0..=2)), "{arguments:?} ended with {code:?}");
            let after = tree(project.path());
            let changed: Vec<_> = after.iter().filter(|(path, state)| before.get(*path) != Some(state)).collect();
            let names: Vec<_> = changed.iter().map(|(path, _)| path).collect();
            assert!(names.is_empty() && after.len() == before.len(), "{arguments:?} changed {names:?}");
        }
    };
    look(&project);
    assert!(!project.path().join(".srlm").exists());
    project.srlm(&["run", "a.srlm"]).ok();
    project.srlm(&["run", "a.srlm", "-p", "n=1"]).ok();
    look(&project);
    // What a crash leaves behind stays as it is, too.
    let store = project.path().join(".srlm");
    let record = std::fs::read_dir(store.join("records")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&record).unwrap();
    std::fs::write(record, "{").unwrap();
    std::fs::create_dir_all(store.join("attempts").join("0".repeat(64)).join("a.1.1.1/out")).unwrap();
    look(&project);
}

#[test]
fn every_reason_has_its_words() {
    let project = project();
    let plan = |arguments: &[&str]| planned(&project.srlm(&[&["plan", "a.srlm", "--json"], arguments].concat()).ok());
    let first = plan(&[]);
    assert!(
        first.values().all(|[status, cause, reason]| (status.as_str(), cause.as_str(), reason.as_str())
            == ("run", "never_run", "never run before")),
        "{first:?}"
    );
    project.srlm(&["run", "a.srlm"]).ok();
    let [status, cause, reason] = &plan(&[])["once"];
    assert_eq!((status.as_str(), cause.as_str()), ("hit", "made"));
    assert!(reason.starts_with("made "), "{reason}");

    let changed = plan(&["-p", "n=1"]);
    assert_eq!(changed["some"], ["run", "changed", "`n` changed: 2 → 1 (a.srlm:4)"]);
    let [_, cause, reason] = &changed["once"];
    assert_eq!(
        (cause.as_str(), reason.as_str()),
        (
            "changed",
            "its input `data` changed: in `some`, `n` changed: 2 → 1 (a.srlm:4); not if its inputs come out as in an earlier run"
        )
    );
    assert_eq!(changed["part"][0], "hit");

    project.write("rows.jsonl", &format!("{ROWS}{{\"question\": \"3+3?\", \"answer\": \"#### 6\"}}\n"));
    let changed = plan(&[]);
    assert!(changed["rows"][2].starts_with("`path` changed: the file's content, "), "{changed:?}");
    assert!(changed["part"][2].starts_with("its input `data` changed: in `rows`, `path` changed: "), "{changed:?}");
    project.srlm(&["run", "a.srlm"]).ok();
    // The first two rows are what they were, byte for byte, and so is what was made of them.
    project.write("rows.jsonl", &format!("{ROWS}{{\"question\": \"4+4?\", \"answer\": \"#### 8\"}}\n"));
    project.srlm(&["run", "a.srlm"]).ok();
    assert_eq!(plan(&[])["once"][..2], ["hit", "made"]);

    let key = project.srlm(&["why", "a.srlm", "part", "--json"]).ok().objects()[0]["key"].as_str().unwrap().to_string();
    let record = project.path().join(format!(".srlm/records/{key}.json"));
    let text = std::fs::read_to_string(&record).unwrap();
    std::fs::remove_file(&record).unwrap();
    std::fs::write(&record, text.replace("\"split\"", "\"spilt\"")).unwrap();
    let [status, cause, reason] = &plan(&[])["part"];
    assert_eq!((status.as_str(), cause.as_str()), ("run", "record_corrupt"));
    assert!(reason.starts_with("its record is damaged: "), "{reason}");
}

/// A cell more is no change of another cell; a changed field is one of the cell it was in.
#[test]
fn sweeps_are_explained_cell_by_cell() {
    let project = project();
    let file = |seeds: &str, n: u32| {
        let text = format!(
            "let rows = jsonl(\"rows.jsonl\")\nlet some = take {{\n  n: {n}\n  order: \"shuffled\"\n}}\n\
             sweep s {{\n  over seed in {seeds}\n  return rows |> (some with {{ seed: seed }}) |> dedup()\n}}\n"
        );
        project.write("s.srlm", &text);
    };
    let plan = || {
        let stages = project.srlm(&["plan", "s.srlm", "--json"]).ok().objects();
        let of = |stage: &Value| {
            (
                format!("{} {}", stage["kind"].as_str().unwrap(), stage["labels"][0].as_str().unwrap()),
                stage["reason"].as_str().unwrap().to_string(),
            )
        };
        stages.iter().map(of).collect::<BTreeMap<_, _>>()
    };
    file("[1, 2, 3]", 2);
    project.srlm(&["run", "s.srlm"]).ok();
    file("[1, 2, 3, 4]", 2);
    let reasons = plan();
    let new = &reasons["take s[seed=4]"];
    assert!(
        new.starts_with("never run before; unlike `some` for s[seed=") && new.contains("`seed` is 4, not "),
        "{new}"
    );
    file("[1, 2, 3]", 1);
    let reasons = plan();
    for seed in 1..=3 {
        assert_eq!(reasons[&format!("take s[seed={seed}]")], "`n` changed: 2 → 1 (s.srlm:3)");
        let dedup = &reasons[&format!("dedup s[seed={seed}]")];
        assert!(dedup.starts_with("its input `data` changed: in `some`, `n` changed: 2 → 1 (s.srlm:3)"), "{dedup}");
        assert!(!dedup.contains("seed"), "{dedup}");
    }
}

#[test]
fn a_stage_that_cannot_run_is_blocked_with_what_needs_it() {
    let project = project();
    project.write("later.srlm", "let base = std.models.tiny()\nlet half = sft { data: jsonl(\"rows.jsonl\"), dtype: \"bf16\" }\nlet after = sft { data: jsonl(\"rows.jsonl\") }\npipeline later = base |> half |> after\npipeline now = jsonl(\"rows.jsonl\")\n");
    let plan = planned(&project.srlm(&["plan", "later.srlm", "--json"]).ok());
    assert_eq!(plan["half"], ["blocked", "unbuilt", "this version cannot run `dtype: \"bf16\"` yet"]);
    assert_eq!(plan["after"], ["blocked", "input_blocked", "its input `model` comes from `half`, which is blocked"]);
    let text = project.srlm(&["plan", "later.srlm"]).ok().out();
    assert!(text.contains("BLOCKED") && text.contains("2 blocked"), "{text}");
    let why = project.srlm(&["why", "later.srlm", "half"]).ok().out();
    assert!(why.contains("is blocked: this version cannot run"), "{why}");
    assert_eq!(project.srlm(&["run", "later.srlm"]).code(), Some(2));
    project.srlm(&["run", "later.srlm", "--target", "now"]).ok();
}

#[test]
fn a_plan_estimates_what_it_will_take() {
    let project = project();
    let first = project.srlm(&["plan", "a.srlm"]).ok().out();
    assert!(first.trim_end().ends_with("4 to run; how long is unknown"), "{first}");
    project.srlm(&["run", "a.srlm"]).ok();
    let none = project.srlm(&["plan", "a.srlm"]).ok().out();
    assert!(none.trim_end().ends_with("4 cached, 0 to run"), "{none}");
    let text = project.srlm(&["plan", "a.srlm", "-p", "n=1"]).ok().out();
    assert!(text.contains("2 to run; about ") && text.contains("at most "), "{text}");
    let stages = project.srlm(&["plan", "a.srlm", "-p", "n=1", "--json"]).ok().objects();
    let some = stages.iter().find(|stage| stage["name"] == "some").unwrap();
    let estimate = &some["estimate"];
    assert!(estimate["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{estimate}");
    assert!(estimate["peak_memory"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{estimate}");
    assert_eq!(estimate["from"].as_str().map(str::len), Some(64));
    assert!(stages.iter().find(|stage| stage["name"] == "part").unwrap()["estimate"].is_null());
}

#[test]
fn a_saved_plan_runs_as_it_was_saved_and_from_anywhere() {
    let project = project();
    std::fs::create_dir(project.path().join("elsewhere")).unwrap();
    project.srlm(&["plan", "a.srlm", "--target", "few", "-p", "n=1", "--store", "results", "--out", "plan.json"]).ok();
    assert!(!project.path().join("results").exists());
    let mut command = project.command(&["run", "--plan", "../plan.json"]);
    command.current_dir(project.path().join("elsewhere"));
    Answer(command.output().unwrap()).ok();
    assert_eq!(project.results_in("results").len(), 3);
    assert_eq!(project.srlm(&["run", "--plan", "plan.json", "-p", "n=2"]).code(), Some(2));
    assert_eq!(project.srlm(&["run"]).code(), Some(2));
    // It was a plan to run three stages, and they are there by now.
    let refused = project.srlm(&["run", "--plan", "plan.json"]);
    assert_eq!(refused.code(), Some(2));
    assert!(refused.err().contains("`some` runs by the plan, and now is cached"), "{}", refused.err());
    project.srlm(&["plan", "a.srlm", "--target", "few", "-p", "n=1", "--store", "results", "--out", "plan.json"]).ok();
    project.srlm(&["run", "--plan", "plan.json"]).ok();
}

#[test]
fn a_saved_plan_is_refused_where_anything_changed() {
    let project = project();
    project.srlm(&["run", "a.srlm"]).ok();
    let save = || drop(project.srlm(&["plan", "a.srlm", "--out", "plan.json"]).ok());
    let refused = |told: &[&str]| {
        let before = project.results();
        let answer = project.srlm(&["run", "--plan", "plan.json"]);
        assert_eq!(answer.code(), Some(2));
        told.iter().for_each(|told| assert!(answer.err().contains(told), "{told} is missing in {}", answer.err()));
        assert_eq!(project.results(), before, "nothing was run");
    };
    save();
    project.srlm(&["run", "--plan", "plan.json"]).ok();
    // Other words for the same are no change.
    project.write("a.srlm", &format!("# a comment\n{FILE}"));
    project.srlm(&["run", "--plan", "plan.json"]).ok();
    project.write("a.srlm", &FILE.replace("seed: 3", "seed: 4"));
    refused(&["`some`: `seed` changed: 3 → 4 (a.srlm:4)", "nothing was run", "srlm plan a.srlm --out"]);
    project.write("a.srlm", &FILE.replace("|> once", "|> once |> some"));
    refused(&["is no stage of the plan"]);
    project.write("a.srlm", FILE);
    project.write("rows.jsonl", &ROWS.replace("1+1", "3-1"));
    refused(&["rows.jsonl changed: its content was "]);
    project.write("rows.jsonl", ROWS);
    std::fs::remove_dir_all(project.path().join(".srlm/objects")).unwrap();
    refused(&["`once` is cached by the plan, and now runs: a blob of its result is missing"]);

    project.write("plan.json", "{\"version\": 9}");
    refused(&["plan.json is no plan of `srlm plan --out`", "version 9"]);
    project.write("plan.json", "[1");
    refused(&["plan.json is no plan"]);
    assert_eq!(project.srlm(&["run", "--plan", "nowhere.json"]).code(), Some(2));
}

#[test]
fn a_lineage_leads_back_to_digests_of_data_and_on_to_what_was_made() {
    let project = project();
    let before = project.srlm(&["lineage", "a.srlm", "few"]).ok().out();
    assert!(before.contains("dedup `once`") && before.contains("no result"), "{before}");
    project.srlm(&["run", "a.srlm"]).ok();
    let text = project.srlm(&["lineage", "a.srlm", "few"]).ok().out();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("dedup `once` "), "{text}");
    assert!(
        lines[1].starts_with("└─ data: take `some` ") && lines[2].starts_with("   └─ data: jsonl `rows` "),
        "{text}"
    );
    assert!(lines[3].contains("path: content ") && lines[3].ends_with(", now rows.jsonl"), "{text}");
    assert_eq!(lines.len(), 4, "{text}");

    let stages = project.srlm(&["lineage", "a.srlm", "few", "--json"]).ok().objects();
    let names: Vec<_> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["once", "some", "rows"]);
    assert_eq!(stages[0]["inputs"]["data"], stages[1]["key"]);
    let digest = stages[2]["data"]["path"].as_str().unwrap();
    assert_eq!(digest, srlm::base::digest::Digest::of_bytes(ROWS.as_bytes()).to_string());

    // A key is enough, without the file; and the store tells what was made of the rows.
    let key = &stages[0]["key"].as_str().unwrap()[..12];
    let by_key = project.srlm(&["lineage", key]).ok().out();
    assert_eq!(by_key.lines().count(), 4, "{by_key}");
    let made = project.srlm(&["lineage", "a.srlm", "rows", "--dependents"]).ok().out();
    for part in ["jsonl `rows`", "take `some`", "dedup `once`", "split `part`"] {
        assert!(made.contains(part), "{part} is missing in {made}");
    }
    let unknown = project.srlm(&["lineage", "abcdef0123"]);
    assert!(unknown.code() == Some(2) && unknown.err().contains("no record"), "{}", unknown.err());
    assert!(project.srlm(&["lineage", "a.srlm"]).err().contains("which stage of a.srlm?"));
    assert!(project.srlm(&["lineage", "b.srlm"]).err().contains("no file, and no key"));
}

#[test]
fn two_runs_are_compared_stage_by_stage() {
    let project = project();
    assert!(project.srlm(&["diff"]).err().contains("no run yet"));
    assert!(project.srlm(&["runs"]).ok().out().contains("no run yet"));
    project.srlm(&["run", "a.srlm"]).ok();
    project.write("a.srlm", &FILE.replace("n: Int = 2", "n: Int = 1").replace("half = rows |> part", "all = rows"));
    project.srlm(&["run", "a.srlm"]).ok();
    let text = project.srlm(&["diff", "latest~1", "latest"]).ok().out();
    for part in [
        "stages: 1 the same, 2 differ, 1 only in the first",
        "take `some`",
        "`n` changed: 2 → 1",
        "rows 2 → 1",
        "dedup `once`",
        "its input `data` changed",
        "only in the first\n  split `part`",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let diff = &project.srlm(&["diff", "--json"]).ok().objects()[0];
    assert_eq!((diff["same"].as_u64(), diff["differing"].as_array().map(Vec::len)), (Some(1), Some(2)));
    assert_eq!(diff["differing"][0]["changes"][0]["field"], "n");
    let same = project.srlm(&["diff", "latest", "latest"]).ok().out();
    assert!(same.contains("stages: 3 the same\n"), "{same}");

    let runs = project.srlm(&["runs", "--json"]).ok().objects();
    assert_eq!((runs.len(), runs[0]["file"].as_str()), (2, Some("a.srlm")));
    let table = project.srlm(&["runs"]).ok().out();
    assert!(table.lines().nth(1).is_some_and(|line| line.ends_with("done")), "{table}");
    let id = runs[0]["run"].as_str().unwrap();
    project.srlm(&["diff", id, "latest"]).ok();
    let unknown = project.srlm(&["diff", "20000101", "latest"]);
    assert!(unknown.code() == Some(2) && unknown.err().contains("no run `20000101`"), "{}", unknown.err());
}
