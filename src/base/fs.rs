//! Writing files so that a crash leaves the old content or the new, never a part; every change of a store goes through
//! here, so that the crash model of the tests hears of it.

use super::failpoint::failpoint;
use super::flushing;
use super::fs_trace::{Change, tell};
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
    let written = Aside::write(path, bytes)?;
    if let Some(permissions) = permissions {
        fs::set_permissions(&written.aside, permissions).map_err(|error| at(path, error))?;
    }
    written.sync()?;
    written.replace()?;
    sync_parent(path).map_err(|error| at(path, error))
}

/// Creates `path` with `bytes` unless it exists; returns whether it was created.
///
/// # Errors
/// Whatever the file system says, with the path in the message.
pub fn create_exclusive(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let written = Aside::write(path, bytes)?;
    written.sync()?;
    let created = written.create()?;
    // Whoever made one that was there may not have flushed its name yet, and the caller may build on it.
    sync_parent(path).map(|()| created).map_err(|error| at(path, error))
}

/// As [`create_exclusive`], for what need not outlive a power cut: nothing is flushed to the disk.
///
/// # Errors
/// Whatever the file system says, with the path in the message.
pub fn create_passing(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    Aside::write(path, bytes)?.create()
}

/// A whole file beside the place that it is meant for. Dropping it removes it, unless it took its place.
#[derive(Debug)]
pub struct Aside {
    aside: PathBuf,
    path: PathBuf,
}

impl Aside {
    /// Writes the bytes that are meant for `path`.
    ///
    /// # Errors
    /// Whatever the file system says, with the path in the message; this holds for the others, too.
    pub fn write(path: &Path, bytes: &[u8]) -> io::Result<Aside> {
        let written = Aside { aside: aside(path), path: path.to_path_buf() };
        let file = OpenOptions::new().write(true).create_new(true).open(&written.aside);
        file.and_then(|mut file| file.write_all(bytes)).map_err(|error| at(path, error))?;
        tell(Change::Wrote(&written.aside));
        failpoint("file.written");
        Ok(written)
    }

    /// Where it lies now.
    pub fn current_path(&self) -> &Path {
        &self.aside
    }

    /// Flushes its bytes to the disk.
    pub fn sync(&self) -> io::Result<()> {
        sync_paths(std::slice::from_ref(&self.aside))?;
        failpoint("file.synced");
        Ok(())
    }

    /// Gives it its name unless there is a file of that name; returns whether it did. The name is not flushed yet.
    pub fn create(self) -> io::Result<bool> {
        // A hard link fails where the name exists, and never shows a half-written file.
        let linked = hard_link(&self.aside, &self.path);
        failpoint("file.linked");
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(at(&self.path, error)),
        }
    }

    /// Gives it its name, in the place of a file that had it. The name is not flushed yet.
    pub fn replace(self) -> io::Result<()> {
        rename(&self.aside, &self.path).map_err(|error| at(&self.path, error))?;
        failpoint("file.renamed");
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // A leftover temporary file is never read.
        let _ = remove_file(&self.aside);
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
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => Ok(()),
    }
}

/// Flushes the names in a folder to the disk.
///
/// # Errors
/// Whatever the file system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()?;
    tell(Change::FlushedFolder(folder));
    Ok(())
}

/// Flushes files and folders to the disk, many at the same time.
///
/// # Errors
/// Whatever the file system says, with the path in the message.
pub fn sync_paths<P: AsRef<Path>>(paths: &[P]) -> io::Result<()> {
    flushing::at_once(paths, |path| {
        let file = File::open(path).map_err(|error| at(path, error))?;
        file.sync_all().map_err(|error| at(path, error))?;
        tell(if path.is_dir() { Change::FlushedFolder(path) } else { Change::FlushedFile(path) });
        Ok(())
    })
}

/// Flushes the bytes of an open file, which lies at `path`, to the disk.
///
/// # Errors
/// Whatever the file system says.
pub fn sync_file(file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    tell(Change::FlushedFile(path));
    Ok(())
}

/// As [`fs::rename`].
///
/// # Errors
/// Whatever the file system says.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    tell(Change::Renamed(from, to));
    Ok(())
}

/// As [`fs::hard_link`].
///
/// # Errors
/// Whatever the file system says.
pub fn hard_link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    tell(Change::Linked(from, to));
    Ok(())
}

/// As [`fs::create_dir`].
///
/// # Errors
/// Whatever the file system says.
pub fn create_dir(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)?;
    tell(Change::MadeFolder(folder));
    Ok(())
}

/// As [`fs::remove_file`].
///
/// # Errors
/// Whatever the file system says.
pub fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    tell(Change::Removed(path));
    Ok(())
}

/// As [`fs::remove_dir`].
///
/// # Errors
/// Whatever the file system says.
pub fn remove_dir(folder: &Path) -> io::Result<()> {
    fs::remove_dir(folder)?;
    tell(Change::Removed(folder));
    Ok(())
}

/// As [`fs::remove_dir_all`].
///
/// # Errors
/// Whatever the file system says.
pub fn remove_dir_all(folder: &Path) -> io::Result<()> {
    fs::remove_dir_all(folder)?;
    tell(Change::Removed(folder));
    Ok(())
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

/// Makes the folder `aside` appear as `target`: every file in it is flushed, then one rename shows all of them.
///
/// # Errors
/// Whatever the file system says, with the path in the message.
pub fn publish_folder(aside: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(aside).map_err(|error| at(aside, error))? {
        let path = entry?.path();
        File::open(&path).and_then(|file| sync_file(&file, &path)).map_err(|error| at(&path, error))?;
    }
    sync_folder(aside).map_err(|error| at(aside, error))?;
    rename(aside, target).and_then(|()| sync_parent(target)).map_err(|error| at(target, error))
}
