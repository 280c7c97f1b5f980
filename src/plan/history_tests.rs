//! Tests of the history: which earlier record is nearest.

use super::history::{History, Parts, Past};
use crate::base::digest::Digest;
use serde_json::{Value as Json, json};
use std::collections::HashMap;

fn document(learning_rate: f64, seed: u64, model: &str) -> Json {
    json!({
        "kind": "sft",
        "semantic_version": 1,
        "inputs": { "model": Digest::of_bytes(model.as_bytes()) },
        "science": { "learning_rate": learning_rate, "seed": seed, "batch": { "seqs": 16 } },
        "salt": "",
    })
}

fn past(name: &str, document: &Json) -> Past {
    Past::new(Digest::of("test", document), "sft", name, document)
}

fn nearest(history: &History, name: &str, document: &Json) -> Option<Digest> {
    history.nearest("sft", name, &Parts::of(document), |_| Some(false)).map(|past| past.key)
}

#[test]
fn the_fewest_differences_win_then_the_newest() {
    let documents = [document(1e-3, 1, "a"), document(1e-3, 2, "a"), document(2e-3, 1, "b"), document(3e-3, 2, "a")];
    let history = History::new(documents.iter().map(|document| past("warm", document)).collect());
    let found = |document: &Json| nearest(&history, "warm", document).unwrap();
    let key = |at: usize| Digest::of("test", &documents[at]);
    assert_eq!(found(&documents[0]), key(0));
    assert_eq!(found(&document(5e-3, 2, "a")), key(3), "two differ in one part: the newer");
    assert_eq!(found(&document(1e-3, 9, "a")), key(1));
    assert_eq!(found(&document(2e-3, 1, "c")), key(2));
    // None differs in one part only: all are compared.
    assert_eq!(found(&document(3e-3, 9, "z")), key(3));
    assert!(history.nearest("grpo", "warm", &Parts::of(&documents[0]), |_| Some(false)).is_none());
}

#[test]
fn another_name_counts_as_three_differences() {
    let (own, other) = (document(1e-3, 7, "z"), document(5e-3, 1, "a"));
    let wanted = document(5e-3, 2, "a");
    let history = |own: &Json| History::new(vec![past("warm", own), past("other", &other)]);
    assert_eq!(nearest(&history(&own), "warm", &wanted), Some(Digest::of("test", &own)));
    let far = json!({ "kind": "sft", "science": { "a": 1, "b": 2, "c": 3, "d": 4, "e": 5 } });
    assert_eq!(nearest(&history(&far), "warm", &wanted), Some(Digest::of("test", &other)));
}

#[test]
fn what_is_left_out_is_not_found_and_what_comes_last_comes_last() {
    let documents = [document(1e-3, 1, "a"), document(1e-3, 2, "a"), document(9e-3, 8, "a")];
    let history = History::new(documents.iter().map(|document| past("warm", document)).collect());
    let wanted = Parts::of(&document(1e-3, 3, "a"));
    let key = |at: usize| Digest::of("test", &documents[at]);
    let found = |place: &dyn Fn(&Digest) -> Option<bool>| history.nearest("sft", "warm", &wanted, place).unwrap().key;
    assert_eq!(found(&|other| Some(*other == key(1))), key(0));
    assert_eq!(found(&|other| (*other != key(1)).then_some(false)), key(0));
    assert_eq!(found(&|other| (*other == key(2)).then_some(false)), key(2));
}

#[test]
fn inputs_are_compared_by_what_stood_there_before() {
    let (old, new) = (document(1e-3, 1, "a"), document(1e-3, 1, "b"));
    let before = HashMap::from([("model".to_string(), Digest::of_bytes(b"a"))]);
    let history = History::new(vec![past("warm", &old), past("warm", &document(1e-3, 1, "c"))]);
    let parts = Parts::with_inputs(&new, &before);
    let found = history.nearest("sft", "warm", &parts, |_| Some(false)).map(|past| past.key);
    assert_eq!(found, Some(Digest::of("test", &old)));
}

#[test]
fn the_order_of_fields_is_no_difference() {
    let [one, other] =
        [r#"{"science": {"a": {"x": 1, "y": 2}, "b": 3}}"#, r#"{"science": {"b": 3, "a": {"y": 2, "x": 1}}}"#]
            .map(|text| serde_json::from_str::<Json>(text).unwrap());
    let history = History::new(vec![past("warm", &one)]);
    assert!(history.knows_definition(&other));
}
