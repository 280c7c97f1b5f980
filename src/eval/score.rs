//! Scoring completions item by item, and the summary of a benchmark.

use super::stats::{self, Interval};
use crate::base::fs::write_atomic;
use crate::base::measure::Measure;
use crate::base::seed::Seed;
use crate::data::row::Row;
use crate::reward::grade::judge::{canonical, judge};
use crate::reward::grade::profile::Profile;
use crate::reward::grade::rule::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// One line an item, in a Scores artifact.
pub const ITEMS_FILE: &str = "items.jsonl";

/// Benchmark to metric to value, in a Scores artifact.
pub const SUMMARY_FILE: &str = "summary.json";

/// A completion as the sampler gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Its text, without the stop token.
    pub text: String,
    /// Generated tokens, the stop token counted.
    pub tokens: usize,
    /// Whether it was cut off at the maximal length.
    pub truncated: bool,
}

/// The results of one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemScore {
    /// The benchmark's name in its suite.
    pub bench: String,
    /// The row's id: items are paired by it.
    pub id: String,
    /// What was asked: the last turn of the prompt.
    pub question: String,
    /// The gold answer.
    pub gold: String,
    /// How many completions.
    pub samples: u64,
    /// How many of them are right.
    pub correct: u64,
    /// Each sample, in order.
    pub answers: Vec<SampleScore>,
}

/// The verdict on one completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleScore {
    /// The answer found, in canonical form: votes are counted over it.
    pub answer: Option<String>,
    /// The rule that found it.
    pub rule: Rule,
    /// Whether it equals the gold answer.
    pub correct: bool,
    /// Generated tokens.
    pub tokens: usize,
    /// Whether it was cut off.
    pub truncated: bool,
    /// What the model wrote.
    pub completion: String,
}

/// Metric to value.
pub type Summary = BTreeMap<String, f64>;

/// Scores the completions of one row; none where the row has no gold answer.
pub fn score_item(bench: &str, row: &Row, completions: &[Completion], profile: Profile) -> Option<ItemScore> {
    let gold = row.answer.as_deref()?;
    let mut answers: Vec<_> = completions.iter().map(|completion| score_sample(gold, completion, profile)).collect();
    join_votes(&mut answers);
    Some(ItemScore {
        bench: bench.to_string(),
        id: row.id.clone(),
        question: row.question().to_string(),
        gold: gold.to_string(),
        samples: answers.len() as u64,
        correct: answers.iter().filter(|sample| sample.correct).count() as u64,
        answers,
    })
}

fn score_sample(gold: &str, completion: &Completion, profile: Profile) -> SampleScore {
    let grade = profile.grade(gold, &completion.text);
    SampleScore {
        correct: grade.correct,
        answer: grade.extracted.as_deref().map(canonical),
        rule: grade.rule,
        tokens: completion.tokens,
        truncated: completion.truncated,
        completion: completion.text.clone(),
    }
}

/// The most different answers to one item that are compared with each other.
const MAX_JOINED: usize = 32;

/// Gives equal answers in different forms, such as `x^2-1` and `(x-1)(x+1)`, the form of the first, so that they are
/// one answer when votes are counted. Different numbers have different forms already.
fn join_votes(answers: &mut [SampleScore]) {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'/'));
    let mut forms: Vec<String> = Vec::new();
    for answer in answers.iter_mut().filter_map(|sample| sample.answer.as_mut()) {
        if forms.contains(answer) {
            continue;
        }
        let equal = |form: &&String| !(is_number(form) && is_number(answer)) && judge(form, answer).accepts();
        match forms.iter().take(MAX_JOINED).find(equal) {
            Some(form) => answer.clone_from(form),
            None => forms.push(answer.clone()),
        }
    }
}

