//! Results that come from the remote cache while stages run: the engine does not wait for any of them.

use crate::store::remote::{Remote, RemoteError};
use crate::store::{Lease, Record};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Instant;

/// Results that come at the same time.
pub const WIDTH: usize = 8;

/// A result on its way.
pub struct Fetching {
    /// The stage whose result it is.
    pub node: usize,
    /// Held so that no other process on this store makes or fetches it, too.
    pub lease: Lease,
    /// When the lease last had a heartbeat.
    pub beaten: Instant,
    done: Receiver<Result<(), RemoteError>>,
}

impl Fetching {
    /// Begins to fetch a record and what it tells of.
    pub fn begin(remote: &Remote, node: usize, record: Record, lease: Lease) -> Fetching {
        let (tell, done) = channel();
        let remote = remote.clone();
        // Where there is no thread for it, the channel closes, and the stage runs.
        let _ = thread::Builder::new().name("fetch".into()).spawn(move || tell.send(remote.fetch(&record)));
        Fetching { node, lease, beaten: Instant::now(), done }
    }

    /// Whether it is here, or will not come.
    pub fn is_over(&self) -> bool {
        !matches!(self.done.try_recv(), Err(TryRecvError::Empty))
    }
}
