//! Runs the specification, `tests/spec/**/*.srlm`: what a case states is found, and nothing else.

use crate::spec_notes::{self, Equation, Finding, Label, Notes};
use srlm::base::source::{Loader, SourceMap, Span};
use srlm::diag::{Diagnostic, codes};
use srlm::driver::{self, DiskLoader, Failure};
use srlm::lang::program::{Program, StageCall};
use srlm::lang::signature::Catalogue;
use srlm::lang::values::values;
use srlm::lang::{self, value};
use srlm::stage;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A case and what it gives.
pub struct Case {
    /// Its path below `tests/spec`.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What it states.
    pub notes: Notes,
    /// What is found.
    pub found: Vec<Diagnostic>,
    /// What it evaluates to.
    pub program: Program,
    sources: SourceMap,
}

#[test]
fn every_case_gives_exactly_what_it_states() {
    let catalogue = stage::catalogue();
    let failures: Vec<String> = cases()
        .iter()
        .filter_map(|case| {
            let wrong = check(case, &catalogue);
            (!wrong.is_empty()).then(|| report(case, &wrong))
        })
        .collect();
    assert!(failures.is_empty(), "{} cases fail\n\n{}", failures.len(), failures.join("\n"));
}

/// Every case, run once.
pub fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let catalogue = stage::catalogue();
        let has = |name: &String| catalogue.stage(name).is_some() || catalogue.variant(name).is_some();
        let run = |path: &PathBuf| run(path, &catalogue).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        paths().iter().map(run).filter(|case| case.notes.needs.iter().all(has)).collect()
    })
}

/// The cases: every `.srlm` file below `tests/spec`, except what lies in a folder `parts`, which cases import.
/// `SPEC=part` runs only those whose path contains it.
fn paths() -> Vec<PathBuf> {
    let wanted = std::env::var("SPEC").unwrap_or_default();
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("tests/spec")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("parts") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "srlm") {
                found.push(path);
            }
        }
    }
    found.retain(|path| path.to_string_lossy().contains(&wanted));
    found.sort();
    found
}

fn run(path: &Path, catalogue: &Catalogue) -> Result<Case, String> {
    let loader = loader(path);
    let entry = path.to_string_lossy().into_owned();
    let text = loader.load(&entry)?;
    let notes = spec_notes::read(&text)?;
    let name = path.strip_prefix("tests/spec").unwrap().to_string_lossy().into_owned();
    let (found, program, sources) = if notes.inputs {
        as_the_command(path, &notes)?
    } else {
        let done = lang::compile(&entry, &loader, &notes.params, catalogue);
        (done.diagnostics, done.program, done.sources)
    };
    Ok(Case { name, text, notes, found, program, sources })
}

/// The folder of a case is its project.
fn loader(path: &Path) -> DiskLoader {
    DiskLoader::new(path.parent().unwrap())
}

fn as_the_command(path: &Path, notes: &Notes) -> Result<(Vec<Diagnostic>, Program, SourceMap), String> {
    let checked = match driver::check(path, &notes.params) {
        Ok(checked) => checked,
        Err(Failure::File(checked)) => *checked,
        Err(Failure::Input(why) | Failure::Machine(why)) => return Err(why),
    };
    Ok((checked.diagnostics, checked.program, checked.sources))
}

/// What of the case is not as it states.
fn check(case: &Case, catalogue: &Catalogue) -> Vec<String> {
    let mut wrong = findings(case);
    let Notes { calls, plan, same, equations, params, .. } = &case.notes;
    let count = case.program.calls.len();
    if calls.is_some_and(|calls| calls != count) {
        wrong.push(format!("it has {count} stages"));
    }
    let planned: Vec<String> = case.program.calls.iter().map(|call| planned(&case.program, call)).collect();
    if !plan.is_empty() && *plan != planned {
        wrong.push(planned.iter().map(|line| format!("#! plan {line}\n")).collect());
    }
    for names in same {
        let targets: Vec<_> = names.iter().map(|name| target(&case.program, name)).collect();
        if targets.iter().any(|target| target.is_none() || *target != targets[0]) {
            wrong.push(format!("{} are not the same", names.join(", ")));
        }
    }
    let path = Path::new("tests/spec").join(&case.name);
    let entry = path.to_string_lossy();
    let named = if equations.is_empty() { Vec::new() } else { values(&entry, &loader(&path), params, catalogue) };
    for equation in equations {
        let is = side(case, &named, equation);
        if is.as_ref() != Some(&equation.is) {
            wrong.push(format!("#! {} {} = {}", equation.what, equation.of, is.unwrap_or("(nothing)".into())));
        }
    }
    wrong
}

