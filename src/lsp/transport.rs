//! Messages over a pair of pipes: what is no message is skipped, and the next one is read.

use lsp_server::{Message, Notification};
use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{Receiver, Sender};

/// A message beyond this is skipped: no file that a person edits is so large.
const MAX_BYTES: u64 = 256 << 20;

/// What came in.
#[derive(Debug)]
pub enum Incoming {
    /// A message.
    Message(Message),
    /// Something else, and what is wrong with it.
    Garbage(String),
}

/// Reads until the input ends or nobody listens any more.
pub fn read_all(mut input: impl BufRead, to: &Sender<Incoming>) {
    while let Ok(Some(incoming)) = read(&mut input) {
        if to.send(incoming).is_err() {
            return;
        }
    }
}

/// The method of the message that ends the writer: no server sends it to its client.
const END: &str = "exit";

/// What ends [`write_all`] behind all that was sent before.
pub fn end() -> Message {
    Message::Notification(Notification { method: END.to_string(), params: serde_json::Value::Null })
}

/// Writes until [`end`] comes or the output is closed.
pub fn write_all(mut output: impl Write, from: &Receiver<Message>) {
    for message in from {
        let is_end = matches!(&message, Message::Notification(note) if note.method == END);
        if is_end || message.write(&mut output).is_err() {
            return;
        }
    }
}

fn read(input: &mut impl BufRead) -> io::Result<Option<Incoming>> {
    let mut length = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.take(MAX_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let header = String::from_utf8_lossy(&line);
        match (header.trim(), length) {
            ("", Some(length)) => return body(input, length).map(Some),
            ("", None) => {}
            (header, _) => length = content_length(header).or(length),
        }
    }
}

fn content_length(header: &str) -> Option<u64> {
    let (name, value) = header.split_once(':')?;
    name.trim().eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
}

fn body(input: &mut impl BufRead, length: u64) -> io::Result<Incoming> {
    if length > MAX_BYTES {
        io::copy(&mut input.take(length), &mut io::sink())?;
        return Ok(Incoming::Garbage(format!("a message of {length} bytes is too long")));
    }
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    Ok(match serde_json::from_slice(&bytes) {
        Ok(message) => Incoming::Message(message),
        Err(error) => Incoming::Garbage(format!("this is no message: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn garbage_hides_no_message() {
        let good = r#"{"jsonrpc":"2.0","method":"exit"}"#;
        let text = format!(
            "noise\r\n\r\nContent-Length: 3\r\n\r\n{{x}}Content-Length: x\r\nContent-Length: {}\r\n\r\n{good}",
            good.len()
        );
        let (to, from) = mpsc::channel();
        // One byte of the broken message is left over and read as a part of the next header line.
        read_all(io::Cursor::new(text.replace("{x}}", "{x}")), &to);
        drop(to);
        let got: Vec<Incoming> = from.into_iter().collect();
        assert!(matches!(got[0], Incoming::Garbage(_)));
        assert!(matches!(&got[1], Incoming::Message(Message::Notification(note)) if note.method == "exit"));
    }

    #[test]
    fn a_length_that_lies_ends_in_peace() {
        let (to, from) = mpsc::channel();
        read_all(io::Cursor::new("Content-Length: 18446744073709551615\r\n\r\n{}"), &to);
        read_all(io::Cursor::new("Content-Length: 100\r\n\r\n{}"), &to);
        drop(to);
        assert!(from.into_iter().all(|incoming| matches!(incoming, Incoming::Garbage(_) | Incoming::Message(_))));
    }
}
