//! Earlier records arranged so that the one nearest to a stage is found without looking at all of them.
//!
//! A key document is a set of parts: the version, each field, each input by role. Each part has a hash, and a document
//! the sum of its parts'. So documents that differ in one part have the same sum without it, and finding them takes as
//! many looks as there are parts, whatever the number of records. Hashes only choose what is compared and told: whether
//! a stage has a result is for its key alone to say.

use crate::base::digest::Digest;
use crate::store::Record;
use serde_json::Value as Json;
use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

/// How many of the newest records are compared where none differs in one part only.
const COMPARED: usize = 200;
/// A record of another name counts as this many differences more: a renamed stage is found, and a stage's own past is
/// preferred.
const OTHER_NAME: usize = 3;

/// What is remembered of a record. Documents are large, and few of them are ever told about: those are read again.
#[derive(Clone, Debug)]
pub struct Past {
    /// The deep key.
    pub key: Digest,
    /// The stage kind.
    pub kind: String,
    /// The name the file gave the stage.
    pub name: String,
    parts: Parts,
}

impl Past {
    /// What is remembered of a record.
    pub fn of(record: &Record) -> Past {
        Past::new(record.key, &record.kind, &record.name, &record.document)
    }

    /// What is remembered of a stage with that document.
    pub fn new(key: Digest, kind: &str, name: &str, document: &Json) -> Past {
        Past { key, kind: kind.to_string(), name: name.to_string(), parts: Parts::of(document) }
    }
}

/// The parts of a key document.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The hash of each part's name, and of the part with its name, sorted.
    each: Vec<(u64, u64)>,
    sum: u64,
    /// The sum without the inputs.
    definition: u64,
}

impl Parts {
    /// Takes a document apart.
    pub fn of(document: &Json) -> Parts {
        let mut parts = Parts { each: Vec::new(), sum: 0, definition: 0 };
        for (section, content) in document.as_object().into_iter().flatten() {
            match content {
                Json::Object(fields) => {
                    fields.iter().for_each(|(name, value)| parts.add(&[section, name], value, section != "inputs"));
                }
                value => parts.add(&[section], value, true),
            }
        }
        parts.each.sort_unstable();
        parts
    }

    /// The same with other inputs in the place of some.
    pub fn with_inputs(document: &Json, instead: &HashMap<String, Digest>) -> Parts {
        let mut document = document.clone();
        for (role, key) in instead {
            document["inputs"][role] = Json::String(key.to_string());
        }
        Parts::of(&document)
    }

    fn add(&mut self, name: &[&String], value: &Json, is_definition: bool) {
        let part = hash_of(&(name, hash_json(value)));
        self.each.push((hash_of(&name), part));
        self.sum = self.sum.wrapping_add(part);
        if is_definition {
            self.definition = self.definition.wrapping_add(part);
        }
    }

    /// For each part a hash that documents share which differ in that part alone.
    fn without_one(&self) -> impl Iterator<Item = u64> {
        self.each.iter().map(|(name, part)| hash_of(&(name, self.sum.wrapping_sub(*part))))
    }

