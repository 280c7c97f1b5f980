//! Two runs side by side, as text.

use super::number::metric;
use crate::plan::run_diff::{MetricDiff, RunDiff, StageDiff};
use crate::store::{RunOutcome, RunStage};

/// The counts, then each stage that differs with what changed in it and in its numbers.
pub fn render(diff: &RunDiff) -> String {
    let mut text = format!("{} → {}\n", diff.first, diff.second);
    let counts = [
        (diff.same, "the same"),
        (diff.differing.len(), "differ"),
        (diff.only_first.len(), "only in the first"),
        (diff.only_second.len(), "only in the second"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    text += &format!("stages: {}\n", counts.collect::<Vec<_>>().join(", "));
    diff.differing.iter().for_each(|stage| text += &format!("\n{}", differing(stage)));
    text += &listed("only in the first", &diff.only_first);
    text + &listed("only in the second", &diff.only_second)
}

fn differing(diff: &StageDiff) -> String {
    let (first, second) = (&diff.first, &diff.second);
    let keys = match first.stage.key == second.stage.key {
        true => second.stage.key.short(),
        false => format!("{} → {}", first.stage.key.short(), second.stage.key.short()),
    };
    let mut text = format!("{}  {keys}\n", named(second));
    for change in &diff.changes {
        text += &format!("  {}\n", change.text);
    }
    if outcome(first) != outcome(second) {
        text += &format!("  {} → {}\n", outcome(first), outcome(second));
    }
    if diff.same_result {
        text += "  the result is the same to the byte\n";
    }
    diff.metrics.iter().for_each(|change| text += &format!("  {}\n", number(change)));
    text
}

fn number(change: &MetricDiff) -> String {
    let side = |value: Option<f64>| value.map_or_else(|| "none".to_string(), metric);
    format!("{} {} → {}", change.name, side(change.was), side(change.is))
}

fn listed(title: &str, stages: &[RunStage]) -> String {
    if stages.is_empty() {
        return String::new();
    }
    let line = |stage: &RunStage| format!("  {}  {}\n", named(stage), stage.stage.key.short());
    format!("\n{title}\n{}", stages.iter().map(line).collect::<String>())
}

fn named(stage: &RunStage) -> String {
    let stage = &stage.stage;
    if stage.kind == stage.name { stage.kind.clone() } else { format!("{} `{}`", stage.kind, stage.name) }
}

/// Whether there is a result, and if not, why.
fn outcome(stage: &RunStage) -> &'static str {
    match stage.outcome {
        RunOutcome::Cached | RunOutcome::Finished => "done",
        RunOutcome::Failed => "failed",
        RunOutcome::Blocked => "blocked",
        RunOutcome::Interrupted => "interrupted",
        RunOutcome::Begun => "not ended",
    }
}
