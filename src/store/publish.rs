//! Publishing: blobs first, then the way from the shallow key, then the record; a crash between any two is harmless.

use super::Store;
use super::blob::unflushed;
use super::error::StoreError;
use super::lease::take_away_stale;
use super::lookup::{Lookup, lead};
use super::record::{Record, RecordDraft};
use crate::base::digest::Digest;
use crate::base::failpoint::failpoint;
use crate::base::fs::{Aside, remove_dir, remove_dir_all, sync_parent, sync_paths, write_atomic};
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
    pub fn publish(&self, draft: RecordDraft, outputs: &BTreeMap<String, PathBuf>) -> Result<Published, StoreError> {
        let key = draft.key;
        let _guard = self.publishing()?;
        let staging = self.staging(&key)?;
        let published = self.publish_from(&staging, draft, outputs);
        // A leftover is removed by the next attempt at this key.
        let _ = remove_dir_all(&staging);
        let published = published?;
        self.tidy(&key, outputs);
        Ok(published)
    }

    /// Each paragraph ends with its bytes or names on the disk, and the next builds on them.
    fn publish_from(
        &self,
        staging: &Path,
        draft: RecordDraft,
        outputs: &BTreeMap<String, PathBuf>,
    ) -> Result<Published, StoreError> {
        let (mut blobs, mut digests) = (Vec::new(), BTreeMap::new());
        for (role, folder) in outputs {
            blobs.extend(self.ready_folder(staging, role, folder)?);
            digests.extend(blobs.last().map(|list| (role.clone(), list.digest)));
        }
        let mut pending = self.write_record(draft.into_record(digests))?;
        let files: Vec<&Path> = unflushed(&blobs).chain(pending.files()).collect();
        sync_paths(&files).map_err(StoreError::placed("write a blob", staging))?;
        failpoint("publish.blob.synced");

        let mut folders = self.name_blobs(&blobs, staging)?;
        folders.extend(self.layout.durable_folders());
        folders.extend(self.lead_to(&mut pending)?);
        let folders: Vec<PathBuf> = folders.into_iter().collect();
        sync_paths(&folders).map_err(StoreError::placed("name a blob", staging))?;
        failpoint("publish.blob.named");

        self.finish(pending)
    }

    /// Records that a new deep key has the result of `of`, which has the same shallow key. A store that can only be read
    /// serves the result all the same.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the record cannot be written; [`StoreError::Artifact`] where gc took the result away since
    /// it was found.
    pub fn alias(&self, of: &Record, draft: RecordDraft) -> Result<Record, StoreError> {
        let record = of.aliased(draft);
        match self.commit_alias(record.clone()) {
            Err(error) if error.is_read_only() => Ok(record),
            committed => committed,
        }
    }

    fn commit_alias(&self, record: Record) -> Result<Record, StoreError> {
        let _guard = self.publishing()?;
        for digest in record.outputs.values() {
            if let Some(missing) = self.what_is_missing(digest)? {
                return Err(StoreError::Artifact { digest: *digest, why: missing.to_string() });
            }
        }
        let record = self.commit(record)?;
        failpoint("alias.recorded");
        Ok(record)
    }

    /// Writes the record of a result whose blobs are on the disk, unless a whole result is there.
    pub(super) fn commit(&self, record: Record) -> Result<Record, StoreError> {
        let mut pending = self.write_record(record)?;
        let files: Vec<&Path> = pending.files().collect();
        sync_paths(&files).map_err(StoreError::placed("write a record", self.root()))?;
        let folders = [self.layout.durable_folders(), self.lead_to(&mut pending)?].concat();
        sync_paths(&folders).map_err(StoreError::placed("write an alias", self.root()))?;
        self.finish(pending).map(|published| published.record)
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

    /// Writes the record, and what leads to it from the shallow key, beside the places that they are meant for.
    fn write_record(&self, record: Record) -> Result<Pending, StoreError> {
        let path = self.layout.record(&record.key);
        self.layout.prepare_parent(&path)?;
        let text = record.to_text().map_err(|error| StoreError::io("write a record", &path)(error.into()))?;
        let file = Aside::write(&path, text.as_bytes()).map_err(StoreError::placed("write a record", &path))?;
        let lead = match self.lookup_shallow(&record.shallow)? {
            Lookup::Found(_) => None,
            Lookup::Missing(_) => Some(self.write_lead(&record)?),
        };
        Ok(Pending { record, file, lead })
    }

    fn write_lead(&self, record: &Record) -> Result<Aside, StoreError> {
        let path = self.layout.shallow(&record.shallow);
        self.layout.prepare_parent(&path)?;
        let line = lead(&record.shallow, &record.key);
        Aside::write(&path, line.as_bytes()).map_err(StoreError::placed("write an alias", &path))
    }

    /// Lets the shallow key lead to the record, and returns the folders to flush. What it led to was no whole result.
    fn lead_to(&self, pending: &mut Pending) -> Result<Vec<PathBuf>, StoreError> {
        let path = self.layout.shallow(&pending.record.shallow);
        if let Some(lead) = pending.lead.take() {
            lead.replace().map_err(StoreError::placed("write an alias", &path))?;
        }
        failpoint("publish.shallow.written");
        Ok(path.parent().filter(|folder| folder.is_dir()).map(Path::to_path_buf).into_iter().collect())
    }

    /// Gives the record its name unless a whole result is there; one that cannot be used gives way.
    fn finish(&self, pending: Pending) -> Result<Published, StoreError> {
        let Pending { record, file, .. } = pending;
        let path = self.layout.record(&record.key);
        let failed = || StoreError::placed("write a record", &path);
        let created = file.create().map_err(failed())?;
        if created {
            self.unbury(&record.key);
        }
        if !created && let Lookup::Found(existing) = self.lookup(&record.key)? {
            // Whoever wrote it may not have flushed its name yet.
            sync_parent(&path).map_err(failed())?;
            let differs = existing.outputs != record.outputs;
            let alternate = differs.then(|| self.keep_alternate(record)).transpose()?;
            return Ok(Published { record: *existing, alternate });
        }
        if !created {
            let text = record.to_text().map_err(|error| StoreError::io("write a record", &path)(error.into()))?;
            write_atomic(&path, text.as_bytes()).map_err(failed())?;
        }
        sync_parent(&path).map_err(failed())?;
        failpoint("publish.record.created");
        Ok(Published { record, alternate: None })
    }

    /// Removes what the published result makes useless. What stays behind costs space and nothing else.
    fn tidy(&self, key: &Digest, outputs: &BTreeMap<String, PathBuf>) {
        let attempts = self.layout.attempts(key);
        for output in outputs.values() {
            if let Some(attempt) = output.strip_prefix(&attempts).ok().and_then(|inside| inside.iter().next()) {
                let _ = remove_dir_all(&attempts.join(attempt));
            }
        }
        let _ = remove_dir(&attempts);
        failpoint("publish.attempt.removed");
    }
}

/// What publishing came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// The result under the key: ours, or the one that was there before.
    pub record: Record,
    /// Ours, where another was there before and has other bytes: it is kept beside it.
    pub alternate: Option<Record>,
}

/// A record that is written but has no name yet.
struct Pending {
    record: Record,
    file: Aside,
    /// The file that leads to it from the shallow key, where nothing does yet.
    lead: Option<Aside>,
}

impl Pending {
    /// The files whose bytes are to be flushed.
    fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.file).chain(&self.lead).map(Aside::current_path)
    }
}
