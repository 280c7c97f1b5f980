//! `srlm lock`: every source on the Hub resolved to a commit and to the digests of its files.

use super::pin::{not_there, wanted};
use super::{Failure, Settings, compiled, home};
use crate::hub::{Client, Entry, HubError, LOCK_FILE, Listing, Lock, LockedFile, RemoteFile, Repo, Wanted, files_of};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What became of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was held already.
    Kept,
    /// It is held from now on.
    Added,
    /// It is held to another commit, or to other files.
    Updated,
}

/// A source of the file in the lock.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Locked {
    /// What became of it.
    pub change: Change,
    /// What it is held to.
    #[serde(flatten)]
    pub entry: Entry,
}

/// The lock after `srlm lock`.
#[derive(Clone, Debug)]
pub struct LockReport {
    /// The file that was written.
    pub path: PathBuf,
    /// The sources of the program, sorted.
    pub sources: Vec<Locked>,
}

/// Resolves what the program takes from the Hub and writes `srlm.lock` beside the project. What the lock holds stays,
/// unless `update` asks for what the Hub has now; sources of other files of the project stay in any case.
///
/// # Errors
/// [`Failure::File`] for a source that the Hub lacks, [`Failure::Input`] offline or for a damaged lock,
/// [`Failure::Machine`] for network and disk.
pub fn lock<'a>(file: &Path, settings: impl Into<Settings<'a>>, update: bool) -> Result<LockReport, Failure> {
    let checked = compiled(file, settings.into())?;
    let project = home(file);
    let mut lock = Lock::read(&project)?;
    let client = Client::from_env();
    let (mut sources, mut errors) = (BTreeMap::new(), Vec::new());
    for (index, wanted) in wanted(&checked.program) {
        if sources.contains_key(&wanted) {
            continue;
        }
        match held(&wanted, &lock, update, &client) {
            Ok(locked) => {
                lock.put(locked.entry.clone());
                sources.insert(wanted, locked);
            }
            Err(HubError::NotThere(why)) => errors.push(not_there(&checked.program.calls[index], &why)),
            Err(error) => return Err(error.into()),
        }
    }
    checked.with(errors)?;
    if sources.values().any(|locked| locked.change != Change::Kept) {
        lock.write(&project)?;
    }
    Ok(LockReport { path: project.join(LOCK_FILE), sources: sources.into_values().collect() })
}

fn held(wanted: &Wanted, lock: &Lock, update: bool, client: &Client) -> Result<Locked, HubError> {
    let known = lock.find(wanted);
    if let Some(entry) = known.filter(|_| !update) {
        return Ok(Locked { change: Change::Kept, entry: entry.clone() });
    }
    let repo = wanted.repository().map_err(HubError::NotThere)?;
    let beside = lock.revision_of(wanted).filter(|_| !update);
    let listing = client.list(&repo, beside.or(wanted.rev.as_deref()))?;
    let entry = entry(wanted, &repo, &listing, client)?;
    let change = match known {
        None => Change::Added,
        Some(known) if *known == entry => Change::Kept,
        Some(_) => Change::Updated,
    };
    Ok(Locked { change, entry })
}

fn entry(wanted: &Wanted, repo: &Repo, listing: &Listing, client: &Client) -> Result<Entry, HubError> {
    let names = files_of(wanted, listing.files.keys().map(String::as_str));
    let names = names.map_err(|why| HubError::NotThere(format!("`{repo}` cannot be used: {why}")))?;
    let mut files = BTreeMap::new();
    for name in names {
        let remote = &listing.files[&name];
        files.insert(name.clone(), digest(repo, &listing.commit, &name, remote, client)?);
    }
    Ok(Entry { wanted: wanted.clone(), revision: listing.commit.clone(), files })
}

/// Size and digest of a file: as the Hub tells them of large ones. Small ones are downloaded, and so is the tokenizer,
/// by which models are compared before anything runs.
fn digest(repo: &Repo, commit: &str, name: &str, remote: &RemoteFile, client: &Client) -> Result<LockedFile, HubError> {
    match remote {
        RemoteFile { size: Some(size), sha256: Some(sha256) } if name != "tokenizer.json" => {
            Ok(LockedFile { size: *size, sha256: sha256.clone() })
        }
        _ => Ok(client.fetch(repo, commit, name, remote)?.locked),
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Network(message) => Failure::Machine(message),
            HubError::Io(error) => Failure::Machine(error.to_string()),
            other => Failure::Input(other.to_string()),
        }
    }
}
