//! Texts with their escapes and interpolations, and numbers with their units.

use super::cursor::Cursor;
use crate::base::source::Span;
use crate::lang::ast::{Expr, ExprKind, Ident, TextPart};
use crate::lang::build;
use crate::lang::name::Name;

impl Cursor<'_> {
    /// A text, from its first quote to its last.
    pub fn string(&mut self) -> Option<Expr> {
        let start = self.at;
        let parts = self.text_parts()?;
        let span = self.span(start, self.at);
        self.blanks();
        Some(Expr { kind: ExprKind::Text(parts), span })
    }

    /// A text in which nothing is computed, and where it stands.
    pub fn plain_text(&mut self) -> Option<(String, Span)> {
        if self.peek(0) != b'"' {
            return None;
        }
        let Expr { kind: ExprKind::Text(mut parts), span } = self.string()? else { return None };
        match (parts.pop(), parts.is_empty()) {
            (None, _) => Some((String::new(), span)),
            (Some(TextPart::Text(text)), true) => Some((text, span)),
            _ => None,
        }
    }

    /// What stands between the quotes; the cursor is left behind the last, before any blanks.
    fn text_parts(&mut self) -> Option<Vec<TextPart>> {
        let (mut parts, mut text) = (Vec::new(), String::new());
        self.at += 1;
        loop {
            let plain = self.run(0, |byte| !matches!(byte, b'"' | b'\\' | b'$' | b'\n'));
            text.push_str(&self.code[self.at..self.at + plain]);
            self.at += plain;
            match (self.peek(0), self.peek(1)) {
                (b'"', _) => break,
                (b'$', b'{') => {
                    flush(&mut parts, &mut text);
                    parts.push(TextPart::Value(self.interpolation()?));
                }
                (b'$', _) => {
                    text.push('$');
                    self.at += 1;
                }
                (b'\\', escape) => {
                    text.push(escaped(escape)?);
                    self.at += 2;
                }
                _ => return None,
            }
        }
        self.at += 1;
        flush(&mut parts, &mut text);
        Some(parts)
    }

    /// `${value}`, without the blanks behind it: they belong to the text.
    fn interpolation(&mut self) -> Option<Expr> {
        self.take(2);
        let value = self.expr()?;
        let closed = self.peek(0) == b'}';
        self.at += usize::from(closed);
        closed.then_some(value)
    }

    /// A number, with its unit where one touches it.
    pub fn quantity(&mut self) -> Option<Expr> {
        let start = self.at;
        self.at += self.number_length();
        let number = build::number(&self.code[start..self.at])?;
        let unit = self.unit_length();
        if unit == 0 && self.peek(0) == b'_' {
            return None;
        }
        let kind = match (number, unit) {
            (ExprKind::Int(value), 1..) => ExprKind::Quantity(value as f64, self.unit(unit)),
            (ExprKind::Float(value), 1..) => ExprKind::Quantity(value, self.unit(unit)),
            (number, _) => number,
        };
        let span = self.span(start, self.at);
        self.blanks();
        Some(Expr { kind, span })
    }

    /// `1_000`, `0.5`, `1e-3`
    fn number_length(&self) -> usize {
        let digits = |ahead| self.run(ahead, |byte| byte.is_ascii_digit());
        let mut length = self.run(0, |byte| byte.is_ascii_digit() || byte == b'_');
        if self.peek(length) == b'.' {
            let decimals = digits(length + 1);
            length += if decimals > 0 { 1 + decimals } else { 0 };
        }
        if self.peek(length) == b'e' {
            let signed = 1 + usize::from(matches!(self.peek(length + 1), b'+' | b'-'));
            let exponent = digits(length + signed);
            length += if exponent > 0 { signed + exponent } else { 0 };
        }
        length
    }

    /// `%`, `seqs`, `MB/s`
    fn unit_length(&self) -> usize {
        let letters = |ahead| self.run(ahead, |byte| byte.is_ascii_alphabetic());
        match (self.peek(0), letters(0)) {
            (b'%', _) => 1,
            (_, 0) => 0,
            (_, unit) if self.peek(unit) == b'/' && letters(unit + 1) > 0 => unit + 1 + letters(unit + 1),
            (_, unit) => unit,
        }
    }

    fn unit(&mut self, length: usize) -> Ident {
        let start = self.at;
        self.at += length;
        Ident { name: Name::written(&self.code[start..self.at]), span: self.span(start, self.at) }
    }
}

/// Ends the plain text that was gathered.
fn flush(parts: &mut Vec<TextPart>, text: &mut String) {
    if !text.is_empty() {
        parts.push(TextPart::Text(std::mem::take(text)));
    }
}

/// The character that `\` and this byte stand for.
fn escaped(byte: u8) -> Option<char> {
    match byte {
        b'"' | b'\\' | b'$' => Some(char::from(byte)),
        b'n' => Some('\n'),
        b't' => Some('\t'),
        _ => None,
    }
}
