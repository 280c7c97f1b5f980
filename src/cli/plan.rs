//! `srlm plan`: what `run` would do, and why.

use super::args::{Global, Program};
use super::output::Output;
use super::{exit, open};
use crate::driver::{self, Failure, SavedPlan};
use crate::report::plan_table;
use std::path::Path;

/// Prints the plan; JSON is one object a distinct stage.
pub fn plan(
    program: &Program,
    targets: &[String],
    out: Option<&Path>,
    global: &Global,
    output: Output,
) -> Result<u8, Failure> {
    let project = open(program, global, output)?;
    let plan = driver::plan(&project, targets)?;
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
