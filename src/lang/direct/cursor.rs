//! A place in the text of an item: blanks, signs and words, as the grammar's tokens define them.

use crate::base::source::{SourceId, Span};
use crate::lang::ast::Ident;
use crate::lang::name::Name;
use crate::lang::{scan::is_word, words::is_keyword};

/// Stands on the first byte of a sign or a word: whoever takes one goes on over the blanks behind it.
pub(super) struct Cursor<'a> {
    source: SourceId,
    pub code: &'a str,
    base: usize,
    pub at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor on the first sign of `code`, which starts at byte `base` of its source.
    pub fn new(source: SourceId, code: &'a str, base: usize) -> Self {
        let mut cursor = Cursor { source, code, base, at: 0 };
        cursor.blanks();
        cursor
    }

    /// Whether nothing is left.
    pub fn at_end(&self) -> bool {
        self.at == self.code.len()
    }

    /// The byte `ahead` of the cursor; 0, which no rule begins with, behind the end.
    pub fn peek(&self, ahead: usize) -> u8 {
        self.code.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    /// The bytes `start..end` of the text, as a place in the source.
    pub fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.source, self.base + start, self.base + end)
    }

    /// Goes on over white space and comments.
    pub fn blanks(&mut self) {
        loop {
            match self.peek(0) {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                b'#' => self.at += self.run(0, |byte| byte != b'\n'),
                _ => return,
            }
        }
    }

    /// How many bytes from `ahead` of the cursor on fit.
    pub fn run(&self, ahead: usize, fits: impl Fn(u8) -> bool) -> usize {
        let rest = self.code.as_bytes().get(self.at + ahead..).unwrap_or_default();
        rest.iter().take_while(|&&byte| fits(byte)).count()
    }

    /// Takes `length` bytes and the blanks behind them, and says where the bytes stand.
    pub fn take(&mut self, length: usize) -> Span {
        let start = self.at;
        self.at += length;
        let span = self.span(start, self.at);
        self.blanks();
        span
    }

    /// Takes a sign of one byte where it stands here.
    pub fn has(&mut self, sign: u8) -> bool {
        let here = self.peek(0) == sign;
        if here {
            self.take(1);
        }
        here
    }

    /// Takes a sign that must stand here.
    pub fn needs(&mut self, sign: u8) -> Option<()> {
        self.has(sign).then_some(())
    }

    /// The word that begins here; empty where none does.
    pub fn word(&self) -> &'a str {
        let first = self.peek(0);
        let length = if first.is_ascii_alphabetic() || first == b'_' { self.run(0, is_word) } else { 0 };
        &self.code[self.at..self.at + length]
    }

    /// Takes a word where it stands here.
    pub fn has_word(&mut self, word: &str) -> bool {
        let here = self.word() == word;
        if here {
            self.take(word.len());
        }
        here
    }

    /// Takes a word that must stand here.
    pub fn needs_word(&mut self, word: &str) -> Option<()> {
        self.has_word(word).then_some(())
    }

    /// Takes a name.
    pub fn ident(&mut self) -> Option<Ident> {
        let word = self.word();
        if word.is_empty() || is_keyword(word) {
            return None;
        }
        Some(Ident { name: Name::written(word), span: self.take(word.len()) })
    }

    /// Takes the sign that must close something here, and says where it stands.
    pub fn closed(&mut self, closer: u8) -> Option<Span> {
        (self.peek(0) == closer).then(|| self.take(1))
    }

    /// Parts with commas between them, perhaps one behind the last, and where the sign stands that closes them.
    pub fn listed<T>(&mut self, closer: u8, part: impl Fn(&mut Self) -> Option<T>) -> Option<(Vec<T>, Span)> {
        let mut parts = Vec::new();
        loop {
            if self.peek(0) == closer {
                return Some((parts, self.take(1)));
            }
            parts.push(part(self)?);
            if !self.has(b',') {
                return Some((parts, self.closed(closer)?));
            }
        }
    }
}
