//! Ctrl-C and requests to end, counted.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How often the process was asked to end since now: 1 asks for a saved state, 2 for an end at once.
///
/// # Errors
/// Where the system allows no handler.
pub fn count() -> io::Result<Arc<AtomicUsize>> {
    let stops = Arc::new(AtomicUsize::new(0));
    let (counter, mut signals) = (Arc::clone(&stops), Signals::new([SIGHUP, SIGINT, SIGTERM])?);
    std::thread::spawn(move || {
        for _ in signals.forever() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(stops)
}

/// A flag that is set when the process is asked to end.
///
/// # Errors
/// Where the system allows no handler.
pub fn flag() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
