//! `srlm show`: a stage's record, its files, and some of its rows.

use super::args::{Global, Program};
use super::output::Output;
use super::{exit, open};
use crate::driver::{self, Failure, Shown};
use crate::report::number::{count, metric, seconds};
use crate::store::Record;

/// Prints the result of a stage; JSON is one object with `record`, `files` and `samples`.
pub fn show(program: &Program, node: &str, samples: usize, global: &Global, output: Output) -> Result<u8, Failure> {
    let project = open(program, global, output)?;
    let shown = driver::show(&project, node, samples)?;
    if output.json {
        output.json_line(&shown);
    } else {
        output.result(&text(&shown));
    }
    Ok(exit::OK)
}

fn text(shown: &Shown) -> String {
    let record = &shown.record;
    let mut text = format!("{} `{}`\n", record.kind, record.name);
    text += &format!("key       {}\n", record.key);
    if let Some(of) = record.alias_of {
        text += &format!("result of {of}: its inputs are the same bytes\n");
    }
    let made = &record.made;
    text += &format!("made      {} on {} in {}\n", made.time, made.host, seconds(record.seconds));
    if let Some(resumed) = &record.resumed {
        text +=
            &format!("went on   from step {}, after {} of training before\n", resumed.step, seconds(resumed.seconds));
    }
    if let Some(place) = &record.declared_at {
        text += &format!("declared  {place}\n");
    }
    text += &format!("settings  {}\n", record.document["science"]);
    text += &section("metrics", record.metrics.iter().map(|(name, value)| format!("{name} {}", metric(*value))));
    text += &section("inputs", record.inputs.iter().map(|(role, digest)| format!("{role} {}", digest.short())));
    text += &section("other results from the same inputs", shown.alternates.iter().map(alternate));
    text += &section("files", shown.files.iter().map(|file| format!("{}, {} bytes", file.path, count(file.size))));
    text + &section("rows", shown.samples.iter().filter_map(|row| serde_json::to_string_pretty(row).ok()))
}

fn alternate(record: &Record) -> String {
    let outputs: Vec<String> =
        record.outputs.iter().map(|(role, digest)| format!("{role} {}", digest.short())).collect();
    format!("{}, made {} on {} by run {}", outputs.join(", "), record.made.time, record.made.host, record.run)
}

fn section(title: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.map(|line| format!("  {}\n", line.replace('\n', "\n  "))).collect();
    if lines.is_empty() { String::new() } else { format!("{title}\n{}", lines.concat()) }
}
