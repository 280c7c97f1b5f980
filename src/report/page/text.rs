//! A page for the terminal: wrapped, names in bold where a person looks on.

use super::prose::{Piece, headline, pieces, wrap};
use super::{Entry, Field, List, Page};

/// Names up to this length share a line with what is said of them.
const WIDEST_NAME: usize = 24;

/// The page in lines of at most `width` characters; `bold` sets names apart.
pub fn text(page: &Page, width: usize, bold: bool) -> String {
    let mut layout = Layout { lines: Vec::new(), width, bold };
    let title = if page.signature.is_empty() { &page.name } else { &page.signature };
    layout.title(title, &page.name);
    layout.unbuilt(page.unbuilt.as_deref());
    layout.doc(&page.doc, 0);
    layout.code(page.code.as_deref());
    layout.facts(&page.facts);
    if page.class != "field" {
        layout.fields(&page.fields);
    }
    page.lists.iter().for_each(|list| layout.list(list));
    layout.finish()
}

struct Layout {
    lines: Vec<String>,
    width: usize,
    bold: bool,
}

impl Layout {
    fn strong(&self, text: &str) -> String {
        if self.bold { format!("\x1b[1m{text}\x1b[0m") } else { text.to_string() }
    }

    fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(String::new());
        }
    }

    /// The signature, its name in bold; what does not fit goes on below.
    fn title(&mut self, signature: &str, name: &str) {
        let short = name.rsplit('.').next().unwrap_or(name);
        for (index, line) in wrap(signature, self.width - 4).into_iter().enumerate() {
            let named = [name, short].into_iter().find_map(|name| Some((name, line.strip_prefix(name)?)));
            match (index, named) {
                (0, Some((name, rest))) => self.lines.push(self.strong(name) + rest),
                (0, None) => self.lines.push(self.strong(&line)),
                _ => self.lines.push(format!("    {line}")),
            }
        }
    }

    fn unbuilt(&mut self, what: Option<&str>) {
        if let Some(what) = what {
            self.gap();
            self.wrapped(&format!("This version cannot run it yet: {what}."), 0);
        }
    }

    fn wrapped(&mut self, text: &str, indent: usize) {
        let lines = wrap(text, self.width.saturating_sub(indent).max(20));
        self.lines.extend(lines.into_iter().map(|line| format!("{:indent$}{line}", "")));
    }

    fn doc(&mut self, doc: &str, indent: usize) {
        for piece in pieces(doc) {
            if !matches!(piece, Piece::Item(_)) || indent == 0 {
                self.gap();
            }
            match piece {
                Piece::Paragraph(text) => self.wrapped(&text, indent),
                Piece::Item(text) => {
                    let lines = wrap(&text, self.width.saturating_sub(indent + 2).max(20));
                    let sign = |index| if index == 0 { "- " } else { "  " };
                    let lines = lines.iter().enumerate();
                    self.lines.extend(lines.map(|(index, line)| format!("{:indent$}{}{line}", "", sign(index))));
                }
                Piece::Code(lines) => self.lines.extend(lines.iter().map(|line| indented(line, indent + 4))),
            }
        }
    }

    fn code(&mut self, code: Option<&str>) {
        if let Some(code) = code {
            self.gap();
            self.lines.extend(code.lines().map(|line| indented(line, 4)));
        }
    }

    fn facts(&mut self, facts: &[Entry]) {
        if !facts.is_empty() {
            self.gap();
            facts.iter().for_each(|fact| self.entry(fact, 14, false));
        }
    }

    /// A name in its column and a text beside it, or below where the name is too long.
    fn entry(&mut self, entry: &Entry, column: usize, bold: bool) {
        let indent = column + 4;
        let lines = wrap(&entry.text, self.width.saturating_sub(indent).max(20));
        let name = if bold { self.strong(&entry.name) } else { entry.name.clone() };
        let length = entry.name.chars().count();
        let mut rest = lines.iter();
        let beside = if length <= column { rest.next() } else { None };
        let blank = " ".repeat((column + 2).saturating_sub(length));
        let first = beside.map_or_else(|| format!("  {name}"), |line| format!("  {name}{blank}{line}"));
        self.lines.push(first);
        self.lines.extend(rest.map(|line| indented(line, indent)));
    }

    fn fields(&mut self, fields: &[Field]) {
        let column = column(fields.iter().map(|field| field.name.as_str()));
        let spaced = fields.iter().any(Field::is_explained);
        if !fields.is_empty() {
            self.gap();
        }
        for field in fields {
            if spaced {
                self.gap();
            }
            self.entry(&Entry::new(field.name.clone(), field.typed()), column, true);
            self.doc_of(field, column + 4);
        }
    }

    fn doc_of(&mut self, field: &Field, indent: usize) {
        for piece in pieces(&field.doc) {
            match piece {
                Piece::Paragraph(text) => self.wrapped(&text, indent),
                Piece::Item(text) => self.wrapped(&format!("- {text}"), indent),
                Piece::Code(lines) => self.lines.extend(lines.iter().map(|line| indented(line, indent + 2))),
            }
        }
        for fact in field.facts() {
            self.wrapped(&format!("{}: {}", fact.name, fact.text), indent);
        }
    }

    fn list(&mut self, list: &List) {
        self.gap();
        self.lines.push(self.strong(&list.title));
        let column = column(list.entries.iter().map(|entry| entry.name.as_str()));
        for entry in &list.entries {
            self.entry(&Entry::new(entry.name.clone(), headline(&entry.text)), column, false);
        }
    }

    fn finish(self) -> String {
        self.lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

fn indented(line: &str, indent: usize) -> String {
    format!("{:indent$}{line}", "")
}

fn column<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| name.chars().count()).filter(|&length| length <= WIDEST_NAME).max().unwrap_or(0)
}
