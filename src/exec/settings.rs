//! How to run, as the command line and a profile say it: nothing here changes a result.

use crate::stage::profile::{Gpus, ProfileArgs, StageArgs};
use std::collections::BTreeMap;
use std::time::Duration;

/// Further tries at a stage that the machine ended, unless a profile or the command line says otherwise.
const RETRIES: usize = 1;

/// How to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The run's id.
    pub run: String,
    /// Stages at the same time.
    pub jobs: usize,
    /// Threads a worker has, unless its stage says otherwise.
    pub threads: usize,
    /// After a failure, go on with what does not need the failed stage.
    pub keep_going: bool,
    /// Seconds between two saved states.
    pub checkpoint_seconds: f64,
    /// What the stages of the run may take together.
    pub limits: Limits,
    /// What single stages take and how they are treated.
    pub rules: Rules,
    /// How long to wait for what.
    pub patience: Patience,
}

impl Settings {
    /// Settings of a run without a profile: one stage at a time, with one thread.
    pub fn new(run: impl Into<String>) -> Settings {
        Settings {
            run: run.into(),
            jobs: 1,
            threads: 1,
            keep_going: false,
            checkpoint_seconds: 60.0,
            limits: Limits::default(),
            rules: Rules::default(),
            patience: Patience::default(),
        }
    }
}

/// What the stages of a run may take together.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Memory in bytes; none is what the machine has to give.
    pub memory: Option<u64>,
    /// Cores; none is those of the machine.
    pub cores: Option<usize>,
    /// GPUs; none is those that are visible.
    pub gpus: Option<Gpus>,
}

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a stage that was asked to save a state and stop, before it is ended.
    pub grace: Duration,
    /// Before the first further try at a stage; each further one waits four times as long.
    pub back_off: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { grace: Duration::from_secs(120), back_off: Duration::from_secs(1) }
    }
}

/// What stages are given, from the most general to the most special.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// For every stage.
    pub all: StageArgs,
    /// By name or by kind.
    pub named: BTreeMap<String, StageArgs>,
    /// What the command line says: it wins.
    pub command_line: StageArgs,
}

/// What a stage is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Memory in bytes, where it is said and not estimated.
    pub memory: Option<u64>,
    /// GPUs.
    pub gpus: Gpus,
    /// Cores that are counted.
    pub cpus: usize,
    /// Threads, where they are said.
    pub threads: Option<usize>,
    /// The group of which one stage runs at a time.
    pub mutex: Option<String>,
    /// The longest it may take.
    pub time: Option<Duration>,
    /// Further tries.
    pub retries: usize,
}

impl Rules {
    /// The rules of a profile.
    pub fn of_profile(profile: &ProfileArgs) -> Rules {
        let general = StageArgs {
            time: profile.time,
            retries: profile.retries,
            threads: profile.threads,
            ..StageArgs::default()
        };
        Rules {
            all: profile.defaults.clone().unwrap_or_default().or(&general),
            named: profile.stages.clone().unwrap_or_default(),
            command_line: StageArgs::default(),
        }
    }

    /// What a stage of that name and kind is given.
    pub fn of(&self, name: &str, kind: &str) -> Given {
        let nothing = StageArgs::default();
        let find = |name: &str| self.named.get(name).unwrap_or(&nothing);
        let found = self.command_line.clone().or(find(name)).or(find(kind)).or(&self.all);
        Given {
            memory: found.memory.map(|memory| memory.bytes),
            gpus: found.gpus.unwrap_or(Gpus::Count(0)),
            cpus: found.cpus.unwrap_or(0),
            threads: found.threads.or(found.cpus),
            mutex: found.mutex,
            time: found.time.map(|time| Duration::from_millis(time.milliseconds)),
            retries: found.retries.unwrap_or(RETRIES),
        }
    }

    /// Whether GPUs are given out at all: then a stage without any sees none.
    pub fn give_gpus(&self) -> bool {
        let rules = self.named.values().chain([&self.all, &self.command_line]);
        rules.into_iter().any(|rule| rule.gpus.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::profile::{Bytes, Millis};

    #[test]
    fn the_command_line_wins_then_the_name_then_the_kind_then_what_holds_for_all() {
        let stage = |bytes, retries| StageArgs { memory: Some(Bytes { bytes }), retries, ..StageArgs::default() };
        let profile = ProfileArgs {
            time: Some(Millis { milliseconds: 5000 }),
            retries: Some(9),
            defaults: Some(stage(1, Some(7))),
            stages: Some(BTreeMap::from([("sft".into(), stage(2, Some(3))), ("warm".into(), stage(3, None))])),
            ..ProfileArgs::default()
        };
        let mut rules = Rules::of_profile(&profile);
        let of = |rules: &Rules, name: &str, kind: &str| {
            let given = rules.of(name, kind);
            (given.memory, given.retries)
        };
        assert_eq!(of(&rules, "exam", "evaluate"), (Some(1), 7));
        assert_eq!(of(&rules, "late", "sft"), (Some(2), 3));
        assert_eq!(of(&rules, "warm", "sft"), (Some(3), 3));
        assert_eq!(rules.of("exam", "evaluate").time, Some(Duration::from_secs(5)));
        rules.command_line.retries = Some(0);
        assert_eq!(of(&rules, "warm", "sft"), (Some(3), 0));
        assert_eq!(Rules::default().of("warm", "sft").retries, 1);
    }
}
