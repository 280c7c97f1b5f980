//! The runs of a store: all of them, one by its name, and two side by side.

use super::Failure;
use crate::lang::nearest::nearest;
use crate::plan::run_diff::{RunDiff, diff};
use crate::store::{RunLog, Store};

/// The newest run.
const LATEST: &str = "latest";

/// What the logs tell of every run, oldest first.
///
/// # Errors
/// [`Failure::Machine`] where a log cannot be read.
pub fn runs(store: &Store) -> Result<Vec<RunLog>, Failure> {
    let runs = store.runs()?;
    Ok(runs.iter().map(|run| store.read_run(run)).collect::<Result<_, _>>()?)
}

/// What sets two runs apart; each is an id, the first letters of one, `latest`, or `latest~1` for the run before it.
///
/// # Errors
/// [`Failure::Input`] where a name means no run or several, [`Failure::Machine`] where a log cannot be read.
pub fn diff_runs(store: &Store, first: &str, second: &str) -> Result<RunDiff, Failure> {
    let runs = store.runs()?;
    let [first, second] = [first, second].map(|name| named(&runs, name));
    let (first, second) = (store.read_run(first?)?, store.read_run(second?)?);
    Ok(diff(store, &first, &second))
}

/// The run that a name means.
fn named<'a>(runs: &'a [String], name: &str) -> Result<&'a str, Failure> {
    if runs.is_empty() {
        return Err(Failure::Input("the store has no run yet".to_string()));
    }
    if let Some(back) = steps_back(name) {
        let place = runs.len().checked_sub(back + 1).map(|at| runs[at].as_str());
        return place.ok_or_else(|| Failure::Input(format!("the store has {} runs, and no `{name}`", runs.len())));
    }
    let found: Vec<&String> = runs.iter().filter(|run| run.starts_with(name)).collect();
    match found[..] {
        [run] => Ok(run),
        [] => {
            let similar = nearest(name, runs.iter().map(String::as_str)).map(|run| format!("; did you mean `{run}`?"));
            let hint = similar.unwrap_or_else(|| "; `srlm runs` lists them".to_string());
            Err(Failure::Input(format!("there is no run `{name}`{hint}")))
        }
        _ => Err(Failure::Input(format!("{} runs begin with `{name}`: `srlm runs` lists them", found.len()))),
    }
}

/// `latest` is 0 back, `latest~2` is 2 back.
fn steps_back(name: &str) -> Option<usize> {
    match name.strip_prefix(LATEST)? {
        "" => Some(0),
        back => back.strip_prefix('~')?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_by_id_beginning_or_place() {
        let runs = ["20260101T000000Z-1", "20260102T000000Z-2", "20260102T000000Z-3"].map(String::from);
        let found = |name: &str| named(&runs, name).map(String::from).map_err(|failure| format!("{failure:?}"));
        assert_eq!(found("latest").unwrap(), runs[2]);
        assert_eq!(found("latest~1").unwrap(), runs[1]);
        assert_eq!(found("20260101").unwrap(), runs[0]);
        assert!(found("latest~3").unwrap_err().contains("has 3 runs"));
        assert!(found("20260102").unwrap_err().contains("2 runs begin"));
        assert!(found("20260102T000000Z-4").unwrap_err().contains("did you mean"));
        assert!(named(&[], "latest").is_err());
    }
}
