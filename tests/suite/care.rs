//! The care of the store on the real binary: gc, verify and repair, pins, archives.

use crate::failpoints::{RUN, tiny};
use crate::program::Project;
use serde_json::Value;
use srlm::base::failpoint::GC_NAMES;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

fn finished() -> Project {
    let project = Project::quick();
    project.srlm(&["run", "quick.srlm"]).ok();
    project
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Flips one bit of each of `count` files below a folder, spread over them.
fn flip(folder: &Path, count: usize) -> BTreeSet<PathBuf> {
    let files: Vec<PathBuf> =
        files_below(folder).into_iter().filter(|path| fs::metadata(path).unwrap().len() > 0).collect();
    let chosen: BTreeSet<PathBuf> = (0..count).map(|at| files[(at * 7919 + 3) % files.len()].clone()).collect();
    for (at, path) in chosen.iter().enumerate() {
        let mut bytes = fs::read(path).unwrap();
        let bit = (at * 104_729 + 12_345) % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::remove_file(path).and_then(|()| fs::write(path, bytes)).unwrap();
    }
    chosen
}

/// Key, status and reason of every stage.
fn plan(project: &Project, extra: &[&str]) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let stages = project.srlm(&[&["plan", "quick.srlm", "--json"], extra].concat()).ok().objects();
    stages.iter().map(|stage| (text(&stage["key"]), text(&stage["status"]), text(&stage["reason"]))).collect()
}

/// Test 4 of the store's design.
#[test]
fn flipped_bits_are_found_dropped_and_made_again() {
    let project = finished();
    let wanted = project.results();
    let store = project.path().join(".srlm");
    project.srlm(&["store", "verify"]).ok();
    let mut flipped = flip(&store.join("objects"), 4);
    flipped.extend(flip(&store.join("records"), 3));

    let verified = project.srlm(&["store", "verify", "--json"]);
    assert_eq!(verified.code(), Some(3), "{}", verified.out());
    let path =
        |object: &Value| object["path"].as_str().map(|path| fs::canonicalize(project.path().join(path)).unwrap());
    let found: BTreeSet<PathBuf> = verified.objects().iter().filter_map(path).collect();
    let real: BTreeSet<PathBuf> = flipped.iter().map(|path| fs::canonicalize(path).unwrap()).collect();
    assert_eq!(found, real, "each is found, and nothing else");
    let told = project.srlm(&["store", "verify"]);
    assert!(told.out().contains("bad: record") && told.out().contains("--repair"), "{}", told.out());

    let repaired = project.srlm(&["store", "verify", "--repair"]).ok().out();
    assert!(repaired.contains(&format!("{0} bad, {0} dropped", flipped.len())), "{repaired}");
    project.srlm(&["store", "verify"]).ok();
    let reasons: String = plan(&project, &[]).into_iter().map(|(_, _, reason)| reason + "\n").collect();
    assert!(reasons.contains("dropped by `store verify --repair` on 20"), "{reasons}");
    project.srlm(&["run", "quick.srlm"]).ok();
    // A result that only cached stages took from is not missed; which records were hit depends on their keys.
    let (again, left) = (project.results(), plan(&project, &[]));
    let not_needed = left.iter().filter(|(_, status, _)| status == "not_needed").count();
    assert!(left.iter().all(|(_, status, _)| status == "hit" || status == "not_needed"), "{left:?}");
    assert!(again.iter().all(|result| wanted.contains(result)), "the next run makes it again, to the same bytes");
    assert_eq!(again.len() + not_needed, wanted.len());
    project.srlm(&["store", "verify"]).ok();
}

