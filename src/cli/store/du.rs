//! `srlm store du`: what takes room.

use super::Place;
use crate::cli::args::Global;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::driver::Failure;
use crate::report::grid::{Align, Grid};
use crate::report::number::{bytes, count};
use crate::store::care::{Usage, UsageRow};

/// `srlm store du`
#[derive(Debug, clap::Args)]
pub struct Du {
    #[command(flatten)]
    place: Place,
    /// Tell results apart by the names of their stages, too
    #[arg(long)]
    names: bool,
}

/// Prints a row for each sort of things; JSON is one object a row, and then `{bytes}` of all.
pub fn du(args: &Du, global: &Global, output: Output) -> Result<u8, Failure> {
    let usage = args.place.open(global)?.usage(args.names)?;
    if output.json {
        usage.rows.iter().for_each(|row| output.json_line(row));
        output.json_line(&serde_json::json!({ "bytes": usage.bytes }));
    } else {
        output.result(&table(&usage));
    }
    Ok(exit::OK)
}

fn table(usage: &Usage) -> String {
    let columns = [("what", Align::Left), ("count", Align::Right), ("size", Align::Right), ("", Align::Left)];
    let mut grid = Grid::new(columns.map(|(name, align)| (name.to_string(), align)));
    for row in &usage.rows {
        grid.row(vec![what(row), count(row.count as u64), bytes(row.bytes), note(row).to_string()]);
    }
    grid.row(vec!["all".to_string(), String::new(), bytes(usage.bytes), String::new()]);
    grid.render()
}

fn what(row: &UsageRow) -> String {
    match (&row.kind, &row.name) {
        (Some(kind), Some(name)) => format!("{} of {kind} `{name}`", row.what),
        (Some(kind), None) => format!("{} of {kind}", row.what),
        _ => row.what.to_string(),
    }
}

/// What a sort of things is, where its name does not say it.
fn note(row: &UsageRow) -> &'static str {
    match row.what {
        "shared" => "files of results of several rows above",
        "alternates" => "results that came second under their key",
        "states" => "training states that a run resumes from",
        "attempts" => "work in progress, and what failed runs left",
        "unreferenced" => "files that no record needs; gc takes them",
        "leftovers" => "temporary files; gc takes them",
        "strangers" => "files that are not srlm's",
        _ => "",
    }
}
