//! Records of results that stay remote: nothing here needs their bytes, but costs count them and people ask for them.

use crate::base::digest::Digest;
use crate::base::fs::write_atomic;
use crate::store::Store;
use crate::store::record::Record;
use std::fs;
use std::path::PathBuf;

impl Store {
    /// Keeps the record of a result that is in a remote cache and not here. Losing it costs a line in a table.
    pub fn remember(&self, record: &Record) {
        let path = self.known(&record.key);
        if path.exists() || self.layout().prepare_parent(&path).is_err() {
            return;
        }
        if let Ok(text) = record.to_text() {
            let _ = write_atomic(&path, text.as_bytes());
        }
    }

    /// The record of a result that was seen in a remote cache.
    pub fn remembered(&self, key: &Digest) -> Option<Record> {
        let text = fs::read_to_string(self.known(key)).ok()?;
        Record::from_text(key, &text).ok()
    }

    fn known(&self, key: &Digest) -> PathBuf {
        self.layout().remote().join("known").join(format!("{key}.json"))
    }
}
