//! The remote cache of a project: which one, what must come from it before a run, and what goes to it.

use super::{Failure, Project};
use crate::base::event::{Event, Sink};
use crate::plan::Plan;
use crate::store::remote::{Address, Answer, Question, Remote};
use crate::store::{Record, Store};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a command moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Moved {
    /// Results that are where they should be now.
    pub done: usize,
    /// Results that should have been moved, and were not.
    pub left: usize,
}

/// Connects a project to the remote cache that is asked for, else to that of the profile of this name, else to that of
/// `$SRLM_REMOTE`; to none where that is empty. Nothing is asked of it yet.
///
/// # Errors
/// [`Failure::Input`] where the text names no remote cache, or the file has no such profile.
pub fn connect(project: &mut Project, asked: Option<&str>, profile: Option<&str>) -> Result<(), Failure> {
    let profile = profile.map(|name| super::profile::find(project, name)).transpose()?;
    let asked = asked.or_else(|| profile.as_ref()?.remote.as_deref());
    project.remote = named(asked)?.map(|address| Remote::open(&address, &project.store));
    Ok(())
}

fn named(asked: Option<&str>) -> Result<Option<Address>, Failure> {
    let from_environment = || std::env::var("SRLM_REMOTE").ok();
    let text = asked.map(str::to_string).or_else(from_environment).filter(|text| !text.is_empty());
    let parse = |text: String| text.parse().map_err(|error| Failure::Input(format!("{error}")));
    text.map(parse).transpose()
}

/// What a remote cache had to complain about since the last call.
pub fn remote_warnings(project: &Project) -> Vec<String> {
    let warning = |event| match event {
        Event::RemoteWarning { message } => Some(message),
        _ => None,
    };
    project.remote.iter().flat_map(Remote::news).filter_map(warning).collect()
}

/// Brings what the plan needs out of the remote cache, and plans again; none where there was nothing to bring. Whatever
/// does not come is made here.
pub(super) fn fetch_needed(
    project: &Project,
    plan: &Plan,
    sink: &dyn Sink,
    stops: &AtomicUsize,
) -> Result<Option<Plan>, Failure> {
    let Some(remote) = &project.remote else { return Ok(None) };
    remote.resume();
    remote.news().iter().for_each(|event| sink.emit(event));
    let mut newest: Option<Plan> = None;
    loop {
        let wanted = newest.as_ref().unwrap_or(plan).to_fetch(&project.graph);
        let wanted: Vec<Record> = wanted.into_iter().cloned().collect();
        if wanted.is_empty() || stops.load(Ordering::Relaxed) > 0 {
            return Ok(newest);
        }
        remote.fetch_all(&wanted, &|| stops.load(Ordering::Relaxed) > 0, &|event| sink.emit(&event));
        newest = Some(project.resolver().again(newest.as_ref().unwrap_or(plan))?);
    }
}

/// Waits for what is on its way to the remote cache; not where the user asked to stop.
pub(super) fn finish(project: &Project, sink: &dyn Sink, stops: &AtomicUsize) {
    if let Some(remote) = &project.remote {
        remote.finish(&|| stops.load(Ordering::Relaxed) > 0, &|event| sink.emit(&event));
    }
}

/// Uploads the results that a file's stages have here: those of one stage, where one is named.
///
/// # Errors
/// [`Failure::Input`] where no remote cache is named, or the stage is unknown; [`Failure::Machine`] where the store cannot
/// be read.
pub fn push(project: &Project, node: Option<&str>, sink: &dyn Sink, stops: &AtomicUsize) -> Result<Moved, Failure> {
    let remote = required(project.remote.as_ref())?;
    let keys = chosen(project, node)?.into_iter().map(|node| project.graph.node(node).key);
    let mut offered = 0;
    for key in keys {
        if project.store.lookup(&key)?.found().is_some() {
            remote.offer(&key);
            offered += 1;
        }
    }
    Ok(uploaded(remote, offered, sink, stops))
}

/// Uploads every result of a store.
///
/// # Errors
/// As [`push`].
pub fn push_all(store: &Store, asked: Option<&str>, sink: &dyn Sink, stops: &AtomicUsize) -> Result<Moved, Failure> {
    let remote = named(asked)?.map(|address| Remote::open(&address, store));
    let remote = required(remote.as_ref())?;
    let records = store.records()?.records;
    records.iter().for_each(|record| remote.offer(&record.key));
    Ok(uploaded(remote, records.len(), sink, stops))
}

/// Brings the results of a file's stages here, as far as the remote cache has them: those of one stage, where one is
/// named.
///
/// # Errors
/// As [`push`].
pub fn pull(project: &Project, node: Option<&str>, sink: &dyn Sink, stops: &AtomicUsize) -> Result<Moved, Failure> {
    let remote = required(project.remote.as_ref())?;
    let mut questions = Vec::new();
    for node in chosen(project, node)? {
        let key = project.graph.node(node).key;
        if project.store.lookup(&key)?.found().is_none() {
            questions.push(Question::Key(key));
        }
    }
    remote.ask(questions.iter().copied());
    let found = |question: &Question| match remote.answer(question) {
        Some(Answer::Found(record)) => Some(*record),
        _ => None,
    };
    let records: Vec<Record> = questions.iter().filter_map(found).collect();
    remote.fetch_all(&records, &|| stops.load(Ordering::Relaxed) > 0, &|event| sink.emit(&event));
    remote.finish(&|| true, &|event| sink.emit(&event));
    let here = |record: &&Record| project.store.lookup(&record.key).is_ok_and(|found| found.found().is_some());
    let done = records.iter().filter(here).count();
    Ok(Moved { done, left: records.len() - done })
}

fn required(remote: Option<&Remote>) -> Result<&Remote, Failure> {
    let missing = "no remote cache is named: use --remote URL or $SRLM_REMOTE";
    remote.ok_or_else(|| Failure::Input(missing.to_string()))
}

/// The stages that a command is about.
fn chosen(project: &Project, node: Option<&str>) -> Result<Vec<usize>, Failure> {
    match node {
        Some(node) => Ok(vec![super::node::find(project, node)?]),
        None => Ok((0..project.graph.len()).collect()),
    }
}

fn uploaded(remote: &Remote, offered: usize, sink: &dyn Sink, stops: &AtomicUsize) -> Moved {
    let left = std::sync::Mutex::new(0);
    remote.finish(&|| stops.load(Ordering::Relaxed) > 0, &|event| {
        if let (Event::RemoteFinished { left: count, .. }, Ok(mut left)) = (&event, left.lock()) {
            *left = *count;
        }
        sink.emit(&event);
    });
    let left = left.into_inner().unwrap_or_default();
    Moved { done: offered.saturating_sub(left), left }
}
