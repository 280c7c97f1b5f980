//! The command line: arguments in, one command run, an exit code out.

mod args;
mod bench;
mod check;
mod compare;
mod diff;
mod doc;
mod exit;
mod explain;
mod failure;
mod fmt;
mod generate;
mod grade;
mod graph;
mod how;
mod init_model;
mod lineage;
mod lock;
mod lsp;
mod output;
mod plan;
mod remote;
mod run;
mod runs;
mod save;
mod show;
mod signals;
mod store;
mod why;
mod worker;

use args::{Cli, Command, Global};
use clap::Parser;
use output::Output;
use std::process::ExitCode;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => ExitCode::from(dispatch(&cli)),
        Err(error) => {
            // Help and version are results, the rest is not; clap knows which, and a closed pipe is no error.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { exit::INPUT } else { exit::OK })
        }
    }
}

fn dispatch(cli: &Cli) -> u8 {
    let output = Output::new(cli.global.json, cli.global.no_color, cli.global.narrated);
    let ended = match &cli.command {
        Command::Run(args) => run::run(args, &cli.global, output),
        Command::Plan { program, target, fresh, out, remote } => {
            plan::plan(program, target, fresh, out.as_deref(), remote, &cli.global, output)
        }
        Command::Compare(args) => compare::compare(args, &cli.global, output),
        Command::Why { program, node, remote } => why::why(program, node, remote, &cli.global, output),
        Command::Runs(args) => runs::runs(args, &cli.global, output),
        Command::Diff(args) => diff::diff(args, &cli.global, output),
        Command::Lineage(args) => lineage::lineage(args, &cli.global, output),
        Command::Lock { program, update } => lock::lock(program, *update, output),
        Command::Check(args) => check::check(args, output),
        Command::Explain { code } => explain::explain(code.as_deref(), output),
        Command::Fmt(args) => fmt::fmt(args, output),
        Command::Grade(args) => grade::grade(args, output),
        Command::Doc(args) => doc::doc(args, output),
        Command::Graph(args) => graph::graph(args, output),
        Command::Show { program, node, samples } => show::show(program, node, *samples, &cli.global, output),
        Command::Save { program, node, dir } => save::save(program, node, dir, &cli.global, output),
        Command::Store { command } => store::store(command, &cli.global, output),
        Command::Generate(args) => generate::generate(args, &cli.global, output),
        Command::Bench { command } => bench::bench(command, output),
        Command::InitModel(args) => init_model::init_model(args, output),
        Command::Lsp { .. } => Ok(lsp::lsp()),
        Command::Worker => Ok(worker::worker()),
    };
    match ended.unwrap_or_else(|failure| failure::report(failure, output)) {
        exit::OK if Output::result_lost() => exit::MACHINE,
        code => code,
    }
}

/// Opens the file of a command and tells its warnings.
fn open(
    program: &args::Program,
    global: &Global,
    output: Output,
) -> Result<crate::driver::Project, crate::driver::Failure> {
    let store = crate::driver::store_root(global.store.as_deref(), Some(&program.file));
    let project = crate::driver::open(&program.file, program.settings(), store)?;
    failure::tell_diagnostics(&project.checked, output);
    Ok(project)
}
