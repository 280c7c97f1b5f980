//! Tokens as the formatter wants them: each with the comments and line breaks before it, and whether a space belongs
//! before it where no line breaks.

use crate::lang::tokens::{TokenKind, tokens};

/// A comment and how it stood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Comment<'a> {
    /// From its `#` on, without the blanks at its end.
    pub text: &'a str,
    /// Whether nothing else stands on its line.
    pub own_line: bool,
    /// Whether a blank line stands above it.
    pub blank: bool,
}

/// A token that is no comment.
#[derive(Clone, Debug)]
pub(super) struct Leaf<'a> {
    /// Its characters.
    pub text: &'a str,
    /// What it is.
    pub kind: TokenKind,
    /// The comments since the token before it.
    pub comments: Vec<Comment<'a>>,
    /// Whether a line breaks right before it.
    pub breaks: bool,
    /// Whether a blank line stands right before it.
    pub blank: bool,
    /// Whether a space belongs before it on one line.
    pub spaced: bool,
    /// Whether it is a `-` or `+` between two values.
    pub binary: bool,
    /// Whether the token before it ends a value.
    pub after_value: bool,
    /// Its width in characters.
    pub width: usize,
}

impl Leaf<'_> {
    /// Whether it is this sign or keyword; a text is never one.
    pub fn is(&self, word: &str) -> bool {
        self.text == word
    }

    /// Whether the user, or a comment, ended the line before it.
    pub fn interrupted(&self) -> bool {
        self.breaks || !self.comments.is_empty()
    }

    fn ends_value(&self) -> bool {
        match self.kind {
            TokenKind::Name | TokenKind::Number | TokenKind::Quantity | TokenKind::Text | TokenKind::Close => true,
            TokenKind::Keyword => matches!(self.text, "true" | "false" | "none"),
            _ => false,
        }
    }
}

/// The leaves of a text; the last is empty and holds the comments at the end.
pub(super) fn leaves(source: &str) -> Vec<Leaf<'_>> {
    let mut leaves: Vec<Leaf> = Vec::new();
    let (mut comments, mut at) = (Vec::new(), 0);
    for token in tokens(source) {
        let newlines = newlines(&source[at..token.start]);
        if token.kind.is_comment() {
            let text = token.text(source).trim_end_matches([' ', '\t', '\r']);
            comments.push(Comment { text, own_line: newlines > 0 || at == 0, blank: newlines > 1 });
        } else {
            let comments = std::mem::take(&mut comments);
            leaves.push(leaf(token.text(source), token.kind, comments, newlines, leaves.last()));
        }
        at = token.end;
    }
    leaves.push(leaf("", TokenKind::Unknown, comments, 0, leaves.last()));
    import_lists(&mut leaves);
    leaves
}

fn newlines(white: &str) -> usize {
    white.bytes().filter(|&byte| byte == b'\n').count()
}

fn leaf<'a>(
    text: &'a str,
    kind: TokenKind,
    comments: Vec<Comment<'a>>,
    newlines: usize,
    before: Option<&Leaf>,
) -> Leaf<'a> {
    let after_value = before.is_some_and(Leaf::ends_value);
    let binary = after_value && kind == TokenKind::Sign && matches!(text, "-" | "+");
    let width = text.chars().count();
    let (breaks, blank) = (newlines > 0, newlines > 1);
    let spaced = before.is_some_and(|before| spaced(before, text, kind, after_value));
    Leaf { text, kind, comments, breaks, blank, spaced, binary, after_value, width }
}

/// Whether a space stands between `before` and a token on the same line.
fn spaced(before: &Leaf, text: &str, kind: TokenKind, after_value: bool) -> bool {
    let sticks_to_next = match before.kind {
        TokenKind::Open => before.is("(") || before.is("[") || text == "}",
        TokenKind::Sign => matches!(before.text, "." | ".." | "...") || before.is("-") && !before.binary,
        _ => false,
    };
    let sticks_to_last = match kind {
        TokenKind::Close => text != "}",
        TokenKind::Open => text != "{" && after_value,
        TokenKind::Sign => matches!(text, "," | ":" | "?" | "." | ".."),
        _ => false,
    };
    !sticks_to_next && !sticks_to_last
}

/// `use path.{a, b}`: the one pair of braces without inner spaces.
fn import_lists(leaves: &mut [Leaf]) {
    for at in 1..leaves.len() {
        if leaves[at - 1].is(".") && leaves[at].is("{") {
            leaves[at + 1].spaced = false;
            if let Some(close) = leaves[at..].iter_mut().find(|leaf| leaf.is("}")) {
                close.spaced = false;
            }
        }
    }
}
