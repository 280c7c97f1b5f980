//! srlm, the build system for small reasoning models: orderings of training stages as one graph, each stage run once.
//!
//! `docs/architecture.md` draws the house; the modules below stand in the order of its floors.

pub mod base;
pub mod diag;
pub mod nn;
pub mod lang;
pub mod store;
pub mod model;
pub mod data;
pub mod plan;
pub mod reward;
pub mod rollout;
pub mod train;
pub mod eval;
pub mod stage;
pub mod exec;
pub mod report;
pub mod driver;
pub mod cli;
