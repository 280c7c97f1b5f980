//! Models behind a server that speaks OpenAI's API: many requests at a time, tried again with patience, asked for once.

mod address;
mod answer;
mod asking;
mod client;
mod kept;
mod patience;
mod request;
mod secret;
#[cfg(test)]
#[allow(dead_code, reason = "the integration tests use the rest")]
mod testing;
#[cfg(test)]
mod tests;

pub use address::Address;
pub use answer::Answer;
pub use asking::{Limits, Outcome, Progress, ask_all};
pub use client::Client;
pub use kept::Kept;
pub use request::{Prompt, Request, Settings};
pub use secret::{Secret, is_variable_name};

use std::io;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The key, the model's name or a request is at fault: asking again gives the same.
    #[error("{0}")]
    Refused(String),
    /// No server answers at all.
    #[error("{0}")]
    Unreachable(String),
    /// The server or the network fails, for longer than requests are tried again.
    #[error("{0}")]
    Unavailable(String),
    /// The caller asked to stop; so many answers are kept.
    #[error("stopped on request")]
    Stopped(usize),
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}
