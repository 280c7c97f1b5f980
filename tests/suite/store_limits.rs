//! Test 10 of the store's design: a store that is full, that can only be read, or that is full of garbage says so, and
//! loses nothing.

use crate::bad_input::SmallDisk;
use crate::failpoints::{RUN, tiny};
use crate::program::Project;
use std::path::Path;

/// The same stages, and one more.
const MORE: &str = "\npipeline third = base |> (warm with { budget: 4steps })\n";

/// The same stages by another way: its sft has another key and byte-equal inputs.
const AGAIN: &str = "\npipeline fourth = base |> (warm with { data: rows |> take(12) |> take(12) })\n";

fn extend(project: &Project, text: &str) {
    let path = project.path().join("tiny.srlm");
    let old = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, old + text).unwrap();
}

#[test]
fn a_disk_that_is_full_at_whatever_moment_loses_nothing() {
    let undisturbed = tiny();
    undisturbed.srlm(RUN).ok();
    let wanted = undisturbed.results();
    let project = tiny();
    let Some(disk) = SmallDisk::mount(&project.path().join("small"), "40k") else {
        eprintln!("skipped: this machine lets no test mount a small file system");
        return;
    };
    let run = [RUN, &["--store", "small/store"]].concat();
    for size in ["56k", "80k", "112k", "160k", "224k"] {
        let answer = project.srlm(&run);
        if answer.code() == Some(0) {
            break;
        }
        let before = project.results_in("small/store");
        assert!(before.iter().all(|result| wanted.contains(result)), "{before:?}");
        assert!(answer.err().contains("No space left on device"), "{}", answer.err());
        disk.grow(size);
    }
    disk.grow("64m");
    project.srlm(&run).ok();
    assert_eq!(project.results_in("small/store"), wanted);
}

#[test]
fn a_store_that_can_only_be_read_serves_what_it_has() {
    let project = tiny();
    let Some(disk) = SmallDisk::mount(&project.path().join("small"), "64m") else {
        eprintln!("skipped: this machine lets no test mount a small file system");
        return;
    };
    let with = |arguments: &[&str]| project.srlm(&[arguments, &["--store", "small/store"]].concat());
    with(RUN).ok();
    let results = project.results_in("small/store");
    disk.allow_writing(false);
    for command in [&["plan", "tiny.srlm"][..], RUN, &["show", "tiny.srlm", "first"], &["why", "tiny.srlm", "first"]] {
        with(command).ok();
    }
    assert_eq!(project.results_in("small/store"), results);
    extend(&project, MORE);
    with(&["plan", "tiny.srlm"]).ok();
    let refused = with(RUN);
    assert_eq!(refused.code(), Some(3), "{}", refused.err());
    assert!(refused.err().contains("read-only") && refused.err().contains("--store"), "{}", refused.err());
    disk.allow_writing(true);
    with(RUN).ok();
    assert_eq!(project.results_in("small/store").len(), results.len() + 1);
}

#[test]
fn a_result_with_another_key_is_served_without_being_noted() {
    let project = tiny();
    let Some(disk) = SmallDisk::mount(&project.path().join("small"), "64m") else {
        eprintln!("skipped: this machine lets no test mount a small file system");
        return;
    };
    extend(&project, AGAIN);
    let run = [RUN, &["--store", "small/store"]].concat();
    project.srlm(&run).ok();
    let sft = project.results_in("small/store").into_iter().filter(|line| line.contains("\"sft\"")).count();
    let aliases = project.srlm(&["store", "ls", "--store", "small/store", "--json"]).ok().objects();
    for alias in aliases.iter().filter(|record| !record["alias_of"].is_null()) {
        let key = alias["key"].as_str().unwrap();
        std::fs::remove_file(project.path().join(format!("small/store/records/{key}.json"))).unwrap();
    }
    disk.allow_writing(false);
    project.srlm(&run).ok();
    let left = project.results_in("small/store").into_iter().filter(|line| line.contains("\"sft\"")).count();
    assert!(left < sft, "{left} of {sft}");
}

#[test]
fn garbage_in_every_folder_of_the_store_changes_no_result() {
    let project = tiny();
    project.srlm(RUN).ok();
    let wanted = project.results();
    let store = project.path().join(".srlm");
    let key = "0123456789abcdef".repeat(4);
    for folder in folders(&store) {
        for name in ["garbage", ".garbage.tmp", "garbage.json", &key, &format!("{key}.json")] {
            std::fs::write(folder.join(name), b"garbage \xff").unwrap();
        }
    }
    std::fs::create_dir_all(store.join("cache")).unwrap();
    std::fs::write(store.join("cache/stats"), "garbage").unwrap();
    let records: Vec<_> =
        std::fs::read_dir(store.join("records")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let real = |path: &&std::path::PathBuf| std::fs::metadata(path).unwrap().len() > 100;
    for (number, path) in records.iter().filter(real).enumerate() {
        let text = std::fs::read(path).unwrap();
        let damaged = [&b""[..], &text[..text.len() / 2], b"garbage", &text[1..]][number % 4].to_vec();
        std::fs::write(path, damaged).unwrap();
    }
    project.srlm(&["plan", "tiny.srlm"]).ok();
    project.srlm(RUN).ok();
    let listed = project.srlm(&["store", "ls", "tiny.srlm", "--json"]).ok();
    assert!(listed.err().contains("cannot be read"), "{}", listed.err());
    assert_eq!(project.results(), wanted);
}

fn folders(root: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![root.to_path_buf()];
    let mut next = 0;
    while next < found.len() {
        let inside = std::fs::read_dir(&found[next]).unwrap().map(|entry| entry.unwrap().path());
        found.extend(inside.filter(|path| path.is_dir()).collect::<Vec<_>>());
        next += 1;
    }
    found
}
