//! `srlm store`: what is in the store.

use super::args::{Global, Store as Command};
use super::exit;
use super::output::Output;
use crate::driver::{self, Failure};
use crate::report::grid::{Align, Grid};
use crate::report::number::seconds;
use crate::store::{Listing, Record, Store};

/// Looks into the store.
pub fn store(command: &Command, global: &Global, output: Output) -> Result<u8, Failure> {
    let Command::Ls { file } = command;
    let root = driver::store_root(global.store.as_deref(), file.as_deref());
    let listing = Store::open(root)?.records()?;
    for skipped in &listing.skipped {
        output.say(&format!("warning: {} cannot be read: {}", skipped.path.display(), skipped.why));
    }
    if output.json {
        listing.records.iter().for_each(|record| output.json_line(&object(record)));
    } else {
        output.result(&table(&listing));
    }
    Ok(exit::OK)
}

fn object(record: &Record) -> serde_json::Value {
    serde_json::json!({
        "key": record.key,
        "kind": record.kind,
        "name": record.name,
        "outputs": record.outputs,
        "alias_of": record.alias_of,
        "seconds": record.seconds,
        "time": record.made.time,
    })
}

fn table(listing: &Listing) -> String {
    let left = ["key", "kind", "stage", "made"].map(|name| (name.to_string(), Align::Left));
    let mut grid = Grid::new(left.into_iter().chain([("work".to_string(), Align::Right)]));
    for record in &listing.records {
        let made = record.made.time.clone();
        grid.row(vec![record.key.short(), record.kind.clone(), record.name.clone(), made, seconds(record.seconds)]);
    }
    if listing.records.is_empty() { "the store is empty\n".into() } else { grid.render() }
}
