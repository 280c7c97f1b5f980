//! The options of `srlm run` that say how, and change no result: each wins over the profile.

use crate::driver::{duration, size};
use crate::stage::profile::Gpus;
use clap::Args;
use std::time::Duration;

/// How to run.
#[derive(Debug, Args)]
pub struct How {
    /// Run as this `profile` of the file says; the options below win over it
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Stages that run at the same time; each gets its share of the cores [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// After a failure, go on with what does not need the failed stage
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub keep_going: Option<bool>,
    /// Seconds between two saved training states [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
    pub checkpoint_every: Option<f64>,
    /// Memory that all stages together may need, such as 12GiB [default: what the machine has to give]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<u64>,
    /// GPUs that the run may give out: how many, or ids such as 0,2 or [0] [default: those that are visible]
    #[arg(long, value_name = "N|IDS", value_parser = gpus)]
    pub gpus: Option<Gpus>,
    /// Threads of each stage [default: its share of the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Further tries at a stage that the machine ended: out of memory, preempted, failing disk [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(..=100))]
    pub retries: Option<u16>,
    /// The longest that a stage may take, such as 90min: it saves a state and stops then
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub time: Option<Duration>,
}

fn positive_seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|seconds: &f64| *seconds > 0.0).ok_or_else(|| "a number above 0 is expected".into())
}

/// `2` is a number of GPUs; `0,2` and `[0]` are ids.
fn gpus(text: &str) -> Result<Gpus, String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ids = || inner.unwrap_or(text).split(',').map(|id| id.trim().parse::<usize>()).collect::<Result<_, _>>();
    let found = match inner.is_some() || text.contains(',') {
        true => ids().map(Gpus::Ids),
        false => text.parse().map(Gpus::Count),
    };
    found.map_err(|_| "a number of GPUs, or their ids as in 0,2 or [0], is expected".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_a_number_or_ids() {
        assert_eq!(gpus("2"), Ok(Gpus::Count(2)));
        assert_eq!(gpus("0,2"), Ok(Gpus::Ids(vec![0, 2])));
        assert_eq!(gpus("[3]"), Ok(Gpus::Ids(vec![3])));
        assert!(gpus("all").is_err() && gpus("[a]").is_err());
    }
}
