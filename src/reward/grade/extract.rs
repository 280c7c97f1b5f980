//! Finding the final answer in a completion, and saying which rule found it.

use super::formulas::formulas;
use super::judge::{self, judge};
use super::rule::Rule;
use crate::data::boxed::{Boxes, boxes};
use serde::{Deserialize, Serialize};

/// What a strict search takes for a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Marker {
    /// `\boxed{}`, `####` or `<answer>`, whichever stands last.
    Any,
    /// `\boxed{}` only.
    Boxed,
    /// `####` only.
    Hashes,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The answer as written, trimmed.
    pub answer: Option<String>,
    /// The rule that fired.
    pub rule: Rule,
}

impl Found {
    fn some(answer: &str, rule: Rule) -> Found {
        let answer = answer.trim();
        if answer.is_empty() { Found::NONE } else { Found { answer: Some(answer.to_string()), rule } }
    }

    const NONE: Found = Found { answer: None, rule: Rule::None };
}

/// Where a completion is over, whatever follows: tokens that end a turn, and an invented next question.
const STOPS: [&str; 6] = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "</s>", "\nQuestion:"];

/// The answer behind the last mark; a spoiled mark is no answer. For rewards.
pub fn strict(completion: &str, marker: Marker) -> Found {
    after_thinking(before_stop(completion)).map_or(Found::NONE, |text| marked(text, marker))
}

/// Marked answers first, then a phrase, then the last line, formula, number or letter. For evaluation.
pub fn lenient(completion: &str) -> Found {
    let text = before_stop(completion);
    search(after_thinking(text).unwrap_or(text))
}

/// The answer in a gold text: what its boxes or its last `####` line hold, else all of it.
pub fn gold(text: &str) -> String {
    if text.contains("\\boxed") || text.contains("\\fbox") {
        if let Some(answer) = joined_boxes(&single_backslash(text)) {
            return answer;
        }
    } else if let Some((_, answer)) = hashes(text) {
        return answer.trim().to_string();
    } else if text.len() > 100 {
        let found = lenient(text);
        return found.answer.unwrap_or_else(|| text.trim().to_string());
    }
    text.trim().to_string()
}

/// `\\boxed` is `\boxed` with its backslash doubled on the way.
fn single_backslash(text: &str) -> String {
    text.replace("\\\\boxed", "\\boxed")
}

fn before_stop(text: &str) -> &str {
    let first = STOPS.iter().filter_map(|stop| text.find(stop)).filter(|&at| !text[..at].trim().is_empty()).min();
    &text[..first.unwrap_or(text.len())]
}

/// The text after the last `</think>`; none where thinking was opened and not closed.
fn after_thinking(text: &str) -> Option<&str> {
    let after = text.rsplit_once("</think>").map_or(text, |(_, after)| after);
    if after.contains("<think>") { None } else { Some(after) }
}

fn marked(text: &str, marker: Marker) -> Found {
    let (scope, tagged) = match answer_tag(text) {
        Tag::Closed(inner) => (inner, true),
        Tag::Absent => (text, false),
        Tag::Open => return Found::NONE,
    };
    let boxes = boxes(scope);
    let hashes = hashes(scope);
    let box_start = boxes.spans.last().map(|span| span.start).into_iter().chain(boxes.open_at).max();
    let (boxed, hashed) = match marker {
        Marker::Boxed => (box_start, None),
        Marker::Hashes => (None, hashes),
        Marker::Any => (box_start, hashes),
    };
    match (boxed, hashed) {
        // `#### \boxed{18}` is one answer: the box stands inside the line.
        (Some(boxed), Some((start, line))) if start > boxed => {
            // A box that the line contradicts within the final paragraph is a second answer: hedging is no answer.
            let contradicted = boxed > last_paragraph(scope)
                && boxes.spans.last().is_none_or(|span| !judge(&scope[span.clone()], line).accepts());
            if contradicted { Found::NONE } else { hash_answer(hashed) }
        }
        (None, Some(_)) => hash_answer(hashed),
        (Some(_), _) => last_box(scope, &boxes),
        (None, None) if tagged && marker == Marker::Any => Found::some(scope, Rule::AnswerTag),
        (None, None) => Found::NONE,
    }
}

fn hash_answer(found: Option<(usize, &str)>) -> Found {
    found.map_or(Found::NONE, |(_, answer)| Found::some(answer, Rule::Hashes))
}

/// The last box, unless it is open or the final paragraph's boxes disagree: naming several answers is no answer.
fn last_box(text: &str, boxes: &Boxes) -> Found {
    let Some(last) = boxes.spans.last() else { return Found::NONE };
    if boxes.open_at.is_some_and(|open| open >= last.start || open > last_paragraph(text)) {
        return Found::NONE;
    }
    let answer = &text[last.clone()];
    let paragraph = last_paragraph(text);
    let in_paragraph = boxes.spans.iter().filter(|span| span.start >= paragraph);
    let mut distinct: Vec<&str> = in_paragraph.map(|span| text[span.clone()].trim()).collect();
    distinct.dedup();
    // Each comparison is bounded, and so is their number: twenty different boxes are not one answer.
    let agree = distinct.len() <= 20 && distinct.iter().all(|other| judge(other, answer).accepts());
    if agree { Found::some(answer, Rule::Boxed) } else { Found::NONE }
}

