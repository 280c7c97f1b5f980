//! The layouts of well-known data sets: how a record of each becomes a prompt, a worked solution and a gold answer.

use super::boxed::boxes;
use super::row::{Message, Row, content_id};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A record of a user's file.
pub type Fields = Map<String, Value>;

/// The layout of a user's file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Told by the fields of the first row.
    Auto,
    /// `question` and `answer`, the final answer after `####`, calculator annotations in `<<…>>`.
    Gsm8k,
    /// `problem` and `answer`, or the answer boxed in `solution`.
    Math,
    /// `Body`, `Question` and `Answer`: one JSON array, or JSON Lines.
    Svamp,
    /// `problem` or `question`, the answer beside it or boxed in `solution`.
    Minerva,
    /// `question` and `final_answer`, a text or a list.
    Olympiad,
    /// `question` or `problem`, and `answer`.
    Amc23,
    /// `problem` and `answer`, or the answer boxed in `solution`.
    Aime24,
    /// `messages`; a last turn of the assistant is the completion.
    Chat,
    /// `prompt` and `completion`.
    PromptCompletion,
    /// srlm's own rows: `id` and `messages`, with `completion` and `answer` beside them.
    Rows,
    /// Fields that the user names.
    Columns(Columns),
}

/// Which field of a record is what.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Columns {
    /// The field that holds the prompt: a text, or a list of turns.
    pub prompt: String,
    /// The field that holds the worked solution.
    pub completion: Option<String>,
    /// The field that holds the gold answer.
    pub answer: Option<String>,
}

/// Every named format with the name users write and what its rows need.
pub const FORMATS: &[(Format, &str, &str)] = &[
    (Format::Auto, "auto", "the fields of a known format"),
    (Format::Gsm8k, "gsm8k", "texts `question` and `answer`, the final answer after `####`"),
    (Format::Math, "math", "a text `problem`, and `answer` or a boxed answer in `solution`"),
    (Format::Svamp, "svamp", "texts `Body` and `Question` and a number `Answer`"),
    (Format::Minerva, "minerva", "a text `problem` or `question`, and `answer` or a boxed answer in `solution`"),
    (Format::Olympiad, "olympiad", "a text `question` or `problem`, and `final_answer` or `answer`"),
    (Format::Amc23, "amc23", "a text `question` or `problem`, and `answer`"),
    (Format::Aime24, "aime24", "a text `problem` or `question`, and `answer` or a boxed answer in `solution`"),
    (Format::Chat, "chat", "a list `messages` of turns with `role` and `content`"),
    (Format::PromptCompletion, "prompt_completion", "a text or list of turns `prompt` and a text `completion`"),
    (Format::Rows, "rows", "`id` and `messages`, as srlm writes them"),
];

impl Format {
    /// The format of that name.
    pub fn named(name: &str) -> Option<Format> {
        FORMATS.iter().find(|(_, known, _)| *known == name).map(|(format, _, _)| format.clone())
    }

    /// The name users write.
    pub fn name(&self) -> &'static str {
        self.entry().map_or("columns", |(_, name, _)| name)
    }

    /// What a row of this format needs, as a clause.
    pub fn needs(&self) -> String {
        match (self, self.entry()) {
            (Format::Columns(columns), _) => columns.needs(),
            (_, Some((_, name, needs))) => format!("a row of the format `{name}` needs {needs}"),
            (_, None) => "a row of a known format is needed".to_string(),
        }
    }

    fn entry(&self) -> Option<&'static (Format, &'static str, &'static str)> {
        FORMATS.iter().find(|(format, _, _)| format == self)
    }

    /// The format whose fields a record has.
    pub fn detect(fields: &Fields) -> Option<Format> {
        let has = |names: &[&str]| names.iter().all(|name| fields.contains_key(*name));
        let hashes = || fields.get("answer").and_then(Value::as_str).is_some_and(|answer| answer.contains("####"));
        let order: [(bool, Format); 9] = [
            (has(&["id", "messages", "answer"]), Format::Rows),
            (has(&["messages"]), Format::Chat),
            (has(&["question", "answer"]) && hashes(), Format::Gsm8k),
            (has(&["problem", "answer"]) || has(&["problem", "solution"]), Format::Math),
            (has(&["Body", "Question", "Answer"]), Format::Svamp),
            (has(&["prompt", "completion"]), Format::PromptCompletion),
            (has(&["question", "final_answer"]), Format::Olympiad),
            (has(&["question", "answer"]), Format::Amc23),
            (has(&["question", "solution"]), Format::Minerva),
        ];
        order.into_iter().find(|(fits, _)| *fits).map(|(_, format)| format)
    }

    /// The names of the formats that can read a record, the likeliest first.
    pub fn fitting(fields: &Fields) -> Vec<&'static str> {
        let likeliest = Format::detect(fields).filter(|format| format.row(fields).is_ok()).map(|format| format.name());
        let readable = FORMATS[1..].iter().filter(|(format, _, _)| format.row(fields).is_ok());
        let others = readable.map(|(_, name, _)| *name).filter(|name| Some(*name) != likeliest);
        likeliest.into_iter().chain(others).collect()
    }

    /// The row that a record makes.
    ///
    /// # Errors
    /// What was found instead, as in "no `answer`, only `question`".
    pub fn row(&self, fields: &Fields) -> Result<Row, String> {
        let (messages, completion, answer) = self.parts(fields)?;
        let id = given_id(fields).unwrap_or_else(|| content_id(&messages, answer.as_deref()));
        Ok(Row { id, messages, completion, answer, meta: meta(fields) })
    }

    fn parts(&self, fields: &Fields) -> Result<Parts, String> {
        match self {
            Format::Gsm8k => gsm8k(fields),
            Format::Math => problem(fields, &["problem"], &["answer"], Some("solution")),
            Format::Minerva | Format::Aime24 => {
                problem(fields, &["problem", "question"], &["answer"], Some("solution"))
            }
            Format::Amc23 => problem(fields, &["question", "problem"], &["answer"], None),
            Format::Olympiad => problem(fields, &["question", "problem"], &["final_answer", "answer"], None),
            Format::Svamp => svamp(fields),
            Format::Chat | Format::Rows | Format::Auto => chat(fields),
            Format::PromptCompletion => {
                Ok((prompt(fields, "prompt")?, Some(text(fields, "completion")?), optional(fields, "answer")?))
            }
            Format::Columns(columns) => columns.parts(fields),
        }
    }
}

