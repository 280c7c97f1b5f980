//! The standard library for the editor: what its modules hold, and files that it can open.

use super::documents::Documents;
use super::place;
use super::position::Encoding;
use super::view::View;
use crate::base::digest::Digest;
use crate::base::fs::at;
use crate::lang::prelude::{self, MODULES};
use crate::lang::signature::Catalogue;
use lsp_types::Uri;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A program that imports every module, whether the user's file does or not.
#[derive(Debug)]
pub struct Library {
    /// What the modules hold.
    pub view: View,
    folder: PathBuf,
}

/// The name of the program that imports all: no file has it.
const ENTRY: &str = "library";

impl Library {
    /// Reads the library; its files are written to a folder below `cache` when one of them is asked for.
    pub fn new(catalogue: &Catalogue, encoding: Encoding, cache: &Path) -> Result<Library, String> {
        let texts: String = MODULES.iter().map(|(_, text)| *text).collect();
        let digest = Digest::of_bytes(texts.as_bytes());
        let mut documents = Documents::default();
        let uri = "untitled:library".parse().map_err(|_| "the library has no address".to_string())?;
        documents.open(ENTRY, uri, 0, &prelude::uses(), encoding);
        let view = View::new(ENTRY, &documents, catalogue, encoding);
        Ok(Library { view, folder: cache.join(format!("std-{}", digest.short())) })
    }

    /// The address of a module's file, which is written where it is not there yet.
    pub fn file(&self, module: &str) -> Option<Uri> {
        let (name, text) = MODULES.iter().find(|(name, _)| *name == module)?;
        let path = self.folder.join(format!("{name}.srlm"));
        self.write(&path, text).ok()?;
        place::uri_of(&path.to_string_lossy())
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        if fs::read_to_string(path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(|error| at(&self.folder, error))?;
        fs::write(path, text).map_err(|error| at(path, error))?;
        let mut permissions = fs::metadata(path)?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(path, permissions)
    }

    /// Whether a path is one of its files.
    pub fn holds(&self, path: &str) -> bool {
        Path::new(path).starts_with(&self.folder)
    }
}

/// Where files that can be made again belong: `$XDG_CACHE_HOME`, else `~/.cache`, else the folder for temporary ones.
pub fn cache_folder() -> PathBuf {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")));
    base.unwrap_or_else(std::env::temp_dir).join("srlm")
}
