//! Runs `tests/spec/*.srlm`: every finding stands as a comment `#! E021 part of the message` under its line, and
//! nothing else is found. Lines `#! -p name=value` at the top set params; `#! calls N` states the distinct stages.

use super::{Files, listed, spec_folder};
use crate::base::source::Loader;
use crate::diag::codes::explain;
use crate::lang::compile;
use std::collections::BTreeMap;

#[test]
fn every_spec_gives_exactly_the_findings_it_states() {
    let mut names: Vec<_> = std::fs::read_dir(spec_folder())
        .expect("tests/spec is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".srlm"))
        .collect();
    names.sort();
    assert!(names.len() >= 30, "only {} specs", names.len());
    let failures: Vec<String> = names.iter().filter_map(|name| run(name).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What a spec expects at a line: a code and a part of the message.
type Expected = (usize, String, String);

fn run(name: &str) -> Result<(), String> {
    let files = Files(BTreeMap::new());
    let text = files.load(name)?;
    let (params, calls, expected) = annotations(&text);
    let done = compile(name, &files, &params, &super::catalogue::catalogue());
    let mut found: Vec<(usize, &str, &str)> = Vec::new();
    for diagnostic in &done.diagnostics {
        let span = diagnostic.span().ok_or_else(|| format!("{name}: a finding without a place"))?;
        let (file, at) = done.sources.locate(span);
        // What the command line gives has no line in the file: it is expected at line 0.
        let line = if file == name { at.line } else { 0 };
        found.push((line, diagnostic.code, &diagnostic.message));
        if explain(diagnostic.code).is_none() {
            return Err(format!("{name}: {} is not in the catalogue", diagnostic.code));
        }
    }
    found.sort_by_key(|(line, code, _)| (*line, *code));
    let agrees = |((line, code, part), (at, seen, message)): (&Expected, &(usize, &str, &str))| {
        line == at && code == seen && message.contains(part.as_str())
    };
    let all = expected.len() == found.len() && expected.iter().zip(&found).all(agrees);
    let calls_agree = calls.is_none_or(|calls| calls == done.program.calls.len());
    if all && calls_agree {
        return Ok(());
    }
    let calls = done.program.calls.len();
    Err(format!("{name}: expected {expected:?}, {calls} calls, and found\n{}", listed(&done)))
}

fn annotations(text: &str) -> (Vec<(String, String)>, Option<usize>, Vec<Expected>) {
    let (mut params, mut calls, mut expected, mut code_line) = (Vec::new(), None, Vec::new(), 0);
    for (index, line) in text.lines().enumerate() {
        let Some(note) = line.trim_start().strip_prefix("#!") else {
            code_line = index + 1;
            continue;
        };
        let note = note.trim();
        if let Some((name, value)) = note.strip_prefix("-p ").and_then(|set| set.split_once('=')) {
            params.push((name.to_string(), value.to_string()));
        } else if let Some(count) = note.strip_prefix("calls ") {
            calls = count.parse().ok();
        } else {
            let (code, part) = note.split_once(' ').unwrap_or((note, ""));
            expected.push((code_line, code.to_string(), part.to_string()));
        }
    }
    expected.sort_by_key(|(line, code, _)| (*line, code.clone()));
    (params, calls, expected)
}
