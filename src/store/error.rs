//! What can go wrong in the store, each with its place and what to do.

use crate::base::digest::Digest;
use crate::base::fs::at;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// An operation on the store that did not happen. Nothing half-done is ever visible as a result.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {doing}: {source}{}", advice(.source))]
    Io {
        /// What was tried, as in "cannot …".
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said, the path included.
        source: io::Error,
    },
    /// The store was written in a format that this program does not know.
    #[error(
        "the store at {} has the format `{found}` and this srlm reads `{expected}`: \
         use the srlm that made it, or another folder with --store",
        .root.display()
    )]
    Format {
        /// The store's folder.
        root: PathBuf,
        /// What its `format` file says.
        found: String,
        /// What this program reads.
        expected: &'static str,
    },
    /// A stage's output folder cannot become an artifact.
    #[error("the output `{role}` cannot be published: {why}")]
    Output {
        /// The output's role.
        role: String,
        /// What is wrong with it.
        why: String,
    },
    /// An archive cannot be made, or not be taken.
    #[error("{why}")]
    Archive {
        /// What is wrong.
        why: String,
    },
    /// An artifact's list of files is not there or damaged.
    #[error("the artifact {} cannot be read: {why}; run the stage that makes it again", .digest.short())]
    Artifact {
        /// Which.
        digest: Digest,
        /// What is wrong with it.
        why: String,
    },
}

impl StoreError {
    /// Whether the store can be read and not be written.
    pub(super) fn is_read_only(&self) -> bool {
        let StoreError::Io { source, .. } = self else { return false };
        matches!(source.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
    }

    /// Wraps a plain I/O error, adding the path.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_path_buf();
        move |error| StoreError::Io { doing, source: at(&path, error), path }
    }

    /// Wraps an error of `base::fs`, which names the path already.
    pub(super) fn placed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_path_buf();
        move |source| StoreError::Io { doing, path, source }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; make room on that disk, or name a folder on another with --store, and run again: finished stages are kept"
        }
        ErrorKind::PermissionDenied => "; give yourself the right to it, or name another folder with --store",
        ErrorKind::ReadOnlyFilesystem => "; that disk is read-only: name a folder on another with --store",
        _ => "",
    }
}
