//! Running a plan: jobs, what runs them, and the order in which they run.

#[cfg(test)]
mod agreement_tests;
pub mod executor;
mod fetching;
pub mod gpus;
pub mod job;
pub mod local;
pub mod mock;
mod needs;
mod outputs;
mod queue;
pub mod resources;
mod retry;
pub mod run;
pub mod settings;
mod summary;
#[cfg(test)]
mod tests;
pub mod worker;

pub use summary::{Outcome, Summary};
