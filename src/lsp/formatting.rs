//! Formatting: the one style of the language.

use super::session::Session;
use lsp_types::{DocumentFormattingParams, TextEdit};

/// Whether the client is told that there is formatting.
pub const IS_THERE: bool = false;

/// The text in the one style; `None` where it does not parse.
fn formatted(_text: &str) -> Option<String> {
    // The seam: `crate::lang::format(text).ok()`.
    None
}

/// One edit that replaces what differs.
pub fn formatting(session: &Session, params: DocumentFormattingParams) -> Result<Option<Vec<TextEdit>>, String> {
    let Some(view) = session.view(&params.text_document.uri) else { return Ok(None) };
    let Some(entry) = view.entry else { return Ok(None) };
    let lines = view.lines(entry);
    let Some(text) = formatted(lines.text()) else { return Ok(None) };
    let is_same = text == **lines.text();
    Ok(Some(if is_same { Vec::new() } else { vec![TextEdit::new(lines.whole(), text)] }))
}
