//! `srlm explain`: what a code means, with a wrong example and the right one.

use super::exit;
use super::output::Output;
use crate::diag::codes::{self, CODES, Code};
use crate::diag::examples::{self, Example};
use crate::driver::{Failure, nearest};
use serde_json::json;

/// Prints the entry of a code, or the list of all.
pub fn explain(code: Option<&str>, output: Output) -> Result<u8, Failure> {
    let Some(wanted) = code else {
        list(output);
        return Ok(exit::OK);
    };
    let Some(entry) = codes::explain(wanted) else {
        let known = CODES.iter().map(|entry| entry.code);
        let similar = nearest(&wanted.to_uppercase(), known).map(|code| format!("; did you mean {code}?"));
        let list = similar.unwrap_or_else(|| ": `srlm explain` lists them all".to_string());
        return Err(Failure::Input(format!("there is no code `{wanted}`{list}")));
    };
    let example = examples::of(entry.code);
    if output.json {
        output.json_line(&object(entry, example.as_ref()));
    } else {
        output.result(&page(entry, example.as_ref()));
    }
    Ok(exit::OK)
}

fn list(output: Output) {
    if output.json {
        CODES.iter().for_each(|entry| output.json_line(&json!({ "code": entry.code, "title": entry.title })));
        return;
    }
    let lines = CODES.iter().map(|entry| format!("{}  {}\n", entry.code, entry.title));
    output.result(&lines.collect::<String>());
}

fn object(entry: &Code, example: Option<&Example>) -> serde_json::Value {
    let more = example.map_or("", |example| example.prose);
    let explanation = format!("{}\n\n{more}", entry.explanation);
    json!({
        "code": entry.code,
        "title": entry.title,
        "explanation": explanation.trim(),
        "wrong": example.and_then(|example| example.wrong),
        "right": example.and_then(|example| example.right),
    })
}

fn page(entry: &Code, example: Option<&Example>) -> String {
    let mut page = format!("{}: {}\n\n{}\n", entry.code, entry.title, wrapped(entry.explanation));
    if let Some(Example { prose, wrong, right, params, .. }) = example {
        page += &format!("\n{}\n", wrapped(prose));
        let set = if params.is_empty() { String::new() } else { format!(", with {params}") };
        let shown = [(format!("Wrong{set}"), wrong), ("Right".to_string(), right)];
        for (title, text) in shown.iter().filter_map(|(title, text)| Some((title, text.as_ref()?))) {
            let indented: String =
                text.lines().map(|line| format!("    {line}").trim_end().to_string() + "\n").collect();
            page += &format!("\n{title}:\n\n{indented}");
        }
    }
    page
}

/// Paragraphs in lines of at most 80 characters.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut length = 0;
    for paragraph in text.trim().split("\n\n") {
        if length > 0 {
            out.push_str("\n\n");
            length = 0;
        }
        for word in paragraph.split_whitespace() {
            let width = word.chars().count();
            match length {
                0 => {}
                _ if length + 1 + width > 80 => {
                    out.push('\n');
                    length = 0;
                }
                _ => {
                    out.push(' ');
                    length += 1;
                }
            }
            out.push_str(word);
            length += width;
        }
    }
    out
}
