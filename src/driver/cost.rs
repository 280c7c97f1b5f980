//! What a result cost: the work of every stage behind it, and the memory of the one that needed most.

use super::Project;
use crate::store::{Record, StoreError};
use std::collections::BTreeMap;

/// Seconds, trained tokens and memory of some stages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Seconds of work.
    pub seconds: f64,
    /// Tokens trained on; `None` where no stage tells.
    pub trained_tokens: Option<f64>,
    /// Bytes that the stage of the greatest need had at its peak; `None` where no stage tells.
    pub peak_memory: Option<u64>,
    /// Whether a policy collapsed in one of them.
    pub collapsed: bool,
}

impl Cost {
    /// The cost of both.
    pub fn add(&mut self, other: &Cost) {
        self.seconds += other.seconds;
        if let Some(tokens) = other.trained_tokens {
            *self.trained_tokens.get_or_insert(0.0) += tokens;
        }
        self.peak_memory = self.peak_memory.max(other.peak_memory);
        self.collapsed |= other.collapsed;
    }
}

/// Reads records and remembers them: comparisons ask for the same ones again and again.
pub struct Records<'a> {
    project: &'a Project,
    read: BTreeMap<usize, Option<Record>>,
}

impl<'a> Records<'a> {
    /// Knows no record yet.
    pub fn new(project: &'a Project) -> Self {
        Records { project, read: BTreeMap::new() }
    }

    /// The record of a stage, where there is one.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub fn get(&mut self, node: usize) -> Result<Option<&Record>, StoreError> {
        if !self.read.contains_key(&node) {
            let found = self.project.store.result(&self.project.graph.node(node).key)?.found();
            self.read.insert(node, found);
        }
        Ok(self.read.get(&node).and_then(Option::as_ref))
    }

    /// The cost of a stage and everything behind it, as far as records tell.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub fn cost_of(&mut self, node: usize) -> Result<Cost, StoreError> {
        let mut cost = Cost::default();
        for node in self.project.graph.closure(node) {
            // A result that stayed in a remote cache cost what it cost.
            let record = self.get(node)?.cloned();
            let key = &self.project.graph.node(node).key;
            if let Some(record) = record.or_else(|| self.project.store.remembered(key)) {
                cost.add(&Cost {
                    seconds: record.seconds_in_all(),
                    trained_tokens: record.metrics.get("trained_tokens").copied(),
                    peak_memory: record.made.peak_memory,
                    collapsed: record.metrics.get("collapsed").is_some_and(|&collapsed| collapsed == 1.0),
                });
            }
        }
        Ok(cost)
    }
}
