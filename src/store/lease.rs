//! Leases: who works on a key. They save double work and nothing else: losing one never corrupts a result.

use super::Store;
use super::error::StoreError;
use super::process::{ProcessId, host_name, serial};
use crate::base::digest::Digest;
use crate::base::failpoint::failpoint;
use crate::base::fs::{create_passing, hard_link, remove_file, rename};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A lease without a heartbeat for this long is stale.
const STALE_AFTER: Duration = Duration::from_secs(90);

/// After how long a lease without a heartbeat is stale: 90 s. In builds with debug assertions tests shorten it by
/// `SRLM_STALE_SECONDS`; every process on a store must agree on it.
pub fn stale_after() -> Duration {
    static SECONDS: OnceLock<Option<u64>> = OnceLock::new();
    let set = || std::env::var("SRLM_STALE_SECONDS").ok()?.parse().ok();
    let seconds = if cfg!(debug_assertions) { *SECONDS.get_or_init(set) } else { None };
    seconds.map_or(STALE_AFTER, Duration::from_secs)
}

/// Who wants a lease: one process in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The run's id.
    pub run: String,
    /// The machine.
    pub host: String,
    /// Boot id and pid namespace: where these are equal, `pid` means the same process. Empty where unknown.
    pub boot_id: String,
    /// The process.
    pub pid: u32,
    /// Its start, in clock ticks since boot: a reused `pid` has another.
    pub started: u64,
}

impl Owner {
    /// This process, working for a run.
    pub fn current(run: impl Into<String>) -> Owner {
        let process = ProcessId::current();
        Owner {
            run: run.into(),
            host: host_name(),
            boot_id: process.realm.clone(),
            pid: process.pid,
            started: process.started,
        }
    }

    fn is_dead(&self) -> bool {
        ProcessId { realm: self.boot_id.clone(), pid: self.pid, started: self.started }.is_dead()
    }
}

/// What a lease file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    #[serde(flatten)]
    owner: Owner,
    /// Seconds since 1970, by the owner's clock; only shown.
    since: u64,
    /// Tells two leases of one process apart.
    serial: u64,
}

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// Its run.
    pub run: String,
    /// How long it has held it.
    pub age_seconds: u64,
}

/// What asking for a lease came to.
#[derive(Debug)]
pub enum LeaseOutcome {
    /// It is ours.
    Acquired(Lease),
    /// Another process is at work.
    Held(Holder),
}

/// A lease that is held. Dropping it releases it.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    file: File,
    text: Vec<u8>,
}

impl Lease {
    /// Shows that the owner lives; to be called well within [`stale_after`]. Returns whether the lease is still ours.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the lease cannot be written.
    pub fn beat(&self) -> Result<bool, StoreError> {
        // Writing sets the mtime by the file system's clock. The handle is ours alone: after a takeover it leads to
        // the file that was moved away, never to the successor's.
        self.file.write_all_at(&self.text, 0).map_err(StoreError::io("renew a lease", &self.path))?;
        Ok(self.is_ours())
    }

    fn is_ours(&self) -> bool {
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(ours), Ok(there)) => identity(ours) == identity(there),
            _ => false,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_ours() {
            // A lease that stays behind is stale as soon as this process ends.
            let _ = remove_file(&self.path);
            failpoint("lease.released");
        }
    }
}

impl Store {
    /// Asks for the lease on a key. A stale one is taken over: at once where its process is known to be dead, else
    /// when it had no heartbeat within [`stale_after`] by the file system's clock.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the store cannot be written.
    pub fn lease(&self, key: &Digest, owner: &Owner) -> Result<LeaseOutcome, StoreError> {
        let path = self.layout.lease(key);
        path.parent().map_or(Ok(()), |folder| self.layout.prepare_passing(folder))?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claim = Claim { owner: owner.clone(), since, serial: serial() };
        loop {
            if let Some(lease) = create(&path, &claim)? {
                return Ok(LeaseOutcome::Acquired(lease));
            }
            let Some(found) = Found::read(&path)? else {
                continue;
            };
            if !found.is_stale(&path)? {
                return Ok(LeaseOutcome::Held(found.holder(since)));
            }
            take_away_stale(&path)?;
        }
    }
}

