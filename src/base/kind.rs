//! The kinds of artifact that stages hand to each other.

use serde::{Deserialize, Serialize};

/// What an artifact is, and so which stages may take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A Hugging Face model folder: config, weights, tokenizer.
    Model,
    /// Rows of problems, conversations or completions.
    Dataset,
    /// Per-item results of an evaluation.
    Scores,
    /// Something that can be asked for completions but not trained.
    Teacher,
}

impl Kind {
    /// The kind that a text names in lower case.
    pub fn named(text: &str) -> Option<Kind> {
        [Kind::Model, Kind::Dataset, Kind::Scores, Kind::Teacher]
            .into_iter()
            .find(|kind| kind.name().to_lowercase() == text)
    }

    /// The name the language uses.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Model => "Model",
            Kind::Dataset => "Dataset",
            Kind::Scores => "Scores",
            Kind::Teacher => "Teacher",
        }
    }
}
