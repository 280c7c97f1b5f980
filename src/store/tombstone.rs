//! Tombstones: what was taken out of the store, when, by what and why, with the record it had.

use super::Store;
use super::error::StoreError;
use super::moment::rfc3339;
use super::record::Record;
use crate::base::digest::Digest;
use crate::base::fs::aside;
use crate::base::seal;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::time::SystemTime;

/// What takes results out of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remover {
    /// `srlm store gc`.
    Gc,
    /// `srlm store verify --repair`.
    Verify,
    /// `srlm store import`, of an archive that tells of the result and does not hold it.
    Import,
}

/// What stands where a result was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The deep key.
    pub key: Digest,
    /// What took it away.
    pub by: Remover,
    /// When: RFC 3339, UTC.
    pub when: String,
    /// Why, as half a sentence.
    pub why: String,
    /// The record, so that what was made from the result can still say where it comes from; none where it could not
    /// be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
}

impl Tombstone {
    /// For a result that is taken away now.
    pub(super) fn new(key: Digest, by: Remover, why: impl Into<String>, record: Option<Record>) -> Tombstone {
        Tombstone { key, by, when: rfc3339(SystemTime::now()), why: why.into(), record }
    }
}

impl fmt::Display for Remover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Remover::Gc => "evicted by gc",
            Remover::Verify => "dropped by `store verify --repair`",
            Remover::Import => "not in the archive imported",
        })
    }
}

impl Store {
    /// What is known of a result that was taken away. A tombstone that cannot be read tells nothing.
    pub fn tombstone(&self, key: &Digest) -> Option<Tombstone> {
        let bytes = fs::read(self.layout.tombstone(key)).ok()?;
        seal::unsealed_bytes(&bytes).ok().filter(|tombstone: &Tombstone| tombstone.key == *key)
    }

    /// Writes a tombstone, whole or not at all. It is not flushed to the disk by itself: losing it in a power cut costs
    /// a reason, and a flush for each of ten thousand results would hold up every run.
    pub(super) fn bury(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        let path = self.layout.tombstone(&tombstone.key);
        self.layout.prepare_parent(&path)?;
        let failed = || StoreError::io("write a tombstone", &path);
        let text = seal::sealed(tombstone).map_err(|error| failed()(error.into()))?;
        let draft = aside(&path);
        fs::write(&draft, text).and_then(|()| fs::rename(&draft, &path)).map_err(|error| {
            // A leftover is never read, and gc takes it away.
            let _ = fs::remove_file(&draft);
            failed()(error)
        })
    }

    /// Takes a tombstone away from a key that has a result again.
    pub(super) fn unbury(&self, key: &Digest) {
        // One that stays is never read while there is a record.
        let _ = fs::remove_file(self.layout.tombstone(key));
    }
}
