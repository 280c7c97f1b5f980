//! `srlm.lock`: the commit and the digests of every source on the Hub, as text that people can compare.

use super::{HubError, Repo, RepoKind};
use crate::base::fs::{at, write_atomic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The name of the file, beside the project.
pub const LOCK_FILE: &str = "srlm.lock";
const VERSION: u32 = 1;
const HEAD: &str = "# Written by `srlm lock`: what each source on the Hub is, to the byte. Keep it with the project.\n";

/// What a program asks of the Hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wanted {
    /// What the repository holds.
    pub kind: RepoKind,
    /// The repository.
    pub repo: String,
    /// The revision as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<String>,
    /// The configuration of a dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// The split of a dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// The file of a dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Wanted {
    /// The repository.
    ///
    /// # Errors
    /// Where its name is none.
    pub fn repository(&self) -> Result<Repo, String> {
        Repo::new(self.kind, &self.repo)
    }
}

/// A source that is held to its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What was asked for.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// The commit.
    pub revision: String,
    /// Its files by name.
    pub files: BTreeMap<String, LockedFile>,
}

/// A file that is held to its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedFile {
    /// Bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: String,
}

/// All sources of a project, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    entries: BTreeMap<Wanted, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    sources: Vec<Entry>,
}

impl Lock {
    /// Reads the lock of a project folder; a folder without one has an empty lock.
    ///
    /// # Errors
    /// [`HubError::Lock`] where it is damaged or of another version.
    pub fn read(project: &Path) -> Result<Lock, HubError> {
        let path = project.join(LOCK_FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Lock::default()),
            read => read.map_err(|error| HubError::Lock(at(&path, error).to_string()))?,
        };
        let broken = |why: String| HubError::Lock(format!("{} cannot be read: {why}", path.display()));
        let written: Written = serde_yaml::from_str(&text).map_err(|error| broken(error.to_string()))?;
        if written.version != VERSION {
            return Err(broken(format!("it has version {}, this srlm reads version {VERSION}", written.version)));
        }
        if let Some(entry) = written.sources.iter().find(|entry| !super::is_commit(&entry.revision)) {
            return Err(broken(format!("the revision of `{}` is no commit", entry.wanted.repo)));
        }
        Ok(written.sources.into_iter().map(|entry| (entry.wanted.clone(), entry)).collect())
    }

    /// Writes the lock into a project folder: the same lock gives the same bytes.
    ///
    /// # Errors
    /// [`HubError::Io`].
    pub fn write(&self, project: &Path) -> Result<(), HubError> {
        let written = Written { version: VERSION, sources: self.entries.values().cloned().collect() };
        let text = serde_yaml::to_string(&written).map_err(|error| HubError::Lock(error.to_string()))?;
        Ok(write_atomic(&project.join(LOCK_FILE), format!("{HEAD}{text}").as_bytes())?)
    }

    /// The entry of a source.
    pub fn find(&self, wanted: &Wanted) -> Option<&Entry> {
        self.entries.get(wanted)
    }

    /// The commit that another source of the same repository and revision is held to.
    pub fn revision_of(&self, wanted: &Wanted) -> Option<&str> {
        let same = |entry: &&Entry| {
            let other = &entry.wanted;
            (other.kind, &other.repo, &other.rev) == (wanted.kind, &wanted.repo, &wanted.rev)
        };
        self.entries.values().find(same).map(|entry| entry.revision.as_str())
    }

    /// Takes an entry over, in the place of one for the same source.
    pub fn put(&mut self, entry: Entry) {
        self.entries.insert(entry.wanted.clone(), entry);
    }
}

impl FromIterator<(Wanted, Entry)> for Lock {
    fn from_iter<I: IntoIterator<Item = (Wanted, Entry)>>(entries: I) -> Lock {
        Lock { entries: entries.into_iter().collect() }
    }
}
