//! Holds the `use crate::…` lines of `src/` against the floors of `docs/architecture.md`: the compiler does not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Room to the rooms it may import besides itself.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("diag", &["base"]),
    ("nn", &["base"]),
    ("hub", &["base"]),
    ("api", &["base"]),
    ("lang", &["base", "diag"]),
    ("store", &["base", "diag"]),
    ("model", &["base", "nn"]),
    ("data", &["base"]),
    ("plan", &["base", "diag", "lang", "store"]),
    ("reward", &["base", "data"]),
    ("rollout", &["base", "nn", "model", "data"]),
    ("train", &["base", "nn", "model", "data", "reward", "rollout"]),
    ("eval", &["base", "nn", "model", "data", "reward", "rollout"]),
    ("stage", &["base", "hub", "api", "lang", "store", "nn", "model", "data", "reward", "rollout", "train", "eval"]),
    ("exec", &["base", "plan", "store", "stage"]),
    ("report", &["base", "store", "plan", "exec"]),
    ("driver", &["base", "diag", "hub", "api", "lang", "store", "plan", "reward", "stage", "exec", "report", "eval"]),
    ("lsp", &["base", "diag", "lang", "plan", "stage", "report", "driver"]),
    ("cli", &["base", "diag", "store", "plan", "driver", "report", "exec", "stage", "lsp"]),
];

/// Words that must not occur in the code of some rooms.
const ABSENT: &[(&[&str], &[&str])] = &[
    (&["hub", "api", "lang", "store", "plan", "exec", "report"], &["candle"]),
    (&["lang", "plan"], &["std::fs"]),
    (
        &[
            "base", "diag", "hub", "api", "lang", "store", "model", "data", "plan", "reward", "rollout", "train",
            "eval", "stage", "exec", "report", "driver", "lsp", "cli",
        ],
        &["unsafe "],
    ),
    (&["base", "lang", "store", "plan", "nn", "model", "data", "train", "eval"], &["println!", "eprintln!", "print!("]),
];

/// The one file outside the kernels with `unsafe` in it: a question to the kernel that the standard library cannot ask.
const UNSAFE: &str = "src/base/writers.rs";

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
                let inside = path.strip_prefix(&root).expect("it was found there");
                let first = inside.iter().next().expect("it has a name").to_string_lossy();
                let room = first.trim_end_matches(".rs").to_string();
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                found.push((room, path.clone(), text));
            }
        }
    }
    found.sort();
    found
}

/// Files that only `#[cfg(test)]` modules name: they may look further down or up, and read fixtures.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let inside = path.components().any(|part| part.as_os_str() == "tests");
    inside || name.ends_with("tests") || ["parity", "oracle", "testing"].contains(&&*name)
}

/// The rooms that one file's code names, tests left out: they may look further down or up.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.match_indices("crate::").map(|(at, _)| &line[at + 7..]).collect::<Vec<_>>())
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .collect()
}

#[test]
fn every_room_imports_only_from_below() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for (room, path, text) in sources() {
        let Some(below) = allowed.get(room.as_str()) else { continue };
        for import in imports(&text) {
            if import != room && allowed.contains_key(import.as_str()) && !below.contains(&import.as_str()) {
                wrong.push(format!("{} imports `{import}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the floors:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_has_a_floor() {
    let known = |room: &str| MAY_IMPORT.iter().any(|(name, _)| *name == room);
    let strangers: Vec<String> = sources()
        .into_iter()
        .map(|(room, ..)| room)
        .filter(|room| !known(room) && room != "lib" && room != "main")
        .collect();
    assert!(strangers.is_empty(), "rooms without a floor: {strangers:?}");
}

#[test]
fn what_must_be_absent_is_absent() {
    let mut wrong = Vec::new();
    for (room, path, text) in sources() {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (rooms, words) in ABSENT {
            let allowed = |word: &str| word == "unsafe " && path.ends_with(UNSAFE);
            let unwanted = |word: &&&str| rooms.contains(&room.as_str()) && code.contains(**word) && !allowed(word);
            for word in words.iter().filter(unwanted) {
                wrong.push(format!("{} mentions `{word}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_opens_with_its_one_job() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, _, text)| !text.starts_with("//! "))
        .map(|(_, path, _)| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "files that do not say their job: {silent:?}");
}
