//! Finding the final answer in a completion, and saying which rule found it.

use super::math;
use crate::data::boxed::{Boxes, boxes};
use serde::{Deserialize, Serialize};

/// How hard the search looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// For rewards: only a marked answer counts, and a spoiled mark is no answer.
    Strict,
    /// For evaluation: marked answers first, then a phrase, then the last number.
    Lenient,
}

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

/// The rule that fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The last balanced `\boxed{}`.
    Boxed,
    /// The last line with `####`.
    Hashes,
    /// The content of `<answer>…</answer>`.
    AnswerTag,
    /// What follows "the answer is" or "answer:".
    Phrase,
    /// The last number of the text.
    LastNumber,
    /// None: there is no answer.
    None,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 6] = [Rule::Boxed, Rule::Hashes, Rule::AnswerTag, Rule::Phrase, Rule::LastNumber, Rule::None];

    /// The name in metrics and records.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Boxed => "boxed",
            Rule::Hashes => "hashes",
            Rule::AnswerTag => "answer_tag",
            Rule::Phrase => "phrase",
            Rule::LastNumber => "last_number",
            Rule::None => "none",
        }
    }
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

/// Finds the final answer.
pub fn find(completion: &str, search: Search, marker: Marker) -> Found {
    let text = before_stop(completion);
    match search {
        Search::Strict => after_thinking(text).map_or(Found::NONE, |text| strict(text, marker)),
        Search::Lenient => lenient(after_thinking(text).unwrap_or(text)),
    }
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

fn strict(text: &str, marker: Marker) -> Found {
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
                && boxes.spans.last().is_none_or(|span| !math::equal(&scope[span.clone()], line));
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
    let agree = distinct.len() <= 20 && distinct.iter().all(|other| math::equal(other, answer));
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

fn lenient(text: &str) -> Found {
    let scope = match answer_tag(text) {
        Tag::Closed(inner) => inner,
        Tag::Open | Tag::Absent => text,
    };
    if let Some(span) = boxes(scope).spans.pop().filter(|span| !scope[span.clone()].trim().is_empty()) {
        return Found::some(&scope[span], Rule::Boxed);
    }
    if let Some((_, answer)) = hashes(scope) {
        return Found::some(answer, Rule::Hashes);
    }
    if scope.len() < text.len() && !scope.trim().is_empty() {
        return Found::some(scope, Rule::AnswerTag);
    }
    if let Some(answer) = phrase(scope) {
        return Found::some(answer, Rule::Phrase);
    }
    last_number(scope).map_or(Found::NONE, |number| Found::some(number, Rule::LastNumber))
}

/// What follows the last "answer is" or "answer:", to the end of its sentence.
fn phrase(text: &str) -> Option<&str> {
    // ASCII lowering keeps every byte in its place.
    let lower = text.to_ascii_lowercase();
    let last = |phrase: &str| lower.rfind(phrase).map(|at| at + phrase.len());
    let at = ["answer is", "answer:", "answer =", "answer**:"].into_iter().filter_map(last).max()?;
    let rest = text[at..].trim_start_matches([':', ' ', '*', '\n', '\t', '=']);
    let answer = sentence(rest).trim_matches(['*', ' ']);
    let has_more_than_words = !answer.is_empty() && answer.len() <= math::MAX_ANSWER;
    // "The answer is that she makes 18 dollars" names a number; a bare word is an answer of its own.
    let start_is_answer = math::is_number(answer) || !answer.contains(' ') || answer.starts_with(['\\', '$', '(']);
    match has_more_than_words {
        false => None,
        true if start_is_answer => Some(answer),
        true => last_number(answer).or(Some(answer)),
    }
}

/// The text to its first line end, or to a full stop that ends a sentence.
fn sentence(text: &str) -> &str {
    let line = text.split('\n').next().unwrap_or("");
    let stop = line.match_indices(['.', ';']).map(|(at, _)| at);
    let ends = |&at: &usize| line[at + 1..].chars().next().is_none_or(|next| next.is_whitespace() || next == '*');
    line.find(". ").map_or_else(|| &line[..stop.filter(ends).min().unwrap_or(line.len())], |at| &line[..at])
}

/// The last number: sign, digits with groups, decimals, a simple fraction, a percent sign.
fn last_number(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let last = bytes.iter().rposition(u8::is_ascii_digit)?;
    let part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'/');
    let mut start = last;
    while start > 0 && part(bytes[start - 1]) {
        start -= 1;
    }
    while matches!(bytes[start], b',' | b'/') {
        start += 1;
    }
    let before = text[..start].trim_end_matches('$');
    let sign = before.strip_suffix(['-', '\u{2212}']);
    // A hyphen after a letter or digit joins words or subtracts: "16-3", "covid-19".
    if let Some(front) = sign.filter(|front| !front.ends_with(|c: char| c.is_alphanumeric() || c == ')')) {
        start = front.len();
    }
    let percent = text[last + 1..].trim_start_matches(['\\', ' ']).starts_with('%');
    let end = if percent { text[last + 1..].find('%').map_or(last + 1, |at| last + 2 + at) } else { last + 1 };
    Some(&text[start..end])
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