impl Columns {
    fn needs(&self) -> String {
        let named = [Some(&self.prompt), self.completion.as_ref(), self.answer.as_ref()];
        let named: Vec<String> = named.into_iter().flatten().map(|name| format!("`{name}`")).collect();
        format!("`columns` names the fields {}", named.join(", "))
    }

    fn parts(&self, fields: &Fields) -> Result<Parts, String> {
        let beside = |name: &Option<String>| name.as_ref().map(|name| answer(fields, name)).transpose();
        Ok((prompt(fields, &self.prompt)?, beside(&self.completion)?, beside(&self.answer)?))
    }
}

type Parts = (Vec<Message>, Option<String>, Option<String>);

/// A competition problem: its text, its solution where there is one, and its answer, told apart or boxed at the end of
/// the field `boxed`.
fn problem(
    fields: &Fields,
    prompts: &[&'static str],
    answers: &[&'static str],
    boxed: Option<&'static str>,
) -> Result<Parts, String> {
    let present = |names: &[&'static str]| names.iter().copied().find(|name| fields.contains_key(*name));
    let question = text(fields, present(prompts).unwrap_or(prompts[0]))?;
    let gold = match (present(answers), boxed) {
        (None, Some(name)) if fields.contains_key(name) => {
            last_boxed(&answer(fields, name)?).ok_or_else(|| format!("a `{name}` without a boxed answer"))?
        }
        (found, _) => answer(fields, found.unwrap_or(answers[0]))?,
    };
    Ok((vec![Message::user(question)], optional(fields, "solution")?, Some(gold)))
}

fn last_boxed(text: &str) -> Option<String> {
    let last = boxes(text).spans.pop()?;
    Some(text[last].trim().to_string()).filter(|answer| !answer.is_empty())
}

fn gsm8k(fields: &Fields) -> Result<Parts, String> {
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

fn svamp(fields: &Fields) -> Result<Parts, String> {
    let body = text(fields, "Body")?;
    let body = body.trim();
    let stop = if body.ends_with(['.', '?', '!', ',']) { "" } else { "." };
    let prompt = format!("{body}{stop} {}", text(fields, "Question")?.trim());
    Ok((vec![Message::user(prompt)], None, Some(answer(fields, "Answer")?)))
}

fn chat(fields: &Fields) -> Result<Parts, String> {
    let mut messages = turns(fields, "messages")?;
    let beside = optional(fields, "completion")?;
    let completion = match messages.pop_if(|turn| turn.role == "assistant" && beside.is_none()) {
        Some(turn) => Some(turn.content),
        None => beside,
    };
    ends_with_user(&messages)?;
    Ok((messages, completion, optional(fields, "answer")?))
}

fn prompt(fields: &Fields, name: &str) -> Result<Vec<Message>, String> {
    match fields.get(name) {
        Some(Value::Array(_)) => {
            let messages = turns(fields, name)?;
            ends_with_user(&messages).map(|()| messages)
        }
        _ => Ok(vec![Message::user(text(fields, name)?)]),
    }
}

fn turns(fields: &Fields, name: &str) -> Result<Vec<Message>, String> {
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

fn text(fields: &Fields, name: &str) -> Result<String, String> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!("a `{name}` that is {}, not a text", kind_of(other))),
        None => Err(missing(fields, name)),
    }
}

fn optional(fields: &Fields, name: &str) -> Result<Option<String>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number_text(number))),
        Some(Value::Array(items)) => listed(name, items).map(Some),
        Some(_) => text(fields, name).map(Some),
    }
}

/// Several answers, or several solutions, as one text.
fn listed(name: &str, items: &[Value]) -> Result<String, String> {
    let one = |item: &Value| match item {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number_text(number)),
        other => Err(format!("a `{name}` that lists {}", kind_of(other))),
    };
    Ok(items.iter().map(one).collect::<Result<Vec<_>, _>>()?.join(", "))
}

fn answer(fields: &Fields, name: &str) -> Result<String, String> {
    optional(fields, name)?.ok_or_else(|| missing(fields, name))
}

/// A number as people write it: 51.0 is "51".
fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.0}"),
        _ => number.to_string(),
    }
}

fn missing(fields: &Fields, name: &str) -> String {
    let names: Vec<_> = fields.keys().take(12).map(|name| format!("`{}`", shortened(name))).collect();
    match names.is_empty() {
        true => format!("no `{name}`: the object is empty"),
        false => format!("no `{name}`, only {}", names.join(", ")),
    }
}

fn given_id(fields: &Fields) -> Option<String> {
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(id)) if !id.is_empty() => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    };
    ["id", "unique_id", "ID"].into_iter().find_map(text)
}

/// Short facts that results can be broken down by.
fn meta(fields: &Fields) -> BTreeMap<String, Value> {
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

/// The first sixty characters.
pub fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// What a value is, in words.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
