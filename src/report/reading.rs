//! How much of a long reading is done: a bar on a terminal, a line every ten seconds elsewhere.

use super::number::bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// Tells of one reading, from any thread.
pub struct Reading {
    what: &'static str,
    form: Form,
}

enum Form {
    Bar(ProgressBar),
    Lines(Mutex<(Box<dyn Write + Send>, Instant)>),
}

impl Reading {
    /// A bar on `target`.
    pub fn bar(what: &'static str, target: ProgressDrawTarget) -> Self {
        let style = ProgressStyle::with_template(
            "{prefix}  {bar:24} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left",
        );
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─");
        let bar = ProgressBar::with_draw_target(None, target).with_style(style).with_prefix(what);
        Reading { what, form: Form::Bar(bar) }
    }

    /// Lines to `output`.
    pub fn lines(what: &'static str, output: Box<dyn Write + Send>) -> Self {
        Reading { what, form: Form::Lines(Mutex::new((output, Instant::now()))) }
    }

    /// So many bytes are read, of so many.
    pub fn tell(&self, done: u64, total: u64) {
        match &self.form {
            Form::Bar(bar) => {
                bar.set_length(total);
                // Threads may come out of order.
                bar.set_position(done.max(bar.position()));
            }
            Form::Lines(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.1.elapsed() >= EVERY {
                    state.1 = Instant::now();
                    // Nobody reads on: the work goes on.
                    let _ = writeln!(state.0, "{}: {} of {}", self.what, bytes(done), bytes(total));
                }
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}
