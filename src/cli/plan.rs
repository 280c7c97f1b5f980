//! `srlm plan`: what `run` would do, and why.

use super::args::{Global, Program};
use super::output::Output;
use super::{exit, open};
use crate::driver::{self, Failure};
use crate::report::plan_table;

/// Prints the plan; JSON is one object a distinct stage.
pub fn plan(program: &Program, targets: &[String], global: &Global, output: Output) -> Result<u8, Failure> {
    let project = open(program, global, output)?;
    let plan = driver::plan(&project, targets)?;
    if output.json {
        output.json_lines(&plan.to_json(&project.graph));
    } else {
        output.result(&plan_table::render(&project.graph, &plan));
    }
    Ok(exit::OK)
}
