//! Every code block of the README and of `docs/` is run: programs are checked, commands parsed, and plans made.

use crate::program::{Answer, Project};
use std::path::{Path, PathBuf};
use std::process::Command;

struct Block {
    place: String,
    language: String,
    text: String,
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "md" => pages.push(path),
                _ => {}
            }
        }
    }
    pages
}

fn blocks() -> Vec<Block> {
    let mut found = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    let place = format!("{}:{}", page.display(), number + 1);
                    open = Some(Block { place, language: language.to_string(), text: String::new() });
                }
                (Some(_), Some(_)) => found.extend(open.take()),
                (None, Some(block)) => block.text += &format!("{line}\n"),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{} ends inside a code block", page.display());
    }
    found
}

#[test]
fn every_program_in_the_docs_is_well_formed() {
    let project = Project::quick();
    std::fs::create_dir(project.path().join("data")).unwrap();
    for name in ["train", "test"] {
        let row = format!("{{\"question\": \"Is it {name}?\", \"answer\": \"#### 1\"}}\n");
        project.write(&format!("data/{name}.jsonl"), &row);
    }
    for block in blocks().iter().filter(|block| block.language == "srlm") {
        project.write("block.srlm", &block.text);
        let answer = project.srlm(&["check", "block.srlm"]);
        assert_eq!(answer.code(), Some(0), "{}\n{}", block.place, answer.err());
    }
}

#[test]
fn every_block_says_what_it_is() {
    for block in blocks() {
        let known = ["srlm", "sh", "text"].contains(&block.language.as_str());
        assert!(known, "{}: a block is `srlm`, `sh` or `text`, not `{}`", block.place, block.language);
    }
}

/// The arguments of a line that starts the program; lines that start something else are none.
fn arguments(line: &str) -> Option<Vec<String>> {
    // What stands behind `>` is for the reader's shell: here it would overwrite the file.
    let line = line.split(" #").flat_map(|code| code.split(" > ")).next().unwrap_or_default().trim();
    let rest = line.strip_prefix("cargo run --release -- ").or_else(|| line.strip_prefix("srlm "))?;
    let output = Command::new("sh").args(["-c", &format!("printf '%s\\n' {rest}")]).output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).lines().map(String::from).collect())
}

/// `check` and `plan` are run as they stand, `run` is planned instead; the rest must be a known command line.
#[test]
fn every_command_in_the_docs_is_understood() {
    let project = Project::quick();
    for block in blocks().iter().filter(|block| block.language == "sh") {
        for line in block.text.lines() {
            let Some(mut arguments) = arguments(line) else { continue };
            if arguments[0] == "run" {
                arguments[0] = "plan".to_string();
                // Options of `run` alone, such as `--jobs 2`, stand behind the file.
                arguments.truncate(arguments.iter().position(|word| word.starts_with("--")).unwrap_or(arguments.len()));
            }
            // A plan that is written, or run, would leave a file here, or need one.
            let is_saved = ["--out", "--plan"].iter().any(|option| line.contains(option));
            let ready = ["plan", "check"].contains(&arguments[0].as_str()) && !line.contains("path/to") && !is_saved;
            if !ready {
                arguments.push("--help".to_string());
            }
            let answer = in_the_repository(&project, &arguments);
            assert_eq!(answer.code(), Some(0), "{}: {line}\n{}", block.place, answer.err());
        }
    }
}

fn in_the_repository(project: &Project, arguments: &[String]) -> Answer {
    let mut command = project.command(&[]);
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env("SRLM_STORE", project.path().join("store"));
    Answer(command.output().unwrap())
}
