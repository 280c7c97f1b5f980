//! The plan: stage calls become a graph with keys, and the store says which of them must run, and why.

pub mod facts;
pub mod graph;
pub mod key;
pub mod resolve;
#[cfg(test)]
mod tests;
pub mod trajectory;
#[cfg(test)]
mod trajectory_tests;
pub mod why;

pub use graph::{Files, Graph, Node, Target, UnknownTarget};
pub use resolve::{Plan, PlanError, Resolver, Status, Step, Summary, resolve};
pub use trajectory::Trajectories;
pub use why::{Change, Explanation, History};
