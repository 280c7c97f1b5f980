//! Training loops, readable from top to bottom, and the leaves they share.

pub mod budget;
pub mod distill;
pub mod divergence;
mod groups;
pub mod grpo;
pub mod loss;
#[cfg(test)]
mod loss_parity;
pub mod on_policy;
#[cfg(test)]
mod prefix_tests;
pub mod resume;
pub mod sft;
mod signs;
pub mod step;
pub mod stream;
pub mod teacher;
#[cfg(test)]
mod tests;
pub mod watch;