    /// How many parts differ.
    fn distance(&self, other: &Parts) -> usize {
        let (mut mine, mut theirs) = (self.each.iter().peekable(), other.each.iter().peekable());
        let mut count = 0;
        while let (Some((name, part)), Some((other_name, other_part))) = (mine.peek(), theirs.peek()) {
            count += usize::from(name != other_name || part != other_part);
            let order = name.cmp(other_name);
            if order.is_le() {
                mine.next();
            }
            if order.is_ge() {
                theirs.next();
            }
        }
        count + mine.count() + theirs.count()
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A hash that does not depend on the order of an object's fields.
fn hash_json(value: &Json) -> u64 {
    match value {
        Json::Array(items) => hash_of(&items.iter().map(hash_json).collect::<Vec<_>>()),
        Json::Object(fields) => {
            let sum =
                fields.iter().fold(0u64, |sum, (name, value)| sum.wrapping_add(hash_of(&(name, hash_json(value)))));
            hash_of(&("{}", fields.len(), sum))
        }
        plain => hash_of(&plain.to_string()),
    }
}

/// The records of a store, oldest first.
#[derive(Debug, Default)]
pub struct History {
    past: Vec<Past>,
    by_key: HashMap<Digest, usize>,
    definitions: HashSet<u64>,
    by_sum: HashMap<u64, Vec<usize>>,
    by_kind: HashMap<String, Vec<usize>>,
    /// Hashes of documents without one part, with their records, sorted; made when first asked for.
    nearly: OnceLock<Vec<(u64, usize)>>,
}

impl History {
    /// Arranges records, oldest first.
    pub fn new(past: Vec<Past>) -> History {
        let mut history = History { definitions: HashSet::with_capacity(past.len()), ..History::default() };
        for (index, record) in past.iter().enumerate() {
            history.by_key.insert(record.key, index);
            history.definitions.insert(record.parts.definition);
            history.by_sum.entry(record.parts.sum).or_default().push(index);
            history.by_kind.entry(record.kind.clone()).or_default().push(index);
        }
        History { past, ..history }
    }

    /// Whether there is a record of that key.
    pub fn knows(&self, key: &Digest) -> bool {
        self.by_key.contains_key(key)
    }

    /// Whether any record has this document, its inputs left aside: where none has, no shallow key can match.
    pub fn knows_definition(&self, document: &Json) -> bool {
        self.definitions.contains(&Parts::of(document).definition)
    }

    /// The record nearest to a stage: with the fewest differences, those in the name counted; among equals one that
    /// `place` does not put last, then the newest. `parts` are the stage's, with what its inputs were before. `place`
    /// gives none for a record that is left out, and `true` for one that comes last among equals.
    pub fn nearest(
        &self,
        kind: &str,
        name: &str,
        parts: &Parts,
        place: impl Fn(&Digest) -> Option<bool>,
    ) -> Option<&Past> {
        let of_kind = |&index: &usize| self.past[index].kind == kind;
        let rank = |&index: &usize| {
            let past = &self.past[index];
            let other_name = if past.name == name { 0 } else { OTHER_NAME };
            (past.parts.distance(parts) + other_name, place(&past.key), Reverse(index))
        };
        let stands = |index: &usize| place(&self.past[*index].key).is_some();
        let equal = self.by_sum.get(&parts.sum).into_iter().flatten().rev().copied().filter(stands).take(COMPARED);
        let nearly = parts.without_one().flat_map(|hash| self.nearly(hash).filter(stands).take(COMPARED));
        let close = equal.chain(nearly).filter(of_kind).min_by_key(rank);
        if let Some(close) = close.filter(|&index| self.past[index].name == name) {
            return Some(&self.past[close]);
        }
        let newest = || self.by_kind.get(kind).into_iter().flatten().rev().copied().filter(stands);
        let of_name = newest().filter(|&index| self.past[index].name == name).take(COMPARED);
        let found = of_name.chain(newest().take(COMPARED)).chain(close).min_by_key(rank);
        found.map(|index| &self.past[index])
    }

    /// The records whose documents without one part have that hash, newest first.
    fn nearly(&self, hash: u64) -> impl Iterator<Item = usize> {
        let nearly = self.nearly.get_or_init(|| {
            let hashes = |(index, past): (usize, &Past)| {
                past.parts.without_one().map(move |hash| (hash, index)).collect::<Vec<_>>()
            };
            let mut nearly: Vec<(u64, usize)> = self.past.iter().enumerate().flat_map(hashes).collect();
            nearly.sort_unstable();
            nearly
        });
        let start = nearly.partition_point(|(other, _)| *other < hash);
        let end = nearly.partition_point(|(other, _)| *other <= hash);
        nearly[start..end].iter().rev().map(|(_, index)| *index)
    }
}
