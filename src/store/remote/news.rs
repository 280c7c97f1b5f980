//! What a remote cache has to tell: each warning once, and how much went which way.

use super::lock;
use crate::base::event::Event;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Collects until someone listens: the threads that move bytes know no listener.
#[derive(Default)]
pub(super) struct News {
    events: Mutex<Vec<Event>>,
    told: Mutex<BTreeSet<String>>,
    pub fetched: Tally,
    pub uploaded: Tally,
}

/// Results, and bytes of theirs that were moved.
#[derive(Default)]
pub(super) struct Tally {
    results: AtomicUsize,
    bytes: AtomicU64,
}

impl Tally {
    pub fn add(&self, bytes: u64) {
        self.results.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn get(&self) -> (usize, u64) {
        (self.results.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl News {
    pub fn warn(&self, message: String) {
        if lock(&self.told).insert(message.clone()) {
            lock(&self.events).push(Event::RemoteWarning { message });
        }
    }

    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *lock(&self.events))
    }
}
