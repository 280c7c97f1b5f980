//! Bringing results in: every byte is held against its digest before it has a name here.

use super::{Remote, RemoteError, Shared, lock, parallel::parallel};
use crate::base::digest::Digest;
use crate::base::event::{Event, Transfer};
use crate::base::fs::sync_parent;
use crate::store::StoreError;
use crate::store::artifact::{Entry, read_tree};
use crate::store::process::serial;
use crate::store::record::Record;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Results at the same time, and blobs of each.
const RESULTS: usize = 4;
const BLOBS: usize = 8;
/// No list of files is so long.
const LONGEST_TREE: u64 = 256 << 20;
/// Time between two words about progress.
const EVERY: Duration = Duration::from_secs(5);

impl Remote {
    /// Brings a result into the local store, whole or not at all. What went wrong is told as a warning, and what is
    /// damaged or gone there is not asked for again.
    ///
    /// # Errors
    /// [`RemoteError`] where it is not here afterwards.
    pub fn fetch(&self, record: &Record) -> Result<(), RemoteError> {
        let shared = &self.0;
        match shared.bring(record) {
            Ok(bytes) => {
                shared.news.fetched.add(bytes);
                Ok(())
            }
            Err(error) => {
                if !shared.is_abandoned() {
                    shared.warn(&error);
                }
                shared.give_up_on(record, &error);
                Err(error)
            }
        }
    }

    /// Brings results in, several at once, and tells how it goes. `stopped` is asked whether the user still wants it.
    pub fn fetch_all(&self, records: &[Record], stopped: &(dyn Fn() -> bool + Sync), tell: &dyn Fn(Event)) {
        let (done, before) = (AtomicUsize::new(0), self.0.link.moved());
        std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                parallel(records, RESULTS, |record| {
                    let _ = self.fetch(record);
                    done.fetch_add(1, Ordering::Relaxed);
                });
            });
            let mut told = Instant::now();
            while !work.is_finished() {
                if stopped() {
                    self.abandon();
                }
                self.news().into_iter().for_each(tell);
                if told.elapsed() > EVERY {
                    told = Instant::now();
                    let (done, bytes) = (done.load(Ordering::Relaxed), self.0.link.moved() - before);
                    tell(Event::RemoteProgress { doing: Transfer::Fetching, done, total: records.len(), bytes });
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        self.news().into_iter().for_each(tell);
    }
}

impl Shared {
    /// Fetches what is not here of a result, then records it. Returns the bytes that came.
    fn bring(&self, record: &Record) -> Result<u64, RemoteError> {
        // A gc at work must see all of it or nothing.
        let _guard = self.store.publishing().map_err(here)?;
        let staging = self.store.staging(&record.key).map_err(here)?;
        let brought = self.bring_outputs(&staging, record).and_then(|bytes| {
            self.store.commit(record.clone()).map_err(here)?;
            Ok(bytes)
        });
        // What stays behind is removed by the next attempt at this key.
        let _ = fs::remove_dir_all(&staging);
        let _ = staging.parent().map(fs::remove_dir);
        brought
    }

    fn bring_outputs(&self, staging: &Path, record: &Record) -> Result<u64, RemoteError> {
        let mut bytes = 0;
        for tree in record.outputs.values() {
            let text = self.tree(tree)?;
            let entries = read_tree(tree, &text).map_err(|why| self.damaged(tree, &why))?;
            let wanted: BTreeMap<Digest, Entry> = entries.into_iter().map(|entry| (entry.blob, entry)).collect();
            let wanted: Vec<Entry> = wanted.into_values().filter(|entry| !self.is_here(entry)).collect();
            let first_error = Mutex::new(None);
            parallel(&wanted, BLOBS, |entry| {
                if lock(&first_error).is_some() {
                    return;
                }
                if let Err(error) = self.bring_blob(staging, entry) {
                    lock(&first_error).get_or_insert(error);
                }
            });
            if let Some(error) = lock(&first_error).take() {
                return Err(error);
            }
            // The list of files comes last: what it names is here.
            self.store.store_bytes(staging, &text).map_err(here)?;
            bytes += text.len() as u64 + wanted.iter().map(|entry| entry.size).sum::<u64>();
        }
        Ok(bytes)
    }

    fn tree(&self, digest: &Digest) -> Result<Vec<u8>, RemoteError> {
        match fs::read(self.store.layout().blob(digest)) {
            Ok(bytes) if Digest::of_bytes(&bytes) == *digest => return Ok(bytes),
            _ => {}
        }
        self.link.read(&self.names.blob(digest), LONGEST_TREE)?.ok_or_else(|| self.damaged(digest, "it is gone"))
    }

    /// Whether a blob is here already. Then it counts as new, so that gc leaves it alone.
    fn is_here(&self, entry: &Entry) -> bool {
        let touched = File::open(self.store.layout().blob(&entry.blob)).and_then(|file| {
            file.set_modified(SystemTime::now())?;
            file.metadata()
        });
        touched.is_ok_and(|found| found.len() == entry.size)
    }

    fn bring_blob(&self, staging: &Path, entry: &Entry) -> Result<(), RemoteError> {
        let path = staging.join(format!("blob.{}", serial()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(here)?;
        let brought = self.receive(entry, &file).and_then(|()| self.name(&path, &file, &entry.blob).map_err(here));
        if brought.is_err() {
            let _ = fs::remove_file(&path);
        }
        brought
    }

    fn receive(&self, entry: &Entry, mut file: &File) -> Result<(), RemoteError> {
        let mut hasher = blake3::Hasher::new();
        let found = self.link.receive(&self.names.blob(&entry.blob), entry.size, &mut |piece| {
            if self.is_abandoned() {
                return Err(io::Error::new(ErrorKind::Interrupted, "it was interrupted"));
            }
            let Some(piece) = piece else {
                hasher.reset();
                return io::Seek::rewind(&mut file).and_then(|()| file.set_len(0));
            };
            hasher.update(piece);
            file.write_all(piece)
        });
        match found {
            Ok(true) if Digest::from_hasher(&hasher) == entry.blob => Ok(()),
            Ok(true) => Err(self.damaged(&entry.blob, "its bytes are not those that were written")),
            Ok(false) => Err(self.damaged(&entry.blob, "it is gone")),
            Err(RemoteError::Damaged(why)) => Err(self.damaged(&entry.blob, &why)),
            Err(error) => Err(error),
        }
    }

    /// Gives a blob its name, as those have it that are made here.
    fn name(&self, path: &Path, file: &File, digest: &Digest) -> io::Result<()> {
        let name = self.store.layout().blob(digest);
        self.store.layout().prepare_parent(&name).map_err(|error| io::Error::other(error.to_string()))?;
        file.set_permissions(Permissions::from_mode(0o444))?;
        file.sync_all()?;
        fs::rename(path, &name)?;
        sync_parent(&name)
    }

    fn damaged(&self, digest: &Digest, why: &str) -> RemoteError {
        self.distrust(*digest);
        RemoteError::Damaged(format!("the blob {}: {why}", digest.short()))
    }
}

/// An error of this machine: it is told, and what was wanted is made by its stage.
fn here(error: impl Into<Trouble>) -> RemoteError {
    RemoteError::Here(error.into().0)
}

struct Trouble(String);

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble(error.to_string())
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble(error.to_string())
    }
}
