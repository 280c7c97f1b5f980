//! Where the formulas of a text stand: between dollar signs, `\(…\)` and `\[…\]`.

use std::ops::Range;

/// The insides of the formulas, in order. A dollar sign before a price opens none.
pub fn formulas(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find(['$', '\\']) {
        let start = at + offset;
        let rest = &text[start..];
        let (open, close) = match rest.as_bytes() {
            [b'$', b'$', ..] => (2, "$$"),
            [b'$', ..] => (1, "$"),
            [b'\\', b'(', ..] => (2, "\\)"),
            [b'\\', b'[', ..] => (2, "\\]"),
            [b'\\', ..] => {
                at = start + 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                continue;
            }
            _ => break,
        };
        let inside = &rest[open..];
        match closing(inside, close).filter(|&end| close != "$" || is_formula(&inside[..end], &inside[end + 1..])) {
            Some(end) => {
                if !inside[..end].trim().is_empty() {
                    found.push(start + open..start + open + end);
                }
                at = start + open + end + close.len();
            }
            None => at = start + open,
        }
    }
    found
}

/// The longest formula in bytes.
const MAX_FORMULA: usize = 2000;

/// Where a formula closes; `\$` closes none.
fn closing(inside: &str, close: &str) -> Option<usize> {
    let mut limit = inside.len().min(MAX_FORMULA);
    while !inside.is_char_boundary(limit) {
        limit -= 1;
    }
    let inside = &inside[..limit];
    let mut from = 0;
    loop {
        let end = from + inside[from..].find(close)?;
        if close.starts_with('\\') || !inside[..end].ends_with('\\') {
            return Some(end);
        }
        from = end + close.len();
    }
}

/// Whether what stands between two dollar signs is a formula rather than the words between two prices.
fn is_formula(inside: &str, behind: &str) -> bool {
    if inside.contains("\n\n") || behind.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let mut letters = 0;
    let mut in_command = false;
    let mut words = 0;
    let plain = without_texts(inside);
    for c in plain.chars().chain([' ']) {
        match c {
            '\\' => in_command = true,
            c if c.is_alphabetic() && !in_command => letters += 1,
            c if c.is_alphabetic() => {}
            _ => {
                words += usize::from(letters >= 4);
                letters = 0;
                in_command = false;
            }
        }
    }
    words <= 1
}

/// A formula without the words in `\text{…}` and the names of environments.
fn without_texts(inside: &str) -> String {
    let mut out = String::new();
    let mut rest = inside;
    let next = |rest: &str| {
        ["\\text", "\\mbox", "\\mathrm", "\\operatorname", "\\begin", "\\end"]
            .iter()
            .filter_map(|name| rest.find(name))
            .min()
    };
    while let Some(at) = next(rest) {
        out.push_str(&rest[..at]);
        rest = rest[at..].split_once('}').map_or("", |(_, behind)| behind);
    }
    out.push_str(rest);
    out
}
