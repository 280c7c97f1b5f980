//! What crosses the pipe between a run and its workers: one job in, messages out, all JSON lines.

use crate::base::digest::Digest;
use crate::base::event::StageEvent;
use crate::base::state::Places;
use crate::stage::{Files, Metrics, StageContext, StageError, Teacher};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// One stage to run: everything its [`StageContext`] holds, and whom it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The deep key, for messages; the stage does not see it.
    pub key: Digest,
    /// The stage kind.
    pub kind: String,
    /// The name the file gives the stage.
    pub name: String,
    /// Canonical arguments, defaults filled in.
    pub args: serde_json::Value,
    /// Role to the input artifact's files.
    pub inputs: BTreeMap<String, Files>,
    /// Paths named in the arguments, as written, to where they are on this machine.
    pub paths: BTreeMap<String, PathBuf>,
    /// The digests of what they hold, as the plan saw them.
    pub contents: BTreeMap<String, Digest>,
    /// Role to the model behind a server, for inputs that are one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub teachers: BTreeMap<String, Teacher>,
    /// The empty folder to fill.
    pub out: PathBuf,
    /// A name for a folder of the stage's own.
    pub work: PathBuf,
    /// Where a stage that trains keeps its states.
    #[serde(default)]
    pub states: Option<Places>,
    /// Where stages keep what others would compute again.
    #[serde(default)]
    pub cache: Option<PathBuf>,
    /// Where the worker's standard error goes.
    pub log: PathBuf,
    /// Seconds between two saved states.
    pub checkpoint_seconds: f64,
    /// Threads the worker may use; none leaves it to `RAYON_NUM_THREADS`, where that is set.
    #[serde(default)]
    pub threads: Option<usize>,
    /// The GPUs that it may see; none leaves them as they are.
    #[serde(default)]
    pub gpus: Option<Vec<String>>,
}

impl Job {
    /// The context a stage runs in, speaking to `events` and heeding `stop`.
    pub fn context<'a>(&self, events: &'a (dyn Fn(StageEvent) + Sync), stop: &'a AtomicBool) -> StageContext<'a> {
        StageContext {
            args: self.args.clone(),
            inputs: self.inputs.clone(),
            paths: self.paths.clone(),
            contents: self.contents.clone(),
            teachers: self.teachers.clone(),
            out: self.out.clone(),
            work: self.work.clone(),
            log: self.log.clone(),
            states: self.states.clone(),
            cache: self.cache.clone(),
            checkpoint_seconds: self.checkpoint_seconds,
            events,
            stop,
        }
    }
}

/// One line of a worker's standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum Message {
    /// The stage said something.
    Said {
        /// What.
        said: StageEvent,
    },
    /// The stage ended well; nothing follows.
    Done {
        /// Its final numbers.
        metrics: Metrics,
        /// The most memory that the worker had at once, in bytes.
        #[serde(default)]
        peak_memory: Option<u64>,
    },
    /// The stage ended without a result; nothing follows.
    Failed {
        /// Why.
        error: StageError,
        /// The most memory that the worker had at once, in bytes.
        #[serde(default)]
        peak_memory: Option<u64>,
    },
}

/// The line that asks a worker to save a state and stop. The end of its input says the same, and that nobody reads on.
pub const STOP_LINE: &str = "stop";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::base::state::Place;
    use std::path::Path;

    pub(crate) fn job(name: &str, folder: &Path) -> Job {
        Job {
            key: Digest::of_bytes(name.as_bytes()),
            kind: "test".into(),
            name: name.into(),
            args: serde_json::json!({"learning_rate": 1e-5, "budget": {"steps": 60}}),
            inputs: BTreeMap::from([("model".into(), Files::from([("config.json".into(), PathBuf::from("/x"))]))]),
            paths: BTreeMap::new(),
            contents: BTreeMap::new(),
            teachers: BTreeMap::from([(
                "teacher".into(),
                Teacher {
                    args: serde_json::json!({"url": "http://localhost:8000/v1"}),
                    answers: folder.join("answers"),
                },
            )]),
            out: folder.join("out"),
            work: folder.join("work"),
            states: Some(Places {
                own: Place { folder: folder.join("states"), trajectory: Digest::of_bytes(b"own") },
                shared: None,
                key: Digest::of_bytes(b"key"),
                budget: serde_json::json!({"steps": 60}),
            }),
            cache: Some(folder.join("cache")),
            log: folder.join("log"),
            checkpoint_seconds: 60.0,
            threads: Some(2),
            gpus: None,
        }
    }

    #[test]
    fn a_job_survives_its_line_of_json() {
        let job = job("warm", Path::new("/tmp/a b"));
        let line = serde_json::to_string(&job).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Job>(&line).unwrap(), job);
    }

    #[test]
    fn messages_read_back_whatever_they_carry() {
        let said = StageEvent::Warning { message: "two\nlines".into() };
        let messages = [
            Message::Said { said },
            Message::Done { metrics: Metrics::from([("loss".into(), 0.1)]), peak_memory: Some(7) },
            Message::Failed { error: StageError::Interrupted { saved_at: Some(3) }, peak_memory: None },
        ];
        for message in messages {
            let line = serde_json::to_string(&message).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Message>(&line).unwrap(), message);
        }
    }
}
