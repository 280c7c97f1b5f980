//! Uploads in the background: a few threads, and a queue on disk of what has not arrived yet.

use super::upload::Sent;
use super::{Remote, RemoteError, Shared, lock};
use crate::base::digest::Digest;
use crate::base::event::{Event, Transfer};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// Results at the same time.
const WIDTH: usize = 4;
/// At the end of a run, uploads that do not move for so long are left to the next one.
const STUCK: Duration = Duration::from_secs(60);
/// Time between two words about progress.
const EVERY: Duration = Duration::from_secs(5);

/// Keys of results that are to go out.
pub(super) struct Queue {
    /// One empty file a key, for this remote cache.
    folder: PathBuf,
    sender: Mutex<Option<Sender<Digest>>>,
    open: Mutex<BTreeSet<Digest>>,
}

impl Queue {
    pub fn new(folder: PathBuf, label: &str) -> Queue {
        let folder = folder.join("queue").join(Digest::of_bytes(label.as_bytes()).short());
        Queue { folder, sender: Mutex::default(), open: Mutex::default() }
    }

    /// What earlier runs left.
    fn left(&self) -> Vec<Digest> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    fn mark(&self, key: &Digest) {
        // Where it cannot be written, the upload is tried in this run all the same.
        let _ = fs::create_dir_all(&self.folder).and_then(|()| fs::write(self.folder.join(key.to_string()), b""));
    }

    fn unmark(&self, key: &Digest) {
        let _ = fs::remove_file(self.folder.join(key.to_string()));
    }
}

impl Remote {
    /// Lets a result that is here go out, in the background.
    pub fn offer(&self, key: &Digest) {
        if lock(&self.0.queue.open).insert(*key) {
            self.0.queue.mark(key);
            self.send(*key);
        }
    }

    /// Offers again what earlier runs could not upload.
    pub fn resume(&self) {
        self.0.queue.left().iter().for_each(|key| self.offer(key));
    }

    fn send(&self, key: Digest) {
        let mut sender = lock(&self.0.queue.sender);
        let sender = sender.get_or_insert_with(|| start_threads(&self.0));
        // The threads end with the process, or with the remote cache itself.
        let _ = sender.send(key);
    }

    /// Waits for the uploads and sums up. It ends early when `stopped` says so, or when nothing moves any more; what
    /// is left then stays in the queue.
    pub fn finish(&self, stopped: &dyn Fn() -> bool, tell: &dyn Fn(Event)) {
        let shared = &self.0;
        let (total, before) = (lock(&shared.queue.open).len(), shared.link.moved());
        let (mut told, mut moved) = (Instant::now(), (Instant::now(), (total, before)));
        loop {
            self.news().into_iter().for_each(tell);
            let open = lock(&shared.queue.open).len();
            if open == 0 {
                break;
            }
            if (open, shared.link.moved()) != moved.1 {
                moved = (Instant::now(), (open, shared.link.moved()));
            }
            if stopped() || moved.0.elapsed() > STUCK {
                self.abandon();
                break;
            }
            if told.elapsed() > EVERY {
                told = Instant::now();
                let (done, bytes) = (total.saturating_sub(open), shared.link.moved() - before);
                tell(Event::RemoteProgress { doing: Transfer::Uploading, done, total, bytes });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.news().into_iter().for_each(tell);
        self.sum_up(tell);
    }

    fn sum_up(&self, tell: &dyn Fn(Event)) {
        let news = &self.0.news;
        let ((fetched, fetched_bytes), (uploaded, uploaded_bytes)) = (news.fetched.get(), news.uploaded.get());
        let left = self.0.queue.left().len();
        if fetched + uploaded + left > 0 {
            tell(Event::RemoteFinished { fetched, fetched_bytes, uploaded, uploaded_bytes, left });
        }
    }
}

fn start_threads(shared: &Arc<Shared>) -> Sender<Digest> {
    let (sender, receiver) = channel();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..WIDTH {
        let (receiver, shared) = (Arc::clone(&receiver), Arc::downgrade(shared));
        // With fewer threads it takes longer; with none, the queue on disk keeps what is left.
        let _ = std::thread::Builder::new().name("upload".into()).spawn(move || work(&receiver, &shared));
    }
    sender
}

fn work(receiver: &Mutex<Receiver<Digest>>, shared: &Weak<Shared>) {
    loop {
        let next = lock(receiver).recv();
        let (Ok(key), Some(shared)) = (next, shared.upgrade()) else { return };
        shared.work_on(&key);
        lock(&shared.queue.open).remove(&key);
    }
}

impl Shared {
    fn work_on(&self, key: &Digest) {
        if self.is_abandoned() {
            return;
        }
        match self.upload(key) {
            Ok(sent) => {
                self.queue.unmark(key);
                match sent {
                    Sent::Whole(bytes) => self.news.uploaded.add(bytes),
                    Sent::Gone => {}
                    Sent::Other => self.tell_other(key),
                }
            }
            Err(_) if self.is_abandoned() => {}
            Err(error) => {
                if !error.is_passing() && matches!(error, RemoteError::Here(_)) {
                    // It would fail again: what is damaged here is for `verify` to find.
                    self.queue.unmark(key);
                }
                self.warn(&error);
            }
        }
    }

    fn tell_other(&self, key: &Digest) {
        let label = &self.label;
        self.news.warn(format!(
            "the remote cache {label} has another result under the key {}, made elsewhere: that one stays there, and this \
             machine keeps its own",
            key.short()
        ));
    }
}
