//! What a program left in its output folder, held against what its call promises.

use super::super::dataset;
use super::super::language_model::LanguageModel;
use super::super::{Files, Metrics, StageContext, StageError};
use super::folder::is_inside;
use super::program::told;
use super::{Artifact, ExecArgs};
use crate::base::fs::at;
use crate::base::seed::Seed;
use crate::data::format::Format;
use crate::data::row::{DATA_FILE, Row, read_rows};
use crate::eval::score::{ITEMS_FILE, ItemScore, SampleScore, write_scores};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Checks the output folder, and brings rows and items into the form in which stages take them; the result's numbers.
///
/// # Errors
/// [`StageError::Input`] that says what is missing, or which line cannot be read, with the program's last words.
pub fn check(context: &StageContext, args: &ExecArgs) -> Result<Metrics, StageError> {
    let found = found_in(&context.out)?;
    promised(args, &found).and_then(|()| read(context, args.makes, &found)).map_err(|error| match error {
        StageError::Input { message } => StageError::Input { message: told(&message, &context.log) },
        other => other,
    })
}

/// The files of the output folder by their names in it.
fn found_in(out: &Path) -> Result<Files, StageError> {
    let mut found = Files::new();
    let mut open = vec![(String::new(), out.to_path_buf())];
    while let Some((prefix, folder)) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| at(&folder, error))? {
            let entry = entry?;
            let (name, kind) = (format!("{prefix}{}", entry.file_name().to_string_lossy()), entry.file_type()?);
            match () {
                () if kind.is_dir() => open.push((name + "/", entry.path())),
                () if kind.is_file() => drop(found.insert(name, entry.path())),
                () => {
                    let message = format!("the program left `{name}`, which is no file: copy what a link leads to");
                    return Err(StageError::input(message));
                }
            }
        }
    }
    Ok(found)
}

/// Every file or folder of `outputs`, and the file that the kind lives by.
fn promised(args: &ExecArgs, found: &Files) -> Result<(), StageError> {
    if let Some(name) = args.outputs.iter().find(|name| !is_inside(name)) {
        return Err(StageError::input(format!("`outputs` has `{name}`, which is no name inside the output folder")));
    }
    let own = match args.makes {
        Artifact::Model => "config.json",
        Artifact::Dataset => DATA_FILE,
        Artifact::Scores => ITEMS_FILE,
    };
    let is_there = |name: &str| found.keys().any(|other| Path::new(other).starts_with(name));
    match std::iter::once(own).chain(args.outputs.iter().map(String::as_str)).find(|name| !is_there(name)) {
        Some(missing) => Err(missing_file(missing, own, found)),
        None => Ok(()),
    }
}

fn missing_file(missing: &str, own: &str, found: &Files) -> StageError {
    let names: Vec<String> = found.keys().take(5).map(|name| format!("`{name}`")).collect();
    let there = if names.is_empty() { "it is empty".to_string() } else { format!("there is {}", names.join(", ")) };
    let why = if missing == own { "by which such a result lives" } else { "which `outputs` names" };
    StageError::input(format!("the program ended without `{missing}` in its output folder $SRLM_OUT, {why}; {there}"))
}

fn read(context: &StageContext, makes: Artifact, found: &Files) -> Result<Metrics, StageError> {
    match makes {
        Artifact::Model => {
            let parameters = LanguageModel::load(found)?.parameters();
            Ok(Metrics::from([("parameters".to_string(), parameters as f64)]))
        }
        Artifact::Dataset => rows(context),
        Artifact::Scores => scores(&context.out),
    }
}

/// Rows that are srlm's own stay as they are; those of another known format become such.
fn rows(context: &StageContext) -> Result<Metrics, StageError> {
    let path = context.out.join(DATA_FILE);
    match read_rows(&path) {
        Ok(rows) if has_own_ids(&rows) => Ok(Metrics::from([("rows".to_string(), rows.len() as f64)])),
        _ => dataset::import(context, &[&path], &Format::Auto),
    }
}

fn has_own_ids(rows: &[Row]) -> bool {
    let mut seen = BTreeSet::new();
    rows.iter().all(|row| !row.id.is_empty() && seen.insert(&row.id))
}

/// An item as a program writes it. What stands in brackets in the documentation may be left out.
#[derive(Deserialize)]
struct Item {
    bench: String,
    id: String,
    correct: Correct,
    #[serde(default)]
    samples: Option<u64>,
    #[serde(default)]
    question: String,
    #[serde(default)]
    gold: String,
    #[serde(default)]
    answers: Vec<SampleScore>,
}

/// Right or wrong, or how many samples are right.
#[derive(Deserialize)]
#[serde(untagged)]
enum Correct {
    Whether(bool),
    Count(u64),
}

fn scores(out: &Path) -> Result<Metrics, StageError> {
    let path = out.join(ITEMS_FILE);
    let text = fs::read_to_string(&path).map_err(|error| at(&path, error))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(index, line): (usize, &str)| {
        let item: Result<Item, _> = serde_json::from_str(line);
        let item = item.map_err(|error| error.to_string()).and_then(Item::scored);
        item.map_err(|why| StageError::input(format!("{ITEMS_FILE}:{}: {why}", index + 1)))
    };
    let items: Vec<ItemScore> = lines.map(read).collect::<Result<_, _>>()?;
    let mut seen = BTreeSet::new();
    if let Some(twice) = items.iter().find(|item| !seen.insert((&item.bench, &item.id))) {
        let message = format!("{ITEMS_FILE}: the item `{}` of `{}` stands there twice", twice.id, twice.bench);
        return Err(StageError::input(message + ": items are paired by their ids"));
    }
    if items.is_empty() {
        return Err(StageError::input(format!("{ITEMS_FILE} holds no item")));
    }
    let summaries = write_scores(out, &items, Seed::new(0).child("intervals", 0))?;
    Ok(named(summaries))
}

fn named(summaries: BTreeMap<String, BTreeMap<String, f64>>) -> Metrics {
    let each = summaries.into_iter().flat_map(|(bench, summary)| {
        summary.into_iter().map(move |(metric, value)| (format!("{bench}.{metric}"), value))
    });
    each.collect()
}

impl Item {
    fn scored(self) -> Result<ItemScore, String> {
        let samples = self.samples.unwrap_or(1);
        let correct = match self.correct {
            Correct::Whether(right) => u64::from(right),
            Correct::Count(count) => count,
        };
        if samples == 0 || correct > samples {
            return Err(format!("{correct} of {samples} samples cannot be right"));
        }
        if !self.answers.is_empty() && self.answers.len() as u64 != samples {
            return Err(format!("{} answers are not {samples} samples", self.answers.len()));
        }
        let Item { bench, id, question, gold, answers, .. } = self;
        Ok(ItemScore { bench, id, question, gold, samples, correct, answers })
    }
}
