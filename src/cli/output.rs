//! The only file that prints: results to standard output, everything else to standard error.

use crate::base::event::Sink;
use crate::diag::render::Look;
use crate::report::jsonl::JsonLines;
use crate::report::lines::Lines;
use crate::report::terminal::Terminal;
use indicatif::{MultiProgress, ProgressDrawTarget};
use std::io::{IsTerminal, Write, stderr, stdout};

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Results as JSON.
    pub json: bool,
    /// Colours and bold text on standard error.
    pub colour: bool,
    /// Sentences instead of pictures, for screen readers.
    pub narrated: bool,
}

impl Output {
    /// Colours only where a person looks on, and neither `--no-color` nor `$NO_COLOR` asks for none. Sentences where
    /// `--narrated`, `$SRLM_NARRATED` or `$NO_GRAPHICS` asks for them.
    pub fn new(json: bool, no_colour: bool, narrated: bool) -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let colourless = no_colour || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let narrated = narrated || is_set("SRLM_NARRATED") || is_set("NO_GRAPHICS");
        Output { json, colour: !colourless && !narrated && stderr().is_terminal(), narrated }
    }

    /// How diagnostics look.
    pub fn look(&self) -> Look {
        match (self.narrated, self.colour) {
            (true, _) => Look::Narrated,
            (false, true) => Look::Coloured,
            (false, false) => Look::Plain,
        }
    }

    /// Writes a result as it is. A reader that has gone away (`| head`) is no error.
    pub fn result(&self, text: &str) {
        let mut output = stdout().lock();
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    }

    /// Writes a result as one line of JSON.
    pub fn json_line(&self, value: &impl serde::Serialize) {
        if let Ok(line) = serde_json::to_string(value) {
            self.result(&(line + "\n"));
        }
    }

    /// Writes the items of a JSON array, one a line.
    pub fn json_lines(&self, values: &serde_json::Value) {
        values.as_array().into_iter().flatten().for_each(|value| self.json_line(value));
    }

    /// Tells the user what went wrong.
    pub fn error(&self, message: &str) {
        let label = if self.colour { "\x1b[1;31merror\x1b[0m" } else { "error" };
        self.say(&format!("{label}: {message}"));
    }

    /// Columns that a text on standard error may have.
    pub fn width(&self) -> usize {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        columns.unwrap_or(100).clamp(40, 120)
    }

    /// Tells the user something that is no result.
    pub fn say(&self, text: &str) {
        let mut output = stderr().lock();
        let _ = writeln!(output, "{}", text.trim_end());
    }

    /// The listener for a run: JSON lines on standard output, bars on a terminal, else plain lines.
    pub fn reporter(&self) -> Box<dyn Sink> {
        if self.json {
            return Box::new(JsonLines::new(stdout()));
        }
        if stderr().is_terminal() && !self.narrated {
            let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            return Box::new(Terminal::new(screen, self.colour));
        }
        Box::new(Lines::new(stderr()))
    }
}
