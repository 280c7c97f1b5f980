//! Attempts: a folder of its own for each try at a stage, and the training states that outlive a crash.

use super::Store;
use super::error::StoreError;
use super::process::{ProcessId, serial};
use crate::base::digest::Digest;
use std::fs;
use std::path::{Path, PathBuf};

/// The file that a training state has once it is whole.
pub const STATE_FILE: &str = "state.json";

/// One try at a stage.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// A folder that only this attempt uses: logs, the job, whatever the worker needs.
    pub dir: PathBuf,
    /// An empty folder in it: what it holds when the stage ends is the output.
    pub out: PathBuf,
    /// The folder of training states, shared by all attempts at the key.
    pub states: PathBuf,
}

impl Attempt {
    /// Gives it up: its folder goes, the training states stay.
    pub fn discard(self) {
        // What cannot be removed now is removed by the next attempt.
        let _ = fs::remove_dir_all(&self.dir);
        self.remove_if_bare();
    }

    /// Gives it up after a failure, of which a log may tell more: every other file of it goes, and all where the log
    /// is empty. The key may never be tried again, so nothing large may stay.
    pub fn give_up(self) {
        if fs::metadata(self.log()).is_ok_and(|log| log.len() > 0) {
            let _ = fs::remove_dir_all(&self.out);
            let _ = fs::remove_dir_all(self.work());
        } else {
            self.discard();
        }
    }

    /// Where the worker's standard error goes.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// A folder that the worker may make for what does not become the output.
    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// Removes the folder of the key's attempts where no other attempt and no training state is in it.
    fn remove_if_bare(&self) {
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        let Some(attempts) = self.dir.parent() else { return };
        let has_state = names(&self.states).iter().any(|name| name.starts_with("step-"));
        if names(attempts) == ["states"] && !has_state {
            let _ = fs::remove_dir_all(&self.states);
            let _ = fs::remove_dir(attempts);
        }
    }
}

impl Store {
    /// Starts an attempt. With the key's lease held, what dead attempts left is removed first.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the folders cannot be made.
    pub fn attempt(&self, key: &Digest) -> Result<Attempt, StoreError> {
        self.remove_dead_attempts(key);
        let dir = self.staging(key)?;
        let (out, states) = (dir.join("out"), self.layout.states(key));
        self.layout.prepare_folder(&out)?;
        self.layout.prepare_folder(&states)?;
        Ok(Attempt { dir, out, states })
    }

    /// The step of the newest whole training state: a folder `step-00000042` with a `state.json` in it.
    pub fn newest_state(&self, key: &Digest) -> Option<u64> {
        let entries = fs::read_dir(self.layout.states(key)).ok()?;
        entries.flatten().filter_map(|entry| state_step(&entry.path())).max()
    }

    /// A folder that no other process and no other call uses.
    pub(super) fn staging(&self, key: &Digest) -> Result<PathBuf, StoreError> {
        let dir = self.layout.attempts(key).join(folder_name(ProcessId::current(), serial()));
        self.layout.prepare_folder(&dir)?;
        Ok(dir)
    }

    /// Removes the folders of processes that are gone. One of another host or an earlier boot is gone, too: it would
    /// have kept the lease that the caller holds.
    pub(super) fn remove_dead_attempts(&self, key: &Digest) {
        let Ok(entries) = fs::read_dir(self.layout.attempts(key)) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name != "states" && is_left_over(name)) {
                // What cannot be removed costs space and nothing else.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn state_step(path: &Path) -> Option<u64> {
    let step = path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()?;
    path.join(STATE_FILE).is_file().then_some(step)
}

/// `<realm>.<pid>.<start>.<serial>`: enough to tell later whether the process still lives.
fn folder_name(process: &ProcessId, serial: u64) -> String {
    format!("{}.{}.{}.{serial}", realm_name(&process.realm), process.pid, process.started)
}

fn realm_name(realm: &str) -> String {
    Digest::of_bytes(realm.as_bytes()).short()
}

fn is_left_over(name: &str) -> bool {
    fate(name) != Fate::Alive
}

/// What became of the process that made an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Alive,
    Dead,
    /// It is of another machine or an earlier boot, or the name is none of ours.
    Unknown,
}

/// What the name of an attempt's folder tells of its process.
pub(super) fn fate(name: &str) -> Fate {
    let here = ProcessId::current();
    let parts: Vec<&str> = name.split('.').collect();
    let [realm, pid, started, _] = parts[..] else {
        return Fate::Unknown;
    };
    match (pid.parse(), started.parse()) {
        (Ok(pid), Ok(started)) if realm == realm_name(&here.realm) => {
            let process = ProcessId { realm: here.realm.clone(), pid, started };
            if process.is_dead() { Fate::Dead } else { Fate::Alive }
        }
        _ => Fate::Unknown,
    }
}
