//! Parquet files as records, row by row.

use super::DataError;
use super::format::Fields;
use super::read::malformed;
use crate::base::contained::contained;
use crate::base::fs::at;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Row;
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// What the first and last four bytes of a parquet file are.
const MAGIC: &[u8; 4] = b"PAR1";

/// Whether a file is parquet, by its first bytes or its name; the file stands at its start afterwards.
pub(super) fn is_parquet(mut file: &File, path: &Path) -> Result<bool, DataError> {
    let mut start = [0; 4];
    let read = file.read(&mut start).map_err(|error| at(path, error))?;
    file.seek(SeekFrom::Start(0)).map_err(|error| at(path, error))?;
    Ok(start[..read] == MAGIC[..] || path.extension().is_some_and(|extension| extension == "parquet"))
}

/// Hands every record with its number, from 1, to `visit`.
pub(super) fn for_each_record(
    name: &str,
    file: File,
    visit: &mut dyn FnMut(usize, &Fields) -> Result<(), DataError>,
) -> Result<(), DataError> {
    // The library takes a file's sizes and offsets at their word in places, and panics where they lie.
    contained(|| read(name, file, visit)).unwrap_or_else(|panic| Err(broken(name, 1, panic)))
}

fn read(
    name: &str,
    file: File,
    visit: &mut dyn FnMut(usize, &Fields) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let reader = SerializedFileReader::new(file).map_err(|error| broken(name, 1, error))?;
    let rows = reader.get_row_iter(None).map_err(|error| broken(name, 1, error))?;
    for (index, row) in rows.enumerate() {
        let row = row.map_err(|error| broken(name, index + 1, error))?;
        visit(index + 1, &record(&row))?;
    }
    Ok(())
}

fn broken(name: &str, line: usize, error: impl Display) -> DataError {
    malformed(name, line, &format!("broken parquet ({error})"), "the file must be whole: download or write it again")
}

fn record(row: &Row) -> Fields {
    row.get_column_iter().map(|(name, field)| (name.clone(), field.to_json_value())).collect()
}
