//! Publishing: blobs first, then the way from the shallow key, then the record; a crash between any two is harmless.

use super::Store;
use super::error::StoreError;
use super::lease::take_away_stale;
use super::lookup::{Lookup, lead};
use super::record::{Record, RecordDraft};
use crate::base::digest::Digest;
use crate::base::fs::{create_exclusive, write_atomic};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

impl Store {
    /// Puts the outputs (role to folder) into the store and records them under the draft's key.
    ///
    /// A whole result that is there already stays and is returned: the first wins, never the newest. Afterwards the
    /// attempts are gone that the outputs lay in.
    ///
    /// # Errors
    /// [`StoreError::Output`] where an output is empty or not made of plain files; [`StoreError::Io`] where the disk
    /// refuses. Then there is no record.
    pub fn publish(&self, draft: RecordDraft, outputs: &BTreeMap<String, PathBuf>) -> Result<Record, StoreError> {
        let key = draft.key;
        let _guard = self.publishing()?;
        let staging = self.staging(&key)?;
        let stored = self.store_outputs(&staging, outputs);
        // A leftover is removed by the next attempt at this key.
        let _ = fs::remove_dir_all(&staging);
        let record = self.commit(draft.into_record(stored?))?;
        self.tidy(&key, outputs);
        Ok(record)
    }

    /// Records that a new deep key has the result of `of`, which has the same shallow key.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the record cannot be written; [`StoreError::Artifact`] where gc took the result away since
    /// it was found.
    pub fn alias(&self, of: &Record, draft: RecordDraft) -> Result<Record, StoreError> {
        let _guard = self.publishing()?;
        for digest in of.outputs.values() {
            if let Some(missing) = self.what_is_missing(digest)? {
                return Err(StoreError::Artifact { digest: *digest, why: missing.to_string() });
            }
        }
        self.commit(Record {
            key: draft.key,
            name: draft.name,
            declared_at: draft.declared_at,
            alias_of: Some(of.alias_of.unwrap_or(of.key)),
            document: draft.document,
            run: draft.run,
            ..of.clone()
        })
    }

    /// As [`Store::clear_leftovers`], for those of the keys that left something: most did not.
    pub fn clear_leftovers_of(&self, keys: &HashSet<Digest>) {
        for folder in [self.layout.all_attempts(), self.layout.leases()] {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let left = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<Digest>().ok());
            left.filter(|key| keys.contains(key)).for_each(|key| self.clear_leftovers(&key));
        }
    }

    /// Removes what a process that was killed right after it published this key left behind. What cannot be removed
    /// costs space and nothing else.
    pub fn clear_leftovers(&self, key: &Digest) {
        if self.layout.attempts(key).exists() {
            self.remove_dead_attempts(key);
            self.tidy(key, &BTreeMap::new());
        }
        let lease = self.layout.lease(key);
        if lease.exists() {
            let _ = take_away_stale(&lease);
        }
    }

    fn store_outputs(
        &self,
        staging: &Path,
        outputs: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, Digest>, StoreError> {
        let store = |(role, folder): (&String, &PathBuf)| {
            self.store_folder(staging, role, folder).map(|digest| (role.clone(), digest))
        };
        outputs.iter().map(store).collect()
    }

    /// Writes the record unless a whole result is there; one that cannot be used gives way.
    pub(super) fn commit(&self, record: Record) -> Result<Record, StoreError> {
        self.lead_from_shallow(&record)?;
        let path = self.layout.record(&record.key);
        self.layout.prepare_parent(&path)?;
        let text = record.to_text().map_err(|error| StoreError::io("write a record", &path)(error.into()))?;
        if create_exclusive(&path, text.as_bytes()).map_err(StoreError::placed("write a record", &path))? {
            self.unbury(&record.key);
            return Ok(record);
        }
        if let Lookup::Found(existing) = self.lookup(&record.key)? {
            return Ok(*existing);
        }
        write_atomic(&path, text.as_bytes()).map_err(StoreError::placed("write a record", &path))?;
        Ok(record)
    }

    /// Lets the shallow key lead to this record, unless it leads to a whole result.
    fn lead_from_shallow(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.layout.shallow(&record.shallow);
        self.layout.prepare_parent(&path)?;
        let line = lead(&record.shallow, &record.key);
        let failed = || StoreError::placed("write an alias", &path);
        if create_exclusive(&path, line.as_bytes()).map_err(failed())? {
            return Ok(());
        }
        match self.lookup_shallow(&record.shallow)? {
            Lookup::Found(_) => Ok(()),
            Lookup::Missing(_) => write_atomic(&path, line.as_bytes()).map_err(failed()),
        }
    }

    /// Removes what the published result makes useless. What stays behind costs space and nothing else.
    fn tidy(&self, key: &Digest, outputs: &BTreeMap<String, PathBuf>) {
        let attempts = self.layout.attempts(key);
        for output in outputs.values() {
            if let Some(attempt) = output.strip_prefix(&attempts).ok().and_then(|inside| inside.iter().next()) {
                let _ = fs::remove_dir_all(attempts.join(attempt));
            }
        }
        let _ = fs::remove_dir(&attempts);
    }
}
