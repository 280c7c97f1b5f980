//! How long a stage trains: epochs, steps or tokens, turned into optimiser steps.

use crate::data::order::Order;
use serde::Deserialize;

/// The `budget` field. It deserialises from `{"epochs": 3.0}`, `{"steps": 60}` or `{"tokens": 1000000}`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Passes over the data; the last step may reach into the next pass.
    Epochs(f64),
    /// Optimiser steps.
    Steps(u64),
    /// Tokens that pass through the model; the last step may go beyond.
    Tokens(u64),
}

impl Budget {
    /// Optimiser steps over samples of these token counts, `batch` samples a step, in `order`; at least 1.
    pub fn steps(&self, lengths: &[usize], batch: usize, order: &mut Order) -> u64 {
        let steps = match *self {
            Budget::Steps(steps) => steps,
            Budget::Epochs(epochs) => ((lengths.len() as f64 * epochs) / batch as f64).ceil() as u64,
            Budget::Tokens(tokens) => steps_for_tokens(tokens, lengths, batch, order),
        };
        steps.max(1)
    }
}

fn steps_for_tokens(tokens: u64, lengths: &[usize], batch: usize, order: &mut Order) -> u64 {
    let mut seen = 0;
    let mut position = 0;
    while seen < tokens {
        seen += (position..position + batch as u64).map(|at| lengths[order.at(at)].max(1) as u64).sum::<u64>();
        position += batch as u64;
    }
    position / batch as u64
}
