//! `srlm store gc`: taking away what nothing needs.

use super::Place;
use crate::cli::args::Global;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::driver::Failure;
use crate::driver::care::{age, size};
use crate::report::grid::{Align, Grid};
use crate::report::number::{bytes, count};
use crate::store::care::{Collected, Collection, KEEP_RUNS, Limits, Removed, Thing};
use std::collections::BTreeMap;
use std::time::Duration;

/// `srlm store gc`
#[derive(Debug, clap::Args)]
pub struct Gc {
    #[command(flatten)]
    place: Place,
    /// Say what would go, and why; take nothing away
    #[arg(long)]
    dry_run: bool,
    /// Keep what this many of the newest runs want, with everything it is made from
    #[arg(long, value_name = "N", default_value_t = KEEP_RUNS)]
    keep_runs: usize,
    /// Of the rest, take only what was last used longer ago than this, such as 30d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// Of the rest, take what is worth least until the store is no larger than this, such as 20GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
}

/// Collects. JSON is one object for each thing that goes, and then a summary.
pub fn gc(args: &Gc, global: &Global, output: Output) -> Result<u8, Failure> {
    let store = args.place.open(global)?;
    let limits = Limits { older_than: args.older_than, max_size: args.max_size };
    let collection = Collection { dry_run: args.dry_run, keep_runs: args.keep_runs, limits };
    let waits = || output.say("a result is being published; gc waits for it");
    let collected = store.collect(&collection, &waits)?;
    if output.json {
        collected.removed.iter().for_each(|removed| output.json_line(removed));
        output.json_line(&summary(&collected, args.dry_run));
    } else {
        if args.dry_run {
            output.result(&list(&collected.removed));
        }
        output.result(&story(&collected, args));
    }
    if collected.damaged > 0 {
        let damaged = counted(collected.damaged, "record");
        output.say(&format!("warning: {damaged} cannot be read: `srlm store verify` says why"));
    }
    Ok(exit::OK)
}

fn summary(collected: &Collected, dry_run: bool) -> serde_json::Value {
    serde_json::json!({
        "dry_run": dry_run,
        "removed": collected.removed.len(),
        "kept": collected.kept,
        "bytes_before": collected.bytes_before,
        "bytes_after": collected.bytes_after,
        "damaged_records": collected.damaged,
    })
}

/// Everything that would go, a line each.
fn list(removed: &[Removed]) -> String {
    if removed.is_empty() {
        return String::new();
    }
    let columns = [("what", Align::Left), ("size", Align::Right), ("which", Align::Left), ("why", Align::Left)];
    let mut grid = Grid::new(columns.map(|(name, align)| (name.to_string(), align)));
    for it in removed {
        grid.row(vec![noun(it.what).to_string(), bytes(it.bytes), which(it), it.why.clone()]);
    }
    grid.render() + "\n"
}

fn which(it: &Removed) -> String {
    let key = it.key.map(|key| key.short());
    match (key, &it.kind, &it.name) {
        (Some(key), Some(kind), Some(name)) => format!("{key} {kind} `{name}`"),
        (Some(key), ..) => key,
        _ => it.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    }
}

/// What went and what stayed, in a few lines.
fn story(collected: &Collected, args: &Gc) -> String {
    let mut sorts: BTreeMap<Thing, (usize, u64)> = BTreeMap::new();
    for it in &collected.removed {
        let (number, size) = sorts.entry(it.what).or_default();
        *number += 1;
        *size += it.bytes;
    }
    let verb = if args.dry_run { "would take away" } else { "took away" };
    let mut text = String::new();
    for (what, (number, size)) in &sorts {
        text += &format!("{verb} {}, {}\n", counted(*number, noun(*what)), bytes(*size));
    }
    if sorts.is_empty() {
        text += "there is nothing to take away\n";
    }
    let kept = collected.kept;
    text += &format!(
        "kept {}: {} needed by pins, {} by pins, the newest {} and work in progress\n",
        counted(kept.results, "result"),
        count(kept.pinned as u64),
        count(kept.rooted as u64),
        counted(args.keep_runs, "run"),
    );
    text += &format!("{} before, {} after\n", bytes(collected.bytes_before), bytes(collected.bytes_after));
    if args.max_size.is_some_and(|most| collected.bytes_after > most) {
        text += "what is kept is larger than --max-size: unpin, or lower --keep-runs\n";
    }
    text
}

fn noun(what: Thing) -> &'static str {
    match what {
        Thing::Result => "result",
        Thing::States => "set of training states",
        Thing::Attempt => "dead attempt",
        Thing::Alternates => "set of alternates",
        Thing::Blob => "unreferenced file",
        Thing::Log => "run log",
        Thing::Leftover => "leftover",
        Thing::Bookkeeping => "small file",
    }
}

/// `1 result`, `12 results`, `2 sets of …`
fn counted(number: usize, noun: &str) -> String {
    let (first, rest) = noun.split_once(" of ").map_or((noun, String::new()), |(a, b)| (a, format!(" of {b}")));
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {first}{plural}{rest}", count(number as u64))
}
