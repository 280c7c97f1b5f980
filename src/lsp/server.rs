//! The protocol's life: initialize, requests and notifications, shutdown, exit. No message ends it but `exit`.

use super::session::Session;
use super::transport::Incoming;
use lsp_server::{ErrorCode, Message, Notification, Request, Response, ResponseError};
use lsp_types::InitializeParams;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::Sender;

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// There is more to come.
    Go,
    /// The client has said `exit`.
    Exit {
        /// Whether it has said `shutdown` before.
        is_clean: bool,
    },
}

/// The server of one client.
pub struct Server {
    outgoing: Sender<Message>,
    cache: PathBuf,
    session: Option<Session>,
    is_shut_down: bool,
}

impl Server {
    /// A server that waits for `initialize`; files of the standard library are written below `cache`.
    pub fn new(outgoing: Sender<Message>, cache: PathBuf) -> Self {
        Server { outgoing, cache, session: None, is_shut_down: false }
    }

    /// Takes what came in.
    pub fn take(&mut self, incoming: Incoming) -> Flow {
        match incoming {
            Incoming::Message(Message::Request(request)) => self.request(request),
            Incoming::Message(Message::Notification(note)) if note.method == "exit" => {
                return Flow::Exit { is_clean: self.is_shut_down };
            }
            Incoming::Message(Message::Notification(note)) => self.notification(note),
            // The server asks the client nothing.
            Incoming::Message(Message::Response(_)) => {}
            Incoming::Garbage(why) => self.log(&why),
        }
        Flow::Go
    }

    /// Looks at what has changed, and tells the client what is wrong.
    pub fn settle(&mut self) {
        let Some(session) = &mut self.session else { return };
        if catch_unwind(AssertUnwindSafe(|| session.settle())).is_err() {
            self.log("the check has failed: this is a defect of srlm");
        }
    }

    fn request(&mut self, request: Request) {
        let id = request.id.clone();
        let answered = match (request.method.as_str(), &mut self.session) {
            (_, _) if self.is_shut_down => Err(refused(ErrorCode::InvalidRequest, "the server is shut down")),
            ("initialize", None) => self.initialize(request.params).map(Some),
            ("initialize", Some(_)) => Err(refused(ErrorCode::InvalidRequest, "the server is initialized already")),
            (_, None) => Err(refused(ErrorCode::ServerNotInitialized, "`initialize` comes first")),
            ("shutdown", Some(_)) => {
                self.is_shut_down = true;
                Ok(Some(Value::Null))
            }
            (_, Some(session)) => catch_unwind(AssertUnwindSafe(|| session.request(request)))
                .unwrap_or_else(|_| Err(refused(ErrorCode::InternalError, "a defect of srlm, please report it"))),
        };
        let response_result = match answered {
            Ok(Some(value)) => Ok(value),
            Err(error) => Err(error),
            // The answer comes later.
            Ok(None) => return,
        };
        self.send(Message::Response(Response { id, response_result }));
    }

    fn initialize(&mut self, params: Value) -> Result<Value, ResponseError> {
        let params: InitializeParams =
            serde_json::from_value(params).map_err(|error| refused(ErrorCode::InvalidParams, &error.to_string()))?;
        let session = Session::new(&params.capabilities, self.outgoing.clone(), &self.cache)
            .map_err(|why| refused(ErrorCode::InternalError, &why))?;
        let answer = json!({
            "capabilities": session.capabilities(),
            "serverInfo": { "name": "srlm", "version": env!("CARGO_PKG_VERSION") },
        });
        self.session = Some(session);
        Ok(answer)
    }

    fn notification(&mut self, note: Notification) {
        let Some(session) = self.session.as_mut().filter(|_| !self.is_shut_down) else { return };
        let method = note.method.clone();
        match catch_unwind(AssertUnwindSafe(|| session.notification(note))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.log(&format!("{method}: {error}")),
            Err(_) => self.log(&format!("{method} has failed: this is a defect of srlm")),
        }
    }

    fn log(&self, message: &str) {
        let params = json!({ "type": lsp_types::MessageType::WARNING, "message": message });
        self.send(Message::Notification(Notification { method: "window/logMessage".to_string(), params }));
    }

    fn send(&self, message: Message) {
        // A client that is gone needs no answer.
        let _ = self.outgoing.send(message);
    }
}

/// An error as the protocol gives it.
pub fn refused(code: ErrorCode, message: &str) -> ResponseError {
    ResponseError { code: code as i32, message: message.to_string(), data: None }
}
