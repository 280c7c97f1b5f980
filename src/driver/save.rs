//! A stage's output as plain files outside the store, whole or not at all.

use super::{Failure, Project, node};
use crate::base::fs::{aside, at, copy};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Writes the output of the stage that `text` means into `folder`, which must not exist or be empty. Returns how many
/// files were written.
///
/// # Errors
/// [`Failure::Input`] for an unknown stage, one without a result, or a folder with something in it;
/// [`Failure::Machine`] where a file cannot be copied.
pub fn save(project: &Project, text: &str, folder: &Path) -> Result<usize, Failure> {
    refuse_filled(folder)?;
    let record = node::record(project, text)?;
    let mut files = Vec::new();
    for digest in record.outputs.values() {
        files.extend(project.store.artifact(digest)?.files());
    }
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let draft = aside(&folder);
    let written = copy_all(&files, &draft).and_then(|()| fs::rename(&draft, &folder).map_err(|e| at(&folder, e)));
    written.map_err(|error| {
        // What was copied so far is of no use; that it cannot be removed either is not the error to tell.
        let _ = fs::remove_dir_all(&draft);
        Failure::Machine(error.to_string())
    })?;
    Ok(files.len())
}

/// Refuses a folder that has something in it, and a path that is no folder.
///
/// # Errors
/// [`Failure::Input`] with what to do.
pub fn refuse_filled(folder: &Path) -> Result<(), Failure> {
    let why = match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(false) => return Ok(()),
        Ok(true) => "is not empty: name a folder that does not exist yet".to_string(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => format!("cannot be used: {error}"),
    };
    Err(Failure::Input(format!("{} {why}", folder.display())))
}

fn copy_all(files: &[(String, PathBuf)], draft: &Path) -> io::Result<()> {
    fs::create_dir_all(draft).map_err(|error| at(draft, error))?;
    files.iter().try_for_each(|(name, from)| copy_synced(from, &draft.join(name)))
}

fn copy_synced(from: &Path, to: &Path) -> io::Result<()> {
    to.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| at(to, error))?;
    copy(from, to)?;
    File::open(to)?.sync_all()
}
