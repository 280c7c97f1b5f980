//! The executor of one machine: every stage in a process of its own, so that a crash takes one stage and not the run.

use super::executor::{Ended, Executor, Stop, Ticket, Update};
use super::job::{Job, Message, STOP_LINE};
use crate::base::memory::own_peak;
use crate::stage::{Metrics, StageError};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use wait4::Wait4;

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// The program: this one, as a rule.
    pub program: PathBuf,
    /// Its arguments: `worker`.
    pub args: Vec<String>,
    /// Threads of a worker whose job does not say; left alone where the user has set `RAYON_NUM_THREADS`.
    pub threads: usize,
}

/// Runs each job in a child process.
///
/// A worker stops when it reads a stop line or the end of its input, so one whose parent died stops by itself. It is in
/// a process group of its own: a Ctrl-C in the terminal reaches only the parent, which passes it on in order.
pub struct LocalExecutor {
    command: WorkerCommand,
    workers: BTreeMap<Ticket, Worker>,
    next: u64,
    sender: Sender<(Ticket, Heard)>,
    receiver: Receiver<(Ticket, Heard)>,
}

struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
    ended: Option<Result<Metrics, StageError>>,
    killed: bool,
    /// The most memory it had by its own count.
    said_peak: Option<u64>,
    /// The most that this process had when it started the worker: the kernel counts it as the worker's.
    floor: u64,
}

/// What a reader thread passes on.
enum Heard {
    Message(Message),
    /// The worker's output is closed: it has ended, or is about to.
    Closed,
}

impl LocalExecutor {
    /// An executor that starts workers by `command`.
    pub fn new(command: WorkerCommand) -> Self {
        let (sender, receiver) = channel();
        LocalExecutor { command, workers: BTreeMap::new(), next: 0, sender, receiver }
    }

    fn spawn(&self, job: &Job) -> std::io::Result<Child> {
        let mut command = Command::new(&self.command.program);
        command.args(&self.command.args).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log(&job.log)?);
        if job.threads.is_some() || std::env::var_os("RAYON_NUM_THREADS").is_none() {
            command.env("RAYON_NUM_THREADS", job.threads.unwrap_or(self.command.threads).to_string());
        }
        if let Some(gpus) = &job.gpus {
            command.env("CUDA_VISIBLE_DEVICES", gpus.join(","));
        }
        // Freed blocks are kept: a training step asks for the same ones again, and faulting them in anew is dear.
        command.env("MIMALLOC_PURGE_DELAY", "-1");
        command.spawn()
    }

    fn take_in(&mut self, ticket: Ticket, heard: Heard) -> Option<Update> {
        let worker = self.workers.get_mut(&ticket)?;
        match heard {
            Heard::Message(Message::Said { said }) => return Some(Update::Said(said)),
            Heard::Message(Message::Done { metrics, peak_memory }) => worker.end(Ok(metrics), peak_memory),
            Heard::Message(Message::Failed { error, peak_memory }) => worker.end(Err(error), peak_memory),
            Heard::Closed => {
                let worker = self.workers.remove(&ticket)?;
                return Some(Update::Ended(worker.reap()));
            }
        }
        None
    }
}

impl Executor for LocalExecutor {
    fn submit(&mut self, job: Job) -> Result<Ticket, StageError> {
        let failed = |error| StageError::machine(format!("the worker could not be started: {error}"));
        let floor = own_peak().unwrap_or(0);
        let mut child = self.spawn(&job).map_err(failed)?;
        let ticket = Ticket(self.next);
        self.next += 1;
        let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let line = serde_json::to_string(&job).map_err(|error| failed(error.into()))? + "\n";
        // A worker that died before it read its job is reported when its output closes.
        let _ = stdin.as_mut().map(|stdin| stdin.write_all(line.as_bytes()));
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            if let Some(stdout) = stdout {
                read_messages(stdout, |message| drop(sender.send((ticket, Heard::Message(message)))));
            }
            drop(sender.send((ticket, Heard::Closed)));
        });
        self.workers
            .insert(ticket, Worker { child, stdin, log: job.log, ended: None, killed: false, said_peak: None, floor });
        Ok(ticket)
    }

    fn poll(&mut self, timeout: Duration) -> Vec<(Ticket, Update)> {
        let first = self.receiver.recv_timeout(timeout).ok();
        let heard: Vec<_> = first.into_iter().chain(self.receiver.try_iter()).collect();
        heard.into_iter().filter_map(|(ticket, heard)| Some((ticket, self.take_in(ticket, heard)?))).collect()
    }

    fn cancel(&mut self, ticket: Ticket, how: Stop) {
        let Some(worker) = self.workers.get_mut(&ticket) else { return };
        // Whoever is not there any more needs no telling.
        match how {
            Stop::Save => drop(worker.stdin.as_mut().map(|stdin| writeln!(stdin, "{STOP_LINE}"))),
            Stop::Kill => worker.kill(),
        }
    }
}

