//! Where everything is on disk.
//!
//! ```text
//! .srlm/
//! ├── format                      one line that names this layout; another one is refused
//! ├── .gitignore                  keeps results out of version control
//! ├── objects/ab/cdef…            immutable blobs by the digest of their bytes, mode 0444
//! ├── records/<key>.json          one result: outputs, key document, metrics, who made it; written last, never twice
//! ├── alternates/<key>/<id>.json  a later result with other bytes than the record's, as a record
//! ├── shallow/<shallow key>       the key of the first record with that shallow key
//! ├── attempts/<key>/<id>/        work in progress of one process
//! │   ├── out/                    becomes the output
//! │   └── blob.<n>                a blob being written
//! ├── states/<trajectory>/        training states `step-00000042/`: they outlive a crash, and longer trainings go on
//! │                               from some of them
//! ├── answers/<artifact>/         what a model behind a server answered, by the artifact that names the model: paid for,
//! │                               and asked for once
//! ├── leases/<key>                who works on the key; its mtime is the heartbeat
//! ├── roots/pins/<key>            a result that gc must keep: who wants it, since when and why
//! ├── roots/runs/<digest>         what a run wanted; its mtime is when that was last asked for
//! ├── tombstones/<key>.json       what was taken away, when and why, with the record it had
//! ├── gc.lock                     held together by those who publish, alone by gc
//! ├── remote/queue/<remote>/<key> results that are to go to a remote cache
//! ├── remote/known/<key>.json     records of results that are in a remote cache only
//! ├── runs/<run>.jsonl            event logs
//! ├── cache/completions/<digest>/ what models wrote to single prompts, by model and settings: losing it costs time only
//! ├── cache/teacher/<digest>/     the teacher's most probable ids at the tokens of single examples: as above
//! └── cache/stats                 digests of declared files by device, inode, size and times: losing it costs time only
//! ```
//! Names that begin with a dot are temporary and never read.

use super::error::StoreError;
use crate::base::digest::Digest;
use crate::base::fs::{create_dir, create_exclusive, sync_parent};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The content of the `format` file, raised when an older srlm could misread the store.
pub const FORMAT: &str = "srlm store 2";

