//! The cache of the Hub's own tools: `models--org--name/{blobs,snapshots/<commit>/…}`, shared with them.

use super::{HubError, Repo, RepoKind};
use crate::base::fs::at;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A cache folder.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// A cache in that folder.
    pub fn new(root: PathBuf) -> Cache {
        Cache { root }
    }

    /// The user's: `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else `huggingface/hub` below the system's cache folder.
    pub fn from_env() -> Cache {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || folder("HF_HOME").map(|home| home.join("hub"));
        let below = |cache: PathBuf| cache.join("huggingface").join("hub");
        let system = || folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache"))).map(below);
        Cache::new(
            folder("HF_HUB_CACHE").or_else(home).or_else(system).unwrap_or_else(|| PathBuf::from(".huggingface")),
        )
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn folder(&self, repo: &Repo) -> PathBuf {
        let kind = if repo.kind == RepoKind::Model { "models" } else { "datasets" };
        self.root.join(format!("{kind}--{}", repo.name.replace('/', "--")))
    }

    /// The folder of a repository's files at a commit.
    pub fn snapshot(&self, repo: &Repo, commit: &str) -> PathBuf {
        self.folder(repo).join("snapshots").join(commit)
    }

    /// A file, where it is there.
    pub fn file(&self, repo: &Repo, commit: &str, file: &str) -> Option<PathBuf> {
        Some(self.snapshot(repo, commit).join(file)).filter(|path| path.is_file())
    }

    /// The names of the files that are there at a commit, sorted.
    pub fn files(&self, repo: &Repo, commit: &str) -> Vec<String> {
        let root = self.snapshot(repo, commit);
        let (mut found, mut open) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                match path.strip_prefix(&root) {
                    // A snapshot holds plain folders and links to files; a link to a folder is not followed.
                    _ if entry.file_type().is_ok_and(|kind| kind.is_dir()) => open.push(path),
                    Ok(name) if path.is_file() => found.push(name.to_string_lossy().into_owned()),
                    _ => {}
                }
            }
        }
        found.sort();
        found
    }

    /// Where a download of that name is collected until it is whole.
    pub(super) fn incomplete(&self, repo: &Repo, name: &str) -> Result<PathBuf, HubError> {
        let folder = self.folder(repo).join("blobs");
        fs::create_dir_all(&folder).map_err(|error| at(&folder, error))?;
        Ok(folder.join(format!("{name}.incomplete")))
    }

    /// Makes a whole download appear under its digest and under its name.
    pub(super) fn publish(
        &self,
        repo: &Repo,
        commit: &str,
        file: &str,
        incomplete: &Path,
        sha256: &str,
    ) -> Result<PathBuf, HubError> {
        let blob = self.folder(repo).join("blobs").join(sha256);
        fs::rename(incomplete, &blob).map_err(|error| at(&blob, error))?;
        let path = self.snapshot(repo, commit).join(file);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        let _ = fs::remove_file(&path);
        link(&blob, &path, file.matches('/').count()).map_err(|error| at(&path, error))?;
        Ok(path)
    }
}

/// A link from a snapshot to its blob, relative as the Hub's own tools make it, so that the cache can be moved.
#[cfg(unix)]
fn link(blob: &Path, path: &Path, depth: usize) -> io::Result<()> {
    let name = blob.file_name().unwrap_or_default();
    let target = Path::new(&"../".repeat(depth + 2)).join("blobs").join(name);
    std::os::unix::fs::symlink(target, path)
}

/// Where links need rights that users lack, the file itself goes to the snapshot.
#[cfg(not(unix))]
fn link(blob: &Path, path: &Path, _depth: usize) -> io::Result<()> {
    fs::rename(blob, path)
}

/// The SHA-256 of a file, in hexadecimal digits.
///
/// # Errors
/// Where it cannot be read, with its path.
pub(super) fn sha256(path: &Path) -> Result<String, HubError> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(|error| at(path, error))?;
    io::copy(&mut file, &mut hasher).map_err(|error| at(path, error))?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
