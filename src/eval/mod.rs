//! Floor 4: scoring completions against golds, and the statistics of the results.

pub mod compare;
pub mod crossed;
pub mod score;
pub mod stats;
