//! Stage calls while they are collected: equal calls are one, and only what is wanted stays.

use super::identity::identity;
use super::program::StageCall;
use super::value::{NodeId, Value};
use crate::base::digest::Digest;
use std::collections::{BTreeMap, HashMap};

/// How many stages a program may have.
pub(super) const MAX_NODES: usize = 100_000;

/// The calls so far.
#[derive(Default)]
pub(super) struct Graph {
    calls: Vec<StageCall>,
    /// By what makes a call the call it is; only ever looked up, so its order cannot show.
    index: HashMap<Digest, NodeId>,
}

impl Graph {
    /// The node of a call; an equal one that is there keeps its name and place. `None`: there are too many.
    pub fn intern(&mut self, call: StageCall) -> Option<NodeId> {
        let key = Digest::of_bytes(&identity(&call));
        if let Some(&id) = self.index.get(&key) {
            return Some(id);
        }
        if self.calls.len() >= MAX_NODES {
            return None;
        }
        let id = NodeId(self.calls.len());
        self.index.insert(key, id);
        self.calls.push(call);
        Some(id)
    }

    /// All of them, in the order they were made.
    pub fn calls(&self) -> &[StageCall] {
        &self.calls
    }

    /// How many calls there are.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// The call behind an id.
    pub fn call(&self, id: NodeId) -> &StageCall {
        &self.calls[id.0]
    }

    /// Names a call after the binding that made it, unless it has a name of its own.
    pub fn name(&mut self, id: NodeId, name: &str) {
        let call = &mut self.calls[id.0];
        if call.name == call.kind {
            call.name = name.to_string();
        }
    }

    /// The calls that `targets` need, in the order they were made, and their new ids.
    pub fn wanted(self, targets: impl IntoIterator<Item = NodeId>) -> (Vec<StageCall>, BTreeMap<NodeId, NodeId>) {
        let mut wanted = vec![false; self.calls.len()];
        let mut open: Vec<NodeId> = targets.into_iter().collect();
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut wanted[id.0], true) {
                open.extend(self.call(id).inputs.iter().map(|&(_, input)| input));
            }
        }
        let old = (0..self.calls.len()).filter(|&index| wanted[index]);
        let renumbered: BTreeMap<_, _> = old.enumerate().map(|(new, old)| (NodeId(old), NodeId(new))).collect();
        let mut kept = Vec::with_capacity(renumbered.len());
        for (mut call, wanted) in self.calls.into_iter().zip(wanted) {
            if wanted {
                call.inputs.iter_mut().for_each(|(_, input)| *input = renumbered[input]);
                kept.push(call);
            }
        }
        (kept, renumbered)
    }
}

/// Takes the artifacts out of a value: each becomes an input by its role, the dotted path to it.
pub(super) fn extract(value: Value, role: &str, inputs: &mut Vec<(String, NodeId)>) -> Value {
    let below = |name: &str| format!("{role}.{name}");
    match value {
        Value::Node(id, _) => {
            inputs.push((role.to_string(), id));
            Value::Input(role.to_string())
        }
        Value::List(items) => {
            let items = items.into_iter().enumerate();
            Value::List(items.map(|(index, item)| extract(item, &below(&index.to_string()), inputs)).collect())
        }
        // In which order the benchmarks of a suite are written makes no difference.
        Value::Record(mut fields) => {
            fields.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Record(extract_fields(fields, role, inputs))
        }
        Value::Variant(name, fields) => Value::Variant(name, extract_fields(fields, role, inputs)),
        Value::Reward(mut sum) => {
            for (index, term) in sum.terms.iter_mut().enumerate() {
                let args = std::mem::take(&mut term.args);
                term.args = extract_fields(args, &below(&index.to_string()), inputs);
            }
            Value::Reward(sum)
        }
        plain => plain,
    }
}

fn extract_fields(
    fields: Vec<(String, Value)>,
    role: &str,
    inputs: &mut Vec<(String, NodeId)>,
) -> Vec<(String, Value)> {
    fields
        .into_iter()
        .map(|(name, value)| {
            let value = extract(value, &format!("{role}.{name}"), inputs);
            (name, value)
        })
        .collect()
}
