//! Bytes to positions and back, in the encoding that the client counts in.

use crate::base::source::Span;
use lsp_types::{ClientCapabilities, Position, PositionEncodingKind, Range};
use std::sync::Arc;

/// The byte-order mark that some editors keep in the text and the language leaves out.
const MARK: char = '\u{feff}';

/// What a column counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// Halves of surrogate pairs: what every client knows.
    Utf16,
}

impl Encoding {
    /// Bytes where the client offers them, which need no counting.
    pub fn agreed(client: &ClientCapabilities) -> Self {
        let offered = client.general.as_ref().and_then(|general| general.position_encodings.as_ref());
        let bytes = offered.is_some_and(|offered| offered.contains(&PositionEncodingKind::UTF8));
        if bytes { Encoding::Utf8 } else { Encoding::Utf16 }
    }

    /// Its name in the protocol.
    pub fn kind(self) -> PositionEncodingKind {
        match self {
            Encoding::Utf8 => PositionEncodingKind::UTF8,
            Encoding::Utf16 => PositionEncodingKind::UTF16,
        }
    }

    fn width(self, character: char) -> u32 {
        match self {
            Encoding::Utf8 => character.len_utf8() as u32,
            Encoding::Utf16 => character.len_utf16() as u32,
        }
    }
}

/// A text cut into lines. They end with `\n`, `\r\n` or `\r`.
#[derive(Clone, Debug)]
pub struct Lines {
    text: Arc<str>,
    starts: Vec<usize>,
    encoding: Encoding,
    /// Columns of the first line that the client's text has before this one: those of a byte-order mark.
    shift: u32,
}

impl Lines {
    /// The lines of a text as the client has it.
    pub fn new(text: Arc<str>, encoding: Encoding) -> Self {
        let bytes = text.as_bytes();
        let ends = |at: &usize| bytes[*at] == b'\n' || (bytes[*at] == b'\r' && bytes.get(*at + 1) != Some(&b'\n'));
        let starts = std::iter::once(0).chain((0..bytes.len()).filter(ends).map(|at| at + 1)).collect();
        Lines { text, starts, encoding, shift: 0 }
    }

    /// The lines of what the language reads of a text that begins with a byte-order mark, if `marked`.
    pub fn read(text: Arc<str>, encoding: Encoding, marked: bool) -> Self {
        let shift = if marked { encoding.width(MARK) } else { 0 };
        Lines { shift, ..Lines::new(text, encoding) }
    }

    /// Where byte `offset` stands.
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.floor(offset);
        let line = self.starts.partition_point(|&start| start <= offset) - 1;
        let before = &self.text[self.starts[line]..offset];
        let shift = if line == 0 { self.shift } else { 0 };
        Position::new(line as u32, shift + before.chars().map(|character| self.encoding.width(character)).sum::<u32>())
    }

    /// The byte at a position; a column beyond the line means its end, a line beyond the text means that one's end.
    pub fn offset(&self, position: Position) -> usize {
        let line = position.line as usize;
        let Some(&start) = self.starts.get(line) else { return self.text.len() };
        let end = self.starts.get(line + 1).copied().unwrap_or(self.text.len());
        let content = self.text[start..end].trim_end_matches(['\n', '\r']);
        let mut left = position.character.saturating_sub(if line == 0 { self.shift } else { 0 });
        for (at, character) in content.char_indices() {
            let width = self.encoding.width(character);
            if left < width {
                return start + at;
            }
            left -= width;
        }
        start + content.len()
    }

    /// The range of a span in this text.
    pub fn range(&self, span: Span) -> Range {
        Range::new(self.position(span.start as usize), self.position(span.end as usize))
    }

    /// The range of the whole text.
    pub fn whole(&self) -> Range {
        Range::new(Position::new(0, 0), self.position(self.text.len()))
    }

    /// The text.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    fn floor(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        (0..=offset).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0)
    }
}

/// Whether a text begins with a byte-order mark.
pub fn is_marked(text: &str) -> bool {
    text.starts_with(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(text: &str, encoding: Encoding) {
        let lines = Lines::new(text.into(), encoding);
        for (offset, character) in text.char_indices() {
            let inside_of_end = character == '\n' && text[..offset].ends_with('\r');
            if !inside_of_end {
                assert_eq!(lines.offset(lines.position(offset)), offset, "{text:?} at {offset}");
            }
        }
    }

    #[test]
    fn every_character_is_found_again() {
        for text in ["", "a", "ä = \"𝛼\"\nx", "a\r\nbé\r\n", "a\rb\n\nc", "\n"] {
            there_and_back(text, Encoding::Utf16);
            there_and_back(text, Encoding::Utf8);
        }
    }

    #[test]
    fn columns_count_what_was_agreed() {
        let text = "ä𝛼x";
        assert_eq!(Lines::new(text.into(), Encoding::Utf16).position(6), Position::new(0, 3));
        assert_eq!(Lines::new(text.into(), Encoding::Utf8).position(6), Position::new(0, 6));
    }

    #[test]
    fn positions_outside_mean_the_nearest_end() {
        let lines = Lines::new("ab\r\nc".into(), Encoding::Utf16);
        assert_eq!(lines.offset(Position::new(0, 99)), 2);
        assert_eq!(lines.offset(Position::new(9, 0)), 5);
        assert_eq!(lines.offset(Position::new(u32::MAX, u32::MAX)), 5);
    }

    #[test]
    fn a_byte_order_mark_takes_its_columns() {
        let lines = Lines::read("ab\nc".into(), Encoding::Utf16, true);
        assert_eq!(lines.position(1), Position::new(0, 2));
        assert_eq!(lines.position(3), Position::new(1, 0));
        assert_eq!(lines.offset(Position::new(0, 2)), 1);
    }
}
