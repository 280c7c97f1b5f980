//! A store that fails as a network does: by a script, or always.

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What may happen to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// `500` before anything was done.
    Internal,
    /// `503` after it was done: whoever asked cannot know.
    Unavailable,
    /// The second half of the body does not come.
    Truncated,
    /// One bit of the body is another one.
    Flipped,
    /// The connection breaks within the body.
    Broken,
    /// It takes a while.
    Slow,
}

/// Another store with faults in front of it.
#[derive(Debug)]
pub struct Faulty<S> {
    inner: Arc<S>,
    script: Mutex<VecDeque<Fault>>,
    /// Nothing is answered.
    pub down: AtomicBool,
    /// Every answer takes so many milliseconds.
    pub delay: AtomicUsize,
    /// Requests so far.
    pub requests: AtomicUsize,
}

impl<S: ObjectStore> Faulty<S> {
    pub fn new(inner: &Arc<S>, script: impl IntoIterator<Item = Fault>) -> Arc<Self> {
        Arc::new(Faulty {
            inner: Arc::clone(inner),
            script: Mutex::new(script.into_iter().collect()),
            down: AtomicBool::new(false),
            delay: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
        })
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn heal(&self) {
        self.script.lock().unwrap().clear();
        self.down.store(false, Ordering::Relaxed);
    }

    /// The next fault; those of the sort that comes before an answer are over with.
    async fn next(&self) -> Result<Fault> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let fault = self.script.lock().unwrap().pop_front().unwrap_or(Fault::None);
        let delay = self.delay.load(Ordering::Relaxed) as u64 + if fault == Fault::Slow { 2 } else { 0 };
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        match fault {
            _ if self.down.load(Ordering::Relaxed) => Err(error("connection refused")),
            Fault::Internal => Err(error("500 Internal Server Error")),
            fault => Ok(fault),
        }
    }
}

fn error(text: &'static str) -> Error {
    Error::Generic { store: "faulty", source: text.into() }
}

/// What the caller of a write hears.
fn heard<T>(fault: Fault, done: Result<T>) -> Result<T> {
    if fault == Fault::Unavailable { Err(error("503 Service Unavailable")) } else { done }
}

impl<S: ObjectStore> fmt::Display for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Faulty<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fault = self.next().await?;
        heard(fault, self.inner.put_opts(location, payload, options).await)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let fault = self.next().await?;
        let upload = heard(fault, self.inner.put_multipart_opts(location, options).await)?;
        Ok(Box::new(FaultyUpload { inner: upload, fault }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let fault = self.next().await?;
        let head = options.head;
        let found = heard(fault, self.inner.get_opts(location, options).await)?;
        if head || matches!(fault, Fault::None | Fault::Slow) {
            return Ok(found);
        }
        let (meta, range, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
        let extensions = found.extensions.clone();
        let mut bytes = found.bytes().await?.to_vec();
        match fault {
            Fault::Flipped if !bytes.is_empty() => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            _ => bytes.truncate(bytes.len() / 2),
        }
        let mut pieces = vec![Ok(bytes.into())];
        pieces.extend((fault == Fault::Broken).then(|| Err(error("connection reset"))));
        let payload = GetResultPayload::Stream(stream::iter(pieces).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// An upload in parts whose completion may fail, before or after it was done.
#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    fault: Fault,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        match self.fault {
            Fault::Broken | Fault::Truncated => Err(error("connection reset")),
            _ => self.inner.complete().await,
        }
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
