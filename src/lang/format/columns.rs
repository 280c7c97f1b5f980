//! Which parts of neighbouring entries stand in columns: values behind `name:`, and the `=` of bindings.

use super::leaves::Leaf;
use super::tree::{Entry, Node};
use crate::lang::tokens::TokenKind;

/// What entries must share to stand in the same columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kind<'a> {
    /// `let`, `param`, or nothing.
    keyword: &'a str,
    /// `:` or `=`
    sign: &'a str,
}

/// The columns of an entry: its kind, and the leaves that begin a column.
pub(super) fn columns<'a>(leaves: &[Leaf<'a>], entry: &Entry) -> Option<(Kind<'a>, Vec<usize>)> {
    let leaf = |index: usize| match entry.nodes.get(index) {
        Some(Node::Leaf(at)) => Some(*at),
        _ => None,
    };
    let first = &leaves[leaf(0)?];
    let keyword = if first.is("let") || first.is("param") { first.text } else { "" };
    let name = usize::from(!keyword.is_empty());
    if !matches!(leaves[leaf(name)?].kind, TokenKind::Name | TokenKind::Text) {
        return None;
    }
    let sign = leaf(name + 1).filter(|&at| leaves[at].is(":") || leaves[at].is("="))?;
    let kind = Kind { keyword, sign: leaves[sign].text };
    if leaves[sign].is("=") {
        return Some((kind, vec![sign]));
    }
    let value = entry.nodes.get(name + 2)?.first();
    let equals = (name + 2..entry.nodes.len()).filter_map(leaf).find(|&at| leaves[at].is("="));
    Some((kind, std::iter::once(value).chain(equals).collect()))
}
