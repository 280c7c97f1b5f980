//! Why a stage has no result: what differs from the earlier stage that is nearest to it.

use super::difference::{Difference, differences};
use super::graph::{Graph, Node};
use super::history::{History, Parts};
use crate::base::digest::Digest;
use crate::base::source::SourceMap;
use crate::store::Record;
use serde_json::Value as Json;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One difference between a stage and an earlier one.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Change {
    /// The field, by dots where it lies inside another; or the input's role.
    pub field: String,
    /// What happened to it, as in "`budget` changed: 60steps → 80steps".
    pub text: String,
    /// The earlier value; none of an input.
    pub was: Option<String>,
    /// The value now; none of an input.
    pub is: Option<String>,
    /// `FILE:LINE` of the field.
    pub at: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.at.as_ref().map_or(Ok(()), |at| write!(f, " ({at})"))
    }
}

/// How a stage differs from the nearest earlier record of its kind.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// The nearest earlier record; none where the kind never ran.
    pub nearest: Option<Digest>,
    /// What that record is of, where it is no earlier form of this stage: another name, or a stage that the file
    /// still describes.
    pub beside: Option<String>,
    /// The differences; none where the record is of this very stage, which then is a hit.
    pub changes: Vec<Change>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nearest.is_none() || self.beside.is_some() {
            f.write_str("never run before")?;
        }
        if let Some(beside) = &self.beside {
            write!(f, "; unlike {beside}, ")?;
        }
        match &self.changes[..] {
            _ if self.nearest.is_none() => Ok(()),
            [] => write!(f, "nothing changed since its record was made"),
            [change] => write!(f, "{change}"),
            [first, second] => write!(f, "{first}, and {second}"),
            [first, rest @ ..] => {
                let fields: Vec<String> = rest.iter().map(|change| format!("`{}`", change.field)).collect();
                write!(f, "{first}, and {} more: {}", rest.len(), fields.join(", "))
            }
        }
    }
}

/// How a difference is told.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// As what happened to a stage since its record was made.
    Since,
    /// As what sets a stage apart from another one.
    Apart,
}

/// A stage as it was, as far as it is compared.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// The deep key.
    pub key: Digest,
    /// The stage kind.
    pub kind: String,
    /// The name that the file gave it.
    pub name: String,
    /// What the key hashes.
    pub document: Json,
}

impl From<Record> for Earlier {
    fn from(record: Record) -> Self {
        Earlier { key: record.key, kind: record.kind, name: record.name, document: record.document }
    }
}

/// Finds an earlier stage by its key.
pub type Look<'a> = Box<dyn Fn(&Digest) -> Option<Earlier> + Send + Sync + 'a>;

/// Explains the stages of a graph by earlier ones: the records of a store, or the stages of a saved plan.
pub struct Explainer<'a> {
    graph: &'a Graph,
    sources: &'a SourceMap,
    history: History,
    look: Look<'a>,
    /// The nearest record of each stage that was asked about, directly or as an input.
    nearest: Mutex<HashMap<usize, Option<Digest>>>,
    /// Earlier stages that were looked at.
    seen: Mutex<HashMap<Digest, Option<Arc<Earlier>>>>,
}

/// Deep chains end in "…": a sentence has an end.
const DEPTH: usize = 8;

impl<'a> Explainer<'a> {
    /// An explainer by the stages of `history`, which `look` finds again. `sources` give the lines of fields.
    pub fn new(graph: &'a Graph, sources: &'a SourceMap, history: History, look: Look<'a>) -> Self {
        Explainer { graph, sources, history, look, nearest: Mutex::default(), seen: Mutex::default() }
    }

    /// The records that are compared with.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Compares a stage with the nearest record of its kind.
    pub fn explain(&self, index: usize) -> Explanation {
        let Some(record) = self.nearest(index).and_then(|key| self.earlier(&key)) else {
            return Explanation::default();
        };
        let node = self.graph.node(index);
        let beside = self.beside(node, &record);
        let told = if beside.is_some() { Told::Apart } else { Told::Since };
        let changes = self.changes(node, &record.document, told, DEPTH);
        Explanation { nearest: Some(record.key), beside, changes }
    }

    /// The nearest record of a stage, itself aside. Chains may be longer than the stack is deep.
    pub fn nearest(&self, index: usize) -> Option<Digest> {
        let mut open = vec![index];
        while let Some(&next) = open.last() {
            let waits = |known: &HashMap<usize, Option<Digest>>| -> Vec<usize> {
                let inputs = self.graph.node(next).inputs.iter().map(|(_, input)| *input);
                inputs.filter(|input| !known.contains_key(input) && !self.is_known(*input)).collect()
            };
            let waits = waits(&locked(&self.nearest));
            if waits.is_empty() {
                open.pop();
                let found = self.nearest_by_inputs(next);
                locked(&self.nearest).insert(next, found);
            }
            open.extend(waits);
        }
        locked(&self.nearest).get(&index).copied().flatten()
    }

