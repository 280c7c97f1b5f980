//! Alternates: results that came too late under their key and have other bytes than the first.
//!
//! A stage that makes other bytes from the same inputs is no function of them. The first result stays; the later one is
//! kept beside it, so that this can be seen and the two be compared.

use super::Store;
use super::error::StoreError;
use super::lookup::{files_in, parse};
use super::record::Record;
use crate::base::digest::Digest;
use crate::base::fs::create_exclusive;

impl Store {
    /// The results under a key that differ from the one that counts, oldest first. Damaged ones are left out.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the store cannot be read.
    pub fn alternates(&self, key: &Digest) -> Result<Vec<Record>, StoreError> {
        let files = files_in(&self.layout.alternates(key))?;
        let read = |bytes: Vec<u8>| parse(key, &bytes).ok();
        let mut records: Vec<Record> =
            files.iter().filter_map(|path| std::fs::read(path).ok()).filter_map(read).collect();
        records.sort_by(|a, b| a.made.time.cmp(&b.made.time));
        Ok(records)
    }

    /// Keeps a result beside the one that counts. One with the same outputs as an earlier alternate adds nothing.
    pub(super) fn keep_alternate(&self, record: Record) -> Result<Record, StoreError> {
        let outputs = serde_json::json!(record.outputs);
        let id = Digest::of("srlm alternate v1", &outputs).short();
        let path = self.layout.alternates(&record.key).join(format!("{id}.json"));
        self.layout.prepare_parent(&path)?;
        let text = record.to_text().map_err(|error| StoreError::io("keep another result", &path)(error.into()))?;
        create_exclusive(&path, text.as_bytes()).map_err(StoreError::placed("keep another result", &path))?;
        Ok(record)
    }
}
