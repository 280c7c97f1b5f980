//! Training states on disk: where a stage keeps them, and the manifest by which one says what it is.
//!
//! ```text
//! <folder of a trajectory>/
//! ├── .lock                       held by the process that trains
//! └── step-00000042/
//!     ├── state.safetensors       weights, optimiser
//!     └── state.json              the manifest: written last, and the folder renamed into its place after that
//! ```

use super::digest::Digest;
use super::fs::write_atomic;
use super::seal::{sealed, unsealed_bytes};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file of a state's tensors.
pub const TENSORS: &str = "state.safetensors";
/// The file of a state's manifest.
pub const MANIFEST: &str = "state.json";

const PREFIX: &str = "step-";
const LOCK: &str = ".lock";
/// Raised when the tensors or the manifest are to be read in another way: older states are passed over.
const FORMAT: u32 = 1;

/// What a state is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// What it is a state of: everything that its numbers depend on.
    pub trajectory: Digest,
    /// Optimiser steps done.
    pub step: u64,
    /// The key of the stage that saved it.
    pub key: Digest,
    /// The budget of the stage that saved it, as the arguments write it.
    pub budget: Json,
    /// The optimiser steps that this budget came to.
    pub total: u64,
    /// Whether a longer training may start here: it ends what the stage that saved it has in common with longer ones,
    /// and is kept after the stage. Any other state is there against a crash.
    pub end: bool,
    /// Seconds of training up to it, in all attempts and stages that came this far.
    pub seconds: f64,
    /// The numbers of its last step.
    pub metrics: BTreeMap<String, f64>,
    /// The digest of every file of the state but this one.
    pub files: BTreeMap<String, Digest>,
}

/// The text of a manifest.
#[derive(Serialize, Deserialize)]
struct Text<M> {
    format: u32,
    #[serde(flatten)]
    manifest: M,
}

impl Manifest {
    /// Writes it into the folder of its state.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let text = sealed(&Text { format: FORMAT, manifest: self })?;
        write_atomic(&folder.join(MANIFEST), text.as_bytes())
    }

    /// Reads that of a state's folder. It is of the step that the folder is called after.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(folder: &Path) -> Result<Manifest, String> {
        let text = fs::read(folder.join(MANIFEST)).map_err(|error| error.to_string())?;
        let Text { format, manifest } = unsealed_bytes::<Text<Json>>(&text)?;
        if format != FORMAT {
            return Err(format!("its format is {format}, and this srlm reads {FORMAT}"));
        }
        let manifest: Manifest = serde_json::from_value(manifest).map_err(|error| error.to_string())?;
        if step_of(folder) != Some(manifest.step) {
            return Err(format!("it is the state of step {}", manifest.step));
        }
        Ok(manifest)
    }
}

fn step_of(folder: &Path) -> Option<u64> {
    folder.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

/// The folder of a trajectory's states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The folder; it need not exist.
    pub folder: PathBuf,
    /// The trajectory.
    pub trajectory: Digest,
}

/// A state as it lies in its folder.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its folder.
    pub folder: PathBuf,
    /// The step that the folder is called after.
    pub step: u64,
    /// What it says of itself, or what is wrong with that. The tensors were not looked at.
    pub manifest: Result<Manifest, String>,
}

impl Found {
    /// Whether it is a whole state from which longer trainings may start.
    pub fn is_end(&self) -> bool {
        self.manifest.as_ref().is_ok_and(|manifest| manifest.end)
    }
}

impl Place {
    /// The folder of the state after `step`.
    pub fn state(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{step:08}"))
    }

