//! A process group that does not outlive whoever made it, however that one ends.
//!
//! A shell that leads the group waits on a pipe. A line it reads there is a signal for the group; the end of the pipe,
//! which is what a killed worker leaves behind, kills the group, the shell with it. So nothing that the program starts
//! is left over, unless it makes a session of its own.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Signals reach the shell, too, as one of the group: only the last must end it.
const GUARD: &str = "trap '' TERM; while read -r signal; do kill -\"$signal\" 0; done; kill -KILL 0";

/// A process group; its processes are killed when it is dropped.
pub struct Group {
    guard: Child,
    line: Option<ChildStdin>,
}

impl Group {
    /// A group with nothing in it but its guard.
    ///
    /// # Errors
    /// Where there is no shell, or no process can be started.
    pub fn new() -> io::Result<Group> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GUARD]).env_clear().process_group(0);
        let mut guard = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Group { line: guard.stdin.take(), guard })
    }

    /// Starts a program in it.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn start(&self, command: &mut Command) -> io::Result<Child> {
        command.process_group(self.guard.id().cast_signed()).spawn()
    }

    /// Asks everything in it to end.
    pub fn ask_to_end(&mut self) {
        // Where the guard is gone there is nobody left to ask.
        let _ = self.line.as_mut().map(|line| line.write_all(b"TERM\n"));
    }

    /// Kills everything in it.
    pub fn kill(&mut self) {
        self.line = None;
        let _ = self.guard.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
