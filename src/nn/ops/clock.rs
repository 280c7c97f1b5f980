//! Where the time of a training step goes, by kinds of work; nothing is counted unless somebody asks.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Products with the layers' weights, forward and backward.
    Linears,
    /// Attention.
    Attention,
    /// Norms, rotations, the gate.
    Elementwise,
    /// The head: logits, softmax, and their way back.
    Head,
    /// Gradient norm, clipping, AdamW.
    Optimiser,
}

impl Part {
    /// All of them, in the order of their reports.
    pub const ALL: [Part; 5] = [Part::Linears, Part::Attention, Part::Elementwise, Part::Head, Part::Optimiser];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Part::Linears => "linears",
            Part::Attention => "attention",
            Part::Elementwise => "norm and elementwise",
            Part::Head => "head",
            Part::Optimiser => "optimiser",
        }
    }
}

static COUNTING: AtomicBool = AtomicBool::new(false);
static NANOSECONDS: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

/// Runs `body` and, where somebody counts, adds what it took to `part`.
pub(crate) fn timed<R>(part: Part, body: impl FnOnce() -> R) -> R {
    if !COUNTING.load(Relaxed) {
        return body();
    }
    let start = Instant::now();
    let result = body();
    NANOSECONDS[part as usize].fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
    result
}

/// Runs `body` and counts meanwhile; seconds of each part, as [`Part::ALL`] has them.
///
/// One counts at a time, a second waits. Work of other threads is counted too.
pub fn count<R>(body: impl FnOnce() -> R) -> (R, [f64; 5]) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    NANOSECONDS.iter().for_each(|sum| sum.store(0, Relaxed));
    COUNTING.store(true, Relaxed);
    let result = body();
    COUNTING.store(false, Relaxed);
    (result, NANOSECONDS.each_ref().map(|sum| sum.load(Relaxed) as f64 * 1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_while_somebody_counts_is_counted() {
        let nap = || timed(Part::Optimiser, || std::thread::sleep(std::time::Duration::from_millis(5)));
        let ((), seconds) = count(nap);
        assert!(seconds[Part::Optimiser as usize] >= 0.005, "{seconds:?}");
    }
}
