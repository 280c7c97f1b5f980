//! What is open, what it means, and which file of this room answers which request.

use super::documents::Documents;
use super::library::Library;
use super::position::Encoding;
use super::server::refused;
use super::status::{Lookup, Waiting};
use super::view::View;
use super::{actions, completion, definition, diagnostics, formatting, hover, place, rename, symbols};
use crate::lang::signature::Catalogue;
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, ResponseError};
use lsp_types::notification::{self as notes, Notification as _};
use lsp_types::request::{self as asked, Request as _};
use lsp_types::{ClientCapabilities, Diagnostic, ServerCapabilities, TextDocumentPositionParams, Uri};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// One client's documents.
pub struct Session {
    /// What columns count.
    pub encoding: Encoding,
    /// Whether completions may hold `$1`.
    pub has_snippets: bool,
    /// The open texts.
    pub documents: Documents,
    /// Stage kinds and variants.
    pub catalogue: Catalogue,
    /// The standard library.
    pub library: Library,
    /// What the open files mean; a file that is missing is to be looked at, a `None` has shown a defect.
    views: BTreeMap<String, Option<Arc<View>>>,
    /// The last view of each file in which every item parsed.
    whole: BTreeMap<String, Arc<View>>,
    published: BTreeMap<String, (Uri, Vec<Diagnostic>)>,
    /// Whether a document was closed whose findings the client still shows.
    is_closed: bool,
    outgoing: Sender<Message>,
    lookup: Lookup,
}

impl Session {
    /// A session with nothing open.
    ///
    /// # Errors
    /// Where the standard library cannot be read.
    pub fn new(client: &ClientCapabilities, outgoing: Sender<Message>, cache: &Path) -> Result<Session, String> {
        let encoding = Encoding::agreed(client);
        let catalogue = crate::stage::catalogue();
        let completion = client.text_document.as_ref().and_then(|document| document.completion.as_ref());
        let item = completion.and_then(|completion| completion.completion_item.as_ref());
        Ok(Session {
            encoding,
            has_snippets: item.and_then(|item| item.snippet_support).unwrap_or(false),
            documents: Documents::default(),
            library: Library::new(&catalogue, encoding, cache)?,
            catalogue,
            views: BTreeMap::new(),
            whole: BTreeMap::new(),
            published: BTreeMap::new(),
            is_closed: false,
            lookup: Lookup::new(outgoing.clone()),
            outgoing,
        })
    }

    /// What the server can do.
    pub fn capabilities(&self) -> Value {
        let mut offered = json!({
            "positionEncoding": self.encoding.kind(),
            "textDocumentSync": { "openClose": true, "change": 2, "save": true },
            "hoverProvider": true,
            "completionProvider": { "triggerCharacters": [".", "\"", "{", "(", ":"] },
            "definitionProvider": true,
            "referencesProvider": true,
            "renameProvider": { "prepareProvider": true },
            "documentSymbolProvider": true,
            "codeActionProvider": { "codeActionKinds": ["quickfix"] },
            "documentFormattingProvider": true,
        });
        // What is written here is what the protocol knows: a misspelt name would be lost.
        if let Ok(known) = serde_json::from_value::<ServerCapabilities>(offered.clone()) {
            offered = json!(known);
        }
        offered
    }

    /// Answers a request; `None` where the answer is sent later.
    ///
    /// # Errors
    /// As the protocol gives them: an unknown method, parameters that do not fit, or a refusal in words.
    pub fn request(&mut self, request: Request) -> Result<Option<Value>, ResponseError> {
        self.settle();
        let Request { id, method, params } = request;
        let answer = match method.as_str() {
            asked::HoverRequest::METHOD => return self.hover(id, params),
            asked::Completion::METHOD => self.answer::<asked::Completion>(params, completion::complete),
            asked::GotoDefinition::METHOD => self.answer::<asked::GotoDefinition>(params, definition::definition),
            asked::References::METHOD => self.answer::<asked::References>(params, definition::references),
            asked::PrepareRenameRequest::METHOD => self.answer::<asked::PrepareRenameRequest>(params, rename::prepare),
            asked::Rename::METHOD => self.answer::<asked::Rename>(params, rename::rename),
            asked::DocumentSymbolRequest::METHOD => {
                self.answer::<asked::DocumentSymbolRequest>(params, symbols::symbols)
            }
            asked::CodeActionRequest::METHOD => self.answer::<asked::CodeActionRequest>(params, actions::actions),
            asked::Formatting::METHOD => self.answer::<asked::Formatting>(params, formatting::formatting),
            _ => Err(refused(ErrorCode::MethodNotFound, &format!("there is no method {method}"))),
        };
        answer.map(Some)
    }

    fn answer<R: asked::Request>(
        &self,
        params: Value,
        handler: fn(&Session, R::Params) -> Result<R::Result, String>,
    ) -> Result<Value, ResponseError> {
        let result = handler(self, parsed(params)?).map_err(|why| refused(ErrorCode::RequestFailed, &why))?;
        serde_json::to_value(result).map_err(|error| refused(ErrorCode::InternalError, &error.to_string()))
    }

