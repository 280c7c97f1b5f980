//! What must stay: everything that roots reach, and everything that somebody works on.

use super::inventory::Inventory;
use crate::base::digest::Digest;
use crate::base::seal;
use crate::store::attempt::Fate;
use crate::store::roots::{RunRoot, is_in_use};
use crate::store::{Record, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::SystemTime;

/// What roots say.
#[derive(Debug, Default)]
pub(super) struct Roots {
    pub pins: BTreeSet<Digest>,
    /// Run roots that are read, newest first, with their last use and whether a run holds them.
    pub runs: Vec<(SystemTime, bool, RunRoot)>,
}

impl Roots {
    /// Reads them all. One that cannot be read keeps nothing; `verify` tells of it.
    pub fn read(store: &Store) -> Result<Roots, StoreError> {
        let pins = store.pins()?.into_iter().map(|pin| pin.key).collect();
        let mut runs = Vec::new();
        for (used, path) in store.run_root_files()?.into_iter().rev() {
            let root = fs::read(&path).ok().and_then(|bytes| seal::unsealed_bytes(&bytes).ok());
            runs.extend(root.map(|root| (used, is_in_use(&path), root)));
        }
        Ok(Roots { pins, runs })
    }

    /// The run roots that count: the newest `keep`, and those of runs at work.
    fn counting(&self, keep: usize) -> impl Iterator<Item = &RunRoot> {
        let runs = self.runs.iter().enumerate();
        runs.filter(move |(index, (_, in_use, _))| *index < keep || *in_use).map(|(_, (_, _, root))| root)
    }

    /// When a run last asked for each stage.
    pub fn last_asked(&self) -> BTreeMap<Digest, SystemTime> {
        let mut asked = BTreeMap::new();
        // Newest first: the first time that is seen of a key is its latest.
        for (used, _, root) in &self.runs {
            for key in &root.stages {
                asked.entry(*key).or_insert(*used);
            }
        }
        asked
    }
}

/// Marks what pins and the newest `keep_runs` runs reach, and what is worked on: keys of results, and of stages that have
/// none yet.
pub(super) fn mark(store: &Store, inventory: &Inventory, roots: &Roots, keep_runs: usize) -> BTreeSet<Digest> {
    let mut open: Vec<Digest> = roots.pins.iter().chain(&inventory.leased).copied().collect();
    for root in roots.counting(keep_runs) {
        open.extend(root.targets.iter().chain(&root.stages));
    }
    open.extend(inventory.attempts.iter().filter(|work| work.fate == Fate::Alive).map(|work| work.key));
    reach(store, inventory, open)
}

/// Everything that the results under these keys were made from, themselves included. Where a result on the way was taken
/// away, its tombstone still says from what it was made.
pub(super) fn reach(store: &Store, inventory: &Inventory, mut open: Vec<Digest>) -> BTreeSet<Digest> {
    let mut reached = BTreeSet::new();
    while let Some(key) = open.pop() {
        if !reached.insert(key) {
            continue;
        }
        match inventory.results.get(&key) {
            Some(held) => open.extend(made_from(&held.record)),
            None => {
                let record = store.tombstone(&key).and_then(|tombstone| tombstone.record);
                open.extend(record.iter().flat_map(made_from));
            }
        }
    }
    reached
}

/// The keys that went into a record by its document, and the record whose result it shares.
pub(super) fn made_from(record: &Record) -> impl Iterator<Item = Digest> {
    let inputs = record.document["inputs"].as_object().into_iter().flat_map(|inputs| inputs.values());
    inputs.filter_map(|key| key.as_str()?.parse().ok()).chain(record.alias_of)
}
