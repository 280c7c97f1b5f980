//! `srlm store …`: looking into the store, and taking care of it.

mod archive;
mod du;
mod gc;
mod ls;
mod pin;
mod verify;

use super::args::{Global, Params};
use super::output::Output;
use super::remote;
use crate::driver::{self, Failure};
use crate::store::{Record, Store};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// The commands of the store.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the records, newest last
    Ls(ls::Ls),
    /// Tell what takes room
    Du(du::Du),
    /// Read every byte and tell what is damaged; exits with 3 where anything is
    Verify(verify::Verify),
    /// Take away what neither a pin nor one of the newest runs needs
    Gc(gc::Gc),
    /// Keep a result, with everything it was made from, whatever gc is told
    Pin(pin::Pin),
    /// Take a pin away
    Unpin(pin::Unpin),
    /// Write a result, with everything it was made from, to a tar file for another store
    Export(archive::Export),
    /// Take the results of an exported file into the store, each byte checked
    Import(archive::Import),
    /// Upload results to the remote cache
    Push(remote::Push),
    /// Bring results from the remote cache
    Pull(remote::Pull),
}

/// Does what is asked.
pub fn store(command: &Command, global: &Global, output: Output) -> Result<u8, Failure> {
    match command {
        Command::Ls(args) => ls::ls(args, global, output),
        Command::Du(args) => du::du(args, global, output),
        Command::Verify(args) => verify::verify(args, global, output),
        Command::Gc(args) => gc::gc(args, global, output),
        Command::Pin(args) => pin::pin(args, global, output),
        Command::Unpin(args) => pin::unpin(args, global, output),
        Command::Export(args) => archive::export(args, global, output),
        Command::Import(args) => archive::import(args, global, output),
        Command::Push(args) => remote::push(args, global, output),
        Command::Pull(args) => remote::pull(args, global, output),
    }
}

/// Which store is meant.
#[derive(Debug, Args)]
pub struct Place {
    /// Only for its place: the store beside this file's project
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

impl Place {
    fn open(&self, global: &Global) -> Result<Store, Failure> {
        open(global, self.file.as_deref())
    }
}

fn open(global: &Global, file: Option<&Path>) -> Result<Store, Failure> {
    Ok(Store::open(driver::store_root(global.store.as_deref(), file))?)
}

/// The result that one word or two mean: the start of a key, or FILE and NODE.
fn result(words: &[String], params: &Params, global: &Global, output: Output) -> Result<(Store, Record), Failure> {
    match words {
        [digits] => {
            let store = open(global, None)?;
            let record = driver::care::of_key(&store, digits)?;
            Ok((store, record))
        }
        [file, node] => {
            let program = params.of(Path::new(file));
            let project = super::open(&program, global, output)?;
            let record = driver::care::of_node(&project, node)?;
            Ok((project.store, record))
        }
        _ => Err(Failure::Input("FILE and NODE are expected, or the start of a key".to_string())),
    }
}
