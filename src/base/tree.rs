//! A folder as an input: which of its files count, and the digest of their names and bytes.

use super::digest::Digest;
use super::fs::at;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files below a folder by their names inside it. Links are followed; names that begin with a dot are left out.
///
/// # Errors
/// Whatever the file system says, with the path; also a link that leads round.
pub fn files(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    let mut open = vec![(folder.to_path_buf(), Vec::new())];
    while let Some((inner, mut above)) = open.pop() {
        // A link to a folder it lies in would lead round for ever.
        let real = inner.canonicalize().map_err(|error| at(&inner, error))?;
        if above.contains(&real) {
            return Err(at(&inner, io::Error::other("this link leads back to a folder that it lies in")));
        }
        above.push(real);
        for entry in fs::read_dir(&inner).map_err(|error| at(&inner, error))? {
            let path = entry.map_err(|error| at(&inner, error))?.path();
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            match path.file_name() {
                Some(last) if last.to_string_lossy().starts_with('.') => {}
                _ if path.is_dir() => open.push((path, above.clone())),
                _ => drop(files.insert(name, path)),
            }
        }
    }
    Ok(files)
}

/// The digest of a folder, given that of each of its files.
pub fn digest(files: &BTreeMap<String, Digest>) -> Digest {
    let list = files.iter().map(|(name, digest)| serde_json::json!([name, digest])).collect();
    Digest::of("srlm folder v1", &serde_json::Value::Array(list))
}
