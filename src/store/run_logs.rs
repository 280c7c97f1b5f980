//! The event logs of runs: which there are, and what each stage came to.

use super::Store;
use super::error::StoreError;
use crate::base::digest::Digest;
use crate::base::event::{Event, StageRef};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind};

/// What a log tells of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunLog {
    /// The run's id.
    pub run: String,
    /// The file that was run, where the log names it.
    pub file: Option<String>,
    /// Seconds since 1970.
    pub started: f64,
    /// Wall time; none where the run ended without a word, or is at work.
    pub seconds: Option<f64>,
    /// Whether it was asked to stop.
    pub interrupted: bool,
    /// Its stages, in the order in which they came up.
    pub stages: Vec<RunStage>,
}

/// A stage of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunStage {
    /// Which.
    #[serde(flatten)]
    pub stage: StageRef,
    /// What became of it.
    pub outcome: RunOutcome,
    /// Seconds of work, where it ran to its end.
    pub seconds: Option<f64>,
    /// Role to artifact digest, where the run made it.
    pub outputs: BTreeMap<String, Digest>,
    /// Its final numbers, where the run made it.
    pub metrics: BTreeMap<String, f64>,
}

/// What became of a stage in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Its result was there.
    Cached,
    /// It was made.
    Finished,
    /// It failed.
    Failed,
    /// A stage that it needs failed.
    Blocked,
    /// It was stopped.
    Interrupted,
    /// It was begun, and the log tells of no end.
    Begun,
}

impl RunLog {
    /// How many stages came to that.
    pub fn count(&self, outcome: RunOutcome) -> usize {
        self.stages.iter().filter(|stage| stage.outcome == outcome).count()
    }
}

impl Store {
    /// The ids of the runs that have a log, oldest first. A run that had nothing to do has none.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the folder of logs cannot be read.
    pub fn runs(&self) -> Result<Vec<String>, StoreError> {
        let folder = self.layout.run_logs();
        let failed = || StoreError::io("list the runs", &folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed()(error)),
        };
        let mut runs = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed())?.file_name();
            runs.extend(name.to_str().and_then(|name| name.strip_suffix(".jsonl")).map(String::from));
        }
        runs.sort_unstable();
        Ok(runs)
    }

    /// What the log of a run tells. A line that was cut short by a crash, or is of a later srlm, is passed over.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it cannot be read.
    pub fn read_run(&self, run: &str) -> Result<RunLog, StoreError> {
        let path = self.layout.run_log(run);
        let lines = BufReader::new(File::open(&path).map_err(StoreError::io("read the run's log", &path))?);
        let mut reading = Reading { log: RunLog { run: run.to_string(), ..RunLog::default() }, places: HashMap::new() };
        for line in lines.split(b'\n') {
            let line = line.map_err(StoreError::io("read the run's log", &path))?;
            if let Ok(Line { time, event }) = serde_json::from_slice(&line) {
                reading.hear(time, event);
            }
        }
        Ok(reading.log)
    }
}

#[derive(Deserialize)]
struct Line {
    time: f64,
    #[serde(flatten)]
    event: Event,
}

struct Reading {
    log: RunLog,
    places: HashMap<Digest, usize>,
}

impl Reading {
    fn hear(&mut self, time: f64, event: Event) {
        match event {
            Event::RunStarted { file, .. } => (self.log.started, self.log.file) = (time, file),
            Event::StageCached { stage } => self.stage(stage).outcome = RunOutcome::Cached,
            Event::StageStarted { stage, .. } => self.stage(stage).outcome = RunOutcome::Begun,
            Event::StageFailed { stage, .. } => self.stage(stage).outcome = RunOutcome::Failed,
            Event::StageBlocked { stage, .. } => self.stage(stage).outcome = RunOutcome::Blocked,
            Event::StageInterrupted { stage, .. } => self.stage(stage).outcome = RunOutcome::Interrupted,
            Event::StageFinished { stage, seconds, outputs, metrics, .. } => {
                let (outcome, seconds) = (RunOutcome::Finished, Some(seconds));
                let place = self.stage(stage.clone());
                *place = RunStage { stage, outcome, seconds, outputs, metrics };
            }
            Event::RunFinished { interrupted, seconds, .. } => {
                (self.log.interrupted, self.log.seconds) = (interrupted, Some(seconds));
            }
            _ => {}
        }
    }

    fn stage(&mut self, stage: StageRef) -> &mut RunStage {
        let stages = &mut self.log.stages;
        let place = *self.places.entry(stage.key).or_insert(stages.len());
        if place == stages.len() {
            let (outputs, metrics) = Default::default();
            stages.push(RunStage { stage, outcome: RunOutcome::Begun, seconds: None, outputs, metrics });
        }
        &mut stages[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        let key = Digest::of_bytes(b"warm");
        text.replace("STAGE", &format!(r#""stage":{{"key":"{key}","kind":"sft","name":"warm"}}"#)) + "\n"
    }

    #[test]
    fn a_log_is_read_up_to_where_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert!(store.runs().unwrap().is_empty());
        fs::create_dir(folder.path().join("runs")).unwrap();
        let text = [
            line(r#"{"time":1.5,"event":"run_started","run":"r1","stages":2,"cached":0,"to_run":2}"#),
            line(r#"{"time":2,"event":"stage_started",STAGE,"resumed_from":null,"reason":"never run before"}"#),
            line(r#"{"time":3,"event":"something_new",STAGE}"#),
            line(r#"{"time":4,"event":"stage_finished",STAGE,"seconds":2.0,"outputs":{},"metrics":{"loss":0.5}}"#),
            r#"{"time":5,"event":"stage_sta"#.to_string(),
        ];
        fs::write(folder.path().join("runs/r1.jsonl"), text.concat()).unwrap();
        fs::write(folder.path().join("runs/.r2.jsonl.tmp"), "").unwrap();
        assert_eq!(store.runs().unwrap(), ["r1"]);
        let log = store.read_run("r1").unwrap();
        assert_eq!((log.started, log.seconds, log.stages.len()), (1.5, None, 1));
        let warm = &log.stages[0];
        assert_eq!((warm.outcome, warm.seconds, warm.metrics["loss"]), (RunOutcome::Finished, Some(2.0), 0.5));
    }
}
