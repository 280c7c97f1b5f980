//! `verify`: every byte of the store is read and held against what it should be. What is bad is told and passed by.

use super::inventory::{Found, Inventory, name_of};
use crate::base::digest::Digest;
use crate::base::seal;
use crate::store::artifact::read_tree;
use crate::store::lookup::{digest_of, lead, read_lead};
use crate::store::{Pin, Record, RunRoot, Store, StoreError, Tombstone};
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// How keys are made: the store holds documents, and does not know what they mean.
pub struct Keys<'a> {
    /// The deep key of a document.
    pub deep: &'a (dyn Fn(&Json) -> Digest + Sync),
    /// The shallow key of a document, given the artifacts that went in.
    pub shallow: &'a (dyn Fn(&Json, &BTreeMap<String, Digest>) -> Digest + Sync),
}

/// The sorts of things that can be bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A file of a result, or the list of its files.
    Object,
    /// What a result is.
    Record,
    /// The record of a result that came second.
    Alternate,
    /// The way from a shallow key.
    Lead,
    /// What tells of a result that was taken away.
    Tombstone,
    /// What keeps a result.
    Pin,
    /// What a run wanted.
    RunRoot,
    /// A training state.
    State,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Bad {
    /// What it is.
    pub what: Part,
    /// Where it is, or should be.
    pub path: PathBuf,
    /// The key or the digest that names it.
    pub key: Option<Digest>,
    /// What is wrong with it, as half a sentence.
    pub why: String,
    /// The results that are of no use without it.
    pub results: Vec<Digest>,
    /// Whether it was dropped, so that the next run makes it again.
    pub dropped: bool,
}

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Objects read.
    pub objects: usize,
    /// Records read.
    pub records: usize,
    /// Training states read.
    pub states: usize,
    /// Other files that have a seal: pins, tombstones and the like.
    pub others: usize,
    /// Bytes read.
    pub bytes: u64,
    /// What is bad, by its path.
    pub bad: Vec<Bad>,
}

/// Told while it reads: bytes read so far, and of how many.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

impl Store {
    /// Reads everything, and drops what is bad where `repair` says so. Event logs and leases are not looked at: nothing
    /// depends on them.
    ///
    /// # Errors
    /// [`StoreError::Io`] where a folder cannot be listed, or something bad not be dropped. A file that cannot be read
    /// is bad, and no error.
    pub fn verify(&self, keys: &Keys, repair: bool, progress: Progress) -> Result<Verified, StoreError> {
        if !self.layout.is_made() {
            return Ok(Verified::default());
        }
        // Together with those who publish: gc would take things away between the look at the folders and the reading.
        // A store that cannot be written has no gc.
        let guard = self.publishing().ok();
        let inventory = Inventory::take(self, SystemTime::now())?;
        let mut verified = check(self, &inventory, keys, progress)?;
        drop(guard);
        if repair && !verified.bad.is_empty() {
            super::repair::repair(self, keys, &mut verified.bad)?;
        }
        Ok(verified)
    }
}

fn check(store: &Store, inventory: &Inventory, keys: &Keys, progress: Progress) -> Result<Verified, StoreError> {
    let states: Vec<(Digest, Found)> = inventory.states.iter().flat_map(|(key, it)| steps(*key, it)).collect();
    let objects: u64 = inventory.blobs.values().map(|found| found.size).sum();
    let total = objects + states.iter().map(|(_, found)| found.size).sum::<u64>();
    let done = AtomicU64::new(0);
    let tell = |read: u64| progress(done.fetch_add(read, Ordering::Relaxed) + read, total);
    let bad_objects = check_objects(inventory, &tell);
    let mut verified = Verified {
        objects: inventory.blobs.len(),
        records: inventory.results.len() + inventory.damaged.len(),
        states: states.len(),
        ..Verified::default()
    };
    verified
        .bad
        .extend(states.par_iter().filter_map(|(key, state)| check_state(*key, state, &tell)).collect::<Vec<_>>());
    verified.bad.extend(check_records(store, inventory, keys, bad_objects));
    let small = Small { store, inventory, keys }.check()?;
    verified.others = small.len();
    verified.bad.extend(small.into_iter().flatten());
    verified.bytes = done.into_inner();
    verified.bad.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(verified)
}

