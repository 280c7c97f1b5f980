//! Chat templates: Jinja as transformers renders it.
//!
//! One difference is wanted: `strftime_now` gives a fixed day, because a prompt that changes with the date would
//! change results that carry the same key.

use super::DataError;
use super::row::Message;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value, context};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The day that templates take for today: the one that Llama's templates fall back to.
const TODAY: [(&str, &str); 10] = [
    ("%d", "26"),
    ("%m", "07"),
    ("%Y", "2024"),
    ("%y", "24"),
    ("%b", "Jul"),
    ("%B", "July"),
    ("%a", "Fri"),
    ("%A", "Friday"),
    ("%H", "00"),
    ("%M", "00"),
];

/// A compiled chat template with the special tokens it may name.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    special: BTreeMap<String, String>,
}

impl ChatTemplate {
    /// Compiles a template. `special` maps names such as `eos_token` to the tokens' texts.
    ///
    /// # Errors
    /// [`DataError::Template`] with the template's line.
    pub fn new(source: &str, special: BTreeMap<String, String>) -> Result<Self, DataError> {
        let mut environment = environment().map_err(|error| failed(&error))?;
        environment
            .add_template_owned("chat_template", without_generation_tags(source))
            .map_err(|error| failed(&error))?;
        Ok(ChatTemplate { environment: Arc::new(environment), special })
    }

    /// The conversation as text; with `add_generation_prompt` it ends where the assistant is to go on.
    ///
    /// # Errors
    /// [`DataError::Template`] where the template refuses the conversation.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, DataError> {
        let template = self.environment.get_template("chat_template").map_err(|error| failed(&error))?;
        let turn =
            |turn: &Message| Value::from_pairs([("role", turn.role.as_str()), ("content", turn.content.as_str())]);
        let messages: Vec<Value> = messages.iter().map(turn).collect();
        let special = Value::from_pairs(self.special.iter().map(|(name, token)| (name.as_str(), token.as_str())));
        let given = context! { messages, add_generation_prompt, tools => (), documents => () };
        template.render(context! { ..given, ..special }).map_err(|error| failed(&error))
    }
}

fn failed(error: &Error) -> DataError {
    let detail = error.detail().map_or_else(|| error.to_string(), str::to_string);
    let line = error.line().map(|line| format!(" (line {line} of the template)")).unwrap_or_default();
    DataError::Template(format!("the chat template cannot be rendered: {detail}{line}"))
}

/// The settings of transformers' `_compile_jinja_template`.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.build()?);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| {
        TODAY.iter().fold(format, |text, (code, value)| text.replace(code, value))
    });
    Ok(environment)
}

/// `{% generation %}` marks the assistant's part for transformers' masks and prints nothing.
fn without_generation_tags(source: &str) -> String {
    let mut text = source.to_string();
    for (open, close) in [("{%-", "-%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%", "%}")] {
        for (tag, plain) in [("generation", "if true"), ("endgeneration", "endif")] {
            text = text.replace(&format!("{open} {tag} {close}"), &format!("{open} {plain} {close}"));
        }
    }
    text
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`, which transformers puts in Jinja's place.
fn tojson(value: Value, options: Kwargs) -> Result<Value, Error> {
    let indent = options.get::<Option<usize>>("indent")?;
    options.assert_all_used()?;
    let mut text = String::new();
    write_json(&value, indent, 0, &mut text)?;
    Ok(Value::from_safe_string(text))
}

fn write_json(value: &Value, indent: Option<usize>, depth: usize, text: &mut String) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Map => {
            let write = |key: Value, text: &mut String| {
                text.push_str(&serde_json::Value::from(key.to_string()).to_string());
                text.push_str(": ");
                write_json(&value.get_item(&key)?, indent, depth + 1, text)
            };
            write_items(value.try_iter()?, ['{', '}'], indent, depth, text, write)
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let write = |item: Value, text: &mut String| write_json(&item, indent, depth + 1, text);
            write_items(value.try_iter()?, ['[', ']'], indent, depth, text, write)
        }
        ValueKind::None => {
            text.push_str("null");
            Ok(())
        }
        ValueKind::Bool | ValueKind::Number => {
            text.push_str(&value.to_string());
            Ok(())
        }
        ValueKind::String => {
            text.push_str(&serde_json::Value::from(value.to_string()).to_string());
            Ok(())
        }
        other => Err(Error::new(ErrorKind::InvalidOperation, format!("a value of the kind {other} has no JSON form"))),
    }
}

fn write_items(
    items: impl Iterator<Item = Value>,
    [open, close]: [char; 2],
    indent: Option<usize>,
    depth: usize,
    text: &mut String,
    mut write: impl FnMut(Value, &mut String) -> Result<(), Error>,
) -> Result<(), Error> {
    let line = |depth: usize| indent.map(|width| format!("\n{}", " ".repeat(width * depth)));
    text.push(open);
    let mut empty = true;
    for item in items {
        if !empty {
            text.push_str(if indent.is_some() { "," } else { ", " });
        }
        text.push_str(&line(depth + 1).unwrap_or_default());
        write(item, text)?;
        empty = false;
    }
    if !empty {
        text.push_str(&line(depth).unwrap_or_default());
    }
    text.push(close);
    Ok(())
}

#[cfg(test)]
#[path = "chat_tests.rs"]
mod tests;
