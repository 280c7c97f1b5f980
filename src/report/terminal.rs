//! The reporter for a terminal: one bar a running stage, a line when one ends.

use super::pace::Pace;
use super::phrase;
use crate::base::digest::Digest;
use crate::base::event::{Event, Sink, StageRef};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Draws bars with step, loss or reward, tokens a second and time left.
pub struct Terminal {
    screen: MultiProgress,
    colour: bool,
    start: Instant,
    running: Mutex<BTreeMap<Digest, Running>>,
}

struct Running {
    pace: Pace,
    bar: ProgressBar,
}

impl Terminal {
    /// Draws on `screen`, whose target the caller has set.
    pub fn new(screen: MultiProgress, colour: bool) -> Self {
        Terminal { screen, colour, start: Instant::now(), running: Mutex::default() }
    }

    fn style(&self) -> ProgressStyle {
        let bar = if self.colour { "{bar:24.cyan/black.bright}" } else { "{bar:24}" };
        let template = format!("{{prefix:14}} {bar} {{pos}}/{{len}}  {{msg}}");
        ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
    }

    fn begin(&self, stage: &StageRef, resumed_from: Option<u64>) -> Running {
        let bar = self.screen.add(ProgressBar::new(0).with_style(self.style()).with_prefix(stage.name.clone()));
        bar.set_message(format!("{} is loading", stage.kind));
        Running { pace: Pace::new(self.start.elapsed(), resumed_from), bar }
    }

    fn tell(&self, event: &Event) {
        let begins = matches!(event, Event::StageStarted { .. });
        if let Some(line) = phrase::line(event).filter(|_| !begins) {
            // A terminal that has gone away must not end the work.
            let _ = self.screen.println(line);
        }
    }
}

impl Sink for Terminal {
    fn emit(&self, event: &Event) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::StageStarted { stage, resumed_from, .. } => {
                running.insert(stage.key, self.begin(stage, *resumed_from));
            }
            Event::StageSaid { stage, said } => {
                if let Some(running) = running.get_mut(&stage.key) {
                    running.pace.hear(said, self.start.elapsed());
                    running.draw();
                }
            }
            Event::StageFinished { stage, .. }
            | Event::StageFailed { stage, .. }
            | Event::StageRetried { stage, .. }
            | Event::StageInterrupted { stage, .. } => {
                if let Some(running) = running.remove(&stage.key) {
                    running.bar.finish_and_clear();
                    self.screen.remove(&running.bar);
                }
            }
            _ => {}
        }
        self.tell(event);
    }
}

impl Running {
    fn draw(&self) {
        if self.pace.total > 0 {
            self.bar.set_length(self.pace.total);
            self.bar.set_position(self.pace.step);
            self.bar.set_message(phrase::speed(&self.pace).join("  "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::journey;
    use super::*;
    use indicatif::ProgressDrawTarget;

    #[test]
    fn a_stage_has_a_bar_from_its_start_to_its_end() {
        let terminal = Terminal::new(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), false);
        let bars: Vec<usize> = journey()
            .iter()
            .map(|event| {
                terminal.emit(event);
                terminal.running.lock().unwrap().len()
            })
            .collect();
        assert_eq!(bars, [0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
