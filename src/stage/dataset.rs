//! Dataset artifacts: one `data.jsonl` of rows.

use super::{Metrics, StageContext, StageError};
use crate::data::format::Format;
use crate::data::read::for_each_row;
use crate::data::row::{DATA_FILE, Row, make_ids_unique, read_rows, write_rows};
use std::path::Path;

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

/// Reads files of the user's, one after the other, and writes their rows as the stage's output.
///
/// # Errors
/// [`StageError::Input`] where a file is not what the format says.
pub fn import(context: &StageContext, files: &[impl AsRef<Path>], format: &Format) -> Result<Metrics, StageError> {
    let mut rows = Vec::new();
    for path in files {
        let path = path.as_ref();
        if path.is_dir() {
            return Err(StageError::input(format!("{} is a folder, not a file with rows", path.display())));
        }
        for_each_row(path, format, &mut |_, row| rows.push(row))?;
    }
    make_ids_unique(&mut rows);
    let answers = rows.iter().filter(|row| row.answer.is_some()).count();
    let completions = rows.iter().filter(|row| row.completion.is_some()).count();
    write(context, &rows)?;
    Ok(Metrics::from([
        ("rows".to_string(), rows.len() as f64),
        ("answers".to_string(), answers as f64),
        ("completions".to_string(), completions as f64),
    ]))
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
