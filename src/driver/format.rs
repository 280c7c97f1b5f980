//! Formatting files: which they are, what they would become, and writing that.

use super::disk::missing;
use super::{Checked, Failure};
use crate::base::fs::at;
use crate::lang::format::{FormatError, format};
use crate::lang::program::Program;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files that the command line names: of a folder all `.srlm` files below it, but for hidden folders and `target`.
///
/// # Errors
/// [`Failure::Input`] where nothing is at a path, or no file: a device is not to be replaced.
pub fn programs(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = BTreeSet::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut found).map_err(|error| Failure::Machine(error.to_string()))?;
        } else if path.is_file() {
            found.insert(path.clone());
        } else if path.exists() {
            return Err(Failure::Input(format!("{} is neither a file nor a folder", path.display())));
        } else {
            return Err(Failure::Input(missing(path)));
        }
    }
    Ok(found.into_iter().collect())
}

/// Links to folders are not followed: they could lead round.
fn walk(folder: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| at(&folder, error))? {
            let entry = entry.map_err(|error| at(&folder, error))?;
            let (path, name) = (entry.path(), entry.file_name());
            let skipped = name.to_string_lossy().starts_with('.') || name == "target";
            let kind = entry.file_type().map_err(|error| at(&path, error))?;
            if kind.is_dir() && !skipped {
                folders.push(path);
            } else if !kind.is_dir() && path.is_file() && path.extension().is_some_and(|ending| ending == "srlm") {
                found.insert(path);
            }
        }
    }
    Ok(())
}

/// The text of a file.
///
/// # Errors
/// [`Failure::Input`] where it is no UTF-8 text, or cannot be read.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::Input(at(path, error).to_string()))?;
    as_text(&path.display().to_string(), bytes)
}

/// Bytes as text.
///
/// # Errors
/// [`Failure::Input`] with the line of the first byte that is no UTF-8.
pub fn as_text(name: &str, bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
        Failure::Input(format!("{name} is not UTF-8 text: line {line} holds other bytes; save it as UTF-8"))
    })
}

/// What formatting makes of a text; `name` is what diagnostics call it.
///
/// # Errors
/// [`Failure::File`] where it does not parse.
pub fn format_text(name: &str, text: &str) -> Result<String, Failure> {
    format(name, text).map_err(|error| match error {
        FormatError::Syntax { diagnostics, sources } => {
            Failure::File(Box::new(Checked { program: Program::default(), diagnostics, sources }))
        }
        FormatError::Defect(what) => Failure::Machine(format!(
            "{name} is left as it is, because formatting went wrong: {what}; this is a defect of srlm, please report it"
        )),
    })
}

/// Writes a file anew: the old text or the new, never a part.
///
/// # Errors
/// [`Failure::Machine`] where it cannot be written.
pub fn rewrite(path: &Path, text: &str) -> Result<(), Failure> {
    crate::base::fs::replace(path, text.as_bytes()).map_err(|error| Failure::Machine(error.to_string()))
}
