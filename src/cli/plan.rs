//! `srlm plan`: what `run` would do, and why.

use super::args::{Global, Program};
use super::exit;
use super::output::Output;
use super::remote::{RemoteArg, open_with_remote};
use crate::driver::{self, Failure, SavedPlan};
use crate::report::plan_table;
use std::path::Path;

/// Prints the plan; JSON is one object a distinct stage.
pub fn plan(
    program: &Program,
    targets: &[String],
    fresh: &[String],
    out: Option<&Path>,
    remote: &RemoteArg,
    global: &Global,
    output: Output,
) -> Result<u8, Failure> {
    let mut project = open_with_remote(program, remote, None, global, output)?;
    project.compute_anew(fresh)?;
    let plan = driver::plan(&project, targets)?;
    driver::remote_warnings(&project).iter().for_each(|warning| output.say(&format!("warning: {warning}")));
    if let Some(path) = out {
        let saved = SavedPlan::new(&project, &plan, &program.file, program.settings(), targets)?;
        output.result_to(Some(path), &saved.to_text())?;
    }
    if output.json {
        output.json_lines(&plan.to_json(&project.graph));
    } else {
        output.result(&plan_table::render(&project.graph, &plan));
    }
    Ok(exit::OK)
}
