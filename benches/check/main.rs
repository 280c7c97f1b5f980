//! Times `srlm check` as whole processes: `cargo bench --bench check`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops where it cannot measure")]

mod program;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Programs of these many lines are made, and how often each is checked.
const SIZES: [(usize, usize); 3] = [(1_000, 25), (10_000, 15), (100_000, 7)];
/// How often each file of the repository is checked.
const REPEATS: usize = 25;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    println!("{:<28} {:>9} {:>10} {:>10} {:>18}", "file", "lines", "median ms", "min ms", "ms per 1,000 lines");
    for (lines, times) in SIZES {
        let path = folder.path().join(format!("{lines}.srlm"));
        std::fs::write(&path, program::program(lines)).unwrap();
        report(&path, &format!("generated {lines}"), times);
    }
    for path in shipped() {
        let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path).display().to_string();
        report(&path, &name, REPEATS);
    }
}

/// The programs of `pipelines/`.
fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "srlm"));
    paths.sort();
    paths
}

fn report(path: &Path, name: &str, times: usize) {
    let lines = std::fs::read_to_string(path).unwrap().lines().count();
    check(path);
    let mut measured: Vec<Duration> = (0..times).map(|_| check(path)).collect();
    measured.sort();
    let (median, least) = (milliseconds(measured[times / 2]), milliseconds(measured[0]));
    println!("{name:<28} {lines:>9} {median:>10.1} {least:>10.1} {:>18.2}", median * 1000.0 / lines as f64);
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// One process from start to end. A file that needs params is refused, which is timed all the same.
fn check(path: &Path) -> Duration {
    let start = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_srlm"));
    command.arg("check").arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap();
    start.elapsed()
}