fn create(path: &Path, claim: &Claim) -> Result<Option<Lease>, StoreError> {
    let failed = || StoreError::placed("take a lease", path);
    let text = serde_json::to_vec_pretty(claim).map_err(|error| StoreError::io("take a lease", path)(error.into()))?;
    if !create_passing(path, &text).map_err(failed())? {
        return Ok(None);
    }
    failpoint("lease.created");
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(StoreError::io("take a lease", path))?;
    Ok(Some(Lease { path: path.to_path_buf(), file, text }))
}

/// Moves a stale lease out of the way, one process at a time, so that none moves the lease of a quicker one.
pub(super) fn take_away_stale(path: &Path) -> Result<(), StoreError> {
    let guard = path.with_file_name(".takeover");
    let guard = File::create(&guard).map_err(StoreError::io("take over a lease", &guard))?;
    // A disk without file locks leaves a window in which two processes may do the same work.
    let _ = guard.lock();
    match Found::read(path)? {
        Some(found) if found.is_stale(path)? => found.move_away(path),
        _ => Ok(()),
    }
}

/// Whether somebody holds a lease; `now` by the file system's clock. One that cannot be read counts as held.
pub(super) fn is_held(path: &Path, now: SystemTime) -> bool {
    match Found::read(path) {
        Ok(Some(found)) => !found.is_of_the_dead() && !found.is_silent(now),
        Ok(None) => false,
        Err(_) => true,
    }
}

/// A lease file as it was seen.
struct Found {
    bytes: Vec<u8>,
    claim: Option<Claim>,
    modified: SystemTime,
}

impl Found {
    fn read(path: &Path) -> Result<Option<Found>, StoreError> {
        let seen = fs::metadata(path).and_then(|found| Ok((found.modified()?, fs::read(path)?)));
        match seen {
            Ok((modified, bytes)) => Ok(Some(Found { claim: serde_json::from_slice(&bytes).ok(), bytes, modified })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read a lease", path)(error)),
        }
    }

    fn is_stale(&self, path: &Path) -> Result<bool, StoreError> {
        Ok(self.is_of_the_dead() || self.is_silent(file_system_time(path)?))
    }

    fn is_of_the_dead(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.owner.is_dead())
    }

    fn is_silent(&self, now: SystemTime) -> bool {
        // A heartbeat far in the future means that the clock was set back since: no owner has beaten by it.
        now.duration_since(self.modified).unwrap_or_else(|ahead| ahead.duration()) > stale_after()
    }

    fn holder(&self, now: u64) -> Holder {
        let owner = self.claim.as_ref().map(|claim| &claim.owner);
        Holder {
            host: owner.map_or_else(|| "unknown".to_string(), |owner| owner.host.clone()),
            pid: owner.map_or(0, |owner| owner.pid),
            run: owner.map_or_else(String::new, |owner| owner.run.clone()),
            age_seconds: self.claim.as_ref().map_or(0, |claim| now.saturating_sub(claim.since)),
        }
    }

    /// Moves a stale lease out of the way. Where another process was quicker and its new lease was moved instead,
    /// that lease is put back.
    fn move_away(&self, path: &Path) -> Result<(), StoreError> {
        let failed = || StoreError::io("take over a lease", path);
        let aside = unique_beside(path);
        match rename(path, &aside) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed()(error)),
        }
        failpoint("lease.moved_away");
        if fs::read(&aside).map_err(failed())? != self.bytes {
            // Should a third process have a lease by now, the second sees at its next beat that it lost its own.
            let _ = hard_link(&aside, path);
        }
        remove_file(&aside).map_err(failed())
    }
}

/// The file system's own clock, read from a file touched now: on a shared disk it need not agree with ours.
fn file_system_time(path: &Path) -> Result<SystemTime, StoreError> {
    let probe = unique_beside(path);
    let touched = File::create(&probe).and_then(|file| file.metadata()).and_then(|found| found.modified());
    let _ = fs::remove_file(&probe);
    touched.map_err(StoreError::io("read the clock of the store's disk", &probe))
}

fn unique_beside(path: &Path) -> PathBuf {
    let process = ProcessId::current();
    let host = Digest::of_bytes(format!("{} {}", process.realm, host_name()).as_bytes()).short();
    path.with_file_name(format!(".{host}.{}.{}.{}", process.pid, process.started, serial()))
}
