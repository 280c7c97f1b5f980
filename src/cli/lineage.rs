//! `srlm lineage`: everything that made a result, back to the digests of data; or everything made of it.

use super::args::Global;
use super::output::Output;
use super::{exit, open};
use crate::driver::{self, Direction, Failure};
use crate::report::lineage_tree;
use crate::store::Store;
use std::path::PathBuf;

/// `srlm lineage`
#[derive(Debug, clap::Args)]
pub struct Lineage {
    /// The pipeline file; or, without NODE, the first digits of a key in the store
    #[arg(value_name = "FILE|KEY")]
    file: PathBuf,
    /// A pipeline, a stage, the label of a cell, or the start of a key
    #[arg(value_name = "NODE")]
    node: Option<String>,
    /// What was made of it, directly or not, instead of what it was made from
    #[arg(long)]
    dependents: bool,
    /// What to set in the file.
    #[command(flatten)]
    params: super::args::Params,
}

/// Prints the tree; JSON is one object a stage, what was asked about first.
pub fn lineage(args: &Lineage, global: &Global, output: Output) -> Result<u8, Failure> {
    let direction = if args.dependents { Direction::Dependents } else { Direction::Ancestors };
    let lineage = match &args.node {
        Some(node) => {
            let program = args.params.of(&args.file);
            driver::lineage_of_stage(&open(&program, global, output)?, node, direction)?
        }
        None if args.file.is_file() => {
            let why =
                format!("which stage of {}? name a pipeline, a stage, a cell or a key after it", args.file.display());
            return Err(Failure::Input(why));
        }
        None => {
            let store = Store::open(driver::store_root(global.store.as_deref(), None))?;
            driver::lineage_of_key(&store, &args.file.to_string_lossy(), direction)?
        }
    };
    if output.json {
        lineage.stages.iter().for_each(|stage| output.json_line(stage));
    } else {
        output.result(&lineage_tree::render(&lineage));
    }
    Ok(exit::OK)
}
