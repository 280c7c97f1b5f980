//! The one place that waits for the network: single objects in and out, with time limits, retries, and a memory of a
//! remote cache that is down. The runtime behind it starts with the first request.

use super::address::Address;
use super::error::RemoteError;
use super::secrets;
use crate::base::digest::Digest;
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path as Name;
use object_store::{
    Error as ObjectError, GetOptions, GetResultPayload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    WriteMultipart,
};
use std::fs::File;
use std::future::{Future, pending};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};

/// Requests at the same time.
const WIDTH: usize = 64;
/// A file up to this size goes in one piece, a larger one in parts of it.
const PART: usize = 8 << 20;
/// S3 takes 10,000 parts of a file.
const MOST_PARTS: u64 = 9_000;
/// After so many operations in a row that failed, retries included, nothing is asked for a while.
const FAILURES: u32 = 3;

/// How long to try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Tries at one operation.
    pub attempts: u32,
    /// The pause before the second one; each further one is four times as long.
    pub pause: Duration,
    /// The longest wait for one answer, or for the next piece of one.
    pub answer: Duration,
    /// The longest wait until a part of a file is gone; a connection without a sign of life is given up sooner.
    pub sending: Duration,
    /// How long a remote cache that is down is left alone.
    pub rest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (pause, answer) = (Duration::from_millis(250), Duration::from_secs(30));
        Patience { attempts: 3, pause, answer, sending: Duration::from_secs(600), rest: Duration::from_secs(60) }
    }
}

/// A connection that is made when it is first needed.
pub(super) struct Link {
    address: Option<Address>,
    patience: Patience,
    store: Mutex<Option<Arc<dyn ObjectStore>>>,
    runtime: OnceLock<Result<Handle, String>>,
    health: Mutex<Health>,
    moved: AtomicU64,
}

#[derive(Default)]
struct Health {
    failures: u32,
    /// Until when nothing is asked, and why.
    down: Option<(Instant, RemoteError)>,
}

/// Why one try did not do it.
enum Failure {
    /// The next one may.
    Passing(String),
    Final(RemoteError),
}

impl From<ObjectError> for Failure {
    fn from(error: ObjectError) -> Self {
        let why = secrets::root_cause(&error);
        match error {
            ObjectError::PermissionDenied { .. } | ObjectError::Unauthenticated { .. } => {
                Failure::Final(RemoteError::Refused(why))
            }
            ObjectError::NotFound { .. } => Failure::Final(RemoteError::Unusable(why)),
            ObjectError::NotSupported { .. }
            | ObjectError::NotImplemented { .. }
            | ObjectError::InvalidPath { .. }
            | ObjectError::UnknownConfigurationKey { .. } => Failure::Final(RemoteError::Unusable(why)),
            _ => Failure::Passing(why),
        }
    }
}

fn here(error: std::io::Error) -> Failure {
    Failure::Final(RemoteError::Here(error.to_string()))
}

impl Link {
    pub fn new(address: Address) -> Link {
        Link { address: Some(address), ..Link::with(None, Patience::default()) }
    }

    /// A connection to a store that is there already.
    #[cfg(test)]
    pub fn to(store: Arc<dyn ObjectStore>, patience: Patience) -> Link {
        Link::with(Some(store), patience)
    }

    fn with(store: Option<Arc<dyn ObjectStore>>, patience: Patience) -> Link {
        Link {
            address: None,
            patience,
            store: Mutex::new(store),
            runtime: OnceLock::new(),
            health: Mutex::default(),
            moved: AtomicU64::new(0),
        }
    }

