//! Two runs side by side: which stages they share, and what sets the others apart.

use super::difference::differences;
use super::history::{History, Parts, Past};
use crate::base::digest::Digest;
use crate::store::{Record, RunLog, RunOutcome, RunStage, Store};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What sets two runs apart.
#[derive(Clone, Debug, Serialize)]
pub struct RunDiff {
    /// The first run's id.
    pub first: String,
    /// The second run's id.
    pub second: String,
    /// Stages with the same key and the same result.
    pub same: usize,
    /// Stages of both that differ, in the order of the second run.
    pub differing: Vec<StageDiff>,
    /// Stages that only the first run has.
    pub only_first: Vec<RunStage>,
    /// Stages that only the second run has.
    pub only_second: Vec<RunStage>,
}

/// A stage of both runs that differs.
#[derive(Clone, Debug, Serialize)]
pub struct StageDiff {
    /// The stage in the first run.
    pub first: RunStage,
    /// The stage in the second run.
    pub second: RunStage,
    /// Why the keys differ; empty where they do not.
    pub changes: Vec<FieldDiff>,
    /// Whether both have a result, and it is the same to the byte.
    pub same_result: bool,
    /// The numbers that differ.
    pub metrics: Vec<MetricDiff>,
}

/// A field or an input that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldDiff {
    /// The field, by dots where it lies inside another; or the input's role.
    pub field: String,
    /// The sentence.
    pub text: String,
    /// The value in the first run; none of an input.
    pub was: Option<String>,
    /// The value in the second run; none of an input.
    pub is: Option<String>,
}

/// A number that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricDiff {
    /// Its name.
    pub name: String,
    /// In the first run.
    pub was: Option<f64>,
    /// In the second run.
    pub is: Option<f64>,
}

/// Compares two runs; `store` tells what their stages were made of.
pub fn diff(store: &Store, first: &RunLog, second: &RunLog) -> RunDiff {
    let keys = |log: &RunLog| log.stages.iter().map(|stage| stage.stage.key).collect::<HashSet<_>>();
    let (firsts, seconds) = (keys(first), keys(second));
    let lost = first.stages.iter().filter(|stage| !seconds.contains(&stage.stage.key));
    let mut pairing = Pairing::new(store, lost.collect());
    let mut diff = RunDiff {
        first: first.run.clone(),
        second: second.run.clone(),
        same: 0,
        differing: Vec::new(),
        only_first: Vec::new(),
        only_second: Vec::new(),
    };
    for stage in &second.stages {
        let same_key = firsts.contains(&stage.stage.key);
        let other = match same_key {
            true => first.stages.iter().find(|other| other.stage.key == stage.stage.key),
            false => pairing.partner(stage),
        };
        match other.map(|other| pairing.compare(other, stage)) {
            Some(found) if found.changes.is_empty() && found.same_result => diff.same += 1,
            Some(found) => diff.differing.push(found),
            None => diff.only_second.push(stage.clone()),
        }
    }
    diff.only_first = pairing.left();
    diff
}

/// Finds for each stage of the second run the stage of the first that it came of.
struct Pairing<'a> {
    store: &'a Store,
    /// Stages of the first run that the second does not have.
    lost: Vec<&'a RunStage>,
    history: History,
    /// Keys of the second run to those of the first.
    pairs: HashMap<Digest, Digest>,
    taken: HashSet<Digest>,
}

impl<'a> Pairing<'a> {
    fn new(store: &'a Store, lost: Vec<&'a RunStage>) -> Self {
        let past = lost.iter().filter_map(|stage| Some(Past::of(&store.record(&stage.stage.key)?)));
        let history = History::new(past.collect());
        Pairing { store, lost, history, pairs: HashMap::new(), taken: HashSet::new() }
    }

