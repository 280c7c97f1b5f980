//! What a file declares to read: whether it is there, what it holds, and what that means for the models.

use super::leaks;
use crate::base::digest::Digest;
use crate::base::facts::ModelFacts;
use crate::base::source::{SourceMap, Span};
use crate::diag::{Diagnostic, codes};
use crate::hub::Cache;
use crate::lang::nearest::nearest;
use crate::lang::program::{Program, StageCall};
use crate::lang::value::fields_to_json;
use crate::plan::facts::{FactSource, tokenizer_conflicts};
use crate::plan::key;
use crate::stage::inspect::{Inputs, Place, Problem, Prompt};
use crate::stage::{self, Stage};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// An error for each path that leads nowhere, or to something else than its stage reads. No file is opened.
pub fn places(program: &Program, sources: &SourceMap) -> Vec<Diagnostic> {
    // Many stages may read one file: what is in order is looked at once.
    let (mut found, mut fine) = (Vec::new(), HashSet::new());
    for call in &program.calls {
        for path in key::paths(&call.args) {
            let place = (call.kind.as_str(), path);
            if fine.contains(&place) {
                continue;
            }
            match misplaced(call, &place.1, sources) {
                Some(problem) => found.push(problem),
                None => drop(fine.insert(place)),
            }
        }
    }
    found
}

/// Reads the declared files: an error for each that is malformed, and a warning where a model is trained on what it is
/// tested on. Nothing is read where nothing is declared.
pub fn contents(program: &Program, sources: &SourceMap) -> Vec<Diagnostic> {
    let cache = Cache::from_env();
    let inputs = Inputs { locate: &located, cache: &cache };
    let mut prompts: BTreeMap<usize, Vec<Prompt>> = BTreeMap::new();
    let mut found = Vec::new();
    // What takes the result of another stage declares no file of its own.
    let sources_of_rows = program.calls.iter().enumerate().filter(|(_, call)| call.inputs.is_empty());
    for (index, call) in sources_of_rows {
        let Some(stage) = stage::find(&call.kind) else { continue };
        match stage.prompts(&fields_to_json(&call.args), &inputs) {
            Ok(read) => prompts.extend(read.map(|read| (index, read))),
            Err(problem) => found.push(told(call, problem, sources)),
        }
    }
    found.extend(leaks::warnings(program, &prompts));
    found
}

/// An error for each stage that compares models token by token whose tokenizers differ.
pub fn tokenizers(program: &Program) -> Vec<Diagnostic> {
    tokenizer_conflicts(program, &Stages { cache: Cache::from_env() })
}

/// Whether [`contents`] reads files of a stage's, from the disk or from the Hub's cache.
pub fn declares_rows(kind: &str) -> bool {
    stage::find(kind).is_some_and(Stage::declares_rows)
}

/// The stage catalogue as the plan asks it.
struct Stages {
    cache: Cache,
}

impl FactSource for Stages {
    fn facts(&self, call: &StageCall) -> Option<ModelFacts> {
        let inputs = Inputs { locate: &located, cache: &self.cache };
        stage::find(&call.kind)?.facts(&fields_to_json(&call.args), &inputs)
    }

    fn same_tokenizer(&self, call: &StageCall) -> Vec<&'static str> {
        let arg = |name: &str| {
            let value = call.args.iter().find(|(other, _)| other == name).map(|(_, value)| value.to_json());
            value.unwrap_or_default()
        };
        let roles = |stage: &dyn Stage| stage.same_tokenizer(&arg).to_vec();
        stage::find(&call.kind).map(roles).unwrap_or_default()
    }

    fn built_in(&self, vocabulary: usize) -> Option<Digest> {
        stage::built_in_tokenizer_digest(vocabulary)
    }
}

pub(super) fn located(path: &str) -> Option<PathBuf> {
    Some(PathBuf::from(path)).filter(|path| path.exists())
}

/// The place of a field, or of the call where it is not written.
pub(super) fn field_span(call: &StageCall, wanted: impl Fn(&str) -> bool) -> Span {
    call.field_spans.iter().find(|(name, _)| wanted(name)).map_or(call.span, |(_, span)| *span)
}

