//! The files of a stage that takes them from the Hub: those that the lock names, else those of the revision.

use super::StageError;
use crate::hub::{Cache, Client, HubError, LockedFile, RemoteFile, Wanted, files_of, is_commit};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the driver adds to the arguments where `srlm.lock` holds the source; no user writes it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Pinned {
    /// The files by name.
    #[serde(default)]
    pub pinned: BTreeMap<String, LockedFile>,
}

/// The files, downloaded where the cache lacks them and held against their digests.
///
/// # Errors
/// [`StageError::Input`] where the Hub lacks them or they differ from the lock, [`StageError::Machine`] for network
/// and disk.
pub fn fetch(wanted: &Wanted, pinned: &Pinned) -> Result<Vec<(String, PathBuf)>, StageError> {
    let repo = wanted.repository().map_err(StageError::input)?;
    let commit = commit(wanted).ok_or_else(|| StageError::machine(format!("`{repo}` was not held to a commit")))?;
    let client = Client::from_env();
    let files = match pinned.pinned.is_empty() {
        false => pinned.pinned.iter().map(|(name, file)| (name.clone(), file.into())).collect(),
        true => of_revision(wanted, commit, &client)?,
    };
    let fetched =
        |(name, file): (String, RemoteFile)| Ok((name.clone(), client.fetch(&repo, commit, &name, &file)?.path));
    files.into_iter().map(fetched).collect()
}

/// What the Hub says a revision holds; what the cache says where the Hub cannot be asked.
fn of_revision(wanted: &Wanted, commit: &str, client: &Client) -> Result<Vec<(String, RemoteFile)>, StageError> {
    let repo = wanted.repository().map_err(StageError::input)?;
    let listed = match client.list(&repo, Some(commit)) {
        Ok(listing) => listing.files,
        Err(error @ (HubError::Offline { .. } | HubError::Network(_))) => {
            let names = client.cache().files(&repo, commit);
            if files_of(wanted, names.iter().map(String::as_str)).is_err() {
                return Err(error.into());
            }
            names.into_iter().map(|name| (name, RemoteFile { size: None, sha256: None })).collect()
        }
        Err(error) => return Err(error.into()),
    };
    let names = files_of(wanted, listed.keys().map(String::as_str));
    let names = names.map_err(|why| StageError::input(format!("`{repo}` at {commit}: {why}")))?;
    Ok(names.into_iter().filter_map(|name| Some((name.clone(), listed.get(&name)?.clone()))).collect())
}

/// The folder of the cache with the files of a pinned source, where there is one.
pub fn snapshot(wanted: &Wanted, cache: &Cache) -> Option<PathBuf> {
    Some(cache.snapshot(&wanted.repository().ok()?, commit(wanted)?)).filter(|folder| folder.is_dir())
}

/// The files of a pinned source, where the cache has all of them.
pub fn cached(wanted: &Wanted, pinned: &Pinned, cache: &Cache) -> Option<Vec<(String, PathBuf)>> {
    let (repo, commit) = (wanted.repository().ok()?, commit(wanted)?);
    let names = match pinned.pinned.is_empty() {
        false => pinned.pinned.keys().cloned().collect(),
        true => files_of(wanted, cache.files(&repo, commit).iter().map(String::as_str)).ok()?,
    };
    names.into_iter().map(|name| Some((name.clone(), cache.file(&repo, commit, &name)?))).collect()
}

fn commit(wanted: &Wanted) -> Option<&str> {
    wanted.rev.as_deref().filter(|revision| is_commit(revision))
}

impl From<&LockedFile> for RemoteFile {
    fn from(file: &LockedFile) -> Self {
        RemoteFile { size: Some(file.size), sha256: Some(file.sha256.clone()) }
    }
}

impl From<HubError> for StageError {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Io(error) => error.into(),
            HubError::Network(message) => StageError::machine(message),
            other => StageError::input(other.to_string()),
        }
    }
}
