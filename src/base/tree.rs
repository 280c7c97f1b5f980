//! A folder as an input: which of its files count, and the digest of their names and bytes.

use super::digest::{ContentHash, Digest};
use super::fs::at;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The files below a folder by their names inside it. Links are followed; names that begin with a dot are left out.
///
/// # Errors
/// Whatever the file system says, with the path; also a link that leads round, and names that differ only in bytes that
/// are no text.
pub fn files(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![Open::new(folder.to_path_buf(), String::new(), &[])?];
    while !open.is_empty() {
        let read = open.par_iter().map(Open::read).collect::<io::Result<Vec<_>>>()?;
        open.clear();
        for (inside, folders) in read {
            files.extend(inside);
            open.extend(folders);
        }
    }
    files.par_sort_unstable();
    match files.windows(2).find(|twins| twins[0].0 == twins[1].0) {
        Some(twins) => Err(at(&twins[0].1, io::Error::other("its name is not UTF-8, and another's reads the same"))),
        None => Ok(files.into_iter().collect()),
    }
}

/// The digest of a folder, given that of each of its files.
pub fn digest(files: &BTreeMap<String, Digest>) -> Digest {
    Digest::of("srlm folder v1", files)
}

/// As the JSON value `[[name, digest], …]`, which need not be built.
impl ContentHash for BTreeMap<String, Digest> {
    fn hash_content(&self, hasher: &mut blake3::Hasher) {
        hasher.update(b"l").update(&(self.len() as u64).to_le_bytes());
        let mut encoded = Vec::new();
        for (name, digest) in self {
            encoded.clear();
            encoded.extend_from_slice(b"l\x02\0\0\0\0\0\0\0");
            for text in [name, &digest.to_string()] {
                encoded.push(b's');
                encoded.extend_from_slice(&(text.len() as u64).to_le_bytes());
                encoded.extend_from_slice(text.as_bytes());
            }
            hasher.update(&encoded);
        }
    }
}

/// Files by their names below the root.
type Named = Vec<(String, PathBuf)>;

/// A folder that is still to be read.
struct Open {
    path: PathBuf,
    /// What stands before the names of its files.
    prefix: String,
    /// Device and inode of the folders it lies in and its own.
    above: Vec<(u64, u64)>,
}

impl Open {
    fn new(path: PathBuf, prefix: String, above: &[(u64, u64)]) -> io::Result<Open> {
        let found = fs::metadata(&path).map_err(|error| at(&path, error))?;
        let own = (found.dev(), found.ino());
        // A link to a folder it lies in would lead round for ever.
        if above.contains(&own) {
            return Err(at(&path, io::Error::other("this link leads back to a folder that it lies in")));
        }
        Ok(Open { path, prefix, above: [above, &[own]].concat() })
    }

    /// The files in it by name, and the folders.
    fn read(&self) -> io::Result<(Named, Vec<Open>)> {
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.path).map_err(|error| at(&self.path, error))? {
            let entry = entry.map_err(|error| at(&self.path, error))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            match () {
                () if name.starts_with('.') => {}
                () if is_folder(&entry) => {
                    folders.push(Open::new(entry.path(), format!("{}{name}/", self.prefix), &self.above)?);
                }
                () => files.push((format!("{}{name}", self.prefix), entry.path())),
            }
        }
        Ok((files, folders))
    }
}

/// Whether an entry is a folder, or a link to one. Most file systems tell without a further question.
fn is_folder(entry: &DirEntry) -> bool {
    let followed = || fs::metadata(entry.path()).is_ok_and(|found| found.is_dir());
    entry.file_type().map_or_else(|_| followed(), |kind| kind.is_dir() || (kind.is_symlink() && followed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn digest_of(folder: &Path) -> io::Result<Digest> {
        let read = |(name, path): (String, PathBuf)| Ok((name, Digest::of_file(&path)?));
        Ok(digest(&files(folder)?.into_iter().map(read).collect::<io::Result<_>>()?))
    }

    #[test]
    fn it_is_the_digest_of_the_list_as_json() {
        let folder = tempfile::tempdir().unwrap();
        let mut list = Vec::new();
        for name in ["a/b/c", "a/b.txt", "a-", "é", "z"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
            list.push(json!([name, Digest::of_bytes(name.as_bytes())]));
        }
        fs::write(folder.path().join("a/.hidden"), "x").unwrap();
        list.sort_by_key(|entry| entry[0].as_str().map(str::to_string));
        let wanted = Digest::of("srlm folder v1", &Value::Array(list));
        assert_eq!(digest_of(folder.path()).unwrap(), wanted);
    }

    #[test]
    fn links_to_files_and_folders_count_as_what_they_lead_to() {
        let (plain, linked) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for root in [plain.path(), &linked.path().join(".real")] {
            fs::create_dir_all(root.join("inner")).unwrap();
            fs::write(root.join("inner/a"), "a").unwrap();
            fs::write(root.join("b"), "b").unwrap();
        }
        for name in ["inner", "b"] {
            std::os::unix::fs::symlink(format!(".real/{name}"), linked.path().join(name)).unwrap();
        }
        assert_eq!(digest_of(plain.path()).unwrap(), digest_of(linked.path()).unwrap());
    }

    #[test]
    fn names_that_read_the_same_are_refused() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        for name in [b"\xfe", b"\xff"] {
            fs::write(folder.path().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
        }
        assert!(files(folder.path()).unwrap_err().to_string().contains("not UTF-8"));
    }
}
