//! Failures in words, and the exit code each deserves.

use super::exit;
use super::output::Output;
use crate::diag::render::{render, to_json};
use crate::driver::{Checked, Failure, MAX_PER_FILE};
use crate::stage::StageError;

/// Tells what went wrong and returns the exit code.
pub fn report(failure: Failure, output: Output) -> u8 {
    match failure {
        Failure::File(checked) => {
            if output.json {
                checked.diagnostics.iter().for_each(|found| output.json_line(&to_json(found, &checked.sources)));
            } else {
                tell_diagnostics(&checked, output);
                output.say(&counted(&checked));
                output.say(&hint(&checked));
            }
            exit::INPUT
        }
        Failure::Input(message) => {
            output.error(&message);
            exit::INPUT
        }
        Failure::Machine(message) => {
            output.error(&message);
            exit::MACHINE
        }
    }
}

/// What a stage that was started by hand says of its end.
pub fn of_stage(error: StageError) -> Failure {
    if error.is_of_the_machine() { Failure::Machine(error.to_string()) } else { Failure::Input(error.to_string()) }
}

/// Shows the errors and warnings of a file with the lines they point at.
pub fn tell_diagnostics(checked: &Checked, output: Output) {
    if !checked.diagnostics.is_empty() {
        output.say(&render(&checked.diagnostics, &checked.sources, output.look(), output.width()));
    }
}

/// Where there is more to read about what was found.
fn hint(checked: &Checked) -> String {
    let mut codes: Vec<&str> = Vec::new();
    for found in checked.diagnostics.iter().filter(|found| found.is_error()) {
        if !codes.contains(&found.code) {
            codes.push(found.code);
        }
    }
    let more = if codes.len() > 3 { ", …" } else { "" };
    format!(
        "more about {}{more}: srlm explain {}",
        codes[..codes.len().min(3)].join(", "),
        codes.first().unwrap_or(&"")
    )
}

/// `2 errors, 1 warning`
pub fn counted(checked: &Checked) -> String {
    let errors = checked.diagnostics.iter().filter(|found| found.is_error()).count();
    let warnings = checked.diagnostics.len() - errors;
    let count = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}{}", if n == 1 { "" } else { "s" }));
    let cut = (errors >= MAX_PER_FILE).then(|| format!("at most {MAX_PER_FILE} a file are shown"));
    [count(errors, "error"), count(warnings, "warning"), cut].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
