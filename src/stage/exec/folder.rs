//! The working folder of a program: its code, what goes in, and an empty place for what comes out.
//!
//! ```text
//! <code under its names>    copies of the bytes that the key stands for, read-only and executable
//! input/                    what `|>` hands in
//! inputs/NAME/              each of the further inputs
//! out/                      becomes the stage's output
//! ```

use super::super::{Files, StageContext, StageError};
use super::ExecArgs;
use crate::base::digest::Digest;
use crate::base::fs::{at, copy};
use crate::base::tree;
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// What `|>` hands in, in the working folder.
const INPUT: &str = "input";
/// The folders of further inputs.
const INPUTS: &str = "inputs";
/// The output folder.
const OUT: &str = "out";

/// A working folder, removed when dropped.
pub struct Folder {
    root: PathBuf,
    /// Variables that tell the program where its inputs and its output are.
    pub variables: BTreeMap<String, PathBuf>,
}

impl Folder {
    /// Lays out everything that the program is given.
    ///
    /// # Errors
    /// [`StageError::Input`] where code cannot stand under its name, or has changed since the plan was made;
    /// [`StageError::Machine`] for the disk.
    pub fn lay_out(context: &StageContext, args: &ExecArgs) -> Result<Folder, StageError> {
        let root = std::path::absolute(&context.work)?;
        fs::create_dir(&root).map_err(|error| at(&root, error))?;
        let mut folder = Folder { root, variables: BTreeMap::new() };
        folder.variables.insert("SRLM_OUT".to_string(), folder.made(OUT)?);
        if args.takes.is_some() {
            let place = folder.lay_out_input(INPUT, context.input("input")?)?;
            folder.variables.insert("SRLM_INPUT".to_string(), place);
        }
        for (name, input) in &args.inputs {
            let place = folder.lay_out_input(&format!("{INPUTS}/{}", plain(name)?), context.input(&input.input)?)?;
            folder.variables.insert(format!("SRLM_INPUT_{name}"), place);
        }
        args.code.iter().try_for_each(|code| folder.lay_out_code(context, &code.name, &code.file.path))?;
        Ok(folder)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Moves what the program made to where the stage's output is expected.
    ///
    /// # Errors
    /// [`StageError::Input`] where the program has removed its output folder.
    pub fn hand_over(self, out: &Path) -> Result<(), StageError> {
        let made = self.root.join(OUT);
        if !fs::symlink_metadata(&made).is_ok_and(|found| found.is_dir()) {
            let message = format!("the program removed or replaced its output folder `{OUT}`: it must only fill it");
            return Err(StageError::input(message));
        }
        Ok(fs::rename(&made, out).map_err(|error| at(&made, error))?)
    }

    /// A new folder inside.
    fn made(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(|error| at(&path, error))?;
        Ok(path)
    }

    fn lay_out_input(&self, name: &str, files: &Files) -> Result<PathBuf, StageError> {
        let place = self.made(name)?;
        for (name, stored) in files {
            let path = place.join(name);
            make_parent(&path)?;
            hand_in(&std::path::absolute(stored)?, &path)?;
        }
        Ok(place)
    }

    fn lay_out_code(&self, context: &StageContext, name: &str, written: &str) -> Result<(), StageError> {
        let source = context.path(written)?;
        let digest = match source.is_dir() {
            true => {
                let files = tree::files(source)?.into_iter();
                let below = |inner: &str| if name == "." { inner.to_string() } else { format!("{name}/{inner}") };
                let digests = files.map(|(inner, path)| Ok((inner.clone(), self.copy_code(&path, &below(&inner))?)));
                tree::digest(&digests.collect::<Result<_, StageError>>()?)
            }
            false => self.copy_code(source, name)?,
        };
        match context.contents.get(written) {
            Some(planned) if *planned != digest => Err(StageError::input(format!(
                "{written} changed since the run began, so it is not run: run the command again"
            ))),
            _ => Ok(()),
        }
    }

    /// Copies a file of the program's and hashes the copy: what is run is what was hashed, whatever happens to the
    /// original. Every copy may be executed, since only names and bytes are part of the key.
    fn copy_code(&self, source: &Path, name: &str) -> Result<Digest, StageError> {
        let refused = |why: String| Err(StageError::input(format!("`{name}` of `code` {why}")));
        let place = self.root.join(name);
        if !is_inside(name) {
            return refused("would stand outside the working folder: give it a name of its own".to_string());
        }
        if let Some(taken) = [INPUT, INPUTS, OUT].iter().find(|taken| Path::new(name).starts_with(taken)) {
            return refused(format!("has the name of a folder that srlm makes there, `{taken}`: call it otherwise"));
        }
        if place.symlink_metadata().is_ok() {
            return refused(
                "stands there twice: a path that leads out of the file's folder loses its folders".to_string(),
            );
        }
        make_parent(&place)?;
        copy(source, &place)?;
        fs::set_permissions(&place, Permissions::from_mode(0o555)).map_err(|error| at(&place, error))?;
        let mut hasher = blake3::Hasher::new();
        File::open(&place).and_then(|file| hasher.update_reader(file).map(drop)).map_err(|error| at(&place, error))?;
        Ok(Digest::from_hasher(&hasher))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed goes with the attempt.
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// The name of an input, which becomes a folder and a part of a variable's name.
fn plain(name: &str) -> Result<&str, StageError> {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    if !name.is_empty() && name.chars().all(fits) {
        return Ok(name);
    }
    Err(StageError::input(format!("the input `{name}` of `exec` needs a name of letters, digits and `_`")))
}

/// A link where the program could not write to the stored file through it, else a copy: the store's files must stay as
/// they are, and the superuser may write to any.
fn hand_in(stored: &Path, place: &Path) -> io::Result<()> {
    let is_safe = File::options().write(true).open(stored).is_err();
    if is_safe {
        return symlink(stored, place).map_err(|error| at(place, error));
    }
    copy(stored, place)?;
    fs::set_permissions(place, Permissions::from_mode(0o444)).map_err(|error| at(place, error))
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| fs::create_dir_all(parent).map_err(|error| at(parent, error)))
}

/// Whether a name stays inside the folder that it is joined to.
pub fn is_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}
