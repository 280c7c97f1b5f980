//! Writing files so that a crash leaves the old content or the new, never a part.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `bytes` to `path` by way of a temporary name, `fsync` and rename.
///
/// # Errors
/// Whatever the file system says, with the path in the message.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, None)
}

/// Writes `bytes` in the place of a file that exists, as [`write_atomic`] does. Its permissions stay, a link to it stays
/// a link, and one that may not be written to is left alone.
///
/// # Errors
/// Whatever the file system says, with the path in the message.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let real = path.canonicalize().map_err(|error| at(path, error))?;
    let permissions = fs::metadata(&real).map_err(|error| at(path, error))?.permissions();
    if permissions.readonly() {
        return Err(at(path, io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only")));
    }
    write_with(&real, bytes, Some(permissions))
}

fn write_with(path: &Path, bytes: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
    let aside = aside(path);
    let permit = || permissions.map_or(Ok(()), |permissions| fs::set_permissions(&aside, permissions));
    let written = write_synced(&aside, bytes).and_then(|()| permit()).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        // The first error is the one to report; a leftover temporary file is never read.
        let _ = fs::remove_file(&aside);
    }
    written.and_then(|()| sync_parent(path)).map_err(|error| at(path, error))
}

/// Creates `path` with `bytes` unless it exists; returns whether it was created.
///
/// # Errors
/// Whatever the file system says, with the path in the message.
pub fn create_exclusive(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let aside = aside(path);
    if let Err(error) = write_synced(&aside, bytes) {
        let _ = fs::remove_file(&aside);
        return Err(at(path, error));
    }
    // A hard link fails where the name exists, and never shows a half-written file.
    let linked = fs::hard_link(&aside, path);
    let _ = fs::remove_file(&aside);
    match linked {
        Ok(()) => sync_parent(path).map(|()| true).map_err(|error| at(path, error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(at(path, error)),
    }
}

/// Copies a file's content; the copy can be written to, whatever its original allows.
///
/// # Errors
/// Whatever the file system says, with the path of the file it is about.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from).map_err(|error| at(from, error))?;
    let mut target = File::create(to).map_err(|error| at(to, error))?;
    io::copy(&mut source, &mut target).map(drop).map_err(|error| at(to, error))
}

/// Flushes the directory entry of `path` to the disk.
///
/// # Errors
/// Whatever the file system says.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Adds the path to an error's message.
pub fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A name beside `path` that no other writer uses.
pub fn aside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let serial = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{:016x}.{serial}.tmp", process_token()))
}

/// A number that no other process has. A process id would not do: in containers it comes back after a crash, and two
/// machines on one disk may share it.
fn process_token() -> u64 {
    static TOKEN: OnceLock<u64> = OnceLock::new();
    *TOKEN.get_or_init(|| RandomState::new().hash_one(std::process::id()))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the folder `aside` appear as `target`: every file in it is flushed, then one rename shows all of them.
///
/// # Errors
/// Whatever the file system says, with the path in the message.
pub fn publish_folder(aside: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(aside).map_err(|error| at(aside, error))? {
        let path = entry?.path();
        File::open(&path).and_then(|file| file.sync_all()).map_err(|error| at(&path, error))?;
    }
    File::open(aside).and_then(|folder| folder.sync_all()).map_err(|error| at(aside, error))?;
    fs::rename(aside, target).and_then(|()| sync_parent(target)).map_err(|error| at(target, error))
}
