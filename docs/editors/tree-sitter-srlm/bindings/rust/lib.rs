//! The tree-sitter grammar of `.srlm` files, for the Rust library of tree-sitter.

use tree_sitter_language::LanguageFn;

unsafe extern "C" {
    fn tree_sitter_srlm() -> *const ();
}

/// The grammar.
// The generated function takes nothing and returns a constant.
pub const LANGUAGE: LanguageFn = unsafe { LanguageFn::from_raw(tree_sitter_srlm) };

/// What to highlight how.
pub const HIGHLIGHTS_QUERY: &str = include_str!("../../queries/highlights.scm");
