//! The one row type of data sets inside srlm, and its JSON Lines form.

use super::DataError;
use crate::base::{digest::Digest, fs::write_atomic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The name of the rows' file inside a data set artifact.
pub const DATA_FILE: &str = "data.jsonl";

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

impl Message {
    /// A turn of that role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Message { role: role.into(), content: content.into() }
    }

    /// A user's turn.
    pub fn user(content: impl Into<String>) -> Self {
        Message::new("user", content)
    }

    /// An assistant's turn.
    pub fn assistant(content: impl Into<String>) -> Self {
        Message::new("assistant", content)
    }
}

/// One row: a prompt, and where known the completion to train on and the gold answer to judge by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Names the item in every result that is paired by item; unique in its data set.
    pub id: String,
    /// The turns before the completion, the last of them the user's.
    pub messages: Vec<Message>,
    /// The worked solution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<String>,
    /// The gold final answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Anything else: level, sample index, reward.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, serde_json::Value>,
}

impl Row {
    /// A row of one user turn, named by its content.
    pub fn new(prompt: impl Into<String>, completion: Option<String>, answer: Option<String>) -> Self {
        let messages = vec![Message::user(prompt)];
        Row { id: content_id(&messages, answer.as_deref()), messages, completion, answer, meta: BTreeMap::new() }
    }

    /// The last user turn: what the row asks.
    pub fn question(&self) -> &str {
        self.messages.last().map_or("", |message| message.content.as_str())
    }

    /// The row with one more fact in `meta`.
    pub fn with_meta(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.meta.insert(name.to_string(), value.into());
        self
    }
}

/// A name for what has none: sixteen digits of the digest of prompt and answer, so that it survives reordering.
pub fn content_id(messages: &[Message], answer: Option<&str>) -> String {
    let turns: Vec<_> = messages.iter().map(|turn| [&turn.role, &turn.content]).collect();
    let digest = Digest::of("srlm row id v1", &serde_json::json!([turns, answer]));
    digest.to_string()[..16].to_string()
}

/// Makes ids unique: the second of a name becomes `name-2`, and so on.
pub fn make_ids_unique(rows: &mut [Row]) {
    let mut taken: std::collections::BTreeSet<String> = rows.iter().map(|row| row.id.clone()).collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        let count = seen.entry(row.id.clone()).or_insert(0);
        *count += 1;
        while *count > 1 && !taken.insert(format!("{}-{count}", row.id)) {
            *count += 1;
        }
        if *count > 1 {
            row.id = format!("{}-{count}", row.id);
        }
    }
}

/// The rows as JSON Lines, one a line, each line ended.
pub fn to_jsonl(rows: &[Row]) -> Result<String, DataError> {
    let mut text = String::new();
    for row in rows {
        let line = serde_json::to_string(row).map_err(|error| DataError::Rows(format!("row `{}`: {error}", row.id)))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// Writes the rows to `path`.
///
/// # Errors
/// [`DataError::Io`] with the path.
pub fn write_rows(path: &Path, rows: &[Row]) -> Result<(), DataError> {
    Ok(write_atomic(path, to_jsonl(rows)?.as_bytes())?)
}

/// Reads rows that [`write_rows`] wrote. An empty file is an empty data set.
///
/// # Errors
/// [`DataError::Malformed`] with file and line.
pub fn read_rows(path: &Path) -> Result<Vec<Row>, DataError> {
    let text = super::read_text(path)?;
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| DataError::Malformed {
            file: path.display().to_string(),
            line: index + 1,
            found: error.to_string(),
            expected: "a row with `id` and `messages` is expected".to_string(),
        })
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DATA_FILE);
        let rows = vec![
            Row::new("How many?\n", Some("Two.\u{2028}".into()), Some("2".into())).with_meta("level", 3),
            Row::new("Why?", None, None),
        ];
        write_rows(&path, &rows).unwrap();
        assert_eq!(read_rows(&path).unwrap(), rows);
    }

    #[test]
    fn a_broken_line_is_named_by_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DATA_FILE);
        std::fs::write(&path, "{\"id\":\"a\",\"messages\":[]}\n{\"id\":").unwrap();
        let message = read_rows(&path).unwrap_err().to_string();
        assert!(message.contains("data.jsonl:2:"), "{message}");
    }

    #[test]
    fn ids_follow_content_and_repeats_get_a_number() {
        let row = || Row::new("q", None, Some("1".into()));
        assert_eq!(row().id, row().id);
        assert_ne!(row().id, Row::new("q", None, Some("2".into())).id);
        let mut rows = vec![row(), row(), row()];
        rows[2].id = format!("{}-2", rows[0].id);
        make_ids_unique(&mut rows);
        let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| &row.id).collect();
        assert_eq!(ids.len(), 3, "{ids:?}");
    }
}
