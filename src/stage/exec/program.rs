//! The user's program while it runs: found, started, listened to, stopped, and told of where it fails.

use super::super::{Metrics, StageContext, StageError};
use super::folder::Folder;
use super::group::Group;
use super::said::{Said, parse};
use crate::base::fs::at;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often a request to stop is looked for.
const TICK: Duration = Duration::from_millis(50);
/// How long the program may take to end once it was asked to.
const GRACE: Duration = Duration::from_secs(10);
/// How long its output may stay open once it has ended, by a process that left the group.
const LINGER: Duration = Duration::from_secs(2);
/// Longer lines of output are read in pieces.
const LINE: u64 = 1 << 16;
/// What the program finds in its environment besides what the call gives it. None of it is part of the key: where
/// programs are, whose files may be cached where, and the devices that were leased.
const INHERITED: [&str; 3] = ["PATH", "HOME", "CUDA_VISIBLE_DEVICES"];

/// A program that can be started.
pub struct Program<'a> {
    /// It and its arguments, as they are written.
    pub words: &'a [String],
    /// Variables of the call.
    pub env: &'a BTreeMap<String, String>,
    /// Where it runs.
    pub folder: &'a Folder,
}

/// What happens to a program that runs.
enum Happening {
    Line(Vec<u8>),
    Ended(io::Result<ExitStatus>),
}

impl Program<'_> {
    /// Runs it to its end; the numbers of its last line of progress.
    ///
    /// # Errors
    /// [`StageError::Input`] where it is not there or fails, [`StageError::Machine`] where it was killed,
    /// [`StageError::Interrupted`] where the stage was asked to stop.
    pub fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let mut log = open_log(&context.log)?;
        let mut command = self.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.try_clone()?);
        let mut group = Group::new().map_err(|error| StageError::machine(format!("/bin/sh: {error}")))?;
        let child = group.start(&mut command).map_err(|error| self.unstartable(&error))?;
        let mut watch = Watch { context, group: &mut group, asked: None };
        let (status, numbers) = watch.follow(listen(child), &mut log)?;
        if watch.asked.is_some() {
            return Err(StageError::Interrupted { saved_at: None });
        }
        if status.success() { Ok(numbers) } else { Err(self.failure(status, &context.log)) }
    }

    fn command(&self) -> Result<Command, StageError> {
        let Some((program, arguments)) = self.words.split_first() else {
            return Err(StageError::input("`cmd` is empty: it names the program and its arguments"));
        };
        if let Some(name) = self.env.keys().find(|name| !is_variable(name)) {
            return Err(StageError::input(format!(
                "`env` has `{name}`, which is no name of a variable of the program's"
            )));
        }
        let inherited = INHERITED.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
        let mut variables: BTreeMap<OsString, OsString> = inherited.collect();
        variables.extend(self.env.iter().map(|(name, value)| (name.into(), value.into())));
        let mut command = Command::new(self.find(program, variables.get(Path::new("PATH").as_os_str()))?);
        command.args(arguments).current_dir(self.folder.root()).env_clear().envs(variables);
        command.envs(&self.folder.variables);
        Ok(command)
    }

    /// The file of a program: a name with a `/` counts from the working folder, another one is looked up in PATH.
    fn find(&self, program: &str, path: Option<&OsString>) -> Result<PathBuf, StageError> {
        let root = self.folder.root();
        if program.contains('/') {
            return Ok(root.join(program));
        }
        let folders = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
        let places = folders.iter().map(|folder| root.join(folder).join(program));
        places.into_iter().find(|place| is_executable(place)).ok_or_else(|| self.not_found(program))
    }

    fn not_found(&self, program: &str) -> StageError {
        let help = match self.folder.root().join(program).is_file() {
            true => format!("write `./{program}` for the file of `code`"),
            false => "install it, or list its file in `code` and write it with its folder, as `./tool`".to_string(),
        };
        StageError::input(format!("there is no program `{program}` in PATH: {help}"))
    }

    fn unstartable(&self, error: &io::Error) -> StageError {
        let help = match error.raw_os_error() {
            Some(libc::ENOEXEC) => ": its first line must name its interpreter, as `#!/bin/sh` does",
            Some(libc::ENOENT) => {
                ": neither the program nor the interpreter that its first line names may be missing; the program's own \
                 files are those that `code` lists"
            }
            _ => "",
        };
        StageError::input(format!("`{}` cannot be started: {error}{help}", self.shown()))
    }

    fn failure(&self, status: ExitStatus, log: &Path) -> StageError {
        let shown = self.shown();
        match (status.code(), status.signal()) {
            (_, Some(libc::SIGKILL)) => StageError::machine(told(
                &format!("`{shown}` was killed (signal 9), most often by the system for want of memory"),
                log,
            )),
            (_, Some(signal)) => {
                StageError::input(told(&format!("`{shown}` died of signal {signal}{}", name_of(signal)), log))
            }
            (code, None) => {
                StageError::input(told(&format!("`{shown}` ended with exit status {}", code.unwrap_or(-1)), log))
            }
        }
    }

    /// The command line, cut where it is long.
    fn shown(&self) -> String {
        let line = self.words.join(" ").replace('\n', " ");
        let short: String = line.chars().take(80).collect();
        if short.len() < line.len() { short + "…" } else { short }
    }
}

