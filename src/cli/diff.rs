//! `srlm diff`: two runs side by side.

use super::args::Global;
use super::exit;
use super::output::Output;
use crate::driver::{self, Failure};
use crate::report::run_diff;
use crate::store::Store;
use std::path::PathBuf;

/// `srlm diff`
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// A run: its id or the first letters of it, `latest`, or `latest~1` for the one before
    #[arg(value_name = "RUN", default_value = "latest~1")]
    first: String,
    /// The run to compare with it
    #[arg(value_name = "RUN", default_value = "latest")]
    second: String,
    /// Only for its place: the store beside this file's project
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Prints which stages differ, why, and in what numbers; JSON is one object.
pub fn diff(args: &Diff, global: &Global, output: Output) -> Result<u8, Failure> {
    let store = Store::open(driver::store_root(global.store.as_deref(), args.file.as_deref()))?;
    let diff = driver::diff_runs(&store, &args.first, &args.second)?;
    if output.json {
        output.json_line(&diff);
    } else {
        output.result(&run_diff::render(&diff));
    }
    Ok(exit::OK)
}
