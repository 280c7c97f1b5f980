//! Whether an answer equals a gold answer: texts first, then what they say.

use super::arithmetic::is_function;
use super::budget::{Budget, Stop};
use super::compare::compare;
use super::normal::normal;
use super::notation::{normalise, squeezed};
use super::parse::parse;
use super::shape::{Shape, shape};
use super::tokens::{Kind, Token, tokens};
use super::tree::Tree;
use super::unit;
use super::verdict::Ground;

/// The longest answer in bytes that is read as mathematics.
pub const MAX_ANSWER: usize = 2000;

/// On what ground two answers are equal, or why they are not. Symmetric; bounded in time whatever the texts are.
pub fn judge(left: &str, right: &str) -> Ground {
    let (left, right) = (left.trim(), right.trim());
    if left.is_empty() || right.is_empty() {
        return Ground::NoAnswer;
    }
    if left == right {
        return Ground::Text;
    }
    if left.len() > MAX_ANSWER || right.len() > MAX_ANSWER {
        return Ground::TooLarge;
    }
    let (left, right) = (normalise(left), normalise(right));
    if left.is_empty() || right.is_empty() {
        return Ground::Different;
    }
    if left == right {
        return Ground::Text;
    }
    if is_same_choice(&left, &right) {
        return Ground::Choice;
    }
    if is_same_words(&left, &right) {
        return Ground::Words;
    }
    let read = by_meaning(&left, &right);
    match read {
        Ground::Unreadable if squeezed(&left) == squeezed(&right) => Ground::Text,
        other => other,
    }
}

fn by_meaning(left: &str, right: &str) -> Ground {
    let trees = (parse(left), parse(right));
    let (a, b) = match trees {
        (Ok(a), Ok(b)) => (a, b),
        (Err(Stop::TooLarge), _) | (_, Err(Stop::TooLarge)) => return Ground::TooLarge,
        _ => return Ground::Unreadable,
    };
    let budget = Budget::new();
    match compare(&a, &b, &budget) {
        Ok(Some(ground)) => ground,
        Ok(None) => {
            decimal_comma(left, &b, &budget).or_else(|| decimal_comma(right, &a, &budget)).unwrap_or(Ground::Different)
        }
        Err(Stop::TooLarge) => Ground::TooLarge,
        Err(_) => Ground::Unreadable,
    }
}

/// `1000,99` where the other answer is a decimal: a comma before at least two digits that make no group of three may be
/// a decimal point.
fn decimal_comma(text: &str, other: &Tree, budget: &Budget) -> Option<Ground> {
    let (whole, part) = text.split_once(',')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let bare = whole.strip_prefix('-').unwrap_or(whole);
    let grouped = part.len() == 3 && bare != "0" && bare.len() <= 3;
    if !digits(bare) || !digits(part) || part.len() < 2 || grouped {
        return None;
    }
    match shape(other).ok()? {
        Shape::Value(value) if value.decimal.is_some() => {
            compare(&parse(&text.replace(',', ".")).ok()?, other, budget).ok()?
        }
        _ => None,
    }
}

/// Whether both are the same words: letters only, whatever their case, at least one of them plainly a word.
fn is_same_words(left: &str, right: &str) -> bool {
    match (word(left), word(right)) {
        (Some((left, is_word)), Some((right, is_other_word))) => (is_word || is_other_word) && left == right,
        _ => false,
    }
}

/// The letters of an answer that has nothing else, and whether they are words.
fn word(text: &str) -> Option<(String, bool)> {
    let mut letters = Vec::new();
    let mut is_word = false;
    for token in tokens(text).ok()? {
        match token.kind {
            Kind::Letter(letter) => letters.push(letter.to_string()),
            Kind::Word(word, text) => {
                is_word |= text || unit::is_word(&word);
                letters.push(word.to_lowercase());
            }
            Kind::Sign('.' | ',' | '-' | '\'') => {}
            _ => return None,
        }
    }
    (!letters.is_empty()).then(|| (letters.concat(), is_word))
}

