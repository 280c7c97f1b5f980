//! `srlm lock`: the sources on the Hub, held to their bytes.

use super::args::Program;
use super::exit;
use super::output::Output;
use crate::driver::{self, Change, Failure, Locked};
use crate::report::number::count;

/// Writes the lock and says what is in it; JSON is one object a source.
pub fn lock(program: &Program, update: bool, output: Output) -> Result<u8, Failure> {
    let report = driver::lock(&program.file, program.settings(), update)?;
    if output.json {
        report.sources.iter().for_each(|locked| output.json_line(locked));
    } else if report.sources.is_empty() {
        output.result(&format!("{} takes nothing from the Hub\n", program.file.display()));
    } else {
        report.sources.iter().for_each(|locked| output.result(&line(locked)));
        output.say(&format!("the lock is {}", report.path.display()));
    }
    Ok(exit::OK)
}

fn line(locked: &Locked) -> String {
    let (entry, wanted) = (&locked.entry, &locked.entry.wanted);
    let change = match locked.change {
        Change::Kept => "kept",
        Change::Added => "added",
        Change::Updated => "updated",
    };
    let parts = [wanted.config.as_ref(), wanted.split.as_ref(), wanted.file.as_ref()];
    let parts: String = parts.into_iter().flatten().map(|part| format!(" {part}")).collect();
    let bytes = entry.files.values().map(|file| file.size).sum::<u64>();
    let files = entry.files.len();
    let plural = if files == 1 { "" } else { "s" };
    format!(
        "{change:<8} {}{parts} at {}, {files} file{plural}, {} bytes\n",
        wanted.repo,
        &entry.revision[..10],
        count(bytes)
    )
}
