//! Trajectories: what trainings of different length have in common, so that a longer one goes on from a shorter one.
//!
//! A training passes through the same states as one that differs from it in the budget alone, up to the step at which
//! the schedule begins to depend on how many steps follow. Those states are kept under the key of everything but the
//! budget; all others under a key with it.

use super::difference::show;
use super::graph::{Graph, Node};
use super::key;
use super::resolve::Step;
use crate::base::digest::Digest;
use crate::base::state::{Manifest, Places};
use crate::lang::signature::Training;
use crate::store::Store;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// A number of steps so large that rounding does not matter: it tells which share of a training others have in common.
const MANY: u64 = 1_000_000;

/// The keys under which a stage's training states are kept.
#[derive(Clone, Debug)]
pub struct Trajectories {
    /// Of the states that this budget alone leads to.
    pub own: Digest,
    /// Of the states that other budgets lead to as well; none where the schedule depends on the budget from its first
    /// step on.
    pub shared: Option<Digest>,
    /// The budget, as the arguments write it.
    pub budget: Json,
}

/// So many of a unit.
#[derive(Clone, Debug, PartialEq)]
struct Amount {
    unit: String,
    number: f64,
}

impl Amount {
    /// A budget as canonical arguments write it: `{"epochs": 3.0}`.
    fn of(budget: &Json) -> Option<Amount> {
        let (unit, number) = budget.as_object().filter(|fields| fields.len() == 1)?.iter().next()?;
        Some(Amount { unit: unit.clone(), number: number.as_f64()? })
    }
}

impl Node {
    /// The keys of its training states, where it trains, given the artifact digest of every input by role.
    pub fn trajectories(&self, inputs: &BTreeMap<String, Digest>) -> Option<Trajectories> {
        let training = self.training?;
        let args = self.args();
        let shared = training.is_shared(&args).then(|| self.shared_key(&training, inputs));
        let own = key::trajectory_key(self.document(), inputs, &[]);
        Some(Trajectories { own, shared, budget: args[training.budget].clone() })
    }

    fn shared_key(&self, training: &Training, inputs: &BTreeMap<String, Digest>) -> Digest {
        let left_out = [&[training.budget], training.of_the_end].concat();
        key::trajectory_key(self.document(), inputs, &left_out)
    }

    /// The step of the newest state that its training can surely go on from, as far as the states say without being
    /// read; when it starts it looks again, knows its own steps, and may find a later one.
    pub fn newest_state(&self, store: &Store, inputs: &BTreeMap<String, Digest>) -> Option<u64> {
        let (training, trajectories) = (self.training?, self.trajectories(inputs)?);
        let own = store.states(&trajectories.own).into_iter().map(|state| state.step).max();
        let shared = trajectories.shared.as_ref().map(|key| store.states(key)).unwrap_or_default();
        let args = self.args();
        let total = (training.total)(&args).unwrap_or_else(|| least_total(&trajectories.budget, &shared));
        let open = (training.open)(&args, total).unwrap_or(0);
        own.max(shared.iter().map(|state| state.step).filter(|step| *step <= open).max())
    }

    /// Its name and its budget, for a sentence: "`warm` (500steps)".
    pub(super) fn with_budget(&self) -> String {
        let budget = self.training.map(|training| format!(" ({})", show(&self.document()["science"][training.budget])));
        format!("`{}`{}", self.name, budget.unwrap_or_default())
    }

    /// How far its shared states reach, in the budget's unit.
    fn reach(&self, training: &Training) -> Option<Amount> {
        let args = self.args();
        let amount = Amount::of(&args[training.budget])?;
        let share = (training.open)(&args, MANY)? as f64 / MANY as f64;
        Some(Amount { number: amount.number * share, ..amount })
    }
}

impl Training {
    fn is_shared(&self, args: &Json) -> bool {
        (self.open)(args, MANY).is_some()
    }
}

impl Trajectories {
    /// Where the states of the stage with that key are.
    pub fn places(self, store: &Store, key: Digest) -> Places {
        let shared = self.shared.map(|trajectory| store.place(&trajectory));
        Places { own: store.place(&self.own), shared, key, budget: self.budget }
    }

    /// Both keys.
    pub fn all(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.own).chain(&self.shared)
    }
}

/// The optimiser steps that a budget comes to at least, by what states tell of other budgets in its unit.
fn least_total(budget: &Json, states: &[Manifest]) -> u64 {
    let ours = Amount::of(budget);
    let no_more = |state: &&Manifest| match (Amount::of(&state.budget), &ours) {
        (Some(theirs), Some(ours)) => theirs.unit == ours.unit && theirs.number <= ours.number,
        _ => false,
    };
    states.iter().filter(no_more).map(|state| state.total).max().unwrap_or(0)
}

/// What a stage waits for without needing its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The stage before it.
    pub before: usize,
    /// Whether it can go on from the state that the stage before it leaves.
    pub goes_on: bool,
}

/// Stages that train the same for a time and are to run, each with the one before it: the longer goes on from the state
/// that the shorter leaves, so that all together cost as much as the longest. Where units differ nobody knows which is
/// the longer; they too run one after the other, since they write the same states.
pub fn chains(graph: &Graph, steps: &[Step]) -> BTreeMap<usize, Link> {
    let mut trainings: BTreeMap<Digest, Vec<(Amount, usize)>> = BTreeMap::new();
    for step in steps.iter().filter(|step| step.status.runs()) {
        if let Some((key, reach)) = graph.node(step.node).link_in_a_chain(graph) {
            trainings.entry(key).or_default().push((reach, step.node));
        }
    }
    let mut links = BTreeMap::new();
    for mut members in trainings.into_values() {
        members.sort_by(|(a, _), (b, _)| a.unit.cmp(&b.unit).then(a.number.total_cmp(&b.number)));
        for ((shorter, before), (longer, node)) in members.iter().zip(&members[1..]) {
            links.insert(*node, Link { before: *before, goes_on: shorter.unit == longer.unit });
        }
    }
    links
}

impl Node {
    /// What it has in common with others of its chain, by the keys upstream since their results may not be there yet,
    /// and how far it goes.
    fn link_in_a_chain(&self, graph: &Graph) -> Option<(Digest, Amount)> {
        let training = self.training?;
        let reach = self.reach(&training)?;
        let keys = self.inputs.iter().map(|(role, index)| (role.clone(), graph.node(*index).key)).collect();
        Some((self.shared_key(&training, &keys), reach))
    }
}
