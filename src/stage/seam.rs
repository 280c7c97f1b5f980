//! The seam to the learning wing: what a training loop is told, and how its errors end a stage.

use super::{StageContext, StageError};
use crate::data::DataError;
use crate::model::ModelError;
use crate::rollout::RolloutError;
use crate::train::watch::{TrainError, Watch};

impl StageContext<'_> {
    /// What a training loop may know of this context.
    pub fn watch(&self) -> Watch<'_> {
        Watch {
            events: self.events,
            stop: self.stop,
            states: self.states.as_ref(),
            checkpoint_seconds: self.checkpoint_seconds,
        }
    }
}

impl From<DataError> for StageError {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Io(error) => error.into(),
            other => StageError::input(other.to_string()),
        }
    }
}

impl From<ModelError> for StageError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Io(error) => error.into(),
            ModelError::Tensor(error) => StageError::machine(error.to_string()),
            other => StageError::input(other.to_string()),
        }
    }
}

impl From<TrainError> for StageError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Input(message) => StageError::Input { message },
            TrainError::Diverged(message) => StageError::Diverged { message },
            TrainError::Interrupted { saved_at } => StageError::Interrupted { saved_at },
            TrainError::Rollout(error) => error.into(),
            TrainError::Io(error) => error.into(),
            TrainError::Tensor(error) => StageError::machine(error.to_string()),
        }
    }
}

impl From<RolloutError> for StageError {
    fn from(error: RolloutError) -> Self {
        match error {
            RolloutError::Stopped => StageError::Interrupted { saved_at: None },
            RolloutError::NotFinite { .. } => StageError::Diverged { message: error.to_string() },
            RolloutError::Tensor(error) => StageError::machine(error.to_string()),
            other => StageError::input(other.to_string()),
        }
    }
}
