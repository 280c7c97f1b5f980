//! Stage keys: what a result depends on, as a readable document and its digest.
//!
//! | in the key | why |
//! |---|---|
//! | the stage kind and its semantic version | another computation; the version rises whenever numbers move |
//! | every field of the call that changes the result, defaults filled in, in base units | it is what the stage is told |
//! | the content of every file that a field names | a changed file is another input |
//! | the names of an `exec`'s code | the program finds it by them |
//! | commit and file digests of a source on the Hub, as the lock holds them | a branch can move |
//! | the inputs by role: deep keys, or artifact digests in the shallow key | two inputs that swap roles are another computation |
//! | the versions of the rewards used | they score differently |
//! | the salt | one line here makes every earlier result stale |
//!
//! | not in the key | why |
//! |---|---|
//! | names, labels, comments, the order of fields, the file's path, module or formatting | they say how a stage is called, not what it does |
//! | paths of input files | their content is there instead |
//! | fields that say how something is reached, such as the `key_env` of an `api` | another way to the same |
//! | device, threads, micro-batch, memory, retries, checkpoint interval, executor, profile | shown by tests not to change a result on the CPU |
//! | the clock, the host, the run | provenance, kept in the record |
//!
//! The key of a training's states, [`trajectory_key`], leaves the budget out where the schedule allows it, and has
//! artifact digests for the inputs as the shallow key has.
//!
//! Whole floats are written as integers, so that `1` and `1.0` are one value.

use crate::base::digest::Digest;
use crate::lang::name::Name;
use crate::lang::value::{RewardSum, RewardTerm, Value, fields_to_json};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

const DEEP: &str = "srlm stage key v1";
const SHALLOW: &str = "srlm shallow key v1";
const TRAJECTORY: &str = "srlm trajectory key v1";
const SALT: &str = "";

/// The readable pre-image of a deep key. `inputs` are the deep keys upstream by role, `contents` the digests of the
/// files that the arguments name.
pub fn document(
    kind: &str,
    version: u32,
    args: &[(Name, Value)],
    inputs: &BTreeMap<&str, Digest>,
    contents: &BTreeMap<String, Digest>,
) -> Json {
    let args: Vec<(Name, Value)> = fields_with_contents(args, contents);
    json!({
        "kind": kind,
        "semantic_version": version,
        "inputs": inputs,
        "science": canonical(fields_to_json(&args)),
        "salt": SALT,
    })
}

/// The key of a stage by the keys of everything upstream: known before anything runs.
pub fn deep_key(document: &Json) -> Digest {
    Digest::of(DEEP, document)
}

/// The key of a stage by what actually goes in: equal where an input was made differently but came out the same.
pub fn shallow_key(document: &Json, inputs: &BTreeMap<String, Digest>) -> Digest {
    let mut document = document.clone();
    document["inputs"] = json!(inputs);
    Digest::of(SHALLOW, &document)
}

/// The key of what a training has in common with others that differ from it in some fields only. As in the shallow
/// key, the digests of what actually goes in stand for the keys upstream: a state must never go on with other rows than
/// it came from, not even where a stage upstream was made again and came out differently.
pub(super) fn trajectory_key(document: &Json, inputs: &BTreeMap<String, Digest>, left_out: &[&str]) -> Digest {
    let mut document = document.clone();
    document["inputs"] = json!(inputs);
    if let Some(science) = document["science"].as_object_mut() {
        left_out.iter().for_each(|field| drop(science.remove(*field)));
    }
    Digest::of(TRAJECTORY, &document)
}

/// The paths that the arguments name, each once, in order.
pub fn paths(args: &[(Name, Value)]) -> Vec<String> {
    let mut found = Vec::new();
    args.iter().for_each(|(_, value)| collect_paths(value, &mut found));
    found
}

fn collect_paths(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Path(path) if !found.contains(path) => found.push(path.clone()),
        Value::List(items) => items.iter().for_each(|item| collect_paths(item, found)),
        Value::Record(fields) | Value::Variant(_, fields) => {
            fields.iter().for_each(|(_, value)| collect_paths(value, found));
        }
        Value::Reward(sum) => {
            let args = sum.terms.iter().flat_map(|term| &term.args);
            args.for_each(|(_, value)| collect_paths(value, found));
        }
        _ => {}
    }
}

/// The value with every path replaced by `{"content": digest}`.
fn with_contents(value: &Value, contents: &BTreeMap<String, Digest>) -> Value {
    let fields = |fields: &[(Name, Value)]| fields_with_contents(fields, contents);
    match value {
        Value::Path(path) => {
            let content = contents.get(path).map_or(Value::None, |digest| Value::String(digest.to_string()));
            Value::Record(vec![("content".into(), content)])
        }
        Value::List(items) => Value::List(items.iter().map(|item| with_contents(item, contents)).collect()),
        Value::Record(inner) => Value::Record(fields(inner)),
        Value::Variant(name, inner) => Value::Variant(name.clone(), fields(inner)),
        Value::Reward(sum) => {
            let term = |term: &RewardTerm| RewardTerm { args: fields(&term.args), ..term.clone() };
            Value::Reward(RewardSum { offset: sum.offset, terms: sum.terms.iter().map(term).collect() })
        }
        plain => plain.clone(),
    }
}

fn fields_with_contents(fields: &[(Name, Value)], contents: &BTreeMap<String, Digest>) -> Vec<(Name, Value)> {
    fields.iter().map(|(name, value)| (name.clone(), with_contents(value, contents))).collect()
}

/// Whole floats as integers, as far as every integer has a float of its own.
fn canonical(value: Json) -> Json {
    match value {
        Json::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 => {
                json!(float as i64)
            }
            _ => Json::Number(number),
        },
        Json::Array(items) => items.into_iter().map(canonical).collect(),
        Json::Object(fields) => {
            let fields: Map<_, _> = fields.into_iter().map(|(name, value)| (name, canonical(value))).collect();
            Json::Object(fields)
        }
        plain => plain,
    }
}
