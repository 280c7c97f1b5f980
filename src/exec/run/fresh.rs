//! `run --fresh`: a stage is computed anew, and what came out is held against the result that is kept.

use super::Engine;
use crate::base::digest::Digest;
use crate::base::event::{Event, FileChange, MetricChange};
use crate::store::{Record, StoreError};
use std::collections::{BTreeMap, BTreeSet};

impl Engine<'_> {
    pub(super) fn is_fresh(&self, node: usize) -> bool {
        self.world.fresh.contains(&node)
    }

    /// Tells whether a stage came out as the kept result; `new` is what it made now, where that has other bytes.
    pub(super) fn compare(
        &self,
        node: usize,
        kept: &Record,
        new: Option<&Record>,
        metrics: &BTreeMap<String, f64>,
    ) -> Result<(), StoreError> {
        let files = match new {
            Some(new) => changes(&self.blobs(kept)?, &self.blobs(new)?)
                .into_iter()
                .map(|(name, was, is)| FileChange { name, was, is })
                .collect(),
            None => Vec::new(),
        };
        let metrics: Vec<MetricChange> = changes(&kept.metrics.clone().into(), metrics)
            .into_iter()
            .map(|(name, was, is)| MetricChange { name, was, is })
            .collect();
        let (stage, with, same) = (self.stage(node), kept.run.clone(), new.is_none());
        self.tell(Event::StageCompared { stage, with, same, files, metrics });
        Ok(())
    }

    /// The digests of a result's files by their names.
    fn blobs(&self, record: &Record) -> Result<BTreeMap<String, Digest>, StoreError> {
        let mut blobs = BTreeMap::new();
        for digest in record.outputs.values() {
            let artifact = self.world.store.artifact(digest)?;
            blobs.extend(artifact.entries().iter().map(|entry| (entry.path.clone(), entry.blob)));
        }
        Ok(blobs)
    }
}

/// What two maps hold that differs, by name: in the first, and in the second.
fn changes<T: Copy + PartialEq>(
    was: &BTreeMap<String, T>,
    is: &BTreeMap<String, T>,
) -> Vec<(String, Option<T>, Option<T>)> {
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let pairs = names.into_iter().map(|name| (name.clone(), was.get(name).copied(), is.get(name).copied()));
    pairs.filter(|(_, was, is)| was != is).collect()
}
