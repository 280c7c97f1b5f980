//! One program as the editor sees it: its analysis, and its places as the protocol counts them.

use super::documents::Documents;
use super::library::Library;
use super::place;
use super::position::{Encoding, Lines, is_marked};
use crate::base::source::{Loader, SourceId, Span};
use crate::driver::{DiskLoader, home};
use crate::lang::index::{Analysis, Index, Reference, Symbol};
use crate::lang::signature::Catalogue;
use lsp_types::{Location, Range, Uri};
use std::path::Path;

/// An analysed program.
#[derive(Debug)]
pub struct View {
    /// What was found out.
    pub analysis: Analysis,
    /// The path of the file that it begins with.
    pub path: String,
    /// That file's text.
    pub entry: Option<SourceId>,
    lines: Vec<Lines>,
}

/// Open texts first, then the disk below the project's folder.
struct Overlay<'a> {
    documents: &'a Documents,
    disk: DiskLoader,
}

impl Loader for Overlay<'_> {
    fn load(&self, path: &str) -> Result<String, String> {
        match self.documents.get(path) {
            Some(document) => Ok(document.text().to_string()),
            None => self.disk.load(path),
        }
    }
}

impl View {
    /// Analyses the program that begins at `path`.
    pub fn new(path: &str, documents: &Documents, catalogue: &Catalogue, encoding: Encoding) -> View {
        let overlay = Overlay { documents, disk: DiskLoader::new(&home(Path::new(path))) };
        let analysis = crate::lang::analyse(path, &overlay, &[], catalogue);
        let marked = |name: &str| documents.get(name).is_some_and(|document| is_marked(document.text()));
        let files = analysis.compilation.sources.files().iter();
        let lines = files.map(|file| Lines::read(file.text.clone(), encoding, marked(&file.name))).collect();
        let is_entry = |module: &&crate::lang::index::ModuleNames| !module.is_std && module.name == path;
        let entry = analysis.index.modules.iter().find(is_entry).map(|module| module.source);
        View { path: path.to_string(), entry, lines, analysis }
    }

    /// Names and values.
    pub fn index(&self) -> &Index {
        &self.analysis.index
    }

    /// The name of a text: a path, or `std.arith`.
    pub fn name(&self, source: SourceId) -> &str {
        &self.analysis.compilation.sources.file(source).name
    }

    /// The characters of a span.
    pub fn text(&self, span: Span) -> &str {
        let file = self.analysis.compilation.sources.file(span.source);
        file.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The lines of a text.
    pub fn lines(&self, source: SourceId) -> &Lines {
        &self.lines[source.0 as usize]
    }

    /// The range of a span.
    pub fn range(&self, span: Span) -> Range {
        self.lines(span.source).range(span)
    }

    /// Where a span is for the client; texts of the standard library are files of the library's folder.
    pub fn location(&self, span: Span, documents: &Documents, library: &Library) -> Option<Location> {
        let uri = self.uri(span.source, documents, library)?;
        Some(Location::new(uri, self.range(span)))
    }

    /// The address of a text.
    pub fn uri(&self, source: SourceId, documents: &Documents, library: &Library) -> Option<Uri> {
        let name = self.name(source);
        match name.strip_prefix("std.") {
            Some(module) => library.file(module),
            None => documents.get(name).map(|document| document.uri.clone()).or_else(|| place::uri_of(name)),
        }
    }

    /// Whether the program reads the file at `path`.
    pub fn reads(&self, path: &str) -> bool {
        self.index().modules.iter().any(|module| module.name == path)
    }

    /// Whether every item of its file parses.
    pub fn is_whole(&self) -> bool {
        let module = self.entry.and_then(|entry| self.index().module(entry));
        module.is_some_and(|module| module.broken.is_empty())
    }

    /// The use or definition at a byte of its file.
    pub fn at(&self, offset: usize) -> Option<Reference> {
        self.index().at(self.entry?, offset as u32)
    }

    /// A definition.
    pub fn symbol(&self, index: usize) -> &Symbol {
        &self.index().symbols[index]
    }

    /// Whether a text belongs to the standard library.
    pub fn is_std(&self, source: SourceId) -> bool {
        self.index().module(source).is_some_and(|module| module.is_std)
    }
}
