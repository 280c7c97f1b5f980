//! The language server: what an editor asks of `.srlm` files, answered over a pair of pipes.

mod actions;
mod completion;
mod cursor;
mod definition;
mod describe;
mod diagnostics;
mod documents;
mod formatting;
mod hover;
mod library;
mod place;
mod position;
mod profile;
mod rename;
mod server;
mod session;
mod status;
mod symbols;
#[cfg(test)]
mod tests;
mod transport;
mod view;
mod words;

use server::{Flow, Server};
use std::io::{BufReader, stdin, stdout};
use std::sync::mpsc;
use std::thread;

/// Serves the client at the other end of standard input and output until it says `exit` or is gone. Returns whether
/// it asked for a shutdown first, as the protocol wants it.
pub fn serve() -> bool {
    let (to_server, incoming) = mpsc::channel();
    let (outgoing, from_server) = mpsc::channel();
    // Reading blocks until the client writes or hangs up: the thread ends with the process.
    thread::spawn(move || transport::read_all(BufReader::new(stdin()), &to_server));
    let writer = thread::spawn(move || transport::write_all(stdout(), &from_server));
    let last = outgoing.clone();
    let mut server = Server::new(outgoing, library::cache_folder());
    let is_clean = loop {
        // Whoever types fast sends several changes at once: they are looked at together.
        let next = incoming.try_recv().or_else(|_| {
            server.settle();
            incoming.recv()
        });
        match next.map(|incoming| server.take(incoming)) {
            Ok(Flow::Go) => {}
            Ok(Flow::Exit { is_clean }) => break is_clean,
            Err(_) => break false,
        }
    };
    // What was answered so far is written; a status that is still being looked up is not waited for.
    if last.send(transport::end()).is_ok() {
        // A writer that has failed has nothing left to say.
        let _ = writer.join();
    }
    is_clean
}