/// What is wrong with each object whose bytes are not those of its name.
fn check_objects(inventory: &Inventory, tell: &(dyn Fn(u64) + Sync)) -> HashMap<Digest, String> {
    let mut objects: Vec<(&Digest, &Found)> = inventory.blobs.iter().collect();
    // The largest first, so that the last ones to be read are short.
    objects.sort_by_key(|(_, found)| std::cmp::Reverse(found.size));
    let check = |(digest, found): &(&Digest, &Found)| {
        let wrong = object_fault(digest, &found.path);
        tell(found.size);
        wrong.map(|why| (**digest, why))
    };
    objects.par_iter().with_max_len(1).filter_map(check).collect()
}

/// What is wrong with the object at `path`.
pub(super) fn object_fault(digest: &Digest, path: &Path) -> Option<String> {
    match digest_of(path) {
        Ok(found) if found == *digest => None,
        Ok(_) => Some("its bytes are not those that were written".to_string()),
        Err(error) => Some(error.to_string()),
    }
}

fn check_records(store: &Store, inventory: &Inventory, keys: &Keys, mut bad: HashMap<Digest, String>) -> Vec<Bad> {
    let mut users: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
    for (key, holding) in &inventory.results {
        for output in holding.record.outputs.values() {
            for (blob, why) in tree_faults(store, inventory, output, &bad) {
                bad.entry(blob).or_insert(why);
            }
        }
        for blob in holding.blobs.iter().filter(|blob| bad.contains_key(*blob)) {
            users.entry(*blob).or_default().insert(*key);
        }
    }
    let object = |(digest, why): (Digest, String)| {
        let results: Vec<Digest> = users.get(&digest).into_iter().flatten().copied().collect();
        let path = store.layout().blob(&digest);
        Bad { what: Part::Object, path, key: Some(digest), why, results, dropped: false }
    };
    let mut found: Vec<Bad> = bad.into_iter().map(object).collect();
    found.extend(inventory.damaged.iter().map(|it| {
        let key = key_of(&it.path);
        Bad { results: key.into_iter().collect(), ..Bad::new(Part::Record, &it.path, key, it.why.clone()) }
    }));
    let wrong = |(key, holding): (&Digest, &super::inventory::Holding)| {
        let why = key_fault(&holding.record, keys)?;
        Some(Bad { results: vec![*key], ..Bad::new(Part::Record, &holding.file.path, Some(*key), why) })
    };
    found.extend(inventory.results.iter().filter_map(wrong));
    found
}

/// Objects that an artifact needs and that are not there, or not with the size that it names.
fn tree_faults(
    store: &Store,
    inventory: &Inventory,
    tree: &Digest,
    bad: &HashMap<Digest, String>,
) -> Vec<(Digest, String)> {
    if bad.contains_key(tree) {
        return Vec::new();
    }
    let bytes = match fs::read(store.layout().blob(tree)) {
        Ok(bytes) => bytes,
        Err(_) => return vec![(*tree, "it is missing".to_string())],
    };
    let entries = match read_tree(tree, &bytes) {
        Ok(entries) => entries,
        Err(why) => return vec![(*tree, why)],
    };
    let fault = |blob: &Digest, size: u64| match inventory.blobs.get(blob) {
        None => Some("it is missing".to_string()),
        Some(found) if found.size != size => Some(format!("{} bytes where {size} were written", found.size)),
        Some(_) => None,
    };
    entries.iter().filter_map(|entry| Some((entry.blob, fault(&entry.blob, entry.size)?))).collect()
}

/// Whether a record's keys are those of its document.
pub(super) fn key_fault(record: &Record, keys: &Keys) -> Option<String> {
    let deep = (keys.deep)(&record.document);
    if deep != record.key {
        return Some(format!("its document has the key {}", deep.short()));
    }
    let shallow = (keys.shallow)(&record.document, &record.inputs.clone().into());
    (shallow != record.shallow).then(|| format!("its document and inputs have the shallow key {}", shallow.short()))
}

/// The key that a file is named by.
pub(super) fn key_of(path: &Path) -> Option<Digest> {
    let name = name_of(path);
    name.strip_suffix(".json").unwrap_or(name).parse().ok()
}

/// The saved steps of a trajectory.
fn steps(key: Digest, folder: &Found) -> Vec<(Digest, Found)> {
    let inner = super::inventory::inside(&folder.path);
    inner.into_iter().filter(|it| name_of(&it.path).starts_with("step-")).map(|it| (key, it)).collect()
}

