//! `srlm fmt`: files in the one style of the language.

use super::args::Fmt;
use super::output::Output;
use super::{exit, failure};
use crate::driver::Failure;
use crate::driver::format::{as_text, format_text, programs, read_text, rewrite};
use serde_json::json;
use similar::TextDiff;
use std::io::{IsTerminal, Read, stdin};
use std::path::Path;

/// What diagnostics call the text of standard input.
const STDIN: &str = "<stdin>";

/// Formats files in place, or standard input to standard output. A file that is wrong keeps no other from being formatted.
pub fn fmt(args: &Fmt, output: Output) -> Result<u8, Failure> {
    if args.files.is_empty() || args.files == [Path::new("-")] {
        return pass_through(args, output);
    }
    let mut code = exit::OK;
    for path in programs(&args.files)? {
        let ended = one_file(&path, args, output).unwrap_or_else(|failed| failure::report(failed, output));
        code = code.max(ended);
    }
    Ok(code)
}

fn one_file(path: &Path, args: &Fmt, output: Output) -> Result<u8, Failure> {
    let name = path.display().to_string();
    let before = read_text(path)?;
    let after = format_text(&name, &before)?;
    let changed = before != after;
    if changed && !args.check && !args.diff {
        rewrite(path, &after)?;
    }
    let diff = args.diff.then(|| unified(&name, &before, &after));
    if output.json {
        output.json_line(&with_diff(json!({ "file": name, "changed": changed }), diff));
    } else if let Some(diff) = diff {
        output.result(&diff);
    } else if changed {
        output.result(&format!("{name}\n"));
    }
    Ok(verdict(args, changed))
}

fn pass_through(args: &Fmt, output: Output) -> Result<u8, Failure> {
    if args.files.is_empty() && stdin().is_terminal() {
        return Err(Failure::Input("name a file or a folder, or pipe a text into `srlm fmt -`".into()));
    }
    let mut bytes = Vec::new();
    stdin().read_to_end(&mut bytes).map_err(|error| Failure::Machine(format!("standard input: {error}")))?;
    let before = as_text(STDIN, bytes)?;
    let after = format_text(STDIN, &before)?;
    let changed = before != after;
    let diff = args.diff.then(|| unified(STDIN, &before, &after));
    if output.json {
        output.json_line(&with_diff(json!({ "file": STDIN, "changed": changed, "text": after }), diff));
    } else if let Some(diff) = diff {
        output.result(&diff);
    } else if !args.check {
        output.result(&after);
    } else if changed {
        output.result(&format!("{STDIN}\n"));
    }
    Ok(verdict(args, changed))
}

fn verdict(args: &Fmt, changed: bool) -> u8 {
    if args.check && changed { exit::UNFORMATTED } else { exit::OK }
}

fn with_diff(mut object: serde_json::Value, diff: Option<String>) -> serde_json::Value {
    if let Some(diff) = diff {
        object["diff"] = diff.into();
    }
    object
}

/// The change as `patch` reads it; empty where there is none.
fn unified(name: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().header(name, &format!("{name} (formatted)")).to_string()
}
