//! What a stage will probably take: what the nearest earlier one took, scaled by how much more there is to do.

use super::resolve::{Plan, Step};
use crate::base::digest::Digest;
use crate::store::Record;
use serde_json::Value as Json;

/// A guess, and what it rests on.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// Seconds of work; none where the amounts of work cannot be compared.
    pub seconds: Option<f64>,
    /// Bytes of memory at the peak; none where nothing tells of it.
    pub peak_memory: Option<u64>,
    /// What tells of it.
    pub peak_memory_by: Option<MemoryBy>,
    /// The key of the record; none where the stage kind's formula alone tells of memory.
    pub from: Option<Digest>,
    /// How many times that record's work this is.
    pub scale: Option<f64>,
}

/// What an amount of memory rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryBy {
    /// What this very stage took once.
    Itself,
    /// The stage kind's formula, by its arguments and the sizes of what goes in.
    Formula,
    /// What the nearest earlier stage of its kind took.
    Nearest,
}

impl Estimate {
    /// What the stage of that key takes by a record of its kind, where a share of its work is `left`.
    pub fn new(record: &Record, key: &Digest, science: &Json, left: f64) -> Estimate {
        let scale = scale(&record.document["science"], science).map(|scale| scale * left);
        let seconds = scale.map(|scale| scale * record.seconds_in_all());
        let peak_memory = record.made.peak_memory;
        let by = if record.key == *key { MemoryBy::Itself } else { MemoryBy::Nearest };
        Estimate { seconds, peak_memory, peak_memory_by: peak_memory.map(|_| by), from: Some(record.key), scale }
    }

    /// Bytes that this very stage took once.
    pub fn measured(&self) -> Option<u64> {
        self.peak_memory.filter(|_| self.peak_memory_by == Some(MemoryBy::Itself))
    }

    /// Takes in what the stage kind's formula says: more than another stage's record, and less than its own.
    pub fn with_formula(estimate: Option<Estimate>, bytes: u64) -> Estimate {
        let nothing = Estimate { seconds: None, peak_memory: None, peak_memory_by: None, from: None, scale: None };
        let known = estimate.unwrap_or(nothing);
        if known.measured().is_some() {
            return known;
        }
        Estimate { peak_memory: Some(bytes), peak_memory_by: Some(MemoryBy::Formula), ..known }
    }
}

/// How many times the old work the new one is. Time grows with budget, batch and samples; a stage without them takes
/// what it took. Where budgets have other units, nothing is known.
fn scale(old: &Json, new: &Json) -> Option<f64> {
    let ((unit, was), (other, is)) = (work(old), work(new));
    (unit == other && was > 0.0).then_some(is / was)
}

/// The share of a budget that is left after that of `done`. Where the units differ, how far that went is for the stage
/// to know: the whole is what it takes at most.
pub fn left_after(science: &Json, done: &Json) -> f64 {
    let budget = |science: &Json| {
        science["budget"]
            .as_object()
            .and_then(|budget| budget.iter().next().map(|(unit, amount)| (unit.clone(), amount.as_f64())))
    };
    match (budget(science), budget(done)) {
        (Some((unit, Some(all))), Some((other, Some(done)))) if unit == other && all > 0.0 => {
            (1.0 - done / all).max(0.0)
        }
        _ => 1.0,
    }
}

/// The unit of the budget and how much work there is.
fn work(science: &Json) -> (Option<String>, f64) {
    let number = |value: &Json| value.as_f64().filter(|number| *number > 0.0).unwrap_or(1.0);
    let budget = science["budget"].as_object().and_then(|budget| budget.iter().next());
    let unit = budget.map(|(unit, _)| unit.clone());
    // Of steps each has a whole batch; epochs and tokens are the same rows however they are split.
    let a_step = match unit.as_deref() {
        Some("steps") => number(&science["batch"]["seqs"]) * number(&science["prompts_per_step"]),
        _ => 1.0,
    };
    let repeated = number(&science["num_generations"]) * number(&science["samples"]) * number(&science["items"]);
    (unit, budget.map_or(1.0, |(_, amount)| number(amount)) * a_step * repeated)
}

/// The estimates of a plan's stages together.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Total {
    /// Seconds of work, as far as they are known.
    pub seconds: f64,
    /// The most bytes of any stage, as far as they are known.
    pub peak_memory: Option<u64>,
    /// Stages to run whose time is not known.
    pub unknown: usize,
    /// Stages to run.
    pub stages: usize,
}

impl Total {
    /// The sum over a plan.
    pub fn of(plan: &Plan) -> Total {
        let steps = plan.steps.iter().filter(|step| step.status.runs());
        steps.fold(Total::default(), |total, step| total.and(step))
    }

    fn and(self, step: &Step) -> Total {
        let seconds = step.estimate.as_ref().and_then(|estimate| estimate.seconds);
        let memory = step.estimate.as_ref().and_then(|estimate| estimate.peak_memory);
        Total {
            seconds: self.seconds + seconds.unwrap_or_default(),
            peak_memory: self.peak_memory.max(memory),
            unknown: self.unknown + usize::from(seconds.is_none()),
            stages: self.stages + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn time_grows_with_the_work() {
        let sft = |budget: Json, batch: u64| json!({"budget": budget, "batch": {"seqs": batch}});
        let grpo = |steps: u64, group: u64| json!({"budget": {"steps": steps}, "prompts_per_step": 4, "num_generations": group});
        let cases = [
            (sft(json!({"steps": 60}), 8), sft(json!({"steps": 120}), 8), Some(2.0)),
            (sft(json!({"steps": 60}), 8), sft(json!({"steps": 60}), 16), Some(2.0)),
            (sft(json!({"epochs": 2}), 8), sft(json!({"epochs": 3}), 16), Some(1.5)),
            (sft(json!({"epochs": 2}), 8), sft(json!({"steps": 3}), 8), None),
            (grpo(10, 4), grpo(20, 8), Some(4.0)),
            (json!({"items": 100}), json!({"items": 300}), Some(3.0)),
            (json!({"path": 1}), json!({"path": 2}), Some(1.0)),
        ];
        for (old, new, wanted) in cases {
            assert_eq!(scale(&old, &new), wanted, "{old} {new}");
        }
    }

    #[test]
    fn what_is_done_is_not_done_again() {
        let budget = |budget: Json| json!({ "budget": budget });
        assert_eq!(left_after(&budget(json!({"steps": 10})), &budget(json!({"steps": 4}))), 0.6);
        assert_eq!(left_after(&budget(json!({"epochs": 4})), &budget(json!({"epochs": 2}))), 0.5);
        assert_eq!(left_after(&budget(json!({"epochs": 4})), &budget(json!({"steps": 2}))), 1.0);
    }
}
