//! What a running stage is given, and how it can end.

use crate::base::digest::Digest;
use crate::base::event::StageEvent;
use crate::base::state::Places;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The files of an artifact: name inside the artifact to a path that can be read.
pub type Files = BTreeMap<String, PathBuf>;

/// A stage's final numbers, kept in its record.
pub type Metrics = BTreeMap<String, f64>;

/// An input that is a model behind a server: how it is reached, and where its answers are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Teacher {
    /// The arguments of the stage that declares it, as this run's file has them: some of them are no part of its key.
    pub args: serde_json::Value,
    /// A folder for what it answered. It outlives the stage, and all stages that ask this model share it.
    pub answers: PathBuf,
}

/// What a stage is given. It knows no store and no key: only its arguments and folders.
pub struct StageContext<'a> {
    /// Canonical arguments, defaults filled in.
    pub args: serde_json::Value,
    /// Role to the input artifact's files.
    pub inputs: BTreeMap<String, Files>,
    /// Paths named in the arguments, as written, to where they are on this machine.
    pub paths: BTreeMap<String, PathBuf>,
    /// The digests of what they hold, for which the stage's key stands.
    pub contents: BTreeMap<String, Digest>,
    /// Role to the model behind a server, for inputs that are one.
    pub teachers: BTreeMap<String, Teacher>,
    /// An empty folder: what is in it when the stage ends is its output.
    pub out: PathBuf,
    /// A name for a folder that the stage may make for itself: it goes with the attempt.
    pub work: PathBuf,
    /// Where programs that the stage starts leave what they say.
    pub log: PathBuf,
    /// Where a stage that trains keeps its states: they outlive a crash, and there are none at the first attempt.
    pub states: Option<Places>,
    /// Where a stage may keep what other stages would compute again, such as single completions; losing it costs time
    /// only.
    pub cache: Option<PathBuf>,
    /// Seconds between two saved states.
    pub checkpoint_seconds: f64,
    /// Takes what the stage says.
    pub events: &'a (dyn Fn(StageEvent) + Sync),
    /// Set when the stage should save a state and stop.
    pub stop: &'a AtomicBool,
}

/// How a stage can end without a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum StageError {
    /// The user's file, data or model is at fault: trying again gives the same.
    #[error("{message}")]
    Input {
        /// What is wrong, where, and what to do.
        message: String,
    },
    /// The numbers went wrong: a loss or gradient that is not finite, a parameter without gradient.
    #[error("{message}")]
    Diverged {
        /// Step, batch and what to do.
        message: String,
    },
    /// The machine is at fault: disk full, file unreadable, a defect of srlm.
    #[error("{message}")]
    Machine {
        /// What happened.
        message: String,
    },
    /// There was too little memory: the system killed the stage's process, or refused it some.
    #[error("{message}")]
    OutOfMemory {
        /// What happened, and which settings need less.
        message: String,
    },
    /// Somebody else ended the stage's process, as a cluster does that needs the machine.
    #[error("{message}")]
    Preempted {
        /// What happened.
        message: String,
    },
    /// The machine could not read or write, and may be able to in a while.
    #[error("{message}")]
    Io {
        /// What happened.
        message: String,
    },
    /// The stage was asked to stop.
    #[error("stopped on request")]
    Interrupted {
        /// The step of its newest saved state.
        saved_at: Option<u64>,
    },
}

impl StageError {
    /// The user's input is at fault.
    pub fn input(message: impl Into<String>) -> Self {
        StageError::Input { message: message.into() }
    }

    /// Whether only the machine is at fault, and no file needs a change.
    pub fn is_of_the_machine(&self) -> bool {
        use StageError::{Io, Machine, OutOfMemory, Preempted};
        matches!(self, Machine { .. } | OutOfMemory { .. } | Preempted { .. } | Io { .. })
    }

    /// The machine is at fault.
    pub fn machine(message: impl Into<String>) -> Self {
        StageError::Machine { message: message.into() }
    }
}

impl From<std::io::Error> for StageError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{NotFound, OutOfMemory, PermissionDenied, ReadOnlyFilesystem, StorageFull};
        let message = error.to_string();
        match error.kind() {
            OutOfMemory => StageError::OutOfMemory { message },
            // Waiting changes nothing about these.
            NotFound | PermissionDenied | ReadOnlyFilesystem | StorageFull => StageError::Machine { message },
            _ if error.raw_os_error().is_some() => StageError::Io { message },
            _ => StageError::Machine { message },
        }
    }
}

impl StageContext<'_> {
    /// Says something to whoever watches.
    pub fn say(&self, event: StageEvent) {
        (self.events)(event);
    }

    /// Says what is known before the work starts.
    pub fn facts<N: Into<String>>(&self, facts: impl IntoIterator<Item = (N, f64)>) {
        let facts = facts.into_iter().map(|(name, value)| (name.into(), value)).collect();
        self.say(StageEvent::Facts { facts });
    }

    /// Whether the stage was asked to stop.
    pub fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The files of the input with that role.
    ///
    /// # Errors
    /// [`StageError::Machine`] where the engine did not hand it in.
    pub fn input(&self, role: &str) -> Result<&Files, StageError> {
        self.inputs.get(role).ok_or_else(|| StageError::machine(format!("the input `{role}` was not handed in")))
    }

    /// One file of an input.
    ///
    /// # Errors
    /// [`StageError::Input`] where the artifact has no such file.
    pub fn input_file(&self, role: &str, name: &str) -> Result<&Path, StageError> {
        let files = self.input(role)?;
        files
            .get(name)
            .map(PathBuf::as_path)
            .ok_or_else(|| StageError::input(format!("the input `{role}` has no file `{name}`")))
    }

    /// Where a path of the arguments is on this machine.
    ///
    /// # Errors
    /// [`StageError::Machine`] where the engine did not hand it in.
    pub fn path(&self, written: &str) -> Result<&Path, StageError> {
        let path = self.paths.get(written);
        path.map(PathBuf::as_path).ok_or_else(|| StageError::machine(format!("the path `{written}` was not handed in")))
    }

    /// The arguments as the stage's own struct.
    ///
    /// # Errors
    /// [`StageError::Machine`]: the checker let something through that the stage cannot read.
    pub fn args<T: serde::de::DeserializeOwned>(&self) -> Result<T, StageError> {
        serde_json::from_value(self.args.clone())
            .map_err(|error| StageError::machine(format!("the stage cannot read its arguments: {error}")))
    }
}
