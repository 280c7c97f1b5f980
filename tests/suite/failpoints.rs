//! Test 1 of the store's design: a run killed at any step of publishing, then the same command again, comes to the bytes
//! of a run that nobody disturbed.

use crate::program::Project;
use srlm::base::failpoint::NAMES;
use std::os::unix::process::ExitStatusExt;

/// Data, a model, training with states, and a stage whose result is found under another key.
const TINY: &str = r#"let rows = arith_problems { split: "train", items: 12, levels: [1] }
let base = init_model { layers: 1, hidden: 16, heads: 1, kv_heads: 1, intermediate: 32, vocab: 320 }
let warm = sft { data: rows, budget: 3steps, batch: 2seqs }
pipeline first  = base |> warm
pipeline second = base |> (warm with { data: rows |> take(12) })
"#;
pub const RUN: &[&str] = &["run", "tiny.srlm", "--jobs", "1", "--checkpoint-every", "0.001"];

/// A project of four stages, one of them trained, and an alias.
pub fn tiny() -> Project {
    let project = Project::quick();
    project.write("tiny.srlm", TINY);
    project
}

/// Runs with a failpoint armed; returns whether the run, or a worker of it, died there. A worker that died is not tried
/// again: the run would finish from what was saved, and say nothing of a death.
fn dies_at(project: &Project, failpoint: &str) -> bool {
    let mut run = project.command(RUN);
    let answer = run.args(["--retries", "0"]).env("SRLM_FAILPOINT", failpoint).output().unwrap();
    let own = answer.status.signal() == Some(9);
    own || String::from_utf8_lossy(&answer.stderr).contains("signal 9")
}

/// A project whose run died at the failpoint: a first run of it, or one that finds what a killed run left.
fn struck(failpoint: &str) -> Option<Project> {
    let fresh = tiny();
    if dies_at(&fresh, failpoint) {
        return Some(fresh);
    }
    let found = tiny();
    assert!(dies_at(&found, "attempt.made"));
    dies_at(&found, failpoint).then_some(found)
}

#[test]
fn killed_at_any_failpoint_the_same_command_finishes_with_the_same_bytes() {
    let undisturbed = tiny();
    undisturbed.srlm(RUN).ok();
    let wanted = undisturbed.results();
    let survives = |name: &str| {
        let project = struck(name).unwrap_or_else(|| panic!("no run reaches the failpoint `{name}`"));
        project.srlm(RUN).ok();
        assert_eq!(project.results(), wanted, "after dying at {name}");
    };
    // A run mostly waits for the disk: several go on beside each other.
    std::thread::scope(|scope| {
        let survives = &survives;
        let several = |names: &'static [&str]| scope.spawn(move || names.iter().for_each(|name| survives(name)));
        let threads: Vec<_> = NAMES.chunks(NAMES.len().div_ceil(4)).map(several).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn killed_again_and_again_it_comes_to_the_same_bytes() {
    let undisturbed = tiny();
    undisturbed.srlm(RUN).ok();
    let project = tiny();
    for name in NAMES {
        dies_at(&project, &format!("{name}:2"));
    }
    project.srlm(RUN).ok();
    assert_eq!(project.results(), undisturbed.results());
}
