//! Floor 3: sampling completions from a decoder. Token ids in, token ids and log-probabilities out.

mod generate;
mod sampler;
mod schedule;
mod stops;
#[cfg(test)]
mod tests;

pub use generate::{Completion, Emitted, Progress, Prompt, RolloutError, Stop, generate, generate_watched};
pub use sampler::Sampling;
pub use stops::StopTexts;
