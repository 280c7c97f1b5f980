//! Why a stage has no result: two key documents, one sentence.

use super::graph::{Graph, Node};
use super::key;
use crate::base::digest::Digest;
use crate::base::source::SourceMap;
use crate::store::Record;
use serde_json::{Map, Value as Json};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

/// One difference between a stage and an earlier one.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Change {
    /// The field, by dots where it lies inside another; or the input's role.
    pub field: String,
    /// What happened to it, as in "`budget` changed: 60steps → 80steps".
    pub text: String,
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
    pub nearest: Option<Record>,
    /// Whether that record has another name.
    pub other_name: bool,
    /// The differences; none where the record is of this very stage, which then is a hit.
    pub changes: Vec<Change>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(nearest) = &self.nearest else {
            return f.write_str("never run before");
        };
        if self.other_name {
            write!(f, "never run before; unlike `{}`, ", nearest.name)?;
        }
        match &self.changes[..] {
            [] => write!(f, "nothing changed since its record was made"),
            [change] => write!(f, "{change}"),
            [first, second] => write!(f, "{first}, and {second}"),
            [first, rest @ ..] => {
                let fields: Vec<String> = rest.iter().map(|change| format!("`{}`", change.field)).collect();
                write!(f, "{first}, and {} more changed: {}", rest.len(), fields.join(", "))
            }
        }
    }
}

/// The records of a store, arranged for comparing.
#[derive(Clone, Debug, Default)]
pub struct History {
    records: Vec<Record>,
    by_key: HashMap<Digest, usize>,
    definitions: HashSet<Digest>,
}

impl History {
    /// Arranges records, oldest first.
    pub fn new(records: Vec<Record>) -> History {
        let by_key = records.iter().enumerate().map(|(index, record)| (record.key, index)).collect();
        let definitions = records.iter().map(|record| key::definition(&record.document)).collect();
        History { records, by_key, definitions }
    }

    /// Whether any record has this document, its inputs left aside: where none has, no shallow key can match.
    pub fn knows_definition(&self, document: &Json) -> bool {
        self.definitions.contains(&key::definition(document))
    }

    fn find(&self, key: &Digest) -> Option<&Record> {
        self.by_key.get(key).map(|&index| &self.records[index])
    }
}

/// Compares a node with the nearest record of its kind: the same name before another, then the fewest differences,
/// then the newest.
pub fn explain(graph: &Graph, index: usize, history: &History, sources: &SourceMap) -> Explanation {
    let node = graph.node(index);
    let candidates = history.records.iter().filter(|record| record.kind == node.kind);
    let distance = |record: &&Record| (record.name != node.name, difference_count(node, &record.document));
    // Records come oldest first, and `min_by_key` takes the first of equals.
    let Some(nearest) = candidates.rev().min_by_key(distance) else { return Explanation::default() };
    let changes = Comparer { graph, sources, history }.changes(node, &nearest.document, DEPTH);
    Explanation { nearest: Some(nearest.clone()), other_name: nearest.name != node.name, changes }
}

struct Comparer<'a> {
    graph: &'a Graph,
    sources: &'a SourceMap,
    history: &'a History,
}

/// Deep chains end in "…": a sentence has an end.
const DEPTH: usize = 8;

