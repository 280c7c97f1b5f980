//! Each event as a line a person can read.

use super::number::{bytes, count, metric, percent, seconds};
use super::pace::Pace;
use crate::base::digest::Digest;
use crate::base::event::{Event, FileChange, MetricChange, StageEvent, StageRef, Transfer};
use std::collections::BTreeMap;

/// The line an event deserves; `None` for those that only a bar or a log shows.
pub fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::RunStarted { stages, cached, to_run, .. } => started(*stages, *cached, *to_run),
        Event::StageCached { .. } => return None,
        Event::StageWaiting { stage, holder } => of(stage, &format!("waits for another run: {holder}")),
        Event::StageStarted { stage, reason, .. } => of(stage, &format!("{}starts: {reason}", kind(stage))),
        Event::StageSaid { stage, said } => return said_line(stage, said),
        Event::StageFinished { stage, seconds: took, metrics, .. } => {
            of(stage, &joined(format!("done in {}", seconds(*took)), key_metrics(metrics)))
        }
        Event::StageFailed { stage, message, declared_at, source_line } => {
            failed(stage, message, declared_at.as_deref(), source_line.as_deref())
        }
        Event::StageRetried { stage, cause, retry, retries, pause, .. } => {
            let cause = match cause.as_str() {
                "out_of_memory" => "ran out of memory",
                "preempted" => "was ended from outside",
                _ => "met a machine that could not read or write",
            };
            of(stage, &format!("{cause}; it is tried again in {} ({retry} of {retries})", seconds(*pause)))
        }
        Event::StageCompared { stage, with, same, files, metrics } => compared(stage, with, *same, files, metrics),
        Event::StageBlocked { stage, by } => {
            of(stage, &format!("cannot run: it needs {}, which has no result", by.name))
        }
        Event::StageInterrupted { stage, saved_at, why } => {
            let why = why.as_ref().map(|why| format!(" by {why}")).unwrap_or_default();
            of(
                stage,
                &match saved_at {
                    Some(step) => format!("stopped{why} after step {step}; the same command continues from there"),
                    None => format!("stopped{why} before a first state was saved"),
                },
            )
        }
        Event::RemoteWarning { message } => format!("warning: {message}"),
        Event::RemoteProgress { doing, done, total, bytes: moved } => {
            let doing = if *doing == Transfer::Fetching { "fetching from" } else { "uploading to" };
            format!("{doing} the remote cache: {done} of {}, {} so far", results(*total), bytes(*moved))
        }
        Event::RemoteFinished { fetched, fetched_bytes, uploaded, uploaded_bytes, left } => {
            transferred([(*fetched, *fetched_bytes), (*uploaded, *uploaded_bytes)], *left)
        }
        Event::RunFinished { finished: 0, failed: 0, interrupted: false, .. } => return None,
        Event::RunFinished { finished, cached, failed, blocked, interrupted, seconds: took, .. } => {
            let how = if *interrupted { "stopped after" } else { "finished in" };
            finished_line(how, [*finished, *cached, *failed, *blocked], *took)
        }
    })
}

/// A stage's progress: `30/94 steps  loss 0.512  3,120 tok/s  1m05s left`.
pub fn progress(pace: &Pace) -> String {
    let mut parts = vec![format!("{}/{} {}s", count(pace.step), count(pace.total), pace.unit)];
    parts.extend(speed(pace));
    parts.join("  ")
}

/// What stands beside a bar: the number to watch, tokens a second, time left.
pub fn speed(pace: &Pace) -> Vec<String> {
    let headline = pace.headline().map(|(name, value)| format!("{name} {}", metric(value)));
    let rate = pace.tokens_per_second().map(|rate| format!("{} tok/s", count(rate.round() as u64)));
    let left = pace.seconds_left().map(|left| format!("{} left", seconds(left)));
    let generation = pace.generation().map(|[batch, cache, cut]| {
        format!("batch {} full  cache {}  cut {}", percent(batch), percent(cache), percent(cut))
    });
    [headline, rate, generation, left].into_iter().flatten().collect()
}

/// `came out as in run R, byte for byte`; or, a line each, the files and numbers that differ.
fn compared(stage: &StageRef, with: &str, same: bool, files: &[FileChange], metrics: &[MetricChange]) -> String {
    if same {
        return of(stage, &format!("came out as in run {with}, byte for byte"));
    }
    let mut text =
        of(stage, &format!("came out otherwise than in run {with}, whose result is kept; `srlm show` lists both"));
    let digest = |digest: &Option<Digest>| digest.as_ref().map_or_else(|| "nothing".to_string(), Digest::short);
    for FileChange { name, was, is } in files {
        text += &format!("\n  {name}: {} → {}", digest(was), digest(is));
    }
    let number = |number: &Option<f64>| number.map_or_else(|| "nothing".to_string(), metric);
    for MetricChange { name, was, is } in metrics {
        text += &format!("\n  {name}: {} → {}", number(was), number(is));
    }
    text
}

