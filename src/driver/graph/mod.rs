//! The stages of a program as a graph to look at: stages that differ only along the axes of a sweep are one box.

mod chart;
mod collapse;
mod export;

use super::{Checked, Failure, Settings, compiled};
use crate::lang::program::Program;
use crate::report::graph::{dot, mermaid, svg};
use collapse::Groups;
use std::path::Path;

/// How a graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For Graphviz.
    Dot,
    /// For Markdown.
    Mermaid,
    /// A picture.
    Svg,
    /// For programs.
    Json,
}

/// A file's graph, collapsed, or with every stage (`expand`). JSON holds both.
///
/// # Errors
/// As [`super::check`]; the declared inputs are not looked at.
pub fn graph<'a>(
    file: &Path,
    settings: impl Into<Settings<'a>>,
    format: Format,
    expand: bool,
) -> Result<(String, Checked), Failure> {
    let checked = compiled(file, settings.into())?;
    let program = &checked.program;
    let groups = Groups::of(program);
    let chart = || if expand { chart::every(program, &groups) } else { chart::collapsed(program, &groups) };
    let text = match format {
        Format::Json => export::json(program, &groups),
        Format::Dot => dot(&chart()),
        Format::Mermaid => mermaid(&chart()),
        Format::Svg => svg(&chart()),
    };
    Ok((text, checked))
}

/// Pipelines, sweeps and compares, in the order in which boxes for them stand.
fn targets(program: &Program) -> impl Iterator<Item = (&'static str, &str)> {
    let pipelines = program.pipelines.iter().map(|pipeline| ("pipeline", pipeline.name.as_str()));
    let sweeps = program.sweeps.iter().map(|sweep| ("sweep", sweep.name.as_str()));
    let compares = program.compares.iter().map(|compare| ("compare", compare.name.as_str()));
    pipelines.chain(sweeps).chain(compares)
}
