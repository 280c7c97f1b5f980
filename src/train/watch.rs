//! What a training loop may know of its surroundings: who listens, whether to stop, where states go.

use crate::base::event::StageEvent;
use crate::base::state::Places;
use crate::rollout::RolloutError;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Handed to every training loop.
pub struct Watch<'a> {
    /// Takes events.
    pub events: &'a (dyn Fn(StageEvent) + Sync),
    /// Set when the loop should save a state and stop.
    pub stop: &'a AtomicBool,
    /// Where training states go; none are kept where there is no such place.
    pub states: Option<&'a Places>,
    /// Seconds between two saved states.
    pub checkpoint_seconds: f64,
}

/// How a training loop can end without a result.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data or the model cannot be trained on.
    #[error("{0}")]
    Input(String),
    /// A loss or gradient is not finite, or a parameter got no gradient.
    #[error("{0}")]
    Diverged(String),
    /// The loop was asked to stop.
    #[error("stopped on request")]
    Interrupted {
        /// The step of the newest saved state.
        saved_at: Option<u64>,
    },
    /// Sampling failed.
    #[error("{0}")]
    Rollout(#[from] RolloutError),
    /// The disk failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The tensor library failed.
    #[error("{0}")]
    Tensor(#[from] candle_core::Error),
}

impl Watch<'_> {
    /// Whether the loop should stop.
    pub fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Counts known before the first step.
    pub fn facts(&self, facts: &[(&str, f64)]) {
        (self.events)(StageEvent::Facts { facts: named(facts) });
    }

    /// One step done.
    pub fn progress(&self, step: u64, total: u64, unit: &str, tokens: usize, metrics: &[(&str, f64)]) {
        let (unit, tokens) = (unit.to_string(), tokens as u64);
        (self.events)(StageEvent::Progress { step, total, unit, tokens, metrics: named(metrics) });
    }

    /// Something to know, with its cure.
    pub fn warn(&self, message: impl Into<String>) {
        (self.events)(StageEvent::Warning { message: message.into() });
    }
}

/// Numbers that are not finite are left out: JSON has no form for them.
fn named(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
    pairs.iter().filter(|(_, value)| value.is_finite()).map(|(name, value)| (name.to_string(), *value)).collect()
}
