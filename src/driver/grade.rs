//! Judging completions outside a pipeline: rows of a file, or one pair.

use super::Failure;
use crate::reward::grade::extract::gold;
use crate::reward::grade::judge::canonical;
pub use crate::reward::grade::profile::{Grade, Profile};
pub use crate::reward::grade::rule::Rule;
pub use crate::reward::grade::verdict::Ground;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

/// The most bad rows that one error lists.
const MAX_LISTED: usize = 10;

/// A completion and what it should have answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The gold answer.
    pub gold: String,
    /// The completion.
    pub completion: String,
}

/// A pair's verdict with both answers in the form in which they are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The verdict.
    #[serde(flatten)]
    pub grade: Grade,
    /// The gold answer's normal form.
    pub gold: String,
    /// The answer's normal form.
    pub answer: Option<String>,
}

/// Reads rows with `gold` and `completion`, one JSON object a line; empty lines are skipped.
///
/// # Errors
/// [`Failure::Input`] with the place of every bad row, ten at most.
pub fn read_pairs(name: &str, text: &str) -> Result<Vec<Pair>, Failure> {
    let (mut pairs, mut bad) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match pair(line) {
            Ok(pair) => pairs.push(pair),
            Err(what) => bad.push(format!("{name}:{}: {what}", index + 1)),
        }
    }
    if bad.is_empty() {
        return Ok(pairs);
    }
    let more = bad.len().saturating_sub(MAX_LISTED);
    bad.truncate(MAX_LISTED);
    let rest = if more > 0 { format!("\nand {more} more") } else { String::new() };
    Err(Failure::Input(format!(
        "{}{rest}\nA row is {{\"gold\": …, \"completion\": …}}; nothing was judged",
        bad.join("\n")
    )))
}

fn pair(line: &str) -> Result<Pair, String> {
    let row: Value = serde_json::from_str(line).map_err(|error| format!("this is no JSON: {error}"))?;
    let row = row.as_object().ok_or("a row is a JSON object")?;
    let gold = match row.get("gold") {
        Some(Value::String(text)) if !text.trim().is_empty() => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(_)) => return Err("`gold` is empty".into()),
        Some(_) => return Err("`gold` is neither a text nor a number".into()),
        None => return Err("there is no `gold`".into()),
    };
    match row.get("completion") {
        Some(Value::String(completion)) => Ok(Pair { gold, completion: completion.clone() }),
        Some(_) => Err("`completion` is no text".into()),
        None => Err("there is no `completion`".into()),
    }
}

/// Judges pairs, in order.
pub fn grade_all(pairs: &[Pair], profile: Profile) -> Vec<Grade> {
    pairs.par_iter().map(|pair| profile.grade(&pair.gold, &pair.completion)).collect()
}

/// Judges one pair, and shows how both answers are read.
pub fn explain(pair: &Pair, profile: Profile) -> Explained {
    let grade = profile.grade(&pair.gold, &pair.completion);
    let answer = grade.extracted.as_deref().map(canonical);
    Explained { grade, gold: canonical(&gold(&pair.gold)), answer }
}