fn last_paragraph(text: &str) -> usize {
    text.trim_end().rfind("\n\n").unwrap_or(0)
}

/// The last `####` with something behind it on its line, and where it stands.
fn hashes(text: &str) -> Option<(usize, &str)> {
    let mut end = text.len();
    while let Some(at) = text[..end].rfind("####") {
        let line = text[at + 4..end].split('\n').next().unwrap_or("").trim_matches(['#', ' ', '\t', '\r', '*']);
        if !line.is_empty() {
            return Some((at, line));
        }
        end = at;
    }
    None
}

enum Tag<'a> {
    Closed(&'a str),
    Open,
    Absent,
}

fn answer_tag(text: &str) -> Tag<'_> {
    match text.rsplit_once("<answer>") {
        None => Tag::Absent,
        Some((_, after)) => after.split_once("</answer>").map_or(Tag::Open, |(inner, _)| Tag::Closed(inner)),
    }
}

fn search(text: &str) -> Found {
    let scope = match answer_tag(text) {
        Tag::Closed(inner) => inner,
        Tag::Open | Tag::Absent => text,
    };
    if let Some(answer) = joined_boxes(scope) {
        return Found::some(&answer, Rule::Boxed);
    }
    if let Some((_, answer)) = hashes(scope) {
        return Found::some(answer, Rule::Hashes);
    }
    if scope.len() < text.len() && !scope.trim().is_empty() {
        return Found::some(scope, Rule::AnswerTag);
    }
    if let Some(answer) = phrase(scope) {
        return Found::some(&answer, Rule::Phrase);
    }
    if let Some(line) = last_line(scope) {
        return Found::some(line, Rule::LastLine);
    }
    if let Some((answer, rule)) = last_formula_or_number(scope) {
        return Found::some(&answer, rule);
    }
    choice(scope).map_or(Found::NONE, |letter| Found::some(letter, Rule::Choice))
}

/// The most boxes that are one answer together.
const MAX_BOXES: usize = 20;

