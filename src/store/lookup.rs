//! Finding records: a result counts only when every byte it needs is there.

use super::Store;
use super::artifact::read_tree;
use super::error::StoreError;
use super::record::Record;
use super::tombstone::{Remover, Tombstone};
use crate::base::digest::Digest;
use crate::base::fs::remove_file;
use rayon::prelude::*;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the store has under a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// A result whose every blob is there with its size.
    Found(Box<Record>),
    /// Nothing that can be used, and why.
    Missing(MissReason),
}

impl Lookup {
    /// The record, if there is one.
    pub fn found(self) -> Option<Record> {
        match self {
            Lookup::Found(record) => Some(*record),
            Lookup::Missing(_) => None,
        }
    }
}

/// Why a key has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissReason {
    /// Nothing was ever recorded under this key.
    NoRecord,
    /// There was a result, and it was taken away.
    Evicted {
        /// By what.
        by: Remover,
        /// When: RFC 3339, UTC.
        when: String,
        /// Why, as half a sentence.
        why: String,
    },
    /// The record cannot be read.
    CorruptRecord {
        /// What is wrong with it.
        why: String,
    },
    /// A file of an output is gone.
    BlobMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file of an output is damaged.
    BlobCorrupt {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no result here, and the remote cache was of no help.
    Remote {
        /// What is wrong with it: reads on after "the remote cache".
        why: String,
    },
}

impl MissReason {
    /// The word for it in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            MissReason::NoRecord => "no_record",
            MissReason::Evicted { .. } => "evicted",
            MissReason::CorruptRecord { .. } => "record_corrupt",
            MissReason::BlobMissing { .. } => "missing",
            MissReason::BlobCorrupt { .. } => "corrupt",
            MissReason::Remote { .. } => "remote_error",
        }
    }
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MissReason::NoRecord => write!(f, "no record"),
            MissReason::Evicted { by, when, why } => {
                write!(f, "{by} on {}: {why}", when.split('T').next().unwrap_or(when))
            }
            MissReason::CorruptRecord { why } => write!(f, "its record is damaged: {why}"),
            MissReason::BlobMissing { path } => {
                write!(f, "a blob of its result is missing: {}", path.display())
            }
            MissReason::BlobCorrupt { path, why } => {
                write!(f, "a blob of its result is damaged: {}: {why}", path.display())
            }
            MissReason::Remote { why } => write!(f, "the remote cache {why}"),
        }
    }
}

/// All records of a store.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Those that can be read, oldest first.
    pub records: Vec<Record>,
    /// Those that cannot.
    pub skipped: Vec<Skipped>,
}

/// A record that cannot be read.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// Its file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

impl Store {
    /// The result under a deep key, if all of it is there.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the store cannot be read; a damaged or missing file is a miss, no error.
    pub fn lookup(&self, key: &Digest) -> Result<Lookup, StoreError> {
        self.look_up(key, Record::from_text)
    }

    /// As [`Store::lookup`], with `null` for the record's document: for who looks at many keys.
    ///
    /// # Errors
    /// As [`Store::lookup`].
    pub fn result(&self, key: &Digest) -> Result<Lookup, StoreError> {
        self.look_up(key, Record::from_text_without_document)
    }

