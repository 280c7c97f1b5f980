//! The profiles of the grader: how an answer is looked for, and what counts as equal.

use super::extract::{self, Found, Marker};
use super::judge::judge;
use super::lm_eval;
use super::rule::Rule;
use super::verdict::Ground;
use serde::{Deserialize, Serialize};

/// How completions are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// For rewards: only a marked answer counts, and a spoiled mark is no answer.
    Strict,
    /// For evaluation: marked answers first, then a phrase, then the last formula or number.
    Lenient,
    /// The "strict-match" figure of lm-evaluation-harness' GSM8K.
    LmEvalStrict,
    /// The "flexible-extract" figure of lm-evaluation-harness' GSM8K.
    LmEvalFlexible,
}

/// The verdict on a completion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grade {
    /// Whether the answer equals the gold answer.
    pub correct: bool,
    /// The rule that found the answer.
    pub rule: Rule,
    /// The answer found, as written.
    pub extracted: Option<String>,
    /// What the verdict rests on.
    pub ground: Ground,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 4] = [Profile::Strict, Profile::Lenient, Profile::LmEvalStrict, Profile::LmEvalFlexible];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Strict => "strict",
            Profile::Lenient => "lenient",
            Profile::LmEvalStrict => "lm-eval-strict",
            Profile::LmEvalFlexible => "lm-eval-flexible",
        }
    }

    /// The profile of that name.
    pub fn find(name: &str) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Judges a completion by its gold answer.
    pub fn grade(self, gold: &str, completion: &str) -> Grade {
        match self {
            Profile::Strict => judged(gold, extract::strict(completion, Marker::Any)),
            Profile::Lenient => judged(gold, extract::lenient(completion)),
            Profile::LmEvalStrict => matched(gold, lm_eval::strict_match(completion), Rule::StrictMatch),
            Profile::LmEvalFlexible => matched(gold, lm_eval::flexible_extract(completion), Rule::FlexibleExtract),
        }
    }
}

/// Judges the answer behind one kind of mark, as rewards do.
pub fn grade_marked(gold: &str, completion: &str, marker: Marker) -> Grade {
    judged(gold, extract::strict(completion, marker))
}

fn judged(gold: &str, found: Found) -> Grade {
    let ground = match &found.answer {
        Some(answer) => judge(&extract::gold(gold), answer),
        None => Ground::NoAnswer,
    };
    Grade { correct: ground.accepts(), rule: found.rule, extracted: found.answer, ground }
}

fn matched(gold: &str, found: Option<&str>, rule: Rule) -> Grade {
    let correct = lm_eval::exact_match(found, gold);
    let ground = match (correct, found) {
        (true, _) => Ground::Text,
        (false, Some(_)) => Ground::Different,
        (false, None) => Ground::NoAnswer,
    };
    Grade {
        correct,
        rule: if found.is_some() { rule } else { Rule::None },
        extracted: found.map(str::to_string),
        ground,
    }
}
