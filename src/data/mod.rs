//! Floor 2: rows, tokenizers, chat templates, and the order and packing in which examples reach a trainer.

pub mod arith;
pub mod boxed;
pub mod chat;
pub mod encode;
pub mod few_shot;
pub mod format;
pub mod mix;
pub mod order;
pub mod overlap;
pub mod pack;
mod parquet;
pub mod prepare;
pub mod read;
pub mod row;
pub mod subset;
pub mod template;
pub mod tokenizer;
pub mod train_tokenizer;

use std::path::Path;

/// What can be wrong with data, a tokenizer or a template.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file that cannot be read or written; the message names it.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A file whose content is not what its format says.
    #[error("{file}:{line}: found {found}, but {expected}")]
    Malformed {
        /// The file, as it was named.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What stands there.
        found: String,
        /// What should, as a clause: "the `gsm8k` format needs …".
        expected: String,
    },
    /// A file whose first row is none of the format asked for.
    #[error("{file}:{line}: found {found}, but {expected}{}", fitting(.fits))]
    WrongFormat {
        /// The file, as it was named.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
        /// The formats that can read the row.
        fits: Vec<&'static str>,
    },
    /// A file without a single row.
    #[error("{file}: the file holds no row: give a file with at least one")]
    Empty {
        /// The file, as it was named.
        file: String,
    },
    /// A tokenizer that is missing, broken or does not fit its model.
    #[error("{0}")]
    Tokenizer(String),
    /// A template that is missing or fails.
    #[error("{0}")]
    Template(String),
    /// Rows that cannot be made into examples.
    #[error("{0}")]
    Rows(String),
}

fn fitting(formats: &[&str]) -> String {
    if formats.is_empty() { String::new() } else { format!("; the row fits {}", formats.join(", ")) }
}

/// Reads a whole text file, its name in the error.
fn read_text(path: &Path) -> Result<String, DataError> {
    std::fs::read_to_string(path).map_err(|error| DataError::Io(crate::base::fs::at(path, error)))
}

/// The folder of real data sets beside the project, for the tests that try them; `None`, said, where it is absent.
#[cfg(test)]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn shared_data() -> Option<std::path::PathBuf> {
    let shared = std::env::var_os("SRLM_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), std::path::PathBuf::from);
    let data = shared.join("data");
    if !data.is_dir() {
        eprintln!("skipped: {} is not here (set SRLM_SHARED to its parent)", data.display());
        return None;
    }
    Some(data)
}