fn side(case: &Case, named: &[lang::values::Named], equation: &Equation) -> Option<String> {
    let of = |name: &str| named.iter().find(|named| named.name == name);
    match equation.what.as_str() {
        "value" => of(&equation.of).map(|named| named.value.clone()),
        "type" => of(&equation.of).map(|named| named.ty.clone()),
        "cells" => {
            let sweep = case.program.sweeps.iter().find(|sweep| sweep.name == equation.of)?;
            let label = |cell: &lang::program::Cell| {
                cell.coordinates.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>().join("/")
            };
            let labels: Vec<_> = sweep.cells.iter().map(label).collect();
            if equation.is.parse::<usize>().is_ok() { Some(labels.len().to_string()) } else { Some(labels.join(" ")) }
        }
        _ => {
            let (stage, field) = equation.of.rsplit_once('.')?;
            let call = case.program.calls.iter().find(|call| call.name == stage)?;
            let (_, value) = call.args.iter().find(|(name, _)| name == field)?;
            Some(value.to_json().to_string())
        }
    }
}

/// `warm sft model=base data=arith.train`
fn planned(program: &Program, call: &StageCall) -> String {
    let input = |(role, id): &(String, value::NodeId)| format!(" {role}={}", program.call(*id).name);
    format!("{} {}{}", call.name, call.kind, call.inputs.iter().map(input).collect::<String>())
}

fn target(program: &Program, name: &str) -> Option<value::NodeId> {
    program.pipelines.iter().find(|pipeline| pipeline.name == name).map(|pipeline| pipeline.target)
}

fn findings(case: &Case) -> Vec<String> {
    let mut found: Vec<&Diagnostic> = case.found.iter().collect();
    found.sort_by_key(|diagnostic| (line(case, diagnostic), diagnostic.code));
    let mut wrong: Vec<String> = Vec::new();
    if found.len() != case.notes.findings.len() {
        wrong.push(format!("it states {} findings, and there are {}", case.notes.findings.len(), found.len()));
    }
    for (stated, found) in case.notes.findings.iter().zip(found) {
        wrong.extend(finding(case, stated, found));
    }
    wrong
}

/// The line of a finding; 0 for one outside of the file, such as what the command line sets.
fn line(case: &Case, found: &Diagnostic) -> usize {
    found.span().map_or(0, |span| line_of(case, span))
}

fn line_of(case: &Case, span: Span) -> usize {
    let (file, at) = case.sources.locate(span);
    if Path::new("tests/spec").join(&case.name) == Path::new(file) { at.line } else { 0 }
}

fn finding(case: &Case, stated: &Finding, found: &Diagnostic) -> Vec<String> {
    let mut wrong = Vec::new();
    let seen = line(case, found);
    if (seen, found.code) != (stated.line, stated.code.as_str()) || !found.message.contains(&stated.message) {
        wrong.push(format!("line {}: {} {}", stated.line, stated.code, stated.message));
    }
    if codes::explain(found.code).is_none() {
        wrong.push(format!("{} is not in the catalogue", found.code));
    }
    let labels = labels(case, found);
    for label in &stated.labels {
        let places = |other: &&Label| (other.line, other.first, other.last) == (label.line, label.first, label.last);
        if !labels.iter().any(|other| places(&other) && other.text.contains(&label.text)) {
            wrong.push(format!("{}: no {label}", stated.code));
        }
    }
    let help = found.help.as_deref().unwrap_or_default();
    wrong.extend(stated.help.iter().filter(|part| !help.contains(*part)).map(|part| format!("no help `{part}`")));
    if stated.fix.is_some() && stated.fix != fixed(case, found) {
        wrong.push(format!("no fix `{}`", stated.fix.as_deref().unwrap_or_default()));
    }
    wrong
}

fn labels(case: &Case, found: &Diagnostic) -> Vec<Label> {
    let label = |label: &srlm::diag::Label| {
        let first = case.sources.locate(label.span).1.column;
        let width = case.sources.text(label.span).chars().count();
        let last = (first + width).saturating_sub(1);
        Label { line: line_of(case, label.span), first, last, text: label.text.clone() }
    };
    found.labels.iter().map(label).collect()
}

/// The line that a fix begins on, once it is applied; the lines of a longer replacement are joined by ` ⏎ `.
fn fixed(case: &Case, found: &Diagnostic) -> Option<String> {
    let fix = found.fix.as_ref()?;
    let file = case.sources.file(fix.span.source);
    let mut text = file.text.to_string();
    let (start, end) = (fix.span.start as usize, fix.span.end as usize);
    text.replace_range(start..end, &fix.replacement);
    let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let end = start + fix.replacement.len();
    let last = text[end..].find('\n').map_or(text.len(), |at| end + at);
    Some(text[first..last].lines().map(str::trim).collect::<Vec<_>>().join(" ⏎ "))
}

/// What is wrong, and what the case would have to state.
fn report(case: &Case, wrong: &[String]) -> String {
    let mut text = format!("── {}\n  {}\n", case.name, wrong.join("\n  "));
    for found in &case.found {
        text += &format!("  line {}\n#! {} {}\n", line(case, found), found.code, found.message);
        text += &labels(case, found).iter().map(|label| format!("#! {label}\n")).collect::<String>();
        text += &found.help.iter().map(|help| format!("#! help {help}\n")).collect::<String>();
        text += &fixed(case, found).map(|fixed| format!("#! fix {fixed}\n")).unwrap_or_default();
    }
    text
}
