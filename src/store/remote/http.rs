//! HTTP for object_store by way of ureq, the client that the project has: no second TLS, no second HTTP stack.
//!
//! A request occupies one thread of the runtime's pool until its answer is read. The connection pool, proxies from the
//! environment and TLS are ureq's.

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use ureq::Agent;
use ureq::http::{Method, Request, Response, request, response};

const CONNECT: Duration = Duration::from_secs(5);
/// Without a byte for so long, a connection is given up.
const SILENCE: Duration = Duration::from_secs(20);
const CHUNK: usize = 1 << 16;

/// Makes clients.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // Keys go over the network in the clear only where the user says so (AWS_ALLOW_HTTP and the like).
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(!allow_http)
            .max_redirects(0)
            .max_idle_connections_per_host(64)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .user_agent(concat!("srlm/", env!("CARGO_PKG_VERSION")));
        Ok(HttpClient::new(Client { agent: config.build().new_agent() }))
    }
}

#[derive(Debug)]
struct Client {
    agent: Agent,
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = collect(body).await?;
        let agent = self.agent.clone();
        let (tell_head, head) = oneshot::channel();
        let (chunks, body_of_answer) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || exchange(&agent, parts, &body, tell_head, &chunks));
        let (parts, length) = head.await.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))??;
        let body = HttpResponseBody::new(Incoming { chunks: body_of_answer, length });
        Ok(Response::from_parts(parts, body))
    }
}

/// A request's body in one piece; it is in memory anyway.
async fn collect(mut body: HttpRequestBody) -> Result<Bytes, HttpError> {
    if let Some(bytes) = body.as_bytes() {
        return Ok(bytes.clone());
    }
    let mut pieces = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        pieces.extend(frame?.into_data().ok());
    }
    Ok(if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() })
}

type Head = (response::Parts, Option<u64>);

/// Sends a request and passes its answer on: first the head, then piece by piece the body.
fn exchange(
    agent: &Agent,
    parts: request::Parts,
    body: &Bytes,
    tell_head: oneshot::Sender<Result<Head, HttpError>>,
    chunks: &mpsc::Sender<Result<Bytes, HttpError>>,
) {
    let bodiless = matches!(parts.method, Method::HEAD | Method::GET | Method::DELETE);
    let is_head = parts.method == Method::HEAD;
    let answered = match bodiless && body.is_empty() {
        true => agent.run(Request::from_parts(parts, ())),
        false => agent.run(Request::from_parts(parts, &body[..])),
    };
    let (parts, body) = match answered {
        Ok(answer) => answer.into_parts(),
        // Whoever asked may have gone; then nobody is to be told.
        Err(error) => return drop(tell_head.send(Err(failed(error)))),
    };
    let length = body.content_length().filter(|_| !is_head);
    if tell_head.send(Ok((parts, length))).is_err() || is_head {
        return;
    }
    let mut reader = body.into_with_config().limit(u64::MAX).reader();
    let passed_on = pass_on(&mut reader, length, chunks);
    if let Err(error) = passed_on {
        let _ = chunks.blocking_send(Err(HttpError::new(HttpErrorKind::Interrupted, error)));
    }
}

fn pass_on(
    reader: &mut impl Read,
    length: Option<u64>,
    chunks: &mpsc::Sender<Result<Bytes, HttpError>>,
) -> io::Result<()> {
    let mut passed = 0;
    loop {
        let mut buffer = vec![0; CHUNK];
        let read = match reader.read(&mut buffer) {
            Ok(0) if length.is_some_and(|length| passed < length) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        passed += read as u64;
        buffer.truncate(read);
        if chunks.blocking_send(Ok(buffer.into())).is_err() {
            return Ok(());
        }
    }
}

fn failed(error: ureq::Error) -> HttpError {
    let kind = match &error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => HttpErrorKind::Connect,
        ureq::Error::Io(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}

/// The body of an answer, as it comes in.
struct Incoming {
    chunks: mpsc::Receiver<Result<Bytes, HttpError>>,
    length: Option<u64>,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.chunks.poll_recv(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
