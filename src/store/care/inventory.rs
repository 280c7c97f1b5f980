//! Everything that lies in a store, with sizes and times: one walk that only looks.

use crate::base::digest::Digest;
use crate::store::artifact::read_tree;
use crate::store::attempt::{Fate, fate};
use crate::store::record::Record;
use crate::store::roots::digest_files;
use crate::store::{Skipped, Store, StoreError, lease};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file or a folder with all that is in it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub path: PathBuf,
    /// Bytes of its files.
    pub size: u64,
    /// When the newest of them was written, by the file system's clock.
    pub modified: SystemTime,
    /// Whether it is a folder, and no link to one.
    pub is_folder: bool,
}

/// A record with its file.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub record: Record,
    pub file: Found,
    /// The folder of the results that came second under its key.
    pub alternates: Option<Found>,
    /// Artifacts and their files, by digest: what the record cannot do without.
    pub blobs: BTreeSet<Digest>,
    /// The same of the results that came second.
    pub second: BTreeSet<Digest>,
}

/// The work of one process on a key.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub key: Digest,
    pub folder: Found,
    pub fate: Fate,
}

/// What lies in a store.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub results: BTreeMap<Digest, Holding>,
    /// Records that cannot be read.
    pub damaged: Vec<Skipped>,
    pub blobs: HashMap<Digest, Found>,
    /// Training states by their trajectories.
    pub states: BTreeMap<Digest, Found>,
    /// The keys of the stages that saved them, by trajectory.
    pub saved_by: BTreeMap<Digest, BTreeSet<Digest>>,
    pub attempts: Vec<Work>,
    /// Keys with a lease that is not stale.
    pub leased: BTreeSet<Digest>,
    /// Files of leases, the stale ones among them.
    pub leases: Vec<(Digest, Found)>,
    /// Folders of results that came second under a key that has none now.
    pub widows: Vec<(Digest, Found)>,
    pub tombstones: Vec<(Digest, Found)>,
    pub leads: Vec<(Digest, Found)>,
    pub logs: Vec<Found>,
    pub roots: Vec<Found>,
    /// Files under temporary names, in any folder.
    pub leftovers: Vec<Found>,
    /// Files that no part of srlm knows.
    pub strangers: Vec<Found>,
    /// What else srlm keeps here, such as the stat cache: its name and size.
    pub other: Vec<Found>,
}

impl Inventory {
    /// Looks at everything. What vanishes while it looks is left out.
    pub fn take(store: &Store, now: SystemTime) -> Result<Inventory, StoreError> {
        let mut inventory = Inventory::default();
        inventory.take_blobs(store)?;
        inventory.take_records(store)?;
        inventory.take_attempts(store)?;
        inventory.take_states(store)?;
        inventory.take_small_files(store, now)?;
        Ok(inventory)
    }

    fn take_blobs(&mut self, store: &Store) -> Result<(), StoreError> {
        for folder in list(&store.layout().objects())? {
            let prefix = name_of(&folder.path).to_string();
            for file in list(&folder.path)? {
                let digest = format!("{prefix}{}", name_of(&file.path)).parse::<Digest>();
                match digest {
                    Ok(digest) => drop(self.blobs.insert(digest, file)),
                    Err(_) => self.take_odd(file),
                }
            }
        }
        Ok(())
    }

    fn take_records(&mut self, store: &Store) -> Result<(), StoreError> {
        let mut trees = Trees { store, known: HashMap::new() };
        let listing = store.records()?;
        for record in listing.records {
            let Some(file) = found(&store.layout().record(&record.key)) else { continue };
            let mut blobs = BTreeSet::new();
            trees.collect(&record, &mut blobs);
            self.results.insert(record.key, Holding { record, file, alternates: None, blobs, second: BTreeSet::new() });
        }
        self.damaged = listing.skipped;
        for file in list(&store.layout().records())? {
            let is_record =
                name_of(&file.path).strip_suffix(".json").is_some_and(|name| name.parse::<Digest>().is_ok());
            if !is_record {
                self.take_odd(file);
            }
        }
        self.take_alternates(&mut trees)
    }

    fn take_alternates(&mut self, trees: &mut Trees) -> Result<(), StoreError> {
        for (key, folder) in self.named(&trees.store.layout().all_alternates())? {
            let folder = whole(folder);
            let Some(holding) = self.results.get_mut(&key) else {
                self.widows.push((key, folder));
                continue;
            };
            for file in list(&folder.path)? {
                let text = fs::read_to_string(&file.path).unwrap_or_default();
                if let Ok(record) = Record::from_text(&key, &text) {
                    trees.collect(&record, &mut holding.second);
                }
            }
            holding.alternates = Some(folder);
        }
        Ok(())
    }

    fn take_attempts(&mut self, store: &Store) -> Result<(), StoreError> {
        for folder in list(&store.layout().all_attempts())? {
            let Ok(key) = name_of(&folder.path).parse::<Digest>() else {
                self.take_odd(folder);
                continue;
            };
            for inner in list(&folder.path)? {
                let inner = whole(inner);
                let fate = fate(name_of(&inner.path));
                self.attempts.push(Work { key, folder: inner, fate });
            }
        }
        Ok(())
    }

    fn take_states(&mut self, store: &Store) -> Result<(), StoreError> {
        for folder in list(&store.layout().all_states())? {
            let Ok(trajectory) = name_of(&folder.path).parse() else {
                self.take_odd(folder);
                continue;
            };
            let saved_by = store.states(&trajectory).into_iter().map(|state| state.key).collect();
            self.saved_by.insert(trajectory, saved_by);
            self.states.insert(trajectory, whole(folder));
        }
        Ok(())
    }

