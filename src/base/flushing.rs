//! Threads that flush files to the disk, kept from one flush to the next: a stage's result is flushed in two rounds of
//! some files each, and starting a thread takes longer than many a flush.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

/// How many files are flushed at the same time, the one of the caller apart.
const THREADS: usize = 15;

/// Flushes the bytes or the names at a path.
pub(super) type Flush = fn(&Path) -> io::Result<()>;

struct Job {
    path: PathBuf,
    flush: Flush,
    done: Sender<io::Result<()>>,
}

struct Flushers {
    jobs: Sender<Job>,
    taken: Arc<Mutex<Receiver<Job>>>,
    threads: usize,
}

static FLUSHERS: LazyLock<Mutex<Flushers>> = LazyLock::new(|| {
    let (jobs, taken) = channel();
    Mutex::new(Flushers { jobs, taken: Arc::new(Mutex::new(taken)), threads: 0 })
});

/// Flushes all of some paths, several at once: what waits is the disk, and it serves several as fast as one.
pub(super) fn at_once<P: AsRef<Path>>(paths: &[P], flush: Flush) -> io::Result<()> {
    let [first, rest @ ..] = paths else { return Ok(()) };
    let (done, results) = channel();
    let own = Flushers::hand_out(rest, flush, &done);
    drop(done);
    let own = own.iter().try_for_each(|path| flush(path)).and(flush(first.as_ref()));
    let results: Vec<_> = results.into_iter().collect();
    if own.is_ok() && results.len() < rest.len() {
        return Err(io::Error::other("a thread that flushes files ended early"));
    }
    results.into_iter().fold(own, Result::and)
}

impl Flushers {
    /// Gives paths to the threads, of which there are as many as are needed; those that nobody takes come back.
    fn hand_out<P: AsRef<Path>>(paths: &[P], flush: Flush, done: &Sender<io::Result<()>>) -> Vec<PathBuf> {
        if paths.is_empty() {
            return Vec::new();
        }
        let mut flushers = FLUSHERS.lock().unwrap_or_else(PoisonError::into_inner);
        while flushers.threads < paths.len().min(THREADS) && flushers.start() {}
        let alone = flushers.threads == 0;
        let given = |path: &P| Job { path: path.as_ref().to_path_buf(), flush, done: done.clone() };
        let left = |path: &P| {
            let job = given(path);
            if alone { Some(job.path) } else { flushers.jobs.send(job).err().map(|job| job.0.path) }
        };
        paths.iter().filter_map(left).collect()
    }

    /// Starts one more thread, where the machine has one to give.
    fn start(&mut self) -> bool {
        let taken = self.taken.clone();
        let started = thread::Builder::new().name("flush".into()).spawn(move || work(&taken)).is_ok();
        self.threads += usize::from(started);
        started
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { path, flush, done }) = job else { return };
        // Whoever does not listen any more has its error.
        let _ = done.send(flush(&path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_path_is_flushed_once_and_an_error_of_any_is_told() {
        static FLUSHED: AtomicUsize = AtomicUsize::new(0);
        let count: Flush = |path| {
            FLUSHED.fetch_add(1, Ordering::Relaxed);
            if path.ends_with("bad") { Err(io::Error::other("no room")) } else { Ok(()) }
        };
        let mut paths: Vec<PathBuf> = (0..100).map(|at| at.to_string().into()).collect();
        for many in [0, 1, 2, 100] {
            FLUSHED.store(0, Ordering::Relaxed);
            assert!(at_once(&paths[..many], count).is_ok());
            assert_eq!(FLUSHED.load(Ordering::Relaxed), many);
        }
        for at in [0, 1, 99] {
            paths[at] = "bad".into();
            assert_eq!(at_once(&paths, count).unwrap_err().to_string(), "no room");
            paths[at] = at.to_string().into();
        }
    }
}
