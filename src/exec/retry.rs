//! What is tried again: a stage that the machine ended, and never one whose input or numbers are at fault.

use crate::stage::StageError;
use std::time::Duration;

/// The longest pause before a further try.
const LONGEST: Duration = Duration::from_secs(300);

/// Why a stage is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its process was killed, or was refused memory.
    OutOfMemory,
    /// Somebody else asked its process to end.
    Preempted,
    /// The machine could not read or write.
    Io,
}

impl Cause {
    /// The word in events.
    pub fn word(self) -> &'static str {
        match self {
            Cause::OutOfMemory => "out_of_memory",
            Cause::Preempted => "preempted",
            Cause::Io => "io",
        }
    }

    /// Why a stage that ended so would be tried again; `asked` tells whether this run asked it to stop.
    pub fn of(error: &StageError, asked: bool) -> Option<Cause> {
        match error {
            _ if asked => None,
            StageError::OutOfMemory { .. } => Some(Cause::OutOfMemory),
            StageError::Preempted { .. } | StageError::Interrupted { .. } => Some(Cause::Preempted),
            StageError::Io { .. } => Some(Cause::Io),
            StageError::Input { .. } | StageError::Diverged { .. } | StageError::Machine { .. } => None,
        }
    }
}

/// How long to wait before the try after so many: each waits four times as long as the one before.
pub fn pause(first: Duration, tries: usize) -> Duration {
    let factor = 4_u32.saturating_pow(u32::try_from(tries).unwrap_or(u32::MAX));
    first.saturating_mul(factor).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_machine_did_is_tried_again() {
        let message = String::new;
        let causes = [
            (StageError::OutOfMemory { message: message() }, Some(Cause::OutOfMemory)),
            (StageError::Preempted { message: message() }, Some(Cause::Preempted)),
            (StageError::Interrupted { saved_at: Some(3) }, Some(Cause::Preempted)),
            (StageError::Io { message: message() }, Some(Cause::Io)),
            (StageError::input("a"), None),
            (StageError::Diverged { message: message() }, None),
            (StageError::machine("a"), None),
        ];
        for (error, cause) in causes {
            assert_eq!(Cause::of(&error, false), cause, "{error:?}");
            assert_eq!(Cause::of(&error, true), None);
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let second = Duration::from_secs(1);
        assert_eq!([0, 1, 2].map(|tries| pause(second, tries).as_secs()), [1, 4, 16]);
        assert_eq!(pause(second, 40), LONGEST);
    }
}
