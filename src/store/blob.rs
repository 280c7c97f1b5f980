//! Immutable blobs: bytes under their own digest, on the disk before they have their name.
//!
//! A finished output is not copied: it lies on the store's own disk, so it is hashed and flushed where it lies, made
//! read-only and renamed. What lies elsewhere, has a second name or may still be written to by somebody is copied, and
//! hashed while it is copied: the bytes that are named are always the bytes that were hashed.

use super::Store;
use super::error::StoreError;
use crate::base::digest::Digest;
use crate::base::failpoint::failpoint;
use crate::base::fs::{rename, sync_file, sync_paths};
use crate::base::fs_trace::{Change, tell};
use crate::base::writers::may_be_written;
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const BUFFER: usize = 1 << 20;
/// Bytes from which on a file is worth flushing by itself.
const LARGE: u64 = 1 << 22;

/// Bytes that are hashed and read-only, but have no name in the store yet.
#[derive(Debug)]
pub(super) struct Unnamed {
    path: PathBuf,
    /// Of its bytes.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Whether its bytes are on the disk.
    flushed: bool,
}

impl Store {
    /// Makes a file ready to be named: where it lies, if nobody else can reach it, else as a copy in `staging`, which is
    /// a folder of this store.
    pub(super) fn ready_file(&self, staging: &Path, from: &Path) -> Result<Unnamed, StoreError> {
        let own = from.starts_with(self.layout.all_attempts());
        let adopted = if own { adopt(from).map_err(StoreError::io("read an output", from))? } else { None };
        adopted.map_or_else(|| copy(staging, from), Ok)
    }

    /// Makes bytes ready to be named.
    pub(super) fn ready_bytes(&self, staging: &Path, bytes: &[u8]) -> Result<Unnamed, StoreError> {
        write(staging, |copy| copy.write(bytes))
    }

    /// Writes bytes into the store; returns their digest.
    pub(super) fn store_bytes(&self, staging: &Path, bytes: &[u8]) -> Result<Digest, StoreError> {
        let blob = self.ready_bytes(staging, bytes)?;
        let failed = || StoreError::placed("write a blob", staging);
        sync_paths(&[&blob.path]).map_err(failed())?;
        let folders: Vec<PathBuf> = self.name_blobs(std::slice::from_ref(&blob), staging)?.into_iter().collect();
        sync_paths(&folders).map_err(failed())?;
        Ok(blob.digest)
    }

    /// Gives blobs their names, once their bytes are on the disk. One that has its name already is replaced: by the same
    /// bytes, or by better ones. Returns the folders that hold the names, which are still to be flushed.
    pub(super) fn name_blobs(&self, blobs: &[Unnamed], staging: &Path) -> Result<BTreeSet<PathBuf>, StoreError> {
        let mut folders = BTreeSet::new();
        for blob in blobs {
            let name = self.layout.blob(&blob.digest);
            self.layout.prepare_parent(&name)?;
            name_blob(blob, &name, staging)?;
            failpoint("publish.blob.renamed");
            folders.extend(name.parent().map(Path::to_path_buf));
        }
        Ok(folders)
    }
}

/// The files whose bytes are still to be flushed to the disk.
pub(super) fn unflushed(blobs: &[Unnamed]) -> impl Iterator<Item = &Path> {
    blobs.iter().filter(|blob| !blob.flushed).map(|blob| blob.path.as_path())
}

fn name_blob(blob: &Unnamed, name: &Path, staging: &Path) -> Result<(), StoreError> {
    let named = match rename(&blob.path, name) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            let copied = copy(staging, &blob.path)?;
            sync_paths(&[&copied.path]).and_then(|()| rename(&copied.path, name))
        }
        named => named,
    };
    named.map_err(StoreError::io("name a blob", name))
}

/// Takes a file as it lies, or says that it must be copied: it has another name, somebody can write to it, or it
/// changed while it was hashed.
fn adopt(path: &Path) -> std::io::Result<Option<Unnamed>> {
    let file = File::open(path)?;
    if file.metadata()?.nlink() != 1 || may_be_written(&file) {
        return Ok(None);
    }
    file.set_permissions(Permissions::from_mode(0o444))?;
    // Its age as a blob counts from now.
    file.set_modified(SystemTime::now())?;
    let before = file.metadata()?;
    failpoint("publish.blob.written");
    let (digest, flushed) = hash_and_flush(&file, path, before.len())?;
    let untouched = same(&before, &file.metadata()?) && same(&before, &fs::symlink_metadata(path)?);
    let blob = || Unnamed { path: path.to_path_buf(), digest, size: before.len(), flushed };
    Ok((untouched && !may_be_written(&file)).then(blob))
}

/// A large file is flushed while it is hashed; small ones are flushed together later.
fn hash_and_flush(file: &File, path: &Path, size: u64) -> std::io::Result<(Digest, bool)> {
    if size < LARGE {
        return Ok((Digest::of_open_file(file)?, false));
    }
    let (digest, flushed) = rayon::join(|| Digest::of_open_file(file), || sync_file(file, path));
    flushed?;
    Ok((digest?, true))
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    let seen = |found: &Metadata| {
        let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
        (found.dev(), found.ino(), found.len(), found.nlink(), times)
    };
    seen(one) == seen(other)
}

fn copy(staging: &Path, from: &Path) -> Result<Unnamed, StoreError> {
    let failed = || StoreError::io("read an output", from);
    let mut source = File::open(from).map_err(failed())?;
    let mut buffer = vec![0; BUFFER];
    write(staging, |copy| {
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => copy.write(&buffer[..read])?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed()(error)),
            }
        }
    })
}

/// A blob that is being written into a folder of the store. Nobody else has it open.
struct Copy {
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    size: u64,
}

impl Copy {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(StoreError::io("write a blob", &self.path))?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }
}

/// What `fill` writes, ready to be named. What is left behind by an error goes with the folder.
fn write(staging: &Path, fill: impl FnOnce(&mut Copy) -> Result<(), StoreError>) -> Result<Unnamed, StoreError> {
    let path = staging.join(format!("blob.{}", super::process::serial()));
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    let file = file.map_err(StoreError::io("write a blob", &path))?;
    let mut copy = Copy { path, file, hasher: blake3::Hasher::new(), size: 0 };
    fill(&mut copy)?;
    let Copy { path, file, hasher, size } = copy;
    tell(Change::Wrote(&path));
    failpoint("publish.blob.written");
    file.set_permissions(Permissions::from_mode(0o444)).map_err(StoreError::io("write a blob", &path))?;
    Ok(Unnamed { path, digest: Digest::from_hasher(&hasher), size, flushed: false })
}
