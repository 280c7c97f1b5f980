//! One stage by the name a person gives it: why it has its state, and what its result looks like.

use super::{Failure, Project};
use crate::base::digest::Digest;
use crate::base::kind::Kind;
use crate::lang::nearest::nearest;
use crate::plan::{Cause, Change, Estimate, Node};
use crate::store::Record;
use crate::store::artifact::Entry;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// Why a stage is cached, or runs.
#[derive(Debug, Serialize)]
pub struct Why {
    /// The deep key.
    pub key: Digest,
    /// The stage kind.
    pub kind: String,
    /// The name the file gives it.
    pub name: String,
    /// The targets that need it.
    pub labels: Vec<String>,
    /// `hit`, `resume`, `run`, `not_needed` or `blocked`.
    pub status: &'static str,
    /// One sentence.
    pub reason: String,
    /// What that sentence is about, in a word.
    pub cause: &'static str,
    /// What it will probably take, for a stage to run.
    pub estimate: Option<Estimate>,
    /// The key of the nearest earlier record, for a stage without a result.
    pub nearest: Option<Digest>,
    /// How the stage differs from that record.
    pub changes: Vec<Change>,
}

/// A result.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The record.
    pub record: Record,
    /// Later results under its key with other bytes: the stage is no function of its inputs.
    pub alternates: Vec<Record>,
    /// The files of its output.
    pub files: Vec<Entry>,
    /// The first rows of a dataset or of scores.
    pub samples: Vec<serde_json::Value>,
}

/// The one stage that `text` means: a stage's name, a pipeline, the label of a cell, or the start of a key.
///
/// # Errors
/// [`Failure::Input`] where it means none, with the nearest name, or several, with all of them.
pub(super) fn find(project: &Project, text: &str) -> Result<usize, Failure> {
    let graph = &project.graph;
    let found = graph.named(&spaced(text));
    match found[..] {
        [node] => Ok(node),
        [] => Err(Failure::Input(unknown(project, text))),
        _ => {
            let lines: Vec<String> = found.iter().map(|&node| format!("  {}", describe(graph.node(node)))).collect();
            let why = format!("`{text}` may mean several stages; name one by its key:\n{}", lines.join("\n"));
            Err(Failure::Input(why))
        }
    }
}

/// Why a stage is cached, or runs.
///
/// # Errors
/// [`Failure::Input`] for an unknown stage, [`Failure::Machine`] where the store cannot be read.
pub fn why(project: &Project, text: &str) -> Result<Why, Failure> {
    let index = find(project, text)?;
    let resolver = project.resolver();
    let mut plan = resolver.plan(&[])?;
    super::memory::estimate(project, &mut plan);
    let node = project.graph.node(index);
    let step = plan.step(index).ok_or_else(|| Failure::Input(format!("nothing in the file needs `{text}`")))?;
    let explanation = match step.cause {
        Cause::Changed => resolver.explain(index)?,
        _ => Default::default(),
    };
    Ok(Why {
        key: node.key,
        kind: node.kind.clone(),
        name: node.name.clone(),
        labels: node.labels.iter().map(ToString::to_string).collect(),
        status: step.status.word(),
        reason: step.reason.clone(),
        cause: step.cause.word(),
        estimate: step.estimate.clone(),
        nearest: explanation.nearest,
        changes: explanation.changes,
    })
}

/// The result of a stage, with at most `samples` of its rows.
///
/// # Errors
/// [`Failure::Input`] for an unknown stage or one without a result, [`Failure::Machine`] where it cannot be read.
pub fn show(project: &Project, text: &str, samples: usize) -> Result<Shown, Failure> {
    let record = record(project, text)?;
    let alternates = project.store.alternates(&record.key)?;
    let mut shown = Shown { files: Vec::new(), samples: Vec::new(), record, alternates };
    for digest in shown.record.outputs.values() {
        let artifact = project.store.artifact(digest)?;
        let files = artifact.files();
        shown.files.extend_from_slice(artifact.entries());
        for path in ["data.jsonl", "items.jsonl"].iter().filter_map(|name| files.get(*name)) {
            let failed = |error: std::io::Error| Failure::Machine(format!("{}: {error}", path.display()));
            for line in BufReader::new(File::open(path).map_err(failed)?).lines().take(samples) {
                let row = serde_json::from_str(&line.map_err(failed)?);
                shown.samples.push(row.map_err(|error| failed(error.into()))?);
            }
        }
    }
    Ok(shown)
}

/// The record of the stage that `text` means.
///
/// # Errors
/// As [`show`].
pub(super) fn record(project: &Project, text: &str) -> Result<Record, Failure> {
    let node = project.graph.node(find(project, text)?);
    let found = project.store.lookup(&node.key)?.found();
    found
        .ok_or_else(|| Failure::Input(format!("`{text}` has no result yet: `srlm run` makes it, `srlm plan` says why")))
}

/// The files of the model that a stage made: their names to where they are.
///
/// # Errors
/// [`Failure::Input`] for an unknown stage, one without a result or one that makes no model; [`Failure::Machine`] where
/// the store cannot be read.
pub fn model_files(project: &Project, text: &str) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let node = project.graph.node(find(project, text)?);
    if node.output != Kind::Model {
        let made = node.output.name().to_lowercase();
        return Err(Failure::Input(format!(
            "`{text}` makes {made}, no model: name a stage or pipeline that makes one"
        )));
    }
    let record = record(project, text)?;
    let digest = record.outputs.get(&node.output_role());
    let digest = digest.ok_or_else(|| Failure::Machine(format!("the record of `{text}` names no model")))?;
    Ok(project.store.artifact(digest)?.files().into_iter().collect())
}

/// A cell's label with one blank after each comma, as labels are written.
fn spaced(text: &str) -> String {
    if !text.contains('[') {
        return text.to_string();
    }
    text.split(',').map(str::trim).collect::<Vec<_>>().join(", ")
}

fn describe(node: &Node) -> String {
    let labels: Vec<&str> = node.labels.iter().take(3).map(|label| &**label).collect();
    let more = if node.labels.len() > labels.len() { ", …" } else { "" };
    format!("{}  {} `{}` for {}{more}", node.key.short(), node.kind, node.name, labels.join(", "))
}

fn unknown(project: &Project, text: &str) -> String {
    let names = project.graph.nodes().map(|node| node.name.as_str());
    let labels = project.graph.targets().iter().map(|target| target.label.as_str());
    let mut known: Vec<&str> = names.chain(labels).collect();
    known.sort_unstable();
    known.dedup();
    match nearest(text, known.iter().copied()) {
        Some(similar) => format!("the file has no stage or pipeline `{text}`; did you mean `{similar}`?"),
        None => format!("the file has no stage or pipeline `{text}`; it has {}", known.join(", ")),
    }
}