impl Drop for LocalExecutor {
    fn drop(&mut self) {
        self.workers.values_mut().for_each(Worker::kill);
        self.workers.values_mut().for_each(|worker| drop(worker.child.wait()));
    }
}

impl Worker {
    fn kill(&mut self) {
        self.killed = true;
        drop(self.child.kill());
    }

    fn end(&mut self, ended: Result<Metrics, StageError>, peak_memory: Option<u64>) {
        (self.ended, self.said_peak) = (Some(ended), peak_memory);
    }

    fn reap(mut self) -> Ended {
        drop(self.stdin.take());
        let (status, waited) = match self.child.wait4() {
            Ok(used) => (used.status, used.rusage.maxrss),
            Err(error) => return Ended { result: Err(error.into()), peak_memory: None },
        };
        let peak_memory = peak(waited, self.floor, self.said_peak);
        let result = match self.ended {
            Some(ended) => ended,
            None if self.killed => Err(StageError::Interrupted { saved_at: None }),
            None => Err(death(status, &self.log)),
        };
        Ended { result, peak_memory }
    }
}

/// Opened to append to: programs that a stage starts write to the log, too.
fn log(path: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// Lines that are no message (a library that prints) are dropped.
fn read_messages(output: impl std::io::Read, mut take: impl FnMut(Message)) {
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        if let Ok(message) = serde_json::from_slice(&line) {
            take(message);
        }
    }
}

/// A worker's peak, its children included, from what the kernel says of the ended process. Until a new process runs its
/// own program it shares its parent's memory, which is counted as its own: a figure that is no more than the parent's
/// says nothing, and the worker's own count stands in.
fn peak(waited: u64, floor: u64, said: Option<u64>) -> Option<u64> {
    if waited > floor { Some(waited) } else { said.or(Some(waited).filter(|&waited| waited > 0)) }
}

/// What a worker's death means, with its last words.
fn death(status: ExitStatus, log: &Path) -> StageError {
    let words = tail(log);
    let told = |cause: String| match &words {
        Some(words) => format!("{cause}. Its last words, from {}:\n{words}", log.display()),
        None => cause,
    };
    let less = "a smaller batch, max_length or max_completion_length needs less, and so do fewer --jobs";
    match status.signal() {
        Some(9) => StageError::OutOfMemory {
            message: told(format!(
                "the worker was killed (signal 9). That is most often the system running out of memory: {less}"
            )),
        },
        // What Rust says before it aborts.
        Some(6) if words.as_ref().is_some_and(|words| words.contains("memory allocation of")) => {
            StageError::OutOfMemory { message: told(format!("the system refused the worker more memory: {less}")) }
        }
        Some(signal @ (1 | 15 | 24)) => {
            let message = format!("the worker was asked to end from outside (signal {signal}){}", signal_name(signal));
            StageError::Preempted { message: told(message) }
        }
        Some(signal) => StageError::machine(told(format!("the worker died of signal {signal}{}", signal_name(signal)))),
        None => StageError::machine(told(format!("the worker ended without a result ({status})"))),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => ", an illegal instruction: a bug in srlm, please report it with the processor's model",
        6 => ", an abort: a bug in srlm, please report it",
        7 | 11 => ", a memory fault: a bug in srlm, or an input file that was cut while it was read",
        24 => ", its limit of processor time",
        _ => "",
    }
}

