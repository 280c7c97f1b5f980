//! srlm, the build system for small reasoning models: orderings of training stages as one graph, each stage run once.
//!
//! `docs/architecture.md` draws the house; the modules below stand in the order of its floors.

pub mod api;
pub mod base;
pub mod cli;
pub mod data;
pub mod diag;
pub mod driver;
pub mod eval;
pub mod exec;
pub mod hub;
pub mod lang;
pub mod lsp;
pub mod model;
pub mod nn;
pub mod plan;
pub mod report;
pub mod reward;
pub mod rollout;
pub mod stage;
pub mod store;
pub mod train;
