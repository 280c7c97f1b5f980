//! `srlm compare`: the comparisons of a file, from the results in the store.

use super::args::{Global, Program};
use super::output::Output;
use super::{exit, open};
use crate::driver::{self, Failure};
use crate::report::compare_format::CompareFormat;
use clap::Args;
use std::path::PathBuf;

/// `srlm compare`
#[derive(Debug, Args)]
pub struct Compare {
    /// The file.
    #[command(flatten)]
    program: Program,
    /// Only this `compare`; may be given more than once
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// text, markdown, csv or latex [default: as the name of the output file says, else text]
    #[arg(long, value_name = "FORMAT", value_parser = format_named)]
    format: Option<CompareFormat>,
    /// Write to this file
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
}

/// Prints the tables; JSON is one object a table.
pub fn compare(args: &Compare, global: &Global, output: Output) -> Result<u8, Failure> {
    let project = open(&args.program, global, output)?;
    if project.checked.program.compares.is_empty() {
        let file = args.program.file.display();
        return Err(Failure::Input(format!("{file} has no compare: add one that names a sweep")));
    }
    let tables = driver::compare(&project, &args.target)?;
    if output.json {
        tables.iter().for_each(|table| output.json_line(table));
    } else {
        let format = args.format.unwrap_or_else(|| format_of(args));
        let texts: Vec<String> = tables.iter().map(|table| table.written(format)).collect();
        output.result_to(args.output.as_deref(), &texts.join("\n"))?;
    }
    Ok(exit::OK)
}

fn format_named(text: &str) -> Result<CompareFormat, String> {
    match text {
        "text" => Ok(CompareFormat::Text),
        "markdown" => Ok(CompareFormat::Markdown),
        "csv" => Ok(CompareFormat::Csv),
        "latex" => Ok(CompareFormat::Latex),
        _ => Err("formats are text, markdown, csv and latex; JSON is written with --json".to_string()),
    }
}

/// What the name of the file to write says, else text.
fn format_of(args: &Compare) -> CompareFormat {
    let extension = args.output.as_ref().and_then(|path| path.extension()).and_then(|extension| extension.to_str());
    match extension {
        Some("md") => CompareFormat::Markdown,
        Some("csv") => CompareFormat::Csv,
        Some("tex") => CompareFormat::Latex,
        _ => CompareFormat::Text,
    }
}
