//! Floor 3: sampling completions from a decoder. Token ids in, token ids and log-probabilities out.

mod generate;
mod sampler;
mod schedule;
#[cfg(test)]
mod tests;

pub use generate::{Completion, Progress, Prompt, RolloutError, Stop, generate};
pub use sampler::Sampling;
