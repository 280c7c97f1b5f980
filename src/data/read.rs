//! Reading users' files: the formats of well-known data sets, told apart by their fields.

use super::DataError;
use super::row::{Message, Row, content_id, make_ids_unique};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The layout of a user's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Told by the fields of the first row.
    Auto,
    /// `question` and `answer`, the final answer after `####`, calculator annotations in `<<…>>`.
    Gsm8k,
    /// `problem`, `solution` and `answer`.
    Math,
    /// `Body`, `Question` and `Answer`: one JSON array, or JSON Lines.
    Svamp,
    /// `messages`; a last turn of the assistant is the completion.
    Chat,
    /// `prompt` and `completion`.
    PromptCompletion,
    /// srlm's own rows: `id` and `messages`, with `completion` and `answer` beside them.
    Rows,
}

/// Every format with the name users write and what its rows need.
pub const FORMATS: &[(Format, &str, &str)] = &[
    (Format::Auto, "auto", "the fields of a known format"),
    (Format::Gsm8k, "gsm8k", "texts `question` and `answer`, the final answer after `####`"),
    (Format::Math, "math", "texts `problem`, `solution` and `answer`"),
    (Format::Svamp, "svamp", "texts `Body` and `Question` and a number `Answer`"),
    (Format::Chat, "chat", "a list `messages` of turns with `role` and `content`"),
    (Format::PromptCompletion, "prompt_completion", "a text or list of turns `prompt` and a text `completion`"),
    (Format::Rows, "rows", "`id` and `messages`, as srlm writes them"),
];

impl Format {
    /// The format of that name.
    pub fn named(name: &str) -> Option<Format> {
        FORMATS.iter().find(|(_, known, _)| *known == name).map(|(format, _, _)| *format)
    }

    /// The name users write.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    fn entry(self) -> &'static (Format, &'static str, &'static str) {
        FORMATS.iter().find(|(format, _, _)| *format == self).unwrap_or(&FORMATS[0])
    }

    fn detect(fields: &Map<String, Value>) -> Option<Format> {
        let has = |names: &[&str]| names.iter().all(|name| fields.contains_key(*name));
        let order: [(&[&str], Format); 6] = [
            (&["id", "messages", "answer"], Format::Rows),
            (&["messages"], Format::Chat),
            (&["question", "answer"], Format::Gsm8k),
            (&["problem", "answer"], Format::Math),
            (&["Body", "Question", "Answer"], Format::Svamp),
            (&["prompt", "completion"], Format::PromptCompletion),
        ];
        order.into_iter().find(|(names, _)| has(names)).map(|(_, format)| format)
    }
}

/// Reads a user's file. A byte-order mark, CRLF line ends and blank lines are fine.
///
/// # Errors
/// [`DataError::Io`] for a file that cannot be read, [`DataError::Empty`] for one without rows, and
/// [`DataError::Malformed`] with file, line, what was found and what is expected.
pub fn read_file(path: &Path, format: Format) -> Result<Vec<Row>, DataError> {
    let bytes = std::fs::read(path).map_err(|error| crate::base::fs::at(path, error))?;
    let file = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        malformed(&file, line, "a byte that is not UTF-8", "the file must be UTF-8 text")
    })?;
    read_text(&file, &text, format)
}

/// Reads a user's text; `file` names it in errors.
///
/// # Errors
/// As [`read_file`].
pub fn read_text(file: &str, text: &str, format: Format) -> Result<Vec<Row>, DataError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let records = records(file, text)?;
    let Some((line, first)) = records.first() else { return Err(DataError::Empty { file: file.to_string() }) };
    let format = match format {
        Format::Auto => Format::detect(first).ok_or_else(|| unknown_fields(file, *line, first))?,
        named => named,
    };
    let to_row =
        |(line, fields): &Record| row(fields, format).map_err(|found| malformed(file, *line, &found, &needs(format)));
    let mut rows = records.iter().map(to_row).collect::<Result<Vec<_>, _>>()?;
    make_ids_unique(&mut rows);
    Ok(rows)
}

fn needs(format: Format) -> String {
    let (_, name, needs) = format.entry();
    format!("a row of the format `{name}` needs {needs}")
}

