//! The specification is complete: every code, every field, every form and every word has a case. What lacks one is
//! listed.

use crate::spec::{Case, cases};
use srlm::diag::codes::CODES;
use srlm::stage;
use std::collections::BTreeSet;

/// Codes that no program alone can show.
const BEYOND_PROGRAMS: &[(&str, &str)] = &[
    ("E045", "the file of `--params`: tests/suite/messages.rs"),
    ("E061", "what a run refuses: tests/suite/unbuilt.rs"),
    ("E069", "a defect of srlm itself"),
    ("E072", "what a run refuses: tests/suite/api.rs"),
    ("E073", "what a run refuses: tests/suite/memory.rs"),
    ("E067", "the Hub or its cache: tests/suite/inputs.rs has a server"),
    ("E066", "a lock that contradicts the Hub: tests/suite/inputs.rs"),
];

const TYPES: &[&str] = &[
    "Int", "Float", "Bool", "String", "Path", "Duration", "Size", "Tokens", "Seqs", "Steps", "Epochs", "Percent",
    "Points", "Model", "Teacher", "Dataset", "Reward", "Bench", "Suite", "Scores",
];

const UNITS: &[&str] = &[
    "seqs", "seq", "tok", "ktok", "Mtok", "Btok", "epochs", "epoch", "steps", "step", "B", "KB", "MB", "GB", "TB",
    "KiB", "MiB", "GiB", "TiB", "ms", "s", "min", "h", "d", "%", "pp",
];

const BUILTINS: &[&str] = &["identity", "chain(", "repeat(", "verifier("];

/// Every form of an expression, a type and an item, each by a text that only it has.
const FORMS: &[&str] = &[
    "|> ",
    " >> ",
    " or ",
    " and ",
    "not ",
    " == ",
    " != ",
    " < ",
    " <= ",
    " > ",
    " >= ",
    " in ",
    "..",
    " step ",
    " + ",
    " - ",
    " * ",
    " / ",
    " mod ",
    "-(",
    " with {",
    "xs[0]",
    ".name",
    "[]",
    " for x in ",
    "{ ...",
    "${",
    "true",
    "false",
    "none",
    "sft {",
    "sft(",
    "1_000_000",
    "1e-3",
    "\"\\\"",
    "[Int]",
    "Int?",
    "\"a\" | \"b\"",
    "Model -> Model",
    "use std.",
    ".{",
    " as ",
    "param ",
    " where ",
    "let ",
    "recipe ",
    "suite ",
    "pipeline ",
    "sweep ",
    "over ",
    "skip when ",
    "compare ",
    "profile ",
    "return ",
    "if ",
    " then ",
    " else ",
    "## ",
    "# ",
];

/// `kind(field: …)` and `kind { field: … }` of a program: owner and field. An unnamed first argument is the field ``.
fn written(text: &str) -> BTreeSet<(String, String)> {
    let tokens = tokens(text);
    let at = |index: usize| tokens.get(index).map_or("", String::as_str);
    let mut found = BTreeSet::new();
    let mut owners: Vec<String> = Vec::new();
    for index in 0..tokens.len() {
        match at(index) {
            "{" | "(" | "[" => {
                let mut owner = if index > 0 && is_word(at(index - 1)) { at(index - 1) } else { "" };
                let (first, second) = (at(index + 1), at(index + 2));
                // The settings of `verifier("name", …)` are those of the reward.
                if owner == "verifier" {
                    owner = first.trim_matches('"');
                }
                if second != ":" && !["}", ")", "..."].contains(&first) {
                    found.insert((owner.to_string(), String::new()));
                }
                owners.push(owner.to_string());
            }
            "}" | ")" | "]" => drop(owners.pop()),
            word if is_word(word) && at(index + 1) == ":" => {
                found.extend(owners.last().map(|owner| (owner.clone(), word.to_string())));
            }
            _ => {}
        }
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// Words, texts and signs; comments are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let code: Vec<&str> = text.lines().map(without_comment).collect();
    let code = code.join("\n");
    let mut rest = code.as_str();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            _ if first.is_ascii_alphanumeric() || first == '_' => {
                rest.find(|other: char| !(other.is_ascii_alphanumeric() || other == '_')).unwrap_or(rest.len())
            }
            '.' if rest.starts_with("...") => 3,
            _ => first.len_utf8(),
        };
        if !first.is_whitespace() {
            found.push(rest[..length].to_string());
        }
        rest = &rest[length..];
    }
    found
}

fn without_comment(line: &str) -> &str {
    let texts = |at: usize| line[..at].matches('"').count().is_multiple_of(2);
    line.match_indices('#').find(|(at, _)| texts(*at)).map_or(line, |(at, _)| &line[..at])
}

/// The text of a case without the lines that an error is stated for.
fn valid(case: &Case) -> String {
    let wrong: BTreeSet<usize> =
        case.notes.findings.iter().filter(|found| found.code.starts_with('E')).map(|found| found.line).collect();
    let lines = case.text.lines().enumerate().filter(|(index, _)| !wrong.contains(&(index + 1)));
    lines.map(|(_, line)| format!("{line}\n")).collect()
}

fn listed(what: &str, missing: Vec<String>) {
    assert!(missing.is_empty(), "{} {what} have no case: {}", missing.len(), missing.join(", "));
}

