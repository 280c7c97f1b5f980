//! The formatter: one style. Only the white space between tokens changes, which is checked on every run.

mod columns;
mod layout;
mod leaves;
mod lines;
mod operators;
mod tree;

use super::parse;
use super::tokens::{TokenKind, tokens};
use crate::base::source::SourceMap;
use crate::diag::Diagnostic;

/// Why a text is not formatted.
#[derive(Debug)]
pub enum FormatError {
    /// It has errors of syntax.
    Syntax {
        /// What is wrong.
        diagnostics: Vec<Diagnostic>,
        /// The text.
        sources: SourceMap,
    },
    /// More than white space would have changed, or the result would change again: a defect of ours.
    Defect(&'static str),
}

/// Formats a text; `name` is what diagnostics call it.
///
/// # Errors
/// [`FormatError::Syntax`] where the text does not parse.
pub fn format(name: &str, text: &str) -> Result<String, FormatError> {
    let text = normal(text);
    let mut sources = SourceMap::default();
    let source = sources.add(name, text.as_str());
    let (_, mut diagnostics) = parse::parse_file(source, &text);
    diagnostics.retain(Diagnostic::is_error);
    if !diagnostics.is_empty() {
        return Err(FormatError::Syntax { diagnostics: super::arranged(diagnostics), sources });
    }
    checked(&text)
}

/// Lays the text out, and holds the result against it.
fn checked(text: &str) -> Result<String, FormatError> {
    let laid_out = |text: &str| lay_out(text).ok_or(FormatError::Defect("brackets do not match"));
    let done = laid_out(text)?;
    if !same_tokens(text, &done) {
        return Err(FormatError::Defect("a token or a comment would have changed"));
    }
    if laid_out(&done)? != done {
        return Err(FormatError::Defect("the result would change again"));
    }
    Ok(done)
}

/// Without a byte order mark, and with `\n` as line ends: no text in quotes reaches over a line.
fn normal(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
}

pub(super) fn lay_out(text: &str) -> Option<String> {
    let leaves = leaves::leaves(text);
    let items = tree::items(&leaves)?;
    Some(lines::render(layout::lines(&leaves, &items)))
}

/// Whether two texts have the same tokens and comments in the same order; blanks at the end of a comment do not count.
fn same_tokens(one: &str, other: &str) -> bool {
    parts(one).eq(parts(other))
}

fn parts(source: &str) -> impl Iterator<Item = (TokenKind, &str)> {
    tokens(source).map(|token| (token.kind, token.text(source).trim_end_matches([' ', '\t', '\r'])))
}

#[cfg(test)]
mod tests {
    use super::same_tokens;

    #[test]
    fn only_white_space_may_differ() {
        let text = "let a = 1 # one \nlet b = \"x\"";
        assert!(same_tokens(text, "let a=1\n# one\nlet b = \"x\"\n"));
        let others = [
            "let a = # one\n1 let b = \"x\"",
            "let a = 1 let b = \"x\"",
            "let a = 1 # one\nlet b = \"x \"",
            "leta = 1",
        ];
        assert!(others.iter().all(|other| !same_tokens(text, other)));
    }
}
