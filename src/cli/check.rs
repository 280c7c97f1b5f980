//! `srlm check`: errors and warnings of a file.

use super::args::Program;
use super::output::Output;
use super::{exit, failure};
use crate::diag::render::to_json;
use crate::driver::{self, Failure};

/// Says what is wrong with the file; JSON is one object a finding.
pub fn check(program: &Program, output: Output) -> Result<u8, Failure> {
    let checked = driver::check(&program.file, &program.params)?;
    if output.json {
        checked.diagnostics.iter().for_each(|found| output.json_line(&to_json(found, &checked.sources)));
        return Ok(exit::OK);
    }
    failure::tell_diagnostics(&checked, output);
    let (stages, warnings) = (checked.program.calls.len(), failure::counted(&checked));
    let warnings = if warnings.is_empty() { String::new() } else { format!(", {warnings}") };
    output.result(&format!("{} is well-formed: {stages} stages{warnings}\n", program.file.display()));
    // The process ends here: taking a large program apart piece by piece would only be waited for.
    std::mem::forget(checked);
    Ok(exit::OK)
}
