//! Stage calls while they are collected: equal calls are one, and only what is wanted stays.

use super::identity::identity;
use super::name::Name;
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

/// Takes the artifacts out of a value: each becomes an input by its role, the dotted path to it. `role` is how the path
/// begins, and is left as it was.
pub(super) fn extract(value: &mut Value, role: &mut String, inputs: &mut Vec<(String, NodeId)>) {
    match value {
        Value::Node(id, _) => {
            inputs.push((role.clone(), *id));
            *value = Value::Input(role.clone());
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate().filter(|(_, item)| has_parts(item)) {
                below(role, &index.to_string(), |role| extract(item, role, inputs));
            }
        }
        // In which order the benchmarks of a suite are written makes no difference.
        Value::Record(fields) => {
            fields.sort_by(|(left, _), (right, _)| left.cmp(right));
            extract_fields(fields, role, inputs);
        }
        Value::Variant(_, fields) => extract_fields(fields, role, inputs),
        Value::Reward(sum) => {
            for (index, term) in sum.terms.iter_mut().enumerate() {
                below(role, &index.to_string(), |role| extract_fields(&mut term.args, role, inputs));
            }
        }
        _ => {}
    }
}

fn extract_fields(fields: &mut [(Name, Value)], role: &mut String, inputs: &mut Vec<(String, NodeId)>) {
    for (name, value) in fields.iter_mut().filter(|(_, value)| has_parts(value)) {
        below(role, name, |role| extract(value, role, inputs));
    }
}

/// Whether a value may hold an artifact: most do not, and a path to them is not needed.
fn has_parts(value: &Value) -> bool {
    matches!(value, Value::Node(..) | Value::List(_) | Value::Record(_) | Value::Variant(..) | Value::Reward(_))
}

/// Does something one step further down the path.
fn below(role: &mut String, name: &str, work: impl FnOnce(&mut String)) {
    let length = role.len();
    role.push('.');
    role.push_str(name);
    work(role);
    role.truncate(length);
}
