//! Source texts and positions in them: what a diagnostic or a failed stage points at.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What some editors begin a file with; it says nothing, and no reader sees it.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// Index of a text in its [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceId(pub u32);

/// A half-open byte range in one source text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// The text the range lies in.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end` of `source`.
    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        Span { source, start: start as u32, end: end as u32 }
    }

    /// The smallest span that covers both; `self` where they lie in different texts.
    pub fn to(self, other: Span) -> Span {
        if self.source != other.source {
            return self;
        }
        Span { source: self.source, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One text with the name it is shown under.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// A path as the user wrote it, `std.arith`, or `-p name`.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
    /// Whether it is a file of the user's, which a fix may change.
    pub is_file: bool,
    line_starts: Vec<u32>,
}

impl SourceFile {
    fn new(name: String, text: Arc<str>) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at as u32 + 1)).collect();
        SourceFile { name, text, is_file: false, line_starts }
    }

    /// The text of a line, counted from 1, without its end; empty where there is none.
    pub fn line(&self, line: usize) -> &str {
        self.text.split('\n').nth(line.saturating_sub(1)).unwrap_or_default().trim_end_matches('\r')
    }

    /// Where byte `offset` stands.
    pub fn position(&self, offset: u32) -> Position {
        let line = self.line_starts.partition_point(|&start| start <= offset) - 1;
        let start = match self.line_starts[line] as usize {
            0 if self.text.starts_with(BYTE_ORDER_MARK) => BYTE_ORDER_MARK.len_utf8(),
            start => start,
        };
        let end = (offset as usize).min(self.text.len());
        let column = self.text.get(start..end).map_or(end.saturating_sub(start), |text| text.chars().count()) + 1;
        Position { line: line + 1, column }
    }
}

/// Every text that a compilation has read, so that a [`Span`] can be shown.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// Adds a text and returns its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        self.files.push(SourceFile::new(name.into(), text.into()));
        SourceId(self.files.len() as u32 - 1)
    }

    /// Adds the text of a file of the user's.
    pub fn add_file(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        let id = self.add(name, text);
        self.files[id.0 as usize].is_file = true;
        id
    }

    /// Every text with its id.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &SourceFile)> {
        self.files.iter().enumerate().map(|(index, file)| (SourceId(index as u32), file))
    }

    /// The text behind an id.
    pub fn file(&self, id: SourceId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// Every text, in the order of the ids.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The characters a span covers.
    pub fn text(&self, span: Span) -> &str {
        &self.file(span.source).text[span.start as usize..span.end as usize]
    }

    /// File name and position of a span's first byte.
    pub fn locate(&self, span: Span) -> (&str, Position) {
        let file = self.file(span.source);
        (&file.name, file.position(span.start))
    }
}

/// Where module texts come from: the disk in the driver, a map in tests.
pub trait Loader: Sync {
    /// The text of the file at `path`, relative to the project's root.
    ///
    /// # Errors
    /// A sentence that says why the file could not be read.
    fn load(&self, path: &str) -> Result<String, String>;
}
