//! `srlm compare`: the comparisons of a file, from the results in the store.

use super::args::{Global, Program};
use super::output::Output;
use super::{exit, open};
use crate::driver::{self, Failure};

/// Prints the tables; JSON is one object a table.
pub fn compare(program: &Program, names: &[String], global: &Global, output: Output) -> Result<u8, Failure> {
    let project = open(program, global, output)?;
    if project.checked.program.compares.is_empty() {
        return Err(Failure::Input(format!("{} has no compare: add one that names a sweep", program.file.display())));
    }
    let tables = driver::compare(&project, names)?;
    if output.json {
        tables.iter().for_each(|table| output.json_line(table));
    } else {
        let texts: Vec<String> = tables.iter().map(|table| table.render()).collect();
        output.result(&texts.join("\n"));
    }
    Ok(exit::OK)
}
