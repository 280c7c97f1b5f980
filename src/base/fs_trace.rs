//! What changes on the disk, told to whoever records it: in builds for tests the crash model, else nobody.

use std::path::Path;

/// A change that has just been made. Until it is flushed, a power cut may undo it.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Bytes of this file were written.
    Wrote(&'a Path),
    /// The bytes of this file are on the disk.
    FlushedFile(&'a Path),
    /// The names in this folder are on the disk.
    FlushedFolder(&'a Path),
    /// This folder was made.
    MadeFolder(&'a Path),
    /// The first path leads to the second, too.
    Linked(&'a Path, &'a Path),
    /// The first path became the second.
    Renamed(&'a Path, &'a Path),
    /// This file or folder, with all that is in it, was removed.
    Removed(&'a Path),
}

/// Told to nobody: this is no build for tests.
#[cfg(not(test))]
#[inline(always)]
pub fn tell(_change: Change) {}

#[cfg(test)]
pub(crate) use recording::listen;
#[cfg(test)]
pub use recording::tell;

#[cfg(test)]
mod recording {
    use super::Change;
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    /// Takes changes in the order in which they are made, from whatever thread.
    pub(crate) type Listener = Arc<dyn Fn(Change) + Send + Sync>;

    /// Listeners by the folder that they listen to: tests that run beside each other do not hear each other.
    static LISTENERS: Mutex<Vec<(PathBuf, Listener)>> = Mutex::new(Vec::new());

    fn listeners() -> MutexGuard<'static, Vec<(PathBuf, Listener)>> {
        LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `listener` for every change under `folder` while `work` runs.
    pub(crate) fn listen<T>(folder: &Path, listener: Listener, work: impl FnOnce() -> T) -> T {
        listeners().push((folder.to_path_buf(), listener));
        let result = work();
        listeners().retain(|(other, _)| other != folder);
        result
    }

    /// Tells whoever listens to that place.
    pub fn tell(change: Change) {
        let path = match change {
            Change::Wrote(path) | Change::FlushedFile(path) | Change::FlushedFolder(path) => path,
            Change::MadeFolder(path) | Change::Removed(path) => path,
            Change::Linked(path, _) | Change::Renamed(path, _) => path,
        };
        let found = listeners().iter().find(|(folder, _)| path.starts_with(folder)).map(|(_, tell)| Arc::clone(tell));
        if let Some(tell) = found {
            tell(change);
        }
    }
}
