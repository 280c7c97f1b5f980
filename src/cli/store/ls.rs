//! `srlm store ls`: the records of the store.

use super::Place;
use crate::cli::args::Global;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::driver::Failure;
use crate::report::grid::{Align, Grid};
use crate::report::number::{bytes, seconds};
use crate::store::{Record, Store};
use std::collections::BTreeSet;

/// `srlm store ls`
#[derive(Debug, clap::Args)]
pub struct Ls {
    #[command(flatten)]
    place: Place,
    /// Only results of this kind of stage
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only results of stages with this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only pinned results
    #[arg(long)]
    pinned: bool,
}

/// A record with what the store says about it.
struct Row {
    record: Record,
    /// Bytes of its files; none where their list cannot be read.
    size: Option<u64>,
    pinned: bool,
    /// Later results under its key with other bytes.
    alternates: usize,
}

/// Lists the records that the filters let through.
pub fn ls(args: &Ls, global: &Global, output: Output) -> Result<u8, Failure> {
    let store = args.place.open(global)?;
    let listing = store.records()?;
    for skipped in &listing.skipped {
        output.say(&format!("warning: {} cannot be read: {}", skipped.path.display(), skipped.why));
    }
    let pins: BTreeSet<_> = store.pins()?.into_iter().map(|pin| pin.key).collect();
    let row = |record: Record| -> Result<Row, Failure> {
        let alternates = store.alternates(&record.key)?.len();
        Ok(Row { size: size(&store, &record), pinned: pins.contains(&record.key), alternates, record })
    };
    let is_asked_for = |record: &Record| {
        args.kind.as_ref().is_none_or(|kind| record.kind == *kind)
            && args.name.as_ref().is_none_or(|name| record.name == *name)
            && (!args.pinned || pins.contains(&record.key))
    };
    let is_empty = listing.records.is_empty();
    let rows = listing.records.into_iter().filter(is_asked_for).map(row).collect::<Result<Vec<Row>, Failure>>()?;
    match (output.json, is_empty) {
        (true, _) => rows.iter().for_each(|row| output.json_line(&object(row))),
        (false, true) => output.result("the store is empty\n"),
        (false, false) => output.result(&table(&rows)),
    }
    Ok(exit::OK)
}

fn size(store: &Store, record: &Record) -> Option<u64> {
    record.outputs.values().map(|digest| store.artifact(digest).ok().map(|artifact| artifact.size())).sum()
}

fn object(row: &Row) -> serde_json::Value {
    let record = &row.record;
    serde_json::json!({
        "key": record.key,
        "kind": record.kind,
        "name": record.name,
        "outputs": record.outputs,
        "alias_of": record.alias_of,
        "seconds": record.seconds,
        "time": record.made.time,
        "bytes": row.size,
        "pinned": row.pinned,
        "alternates": row.alternates,
    })
}

fn table(rows: &[Row]) -> String {
    let left = ["key", "kind", "stage", "made"].map(|name| (name.to_string(), Align::Left));
    let right = ["work", "size"].map(|name| (name.to_string(), Align::Right));
    let notes = [(String::new(), Align::Left)];
    let mut grid = Grid::new(left.into_iter().chain(right).chain(notes));
    for Row { record, size, pinned, alternates } in rows {
        let made = record.made.time.clone();
        let size = size.map_or_else(|| "?".to_string(), bytes);
        let notes = [
            pinned.then(|| "pinned".to_string()),
            record.alias_of.map(|of| format!("result of {}", of.short())),
            (*alternates > 0).then(|| format!("{alternates} with other bytes")),
        ];
        let note = notes.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let (key, work) = (record.key.short(), seconds(record.seconds));
        grid.row(vec![key, record.kind.clone(), record.name.clone(), made, work, size, note]);
    }
    grid.render()
}