    fn take_small_files(&mut self, store: &Store, now: SystemTime) -> Result<(), StoreError> {
        let layout = store.layout();
        self.tombstones = self.named(&layout.tombstones())?;
        self.leads = self.named(&layout.leads())?;
        self.leases = self.named(&layout.leases())?;
        let held = self.leases.iter().filter(|(_, file)| lease::is_held(&file.path, now));
        self.leased = held.map(|(key, _)| *key).collect();
        for folder in [layout.pins(), layout.run_roots()] {
            let roots = self.named(&folder)?;
            self.roots.extend(roots.into_iter().map(|(_, file)| file));
        }
        for file in list(&layout.run_logs())? {
            if name_of(&file.path).ends_with(".jsonl") { self.logs.push(file) } else { self.take_odd(file) }
        }
        for entry in list(layout.root())? {
            match name_of(&entry.path) {
                "objects" | "records" | "attempts" | "states" | "tombstones" | "shallow" | "leases" | "alternates"
                | "roots" | "runs" => {}
                "format" | ".gitignore" | "gc.lock" | "cache" | "remote" | "answers" => self.other.push(whole(entry)),
                _ => self.strangers.push(whole(entry)),
            }
        }
        Ok(())
    }

    /// What a folder holds under digests; the rest of it is odd.
    fn named(&mut self, folder: &Path) -> Result<Vec<(Digest, Found)>, StoreError> {
        let known: BTreeMap<PathBuf, Digest> =
            digest_files(folder)?.into_iter().map(|(key, path)| (path, key)).collect();
        let mut files = Vec::new();
        for file in list(folder)? {
            match known.get(&file.path) {
                Some(key) => files.push((*key, file)),
                None => self.take_odd(file),
            }
        }
        files.sort_by_key(|(key, _)| *key);
        Ok(files)
    }

    /// A name that begins with a dot is a temporary one; any other is none of ours.
    fn take_odd(&mut self, file: Found) {
        let file = whole(file);
        if name_of(&file.path).starts_with('.') { self.leftovers.push(file) } else { self.strangers.push(file) }
    }

    /// The files of results that came second.
    pub fn alternate_files(&self) -> Vec<Found> {
        let folders = self.results.values().filter_map(|it| it.alternates.as_ref());
        folders.chain(self.widows.iter().map(|(_, folder)| folder)).flat_map(|folder| inside(&folder.path)).collect()
    }

    /// Bytes of what has weight: objects, states, attempts, alternates, logs. The small files that describe them are not
    /// counted, because a record that goes leaves a tombstone of its size.
    pub fn weight(&self) -> u64 {
        let alternates = self.results.values().filter_map(|it| it.alternates.as_ref());
        let folders = alternates.chain(self.widows.iter().map(|(_, folder)| folder));
        let work = self.states.values().chain(self.attempts.iter().map(|work| &work.folder));
        let plain = self.blobs.values().chain(&self.logs).chain(&self.leftovers).chain(&self.other);
        folders.chain(work).chain(plain).map(|file| file.size).sum()
    }

    /// Bytes of a blob; none of one that is gone.
    pub fn blob_size(&self, blob: &Digest) -> u64 {
        self.blobs.get(blob).map_or(0, |found| found.size)
    }
}

/// Artifacts that were read, each once.
struct Trees<'a> {
    store: &'a Store,
    known: HashMap<Digest, Vec<Digest>>,
}

impl Trees<'_> {
    /// Adds the artifacts of a record and their files. Of one whose list is gone or damaged nothing more is known, and
    /// `verify` tells of it.
    fn collect(&mut self, record: &Record, blobs: &mut BTreeSet<Digest>) {
        for output in record.outputs.values() {
            let files = self.known.entry(*output).or_insert_with(|| {
                let bytes = fs::read(self.store.layout().blob(output)).unwrap_or_default();
                read_tree(output, &bytes).unwrap_or_default().into_iter().map(|entry| entry.blob).collect()
            });
            blobs.insert(*output);
            blobs.extend(files.iter());
        }
    }
}

/// What lies in a folder; nothing where there is none.
fn list(folder: &Path) -> Result<Vec<Found>, StoreError> {
    let failed = || StoreError::io("list a folder of the store", folder);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(failed()(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed())?;
        if let Ok(metadata) = entry.metadata() {
            files.push(describe(entry.path(), &metadata));
        }
    }
    Ok(files)
}

/// What lies in a folder, each with all that is in it; nothing where it cannot be listed.
pub(super) fn inside(folder: &Path) -> Vec<Found> {
    list(folder).unwrap_or_default().into_iter().map(whole).collect()
}

fn found(path: &Path) -> Option<Found> {
    fs::symlink_metadata(path).ok().map(|metadata| describe(path.to_path_buf(), &metadata))
}

fn describe(path: PathBuf, metadata: &Metadata) -> Found {
    let size = if metadata.is_file() { metadata.len() } else { 0 };
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Found { path, size, modified, is_folder: metadata.is_dir() }
}

/// With the bytes of everything in it, and the newest time.
fn whole(top: Found) -> Found {
    let mut all = top;
    if !all.is_folder {
        return all;
    }
    for inner in list(&all.path).unwrap_or_default() {
        let inner = whole(inner);
        all.size += inner.size;
        all.modified = all.modified.max(inner.modified);
    }
    all
}

/// The last part of a path; empty where it is not UTF-8.
pub(super) fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
