//! The lines of a text that a picture needs, cut to what a reader can take in: a line may be millions of characters long.

use std::ops::Range;

/// Bytes of a line that are shown.
const SHOWN: usize = 300;
/// Of these, how many stand before the place that matters.
const BEFORE: usize = 60;
/// Lines around a place that are shown.
const AROUND: usize = 2;
/// Lines that one place may cover; of a longer one the first line is shown.
const COVERED: usize = 12;

/// A text in which every line that is not needed is empty, so that lines keep their numbers; and the places in it.
#[derive(Debug)]
pub(super) struct Excerpt {
    pub text: String,
    pub places: Vec<Range<usize>>,
}

/// The excerpt for some places of `text`; nothing where the text can be shown as it is.
pub(super) fn excerpt(text: &str, places: &[Range<usize>]) -> Option<Excerpt> {
    let places: Vec<Range<usize>> = places.iter().map(|place| shortened(text, place)).collect();
    let needed: Vec<Range<usize>> = places.iter().map(|place| lines_around(text, place)).collect();
    let is_plain = |range: &Range<usize>| text[range.clone()].split('\n').all(|line| line.len() <= SHOWN && !odd(line));
    if needed.iter().all(is_plain) && places.iter().all(|place| text.is_char_boundary(place.start)) {
        return None;
    }
    let mut out = Excerpt { text: String::new(), places: vec![0..0; places.len()] };
    let mut start = 0;
    for line in text.split('\n') {
        let end = start + line.len();
        if needed.iter().any(|range| start <= range.end && range.start <= end) {
            out.line(line, start, &places);
        }
        out.text.push('\n');
        start = end + 1;
    }
    Some(out)
}

/// A place that covers many lines stands for its first.
fn shortened(text: &str, place: &Range<usize>) -> Range<usize> {
    let end = place.end.min(text.len());
    let start = place.start.min(end);
    let covered = &text[floor(text, start)..floor(text, end)];
    match covered.match_indices('\n').nth(COVERED) {
        Some(_) => start..start + covered.find('\n').unwrap_or(covered.len()),
        None => start..end,
    }
}

fn lines_around(text: &str, place: &Range<usize>) -> Range<usize> {
    let before = text[..floor(text, place.start)].rmatch_indices('\n').nth(AROUND);
    let after = text[floor(text, place.end)..].match_indices('\n').nth(AROUND);
    before.map_or(0, |(at, _)| at + 1)..after.map_or(text.len(), |(at, _)| floor(text, place.end) + at)
}

/// Whether a terminal might take a character of the line for an order.
fn odd(line: &str) -> bool {
    line.bytes().any(is_order)
}

fn is_order(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n')
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

impl Excerpt {
    /// Adds the part of a line, which begins at byte `start` of the text, that shows the first place in it.
    fn line(&mut self, line: &str, start: usize, places: &[Range<usize>]) {
        let end = start + line.len();
        let first = places.iter().filter(|place| (start..=end).contains(&place.start)).map(|place| place.start).min();
        let wanted = first.map_or(0, |first| first - start);
        let from = if line.len() <= SHOWN { 0 } else { floor(line, wanted.saturating_sub(BEFORE)) };
        let to = floor(line, from.saturating_add(SHOWN));
        let cut = if from > 0 { "…" } else { "" };
        self.text.push_str(cut);
        let shown = self.text.len();
        let moved = |at: usize| shown + at.clamp(start + from, start + to) - (start + from);
        for (old, new) in places.iter().zip(&mut self.places) {
            if (start..=end).contains(&old.start) {
                *new = moved(old.start)..moved(old.end);
            } else if (start..=end).contains(&old.end) {
                new.end = moved(old.end);
            }
        }
        self.text.extend(line[from..to].chars().map(|shown| {
            // One byte for one, so that places stay right.
            if u8::try_from(shown).is_ok_and(is_order) { '?' } else { shown }
        }));
        if to < line.len() {
            self.text.push('…');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lines_are_shown_as_they_are() {
        assert!(excerpt("let a = 1\nlet b = 2\n", &[4..5, 14..15]).is_none());
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("first\n{}HERE{}\nlast", "x ".repeat(100_000), " y".repeat(100_000));
        let at = text.find("HERE").unwrap();
        let cut = excerpt(&text, std::slice::from_ref(&(at..at + 4))).unwrap();
        assert!(cut.text.len() < 500);
        assert_eq!(&cut.text[cut.places[0].clone()], "HERE");
        assert_eq!(cut.text.lines().count(), 3);
    }

    #[test]
    fn lines_keep_their_numbers_and_places_in_several_lines_both_ends() {
        let long = "é".repeat(400);
        let text = format!("one\n{long}\n\n\n\n\n(two\n{long}\nthree)\n");
        let (from, to) = (text.find("(two").unwrap(), text.find("three)").unwrap() + 6);
        let cut = excerpt(&text, std::slice::from_ref(&(from..to))).unwrap();
        assert_eq!(cut.text[..cut.places[0].start].matches('\n').count(), 6);
        assert!(
            cut.text[cut.places[0].clone()].starts_with("(two") && cut.text[cut.places[0].clone()].ends_with("three)")
        );
    }

    #[test]
    fn a_terminal_takes_no_orders() {
        let cut = excerpt("let a = \u{1b}[31m\0", std::slice::from_ref(&(8..9))).unwrap();
        assert_eq!(cut.text, "let a = ?[31m?\n");
    }
}
