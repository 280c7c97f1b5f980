//! How to run: what a profile of the file says, and the command line, which wins.

use super::{Failure, Project, RunOptions, cores};
use crate::exec::gpus;
use crate::exec::settings::{Limits, Patience, Rules, Settings};
use crate::lang::nearest::nearest;
use crate::lang::types::Dimension;
use crate::lang::units;
use crate::stage::profile::{Millis, ProfileArgs, StageArgs};
use std::time::Duration;

/// Seconds between two saved states, unless something else is asked for.
const CHECKPOINT_SECONDS: f64 = 60.0;

/// The settings of a run, and the GPUs that it may give out.
///
/// # Errors
/// [`Failure::Input`] for a profile that the file lacks, for one that this version cannot run, and for more GPUs than
/// there are.
pub fn settings(project: &Project, options: &RunOptions, run: String) -> Result<(Settings, Vec<String>), Failure> {
    let profile = options.profile.as_ref().map_or(Ok(ProfileArgs::default()), |name| find(project, name))?;
    if let Some(unbuilt) = profile.unbuilt() {
        return Err(Failure::Input(unbuilt.to_string()));
    }
    let asked = options.gpus.clone().or_else(|| profile.gpus.clone());
    let gpus = gpus::of_run(asked.as_ref()).map_err(Failure::Input)?;
    let jobs = options.jobs.or(profile.jobs).unwrap_or(1);
    let interval = profile.checkpoint_interval.map(|interval| interval.milliseconds as f64 / 1000.0);
    let mut rules = Rules::of_profile(&profile);
    rules.command_line = StageArgs {
        threads: options.threads,
        retries: options.retries,
        time: options.time.map(|time| Millis { milliseconds: time.as_millis().try_into().unwrap_or(u64::MAX) }),
        ..StageArgs::default()
    };
    let settings = Settings {
        jobs,
        threads: options.threads.or(profile.threads).unwrap_or_else(|| (cores() / jobs).max(1)),
        keep_going: options.keep_going.or(profile.keep_going).unwrap_or(false),
        checkpoint_seconds: options.checkpoint_seconds.or(interval).unwrap_or(CHECKPOINT_SECONDS),
        limits: Limits {
            memory: options.memory.or(profile.memory.map(|memory| memory.bytes)),
            cores: None,
            gpus: asked,
        },
        rules,
        patience: profile.grace.map_or_else(Patience::default, |grace| Patience {
            grace: Duration::from_millis(grace.milliseconds),
            ..Patience::default()
        }),
        ..Settings::new(run)
    };
    Ok((settings, gpus))
}

/// The profile of that name.
///
/// # Errors
/// [`Failure::Input`] with the names there are.
pub fn find(project: &Project, name: &str) -> Result<ProfileArgs, Failure> {
    let profiles = &project.checked.program.profiles;
    let Some(found) = profiles.iter().find(|profile| profile.name == name) else {
        let names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        let known = match nearest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if names.is_empty() => "it has none: write `profile NAME { … }` into the file that is run".to_string(),
            None => format!("it has {}", names.join(", ")),
        };
        return Err(Failure::Input(format!("the file has no profile `{name}`; {known}")));
    };
    ProfileArgs::read(&found.settings).map_err(|why| {
        Failure::Machine(format!("a bug in srlm, please report it: profile `{name}` passed the check, but {why}"))
    })
}

/// A size with its unit, in bytes: `12GiB`.
///
/// # Errors
/// What is expected.
pub fn size(text: &str) -> Result<u64, String> {
    quantity(text, Dimension::Size).map(|bytes| bytes as u64)
}

/// A duration with its unit: `90min`.
///
/// # Errors
/// What is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    quantity(text, Dimension::Duration).map(|milliseconds| Duration::from_secs_f64(milliseconds / 1000.0))
}

fn quantity(text: &str, wanted: Dimension) -> Result<f64, String> {
    let (number, unit) = text.split_at(text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len()));
    let amount = number.trim().parse::<f64>().ok().filter(|amount| *amount > 0.0 && *amount < 1e12);
    let factor = units::find(unit).filter(|(dimension, _)| *dimension == wanted).map(|(_, factor)| factor);
    let expected = || format!("a number above 0 with a unit is expected: {}", units::of(wanted).join(" "));
    amount.zip(factor).map(|(amount, factor)| amount * factor).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_of_the_command_line_have_the_units_of_the_language() {
        assert_eq!(size("12GiB"), Ok(12 << 30));
        assert_eq!(duration("1.5min"), Ok(Duration::from_secs(90)));
        for wrong in ["12", "12apples", "2h", "-1GiB", "0GiB", "GiB"] {
            assert!(size(wrong).unwrap_err().contains("GiB"), "{wrong}");
        }
    }
}
