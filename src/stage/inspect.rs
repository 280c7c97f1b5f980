//! What a stage's declared inputs hold, looked at before anything runs.

use crate::data::DataError;
use crate::data::format::Format;
use crate::data::read::for_each_row;
use crate::hub::Cache;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Characters of a prompt that an example shows.
const SHOWN: usize = 60;

/// What the arguments must name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file with rows.
    File,
    /// A folder with a model.
    ModelFolder,
}

/// Where declared inputs are.
pub struct Inputs<'a> {
    /// The place of a path of the arguments.
    pub locate: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// The Hub's files.
    pub cache: &'a Cache,
}

/// A prompt of a declared file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Equal for prompts with the same words, whatever their case, spaces and punctuation.
    pub key: u64,
    /// Where it stands.
    pub line: usize,
    /// Its beginning.
    pub text: String,
}

/// What is wrong with a declared file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Its content is broken.
    Malformed {
        /// What was seen, with file and line.
        message: String,
        /// What to do.
        help: String,
    },
    /// Its rows have another layout than was asked for.
    OtherFormat {
        /// What was seen, with file and line.
        message: String,
        /// What to do.
        help: String,
        /// The likeliest format.
        fits: Option<&'static str>,
    },
}

/// Reads files of rows; `name` is what messages call a file.
///
/// # Errors
/// The first [`Problem`].
pub fn prompts(files: &[(String, PathBuf)], format: &Format) -> Result<Vec<Prompt>, Problem> {
    let mut prompts = Vec::new();
    for (name, path) in files {
        read(path, format, &mut prompts).map_err(|error| problem(name, error))?;
    }
    Ok(prompts)
}

fn read(path: &Path, format: &Format, prompts: &mut Vec<Prompt>) -> Result<(), DataError> {
    for_each_row(path, format, &mut |line, row| {
        let question = row.question();
        prompts.push(Prompt { key: key(question), line, text: shortened(question) });
    })
}

fn problem(name: &str, error: DataError) -> Problem {
    match error {
        DataError::WrongFormat { line, found, expected, fits, .. } => {
            let help = match fits.as_slice() {
                [] => format!("{expected}; for any other layout write `format: columns(prompt: \"…\", answer: \"…\")`"),
                [first, ..] => format!("the row fits \"{first}\"; {expected}"),
            };
            Problem::OtherFormat { message: format!("{name}:{line} has {found}"), help, fits: fits.first().copied() }
        }
        DataError::Malformed { line, found, expected, .. } => {
            Problem::Malformed { message: format!("{name}:{line}: found {found}"), help: expected }
        }
        DataError::Empty { .. } => Problem::Malformed {
            message: format!("{name} holds no row"),
            help: "give a file with at least one row".to_string(),
        },
        other => Problem::Malformed {
            message: format!("{name} cannot be read: {other}"),
            help: "look at the file and its permissions".to_string(),
        },
    }
}

/// Letters and digits decide, in lower case, and where words begin.
fn key(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    for word in words {
        if word.is_ascii() {
            word.bytes().for_each(|byte| byte.to_ascii_lowercase().hash(&mut hasher));
        } else {
            word.to_lowercase().hash(&mut hasher);
        }
        0xffu8.hash(&mut hasher);
    }
    hasher.finish()
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_words_are_one_prompt() {
        assert_eq!(key("How many\n eggs?"), key(" how MANY eggs "));
        assert_eq!(key("Straße 7"), key("straße (7)"));
        assert_ne!(key("ab c"), key("a bc"));
        assert_ne!(key("3.5 eggs"), key("35 eggs"));
    }
}
