//! The disk as the language and the plan see it: texts and declared inputs below one folder.

use crate::base::digest::Digest;
use crate::base::fs::at;
use crate::base::source::Loader;
use crate::base::tree;
use crate::lang::MAX_FILE_BYTES;
use crate::lang::nearest::nearest;
use crate::plan::Files;
use crate::store::{StatCache, Store};
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::str::Utf8Error;

/// Reads module texts below the project's folder, and nowhere else.
pub struct DiskLoader {
    root: PathBuf,
}

impl DiskLoader {
    /// A loader for the project in `root`; paths count from the current folder, as the user writes them.
    pub fn new(root: &Path) -> Self {
        DiskLoader { root: normal(root) }
    }
}

impl Loader for DiskLoader {
    fn load(&self, path: &str) -> Result<String, String> {
        if !normal(Path::new(path)).starts_with(&self.root) {
            return Err(format!("`{path}` leads out of the project's folder {}", self.root.display()));
        }
        let path = Path::new(path);
        let text = read_text(path)?;
        // A link inside the project may lead out of it.
        match (path.canonicalize(), self.root.canonicalize()) {
            (Ok(real), Ok(root)) if !real.starts_with(&root) => Err(format!(
                "`{}` is a link that leads out of the project's folder {}",
                path.display(),
                self.root.display()
            )),
            _ => Ok(text),
        }
    }
}

/// The text of a file, at most one byte longer than the language reads.
///
/// # Errors
/// A sentence that says why it cannot be read, with the nearest existing name where there is none.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let most = MAX_FILE_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        // One piece of the right size: growing step by step moves a long text several times.
        bytes.reserve_exact(file.metadata().map_or(0, |file| file.len().min(most)) as usize + 1);
        file.take(most).read_to_end(&mut bytes)
    });
    match read {
        Ok(_) if bytes.len() > MAX_FILE_BYTES => Err(format!(
            "{} has more than {} MiB, the most that a file of the language may have",
            path.display(),
            MAX_FILE_BYTES >> 20
        )),
        Ok(_) => String::from_utf8(bytes).map_err(|error| not_text(path, error.as_bytes(), error.utf8_error())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(path)),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            Err(format!("{} is a folder; a file is expected here", path.display()))
        }
        Err(error) => Err(at(path, error).to_string()),
    }
}

