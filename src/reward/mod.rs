//! Floor 3: judging completions. Rewards and evaluation call the same grader.

pub mod format;
pub mod grade;
pub mod verifier;

pub use verifier::{RewardError, RewardPart, RewardScore, RewardSum, RewardTerm, VERIFIERS, Verifier, find};
