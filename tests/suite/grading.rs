//! `srlm grade` as a program, and the examples of `docs/grading.md`, each held to what it says.

use crate::program::Project;
use serde_json::Value;
use srlm::reward::grade::judge::judge;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

#[test]
fn the_examples_of_the_page_are_judged_as_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/grading.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (mut equal, mut different, mut wrong) = (0, 0, Vec::new());
    for line in text.lines() {
        if let Some((left, right)) = line.split_once("  !~  ") {
            different += 1;
            if judge(left, right).accepts() || judge(right, left).accepts() {
                wrong.push(line);
            }
        } else if let Some((left, rest)) = line.split_once("  ~  ") {
            let (right, ground) = rest.rsplit_once("  ").expect("a ground stands behind two spaces");
            equal += 1;
            if judge(left, right).name() != ground || judge(right, left).name() != ground {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(equal >= 40 && different >= 20, "{equal} and {different} examples were found");
}

const ROWS: &str = r#"{"gold": "18", "completion": "so 9*2 = 18.\n#### 18", "id": 7}

{"gold": 18, "completion": "The answer is $18."}
{"gold": "\\frac{1}{2}", "completion": "\\boxed{0.6}"}
{"gold": "3", "completion": "no idea how this is to be done"}
"#;

fn graded(profile: &str) -> Vec<(bool, String, Option<String>)> {
    let project = Project::quick();
    project.write("rows.jsonl", ROWS);
    let answer = project.srlm(&["grade", "rows.jsonl", "--profile", profile, "--json"]);
    assert_eq!(answer.code(), Some(0), "{}", answer.err());
    let verdict = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().map(String::from);
        (row["correct"].as_bool().unwrap(), text("rule").unwrap(), text("extracted"))
    };
    answer.out().lines().map(verdict).collect()
}

#[test]
fn rows_are_judged_in_order_by_each_profile() {
    let row =
        |correct: bool, rule: &str, extracted: Option<&str>| (correct, rule.to_string(), extracted.map(String::from));
    let wrong = row(false, "none", None);
    let boxed = row(false, "boxed", Some("0.6"));
    let hashes = row(true, "hashes", Some("18"));
    assert_eq!(graded("strict"), [hashes.clone(), wrong.clone(), boxed.clone(), wrong.clone()]);
    assert_eq!(graded("lenient"), [hashes, row(true, "phrase", Some("$18")), boxed, wrong.clone()]);
    let strict = row(true, "strict_match", Some("18"));
    assert_eq!(graded("lm-eval-strict"), [strict, wrong.clone(), wrong.clone(), wrong.clone()]);
    let flexible = |correct: bool, found: &str| row(correct, "flexible_extract", Some(found));
    assert_eq!(
        graded("lm-eval-flexible"),
        [flexible(true, "18"), flexible(true, "$18."), flexible(false, "0.6"), wrong]
    );
}

#[test]
fn people_get_counts() {
    let project = Project::quick();
    project.write("rows.jsonl", ROWS);
    let answer = project.srlm(&["grade", "rows.jsonl"]);
    let text = answer.out();
    assert!(text.starts_with("lenient: 2 of 4 correct (50.0 %)\n"), "{text}");
    for line in [
        "boxed                    1        0",
        "phrase                   1        1",
        "no_answer                1        0",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn one_pair_is_explained() {
    let project = Project::quick();
    let pair = ["grade", "--gold", "-1/2", "--completion", "The answer is $-0.5$."];
    let answer = project.srlm(&pair);
    assert_eq!((answer.code(), answer.out().lines().next()), (Some(0), Some("correct")), "{}", answer.err());
    let json = project.srlm(&[&pair[..], &["--json"]].concat());
    let row: Value = serde_json::from_str(&json.out()).unwrap();
    assert_eq!((&row["gold"], &row["answer"], &row["ground"]), (&"-1/2".into(), &"-1/2".into(), &"value".into()));
    assert_eq!(project.srlm(&["grade", "--gold", "1"]).code(), Some(2));
    assert_eq!(project.srlm(&["grade"]).code(), Some(2));
    assert_eq!(project.srlm(&["grade", "rows.jsonl", "--profile", "loose"]).code(), Some(2));
}

#[test]
fn standard_input_is_read_and_bad_rows_are_told_by_line() {
    let project = Project::quick();
    let mut command = project.command(&["grade", "-", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(ROWS.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).lines().count()), (Some(0), 4));

    project.write("bad.jsonl", "{\"gold\": \"1\", \"completion\": \"1\"}\nnot json\n[1]\n{\"gold\": [1], \"completion\": \"\"}\n{\"gold\": \"1\"}\n");
    let answer = project.srlm(&["grade", "bad.jsonl", "--json"]);
    let told = answer.err();
    assert_eq!((answer.code(), answer.out().is_empty()), (Some(2), true), "{told}");
    for place in [
        "bad.jsonl:2: this is no JSON",
        "bad.jsonl:3: a row is",
        "bad.jsonl:4: `gold` is",
        "bad.jsonl:5: there is no `completion`",
    ] {
        assert!(told.contains(place), "{told}");
    }
    assert_eq!(project.srlm(&["grade", "absent.jsonl"]).code(), Some(2));
}