/// The last 12 lines of a log; `None` where there is nothing to show.
fn tail(log: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&std::fs::read(log).ok()?).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(12)..].join("\n");
    (!tail.trim().is_empty()).then_some(tail)
}

#[cfg(test)]
mod tests {
    use super::super::job::tests::job;
    use super::*;
    use std::time::Instant;

    fn shell(script: &str) -> LocalExecutor {
        let args = vec!["-c".to_string(), script.to_string()];
        LocalExecutor::new(WorkerCommand { program: "/bin/sh".into(), args, threads: 1 })
    }

    fn end(executor: &mut LocalExecutor) -> Vec<Update> {
        let started = Instant::now();
        let mut updates = Vec::new();
        while !matches!(updates.last(), Some(Update::Ended(_))) {
            assert!(started.elapsed().as_secs() < 20, "the worker never ended");
            updates.extend(executor.poll(Duration::from_millis(50)).into_iter().map(|(_, update)| update));
        }
        updates
    }

    fn run(script: &str) -> Vec<Update> {
        let folder = tempfile::tempdir().unwrap();
        let mut executor = shell(script);
        executor.submit(job("warm", folder.path())).unwrap();
        end(&mut executor)
    }

    fn failure(updates: &[Update]) -> String {
        match updates.last() {
            Some(Update::Ended(Ended { result: Err(error), .. })) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn ended(updates: &[Update]) -> &Ended {
        match updates.last() {
            Some(Update::Ended(ended)) => ended,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_memory_of_a_worker_is_told_and_so_is_that_of_its_children() {
        let done = r#"echo '{"message":"done","metrics":{},"peak_memory":777}'"#;
        let small = run(&format!("read job; {done}"));
        let small = ended(&small).peak_memory.unwrap();
        assert!(small == 777 || small > 1 << 19, "{small}");
        // A child that holds 200 MB at once, more than this test process has had.
        let large = run(&format!("read job; head -c 400000000 /dev/zero | tail -c 400000000 >&2; {done}"));
        let large = ended(&large).peak_memory.unwrap();
        assert!(large > 400_000_000, "{large}");
    }

    #[test]
    fn what_a_worker_says_arrives_in_order_and_noise_does_not() {
        let updates = run(r#"read job; echo noise; echo '{"message":"said","said":{"event":"warning","message":"w"}}';
               echo '{"message":"done","metrics":{"loss":0.5}}'"#);
        assert!(matches!(&updates[0], Update::Said(_)));
        assert_eq!(ended(&updates).result, Ok(Metrics::from([("loss".into(), 0.5)])));
    }

    #[test]
    fn a_death_is_told_with_its_cause_and_the_last_words() {
        let killed = failure(&run("read job; echo last words >&2; kill -9 $$"));
        assert!(killed.contains("out of memory") && killed.ends_with("last words"), "{killed}");
        let refused = run("read job; echo memory allocation of 8 bytes failed >&2; kill -6 $$");
        assert!(matches!(&ended(&refused).result, Err(StageError::OutOfMemory { .. })), "{refused:?}");
        let asked = run("read job; kill -15 $$");
        assert!(matches!(&ended(&asked).result, Err(StageError::Preempted { .. })), "{asked:?}");
        let silent = failure(&run("exit 3"));
        assert!(silent.contains("exit status: 3"), "{silent}");
    }

    #[test]
    fn a_stop_line_reaches_the_worker() {
        let folder = tempfile::tempdir().unwrap();
        let mut executor = shell(
            r#"read job; read line; test "$line" = stop &&
               echo '{"message":"failed","error":{"cause":"interrupted","saved_at":7}}'"#,
        );
        executor.submit(job("warm", folder.path())).unwrap();
        executor.cancel(Ticket(0), Stop::Save);
        assert_eq!(ended(&end(&mut executor)).result, Err(StageError::Interrupted { saved_at: Some(7) }));
    }

    #[test]
    fn a_kill_needs_no_cooperation() {
        let folder = tempfile::tempdir().unwrap();
        let mut executor = shell("exec sleep 1000");
        executor.submit(job("warm", folder.path())).unwrap();
        executor.cancel(Ticket(0), Stop::Kill);
        assert_eq!(ended(&end(&mut executor)).result, Err(StageError::Interrupted { saved_at: None }));
    }
}
