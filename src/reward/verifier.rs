//! The catalogue of verifiers, and the weighted sums of them that a stage declares.

use super::grade::extract::Marker;
use super::grade::profile::grade_marked;
use super::{format, grade};
use crate::data::row::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A setting of a verifier: one of several texts.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name users write.
    pub name: &'static str,
    /// What may stand there; the first is the default.
    pub options: &'static [&'static str],
    /// What it means.
    pub doc: &'static str,
}

/// The settings of one use of a verifier, defaults filled in.
pub type Args = Map<String, Value>;

/// One verifier: a name, a version that is part of every key, and a score for a completion of a row.
pub struct Verifier {
    /// The name in the catalogue.
    pub name: &'static str,
    /// Raised whenever a completion would get another score.
    pub version: u32,
    /// What it scores, in a sentence.
    pub doc: &'static str,
    /// Its settings.
    pub settings: &'static [Setting],
    /// The score, in 0 to 1; none where it cannot judge the row.
    pub score: fn(&Row, &str, &Args) -> Option<f64>,
}

/// Every verifier. A new one adds its entry here.
pub static VERIFIERS: &[Verifier] = &[
    Verifier {
        name: "correct",
        version: grade::VERSION,
        doc: "1 where the marked final answer equals the row's gold answer, else 0; rows without a gold are left out.",
        settings: &[Setting {
            name: "marker",
            options: &["any", "boxed", "hashes"],
            doc: "What marks the answer: the last `\\boxed{}`, the last `####` line, or whichever stands last.",
        }],
        score: correct,
    },
    Verifier {
        name: "tagged",
        version: 1,
        doc: "1 where the completion is one closed `<think>…</think>` with an answer behind it, else 0.",
        settings: &[],
        score: |_, completion, _| Some(f64::from(u8::from(format::tagged(completion)))),
    },
    Verifier {
        name: "think_answer",
        version: 1,
        doc: "1 where the completion is exactly `<think>…</think>` and `<answer>…</answer>`, else 0.",
        settings: &[],
        score: |_, completion, _| Some(f64::from(u8::from(format::think_answer(completion)))),
    },
];

/// The verifier of that name.
pub fn find(name: &str) -> Option<&'static Verifier> {
    VERIFIERS.iter().find(|verifier| verifier.name == name)
}

fn correct(row: &Row, completion: &str, args: &Args) -> Option<f64> {
    let gold = row.answer.as_deref()?;
    let marker = args.get("marker").and_then(|value| Marker::deserialize(value).ok()).unwrap_or(Marker::Any);
    Some(f64::from(u8::from(grade_marked(gold, completion, marker).correct)))
}

/// A weighted sum of verifiers plus a constant, as a stage's canonical arguments hold it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardSum {
    /// The constant.
    pub offset: f64,
    /// The weighted verifiers.
    pub terms: Vec<RewardTerm>,
}

/// One weighted verifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardTerm {
    /// Its factor.
    pub weight: f64,
    /// The verifier's name.
    pub reward: String,
    /// The verifier's version when the arguments were written.
    pub version: u32,
    /// Its settings.
    #[serde(default)]
    pub args: Args,
}

/// A sum that this program cannot compute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewardError {
    /// No verifier has that name.
    #[error("there is no reward `{name}`: there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The arguments were written for another version.
    #[error("the reward `{name}` is version {have} here, and version {wanted} is asked for: plan again")]
    Version {
        /// The verifier.
        name: String,
        /// The version of this program.
        have: u32,
        /// The version asked for.
        wanted: u32,
    },
    /// A setting that the verifier does not have, or a value it does not take.
    #[error("the reward `{name}` does not take `{setting}: {value}`")]
    Setting {
        /// The verifier.
        name: String,
        /// The setting.
        setting: String,
        /// The value.
        value: String,
    },
}

/// What a completion is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct RewardScore {
    /// The sum; none where no verifier could judge: such a completion is left out of its group.
    pub total: Option<f64>,
    /// Each verifier's score before its weight, in the order of the sum.
    pub parts: Vec<RewardPart>,
}

/// One verifier's share.
#[derive(Clone, Debug, PartialEq)]
pub struct RewardPart {
    /// The verifier.
    pub reward: &'static str,
    /// Its score, none where it could not judge.
    pub score: Option<f64>,
}

