//! A plan as text: each stage with what is to be done and why, then the counts.

use super::grid::{Align, Grid};
use crate::plan::{Graph, Plan, Status, Step};

/// One line a stage in the plan's order, then the totals: "13 cells, 37 stage uses, 34 stages, 12 cached, 22 to run".
pub fn render(graph: &Graph, plan: &Plan) -> String {
    let mut grid =
        Grid::new(["stage", "kind", "key", "", "result of", "why"].map(|name| (name.to_string(), Align::Left)));
    for step in &plan.steps {
        let node = graph.node(step.node);
        let key = node.key.short();
        let (name, kind, reason) = (node.name.clone(), node.kind.clone(), step.reason.clone());
        grid.row(vec![name, kind, key, status(step), targets(graph, step.node), reason]);
    }
    let rows = if plan.steps.is_empty() { String::new() } else { grid.render() + "\n" };
    format!("{rows}{}\n", plan.summary)
}

/// The pipelines and cells whose last stage this is; of many the first.
fn targets(graph: &Graph, node: usize) -> String {
    let labels: Vec<&str> =
        graph.targets().iter().filter(|target| target.node == node).map(|target| target.label.as_str()).collect();
    match labels[..] {
        [] => String::new(),
        [only] => only.to_string(),
        [first, ..] => format!("{first} and {} more", labels.len() - 1),
    }
}

/// What is to be done, in a word that stands out by its letters alone.
fn status(step: &Step) -> String {
    match step.status {
        Status::Hit => "cached".into(),
        Status::ShallowHit => "cached (same inputs)".into(),
        Status::Resume { step } => format!("RESUME at {step}"),
        Status::ResumeAfter { .. } => "RESUME".into(),
        Status::Run => "RUN".into(),
        Status::MayBeCutOff => "RUN, may be cut off".into(),
        Status::NotNeeded => "not needed".into(),
    }
}
