//! Floor 3: judging completions. Rewards and evaluation call the same verifiers.

pub mod answer;
pub mod format;
mod latex;
pub mod math;
mod unit;
pub mod verifier;

pub use verifier::{RewardError, RewardPart, RewardScore, RewardSum, RewardTerm, VERIFIERS, Verifier, find};
