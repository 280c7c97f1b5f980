//! Artifacts: folders as sorted lists of files, each list itself a blob whose digest names the artifact.

use super::Store;
use super::blob::Unnamed;
use super::error::StoreError;
use super::layout::Layout;
use crate::base::digest::Digest;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// One file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name inside the artifact: parts joined by `/`, relative, no `..`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Digest of its bytes.
    pub blob: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tree {
    files: Vec<Entry>,
}

/// What a stage made, readable where it lies.
#[derive(Clone, Debug)]
pub struct Artifact {
    digest: Digest,
    entries: Vec<Entry>,
    layout: Layout,
}

impl Artifact {
    /// The digest of its list of files.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its files, sorted by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Name inside the artifact to a path that can be read. The files are immutable: nobody may write to them.
    pub fn files(&self) -> BTreeMap<String, PathBuf> {
        self.entries.iter().map(|entry| (entry.path.clone(), self.layout.blob(&entry.blob))).collect()
    }

    /// Bytes of all its files together.
    pub fn size(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }
}

impl Store {
    /// The artifact with that digest. Only its list of files is read, and held against the digest.
    ///
    /// # Errors
    /// [`StoreError::Artifact`] where the list is missing, damaged, or names a file outside the artifact.
    pub fn artifact(&self, digest: &Digest) -> Result<Artifact, StoreError> {
        let failed = |why: String| StoreError::Artifact { digest: *digest, why };
        let bytes =
            fs::read(self.layout.blob(digest)).map_err(|error| failed(format!("its list of files: {error}")))?;
        let entries = read_tree(digest, &bytes).map_err(failed)?;
        Ok(Artifact { digest: *digest, entries, layout: self.layout.clone() })
    }

    /// Makes a folder ready to be an artifact: its files, in parallel, and the list of them, which is the last.
    pub(super) fn ready_folder(&self, staging: &Path, role: &str, folder: &Path) -> Result<Vec<Unnamed>, StoreError> {
        let refused = |why| StoreError::Output { role: role.to_string(), why };
        let files = walk(folder).map_err(refused)?;
        if files.is_empty() {
            return Err(refused(format!("the stage left nothing in {}", folder.display())));
        }
        let (names, files): (Vec<String>, Vec<PathBuf>) = files.into_iter().unzip();
        let mut blobs =
            files.par_iter().map(|file| self.ready_file(staging, file)).collect::<Result<Vec<_>, StoreError>>()?;
        let entry = |(path, blob): (String, &Unnamed)| Entry { path, size: blob.size, blob: blob.digest };
        let tree = tree_bytes(names.into_iter().zip(&blobs).map(entry).collect()).map_err(refused)?;
        blobs.push(self.ready_bytes(staging, &tree)?);
        Ok(blobs)
    }
}

/// The canonical text of a list of files, sorted by name.
pub(super) fn tree_bytes(mut entries: Vec<Entry>) -> Result<Vec<u8>, String> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    serde_json::to_vec(&Tree { files: entries }).map_err(|error| error.to_string())
}

pub(super) fn read_tree(digest: &Digest, bytes: &[u8]) -> Result<Vec<Entry>, String> {
    if Digest::of_bytes(bytes) != *digest {
        return Err("its list of files does not have the digest that names it".to_string());
    }
    let tree: Tree = serde_json::from_slice(bytes).map_err(|error| format!("it is no list of files: {error}"))?;
    match tree.files.iter().find(|entry| !is_inside(&entry.path)) {
        Some(entry) => Err(format!("`{}` is no name inside an artifact", entry.path)),
        None => Ok(tree.files),
    }
}

/// Whether a name stays inside the folder that it is joined to.
fn is_inside(name: &str) -> bool {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    !name.is_empty() && plain && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The files under `folder`, by their names inside it.
fn walk(folder: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut files = BTreeMap::new();
    let mut open = vec![(String::new(), folder.to_path_buf())];
    while let Some((prefix, folder)) = open.pop() {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| format!("{}: its name is not UTF-8", entry.path().display()))?;
            let (name, kind) = (format!("{prefix}{name}"), entry.file_type().map_err(failed)?);
            if kind.is_dir() {
                open.push((format!("{name}/"), entry.path()));
            } else if kind.is_file() {
                files.insert(name, entry.path());
            } else {
                return Err(format!("{} is neither a file nor a folder", entry.path().display()));
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        assert!(["a", "a/b.json", "..a", "a b"].into_iter().all(is_inside));
        assert!(!["", "/a", "a//b", "../a", "a/..", "./a", "a/", "a/./b"].into_iter().any(is_inside));
    }

    #[test]
    fn a_tree_does_not_depend_on_the_order_of_its_files() {
        let entry = |path: &str| Entry { path: path.into(), size: 1, blob: Digest::of_bytes(b"x") };
        assert_eq!(tree_bytes(vec![entry("b"), entry("a")]), tree_bytes(vec![entry("a"), entry("b")]));
    }
}
