//! The only file that prints: results to standard output, everything else to standard error.

use crate::base::event::Sink;
use crate::base::fs::write_atomic;
use crate::diag::render::Look;
use crate::driver::Failure;
use crate::report::jsonl::JsonLines;
use crate::report::lines::Lines;
use crate::report::reading::Reading;
use crate::report::terminal::Terminal;
use indicatif::{MultiProgress, ProgressDrawTarget};
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Standard output is one for the process, and so is what became of it.
static RESULT_LOST: AtomicBool = AtomicBool::new(false);

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Results as JSON.
    pub json: bool,
    /// Colours and bold text on standard error.
    pub colour: bool,
    pub plain: bool,
    /// Sentences instead of pictures, for screen readers.
    pub narrated: bool,
}

impl Output {
    /// Colours only where a person looks on, and neither `--no-color` nor `$NO_COLOR` asks for none. Sentences where
    /// `--narrated`, `$SRLM_NARRATED` or `$NO_GRAPHICS` asks for them.
    pub fn new(json: bool, no_colour: bool, narrated: bool) -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let unwanted = no_colour || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let narrated = narrated || is_set("SRLM_NARRATED") || is_set("NO_GRAPHICS");
        let plain = unwanted || narrated;
        Output { json, colour: !plain && stderr().is_terminal(), plain, narrated }
    }

    /// How diagnostics look.
    pub fn look(&self) -> Look {
        match (self.narrated, self.colour) {
            (true, _) => Look::Narrated,
            (false, true) => Look::Coloured,
            (false, false) => Look::Plain,
        }
    }

    /// Writes a result as it is. A reader that has gone away (`| head`) is no error; a full disk is.
    pub fn result(&self, text: &str) {
        let mut output = stdout().lock();
        match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe && !RESULT_LOST.swap(true, Ordering::Relaxed) => {
                self.error(&format!("the result cannot be written: {error}"));
            }
            _ => {}
        }
    }

    /// Whether a result could not be written: the command has failed then, whatever it did.
    pub fn result_lost() -> bool {
        RESULT_LOST.load(Ordering::Relaxed)
    }

    /// Writes a result as it is, to a file where one is named.
    pub fn result_to(&self, file: Option<&Path>, text: &str) -> Result<(), Failure> {
        match file {
            Some(path) => write_atomic(path, text.as_bytes()).map_err(|error| Failure::Machine(error.to_string())),
            None => {
                self.result(text);
                Ok(())
            }
        }
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

    /// Whether names in a result may be bold: a person looks on, and nobody asked for plain text.
    pub fn bold_results(&self) -> bool {
        !self.plain && stdout().is_terminal()
    }

    /// Columns that a text may have.
    pub fn width(&self) -> usize {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        columns.unwrap_or(100).clamp(40, 120)
    }

    /// Tells the user something that is no result.
    pub fn say(&self, text: &str) {
        let mut output = stderr().lock();
        let _ = writeln!(output, "{}", text.trim_end());
    }

    /// Tells how much of a long reading is done.
    pub fn reading(&self, what: &'static str) -> Reading {
        if stderr().is_terminal() && !self.narrated {
            return Reading::bar(what, ProgressDrawTarget::stderr_with_hz(10));
        }
        Reading::lines(what, Box::new(stderr()))
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
