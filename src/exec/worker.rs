//! The inside of `srlm worker`: one job from standard input, one stage run, messages to standard output.

use super::job::{Job, Message, STOP_LINE};
use crate::base::event::StageEvent;
use crate::base::memory::own_peak;
use crate::base::state::{Place, Places};
use crate::stage::{self, Metrics, StageContext, StageError};
use std::fs::File;
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a worker whose parent is gone may take to save a state before it ends itself.
const ORPHAN_GRACE: Duration = Duration::from_secs(120);

/// Reads a [`Job`] line from `input`, runs its stage and writes [`Message`] lines to `output`.
///
/// `stop` is also what the caller's signal handlers set. Returns whether the stage made its output; what went wrong is
/// told in the last message, so the caller has nothing to print.
pub fn run(mut input: impl BufRead + Send + 'static, output: impl Write + Send, stop: &Arc<AtomicBool>) -> bool {
    let output = Mutex::new(output);
    let mut line = String::new();
    let job = match input.read_line(&mut line) {
        Ok(_) => serde_json::from_str::<Job>(&line).map_err(|error| format!("the job cannot be read: {error}")),
        Err(error) => Err(format!("the job cannot be read: {error}")),
    };
    watch(input, Arc::clone(stop));
    let ended = job.map_err(StageError::machine).and_then(|job| run_job(&job, &output, stop));
    let (made, peak_memory) = (ended.is_ok(), own_peak());
    send(
        &output,
        &match ended {
            Ok(metrics) => Message::Done { metrics, peak_memory },
            Err(error) => Message::Failed { error, peak_memory },
        },
    );
    made
}

fn run_job(job: &Job, output: &Mutex<impl Write + Send>, stop: &AtomicBool) -> Result<Metrics, StageError> {
    let stage = stage::find(&job.kind)
        .ok_or_else(|| StageError::machine(format!("this build of srlm has no stage kind `{}`", job.kind)))?;
    stage::refuse_unbuilt(&job.kind, &job.args)?;
    let _turns = wait_for_orphans(job);
    let say = |said: StageEvent| send(output, &Message::Said { said });
    let context = job.context(&say, stop);
    catching(|context| stage.run(context), &context)
}

/// Locks the stage's training states until this process ends. A worker whose run was killed may still be saving its
/// last state there.
fn wait_for_orphans(job: &Job) -> Vec<File> {
    job.states.iter().flat_map(Places::all).filter_map(Place::lock).collect()
}

/// Runs `work`; a panic in it becomes an error that asks for a report.
pub(super) fn catching(
    work: impl FnOnce(&StageContext) -> Result<Metrics, StageError>,
    context: &StageContext,
) -> Result<Metrics, StageError> {
    catch_unwind(AssertUnwindSafe(|| work(context))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(StageError::machine(format!("a bug in srlm, please report it: the stage panicked with `{text}`")))
    })
}

/// A line that cannot be written means that the parent is gone: [`watch`] sees that too, so it is no error here.
fn send(output: &Mutex<impl Write>, message: &Message) {
    let Ok(mut line) = serde_json::to_string(message) else { return };
    line.push('\n');
    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = output.write_all(line.as_bytes()).and_then(|()| output.flush());
}

/// Sets `stop` at a stop line or at the end of the input. After the end, which means that the parent died, a stage
/// that does not heed the flag is ended by force: nobody would take its result.
fn watch(input: impl BufRead + Send + 'static, stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        for line in input.lines() {
            match line {
                Ok(line) if line.trim() == STOP_LINE => stop.store(true, Ordering::Relaxed),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        stop.store(true, Ordering::Relaxed);
        std::thread::sleep(ORPHAN_GRACE);
        std::process::exit(1);
    });
}

#[cfg(test)]
mod tests {
    use super::super::job::tests::job;
    use super::*;
    use std::io::{BufReader, pipe};

    #[test]
    fn a_kind_that_is_none_is_told_in_a_message() {
        let folder = tempfile::tempdir().unwrap();
        let (reader, mut writer) = pipe().unwrap();
        writeln!(writer, "{}", serde_json::to_string(&job("warm", folder.path())).unwrap()).unwrap();
        let mut output = Vec::new();
        assert!(!run(BufReader::new(reader), &mut output, &Arc::default()));
        let message: Message = serde_json::from_slice(&output).unwrap();
        assert!(matches!(message, Message::Failed { error, .. } if error.to_string().contains("no stage kind `test`")));
        // The end of its input would end this process: it is the sign of a dead parent.
        std::mem::forget(writer);
    }

    #[test]
    fn a_stop_line_sets_the_flag() {
        let (reader, mut writer) = pipe().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        watch(BufReader::new(reader), Arc::clone(&stop));
        writeln!(writer, "{STOP_LINE}").unwrap();
        while !stop.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        std::mem::forget(writer);
    }
}
