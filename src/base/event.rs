//! Everything that can happen in a run, as data: the engine emits, reporters listen.

use crate::base::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a stage says while it works. Names of metrics are the field's: `loss`, `reward`, `grad_norm`, …
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StageEvent {
    /// A count or fact known before the work starts: rows read, dropped, cut, trained tokens.
    Facts {
        /// Name to number.
        facts: BTreeMap<String, f64>,
    },
    /// One step is done.
    Progress {
        /// Steps done so far, counted from the stage's start (not from a resume).
        step: u64,
        /// Steps in all.
        total: u64,
        /// What a step is called: `step`, `item`, `sequence`.
        unit: String,
        /// Tokens that passed through the model since the last progress event.
        tokens: u64,
        /// The step's numbers.
        metrics: BTreeMap<String, f64>,
    },
    /// Something the user should know, with what to do.
    Warning {
        /// One sentence that names the cure.
        message: String,
    },
    /// Training goes on from a saved state.
    Resumed {
        /// The step it was taken after.
        step: u64,
        /// Seconds of training that it stands for.
        seconds: f64,
    },
    /// A state from which the stage can resume is on disk.
    Checkpointed {
        /// The step it was taken after.
        step: u64,
    },
}

/// What identifies a stage in an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRef {
    /// The deep key.
    pub key: Digest,
    /// The stage kind.
    pub kind: String,
    /// The name the file gives it, or the result it makes: `warm`, `orderings[order=sft, seed=1]`.
    pub name: String,
}

/// A file of a result that came out otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Its name inside the result.
    pub name: String,
    /// The digest of its bytes in the kept result; none where that has no such file.
    pub was: Option<Digest>,
    /// The digest of its bytes in the new one.
    pub is: Option<Digest>,
}

/// A number of a result that came out otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricChange {
    /// Its name.
    pub name: String,
    /// In the kept result; none where that does not tell it.
    pub was: Option<f64>,
    /// In the new one.
    pub is: Option<f64>,
}

/// What can happen in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The plan is made, work begins.
    RunStarted {
        /// The run's id, the name of its event log.
        run: String,
        /// Distinct stages in the plan.
        stages: usize,
        /// Those whose result is in the store.
        cached: usize,
        /// Those to run.
        to_run: usize,
        /// The file that is run.
        #[serde(default)]
        file: Option<String>,
    },
    /// A stage whose result is already there.
    StageCached {
        /// Which.
        stage: StageRef,
    },
    /// Another process works on the stage; this run waits for its result.
    StageWaiting {
        /// Which.
        stage: StageRef,
        /// Who: host, process id and age.
        holder: String,
    },
    /// A worker has begun.
    StageStarted {
        /// Which.
        stage: StageRef,
        /// The step a saved state allows it to continue from.
        resumed_from: Option<u64>,
        /// Why it runs at all.
        reason: String,
        /// The GPUs it was given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gpus: Vec<String>,
    },
    /// A worker said something.
    StageSaid {
        /// Which.
        stage: StageRef,
        /// What.
        said: StageEvent,
    },
    /// The result is published.
    StageFinished {
        /// Which.
        stage: StageRef,
        /// Seconds of work, earlier attempts that it resumed from left out.
        seconds: f64,
        /// Role to artifact digest.
        outputs: BTreeMap<String, Digest>,
        /// The stage's final numbers.
        metrics: BTreeMap<String, f64>,
        /// The most memory that the worker had at once, in bytes.
        #[serde(default)]
        peak_memory: Option<u64>,
        /// What the numbers were computed on: `cpu`.
        #[serde(default)]
        device: String,
    },
    /// The stage failed; what waits for it is blocked.
    StageFailed {
        /// Which.
        stage: StageRef,
        /// What went wrong and what to do, as the stage said it.
        message: String,
        /// `FILE:LINE:COLUMN` of the declaration.
        declared_at: Option<String>,
        /// The text of that line.
        #[serde(default)]
        source_line: Option<String>,
    },
    /// The machine ended the stage's worker; it is started again, from its newest saved state where there is one.
    StageRetried {
        /// Which.
        stage: StageRef,
        /// `out_of_memory`, `preempted` or `io`.
        cause: String,
        /// What happened.
        message: String,
        /// Which further try is next, from 1.
        retry: usize,
        /// How many there may be.
        retries: usize,
        /// Seconds until then.
        pause: f64,
    },
    /// A stage whose result was there was computed anew, and what came out is held against the result that is kept.
    StageCompared {
        /// Which.
        stage: StageRef,
        /// The run that made the kept result.
        with: String,
        /// Whether both are the same to the byte.
        same: bool,
        /// Files that differ.
        files: Vec<FileChange>,
        /// Numbers that differ.
        metrics: Vec<MetricChange>,
    },
    /// A stage that cannot run because one it needs has no result: it failed, or was stopped by its time limit.
    StageBlocked {
        /// Which.
        stage: StageRef,
        /// The one without result.
        by: StageRef,
    },
    /// The stage was asked to stop and has saved a state.
    StageInterrupted {
        /// Which.
        stage: StageRef,
        /// The step of its newest saved state.
        saved_at: Option<u64>,
        /// What stopped it, where that was not the user: its time limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// Something about the remote cache: the run goes on without its help.
    RemoteWarning {
        /// What is wrong with it.
        message: String,
    },
    /// Results are on their way from or to the remote cache, and the run waits for them.
    RemoteProgress {
        /// Which way.
        doing: Transfer,
        /// Results that are through.
        done: usize,
        /// Results in all.
        total: usize,
        /// Bytes so far.
        bytes: u64,
    },
    /// What went from and to the remote cache in this run; told where anything did.
    RemoteFinished {
        /// Results that came.
        fetched: usize,
        /// Their bytes.
        fetched_bytes: u64,
        /// Results that went.
        uploaded: usize,
        /// Their bytes.
        uploaded_bytes: u64,
        /// Results that are still to go: the next run or `srlm store push` tries again.
        left: usize,
    },
    /// Nothing is left to do.
    RunFinished {
        /// The run's id.
        run: String,
        /// Stages run to the end.
        finished: usize,
        /// Stages found in the store.
        cached: usize,
        /// Stages that failed.
        failed: usize,
        /// Stages that could not start.
        blocked: usize,
        /// Whether the run was asked to stop, or a stage of it was.
        interrupted: bool,
        /// Wall time.
        seconds: f64,
    },
}

/// Which way results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transfer {
    /// From the remote cache.
    Fetching,
    /// To it.
    Uploading,
}

/// Takes events as they happen.
pub trait Sink: Send + Sync {
    /// Called once an event, in order.
    fn emit(&self, event: &Event);
}

/// A sink that drops everything.
pub struct NullSink;

impl Sink for NullSink {
    fn emit(&self, _event: &Event) {}
}
