//! Reading users' files: JSON Lines, JSON arrays and parquet, each error with file and line.

use super::DataError;
use super::format::{FORMATS, Fields, Format, kind_of, shortened};
use super::parquet;
use super::row::{Row, make_ids_unique};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Reads a user's file. A byte-order mark, CRLF line ends and blank lines are fine.
///
/// # Errors
/// [`DataError::Io`] for a file that cannot be read, [`DataError::Empty`] for one without rows,
/// [`DataError::WrongFormat`] where the first row is none of the format, and [`DataError::Malformed`] with file, line,
/// what was found and what is expected.
pub fn read_file(path: &Path, format: &Format) -> Result<Vec<Row>, DataError> {
    let mut rows = Vec::new();
    for_each_row(path, format, &mut |_, row| rows.push(row))?;
    make_ids_unique(&mut rows);
    Ok(rows)
}

/// Hands every row of a user's file with its line to `visit`, in order, ids as they stand there. JSON Lines and parquet are read
/// piece by piece.
///
/// # Errors
/// As [`read_file`].
pub fn for_each_row(path: &Path, format: &Format, visit: &mut dyn FnMut(usize, Row)) -> Result<(), DataError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| crate::base::fs::at(path, error))?;
    let mut reader = RowReader::new(&name, format, visit);
    if parquet::is_parquet(&file, path)? {
        parquet::for_each_record(&name, file, &mut |line, fields| reader.record(line, fields))?;
    } else {
        let text = BufReader::with_capacity(1 << 16, file);
        for_each_json(&name, text, &mut |line, fields| reader.record(line, fields))?;
    }
    reader.end()
}

/// Turns records into rows, by the format asked for or told by the first record.
struct RowReader<'a> {
    file: &'a str,
    format: Format,
    started: bool,
    visit: &'a mut dyn FnMut(usize, Row),
}

impl<'a> RowReader<'a> {
    fn new(file: &'a str, format: &Format, visit: &'a mut dyn FnMut(usize, Row)) -> Self {
        RowReader { file, format: format.clone(), started: false, visit }
    }

    fn record(&mut self, line: usize, fields: &Fields) -> Result<(), DataError> {
        let first = !std::mem::replace(&mut self.started, true);
        if first && self.format == Format::Auto {
            self.format = Format::detect(fields).ok_or_else(|| unknown_fields(self.file, line, fields))?;
        }
        match self.format.row(fields) {
            Ok(row) => (self.visit)(line, row),
            Err(found) if first => return Err(self.wrong_format(line, found, fields)),
            Err(found) => return Err(malformed(self.file, line, &found, &self.format.needs())),
        }
        Ok(())
    }

    fn wrong_format(&self, line: usize, found: String, fields: &Fields) -> DataError {
        let (file, expected, fits) = (self.file.to_string(), self.format.needs(), Format::fitting(fields));
        DataError::WrongFormat { file, line, found, expected, fits }
    }

    fn end(self) -> Result<(), DataError> {
        if self.started { Ok(()) } else { Err(DataError::Empty { file: self.file.to_string() }) }
    }
}

/// Takes a record and the line it begins on.
type Visit<'a> = dyn FnMut(usize, &Fields) -> Result<(), DataError> + 'a;

/// The records of a JSON array, or of one object a line.
fn for_each_json(file: &str, mut text: impl BufRead, visit: &mut Visit) -> Result<(), DataError> {
    let io = |error| DataError::Io(crate::base::fs::at(Path::new(file), error));
    let (mut line, mut bytes) = (0, Vec::new());
    while text.read_until(b'\n', &mut bytes).map_err(io)? > 0 {
        line += 1;
        let start = if line == 1 && bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        if bytes[start..].trim_ascii_start().starts_with(b"[") {
            text.read_to_end(&mut bytes).map_err(io)?;
            return for_each_item(file, line, utf8(file, line, &bytes[start..])?, visit);
        }
        let text = utf8(file, line, &bytes[start..])?;
        if !text.trim().is_empty() {
            visit(line, &object(file, line, text)?)?;
        }
        bytes.clear();
    }
    Ok(())
}

/// The text of bytes that begin on `line`.
fn utf8<'t>(file: &str, line: usize, bytes: &'t [u8]) -> Result<&'t str, DataError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = line + before.iter().filter(|&&byte| byte == b'\n').count();
        malformed(file, line, "a byte that is not UTF-8", "the file must be UTF-8 text")
    })
}

/// An error at a line.
pub(super) fn malformed(file: &str, line: usize, found: &str, expected: &str) -> DataError {
    DataError::Malformed { file: file.to_string(), line, found: found.to_string(), expected: expected.to_string() }
}

fn unknown_fields(file: &str, line: usize, fields: &Fields) -> DataError {
    let names: Vec<_> = fields.keys().take(12).map(|name| format!("`{}`", shortened(name))).collect();
    let found = if names.is_empty() { "no fields".to_string() } else { format!("the fields {}", names.join(", ")) };
    let known: Vec<_> = FORMATS[1..].iter().map(|(_, name, _)| *name).collect();
    let expected = format!("no known format has these; known are {}", known.join(", "));
    DataError::WrongFormat { file: file.to_string(), line, found, expected, fits: Vec::new() }
}

fn object(file: &str, line: usize, text: &str) -> Result<Fields, DataError> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let found = format!("`{}`, which is no JSON ({})", shortened(text.trim()), reason(&error));
        malformed(file, line, &found, "each line must be one JSON object")
    })?;
    as_object(value).map_err(|found| malformed(file, line, found, "each line must be one JSON object"))
}

/// The objects of a JSON array that begins on line `first`. Read one by one, because an error must name the line of
/// its object.
fn for_each_item(file: &str, first: usize, text: &str, visit: &mut Visit) -> Result<(), DataError> {
    let line_at = |rest: &str| first + text[..text.len() - rest.len()].matches('\n').count();
    let mut rest = text.trim_start()[1..].trim_start();
    // Lines are counted on from the last object: counted anew for each, they would cost the square of the file.
    let mut line = line_at(rest);
    while !rest.starts_with(']') {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let value = values.next().unwrap_or(Ok(Value::Null)).map_err(|error| {
            let found = format!("broken JSON ({})", reason(&error));
            malformed(file, line + error.line() - 1, &found, "a file that begins with `[` must be one JSON array")
        })?;
        let behind = rest[values.byte_offset()..].trim_start();
        visit(line, &as_object(value).map_err(|found| malformed(file, line, found, "an object is expected"))?)?;
        let next = match behind.strip_prefix(',').map(str::trim_start) {
            Some(more) if !more.starts_with(']') => more,
            None if behind.starts_with(']') => behind,
            _ => {
                let expected = "the rows of an array are parted by `,`";
                return Err(malformed(file, line, "no `,` or `]` after a row", expected));
            }
        };
        line += rest[..rest.len() - next.len()].matches('\n').count();
        rest = next;
    }
    match rest[1..].trim() {
        "" => Ok(()),
        _ => {
            let end = first + text.matches('\n').count();
            Err(malformed(file, end, "text after the closing `]`", "the array must end the file"))
        }
    }
}

fn as_object(value: Value) -> Result<Fields, &'static str> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(kind_of(&other)),
    }
}

/// The parser's reason without its position, which is that of the line's own text.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_string()
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
