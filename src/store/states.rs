//! Training states in the store: kept by trajectory, bounded together, and never a visible result.

use super::Store;
use super::error::StoreError;
use crate::base::digest::Digest;
use crate::base::fs::aside;
use crate::base::state::{Found, Manifest, Place};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// States from which longer trainings may start take at most so many times the bytes of all results. A state, with both
/// moments of the optimiser, is three times as large as the model that came of it: this is room for about one a model.
const SHARE_OF_RESULTS: u64 = 3;

impl Store {
    /// Where the states of a trajectory are.
    pub fn place(&self, trajectory: &Digest) -> Place {
        Place { folder: self.layout.states(trajectory), trajectory: *trajectory }
    }

    /// What the states of a trajectory say of themselves, by step; those that are damaged say nothing. Their tensors
    /// are not read.
    pub fn states(&self, trajectory: &Digest) -> Vec<Manifest> {
        self.place(trajectory).states().into_iter().filter_map(|state| state.manifest.ok()).collect()
    }

    /// The folders of all trajectories.
    pub fn trajectories(&self) -> Vec<Place> {
        let entries = fs::read_dir(self.layout.all_states()).into_iter().flatten().flatten();
        let trajectory = |name: std::ffi::OsString| name.to_str()?.parse().ok();
        entries.filter_map(|entry| Some(self.place(&trajectory(entry.file_name())?))).collect()
    }

    /// Makes the folder of a trajectory's states.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it cannot be made.
    pub fn prepare_states(&self, place: &Place) -> Result<(), StoreError> {
        self.layout.prepare_folder(&place.folder)
    }

    /// Makes the folder for what the model that an artifact names has answered.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it cannot be made.
    pub fn prepare_answers(&self, teacher: &Digest) -> Result<PathBuf, StoreError> {
        let folder = self.layout.answers(teacher);
        self.layout.prepare_folder(&folder).map(|()| folder)
    }

    /// Removes the states of a trajectory and whatever lies beside them, at once for every reader. What cannot be
    /// removed costs space and nothing else.
    pub fn drop_states(&self, trajectory: &Digest) {
        let folder = self.layout.states(trajectory);
        let going = aside(&folder);
        if fs::rename(&folder, &going).is_ok() {
            let _ = fs::remove_dir_all(going);
        }
    }

    /// Removes the folder of a trajectory in which there is no state, unless a process is at work in it.
    pub fn drop_bare_states(&self, trajectory: &Digest) {
        let place = self.place(trajectory);
        if place.states().is_empty() && place.try_lock().is_some() {
            self.drop_states(trajectory);
        }
    }

    /// Holds the states of ended trainings to their share of the store; see [`SHARE_OF_RESULTS`].
    pub fn keep_states_in_bounds(&self) {
        self.bound_states(self.bytes_of_results().saturating_mul(SHARE_OF_RESULTS));
    }

    /// Holds the states that longer trainings may start from to `limit` bytes in all: the oldest go first. States of
    /// trajectories that a process is at work on stay, and so do those that are there against a crash.
    pub fn bound_states(&self, limit: u64) {
        let places = self.trajectories();
        let mut ends: Vec<End> = places.iter().flat_map(End::all).collect();
        ends.sort_by_key(|end| end.saved);
        let mut bytes: u64 = ends.iter().map(|end| end.bytes).sum();
        for end in ends {
            if bytes <= limit {
                return;
            }
            if let Some(_at_rest) = end.place.try_lock()
                && fs::remove_dir_all(&end.folder).is_ok()
            {
                bytes -= end.bytes;
            }
            self.drop_bare_states(&end.place.trajectory);
        }
    }

    /// The bytes of all results.
    pub fn bytes_of_results(&self) -> u64 {
        let files = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = files(self.layout.objects()).map(|entry| entry.path());
        folders.flat_map(files).filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    }
}

/// A state from which longer trainings may start.
struct End {
    place: Place,
    folder: PathBuf,
    bytes: u64,
    saved: SystemTime,
}

impl End {
    fn all(place: &Place) -> Vec<End> {
        let ends = place.states().into_iter().filter(Found::is_end);
        ends.filter_map(|state| {
            let (bytes, saved) = (bytes_in(&state.folder)?, fs::metadata(&state.folder).ok()?.modified().ok()?);
            Some(End { place: place.clone(), folder: state.folder, bytes, saved })
        })
        .collect()
    }
}

fn bytes_in(folder: &Path) -> Option<u64> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    Some(entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(folder.path().join("store")).expect("a new store opens");
        (folder, store)
    }

    fn save(store: &Store, trajectory: &Digest, step: u64, end: bool, age: u64) {
        let place = store.place(trajectory);
        let folder = place.state(step);
        fs::create_dir_all(&folder).expect("writable");
        fs::write(folder.join("state.safetensors"), [0; 10_000]).expect("writable");
        let manifest = Manifest {
            trajectory: *trajectory,
            step,
            key: Digest::of_bytes(b"stage"),
            budget: json!({"steps": step}),
            total: step,
            end,
            seconds: 1.0,
            metrics: BTreeMap::new(),
            files: BTreeMap::from([("state.safetensors".to_string(), Digest::of_bytes(&[0; 10_000]))]),
        };
        manifest.write(&folder).expect("writable");
        let saved = SystemTime::now() - Duration::from_secs(age);
        fs::File::open(&folder).and_then(|folder| folder.set_modified(saved)).expect("its time can be set");
    }

    fn steps(store: &Store, trajectory: &Digest) -> Vec<u64> {
        store.states(trajectory).into_iter().map(|state| state.step).collect()
    }

    #[test]
    fn states_together_keep_to_their_share_and_the_oldest_go_first() {
        let (_folder, store) = store();
        let [old, new, busy] = [b"old", b"new", b"bus"].map(|name| Digest::of_bytes(name));
        save(&store, &old, 5, true, 300);
        save(&store, &old, 9, true, 30);
        save(&store, &new, 7, true, 10);
        save(&store, &new, 8, false, 400);
        save(&store, &busy, 1, true, 900);
        let _at_work = store.place(&busy).lock().expect("nobody holds it");
        store.bound_states(45_000);
        assert_eq!((steps(&store, &old), steps(&store, &new)), (vec![5, 9], vec![7, 8]));
        store.bound_states(35_000);
        assert_eq!((steps(&store, &old), steps(&store, &new)), (vec![9], vec![7, 8]));
        store.bound_states(0);
        assert_eq!((steps(&store, &old), steps(&store, &new)), (vec![], vec![8]));
        assert_eq!(steps(&store, &busy), [1]);
        assert!(!store.place(&old).folder.exists(), "no folder stays without a state");
    }

    #[test]
    fn a_folder_without_states_goes_unless_a_process_is_at_work_in_it() {
        let (_folder, store) = store();
        let trajectory = Digest::of_bytes(b"warm");
        let place = store.place(&trajectory);
        store.prepare_states(&place).expect("writable");
        let at_work = place.lock().expect("nobody holds it");
        store.drop_bare_states(&trajectory);
        assert!(place.folder.exists());
        drop(at_work);
        store.drop_bare_states(&trajectory);
        assert!(!place.folder.exists());
        save(&store, &trajectory, 3, false, 0);
        store.drop_bare_states(&trajectory);
        assert_eq!(steps(&store, &trajectory), [3]);
        store.drop_states(&trajectory);
        assert_eq!(fs::read_dir(store.layout().all_states()).expect("it is there").count(), 0);
    }
}
