//! Whatever is typed, the server goes on: random edits and requests, in this process.

use super::server::{Flow, Server};
use super::transport::Incoming;
use lsp_server::{Message, Notification, Request};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, channel};

const TEXT: &str = include_str!("../../tests/fixtures/quick.srlm");
const URI: &str = "file:///nowhere/at/all/a.srlm";
/// Pieces that edits insert.
const PIECES: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "\"",
    "${",
    "\n",
    "\r\n",
    "ä𝛼",
    "\u{feff}",
    "let x = ",
    "sft {",
    "with { ",
    ".",
    "..",
    ":",
    "use std.",
    "64seqs",
    "1e",
    "sweep s {",
    "over seed in ",
    "#",
    "std.arith.",
    "compare c { by: [",
    "|>",
    "",
    "-",
];

fn server() -> (Server, Receiver<Message>) {
    let (outgoing, sent) = channel();
    let mut server = Server::new(outgoing, std::env::temp_dir().join("srlm-lsp-tests"));
    ask(&mut server, "initialize", json!({ "capabilities": {} }));
    (server, sent)
}

fn ask(server: &mut Server, method: &str, params: Value) {
    let request = Request { id: 1.into(), method: method.to_string(), params };
    assert_eq!(server.take(Incoming::Message(Message::Request(request))), Flow::Go);
}

fn tell(server: &mut Server, method: &str, params: Value) {
    let note = Notification { method: method.to_string(), params };
    assert_eq!(server.take(Incoming::Message(Message::Notification(note))), Flow::Go);
}

/// No answer is an internal error, and nothing is told to be a defect.
fn check(sent: &Receiver<Message>) {
    for message in sent.try_iter() {
        match message {
            Message::Response(answer) => {
                let is_defect = answer.response_result.as_ref().is_err_and(|error| error.code == -32603);
                assert!(!is_defect, "{answer:?}");
            }
            Message::Notification(note) => assert!(!note.params.to_string().contains("defect"), "{note:?}"),
            Message::Request(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_edits_end_nothing(edits in proptest::collection::vec((0u32..75, 0u32..40, 0u32..3, 0u32..12, 0..PIECES.len()), 1..12)) {
        let (mut server, sent) = server();
        let document = json!({ "uri": URI, "languageId": "srlm", "version": 1, "text": TEXT });
        tell(&mut server, "textDocument/didOpen", json!({ "textDocument": document }));
        for (version, (line, character, lines, columns, piece)) in edits.into_iter().enumerate() {
            let range = json!({
                "start": { "line": line, "character": character },
                "end": { "line": line + lines, "character": columns },
            });
            let change = json!({
                "textDocument": { "uri": URI, "version": version + 2 },
                "contentChanges": [{ "range": range, "text": PIECES[piece] }],
            });
            tell(&mut server, "textDocument/didChange", change);
            let at = json!({
                "textDocument": { "uri": URI },
                "position": { "line": line, "character": character + 1 },
                "context": { "includeDeclaration": true, "diagnostics": [] },
                "range": range,
                "newName": "fresh_name",
                "options": { "tabSize": 2, "insertSpaces": true },
            });
            for method in ["hover", "completion", "definition", "references", "rename", "prepareRename", "documentSymbol", "codeAction", "formatting"] {
                ask(&mut server, &format!("textDocument/{method}"), at.clone());
            }
        }
        check(&sent);
    }
}
