//! The reporter for a log file or a pipe: plain lines, progress every few seconds.

use super::pace::Pace;
use super::phrase;
use crate::base::digest::Digest;
use crate::base::event::{Event, Sink, StageEvent};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds between two progress lines of one stage.
const EVERY: Duration = Duration::from_secs(10);

/// Writes a line when something begins, ends or goes wrong, and one every ten seconds in between.
pub struct Lines<W> {
    state: Mutex<State<W>>,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

struct State<W> {
    output: W,
    running: BTreeMap<Digest, Running>,
}

struct Running {
    pace: Pace,
    told: Duration,
}

impl<W: Write> Lines<W> {
    /// Lines go to `output`.
    pub fn new(output: W) -> Self {
        let start = Instant::now();
        Lines::with_clock(output, move || start.elapsed())
    }

    fn with_clock(output: W, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Lines { state: Mutex::new(State { output, running: BTreeMap::new() }), clock: Box::new(clock) }
    }
}

impl<W: Write + Send> Sink for Lines<W> {
    fn emit(&self, event: &Event) {
        let now = (self.clock)();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let line = phrase::line(event).or_else(|| state.progress(event, now));
        state.follow(event, now);
        if let Some(line) = line {
            // Nobody reads on, or the disk is full: the work goes on.
            let _ = writeln!(state.output, "{line}").and_then(|()| state.output.flush());
        }
    }
}

impl<W> State<W> {
    fn follow(&mut self, event: &Event, now: Duration) {
        match event {
            Event::StageStarted { stage, resumed_from, .. } => {
                let running = Running { pace: Pace::new(now, *resumed_from), told: now };
                self.running.insert(stage.key, running);
            }
            Event::StageSaid { stage, said: said @ StageEvent::Resumed { .. } } => {
                if let Some(running) = self.running.get_mut(&stage.key) {
                    running.pace.hear(said, now);
                }
            }
            Event::StageFinished { stage, .. }
            | Event::StageFailed { stage, .. }
            | Event::StageRetried { stage, .. } => {
                self.running.remove(&stage.key);
            }
            _ => {}
        }
    }

    fn progress(&mut self, event: &Event, now: Duration) -> Option<String> {
        let Event::StageSaid { stage, said: said @ StageEvent::Progress { .. } } = event else { return None };
        let running = self.running.get_mut(&stage.key)?;
        running.pace.hear(said, now);
        if now < running.told + EVERY {
            return None;
        }
        running.told = now;
        Some(phrase::of(stage, &phrase::progress(&running.pace)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::journey;
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn a_run_reads_like_a_story() {
        let tick = AtomicU64::new(0);
        let clock = move || Duration::from_secs(6 * tick.fetch_add(1, Ordering::Relaxed));
        let lines = Lines::with_clock(Vec::new(), clock);
        journey().iter().for_each(|event| lines.emit(event));
        let text = String::from_utf8(lines.state.into_inner().unwrap().output).unwrap();
        insta::assert_snapshot!(text, @r"
        5 stages, 1 cached, 4 to run
        warm           sft starts: no record
        warm           rows_dropped 2  rows_read 7,473
        warm           10/60 steps  loss 0.100  500 tok/s  60.0 s left
        warm           done in 12.3 s  loss 0.0500
        mimic          waits for another run: pid 7 on box, for 3 s
        reason         grpo starts: no record
        reason         goes on from step 40
        error: grpo `reason` failed, declared at a.srlm:7:14
          7 │ let reason = grpo {
            ·              ╰── declared here
          the loss is not finite at step 3:
          lower learning_rate
        exam           cannot run: it needs reason, which has no result
        mimic          stopped after step 7; the same command continues from there
        warning: the remote cache s3://bucket cannot be reached: no route
        uploading to the remote cache: 1 of 2 results, 3.0 MiB so far
        stopped after 83.0 s: 1 run, 1 cached, 1 failed, 1 could not run
        remote cache: 12 results fetched (1.2 GiB), 1 result uploaded (900 B), 2 results still to be uploaded: the next run or `srlm store push` tries again
        ");
    }
}
