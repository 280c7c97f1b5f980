//! Whether stages are cached and how they scored: looked up by a thread of its own, since inputs are hashed for it.

use super::view::View;
use crate::driver::{self, Checked, Failure, Project};
use crate::lang::index::SymbolKind;
use crate::plan::{Plan, Status, Step};
use crate::report::number::percent;
use crate::report::scores_table::ScoresRow;
use lsp_server::{Message, RequestId, Response};
use lsp_types::{Hover, HoverContents};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Uses of a stage that are told one by one.
const MAX_USES: usize = 6;

/// What is to be looked up.
#[derive(Debug)]
pub struct Question {
    /// The program.
    pub view: Arc<View>,
    /// The name of a pipeline, a sweep or a stage.
    pub name: String,
    /// Which of these it is.
    pub kind: SymbolKind,
}

/// A hover that waits for its last paragraph.
#[derive(Debug)]
pub struct Waiting {
    /// The request.
    pub id: RequestId,
    /// What is said already.
    pub hover: Hover,
    /// What is not.
    pub question: Question,
}

/// The thread that looks things up.
pub struct Lookup {
    questions: Sender<Waiting>,
}

impl Lookup {
    /// Starts the thread; it ends with its owner.
    pub fn new(outgoing: Sender<Message>) -> Lookup {
        let (questions, waiting) = channel();
        thread::spawn(move || answer_all(&waiting, &outgoing));
        Lookup { questions }
    }

    /// Has a hover completed and sent.
    pub fn ask(&self, waiting: Waiting) {
        // The thread outlives this sender.
        let _ = self.questions.send(waiting);
    }
}

fn answer_all(waiting: &Receiver<Waiting>, outgoing: &Sender<Message>) {
    while let Ok(mut newest) = waiting.recv() {
        // Who has moved on does not wait for the store.
        while let Ok(newer) = waiting.try_recv() {
            send(outgoing, std::mem::replace(&mut newest, newer), None);
        }
        let found = catch_unwind(AssertUnwindSafe(|| look_up(&newest.question))).ok();
        send(outgoing, newest, found.and_then(Result::ok).flatten());
    }
}

fn send(outgoing: &Sender<Message>, waiting: Waiting, status: Option<String>) {
    let Waiting { id, mut hover, .. } = waiting;
    if let (HoverContents::Markup(content), Some(status)) = (&mut hover.contents, status) {
        content.value += &format!("\n\n---\n{status}");
    }
    let response_result = Ok(serde_json::to_value(hover).unwrap_or_default());
    // A client that is gone needs no answer.
    let _ = outgoing.send(Message::Response(Response { id, response_result }));
}

/// What the store holds, in words; looking leaves no trace.
fn look_up(question: &Question) -> Result<Option<String>, Failure> {
    let project = open(&question.view)?;
    match question.kind {
        SymbolKind::Pipeline => pipeline(&project, &question.name).map(Some),
        SymbolKind::Sweep => {
            let plan = driver::plan(&project, std::slice::from_ref(&question.name))?;
            Ok(Some(counted(&plan)))
        }
        _ => Ok(stage(&project, &driver::plan(&project, &[])?, &question.name)),
    }
}

fn open(view: &View) -> Result<Project, Failure> {
    let compiled = &view.analysis.compilation;
    let (program, sources) = (compiled.program.clone(), compiled.sources.clone());
    let store = driver::store_root(None, Some(Path::new(&view.path)));
    driver::open_compiled(Checked { program, diagnostics: Vec::new(), sources }, Path::new(&view.path), store)
}

fn pipeline(project: &Project, name: &str) -> Result<String, Failure> {
    let plan = driver::plan(project, &[name.to_string()])?;
    let last = plan.targets.first().and_then(|&node| plan.step(node)).map(told).unwrap_or_default();
    let scores: Vec<String> = driver::scores(project, &plan)?.iter().map(score).collect();
    let lines = [last, counted(&plan)].into_iter().chain(scores);
    Ok(lines.collect::<Vec<_>>().join("  \n"))
}

/// `arith: 51.2% [47.1%, 55.3%] of 500 items`
fn score(row: &ScoresRow) -> String {
    let found = &row.accuracy;
    let [mean, low, high] = [found.mean, found.low, found.high].map(percent);
    format!("`{}`: {mean} [{low}, {high}] of {} items", row.bench, found.n)
}

/// `3 of 4 stages cached`
fn counted(plan: &Plan) -> String {
    format!("{} of {} stages cached", plan.summary.cached, plan.summary.stages)
}

/// The uses of a stage that was given a name.
fn stage(project: &Project, plan: &Plan, name: &str) -> Option<String> {
    let uses: Vec<&Step> = plan.steps.iter().filter(|step| project.graph.node(step.node).name == name).collect();
    if let [only] = uses[..] {
        return Some(told(only));
    }
    let cached = uses.iter().filter(|step| step.status.is_cached()).count();
    let lines = uses.iter().take(MAX_USES).map(|step| {
        let label = project.graph.node(step.node).labels.first().map_or("", |label| label);
        format!("`{label}`: {}", told(step))
    });
    let head = format!("{cached} of {} uses cached", uses.len());
    (!uses.is_empty()).then(|| std::iter::once(head).chain(lines).collect::<Vec<_>>().join("  \n"))
}

fn told(step: &Step) -> String {
    let word = match step.status {
        status if status.is_cached() => "cached",
        status if status.runs() => "to run",
        Status::Blocked => "blocked",
        _ => "not needed",
    };
    format!("**{word}**: {}", step.reason)
}