/// Whether both name the same choice: `C`, `(C)`, `\text{(C)}`, and with the choice's text behind, `(C) 12`.
fn is_same_choice(left: &str, right: &str) -> bool {
    match (choice(left), choice(right)) {
        (Some(left), Some(right)) => {
            let bare = !left.described || !right.described;
            let marked = left.marked || right.marked;
            bare && (left.letter == right.letter || (marked && left.letter.eq_ignore_ascii_case(&right.letter)))
                && (left.marked || left.letter.is_ascii_uppercase())
                && (right.marked || right.letter.is_ascii_uppercase())
        }
        _ => false,
    }
}

struct Choice {
    letter: char,
    /// Whether brackets or a point mark it as a choice.
    marked: bool,
    /// Whether the choice's text stands behind it.
    described: bool,
}

fn choice(text: &str) -> Option<Choice> {
    let tokens = tokens(text).ok()?;
    let kinds: Vec<&Kind> = tokens.iter().map(|token| &token.kind).collect();
    let (letter, length, marked) = match kinds.as_slice() {
        [Kind::Sign('('), Kind::Letter(letter), Kind::Sign(')'), ..] => (*letter, 3, true),
        [Kind::Letter(letter), Kind::Sign(')' | '.' | ':'), ..] => (*letter, 2, true),
        [Kind::Letter(letter)] => (*letter, 1, false),
        _ => return None,
    };
    let rest: &[Token] = &tokens[length..];
    let parted = rest.first().is_none_or(|next| next.spaced);
    let fits = letter.is_ascii_alphabetic() && ('A'..='J').contains(&letter.to_ascii_uppercase());
    (fits && parted).then_some(Choice { letter, marked, described: !rest.is_empty() })
}

/// Whether the answer reads as one number.
pub fn is_number(answer: &str) -> bool {
    number(&normalise(answer)).is_some()
}

/// The number that a normalised answer is.
fn number(text: &str) -> Option<num_rational::BigRational> {
    if text.len() > MAX_ANSWER {
        return None;
    }
    match shape(&parse(text).ok()?).ok()? {
        Shape::Value(value) => normal(&value.tree, &Budget::new()).ok()?.as_number(),
        Shape::Named(_, inner) => match *inner {
            Shape::Value(value) => normal(&value.tree, &Budget::new()).ok()?.as_number(),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a text is read as mathematics, without words that are no units.
pub fn is_formula(text: &str) -> bool {
    let words = |tree: &Tree| tree.contains(&|part| matches!(part, Tree::Words(_)));
    text.len() <= MAX_ANSWER && parse(&normalise(text)).is_ok_and(|tree| !words(&tree) && shape(&tree).is_ok())
}

/// Whether a text is read as mathematics, and no run of letters in it is read as a product: `it is` is none.
pub fn is_plain_formula(text: &str) -> bool {
    let loose = |token: &Token| match &token.kind {
        Kind::Word(word, false) => !is_function(word) && !unit::is_word(word) && !unit::is_short_unit(word),
        _ => false,
    };
    is_formula(text) && tokens(&normalise(text)).is_ok_and(|tokens| !tokens.iter().any(loose))
}

/// Whether an answer is read as mathematics or as words, rather than as a text like any other.
pub fn is_read(answer: &str) -> bool {
    answer.len() <= MAX_ANSWER && parse(&normalise(answer)).is_ok_and(|tree| shape(&tree).is_ok())
}

/// One text for answers that are equal: reduced fractions for numbers, normalised texts otherwise. Votes are counted
/// over it.
pub fn canonical(answer: &str) -> String {
    if answer.len() > MAX_ANSWER {
        return answer.trim().to_string();
    }
    let normal = normalise(answer);
    if let Some(number) = number(&normal) {
        return number.to_string();
    }
    match word(&normal) {
        Some((word, true)) => word,
        _ => squeezed(&normal),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
