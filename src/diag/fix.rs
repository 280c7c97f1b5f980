//! Fixes applied to a text: all that do not overlap, from the front.

use super::Fix;

/// The text with as many of the fixes as do not overlap, and the indexes of those. Fixes that repeat another, or that
/// lie outside of the text, are left out.
pub fn apply(text: &str, fixes: &[&Fix]) -> (String, Vec<usize>) {
    let mut ordered: Vec<(usize, &Fix)> = fixes.iter().copied().enumerate().collect();
    ordered.sort_by_key(|(_, fix)| (fix.span.start, fix.span.end));
    let (mut out, mut at, mut applied) = (String::with_capacity(text.len()), 0, Vec::new());
    let mut last: Option<&Fix> = None;
    for (index, fix) in ordered {
        let (start, end) = (fix.span.start as usize, fix.span.end as usize);
        // Two insertions at one place are two opinions of what belongs there, or one that was given twice.
        let clashes = last.is_some_and(|last| last.span.start == fix.span.start);
        let Some(kept) = text.get(at..start).filter(|_| !clashes && text.get(start..end).is_some()) else { continue };
        out.push_str(kept);
        out.push_str(&fix.replacement);
        applied.push(index);
        (at, last) = (end, Some(fix));
    }
    out.push_str(&text[at..]);
    (out, applied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::{SourceId, Span};

    fn fix(start: usize, end: usize, replacement: &str) -> Fix {
        Fix { span: Span::new(SourceId(0), start, end), replacement: replacement.to_string() }
    }

    #[test]
    fn what_overlaps_waits_for_the_next_round() {
        let fixes = [fix(4, 7, "B"), fix(0, 3, "A"), fix(2, 5, "X"), fix(7, 7, "!"), fix(7, 7, "?"), fix(9, 99, "Z")];
        let (text, applied) = apply("one two é", &fixes.iter().collect::<Vec<_>>());
        assert_eq!((text.as_str(), applied), ("A B! é", vec![1, 0, 3]));
    }

    #[test]
    fn a_fix_inside_of_a_character_is_left_out() {
        let (text, applied) = apply("é", &[&fix(1, 2, "x")]);
        assert_eq!((text.as_str(), applied), ("é", vec![]));
    }
}