    /// Says what is known at once, unless results in the store are to be looked up: that takes a thread of its own.
    fn hover(&mut self, id: RequestId, params: Value) -> Result<Option<Value>, ResponseError> {
        let params: lsp_types::HoverParams = parsed(params)?;
        match hover::hover(self, &params.text_document_position_params) {
            None => Ok(Some(Value::Null)),
            Some((hover, None)) => Ok(Some(json!(hover))),
            Some((hover, Some(question))) => {
                self.lookup.ask(Waiting { id, hover, question });
                Ok(None)
            }
        }
    }

    /// Takes a notification; unknown ones may be ignored.
    ///
    /// # Errors
    /// Where the parameters do not fit.
    pub fn notification(&mut self, note: Notification) -> Result<(), serde_json::Error> {
        let Notification { method, params } = note;
        match method.as_str() {
            notes::DidOpenTextDocument::METHOD => {
                let opened = serde_json::from_value::<lsp_types::DidOpenTextDocumentParams>(params)?.text_document;
                let path = place::path_of(&opened.uri);
                self.documents.open(&path, opened.uri, opened.version, &opened.text, self.encoding);
                // A file that was missing, or differed on the disk, is another one now for all that read it.
                self.views.clear();
            }
            notes::DidChangeTextDocument::METHOD => {
                let changed: lsp_types::DidChangeTextDocumentParams = serde_json::from_value(params)?;
                let path = place::path_of(&changed.text_document.uri);
                let version = changed.text_document.version;
                self.documents.change(&path, version, changed.content_changes, self.encoding);
                self.forget(&path);
            }
            notes::DidCloseTextDocument::METHOD => {
                let closed: lsp_types::DidCloseTextDocumentParams = serde_json::from_value(params)?;
                let path = place::path_of(&closed.text_document.uri);
                self.documents.close(&path);
                self.whole.remove(&path);
                self.views.clear();
                self.is_closed = true;
            }
            notes::DidSaveTextDocument::METHOD | notes::DidChangeWatchedFiles::METHOD => self.views.clear(),
            _ => {}
        }
        Ok(())
    }

    /// Has every program that reads a file looked at again.
    fn forget(&mut self, path: &str) {
        self.views.retain(|own, view| own != path && view.as_ref().is_some_and(|view| !view.reads(path)));
    }

    /// Looks at what has changed, and tells the client what is wrong.
    pub fn settle(&mut self) {
        let stale: Vec<String> = self
            .documents
            .iter()
            .map(|(path, _)| path)
            .filter(|path| !self.views.contains_key(*path))
            .cloned()
            .collect();
        if stale.is_empty() && !self.is_closed {
            return;
        }
        self.is_closed = false;
        for path in &stale {
            let (documents, catalogue, encoding) = (&self.documents, &self.catalogue, self.encoding);
            let view = catch_unwind(AssertUnwindSafe(|| View::new(path, documents, catalogue, encoding)));
            let view = view.ok().map(Arc::new);
            if let Some(view) = view.as_ref().filter(|view| view.is_whole()) {
                self.whole.insert(path.clone(), view.clone());
            }
            self.views.insert(path.clone(), view);
        }
        self.publish(&stale.into_iter().collect());
    }

    /// Sends the findings of files that were looked at or whose findings have changed.
    fn publish(&mut self, looked_at: &BTreeSet<String>) {
        let found = diagnostics::by_file(self);
        let gone: Vec<String> = self.published.keys().filter(|path| !found.contains_key(*path)).cloned().collect();
        for path in gone {
            if let Some((uri, _)) = self.published.remove(&path) {
                self.send_diagnostics(uri, Vec::new(), None);
            }
        }
        for (path, (uri, list)) in found {
            let is_news = self.published.get(&path).is_none_or(|(_, before)| *before != list);
            if is_news || looked_at.contains(&path) {
                let version = self.documents.get(&path).map(|document| document.version);
                self.send_diagnostics(uri.clone(), list.clone(), version);
                self.published.insert(path, (uri, list));
            }
        }
    }

    fn send_diagnostics(&self, uri: Uri, diagnostics: Vec<Diagnostic>, version: Option<i32>) {
        let params = json!(lsp_types::PublishDiagnosticsParams { uri, diagnostics, version });
        let method = notes::PublishDiagnostics::METHOD.to_string();
        // A client that is gone needs to know nothing.
        let _ = self.outgoing.send(Message::Notification(Notification { method, params }));
    }

    /// What the open files mean.
    pub fn views(&self) -> impl Iterator<Item = &Arc<View>> {
        self.views.values().flatten()
    }

    /// What an open file means now.
    pub fn view(&self, uri: &Uri) -> Option<&Arc<View>> {
        self.views.get(&place::path_of(uri))?.as_ref()
    }

    /// What it meant when every item of it parsed.
    pub fn whole(&self, uri: &Uri) -> Option<&Arc<View>> {
        self.whole.get(&place::path_of(uri))
    }

    /// The view of a document and the byte that a position means in it.
    pub fn offset(&self, at: &TextDocumentPositionParams) -> Option<(&Arc<View>, usize)> {
        let view = self.view(&at.text_document.uri)?;
        Some((view, view.lines(view.entry?).offset(at.position)))
    }
}

fn parsed<T: serde::de::DeserializeOwned>(params: Value) -> Result<T, ResponseError> {
    serde_json::from_value(params).map_err(|error| refused(ErrorCode::InvalidParams, &error.to_string()))
}