#[test]
fn gc_keeps_what_the_last_run_wants_and_says_in_the_plan_what_it_took() {
    let project = finished();
    let all = project.results().len();
    let kept = project.srlm(&["store", "gc", "--json"]).ok().objects();
    assert_eq!(kept.last().unwrap()["kept"]["results"], all, "{kept:?}");

    let dry = project.srlm(&["store", "gc", "--keep-runs", "0", "--dry-run"]).ok().out();
    assert!(dry.contains("would take away") && dry.contains("grpo"), "{dry}");
    assert_eq!(project.results().len(), all, "a dry run takes nothing");
    project.srlm(&["store", "gc", "--keep-runs", "0", "--older-than", "1d", "--max-size", "1TiB"]).ok();
    assert_eq!(project.results().len(), all, "all of it is young, and the store is small");

    let said = project.srlm(&["store", "gc", "--keep-runs", "0"]).ok().out();
    assert!(said.contains("took away") && said.contains("before"), "{said}");
    assert!(project.results().is_empty());
    let objects = project.path().join(".srlm/objects");
    assert!(files_below(&objects).is_empty(), "no file is left without a record");
    let plan = plan(&project, &[]);
    assert!(
        plan.iter().all(|(_, status, reason)| status == "run" && reason.contains("evicted by gc on 20")),
        "{plan:?}"
    );
    let why = project.srlm(&["why", "quick.srlm", &plan[0].0[..12]]).ok().out();
    assert!(why.contains("evicted by gc on 20"), "{why}");
}

#[test]
fn a_pinned_result_stays_with_what_it_was_made_from() {
    let project = finished();
    let ambiguous = project.srlm(&["store", "pin", "quick.srlm", "reason"]);
    assert!(ambiguous.code() == Some(2) && ambiguous.err().contains("name one by its key"), "{}", ambiguous.err());
    let record = project.srlm(&["store", "ls", "--kind", "grpo", "--json"]).ok().objects()[0].clone();
    let key = &record["key"].as_str().unwrap()[..12];
    let pin = project.srlm(&["store", "pin", "quick.srlm", key, "--note", "table 2", "--json"]).ok().objects();
    assert_eq!((&pin[0]["note"], &pin[0]["key"]), (&"table 2".into(), &record["key"]));
    project.srlm(&["store", "gc", "--keep-runs", "0"]).ok();
    let listed = project.srlm(&["store", "ls", "--pinned", "--json"]).ok().objects();
    assert_eq!((listed.len(), &listed[0]["key"], &listed[0]["pinned"]), (1, &pin[0]["key"], &Value::Bool(true)));
    let hits = plan(&project, &[]).iter().filter(|(_, status, _)| status == "hit").count();
    assert!(hits >= 3, "the model, its data and what it began from: {hits}");
    let unpinned = project.srlm(&["store", "unpin", key]).ok().out();
    assert!(unpinned.contains("pinned no more"), "{unpinned}");
    project.srlm(&["store", "gc", "--keep-runs", "0"]).ok();
    assert!(project.results().is_empty());
}

#[test]
fn a_result_travels_to_another_store() {
    let project = finished();
    let record = project.srlm(&["store", "ls", "--kind", "grpo", "--json"]).ok().objects()[0].clone();
    let key = record["key"].as_str().unwrap();
    let exported = project.srlm(&["store", "export", "quick.srlm", &key[..12], "a.tar", "--json"]).ok().objects();
    assert!(exported[0]["results"].as_u64().unwrap() >= 3, "{exported:?}");
    project.srlm(&["store", "export", &key[..12], "b.tar"]).ok();
    let bytes = |name: &str| fs::read(project.path().join(name)).unwrap();
    assert!(bytes("a.tar") == bytes("b.tar"), "the same result gives the same bytes");
    project.srlm(&["store", "import", "a.tar", "--store", "other"]).ok();
    let there = plan(&project, &["--store", "other"]);
    assert!(there.iter().any(|(stage, status, _)| stage == key && status == "hit"), "{there:?}");
    project.srlm(&["store", "verify", "--store", "other"]).ok();

    let mut cut = bytes("a.tar");
    cut.truncate(cut.len() / 2);
    fs::write(project.path().join("cut.tar"), cut).unwrap();
    let refused = project.srlm(&["store", "import", "cut.tar", "--store", "third"]);
    assert_eq!(refused.code(), Some(2));
    assert!(refused.err().contains("nothing is taken from this archive"), "{}", refused.err());
    assert!(project.results_in("third").is_empty());
}

