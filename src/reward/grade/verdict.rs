//! A verdict on a pair of answers, and what it rests on.

use serde::{Deserialize, Serialize};

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// The texts are the same, or are once spacing and look-alikes are.
    Text,
    /// Two rational numbers are equal.
    Value,
    /// A decimal of at least six significant digits is the rounding of a number without end.
    Rounded,
    /// A percentage and the share that it is.
    Percent,
    /// Two expressions have the same normal form, or are proven to be the same number.
    Expression,
    /// The same words.
    Words,
    /// The same letter of a multiple choice.
    Choice,
    /// The same entries: a list, a set or a union in any order.
    Collection,
    /// The same entries in order: a tuple, a point or an interval.
    Tuple,
    /// The same entries of a matrix.
    Matrix,
    /// The same ratio.
    Ratio,
    /// Two equations, one a multiple of the other.
    Equation,
    /// Two inequalities that say the same.
    Inequality,
    /// They are not equal, or could not be shown to be.
    Different,
    /// One of them is no mathematics that is read, and the texts differ.
    Unreadable,
    /// One of them is too long, too deep or too large a number to be compared.
    TooLarge,
    /// There is no answer.
    NoAnswer,
}

impl Ground {
    /// Every ground.
    pub const ALL: [Ground; 17] = [
        Ground::Text,
        Ground::Value,
        Ground::Rounded,
        Ground::Percent,
        Ground::Expression,
        Ground::Words,
        Ground::Choice,
        Ground::Collection,
        Ground::Tuple,
        Ground::Matrix,
        Ground::Ratio,
        Ground::Equation,
        Ground::Inequality,
        Ground::Different,
        Ground::Unreadable,
        Ground::TooLarge,
        Ground::NoAnswer,
    ];

    /// The name in records and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Ground::Text => "text",
            Ground::Value => "value",
            Ground::Rounded => "rounded",
            Ground::Percent => "percent",
            Ground::Expression => "expression",
            Ground::Words => "words",
            Ground::Choice => "choice",
            Ground::Collection => "collection",
            Ground::Tuple => "tuple",
            Ground::Matrix => "matrix",
            Ground::Ratio => "ratio",
            Ground::Equation => "equation",
            Ground::Inequality => "inequality",
            Ground::Different => "different",
            Ground::Unreadable => "unreadable",
            Ground::TooLarge => "too_large",
            Ground::NoAnswer => "no_answer",
        }
    }

    /// Whether the verdict is that the answers are equal.
    pub fn accepts(self) -> bool {
        !matches!(self, Ground::Different | Ground::Unreadable | Ground::TooLarge | Ground::NoAnswer)
    }
}
