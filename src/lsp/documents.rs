//! The texts that are open in the editor, and their changes.

use super::position::{Encoding, Lines};
use lsp_types::{TextDocumentContentChangeEvent, Uri};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An open text.
#[derive(Clone, Debug)]
pub struct Document {
    /// The address that the client uses.
    pub uri: Uri,
    /// The client's count of changes.
    pub version: i32,
    /// The text, cut into lines.
    pub lines: Lines,
}

impl Document {
    /// The text.
    pub fn text(&self) -> &Arc<str> {
        self.lines.text()
    }
}

/// Open texts by their paths.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    open: BTreeMap<String, Document>,
}

impl Documents {
    /// Opens a text, or replaces one.
    pub fn open(&mut self, path: &str, uri: Uri, version: i32, text: &str, encoding: Encoding) {
        let lines = Lines::new(text.into(), encoding);
        self.open.insert(path.to_string(), Document { uri, version, lines });
    }

    /// Applies changes in their order; unknown documents stay unknown.
    pub fn change(
        &mut self,
        path: &str,
        version: i32,
        changes: Vec<TextDocumentContentChangeEvent>,
        encoding: Encoding,
    ) {
        let Some(document) = self.open.get_mut(path) else { return };
        document.version = version;
        for change in changes {
            let text = match change.range {
                None => change.text,
                Some(range) => {
                    let [first, last] = [range.start, range.end].map(|position| document.lines.offset(position));
                    let old = document.lines.text();
                    format!("{}{}{}", &old[..first.min(last)], change.text, &old[first.max(last)..])
                }
            };
            document.lines = Lines::new(text.into(), encoding);
        }
    }

    /// Closes a text.
    pub fn close(&mut self, path: &str) {
        self.open.remove(path);
    }

    /// The text at a path.
    pub fn get(&self, path: &str) -> Option<&Document> {
        self.open.get(path)
    }

    /// Paths and texts.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Document)> {
        self.open.iter()
    }
}