/// What the last box holds, and those before it that nothing but a comma or an "and" parts from it, as one list.
fn joined_boxes(text: &str) -> Option<String> {
    let spans = boxes(text).spans;
    let last = spans.last().filter(|span| !text[(*span).clone()].trim().is_empty())?;
    let mut parts = vec![text[last.clone()].trim()];
    for pair in spans.windows(2).rev().take(MAX_BOXES) {
        let start = text[..pair[1].start].rfind('\\').unwrap_or(pair[1].start);
        if !is_joint(text.get(pair[0].end + 1..start)?) {
            break;
        }
        let part = text[pair[0].clone()].trim();
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.reverse();
    Some(parts.join(", "))
}

/// Whether what stands between two boxes joins them: nothing, a comma, or an "and" or "or" behind a word or two.
fn is_joint(between: &str) -> bool {
    if between.len() > 80 {
        return false;
    }
    let mut text = between.replace("\\text", " ").replace("\\qquad", " ").replace("\\quad", " ");
    for mark in ["\\(", "\\)", "\\[", "\\]", "\\,", "\\;", "\\ ", "$", "{", "}", "\\", "&", "\n"] {
        text = text.replace(mark, " ");
    }
    let mut words: Vec<&str> = text.split_whitespace().collect();
    // `x = \boxed{1}, y = \boxed{2}`: the name before a box is not between them.
    if words.last() == Some(&"=") {
        words.truncate(words.len().saturating_sub(2));
    }
    match words.as_slice() {
        [] => true,
        [.., last] => words.len() <= 5 && (matches!(*last, "and" | "or") || last.ends_with([',', ';'])),
    }
}

/// What follows the last "answer is" or "answer:", to the end of its sentence.
fn phrase(text: &str) -> Option<String> {
    // ASCII lowering keeps every byte in its place.
    let lower = text.to_ascii_lowercase();
    let last = |phrase: &str| lower.rfind(phrase).map(|at| at + phrase.len());
    let at = ["answer is", "answer:", "answer =", "answer**:"].into_iter().filter_map(last).max()?;
    let rest = text[at..].trim_start_matches([':', ' ', '*', '\n', '\t', '=']);
    let whole = sentence(rest).trim_matches(['*', ' ', '"']);
    if whole.is_empty() || whole.len() > judge::MAX_ANSWER {
        return None;
    }
    // "The answer is that she makes 18 dollars" names a number; a bare word is an answer of its own.
    if judge::is_read(whole) {
        return Some(whole.to_string());
    }
    if let Some(first) = formulas(rest).first().filter(|formula| formula.start <= 3) {
        return Some(rest[first.clone()].trim().to_string());
    }
    if !whole.contains(' ') {
        return Some(whole.to_string());
    }
    last_formula_or_number(whole).map(|(answer, _)| answer).or_else(|| Some(whole.to_string()))
}

/// The text to its first line end, or to a full stop that ends a sentence.
fn sentence(text: &str) -> &str {
    let line = text.split('\n').next().unwrap_or("");
    let stop = line.match_indices(['.', ';']).map(|(at, _)| at);
    let ends = |&at: &usize| line[at + 1..].chars().next().is_none_or(|next| next.is_whitespace() || next == '*');
    let end = line.find(". ").or_else(|| stop.filter(ends).min());
    &line[..end.unwrap_or(line.len())]
}

/// The last line, where it is nothing but an answer.
fn last_line(text: &str) -> Option<&str> {
    let line = text.trim_end().rsplit('\n').next()?.trim();
    let is_item = line.starts_with("- ") || line.starts_with("* ");
    let has_digit = line.contains(|c: char| c.is_ascii_digit() || c == '\\');
    let is_short = line.starts_with(['$', '\\']) || line.split_whitespace().count() <= 5;
    let is_all = text.trim().len() == line.len() && is_short;
    let is_answer = match (has_digit, line.starts_with(['$', '\\'])) {
        (true, true) if is_all => judge::is_read(line),
        (true, true) => judge::is_formula(line),
        (true, false) => judge::is_plain_formula(line),
        // A completion that is a name or a word, and nothing else.
        (false, _) => is_all && judge::is_read(line),
    };
    (!is_item && line.len() <= 300 && is_answer).then_some(line)
}

/// The last formula, or the last number where that stands behind it.
fn last_formula_or_number(text: &str) -> Option<(String, Rule)> {
    let number = last_number(text);
    let formula = formulas(text).into_iter().rev().take(3).find(|span| says_something(&text[span.clone()]));
    match (number, formula) {
        (Some(number), Some(formula)) if number.start >= formula.end => {
            Some((text[number].to_string(), Rule::LastNumber))
        }
        (_, Some(formula)) => Some((text[formula].trim().to_string(), Rule::LastFormula)),
        (Some(number), None) => Some((text[number].to_string(), Rule::LastNumber)),
        (None, None) => None,
    }
}

/// Whether a formula is more than a name.
fn says_something(formula: &str) -> bool {
    let letters = formula.chars().filter(|c| c.is_alphanumeric()).count();
    (letters > 1 || formula.contains(|c: char| c.is_ascii_digit())) && judge::is_formula(formula)
}

/// The last number: sign, digits with groups, decimals, a simple fraction, a percent sign.
fn last_number(text: &str) -> Option<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'/');
    let mut end = text.len();
    for _ in 0..100 {
        let last = bytes[..end].iter().rposition(u8::is_ascii_digit)?;
        let mut start = last;
        while start > 0 && part(bytes[start - 1]) {
            start -= 1;
        }
        while matches!(bytes[start], b',' | b'/') {
            start += 1;
        }
        start = with_groups(text, start, last);
        let before = text[..start].trim_end_matches('$');
        // `K2` is a name.
        if before.len() == start && before.ends_with(|c: char| c.is_alphabetic()) {
            end = start;
            continue;
        }
        let sign = before.strip_suffix(['-', '\u{2212}']);
        // A hyphen after a letter or digit joins words or subtracts: "16-3", "covid-19".
        if let Some(front) = sign.filter(|front| !front.ends_with(|c: char| c.is_alphanumeric() || c == ')')) {
            start = front.len();
        }
        let percent = text[last + 1..].trim_start_matches(['\\', ' ']).starts_with('%');
        let end = if percent { text[last + 1..].find('%').map_or(last + 1, |at| last + 2 + at) } else { last + 1 };
        return Some(start..end);
    }
    None
}

/// Where a number begins that is written in groups of three with spaces: `1 000`.
fn with_groups(text: &str, mut start: usize, last: usize) -> usize {
    let bytes = text.as_bytes();
    let mut group = last + 1 - start;
    while group == 3 && start > 1 && bytes[start - 1] == b' ' && bytes[start - 2].is_ascii_digit() {
        let digits = bytes[..start - 1].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 3 {
            break;
        }
        start -= 1 + digits;
        group = digits;
    }
    start
}

/// A lone capital letter in the last line: `A. Because …`, `so B is right`.
fn choice(text: &str) -> Option<&str> {
    let line = text.trim_end().rsplit('\n').next()?;
    let bare = |word: &str| word.trim_matches(['.', ',', ':', ')', '(', '*', '"']).to_string();
    let is_choice = |word: &&str| matches!(bare(word).as_bytes(), [b'A'..=b'H']);
    let words: Vec<&str> = line.split_whitespace().take(500).collect();
    let first = words.first().filter(|word| is_choice(word) && word.ends_with(['.', ')', ':']));
    let last = words.iter().rev().find(|word| is_choice(word) && (**word != "A" || words.len() == 1));
    let found = first.or(last)?;
    Some(found.trim_matches(['.', ',', ':', ')', '(', '*', '"']))
}

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