/// A stage's name in its column, then `text`.
pub fn of(stage: &StageRef, text: &str) -> String {
    format!("{:<14} {text}", stage.name)
}

/// The kind and a blank, unless the name says it already.
fn kind(stage: &StageRef) -> String {
    if stage.kind == stage.name { String::new() } else { format!("{} ", stage.kind) }
}

fn started(stages: usize, cached: usize, to_run: usize) -> String {
    match to_run {
        0 if stages == 0 => "nothing to run: the file has no pipeline and no sweep".to_string(),
        0 => format!("nothing to run: {stages} stages, all cached"),
        _ => format!("{stages} stages, {cached} cached, {to_run} to run"),
    }
}

fn finished_line(how: &str, [finished, cached, failed, blocked]: [usize; 4], took: f64) -> String {
    let mut parts = vec![format!("{finished} run"), format!("{cached} cached")];
    parts.extend((failed > 0).then(|| format!("{failed} failed")));
    parts.extend((blocked > 0).then(|| format!("{blocked} could not run")));
    format!("{how} {}: {}", seconds(took), parts.join(", "))
}

fn results(number: usize) -> String {
    if number == 1 { "1 result".to_string() } else { format!("{number} results") }
}

fn transferred([fetched, uploaded]: [(usize, u64); 2], left: usize) -> String {
    let part = |(number, size): (usize, u64), how: &str| {
        (number > 0).then(|| format!("{} {how} ({})", results(number), bytes(size)))
    };
    let mut parts = Vec::from_iter(part(fetched, "fetched").into_iter().chain(part(uploaded, "uploaded")));
    parts.extend(
        (left > 0)
            .then(|| format!("{} still to be uploaded: the next run or `srlm store push` tries again", results(left))),
    );
    format!("remote cache: {}", parts.join(", "))
}

fn said_line(stage: &StageRef, said: &StageEvent) -> Option<String> {
    match said {
        StageEvent::Warning { message } => Some(of(stage, &format!("warning: {message}"))),
        StageEvent::Facts { facts } => Some(of(stage, &named(facts.iter()).join("  "))),
        StageEvent::Resumed { step, .. } => Some(of(stage, &format!("goes on from step {step}"))),
        StageEvent::Progress { .. } | StageEvent::Checkpointed { .. } => None,
    }
}

/// What went wrong, and below it the line that declared the stage.
fn failed(stage: &StageRef, message: &str, declared_at: Option<&str>, source_line: Option<&str>) -> String {
    let place = declared_at.map(|place| format!(", declared at {place}")).unwrap_or_default();
    let message = message.replace('\n', "\n  ");
    let line = declared_at.zip(source_line).and_then(|(place, line)| marked(place, line)).unwrap_or_default();
    format!("error: {} `{}` failed{place}\n{line}  {message}", stage.kind, stage.name)
}

/// The line with a mark below the column, as diagnostics show it.
fn marked(place: &str, line: &str) -> Option<String> {
    let mut parts = place.rsplit(':');
    let (column, number) = (parts.next()?.parse::<usize>().ok()?, parts.next()?);
    let margin = " ".repeat(number.len());
    let before: String =
        line.chars().take(column.saturating_sub(1)).map(|sign| if sign == '\t' { sign } else { ' ' }).collect();
    Some(format!("  {number} │ {line}\n  {margin} · {before}╰── declared here\n"))
}

fn joined(first: String, rest: Vec<String>) -> String {
    std::iter::once(first).chain(rest).collect::<Vec<_>>().join("  ")
}

/// The final numbers worth a line: accuracies, rewards, losses, rows; at most four.
fn key_metrics(metrics: &BTreeMap<String, f64>) -> Vec<String> {
    const KEYS: [&str; 5] = ["accuracy", "reward", "loss", "rows", "trained_tokens"];
    // An accuracy is that of one of several benchmarks; any other number with a name in front is a part of one without.
    let is_key = |name: &str, key: &str| name == key || (key == "accuracy" && name.ends_with(".accuracy"));
    let rank = |name: &str| KEYS.iter().position(|key| is_key(name, key));
    let mut ranked: Vec<_> = metrics.iter().filter_map(|entry| Some((rank(entry.0)?, entry))).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    named(ranked.into_iter().map(|(_, entry)| entry).take(4))
}

fn named<'a>(metrics: impl Iterator<Item = (&'a String, &'a f64)>) -> Vec<String> {
    let show = |(name, &value): (&String, &f64)| match name.ends_with("accuracy") {
        true => format!("{name} {}", percent(value)),
        false => format!("{name} {}", metric(value)),
    };
    metrics.map(show).collect()
}
