//! `verify --repair`: what is bad is dropped, and so are the results that are of no use without it; the next run makes
//! them again.

use super::inventory::Inventory;
use super::sweep::{lead_anew, remove_path};
use super::verify::{Bad, Keys, Part, key_fault, object_fault, state_fault};
use crate::base::digest::Digest;
use crate::base::seal;
use crate::store::{Lookup, MissReason, Record, Remover, Store, StoreError, Tombstone};
use std::collections::BTreeSet;
use std::fs;
use std::time::SystemTime;

/// Drops what is bad. Everything is looked at once more with the store's lock held: what was published anew since it was
/// found bad is good now, and stays.
pub(super) fn repair(store: &Store, keys: &Keys, bad: &mut [Bad]) -> Result<(), StoreError> {
    let _guard = store.collecting(&|| {})?;
    for it in bad.iter_mut() {
        drop_part(store, keys, it)?;
        it.dropped = true;
    }
    let broken: BTreeSet<Digest> = bad.iter().flat_map(|it| it.results.iter().copied()).collect();
    for key in &broken {
        let why = bad.iter().find(|it| it.results.contains(key)).map_or_else(String::new, Bad::reason);
        drop_result(store, keys, key, why)?;
    }
    lead_anew(&Inventory::take(store, SystemTime::now())?, &BTreeSet::new())
}

fn drop_part(store: &Store, keys: &Keys, bad: &Bad) -> Result<(), StoreError> {
    let is_still_bad = match (bad.what, bad.key) {
        (Part::Object, Some(digest)) => object_fault(&digest, &bad.path).is_some(),
        (Part::State, _) => state_fault(&bad.path).is_some(),
        // With its result, below: the tombstone comes first.
        (Part::Record, _) => false,
        (Part::Pin, Some(key)) => return save_pin(store, &key),
        (Part::Tombstone, Some(key)) => store.tombstone(&key).is_none(),
        (Part::Alternate, _) => fs::read(&bad.path).map_or(true, |bytes| {
            let record = seal::unsealed_bytes::<Record>(&bytes);
            record.map_or(true, |record| key_fault(&record, keys).is_some())
        }),
        _ => true,
    };
    if is_still_bad { remove_path(&bad.path, bad.path.is_dir()) } else { Ok(()) }
}

/// A pin says by its very name what it keeps: only its note is lost.
fn save_pin(store: &Store, key: &Digest) -> Result<(), StoreError> {
    store.write_pin(key, "unknown".to_string(), Some("its note was damaged".to_string())).map(drop)
}

/// Takes away a result that is not whole.
fn drop_result(store: &Store, keys: &Keys, key: &Digest, why: String) -> Result<(), StoreError> {
    let path = store.layout().record(key);
    let record = fs::read_to_string(&path).ok().and_then(|text| Record::from_text(key, &text).ok());
    let is_whole = match store.lookup(key)? {
        Lookup::Found(record) => key_fault(&record, keys).is_none(),
        // What another repair, or a stage that ran, has taken away already.
        Lookup::Missing(MissReason::NoRecord | MissReason::Evicted { .. }) => true,
        Lookup::Missing(_) => false,
    };
    if is_whole {
        return Ok(());
    }
    let told = record.filter(|record| key_fault(record, keys).is_none());
    store.bury(&Tombstone::new(*key, Remover::Verify, why, told))?;
    remove_path(&path, false)
}

impl Bad {
    /// Why the results that need it are dropped.
    fn reason(&self) -> String {
        match self.what {
            Part::Record => format!("its record was damaged: {}", self.why),
            _ => format!("a file of it was damaged: {}: {}", self.path.display(), self.why),
        }
    }
}
