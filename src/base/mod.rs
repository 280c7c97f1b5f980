//! Floor 0: what every room stands on, and nothing that knows a language, a store or a tensor.

pub mod contained;
pub mod digest;
#[cfg(test)]
pub(crate) mod disk_model;
pub mod event;
pub mod facts;
pub mod failpoint;
mod flushing;
pub mod fs;
pub mod fs_trace;
pub mod hash_file;
pub mod kind;
pub mod measure;
pub mod memory;
pub mod named;
pub mod seal;
pub mod seed;
pub mod source;
pub mod state;
pub mod tree;
pub mod words;
pub mod writers;
