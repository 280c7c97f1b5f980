//! `srlm worker`: the process that runs one stage.

use super::{exit, signals};
use crate::exec;
use std::io::{BufReader, stdin, stdout};

/// Runs the job on standard input; what goes wrong is told on standard output, to the run that started this process.
pub fn worker() -> u8 {
    // Without handlers a request to end still ends the process; only the last state is an older one.
    let stop = signals::flag().unwrap_or_default();
    match exec::worker::run(BufReader::new(stdin()), stdout(), &stop) {
        true => exit::OK,
        false => exit::STAGE_FAILED,
    }
}
