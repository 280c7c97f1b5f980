//! Stages that are asked to stop: by the user, by their time limit, and by force where they do not.

use super::Engine;
use crate::exec::executor::Stop;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

impl Engine<'_> {
    pub(super) fn heed_stops(&mut self) {
        let stops = self.world.stops.load(Ordering::Relaxed);
        if stops > self.stops_heeded {
            self.stops_heeded = stops;
            self.halted = true;
            self.cancel_all(if stops == 1 { Stop::Save } else { Stop::Kill });
        }
    }

    /// Whether the user asked, heeded or not yet: a stage may have been asked beside this run, and end before it.
    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.world.stops.load(Ordering::Relaxed) > 0
    }

    pub(super) fn cancel_all(&mut self, how: Stop) {
        for (ticket, active) in &mut self.active {
            active.stopping.get_or_insert((Instant::now(), None));
            self.executor.cancel(*ticket, how);
        }
    }

    /// Stops stages that have used up their time, and ends those that were asked to stop and do not.
    pub(super) fn enforce_limits(&mut self) {
        for (ticket, active) in &mut self.active {
            match (&active.stopping, active.given.time) {
                (Some((since, _)), _) if since.elapsed() > self.settings.patience.grace => {
                    self.executor.cancel(*ticket, Stop::Kill);
                }
                (None, Some(limit)) if active.started.elapsed() > limit => {
                    let why = format!("its time limit of {}", in_words(limit));
                    active.stopping = Some((Instant::now(), Some(why)));
                    self.executor.cancel(*ticket, Stop::Save);
                }
                _ => {}
            }
        }
    }
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        _ if seconds > 0 && seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds > 0 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{} s", time.as_secs_f64()),
    }
}
