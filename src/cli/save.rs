//! `srlm save`: a stage's output as plain files.

use super::args::{Global, Program};
use super::output::Output;
use super::{exit, open};
use crate::driver::{self, Failure};
use std::path::Path;

/// Writes the files and says how many.
pub fn save(program: &Program, node: &str, dir: &Path, global: &Global, output: Output) -> Result<u8, Failure> {
    let project = open(program, global, output)?;
    let files = driver::save(&project, node, dir)?;
    if output.json {
        output.json_line(&serde_json::json!({ "folder": dir, "files": files }));
    } else {
        output.result(&format!("{files} files written to {}\n", dir.display()));
    }
    Ok(exit::OK)
}
