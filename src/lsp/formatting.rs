//! Formatting: the one style of the language.

use super::session::Session;
use lsp_types::{DocumentFormattingParams, TextEdit};

/// One edit that replaces the text; none where it has the style already, or does not parse.
pub fn formatting(session: &Session, params: DocumentFormattingParams) -> Result<Option<Vec<TextEdit>>, String> {
    let document = session.view(&params.text_document.uri).and_then(|view| session.documents.get(&view.path));
    let Some(document) = document else { return Ok(None) };
    // What keeps a text from being formatted is among its diagnostics.
    let Ok(text) = crate::lang::format::format("", document.text()) else { return Ok(None) };
    let is_same = text == **document.text();
    Ok(Some(if is_same { Vec::new() } else { vec![TextEdit::new(document.lines.whole(), text)] }))
}
