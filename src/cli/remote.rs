//! `--remote`, `srlm store push` and `srlm store pull`: results from and for other machines.

use super::args::{Global, Params, Program};
use super::output::Output;
use super::{exit, open, signals};
use crate::driver::{self, Failure, Moved, Project};
use crate::store::Store;
use clap::Args;
use std::path::PathBuf;

/// Which remote cache.
#[derive(Clone, Debug, Default, Args)]
pub struct RemoteArg {
    /// Share results through s3://BUCKET/PREFIX, gs://…, az://… or a folder [default: $SRLM_REMOTE]
    #[arg(long, value_name = "URL")]
    pub remote: Option<String>,
}

/// `srlm store push`
#[derive(Debug, Args)]
pub struct Push {
    /// The pipeline file whose results to upload [default: every result of the store]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only this stage's: a pipeline, a stage, the label of a cell, or the start of a key
    #[arg(requires = "file")]
    pub node: Option<String>,
    /// What to set in it.
    #[command(flatten)]
    pub params: Params,
    /// Where to.
    #[command(flatten)]
    pub remote: RemoteArg,
}

/// `srlm store pull`
#[derive(Debug, Args)]
pub struct Pull {
    /// The file.
    #[command(flatten)]
    pub program: Program,
    /// Only this stage's: a pipeline, a stage, the label of a cell, or the start of a key
    pub node: Option<String>,
    /// Where from.
    #[command(flatten)]
    pub remote: RemoteArg,
}

/// Opens the file of a command, and its remote cache where one is named, by a profile of the file too.
pub fn open_with_remote(
    program: &Program,
    remote: &RemoteArg,
    profile: Option<&str>,
    global: &Global,
    output: Output,
) -> Result<Project, Failure> {
    let mut project = open(program, global, output)?;
    driver::connect(&mut project, remote.remote.as_deref(), profile)?;
    Ok(project)
}

/// Uploads results.
pub fn push(args: &Push, global: &Global, output: Output) -> Result<u8, Failure> {
    let (stops, reporter) = (signals::count().map_err(no_signals)?, output.reporter());
    let asked = args.remote.remote.as_deref();
    let moved = match &args.file {
        Some(file) => {
            let program = args.params.of(file);
            let project = open_with_remote(&program, &args.remote, None, global, output)?;
            driver::push(&project, args.node.as_deref(), &*reporter, &stops)?
        }
        None => {
            let store = Store::open(driver::store_root(global.store.as_deref(), None))?;
            driver::push_all(&store, asked, &*reporter, &stops)?
        }
    };
    Ok(told(moved, "uploaded", output))
}

/// Brings results here.
pub fn pull(args: &Pull, global: &Global, output: Output) -> Result<u8, Failure> {
    let (stops, reporter) = (signals::count().map_err(no_signals)?, output.reporter());
    let project = open_with_remote(&args.program, &args.remote, None, global, output)?;
    let moved = driver::pull(&project, args.node.as_deref(), &*reporter, &stops)?;
    Ok(told(moved, "fetched", output))
}

/// Here the transfer is what was asked for, so what did not arrive is an error.
fn told(moved: Moved, how: &str, output: Output) -> u8 {
    if !output.json {
        output.result(&format!("{} {how}, {} left\n", moved.done, moved.left));
    }
    if moved.left == 0 { exit::OK } else { exit::MACHINE }
}

fn no_signals(error: std::io::Error) -> Failure {
    Failure::Machine(format!("no signal can be caught: {error}"))
}
