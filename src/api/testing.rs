//! A server for tests that speaks OpenAI's API and misbehaves on demand.

use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How many came before it.
    pub index: usize,
    /// How many with the same body came before it.
    pub tries: usize,
    /// The path.
    pub path: String,
    /// The header of that name.
    pub authorization: Option<String>,
    /// The body.
    pub body: Json,
}

/// What is done about a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// A completion that repeats the prompt.
    Answer,
    /// A completion of that text, with that reason for its end.
    Say(String, &'static str),
    /// A status with headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// An answer after a while.
    Slow(Duration),
    /// A good status, and JSON that ends in the middle.
    HalfJson,
    /// Half of the bytes that were announced.
    HalfBody,
    /// The end of the connection without a word.
    Close,
}

#[derive(Default)]
struct Seen {
    asked: Vec<Asked>,
    bodies: HashMap<String, usize>,
    at_once: usize,
    most_at_once: usize,
}

/// A server on this machine; it serves until the process ends.
pub struct Server {
    /// Its base address.
    pub url: String,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    /// A server that does as `script` says. It resets the first `resets` connections.
    pub fn start(resets: usize, script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (seen, script) = (Arc::new(Mutex::new(Seen::default())), Arc::new(script));
        let ours = Arc::clone(&seen);
        std::thread::spawn(move || {
            for (count, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { continue };
                if count < resets {
                    // Closed with bytes that nobody read, a connection is reset.
                    let _ = stream.peek(&mut [0]);
                    continue;
                }
                let (seen, script) = (Arc::clone(&ours), Arc::clone(&script));
                std::thread::spawn(move || serve(stream, &seen, &*script));
            }
        });
        Server { url, seen }
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().asked.clone()
    }

    /// The most requests that were here at one time.
    pub fn most_at_once(&self) -> usize {
        self.seen.lock().unwrap().most_at_once
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Seen>, script: &dyn Fn(&Asked) -> Act) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some((path, authorization, body)) = read_request(&mut reader) {
        let asked = {
            let mut seen = seen.lock().unwrap();
            let tries = seen.bodies.entry(body.clone()).or_default();
            *tries += 1;
            let tries = *tries - 1;
            let body = serde_json::from_str(&body).unwrap_or_default();
            let asked = Asked { index: seen.asked.len(), tries, path, authorization, body };
            seen.asked.push(asked.clone());
            seen.at_once += 1;
            seen.most_at_once = seen.most_at_once.max(seen.at_once);
            asked
        };
        let goes_on = act(&mut stream, &asked, script(&asked));
        seen.lock().unwrap().at_once -= 1;
        if !goes_on {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<(String, Option<String>, String)> {
    let (mut first, mut length, mut authorization) = (String::new(), 0, None);
    reader.read_line(&mut first).ok()?;
    let path = first.split(' ').nth(1)?.to_string();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = Some(value.to_string()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, authorization, String::from_utf8(body).ok()?))
}

/// Whether the connection stays open.
fn act(stream: &mut TcpStream, asked: &Asked, act: Act) -> bool {
    let good = completion(asked, &format!("Echo: {}", prompt(asked)), "stop");
    let (status, headers, body, sent) = match act {
        Act::Answer => (200, vec![], good, None),
        Act::Say(text, finish) => (200, vec![], completion(asked, &text, finish), None),
        Act::Status(status, headers, body) => (status, headers, body, None),
        Act::Slow(pause) => {
            std::thread::sleep(pause);
            (200, vec![], good, None)
        }
        Act::HalfJson => (200, vec![], good[..good.len() / 2].to_string(), None),
        Act::HalfBody => {
            let half = good.len() / 2;
            (200, vec![], good, Some(half))
        }
        Act::Close => return false,
    };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    let sent_bytes = &body.as_bytes()[..sent.unwrap_or(body.len())];
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent_bytes)).is_ok() && sent.is_none()
}

/// The last turn of a conversation, or the plain text.
pub fn prompt(asked: &Asked) -> String {
    let turn = asked.body["messages"].as_array().and_then(|turns| turns.last()).map(|turn| &turn["content"]);
    turn.unwrap_or(&asked.body["prompt"]).as_str().unwrap_or_default().to_string()
}

fn completion(asked: &Asked, text: &str, finish: &str) -> String {
    let choice = match asked.path.ends_with("chat/completions") {
        true => json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": finish }),
        false => json!({ "index": 0, "text": text, "finish_reason": finish }),
    };
    let usage = json!({ "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8 });
    json!({ "id": "c", "object": "chat.completion", "model": asked.body["model"], "choices": [choice], "usage": usage })
        .to_string()
}
