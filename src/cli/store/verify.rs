//! `srlm store verify`: every byte is read; what is bad is told, and dropped where that is asked for.

use super::Place;
use crate::cli::args::Global;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::driver::{Failure, care};
use crate::report::number::{bytes, count};
use crate::store::care::{Bad, Part, Verified};

/// `srlm store verify`
#[derive(Debug, clap::Args)]
pub struct Verify {
    #[command(flatten)]
    place: Place,
    /// Drop what is bad, so that the next run makes it again
    #[arg(long)]
    repair: bool,
}

/// Verifies. JSON is one object for each bad thing, and then a summary. The exit code is 3 where something bad is left.
pub fn verify(args: &Verify, global: &Global, output: Output) -> Result<u8, Failure> {
    let store = args.place.open(global)?;
    let reading = output.reading("reading the store");
    let verified = care::verify(&store, args.repair, &|done, total| reading.tell(done, total))?;
    drop(reading);
    if output.json {
        verified.bad.iter().for_each(|bad| output.json_line(bad));
        output.json_line(&summary(&verified));
    } else {
        verified.bad.iter().for_each(|bad| output.result(&line(bad)));
        output.result(&story(&verified));
    }
    let is_clean = verified.bad.iter().all(|bad| bad.dropped);
    Ok(if is_clean { exit::OK } else { exit::MACHINE })
}

fn summary(verified: &Verified) -> serde_json::Value {
    serde_json::json!({
        "objects": verified.objects,
        "records": verified.records,
        "states": verified.states,
        "others": verified.others,
        "bytes": verified.bytes,
        "bad": verified.bad.len(),
        "dropped": verified.bad.iter().filter(|bad| bad.dropped).count(),
    })
}

fn line(bad: &Bad) -> String {
    let dropped = if bad.dropped { "dropped: " } else { "bad: " };
    let needed = match &bad.results[..] {
        [] => String::new(),
        [one] => format!("; the result {} needs it", one.short()),
        results => format!("; {} results need it", results.len()),
    };
    let needed = if bad.what == Part::Record { "" } else { &needed };
    format!("{dropped}{} {}: {}{needed}\n", noun(bad.what), bad.path.display(), bad.why)
}

fn story(verified: &Verified) -> String {
    let read = format!(
        "read {} objects, {} records, {} training states and {} small files, {}",
        count(verified.objects as u64),
        count(verified.records as u64),
        count(verified.states as u64),
        count(verified.others as u64),
        bytes(verified.bytes),
    );
    let dropped = verified.bad.iter().filter(|bad| bad.dropped).count();
    match (verified.bad.len(), dropped) {
        (0, _) => format!("{read}: all is as it was written\n"),
        (bad, 0) => format!("{read}: {bad} bad; `srlm store verify --repair` drops what is bad\n"),
        (bad, _) => format!("{read}: {bad} bad, {dropped} dropped; the next run makes it again\n"),
    }
}

fn noun(part: Part) -> &'static str {
    match part {
        Part::Object => "object",
        Part::Record => "record",
        Part::Alternate => "alternate",
        Part::Lead => "way from a shallow key",
        Part::Tombstone => "tombstone",
        Part::Pin => "pin",
        Part::RunRoot => "run root",
        Part::State => "training state",
    }
}