fn malformed(file: &str, line: usize, found: &str, expected: &str) -> DataError {
    DataError::Malformed { file: file.to_string(), line, found: found.to_string(), expected: expected.to_string() }
}

fn unknown_fields(file: &str, line: usize, fields: &Map<String, Value>) -> DataError {
    let names: Vec<_> = fields.keys().take(12).map(|name| format!("`{name}`")).collect();
    let known: Vec<_> = FORMATS[1..].iter().map(|(_, name, needs)| format!("{name}: {needs}")).collect();
    let found = format!("a row with the fields {}", names.join(", "));
    malformed(file, line, &found, &format!("no known format has these; known are: {}", known.join("; ")))
}

/// An object and the line it begins on.
type Record = (usize, Map<String, Value>);

/// The file's records with the line each begins on: an array, or one object a line.
fn records(file: &str, text: &str) -> Result<Vec<Record>, DataError> {
    if text.trim_start().starts_with('[') {
        return array_records(file, text);
    }
    let lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, line)| Ok((index + 1, object(file, index + 1, line)?))).collect()
}

fn object(file: &str, line: usize, text: &str) -> Result<Map<String, Value>, DataError> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let found = format!("`{}`, which is no JSON ({})", shortened(text.trim()), reason(&error));
        malformed(file, line, &found, "each line must be one JSON object")
    })?;
    as_object(value).map_err(|found| malformed(file, line, found, "each line must be one JSON object"))
}

/// The objects of a JSON array. Read one by one, because an error must name the line of its object.
fn array_records(file: &str, text: &str) -> Result<Vec<Record>, DataError> {
    let mut records = Vec::new();
    let mut rest = text.trim_start()[1..].trim_start();
    while !rest.starts_with(']') {
        let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let value = values.next().unwrap_or(Ok(Value::Null)).map_err(|error| {
            let found = format!("broken JSON ({})", reason(&error));
            malformed(file, line + error.line() - 1, &found, "a file that begins with `[` must be one JSON array")
        })?;
        rest = rest[values.byte_offset()..].trim_start();
        records.push((line, as_object(value).map_err(|found| malformed(file, line, found, "an object is expected"))?));
        match rest.strip_prefix(',') {
            Some(more) if !more.trim_start().starts_with(']') => rest = more.trim_start(),
            None if rest.starts_with(']') => {}
            _ => {
                return Err(malformed(
                    file,
                    line,
                    "no `,` or `]` after a row",
                    "the rows of an array are parted by `,`",
                ));
            }
        }
    }
    match rest[1..].trim() {
        "" => Ok(records),
        _ => Err(malformed(
            file,
            text.matches('\n').count() + 1,
            "text after the closing `]`",
            "the array must end the file",
        )),
    }
}

fn as_object(value: Value) -> Result<Map<String, Value>, &'static str> {
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

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// One row; the error is what was found.
fn row(fields: &Map<String, Value>, format: Format) -> Result<Row, String> {
    let (messages, completion, answer) = match format {
        Format::Gsm8k => gsm8k(fields)?,
        Format::Math => (
            vec![Message::user(text(fields, "problem")?)],
            optional(fields, "solution")?,
            Some(answer(fields, "answer")?),
        ),
        Format::Svamp => svamp(fields)?,
        Format::Chat | Format::Rows | Format::Auto => chat(fields)?,
        Format::PromptCompletion => (prompt(fields)?, Some(text(fields, "completion")?), optional(fields, "answer")?),
    };
    let id = given_id(fields).unwrap_or_else(|| content_id(&messages, answer.as_deref()));
    Ok(Row { id, messages, completion, answer, meta: meta(fields) })
}

type Parts = (Vec<Message>, Option<String>, Option<String>);

fn gsm8k(fields: &Map<String, Value>) -> Result<Parts, String> {
    let question = text(fields, "question")?;
    let solution = without_annotations(&text(fields, "answer")?);
    let Some((_, gold)) = solution.rsplit_once("####") else {
        return Err("an `answer` without `####`".to_string());
    };
    let gold = gold.trim().to_string();
    if gold.is_empty() {
        return Err("an `answer` with nothing after `####`".to_string());
    }
    Ok((vec![Message::user(question)], Some(solution), Some(gold)))
}

