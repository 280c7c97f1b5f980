//! Messages: each code's example, the fixes, the forms in which findings are written, and params files.

use crate::program::Project;
use serde_json::Value;
use srlm::diag::codes::{self, CODES, Code};
use srlm::diag::examples::{self, Example};
use srlm::driver::{self, Checked, Failure, Settings};
use std::path::Path;

/// What is found in a file, errors or not.
fn found(path: &Path, params: &[(String, String)]) -> Checked {
    match driver::check(path, params) {
        Ok(checked) => checked,
        Err(Failure::File(checked)) => *checked,
        Err(other) => panic!("{}: {other:?}", path.display()),
    }
}

fn codes_of(checked: &Checked) -> Vec<&'static str> {
    let mut codes: Vec<_> = checked.diagnostics.iter().map(|found| found.code).collect();
    codes.dedup();
    codes
}

/// The params of `-p lr=2 -p seed=1`.
fn params(text: &str) -> Vec<(String, String)> {
    let set = text.split("-p ").filter_map(|part| part.trim().split_once('='));
    set.map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn each_wrong_example_gives_its_code_and_each_right_one_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.srlm");
    let mut wrong = Vec::new();
    for entry in CODES {
        let Some(example) = examples::of(entry.code).filter(|example| !example.is_unchecked) else { continue };
        let params = params(example.params);
        std::fs::write(&path, example.wrong.unwrap()).unwrap();
        let seen = codes_of(&found(&path, &params));
        if seen != [entry.code] {
            wrong.push(format!("{}: the wrong example gives {seen:?}", entry.code));
        }
        std::fs::write(&path, example.right.unwrap()).unwrap();
        let seen = codes_of(&found(&path, &[]));
        if !seen.is_empty() {
            wrong.push(format!("{}: the right example gives {seen:?}", entry.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `docs/codes.md`, from the catalogue and what the examples give.
fn codes_page(project: &Project) -> String {
    let mut page = String::from(
        "# Codes\n\nEvery message has a code. `srlm explain CODE` prints what stands here; this page is generated from \
         the same\ncatalogue (`SRLM_BLESS=1 cargo test --test suite codes_page` writes it).\n",
    );
    for entry in CODES {
        page += &format!("\n## {}: {}\n\n{}\n", entry.code, entry.title.trim_end_matches('.'), entry.explanation);
        if let Some(example) = examples::of(entry.code) {
            page += &section(project, entry, &example);
        }
    }
    page
}

fn section(project: &Project, entry: &Code, example: &Example) -> String {
    let mut text = format!("\n{}\n", example.prose);
    if let Some(wrong) = example.wrong {
        let set = if example.params.is_empty() { String::new() } else { format!(" with `{}`", example.params) };
        text += &format!("\nWrong{set}:\n\n```text\n{wrong}```\n");
        if !example.is_unchecked && entry.code != codes::TOO_DEEP {
            project.write("example.srlm", wrong);
            let arguments = ["check", "example.srlm"].into_iter().chain(example.params.split(' '));
            let answer = project.srlm(&arguments.filter(|part| !part.is_empty()).collect::<Vec<_>>());
            let picture = answer.err();
            // The counts and the hint at the end say nothing of the message.
            let end = picture.find("\n1 error").or_else(|| picture.find("\n2 errors")).unwrap_or(picture.len());
            text += &format!("\n```text\n{}\n```\n", picture[..end].trim());
        }
    }
    if let Some(right) = example.right {
        let language = if example.is_unchecked { "text" } else { "srlm" };
        text += &format!("\nRight:\n\n```{language}\n{right}```\n");
    }
    text
}

#[test]
fn codes_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/codes.md");
    let page = codes_page(&Project::quick());
    if std::env::var_os("SRLM_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let is_current = std::fs::read_to_string(&path).unwrap_or_default() == page;
    assert!(is_current, "docs/codes.md is not current: SRLM_BLESS=1 cargo test --test suite codes_page writes it");
}

#[test]
fn explain_prints_an_entry_the_list_or_the_nearest() {
    let project = Project::quick();
    let page = project.srlm(&["explain", "e021"]).ok().out();
    for part in ["E021: A field that does not exist.", "Wrong:", "lr: 1e-3", "Right:", "learning_rate: 1e-3"] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    let list = project.srlm(&["explain"]).ok().out();
    assert_eq!(list.lines().count(), CODES.len());
    let object = &project.srlm(&["explain", "E021", "--json"]).ok().objects()[0];
    assert!(object["wrong"].as_str().unwrap().contains("lr: 1e-3") && object["title"].is_string());
    let answer = project.srlm(&["explain", "E0021"]);
    assert_eq!(answer.code(), Some(2));
    assert!(answer.err().contains("E021") || answer.err().contains("E002"), "{}", answer.err());
}

const MISTAKES: &str = "\u{feff}// two fixes\r\nlet warm = sft { data: arith.train, num_train_epochs: 3, lr = 1e-3 }\n\
                        let reason = grpo { data: arith.train, reward: correct, group_size: 4 }\n\
                        pipeline p = std.models.tiny() | warm |> reason\n";
const MENDED: &str = "\u{feff}use std.arith\n\nuse std.reward.{correct}\n\n# two fixes\r\n\
                      let warm = sft { data: arith.train, budget: 3epochs, learning_rate: 1e-3 }\n\
                      let reason = grpo { data: arith.train, reward: correct, num_generations: 4 }\n\
                      pipeline p = std.models.tiny() |> warm |> reason\n";

#[test]
fn fixes_are_applied_until_none_is_left() {
    let project = Project::quick();
    project.write("a.srlm", MISTAKES);
    let shown = project.srlm(&["check", "a.srlm", "--fix", "--diff"]).ok();
    assert!(shown.out().contains("-pipeline p = std.models.tiny() | warm"), "{}", shown.out());
    assert_eq!(std::fs::read_to_string(project.path().join("a.srlm")).unwrap(), MISTAKES);
    let answer = project.srlm(&["check", "a.srlm", "--fix"]).ok();
    let text = std::fs::read_to_string(project.path().join("a.srlm")).unwrap();
    // The two imports may come in either order, each above the first item.
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(String::from).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(text.trim_start_matches('\u{feff}')), sorted(MENDED.trim_start_matches('\u{feff}')), "{text}");
    assert!(text.starts_with('\u{feff}') && text.contains("# two fixes\r\n"));
    assert!(answer.err().contains("0 problems left"), "{}", answer.err());
    let again = project.srlm(&["check", "a.srlm", "--fix"]).ok();
    assert!(again.err().contains("0 fixes applied, 0 problems left"), "{}", again.err());
}

#[test]
fn fixes_reach_imported_files_and_spare_what_the_command_line_gives() {
    let project = Project::quick();
    project.write("parts.srlm", "use std.arith\nlet warm = sft { data: arith.trian }\n");
    project.write(
        "a.srlm",
        "use \"parts.srlm\" as parts\nparam n: [Int] = [1]\npipeline p = std.models.tiny() |> parts.warm\n",
    );
    let answer = project.srlm(&["check", "a.srlm", "--fix", "--json", "-p", "n=3"]);
    assert_eq!(answer.code(), Some(2));
    let parts = std::fs::read_to_string(project.path().join("parts.srlm")).unwrap();
    assert_eq!(parts, "use std.arith\nlet warm = sft { data: arith.train }\n");
    let last = answer.objects().pop().unwrap();
    assert_eq!((&last["fixes_applied"], &last["problems_left"]), (&1.into(), &1.into()), "{last}");
}

/// Every program of the specification, mended: nothing is lost, nothing new is broken, and a second time does nothing.
#[test]
fn fixing_never_harms() {
    let folder = tempfile::tempdir().unwrap();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec")];
    while let Some(inside) = folders.pop() {
        for entry in std::fs::read_dir(inside).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "srlm") {
                harmless(&std::fs::read_to_string(&path).unwrap_or_default(), &folder.path().join("case.srlm"), &path);
            }
        }
    }
}

fn harmless(text: &str, copy: &Path, original: &Path) {
    std::fs::write(copy, text).unwrap();
    let unparsed = |checked: &Checked| checked.diagnostics.iter().filter(|found| found.code < "E020").count();
    let before = unparsed(&found(copy, &[]));
    let fixed = driver::fix(copy, Settings::default()).unwrap();
    assert!(unparsed(&fixed.left) <= before, "{}", original.display());
    for (_, old, new) in &fixed.files {
        assert!(srlm::lang::item_count(new) >= srlm::lang::item_count(old), "{}", original.display());
    }
    fixed.write().unwrap();
    let again = driver::fix(copy, Settings::default()).unwrap();
    assert!(again.files.is_empty(), "{} changes twice: {:?}", original.display(), again.applied);
}

#[test]
fn findings_are_text_json_or_sarif() {
    let project = Project::quick();
    project.write(
        "a.srlm",
        "use std.arith\nlet warm = sft { data: arith.train, lr: 1, batch: 1seqs, ...{ batch: 2seqs } }\n",
    );
    let json = project.srlm(&["check", "a.srlm", "--format", "json"]);
    assert_eq!(json.code(), Some(2));
    for object in json.objects() {
        let names: Vec<&String> = object.as_object().unwrap().keys().collect();
        let wanted = ["code", "severity", "message", "file", "line", "column", "labels", "help", "fix"];
        assert_eq!(names, wanted);
    }
    assert_eq!(json.out(), project.srlm(&["check", "a.srlm", "--json"]).out());
    let sarif = project.srlm(&["check", "a.srlm", "--format", "sarif"]);
    assert_eq!(sarif.code(), Some(2));
    let log = &sarif.objects()[0];
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), json.objects().len());
    for result in results {
        let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(rule["fullDescription"]["text"].is_string() && result["message"]["text"].is_string());
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a.srlm");
        assert!(place["region"]["startLine"].as_u64() == Some(2), "{place}");
    }
    assert!(results.iter().any(|result| result["relatedLocations"].is_array()));
    let replaced =
        |result: &Value| result["fixes"][0]["artifactChanges"][0]["replacements"][0]["insertedContent"].clone();
    assert!(results.iter().any(|result| replaced(result)["text"] == "learning_rate"));
    let clean = project.srlm(&["check", "quick.srlm", "--format", "sarif"]).ok();
    assert_eq!(clean.objects()[0]["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn findings_are_told_in_sentences_where_asked() {
    let project = Project::quick();
    project.write("a.srlm", "let warm = sft { lr: 1 }\n");
    let told = |command: &mut std::process::Command| String::from_utf8(command.output().unwrap().stderr).unwrap();
    let check = ["check", "a.srlm"];
    let asked = [
        told(&mut project.command(&["check", "a.srlm", "--narrated"])),
        told(project.command(&check).env("SRLM_NARRATED", "1")),
        told(project.command(&check).env("NO_GRAPHICS", "1")),
    ];
    for text in &asked {
        assert!(text.contains("Diagnostic severity: error") && text.contains("learning_rate"), "{text}");
        assert!(!text.contains(['│', '╭', '\u{1b}']), "{text}");
    }
    let picture = told(project.command(&check).env("SRLM_NARRATED", "0").env_remove("NO_COLOR"));
    assert!(picture.contains('╭') && !picture.contains('\u{1b}'), "{picture}");
    let wide = told(project.command(&check).env("COLUMNS", "40"));
    assert!(wide.lines().filter(|line| !line.contains('│')).all(|line| line.chars().count() <= 70), "{wide}");
}

const WITH_PARAMS: &str = "use std.arith\n\
    param base:   Model   = std.models.tiny()\n\
    param budget: Epochs  = 1epochs\n\
    param rounds: Int     = 3 where rounds >= 1 and rounds <= 8\n\
    param seeds:  [Int]   = [1]\n\
    param name:   String  = \"a\"\n\
    param split:  \"x\" | \"y\" = \"x\"\n\
    param shared: { rate: Float, length: Tokens }? = none\n\
    let warm = sft { data: arith.train, budget: budget, seed: rounds + seeds[0] }\n\
    suite exam { a: bench(arith.test) }\n\
    let long = if name == \"1 + 1\" and split == \"y\" then warm else warm with { budget: 100steps }\n\
    let other = if shared == none then long else long with { learning_rate: 0.5 }\n\
    pipeline p = base |> other |> evaluate(exam)\n";

#[test]
fn a_params_file_sets_params_and_the_command_line_wins() {
    let project = Project::quick();
    project.write("a.srlm", WITH_PARAMS);
    let yaml = "# what to run\nbudget: 2epochs\nrounds: 5\nseeds: [7, 8]\nname: 1 + 1\nsplit: y\nshared: null\n";
    project.write("params.yaml", yaml);
    let json = "{\"budget\": \"2epochs\", \"rounds\": 5, \"seeds\": [7, 8], \"name\": \"1 + 1\", \"split\": \"y\"}";
    project.write("params.json", json);
    let keys = |arguments: &[&str]| {
        let all: Vec<&str> = ["plan", "a.srlm", "--json"].iter().chain(arguments).copied().collect();
        let objects = project.srlm(&all).ok().objects();
        objects.iter().map(|stage| stage["key"].to_string()).collect::<Vec<_>>()
    };
    let set =
        ["-p", "budget=2epochs", "-p", "rounds=5", "-p", "seeds=[7,8]", "-p", "name=\"1 + 1\"", "-p", "split=\"y\""];
    let wanted = keys(&set);
    assert_eq!(keys(&["--params", "params.yaml"]), wanted);
    assert_eq!(keys(&["--params", "params.json"]), wanted);
    let one = keys(&["--params", "params.yaml", "-p", "rounds=4"]);
    assert_ne!(one, wanted);
    assert_eq!(keys(&["-p", "rounds=4", "--params", "params.yaml"]), one);
    project.write("params.yaml", "base: 'std.models.tiny(seed: 3)'\nshared: {rate: 1, length: 64tok}\n");
    assert_ne!(keys(&["--params", "params.yaml"]), wanted);
}

#[test]
fn what_is_wrong_in_a_params_file_has_its_place_there() {
    let project = Project::quick();
    project.write("a.srlm", WITH_PARAMS);
    let cases = [
        ("rounds: 3\nbugdet: 2epochs\n", "E040", 2, 1, "budget"),
        ("seeds: 1\n", "E030", 1, 8, "[1]"),
        ("name: x\nrounds: 9\n", "E042", 2, 9, "at most 8"),
        ("budget: 3\n", "E030", 1, 9, "3epochs"),
        ("budget: 3 epochs\n", "E007", 1, 9, ""),
        ("split: z\n", "E030", 1, 8, ""),
        ("shared: {rate: 1, length: 3}\n", "E030", 1, 9, ""),
        ("base: std.models.tini()\n", "E029", 1, 18, "tiny"),
        ("seeds: [1, 2\nrounds: 3\n", "E045", 2, 7, "YAML"),
        ("rounds: 1\nrounds: 2\n", "E045", 1, 1, ""),
        ("- 1\n", "E045", 1, 1, "name: value"),
    ];
    for (yaml, code, line, column, help) in cases {
        project.write("params.yaml", yaml);
        let answer = project.srlm(&["check", "a.srlm", "--params", "params.yaml", "--json"]);
        assert_eq!(answer.code(), Some(2), "{yaml}");
        let objects = answer.objects();
        let place = |object: &Value| (object["line"].as_u64(), object["column"].as_u64());
        assert_eq!(objects.len(), 1, "{yaml}: {objects:?}");
        let object = &objects[0];
        assert_eq!(object["code"], code, "{yaml}: {object}");
        assert_eq!(object["file"], "params.yaml", "{yaml}");
        assert_eq!(place(object), (Some(line), Some(column)), "{yaml}: {object}");
        assert!(object["help"].as_str().unwrap_or_default().contains(help), "{yaml}: {object}");
    }
    project.write("params.yaml", "rounds: 9\n");
    let answer = project.srlm(&["check", "a.srlm", "--params", "params.yaml"]);
    for part in ["params.yaml:1:9", "a.srlm:4:", "rounds <= 8"] {
        assert!(answer.err().contains(part), "{part} is missing in\n{}", answer.err());
    }
    let missing = project.srlm(&["check", "a.srlm", "--params", "param.yaml"]);
    assert_eq!(missing.code(), Some(2));
    assert!(missing.err().contains("params.yaml"), "{}", missing.err());
}

#[test]
fn a_stage_that_fails_shows_the_line_that_declared_it() {
    let project = Project::quick();
    let text = "use std.arith\nlet warm =\n  sft { data: arith.train, max_length: 2tok, overlong: \"error\" }\n\
                pipeline p = std.models.tiny() |> warm\n";
    project.write("bad.srlm", text);
    let answer = project.srlm(&["run", "bad.srlm"]);
    assert_eq!(answer.code(), Some(1), "{}", answer.err());
    for part in ["bad.srlm:3:3", "3 │   sft { data: arith.train", "  · ", "╰── declared here"] {
        assert!(answer.err().contains(part), "{part} is missing in\n{}", answer.err());
    }
    let answer = project.srlm(&["run", "bad.srlm", "--json"]);
    let failed = answer.objects().into_iter().find(|object| object["event"] == "stage_failed").unwrap();
    assert_eq!(failed["declared_at"], "bad.srlm:3:3");
    assert_eq!(failed["source_line"], "  sft { data: arith.train, max_length: 2tok, overlong: \"error\" }");
}