    /// Its states by step, damaged ones and those of another trajectory with what is wrong.
    pub fn states(&self) -> Vec<Found> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut found: Vec<Found> = entries.filter_map(|entry| self.find(entry.path())).collect();
        found.sort_by_key(|state| state.step);
        found
    }

    fn find(&self, folder: PathBuf) -> Option<Found> {
        let step = step_of(&folder)?;
        let manifest = Manifest::read(&folder).and_then(|manifest| {
            let ours = manifest.trajectory == self.trajectory;
            if ours { Ok(manifest) } else { Err(format!("it is of the trajectory {}", manifest.trajectory.short())) }
        });
        Some(Found { folder, step, manifest })
    }

    /// Keeps every other process from its states until the file is dropped; waits for one that is still at work.
    /// `None` where the file system knows no locks: states are written aside and renamed, so that one is whole anyway.
    pub fn lock(&self) -> Option<File> {
        loop {
            fs::create_dir_all(&self.folder).ok()?;
            let lock = self.lock_file()?;
            lock.lock().ok()?;
            // Whoever held it may have removed the folder meanwhile.
            if self.is_current(&lock) {
                return Some(lock);
            }
        }
    }

    /// As [`Place::lock`], but `None` where a process is at work on its states, or where there is no folder.
    pub fn try_lock(&self) -> Option<File> {
        let lock = self.lock_file()?;
        lock.try_lock().ok()?;
        self.is_current(&lock).then_some(lock)
    }

    fn lock_file(&self) -> Option<File> {
        File::create(self.folder.join(LOCK)).ok()
    }

    fn is_current(&self, lock: &File) -> bool {
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        match (lock.metadata(), fs::metadata(self.folder.join(LOCK))) {
            (Ok(held), Ok(there)) => identity(held) == identity(there),
            _ => false,
        }
    }

    /// Removes what was still being written when a process was killed. The lock must be held.
    pub fn remove_unfinished(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!(".{PREFIX}"))) {
            // What stays costs space and nothing else.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Where a training stage keeps its states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Places {
    /// States that are those of this budget only.
    pub own: Place,
    /// States that other budgets have in common with it, where they have any.
    pub shared: Option<Place>,
    /// The stage's key.
    pub key: Digest,
    /// The budget, as the arguments write it.
    pub budget: Json,
}

impl Places {
    /// Both places.
    pub fn all(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.own).chain(&self.shared)
    }

    /// A place of its own without anything to share.
    #[cfg(test)]
    pub(crate) fn closed(folder: &Path) -> Places {
        let own = Place { folder: folder.to_path_buf(), trajectory: Digest::of_bytes(b"own") };
        Places { own, shared: None, key: Digest::of_bytes(b"stage"), budget: Json::Null }
    }

    /// The folder for whatever does not depend on the budget.
    pub fn common(&self) -> &Place {
        self.shared.as_ref().unwrap_or(&self.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(trajectory: &Digest, step: u64) -> Manifest {
        Manifest {
            trajectory: *trajectory,
            step,
            key: Digest::of_bytes(b"stage"),
            budget: json!({"epochs": 0.1}),
            total: 50,
            end: false,
            seconds: 1.25,
            metrics: BTreeMap::from([("loss".to_string(), 0.1 + 0.2)]),
            files: BTreeMap::from([(TENSORS.to_string(), Digest::of_bytes(b"tensors"))]),
        }
    }

    fn place(folder: &Path) -> Place {
        Place { folder: folder.to_path_buf(), trajectory: Digest::of_bytes(b"ours") }
    }

    fn save(place: &Place, manifest: &Manifest, step: u64) {
        fs::create_dir_all(place.state(step)).and_then(|()| manifest.write(&place.state(step))).expect("writable");
    }

    #[test]
    fn a_manifest_reads_back_to_the_bit_and_any_change_shows() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = place(folder.path());
        let written = manifest(&place.trajectory, 42);
        save(&place, &written, 42);
        assert_eq!(Manifest::read(&place.state(42)), Ok(written));
        let path = place.state(42).join(MANIFEST);
        let text = fs::read_to_string(&path).expect("it is there");
        fs::write(&path, text.replace("\"total\": 50", "\"total\": 60")).expect("writable");
        assert!(Manifest::read(&place.state(42)).is_err_and(|why| why.contains("changed")));
        let newer = sealed(&Text { format: 2, manifest: &manifest(&place.trajectory, 42) }).expect("it is JSON");
        fs::write(&path, newer).expect("writable");
        assert!(Manifest::read(&place.state(42)).is_err_and(|why| why.contains("format")));
        fs::write(&path, &text[..text.len() / 2]).expect("writable");
        assert!(Manifest::read(&place.state(42)).is_err());
    }

    #[test]
    fn a_state_of_another_trajectory_or_step_is_none_of_ours() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = place(folder.path());
        save(&place, &manifest(&place.trajectory, 7), 7);
        save(&place, &manifest(&Digest::of_bytes(b"theirs"), 8), 8);
        save(&place, &manifest(&place.trajectory, 7), 9);
        let found = place.states();
        assert_eq!(
            found.iter().map(|state| (state.step, state.manifest.is_ok())).collect::<Vec<_>>(),
            [(7, true), (8, false), (9, false)]
        );
    }

    #[test]
    fn a_lock_holds_until_it_is_dropped_and_outlives_the_folder_for_nobody() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = place(&folder.path().join("states"));
        assert!(place.try_lock().is_none(), "there is no folder yet");
        let held = place.lock().expect("nobody holds it");
        assert!(place.try_lock().is_none());
        fs::remove_dir_all(&place.folder).expect("removable");
        let again = place.lock().expect("a new folder has a new lock");
        drop(held);
        assert!(place.try_lock().is_none());
        drop(again);
        assert!(place.try_lock().is_some());
    }
}
