//! The annotations of a case of `tests/spec`: the comments `#! …` that say what is expected. See `tests/spec/README.md`.

use std::fmt;

/// What a case states.
#[derive(Debug, Default)]
pub struct Notes {
    /// `#! -p name=value`
    pub params: Vec<(String, String)>,
    /// `#! inputs`: the case is run as the command runs it, which looks at the files it declares.
    pub inputs: bool,
    /// `#! E021 part of the message`, each with the notes that follow it.
    pub findings: Vec<Finding>,
    /// `#! needs lora merge`: left out while this version has no such stage kind or variant.
    pub needs: Vec<String>,
    /// `#! calls 7`
    pub calls: Option<usize>,
    /// `#! plan name kind role=name …`, one a stage, in order.
    pub plan: Vec<String>,
    /// `#! same first second …`: pipelines that end in one stage.
    pub same: Vec<Vec<String>>,
    /// `#! value name = text`, `#! type name = text`, `#! field stage.field = json`, `#! cells sweep = 13`.
    pub equations: Vec<Equation>,
}

/// A finding that is expected.
#[derive(Debug)]
pub struct Finding {
    /// The line the main label begins on; 0 for what has no line in the file.
    pub line: usize,
    /// Its code.
    pub code: String,
    /// A part of its message.
    pub message: String,
    /// `#!   ^^^^ text` and `#! label 3:5-9 text`.
    pub labels: Vec<Label>,
    /// `#! help part`
    pub help: Vec<String>,
    /// `#! fix text`: the line once the fix is applied.
    pub fix: Option<String>,
}

/// A label that is expected.
#[derive(Debug, PartialEq)]
pub struct Label {
    /// Its line.
    pub line: usize,
    /// Its first column.
    pub first: usize,
    /// Its last column.
    pub last: usize,
    /// A part of its text.
    pub text: String,
}

/// Something of the case equals something.
#[derive(Debug)]
pub struct Equation {
    /// `value`, `type`, `field` or `cells`.
    pub what: String,
    /// Of what.
    pub of: String,
    /// What it is.
    pub is: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "label {}:{}-{} {}", self.line, self.first, self.last, self.text)
    }
}

/// Reads the annotations of a case. What is no annotation is said so.
pub fn read(text: &str) -> Result<Notes, String> {
    let mut notes = Notes::default();
    let mut code_line = 0;
    for (index, line) in text.lines().enumerate() {
        match line.trim_start().strip_prefix("#!") {
            Some(note) => {
                let read = match carets(line, code_line) {
                    Some(label) => notes.label(label),
                    None => notes.add(note.trim(), code_line),
                };
                read.map_err(|why| format!("line {}: {why}", index + 1))?;
            }
            None if line.trim_start().starts_with('#') || line.trim().is_empty() => {}
            None => code_line = index + 1,
        }
    }
    notes.findings.sort_by(|left, right| (left.line, &left.code).cmp(&(right.line, &right.code)));
    Ok(notes)
}

/// `#!     ^^^^ text`: the columns of the line above.
fn carets(line: &str, code_line: usize) -> Option<Label> {
    let characters: Vec<char> = line.chars().collect();
    let start = characters.iter().position(|&character| character == '^')?;
    let before: String = characters[..start].iter().collect();
    if before.trim() != "#!" {
        return None;
    }
    let count = characters[start..].iter().take_while(|&&character| character == '^').count();
    let text: String = characters[start + count..].iter().collect();
    Some(Label { line: code_line, first: start + 1, last: start + count, text: text.trim().to_string() })
}

impl Notes {
    fn last(&mut self) -> Result<&mut Finding, String> {
        self.findings.last_mut().ok_or_else(|| "no finding stands before this".to_string())
    }

    fn label(&mut self, label: Label) -> Result<(), String> {
        self.last()?.labels.push(label);
        Ok(())
    }

    fn add(&mut self, note: &str, line: usize) -> Result<(), String> {
        let (word, rest) = note.split_once(' ').unwrap_or((note, ""));
        let (word, rest) = (word.trim(), rest.trim());
        match word {
            "-p" => self.params.push(split(rest, "=")?),
            "inputs" => self.inputs = true,
            "needs" => self.needs.extend(rest.split_whitespace().map(String::from)),
            "calls" => self.calls = Some(number(rest)?),
            "plan" => self.plan.push(rest.to_string()),
            "same" => self.same.push(rest.split_whitespace().map(String::from).collect()),
            "value" | "type" | "field" | "cells" => {
                let (of, is) = split(rest, " = ")?;
                self.equations.push(Equation { what: word.to_string(), of, is });
            }
            "help" => self.last()?.help.push(rest.to_string()),
            "fix" => self.last()?.fix = Some(rest.to_string()),
            "label" => {
                let label = label(rest)?;
                self.label(label)?;
            }
            code if is_code(code) => self.findings.push(Finding {
                line,
                code: code.to_string(),
                message: rest.to_string(),
                labels: Vec::new(),
                help: Vec::new(),
                fix: None,
            }),
            _ => return Err(format!("`{note}` is no annotation")),
        }
        Ok(())
    }
}

fn is_code(word: &str) -> bool {
    word.len() == 4 && word.starts_with(['E', 'W']) && word[1..].bytes().all(|byte| byte.is_ascii_digit())
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn split(text: &str, sign: &str) -> Result<(String, String), String> {
    let (left, right) = text.split_once(sign).ok_or_else(|| format!("`{text}` has no `{sign}`"))?;
    Ok((left.trim().to_string(), right.trim().to_string()))
}

/// `3:5-9 text`
fn label(text: &str) -> Result<Label, String> {
    let (place, text) = text.split_once(' ').unwrap_or((text, ""));
    let (line, columns) = split(place, ":")?;
    let (first, last) = split(&columns, "-")?;
    Ok(Label { line: number(&line)?, first: number(&first)?, last: number(&last)?, text: text.trim().to_string() })
}
