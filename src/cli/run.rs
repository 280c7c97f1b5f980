//! `srlm run`: makes what a file describes and prints what came of it.

use super::args::{Global, Params, Program, Run};
use super::output::Output;
use super::remote::open_with_remote;
use super::{exit, signals};
use crate::driver::{self, Failure, Project, RunOptions, SavedPlan};
use crate::exec::Summary;
use crate::plan::Plan;
use crate::report::scores_table;
use std::path::PathBuf;

/// Runs the file's targets. JSON is one event a line; else tables follow the work.
pub fn run(args: &Run, global: &Global, output: Output) -> Result<u8, Failure> {
    let saved = args.plan.as_deref().map(SavedPlan::read).transpose()?;
    let (program, targets, store) = asked(args, saved.as_ref(), global)?;
    let global = &Global { store, ..global.clone() };
    let mut project = open_with_remote(&program, &args.remote, args.how.profile.as_deref(), global, output)?;
    project.compute_anew(&args.fresh)?;
    let _root = driver::root(&project, &program.file, &targets);
    let plan = driver::plan(&project, &targets)?;
    saved.map_or(Ok(()), |saved| saved.hold(&project, &plan))?;
    let stops = signals::count().map_err(|error| Failure::Machine(format!("no signal can be caught: {error}")))?;
    let summary = driver::run(&project, &plan, &options(args), output.reporter(), &stops)?;
    if !output.json {
        print_tables(&project, &plan, output)?;
    }
    Ok(exit_code(&summary))
}

/// The file, its targets and the store: as the command line says, or as the saved plan does. The paths of a plan count
/// from the folder that it was made in.
fn asked(
    args: &Run,
    saved: Option<&SavedPlan>,
    global: &Global,
) -> Result<(Program, Vec<String>, Option<PathBuf>), Failure> {
    let Some(saved) = saved else {
        let file = args.file.clone().unwrap_or_default();
        return Ok((args.params.of(&file), args.target.clone(), global.store.clone()));
    };
    std::env::set_current_dir(&saved.folder)
        .map_err(|error| Failure::Input(format!("{}, where the plan was made: {error}", saved.folder.display())))?;
    let params = Params { params: saved.params.clone(), params_file: saved.params_file.clone() };
    Ok((params.of(&saved.file), saved.targets.clone(), Some(saved.store.clone())))
}

fn options(args: &Run) -> RunOptions {
    RunOptions {
        profile: args.how.profile.clone(),
        jobs: args.how.jobs.map(usize::from),
        keep_going: args.how.keep_going,
        checkpoint_seconds: args.how.checkpoint_every,
        memory: args.how.memory,
        gpus: args.how.gpus.clone(),
        threads: args.how.threads.map(usize::from),
        retries: args.how.retries.map(usize::from),
        time: args.how.time,
    }
}

fn print_tables(project: &Project, plan: &Plan, output: Output) -> Result<(), Failure> {
    let scores = scores_table::render(&driver::scores(project, plan)?);
    if !scores.is_empty() {
        output.result(&format!("\n{scores}"));
    }
    let compares = project.checked.program.compares.iter().filter(|compare| planned(project, plan, &compare.of));
    for table in driver::compare(project, &compares.map(|compare| compare.name.clone()).collect::<Vec<_>>())? {
        output.result(&format!("\n{}", table.render()));
    }
    Ok(())
}

/// Whether the cells of a sweep are among the targets.
fn planned(project: &Project, plan: &Plan, sweep: &str) -> bool {
    let mut cells = project.graph.targets().iter().filter(|target| target.owner == sweep);
    cells.any(|cell| plan.targets.contains(&cell.node))
}

fn exit_code(summary: &Summary) -> u8 {
    match () {
        () if summary.machine_failed() => exit::MACHINE,
        () if summary.failed() > 0 => exit::STAGE_FAILED,
        () if summary.interrupted => exit::INTERRUPTED,
        () => exit::OK,
    }
}