    fn is_known(&self, index: usize) -> bool {
        self.history.knows(&self.graph.node(index).key)
    }

    /// The nearest record, once the nearest of the inputs are known: what stood there before stands for them.
    fn nearest_by_inputs(&self, index: usize) -> Option<Digest> {
        let node = self.graph.node(index);
        let before =
            |input: usize| if self.is_known(input) { None } else { locked(&self.nearest).get(&input).copied()? };
        let instead = node.inputs.iter().filter_map(|(role, input)| Some((role.clone(), before(*input)?))).collect();
        let parts = Parts::with_inputs(node.document(), &instead);
        let place = |key: &Digest| Some(self.graph.find(key).is_some());
        self.history.nearest(&node.kind, &node.name, &parts, place).map(|past| past.key)
    }

    /// What a record is of, where it is no earlier form of the stage.
    fn beside(&self, node: &Node, record: &Earlier) -> Option<String> {
        let current = self.graph.find(&record.key).map(|index| self.graph.node(index));
        if current.is_none() && record.name == node.name {
            return None;
        }
        let label = current.and_then(|other| other.labels.iter().find(|label| !node.labels.contains(label)));
        let label = label.filter(|label| ***label != *record.name).map(|label| format!(" for {label}"));
        Some(format!("`{}`{}", record.name, label.unwrap_or_default()))
    }

    fn earlier(&self, key: &Digest) -> Option<Arc<Earlier>> {
        if let Some(known) = locked(&self.seen).get(key) {
            return known.clone();
        }
        let found = (self.look)(key).map(Arc::new);
        locked(&self.seen).insert(*key, found.clone());
        found
    }

    fn changes(&self, node: &Node, old: &Json, told: Told, depth: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        let (was, is) = (&old["semantic_version"], &node.document()["semantic_version"]);
        if was != is {
            let text = format!("srlm's `{}` changed: version {was} → {is}", node.kind);
            let (was, is) = (Some(was.to_string()), Some(is.to_string()));
            changes.push(Change { field: "semantic_version".to_string(), text, was, is, at: None });
        }
        if old["salt"] != node.document()["salt"] {
            let text = "the format of keys changed".to_string();
            changes.push(Change { field: "salt".to_string(), text, was: None, is: None, at: None });
        }
        changes.extend(self.field_changes(node, old, told));
        changes.extend(self.input_changes(node, old, told, depth));
        changes
    }

    fn field_changes(&self, node: &Node, old: &Json, told: Told) -> Vec<Change> {
        let change = |found: Difference| {
            let at = self.line_of(node, &found.path);
            let text = if told == Told::Since { found.text } else { found.apart };
            Change { field: found.path, text, was: found.was, is: found.is, at }
        };
        differences(&old["science"], &node.document()["science"]).into_iter().map(change).collect()
    }

    fn input_changes(&self, node: &Node, old: &Json, told: Told, depth: usize) -> Vec<Change> {
        let (was, is) = (keys(&old["inputs"]), keys(&node.document()["inputs"]));
        let roles: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let changed = roles.into_iter().filter(|role| was.get(*role) != is.get(*role));
        let change = |role: &String| {
            let text = match (was.get(role), node.inputs.iter().find(|(name, _)| name == role)) {
                (Some(was), Some((_, input))) => self.input_change(role, was, *input, told, depth),
                (None, _) => format!("the input `{role}` is new"),
                (_, None) => format!("the input `{role}` is gone"),
            };
            Change { field: role.clone(), text, was: None, is: None, at: None }
        };
        changed.map(change).collect()
    }

    /// What happened upstream, told by the first difference there.
    fn input_change(&self, role: &str, was: &Digest, input: usize, told: Told, depth: usize) -> String {
        let verb = if told == Told::Since { "changed" } else { "differs" };
        let headline = format!("its input `{role}` {verb}");
        let node = self.graph.node(input);
        let Some(record) = self.earlier(was) else {
            return headline;
        };
        if record.kind != node.kind {
            return format!("{headline}: it comes from `{}`, not from `{}`", node.name, record.name);
        }
        if depth == 0 {
            return format!("{headline}: …");
        }
        match self.changes(node, &record.document, told, depth - 1).first() {
            Some(change) => format!("{headline}: in `{}`, {change}", node.name),
            None => headline,
        }
    }

    /// `FILE:LINE` of a field, where it is written; a default is not.
    fn line_of(&self, node: &Node, field: &str) -> Option<String> {
        let name = field.split('.').next().unwrap_or(field);
        let (_, span) = node.field_spans.iter().find(|(written, _)| written == name)?;
        let (file, position) = self.sources.locate(*span);
        Some(format!("{file}:{}", position.line))
    }
}

/// A panic elsewhere leaves what was remembered as good as it was.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keys(inputs: &Json) -> HashMap<String, Digest> {
    let fields = inputs.as_object().into_iter().flatten();
    fields.filter_map(|(role, key)| Some((role.clone(), key.as_str()?.parse().ok()?))).collect()
}
