//! Roots: what must be kept. Pins, which people set, and what the runs of late wanted.
//!
//! A run's root is named by the digest of what the run wants. A run that asks for the same again finds the file there and
//! makes it new by its mtime: a command that is repeated fifty times is one root and pushes none out.

use super::Store;
use super::error::StoreError;
use super::guard::Guard;
use super::moment::rfc3339;
use crate::base::digest::{ContentHash, Digest};
use crate::base::fs::{create_exclusive, write_atomic};
use crate::base::seal;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Run roots that a store keeps; the oldest give way.
const MOST_RUN_ROOTS: usize = 256;

/// What a run wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRoot {
    /// The file that describes it, or the archive it came in.
    pub source: String,
    /// When it was first asked for: RFC 3339, UTC.
    pub since: String,
    /// The keys of its targets.
    pub targets: Vec<Digest>,
    /// The keys of all its stages, targets among them: what is finished is needed before the targets have records.
    pub stages: Vec<Digest>,
}

/// A run root in use: gc keeps it, however many are newer, until this is dropped or the process dies.
#[derive(Debug)]
pub struct RunRootGuard {
    _file: File,
}

impl RunRoot {
    /// The digest of what is wanted, whoever wants it.
    pub(super) fn name(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("srlm run root v1");
        for keys in [&self.targets, &self.stages] {
            hasher.update(&(keys.len() as u64).to_le_bytes());
            keys.iter().for_each(|key| key.hash_content(&mut hasher));
        }
        Digest::from_hasher(&hasher)
    }
}

/// A result that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The deep key.
    pub key: Digest,
    /// Who wants it: `user@machine`.
    pub by: String,
    /// Since when: RFC 3339, UTC.
    pub since: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Store {
    /// Says what a run wants, so that gc keeps it; to be called before the run looks at what is there, and held as long
    /// as it works. In a store that cannot be written, and so not be collected either, it does nothing.
    pub fn root_run(&self, source: &str, targets: Vec<Digest>, stages: Vec<Digest>) -> Option<RunRootGuard> {
        let since = rfc3339(SystemTime::now());
        let root = RunRoot { source: source.to_string(), since, targets, stages };
        // A gc at work has read the roots already: this run must look only after it has gone.
        let _guard: Guard = self.publishing().ok()?;
        let path = self.layout.run_roots().join(root.name().to_string());
        self.renew_root(&path).or_else(|| {
            self.layout.prepare_parent(&path).ok()?;
            let text = seal::sealed(&root).ok()?;
            create_exclusive(&path, text.as_bytes()).ok()?;
            self.drop_oldest_roots();
            self.renew_root(&path)
        })
    }

    /// Makes a root the newest. Writing the byte that is there sets the mtime by the file system's own clock.
    fn renew_root(&self, path: &Path) -> Option<RunRootGuard> {
        let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
        file.write_all_at(b"{", 0).ok()?;
        // Without locks on this disk the root is kept for being among the newest.
        let _ = file.lock_shared();
        Some(RunRootGuard { _file: file })
    }

    fn drop_oldest_roots(&self) {
        let Ok(mut roots) = self.run_root_files() else { return };
        let surplus = roots.len().saturating_sub(MOST_RUN_ROOTS);
        roots.truncate(surplus);
        for (_, path) in roots {
            if !is_in_use(&path) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// The files of run roots with their last use, oldest first.
    pub(super) fn run_root_files(&self) -> Result<Vec<(SystemTime, PathBuf)>, StoreError> {
        let files = digest_files(&self.layout.run_roots())?.into_iter();
        let dated = |(_, path): (Digest, PathBuf)| Some((fs::metadata(&path).ok()?.modified().ok()?, path));
        let mut roots: Vec<_> = files.filter_map(dated).collect();
        roots.sort();
        Ok(roots)
    }

    /// Keeps a result, with everything it was made from, until [`Store::unpin`]. A pin that is there is replaced.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it cannot be written.
    pub fn pin(&self, key: &Digest, by: String, note: Option<String>) -> Result<Pin, StoreError> {
        let _guard = self.publishing()?;
        self.write_pin(key, by, note)
    }

    pub(super) fn write_pin(&self, key: &Digest, by: String, note: Option<String>) -> Result<Pin, StoreError> {
        let path = self.layout.pin(key);
        self.layout.prepare_parent(&path)?;
        let pin = Pin { key: *key, by, since: rfc3339(SystemTime::now()), note };
        let text = seal::sealed(&pin).map_err(|error| StoreError::io("write a pin", &path)(error.into()))?;
        write_atomic(&path, text.as_bytes()).map_err(StoreError::placed("write a pin", &path))?;
        Ok(pin)
    }

    /// Takes a pin away; returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it cannot be removed.
    pub fn unpin(&self, key: &Digest) -> Result<bool, StoreError> {
        let path = self.layout.pin(key);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove a pin", &path)(error)),
        }
    }

    /// The pins, by key. One that cannot be read counts by its name.
    ///
    /// # Errors
    /// [`StoreError::Io`] where their folder cannot be read.
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        let read = |(key, path): (Digest, PathBuf)| {
            let pin = fs::read(path).ok().and_then(|bytes| seal::unsealed_bytes(&bytes).ok());
            pin.filter(|pin: &Pin| pin.key == key).unwrap_or_else(|| Pin {
                key,
                by: "unknown".to_string(),
                since: "unknown".to_string(),
                note: None,
            })
        };
        Ok(digest_files(&self.layout.pins())?.into_iter().map(read).collect())
    }
}

/// Whether a run holds the root.
pub(super) fn is_in_use(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
}

/// The files of a folder that are named by a digest, in the order of their names; none where there is no folder.
pub(super) fn digest_files(folder: &Path) -> Result<Vec<(Digest, PathBuf)>, StoreError> {
    let failed = || StoreError::io("list a folder of the store", folder);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed()(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Ok(digest) = name.strip_suffix(".json").unwrap_or(name).parse() {
            files.push((digest, path));
        }
    }
    files.sort();
    Ok(files)
}
