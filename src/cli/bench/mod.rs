//! `srlm bench`: how fast this machine is at what trainings are made of, on random weights.

mod generate;
mod train;

use super::output::Output;
use crate::driver::Failure;
use crate::stage::bench_generate::{NamedShape, SHAPES};
use clap::Subcommand;

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Completions: tokens a second of whole batches
    Generate(generate::Generate),
    /// The training step: tokens a second, its share of the machine's peak, memory
    Train(train::Train),
}

/// Measures and prints.
pub fn bench(command: &Command, output: Output) -> Result<u8, Failure> {
    match command {
        Command::Generate(args) => generate::generate(args, output),
        Command::Train(args) => train::train(args, output),
    }
}

/// A shape by its name, for the command line.
fn shape(name: &str) -> Result<NamedShape, String> {
    let found = SHAPES.iter().find(|shape| shape.name.eq_ignore_ascii_case(name));
    found.copied().ok_or_else(|| "A, B or C is expected".to_string())
}
