//! Pages as Markdown: one alone, or chapters of them as a book.

use super::prose::{Piece, pieces};
use super::{Chapter, Field, List, Page};

/// One page under a heading of its own.
pub fn markdown(page: &Page) -> String {
    let mut text = String::new();
    let fields = if page.class == "field" { &[] } else { page.fields.as_slice() };
    write(&mut text, page, fields, 1, "");
    text
}

/// A book: its title, what it opens with, and its chapters.
pub fn book(title: &str, doc: &str, chapters: &[Chapter]) -> String {
    let mut text = format!("# {title}\n\n{}", paragraphs(doc));
    for chapter in chapters {
        text += &format!("\n## {}\n", chapter.title);
        text += &spaced(&paragraphs(&chapter.doc));
        for page in &chapter.pages {
            let shared = chapter.shared.as_ref().filter(|shared| page.fields.ends_with(&shared.fields));
            let own = shared.map_or(0, |shared| shared.fields.len());
            let own = &page.fields[..page.fields.len() - own];
            let more = shared.map(|shared| format!("And the [{}](#{}).", shared.title, anchor(&shared.title)));
            text.push('\n');
            write(&mut text, page, own, 3, &more.unwrap_or_default());
        }
        if let Some(shared) = &chapter.shared {
            text += &format!("\n### {}\n\n", capital(&shared.title));
            table(&mut text, &shared.fields);
        }
    }
    text
}

fn write(text: &mut String, page: &Page, fields: &[Field], level: usize, more: &str) {
    *text += &format!("{} {}\n\n", "#".repeat(level), page.name);
    if !page.signature.is_empty() {
        *text += &format!("`{}`\n\n", page.signature);
    }
    if let Some(what) = &page.unbuilt {
        *text += &format!("**This version cannot run it yet: {what}.**\n\n");
    }
    *text += &paragraphs(&page.doc);
    if let Some(code) = &page.code {
        *text += &format!("\n```text\n{}\n```\n", code.trim_end());
    }
    if !page.facts.is_empty() {
        text.push('\n');
        page.facts.iter().for_each(|fact| *text += &format!("- {}: {}\n", fact.name, fact.text));
    }
    if !fields.is_empty() {
        text.push('\n');
        table(text, fields);
    }
    if !more.is_empty() {
        *text += &format!("\n{more}\n");
    }
    page.lists.iter().for_each(|entries| list(text, entries));
}

/// One row a field: name, type, default, range, and everything else in words.
fn table(text: &mut String, fields: &[Field]) {
    if !fields.iter().any(Field::is_explained) {
        return parameters(text, fields);
    }
    *text += "| field | type | default | range | meaning |\n|---|---|---|---|---|\n";
    for field in fields {
        let code = |text: &str| format!("`{}`", cell(text));
        let default = field.default.as_deref().map_or("required".to_string(), code);
        let range = cell(field.range.as_deref().unwrap_or_default());
        let row = [code(&field.name), code(&field.ty), default, range, meaning(field)];
        *text += &format!("| {} |\n", row.join(" | ")).replace("|  |", "| |");
    }
}

/// Parameters, of which there is nothing more to say.
fn parameters(text: &mut String, params: &[Field]) {
    *text += "| parameter | type | default |\n|---|---|---|\n";
    for param in params {
        let default = param.default.as_deref().map_or("required".to_string(), |text| format!("`{}`", cell(text)));
        *text += &format!("| `{}` | `{}` | {default} |\n", param.name, cell(&param.ty));
    }
}

fn meaning(field: &Field) -> String {
    let mut parts: Vec<String> = pieces(&field.doc)
        .into_iter()
        .map(|piece| match piece {
            Piece::Paragraph(text) | Piece::Item(text) => cell(&text),
            Piece::Code(lines) => format!("`{}`", cell(&lines.join(" "))),
        })
        .collect();
    parts.extend(field.unbuilt.as_ref().map(|what| format!("**Not run yet: {}.**", cell(what))));
    parts.extend(field.unkeyed.then(|| "No part of the key: a change makes no result stale.".to_string()));
    parts.extend((!field.source.is_empty()).then(|| format!("Source: {}.", cell(field.source.trim_end_matches('.')))));
    let aliases: Vec<String> = field.aliases.iter().map(|name| format!("`{name}`")).collect();
    parts.extend((!aliases.is_empty()).then(|| format!("Elsewhere: {}.", aliases.join(", "))));
    parts.join(" ")
}

fn list(text: &mut String, list: &List) {
    *text += &format!("\n**{}**\n\n", list.title);
    for entry in &list.entries {
        let said = if entry.text.is_empty() { String::new() } else { format!(": {}", entry.text.replace('\n', " ")) };
        *text += &format!("- `{}`{said}\n", entry.name);
    }
}

/// The text with a newline at its end; nothing for nothing.
fn paragraphs(doc: &str) -> String {
    if doc.trim().is_empty() { String::new() } else { format!("{}\n", doc.trim_end()) }
}

/// With an empty line before it; nothing for nothing.
fn spaced(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("\n{text}") }
}

/// A text inside a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The anchor that a heading gets.
fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}

fn capital(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
