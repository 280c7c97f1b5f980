//! The rules by which an answer is found in a completion.

use serde::{Deserialize, Serialize};

/// The rule that fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The last balanced `\boxed{}`; of a lenient search also those that a comma or an "and" joins to it.
    Boxed,
    /// The last line with `####`.
    Hashes,
    /// The content of `<answer>…</answer>`.
    AnswerTag,
    /// What follows "the answer is" or "answer:".
    Phrase,
    /// The last line, which is nothing but an answer.
    LastLine,
    /// The last formula, with no number behind it.
    LastFormula,
    /// The last number of the text.
    LastNumber,
    /// A lone capital letter.
    Choice,
    /// The first match of lm-evaluation-harness' strict filter.
    StrictMatch,
    /// The last match of lm-evaluation-harness' flexible filter.
    FlexibleExtract,
    /// None: there is no answer.
    None,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 11] = [
        Rule::Boxed,
        Rule::Hashes,
        Rule::AnswerTag,
        Rule::Phrase,
        Rule::LastLine,
        Rule::LastFormula,
        Rule::LastNumber,
        Rule::Choice,
        Rule::StrictMatch,
        Rule::FlexibleExtract,
        Rule::None,
    ];

    /// The name in metrics and records.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Boxed => "boxed",
            Rule::Hashes => "hashes",
            Rule::AnswerTag => "answer_tag",
            Rule::Phrase => "phrase",
            Rule::LastLine => "last_line",
            Rule::LastFormula => "last_formula",
            Rule::LastNumber => "last_number",
            Rule::Choice => "choice",
            Rule::StrictMatch => "strict_match",
            Rule::FlexibleExtract => "flexible_extract",
            Rule::None => "none",
        }
    }
}