/// The paths of a store.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout under `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Layout { root: root.into() }
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The blob with that digest.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        let (folder, file) = name.split_at(2);
        self.objects().join(folder).join(file)
    }

    /// The folder of all records.
    pub fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    /// The folder of all blobs.
    pub fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// The folder of all ways from shallow keys.
    pub fn leads(&self) -> PathBuf {
        self.root.join("shallow")
    }

    /// The folder of all work in progress.
    pub fn all_attempts(&self) -> PathBuf {
        self.root.join("attempts")
    }

    /// The folder of all results that came second.
    pub fn all_alternates(&self) -> PathBuf {
        self.root.join("alternates")
    }

    /// The folder of all leases.
    pub fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    /// The folder of all event logs.
    pub fn run_logs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The record of a deep key.
    pub fn record(&self, key: &Digest) -> PathBuf {
        self.records().join(format!("{key}.json"))
    }

    /// Results under a key that differ from the one that counts.
    pub fn alternates(&self, key: &Digest) -> PathBuf {
        self.root.join("alternates").join(key.to_string())
    }

    /// The file that leads from a shallow key to a record.
    pub fn shallow(&self, shallow: &Digest) -> PathBuf {
        self.root.join("shallow").join(shallow.to_string())
    }

    /// Work in progress on a key.
    pub fn attempts(&self, key: &Digest) -> PathBuf {
        self.all_attempts().join(key.to_string())
    }

    /// The folders of training states of all trajectories.
    pub fn all_states(&self) -> PathBuf {
        self.root.join("states")
    }

    /// Training states of a trajectory.
    pub fn states(&self, trajectory: &Digest) -> PathBuf {
        self.all_states().join(trajectory.to_string())
    }

    /// What is kept to save time, and for no other reason.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// The folder of all answers of models behind a server.
    pub fn all_answers(&self) -> PathBuf {
        self.root.join("answers")
    }

    /// What the model that an artifact names has answered.
    pub fn answers(&self, teacher: &Digest) -> PathBuf {
        self.all_answers().join(teacher.to_string())
    }

    /// The lease on a key.
    pub fn lease(&self, key: &Digest) -> PathBuf {
        self.root.join("leases").join(key.to_string())
    }

    /// The folder of all pins.
    pub fn pins(&self) -> PathBuf {
        self.root.join("roots").join("pins")
    }

    /// The pin on a key.
    pub fn pin(&self, key: &Digest) -> PathBuf {
        self.pins().join(key.to_string())
    }

    /// The folder of what runs wanted.
    pub fn run_roots(&self) -> PathBuf {
        self.root.join("roots").join("runs")
    }

    /// The folder of all tombstones.
    pub fn tombstones(&self) -> PathBuf {
        self.root.join("tombstones")
    }

    /// What tells that the result under a key was taken away.
    pub fn tombstone(&self, key: &Digest) -> PathBuf {
        self.tombstones().join(format!("{key}.json"))
    }

    /// The file whose lock keeps gc and those who publish apart.
    pub(super) fn gc_lock(&self) -> PathBuf {
        self.root.join("gc.lock")
    }

    /// The event log of a run.
    pub fn run_log(&self, run: &str) -> PathBuf {
        self.root.join("runs").join(format!("{run}.jsonl"))
    }

    /// What is known about a remote cache. Losing it costs a table its costs, and uploads that had not arrived.
    pub fn remote(&self) -> PathBuf {
        self.root.join("remote")
    }

    /// The stat cache.
    pub fn stats(&self) -> PathBuf {
        self.root.join("cache").join("stats")
    }

    fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    /// Whether anything was ever written here.
    pub(super) fn is_made(&self) -> bool {
        self.format().is_file()
    }

    pub(super) fn check_format(&self) -> Result<(), StoreError> {
        let path = self.format();
        let found = match fs::read_to_string(&path) {
            Ok(text) => text.trim_end().to_string(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::io("open the store", &path)(error)),
        };
        if found == FORMAT {
            Ok(())
        } else {
            Err(StoreError::Format { root: self.root.clone(), found, expected: FORMAT })
        }
    }

    /// Makes the store's folder, its `format` file first, so that whatever follows can be understood.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        let format = self.format();
        if format.is_file() {
            return Ok(());
        }
        make_folder(&self.root).map_err(|(path, error)| StoreError::io("make the store", &path)(error))?;
        let is_new = fs::read_dir(&self.root).is_ok_and(|mut entries| entries.next().is_none());
        let make = |path: &Path, text: &str| {
            create_exclusive(path, text.as_bytes()).map_err(StoreError::placed("make the store", path))
        };
        make(&format, &format!("{FORMAT}\n"))?;
        if is_new {
            // Never in a folder that holds a user's files: it would hide them from git.
            make(&self.root.join(".gitignore"), "*\n")?;
        }
        self.check_format()
    }

    /// The folders whose names must be on the disk before a record is, besides those that hold the blobs. Another process
    /// may have made them, and died before it flushed them.
    pub(super) fn durable_folders(&self) -> Vec<PathBuf> {
        let parent = self.root.parent().filter(|parent| !parent.as_os_str().is_empty());
        let above = parent.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        let mut folders = vec![self.root.join("objects"), self.root.clone()];
        // Above the store, a user may enter a folder and yet not read it.
        folders.extend(Some(above).filter(|above| fs::File::open(above).is_ok()));
        folders
    }

    /// Makes a folder for what need not outlive a power cut.
    pub(super) fn prepare_passing(&self, folder: &Path) -> Result<(), StoreError> {
        self.prepare()?;
        insist(|| fs::create_dir_all(folder).map_err(|error| (folder.to_path_buf(), error)))
            .map_err(|(path, error)| StoreError::io("make a folder of the store", &path)(error))
    }

    /// Makes a folder of the store that outlives a power cut.
    pub(super) fn prepare_folder(&self, folder: &Path) -> Result<(), StoreError> {
        self.prepare()?;
        insist(|| make_folder(folder))
            .map_err(|(path, error)| StoreError::io("make a folder of the store", &path)(error))
    }

    /// Makes the folder that `path` is to be written into.
    pub(super) fn prepare_parent(&self, path: &Path) -> Result<(), StoreError> {
        path.parent().map_or(Ok(()), |folder| self.prepare_folder(folder))
    }
}

/// Tries again where another process cleared an empty parent away in between.
fn insist(make: impl Fn() -> Result<(), (PathBuf, io::Error)>) -> Result<(), (PathBuf, io::Error)> {
    let mut made = make();
    for _ in 0..100 {
        match &made {
            Err((_, error)) if error.kind() == ErrorKind::NotFound => made = make(),
            _ => break,
        }
    }
    made
}

/// Makes a folder and its parents, each entry flushed to the disk.
fn make_folder(folder: &Path) -> Result<(), (PathBuf, io::Error)> {
    // The last ancestor of a relative path is empty: the current folder.
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.is_dir();
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    for path in missing.into_iter().rev() {
        let made = match create_dir(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => sync_parent(path),
        };
        made.map_err(|error| (path.to_path_buf(), error))?;
    }
    Ok(())
}