impl Comparer<'_> {
    fn changes(&self, node: &Node, old: &Json, depth: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        let (was, is) = (&old["semantic_version"], &node.document["semantic_version"]);
        if was != is {
            let text = format!("srlm's `{}` changed: version {was} → {is}", node.kind);
            changes.push(Change { field: "semantic_version".to_string(), text, at: None });
        }
        if old["salt"] != node.document["salt"] {
            let text = "the format of keys changed".to_string();
            changes.push(Change { field: "salt".to_string(), text, at: None });
        }
        changes.extend(self.field_changes(node, old));
        changes.extend(self.input_changes(node, old, depth));
        changes
    }

    fn field_changes(&self, node: &Node, old: &Json) -> Vec<Change> {
        let change = |difference: Difference| {
            let at = self.line_of(node, &difference.path);
            Change { text: difference.to_string(), field: difference.path, at }
        };
        differences(&old["science"], &node.document["science"]).into_iter().map(change).collect()
    }

    fn input_changes(&self, node: &Node, old: &Json, depth: usize) -> Vec<Change> {
        let (was, is) = (keys(&old["inputs"]), keys(&node.document["inputs"]));
        let roles: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let changed = roles.into_iter().filter(|role| was.get(*role) != is.get(*role));
        let change = |role: &String| {
            let text = match (was.get(role), node.inputs.iter().find(|(name, _)| name == role)) {
                (Some(was), Some((_, input))) => self.input_change(role, was, *input, depth),
                (None, _) => format!("the input `{role}` is new"),
                (_, None) => format!("the input `{role}` is gone"),
            };
            Change { field: role.clone(), text, at: None }
        };
        changed.map(change).collect()
    }

    /// What happened upstream, told by the first difference there.
    fn input_change(&self, role: &str, was: &Digest, input: usize, depth: usize) -> String {
        let headline = format!("its input `{role}` changed");
        let node = self.graph.node(input);
        let Some(record) = self.history.find(was) else {
            return headline;
        };
        if record.kind != node.kind {
            return format!("{headline}: it comes from `{}`, not from `{}`", node.name, record.name);
        }
        if depth == 0 {
            return format!("{headline}: …");
        }
        match self.changes(node, &record.document, depth - 1).first() {
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

fn keys(inputs: &Json) -> HashMap<String, Digest> {
    let fields = inputs.as_object().into_iter().flatten();
    fields.filter_map(|(role, key)| Some((role.clone(), key.as_str()?.parse().ok()?))).collect()
}

fn difference_count(node: &Node, old: &Json) -> usize {
    let fields = differences(&old["science"], &node.document["science"]).len();
    let (was, is) = (keys(&old["inputs"]), keys(&node.document["inputs"]));
    let roles: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    fields + roles.into_iter().filter(|role| was.get(*role) != is.get(*role)).count()
}

/// A field that differs; a side without it has none.
struct Difference<'a> {
    path: String,
    old: Option<&'a Json>,
    new: Option<&'a Json>,
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match (self.old, self.new) {
            (Some(old), Some(new)) => write!(f, "`{path}` changed: {}", arrow(old, new)),
            (None, new) => write!(f, "`{path}` is new: {}", show(new.unwrap_or(&Json::Null))),
            (Some(old), None) => write!(f, "`{path}` is gone: it was {}", show(old)),
        }
    }
}

fn differences<'a>(old: &'a Json, new: &'a Json) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    compare(String::new(), Some(old), Some(new), &mut found);
    found
}

/// Lists the fields that differ, descending where both sides are records with the same fields.
fn compare<'a>(path: String, old: Option<&'a Json>, new: Option<&'a Json>, found: &mut Vec<Difference<'a>>) {
    match (old, new) {
        _ if old == new => {}
        (Some(Json::Object(old)), Some(Json::Object(new))) if path.is_empty() || same_fields(old, new) => {
            for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                let inside = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(inside, old.get(name), new.get(name), found);
            }
        }
        _ => found.push(Difference { path, old, new }),
    }
}

/// Whether two objects are records of the same fields. A quantity or file content is a value and no record; a variant
/// and a suite of one benchmark hold a record.
fn same_fields(old: &Map<String, Json>, new: &Map<String, Json>) -> bool {
    let is_record = old.len() > 1 || old.values().chain(new.values()).all(Json::is_object);
    is_record && old.len() == new.len() && old.keys().all(|name| new.contains_key(name))
}

fn arrow(old: &Json, new: &Json) -> String {
    match (content(old), content(new)) {
        (Some(old), Some(new)) => format!("the file's content, {} → {}", short(old), short(new)),
        _ => format!("{} → {}", show(old), show(new)),
    }
}

fn content(value: &Json) -> Option<&str> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.get("content")?.as_str()
}

fn short(digest: &str) -> &str {
    digest.get(..10).unwrap_or(digest)
}

/// A canonical value as the language writes it.
pub(super) fn show(value: &Json) -> String {
    match value {
        Json::Null => "none".to_string(),
        Json::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Json::Object(fields) => show_object(fields),
        plain => plain.to_string(),
    }
}

fn show_object(fields: &Map<String, Json>) -> String {
    let listed = |fields: &Map<String, Json>| {
        fields.iter().map(|(name, value)| format!("{name}: {}", show(value))).collect::<Vec<_>>().join(", ")
    };
    let mut entries = fields.iter();
    match (entries.next(), entries.next()) {
        (Some((name, amount @ Json::Number(_))), None) if unit(name).is_some() => {
            format!("{amount}{}", unit(name).unwrap_or_default())
        }
        (Some((name, Json::String(text))), None) if name == "content" => {
            format!("content {}", short(text))
        }
        (Some((name, Json::String(text))), None) if name == "input" => {
            format!("the input `{text}`")
        }
        (Some((name, Json::Object(inner))), None) => format!("{name}({})", listed(inner)),
        _ => format!("{{ {} }}", listed(fields)),
    }
}

/// The suffix of a base unit.
fn unit(json_name: &str) -> Option<&'static str> {
    let units = [
        ("seqs", "seqs"),
        ("tokens", "tok"),
        ("steps", "steps"),
        ("epochs", "epochs"),
        ("bytes", "B"),
        ("milliseconds", "ms"),
        ("percent", "%"),
        ("points", "pp"),
    ];
    units.into_iter().find(|(name, _)| *name == json_name).map(|(_, unit)| unit)
}
