//! A plan as text: each stage with what is to be done and why, then the counts.

use super::grid::{Align, Grid};
use super::number::{bytes, metric, seconds};
use crate::plan::{Estimate, Graph, MemoryBy, Plan, Status, Step, Total};
use std::borrow::Cow;
use std::collections::HashMap;

/// One line a stage in the plan's order, then the totals: "13 cells, 37 stage uses, 34 stages, 12 cached, 22 to run".
pub fn render(graph: &Graph, plan: &Plan) -> String {
    let mut grid =
        Grid::new(["stage", "kind", "key", "", "result of", "why"].map(|name| (name.to_string(), Align::Left)));
    grid.reserve(plan.steps.len());
    let results = results(graph);
    for step in &plan.steps {
        let node = graph.node(step.node);
        let [name, kind, reason] = [&node.name, &node.kind, &step.reason].map(Cow::from);
        let result = results.get(&step.node).map(|labels| several(labels)).unwrap_or_default();
        grid.row([name, kind, node.key.short().into(), status(step), result, reason]);
    }
    let rows = if plan.steps.is_empty() { String::new() } else { grid.render() + "\n" };
    format!("{rows}{}{}\n", plan.summary, estimate(&plan.estimate()))
}

/// `; about 4m05s of work, at most 3.1 GiB in one stage; unknown for 2 stages`
fn estimate(total: &Total) -> String {
    if total.stages == 0 {
        return String::new();
    }
    let memory = total.peak_memory.map(|most| format!(", at most {} in one stage", bytes(most))).unwrap_or_default();
    if total.unknown == total.stages {
        return format!("; how long is unknown{memory}");
    }
    let unknown = match total.unknown {
        0 => String::new(),
        1 => "; unknown for 1 stage".to_string(),
        more => format!("; unknown for {more} stages"),
    };
    format!("; about {} of work{memory}{unknown}", seconds(total.seconds))
}

/// `about 4m05s by what 1f0c33aa52 took (2.5 times its work); at most 3.1 GiB by its settings`
pub fn estimated(estimate: &Estimate) -> String {
    let by_formula = estimate.peak_memory_by == Some(MemoryBy::Formula);
    let memory = estimate.peak_memory.map(|most| format!("at most {}", bytes(most)));
    let by_settings = memory.as_ref().filter(|_| by_formula).map(|most| format!("; {most} by its settings"));
    let time = estimate.seconds.map_or_else(|| "how long is unknown".into(), |time| format!("about {}", seconds(time)));
    let memory = memory.filter(|_| !by_formula).map(|most| format!(", {most},")).unwrap_or_default();
    let scale =
        estimate.scale.filter(|scale| *scale != 1.0).map(|scale| format!(" ({} times its work)", metric(scale)));
    let took = estimate.from.map(|key| format!(" by what {} took{}", key.short(), scale.unwrap_or_default()));
    format!("{time}{memory}{}{}", took.unwrap_or_default(), by_settings.unwrap_or_default())
}

/// The pipelines and cells by their last stage.
fn results(graph: &Graph) -> HashMap<usize, Vec<&str>> {
    let mut results: HashMap<usize, Vec<&str>> = HashMap::new();
    graph.targets().iter().for_each(|target| results.entry(target.node).or_default().push(&target.label));
    results
}

/// The labels of a stage; of many the first.
fn several<'t>(labels: &[&'t str]) -> Cow<'t, str> {
    match labels {
        [] => "".into(),
        [only] => (*only).into(),
        [first, more @ ..] => format!("{first} and {} more", more.len()).into(),
    }
}

/// What is to be done, in a word that stands out by its letters alone.
fn status(step: &Step) -> Cow<'static, str> {
    match step.status {
        Status::Hit => "cached".into(),
        Status::ShallowHit => "cached (same inputs)".into(),
        Status::Resume { step } => format!("RESUME at {step}").into(),
        Status::ResumeAfter { .. } => "RESUME".into(),
        Status::Run => "RUN".into(),
        Status::MayBeCutOff => "RUN, may be cut off".into(),
        Status::NotNeeded => "not needed".into(),
        Status::Blocked => "BLOCKED".into(),
    }
}
