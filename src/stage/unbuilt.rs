//! What this version checks and plans but cannot run: the last line of defence, in the worker.

use super::{StageError, catalogue};
use serde_json::Value;

/// Refuses arguments that this version cannot run. The program's check and `run` have refused them already; a stage
/// that got here must not compute something else instead.
///
/// # Errors
/// [`StageError::Input`] that names the first of them.
pub fn refuse(kind: &str, args: &Value) -> Result<(), StageError> {
    match catalogue().unbuilt(kind, args).into_iter().next() {
        Some(found) => Err(refused(found.what)),
        None => Ok(()),
    }
}

/// The error that names what cannot be run.
pub fn refused(what: &str) -> StageError {
    StageError::input(format!("this version checks and plans {what}, but cannot run it yet"))
}
