//! Dataset artifacts: one `data.jsonl` of rows.

use super::{Metrics, StageContext, StageError};
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

/// Writes the rows as the stage's output, and gives the numbers for the record: rows that were read, and that are left.
///
/// # Errors
/// As [`write`].
pub fn finish(context: &StageContext, read: usize, rows: &[Row]) -> Result<Metrics, StageError> {
    write(context, rows)?;
    let metrics = [("rows_read", read as f64), ("rows", rows.len() as f64)];
    context.facts(metrics);
    Ok(Metrics::from(metrics.map(|(name, count)| (name.to_string(), count))))
}