fn not_text(path: &Path, bytes: &[u8], error: Utf8Error) -> String {
    let offset = error.valid_up_to();
    let line = bytes[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1;
    let byte = bytes.get(offset).copied().unwrap_or_default();
    format!("{} is not UTF-8 text: byte {byte:#04x} at offset {offset}, in line {line}", path.display())
}

/// Finds the files and folders that arguments name, and hashes their content.
pub struct DiskFiles {
    stats: StatCache,
}

impl DiskFiles {
    /// The disk, with what `store` knows of files that were hashed before. Only [`DiskFiles::remember`] writes.
    pub fn new(store: &Store) -> Self {
        DiskFiles { stats: store.stat_cache() }
    }

    /// Lets the next run know what was hashed. Where the store cannot be written, the next run hashes again.
    pub fn remember(&self, store: &Store) {
        let _ = store.save_stats(&self.stats);
    }

    /// Where a written path is on this machine.
    ///
    /// # Errors
    /// A sentence with the nearest existing name where nothing is there.
    pub fn locate(&self, written: &str) -> Result<PathBuf, String> {
        let path = Path::new(written);
        if !path.exists() {
            return Err(missing(path));
        }
        std::path::absolute(path).map_err(|error| at(path, error).to_string())
    }
}

impl Files for DiskFiles {
    /// The digest of a file's bytes, or of a folder's names and bytes; names that begin with a dot are left out.
    fn digest(&self, written: &str) -> Result<Digest, String> {
        let path = self.locate(written)?;
        let digest = if path.is_dir() { digest_folder(&path, &self.stats) } else { self.stats.digest(&path) };
        digest.map_err(|error| error.to_string())
    }
}

fn digest_folder(folder: &Path, stats: &StatCache) -> io::Result<Digest> {
    let digest = |(name, path): (String, PathBuf)| Ok((name, stats.digest(&path)?));
    let digests = tree::files(folder)?.into_par_iter().map(digest).collect::<io::Result<Vec<_>>>()?;
    Ok(tree::digest(&digests.into_iter().collect()))
}

/// The path from the root, without `.` and `..`; links are not followed.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in std::path::absolute(path).as_deref().unwrap_or(path).components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// Says that nothing is at `path`, and what is there under a similar name.
pub(super) fn missing(path: &Path) -> String {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(parent) else {
        return format!("there is no {}: the folder {} does not exist", path.display(), parent.display());
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match nearest(&name, names.iter().map(String::as_str)) {
        Some(similar) => format!("there is no {}; did you mean `{similar}`?", path.display()),
        None => format!("there is no {}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(path: &Path) -> Result<Digest, String> {
        DiskFiles::new(&Store::open("there is no store").unwrap()).digest(&path.to_string_lossy())
    }

    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/train.jsonl"), "{}\n").unwrap();
        fs::write(folder.path().join("a.srlm"), "# text").unwrap();
        folder
    }

    #[test]
    fn texts_stay_inside_the_project() {
        let folder = project();
        let loader = DiskLoader::new(folder.path());
        let load = |name: &str| loader.load(&folder.path().join(name).to_string_lossy());
        assert_eq!(load("data/../a.srlm").unwrap(), "# text");
        assert!(load("../a.srlm").unwrap_err().contains("leads out"));
        assert!(loader.load("/etc/passwd").unwrap_err().contains("leads out"));
        assert!(load("b.srlm").unwrap_err().contains("did you mean `a.srlm`?"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leaves_the_project_is_refused() {
        let (folder, outside) = (project(), project());
        let loader = DiskLoader::new(folder.path());
        let link = |target: &Path, name: &str| {
            let path = folder.path().join(name);
            std::os::unix::fs::symlink(target, &path).unwrap();
            loader.load(&path.to_string_lossy())
        };
        assert_eq!(link(&folder.path().join("a.srlm"), "inside.srlm").unwrap(), "# text");
        assert!(link(&outside.path().join("a.srlm"), "out.srlm").unwrap_err().contains("a link that leads out"));
    }

    #[test]
    fn bytes_that_are_no_text_have_their_place() {
        let folder = project();
        let path = folder.path().join("b.srlm");
        fs::write(&path, b"# a\nlet \xff").unwrap();
        let refused = DiskLoader::new(folder.path()).load(&path.to_string_lossy()).unwrap_err();
        assert!(refused.ends_with("not UTF-8 text: byte 0xff at offset 8, in line 2"), "{refused}");
    }

    #[test]
    fn a_missing_file_names_its_neighbour() {
        let folder = project();
        let digest = |name: &str| digest(&folder.path().join(name));
        assert!(digest("data/tran.jsonl").unwrap_err().ends_with("did you mean `train.jsonl`?"));
        assert!(digest("date/train.jsonl").unwrap_err().contains("does not exist"));
    }

    #[test]
    fn a_folder_is_its_names_and_bytes_without_hidden_ones() {
        let folder = project();
        let digest = |name: &str| digest(&folder.path().join(name)).unwrap();
        let before = digest("data");
        fs::write(folder.path().join("data/.cache"), "x").unwrap();
        assert_eq!(digest("data"), before);
        fs::rename(folder.path().join("data/train.jsonl"), folder.path().join("data/test.jsonl")).unwrap();
        assert_ne!(digest("data"), before);
        assert_eq!(digest("data/test.jsonl"), Digest::of_bytes(b"{}\n"));
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_round_are_refused() {
        let folder = project();
        for name in ["one", "two"] {
            std::os::unix::fs::symlink(folder.path(), folder.path().join("data").join(name)).unwrap();
        }
        let refused = digest(folder.path()).unwrap_err();
        assert!(refused.contains("leads back"), "{refused}");
    }
}
