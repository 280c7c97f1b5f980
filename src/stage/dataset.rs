//! Dataset artifacts: one `data.jsonl` of rows.

use super::{StageContext, StageError};
use crate::data::row::{DATA_FILE, Row, read_rows, write_rows};

/// The rows of the input with that role.
///
/// # Errors
/// [`StageError::Input`] where the artifact is no dataset.
pub fn read(context: &StageContext, role: &str) -> Result<Vec<Row>, StageError> {
    Ok(read_rows(context.input_file(role, DATA_FILE)?)?)
}

/// Writes the rows as the stage's output.
///
/// # Errors
/// [`StageError::Machine`] where the disk refuses.
pub fn write(context: &StageContext, rows: &[Row]) -> Result<(), StageError> {
    Ok(write_rows(&context.out.join(DATA_FILE), rows)?)
}