/// Waits for a program, heeding requests to stop.
struct Watch<'a, 'b> {
    context: &'a StageContext<'b>,
    group: &'a mut Group,
    /// When the program was asked to end.
    asked: Option<Instant>,
}

impl Watch<'_, '_> {
    /// Takes in what happens until the program has ended and its output is closed.
    fn follow(&mut self, happenings: Receiver<Happening>, log: &mut File) -> Result<(ExitStatus, Metrics), StageError> {
        let mut ended: Option<(ExitStatus, Instant)> = None;
        let mut numbers = Metrics::new();
        loop {
            match happenings.recv_timeout(TICK) {
                Ok(Happening::Line(line)) => self.hear(&line, log, &mut numbers),
                Ok(Happening::Ended(status)) => {
                    ended = Some((status?, Instant::now()));
                    self.group.kill();
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if ended.is_some_and(|(_, since)| since.elapsed() > LINGER) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if ended.is_none() {
                self.heed_stop();
            }
        }
        let (status, _) = ended.ok_or_else(|| StageError::machine("the program's end was not heard of"))?;
        Ok((status, numbers))
    }

    fn hear(&self, line: &[u8], log: &mut File, numbers: &mut Metrics) {
        // The log is for people: that it cannot be written to is no reason to fail.
        let _ = log.write_all(line);
        if let Some(Said { event, metrics }) = parse(line) {
            self.context.say(event);
            *numbers = metrics;
        }
    }

    fn heed_stop(&mut self) {
        match self.asked {
            None if self.context.should_stop() => {
                self.asked = Some(Instant::now());
                self.group.ask_to_end();
            }
            Some(asked) if asked.elapsed() > GRACE => self.group.kill(),
            _ => {}
        }
    }
}

/// Threads that tell what a program prints and how it ends.
fn listen(mut child: Child) -> Receiver<Happening> {
    let (sender, receiver) = channel();
    let output = child.stdout.take();
    let lines = sender.clone();
    std::thread::spawn(move || output.map(|output| read_lines(output, &lines)));
    std::thread::spawn(move || sender.send(Happening::Ended(child.wait())));
    receiver
}

fn read_lines(output: ChildStdout, lines: &Sender<Happening>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match output.by_ref().take(LINE).read_until(b'\n', &mut line) {
            Ok(read) if read > 0 && lines.send(Happening::Line(line)).is_ok() => {}
            _ => return,
        }
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path).map_err(|error| at(path, error))
}

/// What went wrong, and the last words of the program.
pub fn told(what: &str, log: &Path) -> String {
    match tail(log) {
        Some(tail) => format!("{what}. Its last lines, from {}:\n{tail}", log.display()),
        None => format!("{what}, and printed nothing"),
    }
}

/// The last 12 lines of a log; `None` where there is nothing to show.
fn tail(log: &Path) -> Option<String> {
    const MOST: u64 = 1 << 14;
    let mut file = File::open(log).ok()?;
    let start = file.metadata().ok()?.len().saturating_sub(MOST);
    let mut bytes = Vec::new();
    io::Seek::seek(&mut file, io::SeekFrom::Start(start)).ok()?;
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(12)..].join("\n");
    (!tail.trim().is_empty()).then_some(tail)
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Whether a variable may be set: it has a name, and is none of those that srlm sets.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !name.starts_with("SRLM_")
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => ", an abort",
        libc::SIGBUS | libc::SIGSEGV => ", a memory fault",
        libc::SIGFPE => ", an arithmetic fault",
        libc::SIGILL => ", an illegal instruction",
        libc::SIGTERM => ", a request to end",
        _ => "",
    }
}
