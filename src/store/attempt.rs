//! Attempts: a folder of its own for each try at a stage.

use super::Store;
use super::error::StoreError;
use super::process::{ProcessId, serial};
use crate::base::digest::Digest;
use crate::base::failpoint::failpoint;
use crate::base::fs::{remove_dir, remove_dir_all};
use std::fs;
use std::path::PathBuf;

/// One try at a stage.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// A folder that only this attempt uses: logs, the job, whatever the worker needs.
    pub dir: PathBuf,
    /// An empty folder in it: what it holds when the stage ends is the output.
    pub out: PathBuf,
}

impl Attempt {
    /// Gives it up: its folder goes.
    pub fn discard(self) {
        // What cannot be removed now is removed by the next attempt.
        let _ = remove_dir_all(&self.dir);
        self.remove_if_bare();
    }

    /// Gives it up after a failure, of which a log may tell more: every other file of it goes, and all where the log
    /// is empty. The key may never be tried again, so nothing large may stay.
    pub fn give_up(self) {
        if fs::metadata(self.log()).is_ok_and(|log| log.len() > 0) {
            let _ = remove_dir_all(&self.out);
            let _ = remove_dir_all(&self.work());
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

    /// Removes the folder of the key's attempts where no other attempt is in it.
    fn remove_if_bare(&self) {
        if let Some(attempts) = self.dir.parent() {
            let _ = remove_dir(attempts);
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
        let out = dir.join("out");
        self.layout.prepare_passing(&out)?;
        failpoint("attempt.made");
        Ok(Attempt { dir, out })
    }

    /// A folder that no other process and no other call uses.
    pub(super) fn staging(&self, key: &Digest) -> Result<PathBuf, StoreError> {
        let dir = self.layout.attempts(key).join(folder_name(ProcessId::current(), serial()));
        self.layout.prepare_passing(&dir)?;
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
            if name.to_str().is_some_and(is_left_over) {
                // What cannot be removed costs space and nothing else.
                let _ = remove_dir_all(&entry.path());
            }
        }
    }
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
