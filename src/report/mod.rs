//! Listeners on the event stream, and the tables a person reads. Nothing here prints: writers are handed in.

pub mod compare_format;
pub mod compare_table;
pub mod fanout;
pub mod graph;
pub mod grid;
pub mod jsonl;
pub mod lineage_tree;
pub mod lines;
pub mod number;
mod pace;
pub mod page;
mod phrase;
pub mod plan_table;
pub mod reading;
pub mod run_diff;
pub mod scores_table;
pub mod terminal;

#[cfg(test)]
mod tests {
    use crate::base::digest::Digest;
    use crate::base::event::{Event, StageEvent, StageRef, Transfer};
    use std::collections::BTreeMap;

    fn stage(name: &str, kind: &str) -> StageRef {
        StageRef { key: Digest::of_bytes(name.as_bytes()), kind: kind.into(), name: name.into() }
    }

    fn said(step: u64) -> Event {
        let metrics = BTreeMap::from([("loss".to_string(), 1.0 / step as f64)]);
        let said = StageEvent::Progress { step, total: 60, unit: "step".into(), tokens: 6000, metrics };
        Event::StageSaid { stage: stage("warm", "sft"), said }
    }

    /// A run in which everything happens that can.
    pub(super) fn journey() -> Vec<Event> {
        let warm = || stage("warm", "sft");
        let facts = BTreeMap::from([("rows_dropped".to_string(), 2.0), ("rows_read".to_string(), 7473.0)]);
        let metrics = BTreeMap::from([("loss".to_string(), 0.05), ("grad_norm".to_string(), 1.0)]);
        let message = "the loss is not finite at step 3:\nlower learning_rate".to_string();
        vec![
            Event::RunStarted { run: "r1".into(), stages: 5, cached: 1, to_run: 4, file: Some("a.srlm".into()) },
            Event::StageCached { stage: stage("tiny", "init") },
            Event::StageStarted { stage: warm(), resumed_from: None, reason: "no record".into(), gpus: vec![] },
            Event::StageSaid { stage: warm(), said: StageEvent::Facts { facts } },
            said(10),
            said(20),
            Event::StageSaid { stage: warm(), said: StageEvent::Checkpointed { step: 20 } },
            Event::StageFinished {
                stage: warm(),
                seconds: 12.34,
                outputs: BTreeMap::new(),
                metrics,
                peak_memory: None,
                device: "cpu".into(),
            },
            Event::StageWaiting { stage: stage("mimic", "distill"), holder: "pid 7 on box, for 3 s".into() },
            Event::StageStarted {
                stage: stage("reason", "grpo"),
                resumed_from: Some(40),
                reason: "no record".into(),
                gpus: vec![],
            },
            Event::StageSaid { stage: stage("reason", "grpo"), said: StageEvent::Resumed { step: 40, seconds: 9.0 } },
            Event::StageFailed {
                stage: stage("reason", "grpo"),
                message,
                declared_at: Some("a.srlm:7:14".into()),
                source_line: Some("let reason = grpo {".into()),
            },
            Event::StageBlocked { stage: stage("exam", "evaluate"), by: stage("reason", "grpo") },
            Event::StageInterrupted { stage: stage("mimic", "distill"), saved_at: Some(7), why: None },
            Event::RemoteWarning { message: "the remote cache s3://bucket cannot be reached: no route".into() },
            Event::RemoteProgress { doing: Transfer::Uploading, done: 1, total: 2, bytes: 3 << 20 },
            Event::RunFinished {
                run: "r1".into(),
                finished: 1,
                cached: 1,
                failed: 1,
                blocked: 1,
                interrupted: true,
                seconds: 83.0,
            },
            Event::RemoteFinished { fetched: 12, fetched_bytes: 5 << 28, uploaded: 1, uploaded_bytes: 900, left: 2 },
        ]
    }
}