fn misplaced(call: &StageCall, written: &str, sources: &SourceMap) -> Option<Diagnostic> {
    let names_it = |name: &str| {
        let field = call.args.iter().find(|(field, _)| field == name);
        field.is_some_and(|field| key::paths(std::slice::from_ref(field)).iter().any(|path| path == written))
    };
    let span = field_span(call, names_it);
    let error = |message: String, label: &str| Diagnostic::error(codes::UNREADABLE_INPUT, message, span, label);
    let path = Path::new(written);
    if !path.exists() {
        return Some(advise(error(format!("there is no `{written}`"), "nothing is there"), path, span, sources));
    }
    match stage::find(&call.kind)?.place()? {
        Place::File if path.is_dir() => {
            let found = error(format!("`{written}` is a folder"), "a file with rows is needed");
            Some(files_in(found, path))
        }
        Place::ModelFolder if path.is_file() => {
            let found = error(format!("`{written}` is a file"), "a folder with a model is needed");
            Some(found.help(format!("name the folder it lies in: \"{}\"", parent(path).display())))
        }
        Place::ModelFolder if !path.join("config.json").exists() => {
            let message = format!("`{written}` holds no model: there is no config.json in it");
            let found = error(message, "a folder with a model is needed");
            Some(found.help(models_in(path)))
        }
        _ => None,
    }
}

/// The nearest name that exists, as help and, where the path is written out, as a fix.
fn advise(found: Diagnostic, path: &Path, span: Span, sources: &SourceMap) -> Diagnostic {
    let folder = parent(path);
    if !folder.is_dir() {
        return found.help(format!("the folder {} does not exist either", folder.display()));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let names = names_in(&folder);
    let Some(similar) = nearest(&name, names.iter().map(String::as_str)) else {
        return match names.is_empty() {
            true => found.help(format!("{} is empty", folder.display())),
            false => found.help(format!("in {} there are {}", folder.display(), listed(&names))),
        };
    };
    let fixed = sources.text(span).strip_suffix(&format!("{name}\"")).map(|start| format!("{start}{similar}\""));
    let found = found.help(format!("did you mean `{similar}`?"));
    fixed.into_iter().fold(found, |found, fixed| found.fix(span, fixed))
}

fn files_in(found: Diagnostic, folder: &Path) -> Diagnostic {
    let rows = |name: &String| [".jsonl", ".json", ".parquet"].iter().any(|end| name.ends_with(end));
    let names: Vec<String> = names_in(folder).into_iter().filter(rows).collect();
    match names.is_empty() {
        true => found.help("name a file: JSON Lines, a JSON array, or parquet"),
        false => found.help(format!("name a file in it: {}", listed(&names))),
    }
}

fn models_in(folder: &Path) -> String {
    let is_model = |name: &String| folder.join(name).join("config.json").is_file();
    let models: Vec<String> = names_in(folder).into_iter().filter(is_model).collect();
    match models.is_empty() {
        true => "a model folder is as the Hub has it: config.json, safetensors, tokenizer.json".to_string(),
        false => format!("there are models below it: {}", listed(&models)),
    }
}

fn parent(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_path_buf()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(5).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > 5 { format!(" and {} more", names.len() - 5) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn told(call: &StageCall, problem: Problem, sources: &SourceMap) -> Diagnostic {
    let file = field_span(call, |name| ["path", "repo"].contains(&name));
    let label = "read from here";
    match problem {
        Problem::Malformed { message, help } => {
            Diagnostic::error(codes::MALFORMED_INPUT, message, file, label).help(help)
        }
        Problem::OtherFormat { message, help, fits } => {
            let format = call.field_spans.iter().find(|(name, _)| name == "format").map(|(_, span)| *span);
            let place = format.unwrap_or(file);
            let label = if format.is_some() { "this format was asked for" } else { label };
            let found = Diagnostic::error(codes::OTHER_FORMAT, message, place, label).help(help);
            match (format, fits) {
                (Some(span), Some(fits)) if sources.text(span).starts_with('"') => {
                    found.fix(span, format!("\"{fits}\""))
                }
                _ => found,
            }
        }
    }
}
