//! What is known of a model before anything runs.

use super::digest::Digest;

/// Which tokenizer a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerId {
    /// The one whose `tokenizer.json` has this digest.
    File(Digest),
    /// The one that srlm trains on its own problems, of at most so many tokens.
    BuiltIn {
        /// The tokens asked for.
        vocabulary: usize,
    },
}

/// Facts about a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFacts {
    /// The architecture, as `model_type` in a config.
    pub architecture: String,
    /// Rows of its embedding.
    pub vocabulary: usize,
    /// Positions it may see.
    pub positions: usize,
    /// Its tokenizer, where that is known.
    pub tokenizer: Option<TokenizerId>,
}