    fn look_up(&self, key: &Digest, read: Read) -> Result<Lookup, StoreError> {
        let path = self.layout.record(key);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Lookup::Missing(self.why_no_record(key)));
            }
            Err(error) => return Err(StoreError::io("read a record", &path)(error)),
        };
        let record = match parse_as(key, &bytes, read) {
            Ok(record) => record,
            Err(why) => return Ok(Lookup::Missing(MissReason::CorruptRecord { why })),
        };
        let missing =
            record.outputs.values().find_map(|digest| self.what_is_missing(digest).transpose()).transpose()?;
        Ok(missing.map_or_else(|| Lookup::Found(Box::new(record)), Lookup::Missing))
    }

    /// Why a key has no record: none was ever made, or it was taken away.
    fn why_no_record(&self, key: &Digest) -> MissReason {
        let evicted = |Tombstone { by, when, why, .. }| MissReason::Evicted { by, when, why };
        self.tombstone(key).map_or(MissReason::NoRecord, evicted)
    }

    /// The result of the first record with that shallow key, if all of it is there.
    ///
    /// # Errors
    /// As [`Store::lookup`].
    pub fn lookup_shallow(&self, shallow: &Digest) -> Result<Lookup, StoreError> {
        let path = self.layout.shallow(shallow);
        let key = match fs::read(&path) {
            Ok(bytes) => read_lead(&bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io("read an alias", &path)(error)),
        };
        let Some(key) = key else {
            return Ok(Lookup::Missing(MissReason::NoRecord));
        };
        match self.lookup(&key)? {
            Lookup::Found(record) if record.shallow != *shallow => Ok(Lookup::Missing(MissReason::NoRecord)),
            found => Ok(found),
        }
    }

    /// Reads every byte of an artifact that is about to be used, and removes the first file whose bytes are not those
    /// that were written: the stage that makes it runs again then. Returns what was wrong.
    ///
    /// # Errors
    /// [`StoreError::Io`] where a blob cannot be read, or a damaged one not be removed.
    pub fn remove_damaged(&self, digest: &Digest) -> Result<Option<MissReason>, StoreError> {
        if let Some(missing) = self.what_is_missing(digest)? {
            return Ok(Some(missing));
        }
        for entry in self.artifact(digest)?.entries() {
            let path = self.layout.blob(&entry.blob);
            if digest_of(&path)? != entry.blob {
                remove_file(&path).map_err(StoreError::io("remove a damaged blob", &path))?;
                let why = "its bytes are not those that were written".to_string();
                return Ok(Some(MissReason::BlobCorrupt { path, why }));
            }
        }
        Ok(None)
    }

    /// Every record, those that cannot be read apart.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the folder of records cannot be read.
    pub fn records(&self) -> Result<Listing, StoreError> {
        let folder = self.layout.records();
        let mut listing = Listing::default();
        for path in files_in(&folder)? {
            match read_listed(&path) {
                Some(Ok(record)) => listing.records.push(record),
                Some(Err(why)) => listing.skipped.push(Skipped { path, why }),
                None => {}
            }
        }
        listing.records.sort_by(|a, b| (&a.made.time, a.key).cmp(&(&b.made.time, b.key)));
        listing.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    /// A record as it stands, whether its result is whole, lost or taken away; none where none can be read.
    pub fn record(&self, key: &Digest) -> Option<Record> {
        let record = fs::read(self.layout.record(key)).ok().and_then(|bytes| parse(key, &bytes).ok());
        record.or_else(|| self.tombstone(key)?.record)
    }

    /// The keys of all records and of all results that were taken away, sorted, none of them read.
    ///
    /// # Errors
    /// As [`Store::records`].
    pub fn record_keys(&self) -> Result<Vec<Digest>, StoreError> {
        let paths = [files_in(&self.layout.records())?, files_in(&self.layout.tombstones())?].concat();
        let mut keys: Vec<Digest> = paths.iter().filter_map(|path| listed_key(path)).collect();
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// What `keep` takes of every record that can be read, those of results that were taken away included, oldest
    /// first. Records are large, and there may be many.
    ///
    /// # Errors
    /// As [`Store::records`].
    pub fn history<T: Send>(&self, keep: impl Fn(&Record) -> T + Sync) -> Result<Vec<T>, StoreError> {
        let read = |key: &Digest| {
            let record = self.record(key)?;
            Some((record.made.time.clone(), record.key, keep(&record)))
        };
        let mut found: Vec<_> = self.record_keys()?.par_iter().filter_map(read).collect();
        found.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        Ok(found.into_iter().map(|(_, _, kept)| kept).collect())
    }

    /// What is wrong with an artifact, by the sizes of its blobs; their bytes are for `verify` to read.
    pub(super) fn what_is_missing(&self, digest: &Digest) -> Result<Option<MissReason>, StoreError> {
        let path = self.layout.blob(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Some(MissReason::BlobMissing { path }));
            }
            Err(error) => return Err(StoreError::io("read a blob", &path)(error)),
        };
        let entries = match read_tree(digest, &bytes) {
            Ok(entries) => entries,
            Err(why) => return Ok(Some(MissReason::BlobCorrupt { path, why })),
        };
        let bad = entries.iter().find_map(|entry| wrong_size(&self.layout.blob(&entry.blob), entry.size).transpose());
        bad.transpose()
    }
}

/// The way from a shallow key to a record: the record's key, and a digest of both by which `verify` knows it.
pub(super) fn lead(shallow: &Digest, key: &Digest) -> String {
    format!("{key} {}\n", Digest::of_bytes(format!("{shallow} {key}").as_bytes()).short())
}

/// The key that a way leads to.
pub(super) fn read_lead(bytes: &[u8]) -> Option<Digest> {
    std::str::from_utf8(bytes).ok()?.split(' ').next()?.parse().ok()
}

pub(super) fn digest_of(path: &Path) -> Result<Digest, StoreError> {
    Digest::of_file(path).map_err(StoreError::placed("read a blob", path))
}

fn wrong_size(path: &Path, size: u64) -> Result<Option<MissReason>, StoreError> {
    let path = path.to_path_buf();
    match fs::metadata(&path) {
        Ok(found) if found.is_file() && found.len() == size => Ok(None),
        Ok(found) => {
            let why = format!("{} bytes where {size} were written", found.len());
            Ok(Some(MissReason::BlobCorrupt { path, why }))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(MissReason::BlobMissing { path })),
        Err(error) => Err(StoreError::io("look at a blob", &path)(error)),
    }
}

/// How a record's text is read.
type Read = fn(&Digest, &str) -> Result<Record, String>;

pub(super) fn parse(key: &Digest, bytes: &[u8]) -> Result<Record, String> {
    parse_as(key, bytes, Record::from_text)
}

fn parse_as(key: &Digest, bytes: &[u8], read: Read) -> Result<Record, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_string())?;
    read(key, text)
}

/// A record by its file; none where the file vanished meanwhile or is no record by its name.
fn read_listed(path: &Path) -> Option<Result<Record, String>> {
    let key = listed_key(path)?;
    match fs::read(path) {
        Ok(bytes) => Some(parse(&key, &bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

/// The key that a file of the folder of records is named by.
fn listed_key(path: &Path) -> Option<Digest> {
    path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok()
}

/// The paths in a folder, none where there is no such folder.
pub(super) fn files_in(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = || StoreError::io("list a folder of the store", folder);
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed()(error)),
    }
}
