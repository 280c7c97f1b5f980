//! `srlm lsp`: the language server, started by an editor.

use super::exit;

/// Serves one editor over standard input and output until it says so.
pub fn lsp() -> u8 {
    if crate::lsp::serve() { exit::OK } else { exit::STAGE_FAILED }
}
