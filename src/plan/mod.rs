//! The plan: stage calls become a graph with keys, and the store says which of them must run, and why.

mod difference;
mod estimate;
pub mod facts;
pub mod graph;
mod history;
#[cfg(test)]
mod history_tests;
pub mod key;
pub mod lineage;
mod remote;
pub mod resolve;
pub mod run_diff;
#[cfg(test)]
mod tests;
pub mod trajectory;
#[cfg(test)]
mod trajectory_tests;
pub mod why;

pub use difference::{Difference, differences};
pub use estimate::{Estimate, MemoryBy, Total};
pub use graph::{Files, Graph, Node, Target, UnknownTarget};
pub use history::{History, Past};
pub use lineage::{Ancestor, Lineage};
pub use resolve::{Cause, Plan, PlanError, Resolver, Status, Step, Summary, known_inputs, resolve};
pub use trajectory::Trajectories;
pub use why::{Change, Earlier, Explainer, Explanation};
