//! A remote cache: what other machines made comes from it, what this one makes goes to it. It never fails a stage.
//!
//! It has the immutable parts of the local layout, under a prefix:
//!
//! ```text
//! <prefix>/
//! ├── format               `srlm remote 1`, written before anything else: without it there is nothing to ask for
//! ├── objects/ab/cdef…     blobs by the digest of their bytes
//! ├── shallow/<shallow>    the key of a record with that shallow key
//! └── records/<key>.json   written last, and created only where there is none: the first wins
//! ```
//!
//! Nothing that comes from it is believed: a record has a seal and names its key, and every blob is hashed while it is
//! written under a temporary name. Then it is published as a stage's own output is.

mod address;
mod ask;
mod error;
mod fetch;
mod http;
mod known;
mod link;
mod names;
mod news;
mod parallel;
mod queue;
mod secrets;
#[cfg(test)]
mod tests;
mod upload;

pub use address::{Address, BadAddress};
pub use ask::{Answer, Question};
pub use error::RemoteError;

use super::Store;
use crate::base::digest::Digest;
use crate::base::event::Event;
use ask::Answers;
use link::Link;
use names::Names;
use news::News;
use object_store::PutMode;
use queue::Queue;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The content of the marker, raised when an older srlm could misread what is there.
const FORMAT: &str = "srlm remote 1";
/// How long it counts that something was not there.
const FRESH: Duration = Duration::from_secs(30);

/// A remote cache and the local store that it serves. Clones are one.
#[derive(Clone)]
pub struct Remote(Arc<Shared>);

struct Shared {
    /// What it is called in messages: its address, in which there are no credentials.
    label: String,
    names: Names,
    link: Link,
    store: Store,
    presence: Mutex<Option<Presence>>,
    answers: Answers,
    /// Blobs and records there that are damaged or gone: an upload replaces them.
    distrusted: Mutex<BTreeSet<Digest>>,
    news: News,
    queue: Queue,
    /// The user does not want to wait any longer.
    abandoned: AtomicBool,
}

/// What the marker said.
#[derive(Clone)]
enum Presence {
    Ready,
    Empty { since: Instant },
    Foreign(RemoteError),
}

impl Remote {
    /// The remote cache at an address. Nothing is asked of it yet.
    pub fn open(address: &Address, store: &Store) -> Remote {
        Remote::with(address.to_string(), address.prefix(), Link::new(address.clone()), store)
    }

    fn with(label: String, prefix: &str, link: Link, store: &Store) -> Remote {
        Remote(Arc::new(Shared {
            names: Names::new(prefix),
            link,
            presence: Mutex::default(),
            answers: Answers::default(),
            distrusted: Mutex::default(),
            news: News::default(),
            queue: Queue::new(store.layout().remote(), &label),
            abandoned: AtomicBool::new(false),
            store: store.clone(),
            label,
        }))
    }

    /// What happened since the last call; warnings come once each.
    pub fn news(&self) -> Vec<Event> {
        self.0.news.take()
    }

    /// Ends what is under way as soon as possible. What was not uploaded stays in the queue.
    pub fn abandon(&self) {
        self.0.abandoned.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Whether there is anything to ask for.
    fn is_there(&self) -> Result<bool, RemoteError> {
        let mut presence = lock(&self.presence);
        match &*presence {
            Some(Presence::Ready) => return Ok(true),
            Some(Presence::Foreign(error)) => return Err(error.clone()),
            Some(Presence::Empty { since }) if since.elapsed() < FRESH => return Ok(false),
            _ => {}
        }
        let found = self.read_marker(&mut presence);
        if let Err(error) = &found {
            // Who does not answer the first question is not asked a thousand more.
            self.link.leave_alone(error);
        }
        found
    }

    fn read_marker(&self, presence: &mut Option<Presence>) -> Result<bool, RemoteError> {
        match self.link.read(&self.names.format(), 1 << 10)? {
            None => {
                *presence = Some(Presence::Empty { since: Instant::now() });
                Ok(false)
            }
            Some(bytes) => {
                let found = String::from_utf8_lossy(&bytes).trim_end().to_string();
                if found == FORMAT {
                    *presence = Some(Presence::Ready);
                    return Ok(true);
                }
                let error = RemoteError::Foreign { found, expected: FORMAT };
                *presence = Some(Presence::Foreign(error.clone()));
                Err(error)
            }
        }
    }

    /// Makes sure that the marker is there, before anything else is written.
    fn prepare(&self) -> Result<(), RemoteError> {
        if self.is_there()? {
            return Ok(());
        }
        let created = self.link.write(&self.names.format(), format!("{FORMAT}\n").as_bytes(), PutMode::Create)?;
        let mut presence = lock(&self.presence);
        if created {
            *presence = Some(Presence::Ready);
            return Ok(());
        }
        self.read_marker(&mut presence).map(drop)
    }

    /// Tells a failure once, and what follows from it.
    fn warn(&self, error: &RemoteError) {
        self.news.warn(format!("the remote cache {} {error}", self.label));
    }

    fn distrusts(&self, digest: &Digest) -> bool {
        lock(&self.distrusted).contains(digest)
    }

    fn distrust(&self, digest: Digest) {
        lock(&self.distrusted).insert(digest);
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