#[test]
fn gc_killed_at_any_moment_breaks_nothing() {
    let project = finished();
    let wanted = project.results();
    for pause in [0, 2, 4, 6, 9, 13, 18] {
        let mut gc = project.start(&["store", "gc", "--keep-runs", "0"]);
        std::thread::sleep(std::time::Duration::from_millis(pause));
        gc.kill().and_then(|()| gc.wait()).unwrap();
        project.srlm(&["store", "verify"]).ok();
    }
    project.srlm(&["run", "quick.srlm"]).ok();
    assert_eq!(project.results(), wanted);
}

#[test]
fn gc_killed_at_any_failpoint_breaks_nothing() {
    let project = tiny();
    project.srlm(RUN).ok();
    let wanted = project.results();
    for name in GC_NAMES {
        let mut gc = project.command(&["store", "gc", "--keep-runs", "0"]);
        let died = gc.env("SRLM_FAILPOINT", name).output().unwrap();
        assert_eq!(died.status.signal(), Some(9), "no gc reaches the failpoint `{name}`");
        project.srlm(&["store", "verify"]).ok();
        project.srlm(RUN).ok();
        // A result that nothing needs any more, since what takes it is still there, is not made again.
        let results = project.results();
        assert!(results.iter().all(|result| wanted.contains(result)), "after dying at {name}: {results:?}");
        let trained = |results: &[String]| results.iter().filter(|result| result.contains("\"sft\"")).count();
        assert_eq!(trained(&results), trained(&wanted), "after dying at {name}");
    }
    project.srlm(&["store", "gc", "--keep-runs", "0"]).ok();
    assert!(files_below(&project.path().join(".srlm/objects")).is_empty(), "the next gc takes what is left over");
}

#[test]
fn gc_beside_a_run_takes_nothing_that_the_run_needs() {
    let project = Project::quick();
    let mut run = project.start(&["run", "quick.srlm"]);
    let mut rounds = 0;
    let status = loop {
        if let Some(status) = run.try_wait().unwrap() {
            break status;
        }
        project.srlm(&["store", "gc", "--keep-runs", "0"]).ok();
        rounds += 1;
    };
    assert!(status.success() && rounds > 1, "{status} after {rounds} rounds");
    project.srlm(&["store", "verify"]).ok();
}

#[test]
fn limits_that_cannot_be_read_say_what_is_expected() {
    let project = Project::quick();
    for (option, value, said) in [
        ("--max-size", "20", "a unit is missing"),
        ("--max-size", "20h", "`h` is no unit here"),
        ("--older-than", "soon", "a number with a unit is expected, such as 30d"),
    ] {
        let answer = project.srlm(&["store", "gc", option, value]);
        assert_eq!(answer.code(), Some(2));
        assert!(answer.err().contains(said), "{}", answer.err());
    }
    for words in [&["store", "gc"][..], &["store", "verify"], &["store", "du"], &["store", "ls"]] {
        project.srlm(words).ok();
    }
    assert!(!project.path().join(".srlm").exists(), "where there is no store, none is made");
    let unknown = project.srlm(&["store", "pin", "abcdef"]);
    assert_eq!(unknown.code(), Some(2));
    assert!(unknown.err().contains("no result whose key begins with abcdef"), "{}", unknown.err());
}

#[test]
fn du_tells_sorts_of_things_apart() {
    let project = finished();
    let rows = project.srlm(&["store", "du", "--json"]).ok().objects();
    let kinds: Vec<_> = rows.iter().filter(|row| row["what"] == "results").map(|row| row["kind"].clone()).collect();
    assert!(kinds.contains(&"grpo".into()) && kinds.contains(&"evaluate".into()), "{rows:?}");
    let sum: u64 = rows.iter().filter(|row| row["what"].is_string()).map(|row| row["bytes"].as_u64().unwrap()).sum();
    assert_eq!(rows.last().unwrap()["bytes"], sum);
    let table = project.srlm(&["store", "du", "--names"]).ok().out();
    assert!(table.contains("results of grpo `") && table.contains("all"), "{table}");
}
