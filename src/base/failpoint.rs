//! Named places where a test lets this process die as a power cut would: at once, with nothing tidied.

/// Every failpoint, in the order in which a run meets them. The tests kill a run at each, and fail for one that no run
/// reaches.
pub const NAMES: &[&str] = &[
    // Any small file that is written aside and then given its name (`base::fs`).
    "file.written",
    "file.synced",
    "file.linked",
    "file.renamed",
    // Who works on a stage, and where.
    "lease.created",
    "lease.moved_away",
    "lease.released",
    "attempt.made",
    // A training state.
    "state.tensors_written",
    "state.manifest_written",
    "state.renamed",
    // A result.
    "publish.blob.written",
    "publish.blob.synced",
    "publish.blob.renamed",
    "publish.blob.named",
    "publish.shallow.written",
    "publish.record.created",
    "publish.attempt.removed",
    "states.settled",
    // A result that is there under another key.
    "alias.recorded",
];

/// The failpoints of `srlm store gc`, in their order: the tests kill a gc at each.
pub const GC_NAMES: &[&str] = &["gc.tombstones.written", "gc.record.removed", "gc.records.removed", "gc.blob.removed"];

/// Kills this process with SIGKILL where `SRLM_FAILPOINT` asks for it: `name`, or `name:n` for the n-th time that it
/// comes by. Builds without debug assertions have no failpoints.
#[cfg(debug_assertions)]
pub fn failpoint(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The failpoint to die at, and how often it is still to be passed.
    static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let wanted = std::env::var("SRLM_FAILPOINT").ok()?;
        let (name, nth) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        Some((name.to_string(), AtomicU64::new(nth.parse().ok()?)))
    });
    let is_known = NAMES.contains(&name) || GC_NAMES.contains(&name);
    debug_assert!(is_known, "`{name}` is missing in the list of failpoints");
    if let Some((wanted, left)) = armed
        && wanted == name
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        let _ = signal_hook::low_level::raise(libc::SIGKILL);
    }
}

/// Does nothing: this build has no failpoints.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn failpoint(_name: &str) {}
