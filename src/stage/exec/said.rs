//! Progress that a program tells: lines of JSON on its standard output.

use super::super::Metrics;
use crate::base::event::StageEvent;
use serde_json::{Map, Value as Json};

/// A line of progress.
#[derive(Debug, PartialEq)]
pub struct Said {
    /// What whoever watches is told.
    pub event: StageEvent,
    /// Its numbers; those of the last line become the stage's.
    pub metrics: Metrics,
}

/// A line such as `{"step": 3, "total": 60, "loss": 0.5}`: `step` makes it one, `total`, `unit` and `tokens` (since the
/// line before) are optional, and every other number is a metric. Any other line is `None`.
pub fn parse(line: &[u8]) -> Option<Said> {
    let fields: Map<String, Json> = serde_json::from_slice(line.trim_ascii()).ok()?;
    let count = |name: &str| fields.get(name).and_then(Json::as_u64);
    let step = count("step")?;
    let others = fields.iter().filter(|(name, _)| !["step", "total", "tokens"].contains(&name.as_str()));
    let metrics: Metrics = others.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
    let event = StageEvent::Progress {
        step,
        total: count("total").unwrap_or(step),
        unit: fields.get("unit").and_then(Json::as_str).unwrap_or("step").to_string(),
        tokens: count("tokens").unwrap_or(0),
        metrics: metrics.clone(),
    };
    Some(Said { event, metrics })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_step_is_progress_and_its_numbers_are_metrics() {
        let said = parse(b" {\"step\": 3, \"total\": 60, \"loss\": 0.5, \"note\": \"x\", \"tokens\": 7}\n").unwrap();
        let metrics = Metrics::from([("loss".to_string(), 0.5)]);
        assert_eq!(said.metrics, metrics);
        let event = StageEvent::Progress { step: 3, total: 60, unit: "step".into(), tokens: 7, metrics };
        assert_eq!(said.event, event);
    }

    #[test]
    fn other_lines_are_none() {
        for line in
            ["", "step 3", "{\"loss\": 1}", "[1]", "{\"step\": -1}", "{\"step\": 1, \"loss\": NaN}", "{\"step\":"]
        {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
