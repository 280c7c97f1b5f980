//! The store: results under their keys, published so that a crash leaves a whole result or none.

mod alternate;
pub mod artifact;
pub mod attempt;
mod blob;
pub mod care;
#[cfg(test)]
mod crash_tests;
mod error;
mod guard;
pub mod layout;
pub mod lease;
mod lookup;
mod moment;
mod process;
mod publish;
pub mod record;
pub mod remote;
mod roots;
mod run_logs;
mod stat_cache;
mod states;
#[cfg(test)]
mod tests;
mod tombstone;

pub use artifact::Artifact;
pub use attempt::Attempt;
pub use error::StoreError;
pub use layout::Layout;
pub use lease::{Holder, Lease, LeaseOutcome, Owner};
pub use lookup::{Listing, Lookup, MissReason, Skipped};
pub use moment::rfc3339;
pub use process::host_name;
pub use publish::Published;
pub use record::{Made, Record, RecordDraft, Resumed};
pub use remote::Remote;
pub use roots::{Pin, RunRoot, RunRootGuard};
pub use run_logs::{RunLog, RunOutcome, RunStage};
pub use stat_cache::StatCache;
pub use tombstone::{Remover, Tombstone};

use std::fs::File;
use std::path::{Path, PathBuf};

/// A store in a folder. Opening it and looking into it leave no trace on disk; the first write makes its folders.
#[derive(Clone, Debug)]
pub struct Store {
    layout: Layout,
}

impl Store {
    /// The store at `root`, whether it exists yet or not.
    ///
    /// # Errors
    /// [`StoreError::Format`] where the folder was written by an srlm with another format;
    /// [`StoreError::Io`] where it is no folder or cannot be read.
    pub fn open(root: impl Into<PathBuf>) -> Result<Store, StoreError> {
        let layout = Layout::new(root);
        layout.check_format()?;
        Ok(Store { layout })
    }

    /// Where things are in it.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// Begins the event log of a run.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it cannot be made.
    pub fn run_log(&self, run: &str) -> Result<File, StoreError> {
        let path = self.layout.run_log(run);
        path.parent().map_or(Ok(()), |folder| self.layout.prepare_passing(folder))?;
        File::create(&path).map_err(StoreError::io("write the run's log", &path))
    }
}