impl ItemScore {
    /// The share of right samples.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples.max(1) as f64
    }

    /// The number that a comparison measures; none where it is not defined for so many samples.
    pub fn measured(&self, measure: Measure) -> Option<f64> {
        match measure {
            _ if !measure.fits(self.samples) => None,
            Measure::Accuracy => Some(self.accuracy()),
            Measure::PassAt(k) => stats::pass_at_k(self.samples, self.correct, k),
            Measure::MajAt(_) => Some(self.majority()),
        }
    }

    fn majority(&self) -> f64 {
        let votes: Vec<_> = self.answers.iter().map(|sample| (sample.answer.as_deref(), sample.correct)).collect();
        stats::majority(&votes)
    }
}

/// The metrics of one benchmark's items: `accuracy` with `accuracy_low` and `accuracy_high` (95 %: Wilson for one
/// sample an item, else the bootstrap clustered by item), `pass@k` and `maj@n` where there are several samples,
/// `rule.<name>` counts of how answers were found, `mean_tokens`, `truncated_share`, `items`, `samples`.
pub fn summarise(items: &[&ItemScore], seed: Seed) -> Summary {
    let accuracies: Vec<f64> = items.iter().map(|item| item.accuracy()).collect();
    let interval = accuracy_interval(items, &accuracies, seed);
    let samples: Vec<&SampleScore> = items.iter().flat_map(|item| &item.answers).collect();
    let share = |count: f64| count / samples.len().max(1) as f64;
    let mut summary: Summary = [
        ("items", items.len() as f64),
        ("samples", samples.len() as f64),
        ("accuracy", stats::mean(&accuracies)),
        ("accuracy_low", interval.low),
        ("accuracy_high", interval.high),
        ("mean_tokens", share(samples.iter().map(|sample| sample.tokens as f64).sum())),
        ("truncated_share", share(samples.iter().filter(|sample| sample.truncated).count() as f64)),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into();
    for rule in Rule::ALL {
        let count = samples.iter().filter(|sample| sample.rule == rule).count();
        summary.insert(format!("rule.{}", rule.name()), count as f64);
    }
    summary.extend(over_samples(items));
    summary
}

fn accuracy_interval(items: &[&ItemScore], accuracies: &[f64], seed: Seed) -> Interval {
    match items.iter().all(|item| item.samples == 1) {
        true => stats::wilson(items.iter().map(|item| item.correct).sum(), items.len() as u64),
        false => stats::bootstrap_mean(accuracies, seed),
    }
}

/// pass@k for powers of two up to the number of samples, and maj@n, where every item has several samples.
fn over_samples(items: &[&ItemScore]) -> Summary {
    let n = items.iter().map(|item| item.samples).min().unwrap_or(0);
    let mut summary = Summary::new();
    if n < 2 {
        return summary;
    }
    let powers = (0..).map(|power| 1u64 << power).take_while(|&k| k < n);
    for k in powers.chain([n]) {
        let each: Vec<f64> = items.iter().filter_map(|item| stats::pass_at_k(item.samples, item.correct, k)).collect();
        summary.insert(format!("pass@{k}"), stats::mean(&each));
    }
    let majorities: Vec<f64> = items.iter().map(|item| item.majority()).collect();
    summary.insert(format!("maj@{n}"), stats::mean(&majorities));
    summary
}

/// Writes `items.jsonl` and `summary.json` into a folder and returns the summaries by benchmark.
///
/// # Errors
/// Whatever the file system says, with the path.
pub fn write_scores(folder: &Path, items: &[ItemScore], seed: Seed) -> io::Result<BTreeMap<String, Summary>> {
    let mut benches: BTreeMap<String, Vec<&ItemScore>> = BTreeMap::new();
    let mut lines = String::new();
    for item in items {
        benches.entry(item.bench.clone()).or_default().push(item);
        lines += &serde_json::to_string(item)?;
        lines.push('\n');
    }
    let summaries: BTreeMap<String, Summary> =
        benches.into_iter().map(|(bench, items)| (bench, summarise(&items, seed))).collect();
    write_atomic(&folder.join(ITEMS_FILE), lines.as_bytes())?;
    write_atomic(&folder.join(SUMMARY_FILE), (serde_json::to_string_pretty(&summaries)? + "\n").as_bytes())?;
    Ok(summaries)
}

/// Reads what [`write_scores`] wrote to `items.jsonl`.
///
/// # Errors
/// The path and line of what cannot be read.
pub fn read_items(path: &Path) -> io::Result<Vec<ItemScore>> {
    let text = std::fs::read_to_string(path).map_err(|error| crate::base::fs::at(path, error))?;
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}:{}: {error}", path.display(), index + 1))
        })
    };
    text.lines().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(text: &str) -> Completion {
        Completion { text: text.into(), tokens: 10, truncated: text.ends_with('…') }
    }

    fn item(id: usize, texts: &[&str]) -> ItemScore {
        let mut row = Row::new(format!("q{id}"), None, Some("18".into()));
        row.id = id.to_string();
        let completions: Vec<_> = texts.iter().map(|text| completion(text)).collect();
        score_item("arith", &row, &completions, Profile::Lenient).unwrap()
    }

    #[test]
    fn a_summary_counts_rules_lengths_and_truncation() {
        let items = [item(0, &["#### 18"]), item(1, &["\\boxed{17}"]), item(2, &["no idea…"])];
        let summary = summarise(&items.iter().collect::<Vec<_>>(), Seed::new(0));
        let value = |name: &str| summary[name];
        assert_eq!(
            (value("items"), value("rule.hashes"), value("rule.boxed"), value("rule.none")),
            (3.0, 1.0, 1.0, 1.0)
        );
        assert!((value("accuracy") - 1.0 / 3.0).abs() < 1e-12 && value("accuracy_low") < 0.1);
        assert!((value("truncated_share") - 1.0 / 3.0).abs() < 1e-12 && value("mean_tokens") == 10.0);
        assert!(!summary.contains_key("pass@1"));
    }

    #[test]
    fn several_samples_give_pass_and_majority() {
        let items = [item(0, &["#### 18", "#### 18.0", "#### 5"]), item(1, &["#### 5", "#### 6", "?"])];
        let summary = summarise(&items.iter().collect::<Vec<_>>(), Seed::new(0));
        assert_eq!((summary["pass@3"], summary["maj@3"]), (0.5, 0.5));
        assert!((summary["pass@1"] - 1.0 / 3.0).abs() < 1e-12);
        assert!((summary["accuracy"] - summary["pass@1"]).abs() < 1e-12);
    }

    #[test]
    fn equal_answers_vote_together_in_whatever_form() {
        let texts = ["\\boxed{x^2-1}", "\\boxed{(x-1)(x+1)}", "\\boxed{2x}", "\\boxed{\\frac{6}{3}}", "\\boxed{2}"];
        let row = Row::new("q", None, Some("x^2-1".into()));
        let completions: Vec<_> = texts.iter().map(|text| completion(text)).collect();
        let scored = score_item("algebra", &row, &completions, Profile::Lenient).unwrap();
        let forms: Vec<_> = scored.answers.iter().map(|sample| sample.answer.as_deref().unwrap()).collect();
        assert_eq!(forms, ["x^2-1", "x^2-1", "2x", "2", "2"]);
        assert_eq!((scored.correct, scored.majority()), (2, 0.5));
    }

    #[test]
    fn scores_survive_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let worse: Vec<_> = (0..40).map(|id| item(id, &[if id < 10 { "#### 18" } else { "#### 1" }])).collect();
        let summaries = write_scores(folder.path(), &worse, Seed::new(0)).unwrap();
        assert_eq!(summaries["arith"]["accuracy"], 0.25);
        assert_eq!(read_items(&folder.path().join(ITEMS_FILE)).unwrap(), worse);
    }
}