#[test]
fn there_are_many_cases_and_each_says_its_point() {
    let cases = cases();
    assert!(cases.len() >= 150, "only {} cases", cases.len());
    let silent = |case: &&Case| !case.text.trim_start_matches('\u{feff}').starts_with("# ");
    let silent: Vec<_> = cases.iter().filter(silent).map(|case| case.name.clone()).collect();
    assert!(silent.is_empty(), "the first line is no comment that says what it shows: {}", silent.join(", "));
}

#[test]
fn every_code_has_a_case() {
    let cases = cases();
    let stated: BTreeSet<&str> =
        cases.iter().flat_map(|case| &case.notes.findings).map(|found| found.code.as_str()).collect();
    let excused = |code: &str| BEYOND_PROGRAMS.iter().any(|(other, _)| *other == code);
    let missing = CODES.iter().map(|entry| entry.code).filter(|code| !stated.contains(code) && !excused(code));
    listed("codes", missing.map(String::from).collect());
}

#[test]
fn every_field_has_a_case_with_a_valid_value() {
    let cases = cases();
    let written: BTreeSet<(String, String)> = cases.iter().flat_map(|case| written(&valid(case))).collect();
    let catalogue = stage::catalogue();
    let stages = catalogue.stages.iter().map(|stage| (stage.kind, &stage.fields, stage.positional));
    let variants = catalogue.variants.iter().map(|variant| (variant.name, &variant.fields, variant.positional));
    let rewards = catalogue.rewards.iter().map(|reward| (reward.name, &reward.fields, None));
    let mut missing = Vec::new();
    for (owner, fields, positional) in stages.chain(variants).chain(rewards) {
        for field in fields {
            let named = written.contains(&(owner.to_string(), field.name.to_string()));
            let unnamed = positional == Some(field.name) && written.contains(&(owner.to_string(), String::new()));
            if !named && !unnamed {
                missing.push(format!("{owner}.{}", field.name));
            }
        }
    }
    listed("fields", missing);
}

#[test]
fn every_setting_of_a_profile_has_a_case_with_a_valid_value() {
    let cases = cases();
    let profiles = cases.iter().filter(|case| case.name.starts_with("profiles/"));
    let written: BTreeSet<String> =
        profiles.flat_map(|case| written(&valid(case))).map(|(_, setting)| setting).collect();
    let profile = stage::catalogue().profile;
    let executors = profile.executors.iter().flat_map(|executor| &executor.fields);
    let settings = profile.fields.iter().chain(&profile.stage).chain(executors).map(|setting| setting.name);
    let missing = settings.filter(|setting| !written.contains(*setting));
    listed("settings of profiles", missing.map(String::from).collect());
}

#[test]
fn every_kind_variant_and_reward_has_a_case() {
    let cases = cases();
    let words: BTreeSet<String> = cases.iter().flat_map(|case| tokens(&valid(case))).collect();
    let catalogue = stage::catalogue();
    let kinds = catalogue.stages.iter().map(|stage| stage.kind);
    let variants = catalogue.variants.iter().map(|variant| variant.name);
    let rewards = catalogue.rewards.iter().map(|reward| reward.name);
    let missing = kinds
        .chain(variants)
        .chain(rewards)
        .filter(|name| !words.contains(*name) && !words.contains(&format!("\"{name}\"")));
    listed("kinds", missing.map(String::from).collect());
}

#[test]
fn every_word_and_every_form_has_a_case() {
    let cases = cases();
    let text: String = cases.iter().map(valid).collect();
    let words: BTreeSet<String> = cases.iter().flat_map(|case| tokens(&valid(case))).collect();
    let mut missing: Vec<String> =
        TYPES.iter().filter(|name| !words.contains(**name)).map(ToString::to_string).collect();
    let carries = |unit: &str| {
        text.match_indices(unit).any(|(at, _)| {
            let before = text[..at].ends_with(|last: char| last.is_ascii_digit());
            let after = text[at + unit.len()..].starts_with(|next: char| next.is_ascii_alphabetic());
            before && !after
        })
    };
    missing.extend(UNITS.iter().filter(|unit| !carries(unit)).map(ToString::to_string));
    let shown = |form: &&&str| !text.contains(**form);
    missing.extend(FORMS.iter().chain(BUILTINS).filter(shown).map(|form| format!("`{form}`")));
    missing.extend(keywords().into_iter().filter(|word| !words.contains(word)));
    listed("words and forms", missing);
}

/// The keywords, as the grammar has them.
fn keywords() -> Vec<String> {
    let grammar = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("grammar/srlm.pest"));
    let grammar = grammar.unwrap();
    let rules = grammar.lines().filter(|line| line.starts_with("kw_"));
    let words: Vec<String> = rules.filter_map(|line| Some(line.split('"').nth(1)?.to_string())).collect();
    assert!(words.len() >= 20, "the grammar names its keywords `kw_…`: {words:?}");
    words
}

#[test]
fn fields_are_found_as_they_are_written() {
    let found = written(
        "let a = sft { data: jsonl(\"x\"), loss: kl(top_k: 3) }\nverifier(\"correct\", marker: \"any\") evaluate(exam)",
    );
    let has = |owner: &str, field: &str| found.contains(&(owner.to_string(), field.to_string()));
    assert!(has("sft", "data") && has("sft", "loss") && has("jsonl", "") && has("kl", "top_k"), "{found:?}");
    assert!(has("correct", "marker") && has("evaluate", ""), "{found:?}");
    assert!(!has("sft", "top_k") && !has("sft", ""), "{found:?}");
}