    /// Bytes that went either way so far: what moves is not stuck.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// The content of a small object; none where there is no such object.
    pub fn read(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, RemoteError> {
        let mut bytes = Vec::new();
        let found = self.receive(name, limit, &mut |piece| match piece {
            Some(piece) => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
            None => {
                bytes.clear();
                Ok(())
            }
        })?;
        Ok(found.then_some(bytes))
    }

    /// Hands over the content of an object piece by piece; `None` says that it begins anew. False where there is no
    /// such object.
    pub fn receive(
        &self,
        name: &Name,
        limit: u64,
        take: &mut dyn FnMut(Option<&[u8]>) -> std::io::Result<()>,
    ) -> Result<bool, RemoteError> {
        let found = self.retried(false, |store| {
            take(None).map_err(here)?;
            self.receive_once(store, name, limit, &mut |piece| take(Some(piece)))
        });
        Ok(found?.unwrap_or(false))
    }

    fn receive_once(
        &self,
        store: &dyn ObjectStore,
        name: &Name,
        limit: u64,
        take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<bool, Failure> {
        let found = match self.wait(store.get_opts(name, GetOptions::default()))? {
            Err(ObjectError::NotFound { .. }) => return Ok(false),
            found => found?,
        };
        let (expected, mut received) = (found.meta.size, 0);
        let mut accept = |piece: &[u8]| {
            received += piece.len() as u64;
            self.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if received > limit {
                let why = format!("{name} has more than {limit} bytes");
                return Err(Failure::Final(RemoteError::Damaged(why)));
            }
            take(piece).map_err(here)
        };
        match found.payload {
            GetResultPayload::File(mut file, _) => {
                let mut buffer = vec![0; 1 << 20];
                loop {
                    match file.read(&mut buffer).map_err(|error| Failure::Passing(error.to_string()))? {
                        0 => break,
                        read => accept(&buffer[..read])?,
                    }
                }
            }
            GetResultPayload::Stream(mut pieces) => {
                while let Some(piece) = self.wait(pieces.next())? {
                    accept(&piece?)?;
                }
            }
        }
        match received == expected {
            true => Ok(true),
            false => Err(Failure::Passing(format!("{received} of {expected} bytes of {name} came"))),
        }
    }

    /// The size of an object; none where there is no such object.
    pub fn size(&self, name: &Name) -> Result<Option<u64>, RemoteError> {
        let found = self.retried(false, |store| match self.wait(store.head(name))? {
            Err(ObjectError::NotFound { .. }) => Ok(None),
            found => Ok(Some(found?.size)),
        });
        Ok(found?.flatten())
    }

    /// Writes a small object; false where one is there that `mode` does not replace.
    pub fn write(&self, name: &Name, bytes: &[u8], mode: PutMode) -> Result<bool, RemoteError> {
        let payload = PutPayload::from(Bytes::copy_from_slice(bytes));
        let written = self.retried(true, |store| {
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            match self.wait_sent(store.put_opts(name, payload.clone(), options))? {
                Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => Ok(false),
                put => put.map(|_| true).map_err(Failure::from),
            }
        })?;
        self.moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(written.unwrap_or(false))
    }

    /// Writes a file that must have this digest: what has been damaged on this disk goes nowhere.
    pub fn write_file(&self, name: &Name, path: &Path, size: u64, digest: &Digest) -> Result<(), RemoteError> {
        if size <= PART as u64 {
            let bytes = std::fs::read(path).map_err(|error| RemoteError::Here(error.to_string()))?;
            if Digest::of_bytes(&bytes) != *digest {
                return Err(damaged_here(path));
            }
            return self.write(name, &bytes, PutMode::Overwrite).map(drop);
        }
        self.retried(true, |store| self.write_parts(store, name, path, size, digest)).map(drop)
    }

    fn write_parts(
        &self,
        store: &dyn ObjectStore,
        name: &Name,
        path: &Path,
        size: u64,
        digest: &Digest,
    ) -> Result<(), Failure> {
        let mut file = File::open(path).map_err(here)?;
        let part = PART.max((size / MOST_PARTS) as usize);
        let upload = self.wait(store.put_multipart(name))??;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, part);
        let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; 1 << 20]);
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Err(self.abort(upload, here(error))),
            };
            hasher.update(&buffer[..read]);
            let sent = self.wait_sent(async {
                upload.wait_for_capacity(4).await?;
                upload.write(&buffer[..read]);
                Ok::<(), ObjectError>(())
            });
            if let Err(failure) = sent.and_then(|sent| sent.map_err(Failure::from)) {
                return Err(self.abort(upload, failure));
            }
            self.moved.fetch_add(read as u64, Ordering::Relaxed);
        }
        if Digest::from_hasher(&hasher) != *digest {
            return Err(self.abort(upload, Failure::Final(damaged_here(path))));
        }
        self.wait_sent(upload.finish())?.map(drop).map_err(Failure::from)
    }

    /// Gives an upload up, and the parts of it that are there. What stays is for the bucket's own rules to remove.
    fn abort(&self, upload: WriteMultipart, failure: Failure) -> Failure {
        let _ = self.wait(upload.abort());
        failure
    }

    /// Tries until it succeeds, fails for good, or patience is at its end; none where the remote cache is a folder that
    /// does not exist, and is not to be made.
    fn retried<T>(
        &self,
        make: bool,
        mut attempt: impl FnMut(&dyn ObjectStore) -> Result<T, Failure>,
    ) -> Result<Option<T>, RemoteError> {
        self.asked_to_rest()?;
        let Some(store) = self.store(make).map_err(|why| self.note(RemoteError::Unusable(why)))? else {
            return Ok(None);
        };
        let mut pause = self.patience.pause;
        for left in (0..self.patience.attempts).rev() {
            match attempt(&*store) {
                Ok(done) => {
                    self.health().failures = 0;
                    return Ok(Some(done));
                }
                Err(Failure::Final(error)) => return Err(self.note(error)),
                Err(Failure::Passing(why)) if left == 0 => return Err(self.note(RemoteError::Unreachable(why))),
                Err(Failure::Passing(_)) => sleep(pause),
            }
            pause *= 4;
        }
        Err(RemoteError::Unreachable("it was not asked".to_string()))
    }

    fn asked_to_rest(&self) -> Result<(), RemoteError> {
        match &self.health().down {
            Some((until, why)) if Instant::now() < *until => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// Remembers a failure. A remote cache that fails again and again, or that would answer the same to everything, is
    /// left alone for a while.
    fn note(&self, error: RemoteError) -> RemoteError {
        let mut health = self.health();
        let counts = match &error {
            RemoteError::Unreachable(_) => 1,
            RemoteError::Refused(_) | RemoteError::Unusable(_) => FAILURES,
            _ => 0,
        };
        health.failures += counts;
        if counts > 0 && health.failures >= FAILURES {
            health.down = Some((Instant::now() + self.patience.rest, error.clone()));
        }
        error
    }

    /// Leaves the remote cache alone for a while, whatever it said before.
    pub fn leave_alone(&self, error: &RemoteError) {
        self.health().down = Some((Instant::now() + self.patience.rest, error.clone()));
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, make: bool) -> Result<Option<Arc<dyn ObjectStore>>, String> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let (None, Some(address)) = (&*store, &self.address) {
            *store = address.connect(make)?;
        }
        Ok(store.clone())
    }

    /// The outcome of a future that the runtime drives; passing where it takes too long.
    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        self.wait_for(self.patience.answer, future)
    }

    /// As [`Link::wait`], for what may be much to send.
    fn wait_sent<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        self.wait_for(self.patience.sending, future)
    }

    fn wait_for<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Result<T, Failure> {
        let runtime = self.runtime.get_or_init(start_runtime).clone();
        let runtime = runtime.map_err(|why| Failure::Final(RemoteError::Here(why)))?;
        let waited = runtime.block_on(async { tokio::time::timeout(limit, future).await });
        waited.map_err(|_| Failure::Passing(format!("no answer came in {} s", limit.as_secs_f64())))
    }
}

/// A thread that drives time and requests until the process ends.
fn start_runtime() -> Result<Handle, String> {
    let built = Builder::new_current_thread().enable_time().max_blocking_threads(WIDTH).build();
    let runtime = built.map_err(|error| format!("no thread for requests can be started: {error}"))?;
    let handle = runtime.handle().clone();
    let thread = std::thread::Builder::new().name("remote".into()).spawn(move || runtime.block_on(pending::<()>()));
    thread.map_err(|error| format!("no thread for requests can be started: {error}"))?;
    Ok(handle)
}

fn damaged_here(path: &Path) -> RemoteError {
    RemoteError::Here(format!("{} does not have the bytes that its name promises", path.display()))
}
