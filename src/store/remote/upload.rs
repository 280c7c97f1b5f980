//! Taking a result out: blobs first, then the lead from its shallow key, then its record, created only where none is.

use super::{RemoteError, Shared, lock, parallel::parallel};
use crate::base::digest::Digest;
use crate::store::record::Record;
use crate::store::{Lookup, StoreError};
use object_store::PutMode;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

/// Blobs at the same time.
const BLOBS: usize = 4;

/// What became of a result that was to go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is there; so many bytes of blobs went.
    Whole(u64),
    /// It is not here any more.
    Gone,
    /// Another machine's result has the key: this one stays here.
    Other,
}

impl Shared {
    /// Uploads the result of a key.
    pub(super) fn upload(&self, key: &Digest) -> Result<Sent, RemoteError> {
        let Lookup::Found(record) = self.store.lookup(key).map_err(here)? else { return Ok(Sent::Gone) };
        self.prepare()?;
        let blobs = Vec::from_iter(self.blobs(&record)?);
        // Where some of a result was found damaged, the rest of it was not looked at.
        let suspect = self.distrusts(key);
        let (sent, first_error) = (Mutex::new(0), Mutex::new(None));
        parallel(&blobs, BLOBS, |(digest, size)| {
            if lock(&first_error).is_some() {
                return;
            }
            match self.send_blob(digest, *size, suspect) {
                Ok(bytes) => *lock(&sent) += bytes,
                Err(error) => drop(lock(&first_error).get_or_insert(error)),
            }
        });
        if let Some(error) = lock(&first_error).take() {
            return Err(error);
        }
        self.send_lead(&record)?;
        let whole = self.send_record(&record)?;
        let bytes = *lock(&sent);
        Ok(if whole { Sent::Whole(bytes) } else { Sent::Other })
    }

    /// Every blob of a result, the lists of files among them, with their sizes.
    fn blobs(&self, record: &Record) -> Result<BTreeMap<Digest, u64>, RemoteError> {
        let mut blobs = BTreeMap::new();
        for tree in record.outputs.values() {
            let artifact = self.store.artifact(tree).map_err(here)?;
            blobs.extend(artifact.entries().iter().map(|entry| (entry.blob, entry.size)));
            let path = self.store.layout().blob(tree);
            let size = fs::metadata(&path).map_err(|error| RemoteError::Here(error.to_string()))?.len();
            blobs.insert(*tree, size);
        }
        Ok(blobs)
    }

    /// Sends a blob, unless one of its size is there that nobody suspects to be damaged. Returns the bytes that went.
    fn send_blob(&self, digest: &Digest, size: u64, suspect: bool) -> Result<u64, RemoteError> {
        if self.is_abandoned() {
            return Err(RemoteError::Here("it was interrupted".to_string()));
        }
        let name = self.names.blob(digest);
        if !suspect && !self.distrusts(digest) && self.link.size(&name)? == Some(size) {
            return Ok(0);
        }
        self.link.write_file(&name, &self.store.layout().blob(digest), size, digest)?;
        lock(&self.distrusted).remove(digest);
        Ok(size)
    }

    /// Lets the shallow key lead to this record, unless it leads to one that can be read.
    fn send_lead(&self, record: &Record) -> Result<(), RemoteError> {
        let (name, line) = (self.names.shallow(&record.shallow), format!("{}\n", record.key));
        if self.link.write(&name, line.as_bytes(), PutMode::Create)? {
            return Ok(());
        }
        let leads_to_one = match self.lead(&record.shallow)? {
            Some(key) if key == record.key => true,
            // One that is damaged is as good as none.
            Some(key) => matches!(self.record(&key), Ok(Some(_))),
            None => false,
        };
        if !leads_to_one {
            self.link.write(&name, line.as_bytes(), PutMode::Overwrite)?;
        }
        Ok(())
    }

    /// Creates the record. Where one is already, it stays; false where it tells of other outputs. One that nobody can
    /// use gives way.
    fn send_record(&self, record: &Record) -> Result<bool, RemoteError> {
        let name = self.names.record(&record.key);
        let text = record.to_text().map_err(|error| RemoteError::Here(error.to_string()))?;
        if self.link.write(&name, text.as_bytes(), PutMode::Create)? {
            return Ok(true);
        }
        match self.record(&record.key) {
            Ok(Some(existing)) => return Ok(existing.outputs == record.outputs),
            Ok(None) => {}
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
        self.link.write(&name, text.as_bytes(), PutMode::Overwrite)?;
        lock(&self.distrusted).remove(&record.key);
        Ok(true)
    }
}

fn here(error: StoreError) -> RemoteError {
    RemoteError::Here(error.to_string())
}
