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
            // Rounding must not add a step: 1.1 epochs of 100 samples are 110 samples, not 110.00000000000001.
            Budget::Epochs(epochs) => ((lengths.len() as f64 * epochs) / batch as f64 - 1e-9).ceil() as u64,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::Seed;

    fn steps(budget: Budget, samples: usize, batch: usize) -> u64 {
        budget.steps(&vec![10; samples], batch, &mut Order::new(samples, Seed::new(0)))
    }

    #[test]
    fn each_budget_becomes_the_steps_that_cover_it() {
        assert_eq!(steps(Budget::Epochs(1.1), 100, 10), 11);
        assert_eq!(steps(Budget::Epochs(1.0), 101, 10), 11);
        assert_eq!(steps(Budget::Epochs(0.5), 3, 8), 1);
        assert_eq!(steps(Budget::Epochs(3.0), 3, 8), 2);
        assert_eq!((steps(Budget::Steps(0), 3, 8), steps(Budget::Steps(7), 3, 8)), (1, 7));
        assert_eq!((steps(Budget::Tokens(160), 3, 8), steps(Budget::Tokens(161), 3, 8)), (2, 3));
    }
}