/// Holds the files of a training state against the digests that its `state.json` gives.
fn check_state(key: Digest, state: &Found, tell: &(dyn Fn(u64) + Sync)) -> Option<Bad> {
    let why = state_fault(&state.path);
    tell(state.size);
    why.map(|why| Bad::new(Part::State, &state.path, Some(key), why))
}

/// What is wrong with the training state in a folder.
pub(super) fn state_fault(folder: &Path) -> Option<String> {
    let manifest = folder.join(crate::base::state::MANIFEST);
    let manifest: Json = match fs::read(&manifest) {
        Ok(bytes) => match seal::unsealed_bytes(&bytes) {
            Ok(manifest) => manifest,
            Err(why) => return Some(format!("its state.json is damaged: {why}")),
        },
        Err(error) => return Some(format!("its state.json cannot be read: {error}")),
    };
    let files = manifest["files"].as_object().into_iter().flatten();
    for (name, digest) in files {
        let digest = digest.as_str().and_then(|digest| digest.parse::<Digest>().ok());
        match digest.zip(digest_of(&folder.join(name)).ok()) {
            Some((wanted, found)) if wanted == found => {}
            _ => return Some(format!("`{name}` is not as it was saved")),
        }
    }
    None
}

/// The small files: each has a seal, or a content that can be checked otherwise.
struct Small<'a> {
    store: &'a Store,
    inventory: &'a Inventory,
    keys: &'a Keys<'a>,
}

impl Small<'_> {
    /// For every small file, what is wrong with it, if anything is.
    fn check(&self) -> Result<Vec<Option<Bad>>, StoreError> {
        let layout = self.store.layout();
        let mut found = Vec::new();
        for (shallow, lead) in &self.inventory.leads {
            let why = self.lead_fault(shallow, &lead.path);
            found.push(why.map(|why| Bad::new(Part::Lead, &lead.path, Some(*shallow), why)));
        }
        for (key, stone) in &self.inventory.tombstones {
            let named = |stone: Tombstone| (stone.key != *key).then(|| format!("it is of {}", stone.key));
            found.push(sealed(Part::Tombstone, &stone.path, named));
        }
        for root in &self.inventory.roots {
            let is_pin = root.path.starts_with(layout.pins());
            found.push(match is_pin {
                true => sealed(Part::Pin, &root.path, |pin: Pin| {
                    (Some(pin.key) != key_of(&root.path)).then(|| format!("it is of {}", pin.key))
                }),
                false => sealed(Part::RunRoot, &root.path, |it: RunRoot| {
                    (Some(it.name()) != key_of(&root.path)).then(|| "it is of another run".to_string())
                }),
            });
        }
        for file in self.inventory.alternate_files() {
            found.push(self.alternate_fault(&file));
        }
        Ok(found)
    }

    fn lead_fault(&self, shallow: &Digest, path: &Path) -> Option<String> {
        let bytes = fs::read(path).unwrap_or_default();
        let Some(key) = read_lead(&bytes).filter(|key| bytes == lead(shallow, key).as_bytes()) else {
            return Some("its text was changed after it was written".to_string());
        };
        let record = &self.inventory.results.get(&key)?.record;
        (record.shallow != *shallow).then(|| format!("it leads to {}, which has another shallow key", key.short()))
    }

    fn alternate_fault(&self, file: &Found) -> Option<Bad> {
        let key = file.path.parent().and_then(key_of);
        let of_key = |record: Record| match (Some(record.key) == key, key_fault(&record, self.keys)) {
            (false, _) => Some(format!("it is of {}", record.key)),
            (true, why) => why,
        };
        sealed(Part::Alternate, &file.path, of_key)
    }
}

/// Reads a sealed file and holds its content against its name.
fn sealed<T: DeserializeOwned>(what: Part, path: &Path, fault: impl Fn(T) -> Option<String>) -> Option<Bad> {
    let why = match fs::read(path).map_err(|error| error.to_string()).and_then(|bytes| seal::unsealed_bytes(&bytes)) {
        Ok(value) => fault(value)?,
        Err(why) => why,
    };
    Some(Bad::new(what, path, key_of(path), why))
}

impl Bad {
    fn new(what: Part, path: &Path, key: Option<Digest>, why: String) -> Bad {
        Bad { what, path: path.to_path_buf(), key, why, results: Vec::new(), dropped: false }
    }
}
