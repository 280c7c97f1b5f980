//! `srlm doc`: the reference of stages, fields, library and language, and of a user's own files.

use super::args::Doc;
use super::exit;
use super::output::Output;
use crate::driver::Failure;
use crate::driver::doc::{Reference, file};
use crate::report::page::{Page, markdown, text};
use std::path::Path;

/// Prints the pages of a name, or the table of contents; JSON is one object a page.
pub fn doc(args: &Doc, output: Output) -> Result<u8, Failure> {
    let text = match args.name.as_deref() {
        Some(name) if is_file(name) => written(&file(Path::new(name))?, args, output),
        Some(name) => named(name, args, output)?,
        None => written(&[Reference::new().contents()], args, output),
    };
    output.result_to(args.output.as_deref(), &text)?;
    Ok(exit::OK)
}

fn is_file(name: &str) -> bool {
    name.ends_with(".srlm") || name.contains(['/', '\\'])
}

fn named(name: &str, args: &Doc, output: Output) -> Result<String, Failure> {
    let reference = Reference::new();
    let book = (args.markdown && !output.json).then(|| reference.book(name)).flatten();
    if let Some(book) = book {
        return Ok(book);
    }
    let found = reference.find(name)?;
    found.note.iter().for_each(|note| output.say(note));
    Ok(written(&found.pages, args, output))
}

fn written(pages: &[Page], args: &Doc, output: Output) -> String {
    if output.json {
        return pages.iter().filter_map(|page| serde_json::to_string(page).ok()).map(|line| line + "\n").collect();
    }
    let bold = args.output.is_none() && output.bold_results();
    let show = |page: &Page| if args.markdown { markdown(page) } else { text(page, output.width(), bold) };
    pages.iter().map(show).collect::<Vec<_>>().join("\n\n")
}
