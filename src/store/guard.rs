//! The lock that keeps those who publish and those who take away apart.
//!
//! Between a blob's name and the record that needs it there is a moment in which nothing shows that the blob is needed.
//! So whoever publishes holds `gc.lock` together with all others who publish, and gc holds it alone, from its first look
//! to its last removal: it never sees that moment. The kernel frees the lock of a process that dies. Where a disk has no
//! file locks, gc relies on its grace period instead: it leaves alone what is younger.

use super::Store;
use super::error::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

/// A held lock; dropping it frees it.
#[derive(Debug)]
pub(super) struct Guard {
    _file: Option<File>,
}

impl Store {
    /// To be held from before the first blob gets its name until after the record is there. Waits for a gc at work.
    pub(super) fn publishing(&self) -> Result<Guard, StoreError> {
        let file = self.open_lock()?;
        // Without locks on this disk the grace period has to do.
        let locked = file.lock_shared().is_ok();
        Ok(Guard { _file: locked.then_some(file) })
    }

    /// Keeps everyone from publishing. `waits` is called once where somebody is at it; none where the disk has no locks.
    pub(super) fn collecting(&self, waits: &dyn Fn()) -> Result<Option<Guard>, StoreError> {
        let file = self.open_lock()?;
        let locked = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                waits();
                file.lock().is_ok()
            }
            Err(TryLockError::Error(_)) => false,
        };
        Ok(locked.then_some(Guard { _file: Some(file) }))
    }

    /// The time by the clock of the store's own file system, read from a file touched now: on a shared disk it need not
    /// agree with ours.
    pub(super) fn disk_time(&self) -> Result<SystemTime, StoreError> {
        let file = self.open_lock()?;
        let touched = file.write_all_at(b"\n", 0).and_then(|()| file.metadata()?.modified());
        touched.map_err(StoreError::io("read the clock of the store's disk", &self.layout.gc_lock()))
    }

    fn open_lock(&self) -> Result<File, StoreError> {
        let path = self.layout.gc_lock();
        self.layout.prepare_parent(&path)?;
        open_or_make(&path).map_err(StoreError::io("open the store's lock", &path))
    }
}

fn open_or_make(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}
