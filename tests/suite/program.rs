//! Runs the real binary in a folder of its own, and reads what it says.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A project folder with a store, gone when dropped.
pub struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// A folder that holds `quick.srlm`.
    pub fn quick() -> Self {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        project.write("quick.srlm", &std::fs::read_to_string(fixture("quick.srlm")).unwrap());
        project
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// The program with these arguments, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_srlm"));
        command.args(arguments).current_dir(self.path()).env_remove("SRLM_STORE").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    pub fn srlm(&self, arguments: &[&str]) -> Answer {
        Answer(self.command(arguments).output().unwrap())
    }

    /// Starts in a process group of its own, so that all of it can be killed.
    pub fn start(&self, arguments: &[&str]) -> Child {
        use std::os::unix::process::CommandExt;
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command.spawn().unwrap()
    }

    /// Kind and outputs of every record, sorted: what two stores must agree on.
    pub fn results(&self) -> Vec<String> {
        self.results_in(".srlm")
    }

    /// The same of another store.
    pub fn results_in(&self, store: &str) -> Vec<String> {
        let answer = self.srlm(&["store", "ls", "--store", store, "--json"]).ok();
        let mut lines: Vec<String> = answer
            .objects()
            .into_iter()
            .map(|record| format!("{} {} {}", record["key"], record["kind"], record["outputs"]))
            .collect();
        lines.sort();
        lines
    }
}

/// What a finished run said.
pub struct Answer(pub Output);

impl Answer {
    /// The exit code; none after a signal.
    pub fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    /// Standard output.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    /// Standard error.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Standard output as JSON Lines.
    pub fn objects(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out().lines().map(parse).collect()
    }

    /// Asserts success and hands itself on.
    pub fn ok(self) -> Self {
        assert_eq!(self.code(), Some(0), "{}\n{}", self.out(), self.err());
        self
    }
}

/// A file under `tests/fixtures/`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}