impl RewardSum {
    /// Checks names, versions and settings, before any work starts.
    ///
    /// # Errors
    /// The first [`RewardError`].
    pub fn check(&self) -> Result<(), RewardError> {
        self.terms.iter().try_for_each(RewardTerm::check)
    }

    /// Scores a completion. A verifier that cannot judge the row adds nothing.
    pub fn evaluate(&self, row: &Row, completion: &str) -> RewardScore {
        let mut total = self.offset;
        let mut parts = Vec::with_capacity(self.terms.len());
        for term in &self.terms {
            let Some(verifier) = find(&term.reward) else { continue };
            let score = (verifier.score)(row, completion, &term.args);
            total += score.map_or(0.0, |score| term.weight * score);
            parts.push(RewardPart { reward: verifier.name, score });
        }
        let judged = self.terms.is_empty() || parts.iter().any(|part| part.score.is_some());
        RewardScore { total: judged.then_some(total), parts }
    }
}

impl RewardTerm {
    fn check(&self) -> Result<(), RewardError> {
        let name = self.reward.clone();
        let Some(verifier) = find(&name) else {
            let known: Vec<_> = VERIFIERS.iter().map(|verifier| verifier.name).collect();
            return Err(RewardError::Unknown { name, known: known.join(", ") });
        };
        if verifier.version != self.version {
            return Err(RewardError::Version { name, have: verifier.version, wanted: self.version });
        }
        let takes = |(setting, value): &(&String, &Value)| {
            let known = verifier.settings.iter().find(|known| known.name == setting.as_str());
            known.is_some_and(|known| value.as_str().is_some_and(|value| known.options.contains(&value)))
        };
        match self.args.iter().find(|pair| !takes(pair)) {
            Some((setting, value)) => {
                Err(RewardError::Setting { name, setting: setting.clone(), value: value.to_string() })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sum(value: Value) -> RewardSum {
        serde_json::from_value(value).unwrap()
    }

    fn term(weight: f64, reward: &str) -> Value {
        json!({"weight": weight, "reward": reward, "version": find(reward).map_or(1, |found| found.version), "args": {}})
    }

    fn row() -> Row {
        Row::new("q", None, Some("18".into()))
    }

    #[test]
    fn sums_are_weighted_and_offset() {
        let reward = sum(json!({"offset": -2.0, "terms": [term(2.0, "correct"), term(0.5, "tagged")]}));
        reward.check().unwrap();
        let score = reward.evaluate(&row(), "<think>9*2</think>\n#### 18.00");
        assert_eq!(score.total, Some(0.5));
        assert_eq!(score.parts.iter().map(|part| part.score).collect::<Vec<_>>(), [Some(1.0), Some(1.0)]);
        assert_eq!(reward.evaluate(&row(), "18").total, Some(-2.0));
    }

    #[test]
    fn a_row_without_gold_is_not_judged() {
        let bare = Row::new("q", None, None);
        assert_eq!(sum(json!({"offset": 1.0, "terms": [term(1.0, "correct")]})).evaluate(&bare, "#### 1").total, None);
        let both = sum(json!({"offset": 0.0, "terms": [term(1.0, "correct"), term(1.0, "tagged")]}));
        assert_eq!(both.evaluate(&bare, "#### 1").total, Some(0.0));
    }

    #[test]
    fn the_marker_is_a_setting() {
        let boxed = sum(json!({"offset": 0.0, "terms": [
            {"weight": 1.0, "reward": "correct", "version": grade::VERSION, "args": {"marker": "boxed"}}]}));
        boxed.check().unwrap();
        assert_eq!(boxed.evaluate(&row(), "#### 18").total, Some(0.0));
        assert_eq!(boxed.evaluate(&row(), "\\boxed{18}").total, Some(1.0));
    }

    #[test]
    fn what_cannot_be_computed_is_told_before_the_work() {
        let check = |value: Value| sum(json!({"offset": 0.0, "terms": [value]})).check().unwrap_err().to_string();
        assert!(check(term(1.0, "corect")).contains("correct, tagged, think_answer"));
        assert!(check(json!({"weight": 1.0, "reward": "tagged", "version": 9})).contains("version 9"));
        assert!(
            check(json!({"weight": 1.0, "reward": "correct", "version": grade::VERSION, "args": {"marker": "x"}}))
                .contains("marker")
        );
    }
}