    /// The nearest stage of the same kind and name that is not taken; of a stage without a record one of its name.
    fn partner(&mut self, stage: &RunStage) -> Option<&'a RunStage> {
        let record = self.store.record(&stage.stage.key);
        let key = match &record {
            Some(record) => self.nearest(record)?,
            None => {
                let same = |other: &&&RunStage| {
                    (&other.stage.kind, &other.stage.name) == (&stage.stage.kind, &stage.stage.name)
                };
                let free = self.lost.iter().filter(|other| !self.taken.contains(&other.stage.key));
                free.clone().find(same)?.stage.key
            }
        };
        let found = self.lost.iter().find(|other| other.stage.key == key)?;
        self.taken.insert(key);
        self.pairs.insert(stage.stage.key, key);
        Some(found)
    }

    fn nearest(&self, record: &Record) -> Option<Digest> {
        let inputs = inputs(record);
        let before = inputs.iter().filter_map(|(role, key)| Some((role.clone(), *self.pairs.get(key)?))).collect();
        let parts = Parts::with_inputs(&record.document, &before);
        let free = |key: &Digest| (!self.taken.contains(key)).then_some(false);
        let past = self.history.nearest(&record.kind, &record.name, &parts, free)?;
        (past.name == record.name).then_some(past.key)
    }

    fn compare(&self, first: &RunStage, second: &RunStage) -> StageDiff {
        let records = [first, second].map(|stage| self.store.record(&stage.stage.key));
        let changes = match &records {
            _ if first.stage.key == second.stage.key => Vec::new(),
            [Some(old), Some(new)] => self.changes(old, new),
            _ => {
                let text = "the settings of a stage without a record are not known".to_string();
                vec![FieldDiff { field: String::new(), text, was: None, is: None }]
            }
        };
        let has_result = |stage: &RunStage| matches!(stage.outcome, RunOutcome::Cached | RunOutcome::Finished);
        let [was, is] =
            [(first, &records[0]), (second, &records[1])].map(|(stage, record)| outputs(stage, record.as_ref()));
        StageDiff {
            changes,
            same_result: has_result(first) && has_result(second) && was == is,
            metrics: metrics([(first, records[0].as_ref()), (second, records[1].as_ref())]),
            first: first.clone(),
            second: second.clone(),
        }
    }

    fn changes(&self, old: &Record, new: &Record) -> Vec<FieldDiff> {
        let mut found = Vec::new();
        let [was, is] = [old, new].map(|record| record.document["semantic_version"].to_string());
        if was != is {
            let text = format!("srlm's `{}` changed: version {was} → {is}", new.kind);
            found.push(FieldDiff { field: "semantic_version".into(), text, was: Some(was), is: Some(is) });
        }
        let fields = differences(&old.document["science"], &new.document["science"]);
        found.extend(fields.into_iter().map(|field| FieldDiff {
            field: field.path,
            text: field.text,
            was: field.was,
            is: field.is,
        }));
        let (was, is) = (inputs(old), inputs(new));
        let roles: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        for role in roles.into_iter().filter(|role| was.get(*role) != is.get(*role)) {
            let text = match (was.get(role), is.get(role)) {
                (Some(was), Some(is)) if self.pairs.get(is) == Some(was) => format!("its input `{role}` changed"),
                (Some(was), Some(is)) => {
                    format!("its input `{role}` comes from {}, not from {}", self.name_of(is), self.name_of(was))
                }
                (None, _) => format!("the input `{role}` is new"),
                (_, None) => format!("the input `{role}` is gone"),
            };
            found.push(FieldDiff { field: role.clone(), text, was: None, is: None });
        }
        found
    }

    fn name_of(&self, key: &Digest) -> String {
        let record = self.store.record(key);
        record.map_or_else(|| key.short(), |record| format!("`{}` ({})", record.name, key.short()))
    }

    /// The stages of the first run that no stage of the second came of.
    fn left(self) -> Vec<RunStage> {
        self.lost.into_iter().filter(|stage| !self.taken.contains(&stage.stage.key)).cloned().collect()
    }
}

fn inputs(record: &Record) -> BTreeMap<String, Digest> {
    let inputs = record.document["inputs"].as_object().into_iter().flatten();
    inputs.filter_map(|(role, key)| Some((role.clone(), key.as_str()?.parse().ok()?))).collect()
}

/// What the run made, or what it found.
fn outputs(stage: &RunStage, record: Option<&Record>) -> BTreeMap<String, Digest> {
    if stage.outcome == RunOutcome::Finished {
        stage.outputs.clone()
    } else {
        record.map(|record| record.outputs.clone().into()).unwrap_or_default()
    }
}

fn metrics(sides: [(&RunStage, Option<&Record>); 2]) -> Vec<MetricDiff> {
    let [was, is] = sides.map(|(stage, record)| match stage.outcome {
        RunOutcome::Finished => stage.metrics.clone(),
        RunOutcome::Cached => record.map(|record| record.metrics.clone().into()).unwrap_or_default(),
        _ => BTreeMap::new(),
    });
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let side = |metrics: &BTreeMap<String, f64>, name: &String| metrics.get(name).copied();
    let both = names.into_iter().map(|name| (name, side(&was, name), side(&is, name)));
    both.filter(|(_, was, is)| was != is).map(|(name, was, is)| MetricDiff { name: name.clone(), was, is }).collect()
}