/// The text without GSM8K's calculator annotations, such as `<<48/2=24>>`.
pub fn without_annotations(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<<") {
        let Some((_, behind)) = after.split_once(">>") else { break };
        kept.push_str(before);
        rest = behind;
    }
    kept.push_str(rest);
    kept
}

fn svamp(fields: &Map<String, Value>) -> Result<Parts, String> {
    let body = text(fields, "Body")?;
    let body = body.trim();
    let stop = if body.ends_with(['.', '?', '!', ',']) { "" } else { "." };
    let prompt = format!("{body}{stop} {}", text(fields, "Question")?.trim());
    Ok((vec![Message::user(prompt)], None, Some(answer(fields, "Answer")?)))
}

fn chat(fields: &Map<String, Value>) -> Result<Parts, String> {
    let mut messages = turns(fields, "messages")?;
    let beside = optional(fields, "completion")?;
    let completion = match messages.pop_if(|turn| turn.role == "assistant" && beside.is_none()) {
        Some(turn) => Some(turn.content),
        None => beside,
    };
    ends_with_user(&messages)?;
    Ok((messages, completion, optional(fields, "answer")?))
}

fn prompt(fields: &Map<String, Value>) -> Result<Vec<Message>, String> {
    match fields.get("prompt") {
        Some(Value::Array(_)) => {
            let messages = turns(fields, "prompt")?;
            ends_with_user(&messages).map(|()| messages)
        }
        _ => Ok(vec![Message::user(text(fields, "prompt")?)]),
    }
}

fn turns(fields: &Map<String, Value>, name: &str) -> Result<Vec<Message>, String> {
    let Some(value) = fields.get(name) else { return Err(missing(fields, name)) };
    let messages: Vec<Message> = serde_json::from_value(value.clone())
        .map_err(|error| format!("a `{name}` that is no list of turns ({error})"))?;
    let known = ["system", "user", "assistant", "tool"];
    match messages.iter().find(|turn| !known.contains(&turn.role.as_str())) {
        Some(turn) => Err(format!("a turn of the role `{}`, not of {}", shortened(&turn.role), known.join(", "))),
        None => Ok(messages),
    }
}

fn ends_with_user(messages: &[Message]) -> Result<(), String> {
    match messages.last() {
        None => Err("no turn before the completion".to_string()),
        Some(turn) if turn.role == "user" || turn.role == "tool" => Ok(()),
        Some(turn) => Err(format!("a prompt that ends with a turn of the {}, not of the user", turn.role)),
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<String, String> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!("a `{name}` that is {}, not a text", kind_of(other))),
        None => Err(missing(fields, name)),
    }
}

fn optional(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number_text(number))),
        Some(_) => text(fields, name).map(Some),
    }
}

fn answer(fields: &Map<String, Value>, name: &str) -> Result<String, String> {
    optional(fields, name)?.ok_or_else(|| missing(fields, name))
}

/// A number as people write it: 51.0 is "51".
fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.0}"),
        _ => number.to_string(),
    }
}

fn missing(fields: &Map<String, Value>, name: &str) -> String {
    let names: Vec<_> = fields.keys().take(12).map(|name| format!("`{}`", shortened(name))).collect();
    match names.is_empty() {
        true => format!("no `{name}`: the object is empty"),
        false => format!("no `{name}`, only {}", names.join(", ")),
    }
}

fn given_id(fields: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(id)) if !id.is_empty() => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    };
    ["id", "unique_id", "ID"].into_iter().find_map(text)
}

/// Short facts that results can be broken down by.
fn meta(fields: &Map<String, Value>) -> BTreeMap<String, Value> {
    let mut meta: BTreeMap<String, Value> = match fields.get("meta") {
        Some(Value::Object(given)) => given.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        _ => BTreeMap::new(),
    };
    for name in ["level", "subject", "Type"] {
        if let Some(value @ (Value::String(_) | Value::Number(_))) = fields.get(name) {
            meta.insert(name.to_lowercase(), value.clone());
        }
    }
    meta
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
