//! `srlm runs`: the runs of a store that had something to do.

use super::args::Global;
use super::exit;
use super::output::Output;
use crate::driver::{self, Failure};
use crate::report::grid::{Align, Grid};
use crate::report::number::seconds;
use crate::store::{RunLog, RunOutcome, Store, rfc3339};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// `srlm runs`
#[derive(Debug, clap::Args)]
pub struct Runs {
    /// Only for its place: the store beside this file's project
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Lists the runs, newest last; JSON is one object a run.
pub fn runs(args: &Runs, global: &Global, output: Output) -> Result<u8, Failure> {
    let store = Store::open(driver::store_root(global.store.as_deref(), args.file.as_deref()))?;
    let runs = driver::runs(&store)?;
    if output.json {
        runs.iter().for_each(|run| output.json_line(run));
    } else {
        output.result(&table(&runs));
    }
    Ok(exit::OK)
}

fn table(runs: &[RunLog]) -> String {
    if runs.is_empty() {
        return "the store has no run yet\n".to_string();
    }
    let left = ["run", "begun", "file"].map(|name| (name.to_string(), Align::Left));
    let right = ["made", "cached", "failed", "time"].map(|name| (name.to_string(), Align::Right));
    let mut grid = Grid::new(left.into_iter().chain(right).chain([("end".to_string(), Align::Left)]));
    for run in runs {
        let begun = rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(run.started.max(0.0)));
        let count = |outcome: RunOutcome| run.count(outcome).to_string();
        let counts = [RunOutcome::Finished, RunOutcome::Cached, RunOutcome::Failed].map(count);
        let time = run.seconds.map_or_else(String::new, seconds);
        let head = [run.run.clone(), begun, run.file.clone().unwrap_or_default()];
        grid.row(head.into_iter().chain(counts).chain([time, end(run).to_string()]));
    }
    grid.render()
}

fn end(run: &RunLog) -> &'static str {
    match run.seconds {
        // Killed, or at work still: the log cannot tell.
        None => "without a word",
        Some(_) if run.interrupted => "interrupted",
        Some(_) if run.count(RunOutcome::Failed) > 0 => "failed",
        Some(_) => "done",
    }
}
