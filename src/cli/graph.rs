//! `srlm graph`: the stages of a file as a picture, or as data.

use super::args::Graph;
use super::output::Output;
use super::{exit, failure};
use crate::driver::Failure;
use crate::driver::graph::{Format, graph as draw};

/// Prints the graph, or writes it to a file.
pub fn graph(args: &Graph, output: Output) -> Result<u8, Failure> {
    let format = if output.json { Format::Json } else { args.format.unwrap_or_else(|| format_of(args)) };
    let (text, checked) = draw(&args.program.file, args.program.settings(), format, args.expand)?;
    failure::tell_diagnostics(&checked, output);
    output.result_to(args.output.as_deref(), &text)?;
    Ok(exit::OK)
}

/// What the name of the file to write says, else DOT.
fn format_of(args: &Graph) -> Format {
    let extension = args.output.as_ref().and_then(|path| path.extension()).and_then(|extension| extension.to_str());
    match extension {
        Some("svg") => Format::Svg,
        Some("json") => Format::Json,
        Some("mmd" | "mermaid" | "md") => Format::Mermaid,
        _ => Format::Dot,
    }
}
