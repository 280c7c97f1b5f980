//! Taking away what was chosen, in an order in which a crash after any step leaves nothing broken.
//!
//! 1. Tombstones. While a record is there, its tombstone is not read: a crash leaves a result with a reason too many.
//! 2. Training states, attempts and what else nothing refers to.
//! 3. Records, with what came second under their keys, and the ways that led to them. A crash leaves blobs without a
//!    record, which the next gc takes. Their folder is flushed, so that no power cut brings a record back.
//! 4. Blobs.

use super::collect::Cleaning;
use super::inventory::{Found, Inventory};
use crate::base::digest::Digest;
use crate::base::failpoint::failpoint;
use crate::base::fs::{sync_parent, write_atomic};
use crate::store::lease::take_away_stale;
use crate::store::lookup::{lead as lead_text, read_lead};
use crate::store::{Remover, Store, StoreError, Tombstone};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Takes it all away. The store's lock is held, so nothing is published meanwhile.
pub(super) fn sweep(store: &Store, inventory: &Inventory, cleaning: &Cleaning) -> Result<(), StoreError> {
    for (gone, why) in &cleaning.results {
        let record = inventory.results.get(&gone.it.key).map(|holding| holding.record.clone());
        store.bury(&Tombstone::new(gone.it.key, Remover::Gc, why.clone(), record))?;
    }
    flush_folder_of(store.layout().tombstones().join("any").as_path())?;
    failpoint("gc.tombstones.written");
    sweep_work(store, cleaning)?;
    let leaving = cleaning.results.iter().map(|(gone, _)| gone.it.key).collect();
    sweep_records(store, inventory, &leaving)?;
    failpoint("gc.records.removed");
    cleaning.blobs.iter().try_for_each(|(_, blob)| {
        remove(blob)?;
        failpoint("gc.blob.removed");
        Ok(())
    })
}

fn sweep_work(store: &Store, cleaning: &Cleaning) -> Result<(), StoreError> {
    for (gone, _) in &cleaning.states {
        // A worker that has begun on them since keeps them.
        if let Some(_at_rest) = store.place(&gone.it.key).try_lock() {
            store.drop_states(&gone.it.key);
        }
    }
    for (_, attempt) in &cleaning.attempts {
        remove(attempt)?;
    }
    for (key, _) in &cleaning.attempts {
        // It stays where another attempt is in it.
        let _ = fs::remove_dir(store.layout().attempts(key));
    }
    let files = cleaning.logs.iter().chain(&cleaning.leftovers);
    files.chain(cleaning.widows.iter().map(|(_, folder)| folder)).try_for_each(remove)?;
    for file in &cleaning.bookkeeping {
        if file.path.starts_with(store.layout().leases()) {
            take_away_stale(&file.path)?;
        } else {
            remove(file)?;
        }
    }
    Ok(())
}

/// Removes records, with what came second under their keys, and then the ways that led to them.
fn sweep_records(store: &Store, inventory: &Inventory, leaving: &BTreeSet<Digest>) -> Result<(), StoreError> {
    for holding in leaving.iter().filter_map(|key| inventory.results.get(key)) {
        remove(&holding.file)?;
        failpoint("gc.record.removed");
        holding.alternates.as_ref().map_or(Ok(()), remove)?;
    }
    flush_folder_of(store.layout().records().join("any").as_path())?;
    lead_anew(inventory, leaving)
}

/// Lets ways that lead to no record lead to one that stays and has the shallow key; removes those for which there is none.
pub(super) fn lead_anew(inventory: &Inventory, leaving: &BTreeSet<Digest>) -> Result<(), StoreError> {
    let stays = |key: &Digest| !leaving.contains(key) && inventory.results.contains_key(key);
    let mut heirs = BTreeMap::new();
    for (key, holding) in inventory.results.iter().filter(|(key, _)| stays(key)) {
        // The original goes before those that share its result.
        let rank = (holding.record.alias_of.is_some(), &holding.record.made.time, *key);
        let heir = heirs.entry(holding.record.shallow).or_insert(rank);
        *heir = rank.min(*heir);
    }
    for (shallow, lead) in &inventory.leads {
        let leads_to = fs::read(&lead.path).ok().and_then(|bytes| read_lead(&bytes));
        if leads_to.is_some_and(|key| stays(&key)) {
            continue;
        }
        match heirs.get(shallow) {
            Some((_, _, key)) => write_atomic(&lead.path, lead_text(shallow, key).as_bytes())
                .map_err(StoreError::placed("write an alias", &lead.path))?,
            None => remove(lead)?,
        }
    }
    Ok(())
}

fn remove(found: &Found) -> Result<(), StoreError> {
    remove_path(&found.path, found.is_folder)
}

/// Removes a file or a folder; what is gone already is no error.
pub(super) fn remove_path(path: &Path, is_folder: bool) -> Result<(), StoreError> {
    match if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StoreError::io("remove what is not needed", path)(error))
        }
        _ => Ok(()),
    }
}

/// Flushes the folder that a file lies in; where there is none, there is nothing to flush.
fn flush_folder_of(path: &Path) -> Result<(), StoreError> {
    let flushed: io::Result<()> = match sync_parent(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        flushed => flushed,
    };
    flushed.map_err(StoreError::io("flush a folder of the store", path))
}
