//! Floor 1: the Hugging Face Hub: what a repository holds at a revision, the cache its files lie in, and the lock.

mod cache;
mod client;
mod layout;
mod lock;
#[cfg(test)]
mod tests;

pub use cache::Cache;
pub use client::{Client, Fetched, Listing, RemoteFile};
pub use layout::files_of;
pub use lock::{Entry, LOCK_FILE, Lock, LockedFile, Wanted};

use std::fmt;
use std::path::PathBuf;

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepoKind {
    /// Weights, a config and a tokenizer.
    Model,
    /// Files of rows.
    Dataset,
}

/// A repository of the Hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repo {
    /// What it holds.
    pub kind: RepoKind,
    /// `organisation/name`, or a name alone.
    pub name: String,
}

impl Repo {
    /// A repository by its name, where that is one.
    ///
    /// # Errors
    /// What is wrong with the name: it becomes part of a path and of an address.
    pub fn new(kind: RepoKind, name: &str) -> Result<Repo, String> {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let part = |part: &str| !part.is_empty() && part.chars().all(known) && !part.starts_with('.');
        let parts: Vec<&str> = name.split('/').collect();
        match parts.len() <= 2 && parts.iter().all(|text| part(text)) {
            true => Ok(Repo { kind, name: name.to_string() }),
            false => Err(format!("`{name}` is no repository of the Hub: it is written \"organisation/name\"")),
        }
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Whether a revision is a commit, and so names the same bytes for ever.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Why something did not come from the Hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The network may not be used.
    #[error("{what} is not in the cache, and srlm is offline: go online, or copy it into {}", .cache.display())]
    Offline {
        /// What was wanted.
        what: String,
        /// Where it would be.
        cache: PathBuf,
    },
    /// There is no such repository, revision or file, or no right to see it.
    #[error("{0}")]
    NotThere(String),
    /// The network or the server failed.
    #[error("{0}")]
    Network(String),
    /// A file is not the one that was locked.
    #[error("{0}")]
    Mismatch(String),
    /// The lock cannot be read.
    #[error("{0}")]
    Lock(String),
    /// The disk.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}
