//! Where a result comes from, back to the digests of data; and what was made of it.

use super::graph::Graph;
use crate::base::digest::Digest;
use crate::store::{Made, Record, Store, StoreError};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap, HashSet};

/// One stage of a lineage.
#[derive(Clone, Debug, Serialize)]
pub struct Ancestor {
    /// The deep key.
    pub key: Digest,
    /// The stage kind; none where nothing tells what has this key.
    pub kind: Option<String>,
    /// The name that the file gave it.
    pub name: Option<String>,
    /// Role to the key of the stage that made it.
    pub inputs: BTreeMap<String, Digest>,
    /// Field to the digest of the data that it declares: a file's or folder's content, or a file on the Hub.
    pub data: BTreeMap<String, String>,
    /// The paths of the file that hold that data now, by their digests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, String>,
    /// Role to artifact digest; empty where there is no result.
    pub outputs: BTreeMap<String, Digest>,
    /// The record whose result it shares.
    pub alias_of: Option<Digest>,
    /// The final numbers.
    pub metrics: BTreeMap<String, f64>,
    /// Where and when it was made.
    pub made: Option<Made>,
    /// The run that made it.
    pub run: Option<String>,
    /// Every field, as the key hashes it.
    pub science: Json,
}

/// A lineage: each stage once.
#[derive(Clone, Debug)]
pub struct Lineage {
    /// Where it begins: what was asked about.
    pub root: Digest,
    /// The stages, what was asked about first; each before what it leads to.
    pub stages: Vec<Ancestor>,
    /// For each stage where its branches lead, with their roles.
    pub branches: HashMap<Digest, Vec<(String, Digest)>>,
}

/// Everything in the store that was made of a result, directly or not.
///
/// # Errors
/// [`StoreError`] where the records cannot be read.
pub fn dependents(store: &Store, root: Digest) -> Result<Lineage, StoreError> {
    let edges = |record: &Record| (record.key, inputs_of(&record.document));
    let mut branches: HashMap<Digest, Vec<(String, Digest)>> = HashMap::new();
    for (key, inputs) in store.history(edges)? {
        for (role, input) in inputs {
            branches.entry(input).or_default().push((role, key));
        }
    }
    Ok(walk(root, |key| (ancestor(store, None, key), branches.get(&key).cloned().unwrap_or_default())))
}

/// Everything that a stage was made from. A graph tells of stages that have no record.
pub fn lineage(store: &Store, graph: Option<&Graph>, root: Digest) -> Lineage {
    walk(root, |key| {
        let ancestor = ancestor(store, graph, key);
        let branches = ancestor.inputs.iter().map(|(role, key)| (role.clone(), *key)).collect();
        (ancestor, branches)
    })
}

/// Every stage that `look` leads to, each once, those it leads to in their order.
fn walk(root: Digest, look: impl Fn(Digest) -> (Ancestor, Vec<(String, Digest)>)) -> Lineage {
    let (mut stages, mut branches, mut seen, mut open) = (Vec::new(), HashMap::new(), HashSet::new(), vec![root]);
    while let Some(key) = open.pop() {
        if seen.insert(key) {
            let (ancestor, leads) = look(key);
            open.extend(leads.iter().rev().map(|(_, next)| *next));
            branches.insert(key, leads);
            stages.push(ancestor);
        }
    }
    Lineage { root, stages, branches }
}

fn ancestor(store: &Store, graph: Option<&Graph>, key: Digest) -> Ancestor {
    let record = store.record(&key);
    let node = graph.and_then(|graph| graph.find(&key).map(|index| graph.node(index)));
    let document = record.as_ref().map(|record| &record.document).or(node.map(|node| node.document()));
    let none = Json::Null;
    let document = document.unwrap_or(&none);
    let name = node.map(|node| node.name.clone()).or(record.as_ref().map(|record| record.name.clone()));
    let paths = node.into_iter().flat_map(|node| node.contents.iter());
    Ancestor {
        key,
        kind: document["kind"].as_str().map(String::from),
        name,
        inputs: inputs_of(document),
        data: data_of(&document["science"]),
        paths: paths.map(|(path, digest)| (digest.to_string(), path.clone())).collect(),
        science: document["science"].clone(),
        outputs: record.as_ref().map(|record| record.outputs.clone().into()).unwrap_or_default(),
        alias_of: record.as_ref().and_then(|record| record.alias_of),
        metrics: record.as_ref().map(|record| record.metrics.clone().into()).unwrap_or_default(),
        made: record.as_ref().map(|record| record.made.clone()),
        run: record.map(|record| record.run),
    }
}

fn inputs_of(document: &Json) -> BTreeMap<String, Digest> {
    let inputs = document["inputs"].as_object().into_iter().flatten();
    inputs.filter_map(|(role, key)| Some((role.clone(), key.as_str()?.parse().ok()?))).collect()
}

/// The digests of declared data: of files here as `{"content": digest}`, of files on the Hub as `sha256`.
fn data_of(science: &Json) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), science)];
    while let Some((path, value)) = open.pop() {
        let inside = |name: &str| if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        match value {
            Json::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), value) {
                        ("content" | "sha256", Json::String(digest)) => {
                            drop(found.insert(path.clone(), digest.clone()))
                        }
                        _ => open.push((inside(name), value)),
                    }
                }
            }
            Json::Array(items) => {
                open.extend(items.iter().enumerate().map(|(at, item)| (inside(&at.to_string()), item)))
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_is_found_wherever_a_field_declares_it() {
        let science = json!({
            "path": {"content": "aa"},
            "code": [{"content": "bb"}],
            "pinned": {"train.jsonl": {"size": 3, "sha256": "cc"}},
            "content": {"deep": 1},
        });
        let found = data_of(&science);
        let found: Vec<_> = found.iter().map(|(field, digest)| (field.as_str(), digest.as_str())).collect();
        assert_eq!(found, [("code.0", "bb"), ("path", "aa"), ("pinned.train.jsonl", "cc")]);
    }
}
