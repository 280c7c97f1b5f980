//! One request and what came of it: an answer, a refusal, or a reason to ask again later.

use super::address::Address;
use super::answer::{Answer, message_of};
use super::patience::retry_after;
use super::request::{MAX_COMPLETION_TOKENS, MAX_TOKENS, Request};
use super::secret::Secret;
use serde_json::Value as Json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use ureq::Agent;
use ureq::http::Response;

/// Longer bodies are no answers.
const LONGEST_BODY: u64 = 64 << 20;
/// Letters of a server's message that are shown.
const SHOWN: usize = 300;
/// Words by which servers say that a prompt leaves no room.
const TOO_LONG: [&str; 5] =
    ["context_length_exceeded", "exceed_context_size", "maximum context length", "context size", "context window"];

/// A client of one server.
pub struct Client {
    agent: Agent,
    /// The server, for messages.
    address: Address,
    /// Where requests go.
    call: String,
    model: String,
    secret: Option<Secret>,
    /// The variable that the key comes from, for messages.
    key_env: Option<String>,
    /// Whether the server has asked for the newer name of the length limit.
    newer_length: AtomicBool,
}

/// What came of a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// A completion.
    Answer(Answer),
    /// This prompt has no answer: it leaves no room, or the server's filter takes it. Others may have one.
    LeftOut(String),
    /// Neither this nor any other request can be answered.
    Refused(String),
    /// It may be answered later.
    Again {
        /// What happened.
        why: String,
        /// How long the server asks to wait.
        after: Option<Duration>,
        /// Whether a server was there at all.
        reached: bool,
    },
}

impl Client {
    /// A client that gives up a request after `timeout`; `key_env` names the variable that `secret` was read from. Up
    /// to `connections` are kept open.
    pub fn new(
        address: Address,
        (model, chat): (&str, bool),
        (key_env, secret): (Option<&str>, Option<Secret>),
        timeout: Duration,
        connections: usize,
    ) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(timeout.min(Duration::from_secs(20))))
            .timeout_global(Some(timeout))
            // A redirect would turn a request into another one, or take the key elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .user_agent(concat!("srlm/", env!("CARGO_PKG_VERSION")))
            .build();
        Client {
            agent: config.new_agent(),
            call: address.call(if chat { "chat/completions" } else { "completions" }),
            address,
            model: model.to_string(),
            secret,
            key_env: key_env.map(String::from),
            newer_length: AtomicBool::new(false),
        }
    }

    /// The server.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Asks once.
    pub(super) fn ask(&self, request: &Request) -> Reply {
        let newer = self.newer_length.load(Ordering::Relaxed);
        match self.send(&request.body(newer)) {
            // Some models take the length under another name only, and say so.
            Reply::Refused(message)
                if !newer && message.contains(MAX_COMPLETION_TOKENS) && message.contains(MAX_TOKENS) =>
            {
                self.newer_length.store(true, Ordering::Relaxed);
                self.send(&request.body(true))
            }
            reply => reply,
        }
    }

    fn send(&self, body: &Json) -> Reply {
        let mut post = self.agent.post(&self.call).header("content-type", "application/json");
        if let Some(secret) = &self.secret {
            let Some(bearer) = secret.bearer() else { return Reply::Refused(self.unfit_key()) };
            post = post.header("authorization", bearer);
        }
        let mut response = match post.send(body.to_string()) {
            Ok(response) => response,
            Err(error) => return self.failed(&error),
        };
        let text = match response.body_mut().with_config().limit(LONGEST_BODY).read_to_string() {
            Ok(text) => text,
            Err(error) => return self.again(format!("broke off its answer: {}", self.cut(&error.to_string())), None),
        };
        self.judge(&response, &text)
    }

    fn judge<B>(&self, response: &Response<B>, text: &str) -> Reply {
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let said = self.said(text);
        match status {
            200..=299 => match Answer::read(text) {
                Ok(answer) => Reply::Answer(answer),
                Err(why) => self.again(format!("gave {}", self.cut(&why)), None),
            },
            300..=399 => Reply::Refused(format!(
                "{} sends requests on to another address ({status}): write that one as `url`",
                self.address
            )),
            401 | 403 => Reply::Refused(self.denied(status, &said)),
            // A quota that is used up does not come back by waiting.
            429 if text.contains("insufficient_quota") => {
                Reply::Refused(format!("{} has no quota left for this key ({status}){said}", self.address))
            }
            408 | 409 | 425 | 429 | 500.. => {
                self.again(format!("answered {status}{said}"), retry_after(header, SystemTime::now()))
            }
            400 | 413 | 422 if TOO_LONG.iter().any(|words| text.contains(words)) => Reply::LeftOut(said),
            400 if text.contains("content_filter") => Reply::LeftOut(said),
            404 | 405 => Reply::Refused(format!(
                "{} has no model `{}`, or does not know {} ({status}){said}; look at `model` and `url`, which ends in \
                 \"/v1\" mostly, and at `plain` for a server of plain completions",
                self.address, self.model, self.call
            )),
            _ => Reply::Refused(format!("{} refuses a request to `{}` ({status}){said}", self.address, self.model)),
        }
    }

    fn denied(&self, status: u16, said: &str) -> String {
        let cure = match (&self.key_env, &self.secret) {
            (None, _) => "name the environment variable that holds a key with `key_env`".to_string(),
            (Some(name), None) => format!("the environment variable {name}, which `key_env` names, is not set"),
            (Some(name), Some(_)) => format!("look at the key in {name}, and whether it may use this model"),
        };
        format!("{} refuses the key to `{}` ({status}){said}; {cure}", self.address, self.model)
    }

    fn unfit_key(&self) -> String {
        let name = self.key_env.as_deref().unwrap_or_default();
        format!("the value of the environment variable {name} cannot be a key: it holds blanks or other odd characters")
    }

    fn failed(&self, error: &ureq::Error) -> Reply {
        use ureq::Error::{ConnectionFailed, HostNotFound, Io, Timeout};
        let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
        match error {
            Timeout(_) => self.again("did not answer in time".to_string(), None),
            HostNotFound | ConnectionFailed => self.absent(&error.to_string()),
            Io(inner) if refused(inner) => self.absent(&error.to_string()),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
                Reply::Refused(format!("{} cannot be asked: {}", self.address, self.cut(&error.to_string())))
            }
            error => self.again(format!("cannot be asked: {}", self.cut(&error.to_string())), None),
        }
    }

    fn absent(&self, why: &str) -> Reply {
        let why = format!("no server answers at {}: {}", self.address, self.cut(why));
        Reply::Again { why, after: None, reached: false }
    }

    fn again(&self, why: String, after: Option<Duration>) -> Reply {
        Reply::Again { why: format!("{} {why}", self.address), after, reached: true }
    }

    /// What the body of an error says, behind a colon; nothing where it says nothing.
    fn said(&self, body: &str) -> String {
        let message = match serde_json::from_str::<Json>(body) {
            Ok(json) => {
                let inner = ["error", "detail", "message"].iter().find_map(|name| json.get(*name));
                message_of(inner.unwrap_or(&json))
            }
            // A page of a proxy's tells nothing in its first lines.
            Err(_) if body.trim_start().starts_with('<') => String::new(),
            Err(_) => body.to_string(),
        };
        let message = self.cut(&message);
        if message.is_empty() { message } else { format!(": {message}") }
    }

    /// A text on one line, not too long, and without the key. The key goes before the text is cut: half of it is a
    /// secret, too.
    fn cut(&self, text: &str) -> String {
        let text = self.secret.as_ref().map_or_else(|| text.to_string(), |secret| secret.hide(text));
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}
