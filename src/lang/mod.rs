//! The language: text in, a typed [`program::Program`] and diagnostics out. It opens no file itself.

pub mod ast;
pub mod index;
pub mod program;
pub mod signature;
pub mod types;
pub mod value;
pub mod vocabulary;

mod apply;
mod arguments;
mod change;
mod check;
mod compare;
mod datum;
mod eval;
mod graph;
mod items;
mod mistakes;
mod names;
pub mod nearest;
mod operators;
mod parse;
mod prelude;
mod recipes;
mod references;
mod resolve;
mod rules;
mod scan;
mod stages;
#[cfg(test)]
mod tests;
mod units;

use crate::base::source::{Loader, SourceMap, Span};
use crate::diag::{Diagnostic, codes};
use eval::{Evaluator, Override};
use index::{Analysis, Index, Recorder};
use items::Wanted;
use program::Program;
use resolve::{ModuleId, Resolved};
use signature::Catalogue;
use std::collections::{BTreeMap, BTreeSet};
use value::NodeId;

/// Errors, and warnings, shown of one file; the rest would be noise until these are gone.
const MAX_PER_FILE: usize = 20;
/// Evaluation recurses with the nesting of the program, which is bounded, but not by a thread's usual stack.
const STACK_BYTES: usize = 256 << 20;

/// What compiling a file gives.
#[derive(Debug)]
pub struct Compilation {
    /// The program; complete only without errors.
    pub program: Program,
    /// Errors and warnings, by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// Every text that was read.
    pub sources: SourceMap,
}

impl Compilation {
    /// Whether anything keeps the program from running.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Compiles the file `entry`. `params` are what `-p name=expr` sets; `catalogue` names the stage kinds, rewards and
/// variants there are. Never fails: what is wrong is in the diagnostics.
pub fn compile(entry: &str, loader: &dyn Loader, params: &[(String, String)], catalogue: &Catalogue) -> Compilation {
    compiled(entry, loader, params, catalogue, false).compilation
}

/// Compiles the file `entry` as [`compile`] does, and keeps what its names mean and what its expressions came to.
pub fn analyse(entry: &str, loader: &dyn Loader, params: &[(String, String)], catalogue: &Catalogue) -> Analysis {
    compiled(entry, loader, params, catalogue, true)
}

fn compiled(
    entry: &str,
    loader: &dyn Loader,
    params: &[(String, String)],
    catalogue: &Catalogue,
    recorded: bool,
) -> Analysis {
    let Resolved { modules, entry: module, mut sources, mut diagnostics } = resolve::resolve(entry, loader);
    let (mut program, mut index) = (Program::default(), Index::default());
    if let Some(entry) = module {
        let overrides = read_overrides(params, &mut sources, &mut diagnostics);
        let evaluated = on_a_deep_stack(|| evaluate(entry, &modules, overrides, catalogue, recorded));
        match evaluated {
            Some((done, found, seen)) => {
                (program, index) = (done, seen);
                diagnostics.extend(found);
            }
            None => diagnostics.push(no_thread(&modules[entry.0])),
        }
    }
    Analysis { compilation: Compilation { program, diagnostics: arranged(diagnostics), sources }, index }
}

/// Parses what the command line sets; each value is a source of its own, shown as `-p`.
fn read_overrides(
    params: &[(String, String)],
    sources: &mut SourceMap,
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Override> {
    let mut overrides = BTreeMap::new();
    for (name, value) in params {
        let text = format!("{name}={value}");
        let source = sources.add("-p", text.as_str());
        let span = Span::new(source, name.len() + 1, text.len());
        let expr = parse::parse_expr(source, &text, name.len() + 1).map_err(|found| diagnostics.extend(found)).ok();
        overrides.insert(name.clone(), Override { expr, name: Span::new(source, 0, name.len()), span });
    }
    overrides
}

fn evaluate(
    entry: ModuleId,
    modules: &[std::sync::Arc<resolve::Module>],
    overrides: BTreeMap<String, Override>,
    catalogue: &Catalogue,
    recorded: bool,
) -> (Program, Vec<Diagnostic>, Index) {
    let mut evaluator = Evaluator::new(catalogue, modules, entry);
    evaluator.overrides = overrides;
    evaluator.recorder = recorded.then(Box::<Recorder>::default);
    let wanted = evaluator.run();
    if recorded {
        evaluator.survey();
    }
    let Evaluator { graph, diagnostics, recorder, .. } = evaluator;
    let index = recorder.map_or_else(Index::default, |recorder| index::build(&recorder, modules, catalogue));
    (assemble(graph, wanted), diagnostics, index)
}

/// Drops the stages that nothing wants and numbers the others anew.
fn assemble(graph: graph::Graph, wanted: Wanted) -> Program {
    let Wanted { mut pipelines, mut sweeps, compares, profiles } = wanted;
    let cells = sweeps.iter().flat_map(|sweep| sweep.cells.iter().map(|cell| cell.target));
    let targets: Vec<NodeId> = pipelines.iter().map(|pipeline| pipeline.target).chain(cells).collect();
    let (calls, renumbered) = graph.wanted(targets);
    pipelines.iter_mut().for_each(|pipeline| pipeline.target = renumbered[&pipeline.target]);
    let cells = sweeps.iter_mut().flat_map(|sweep| &mut sweep.cells);
    cells.for_each(|cell| cell.target = renumbered[&cell.target]);
    Program { calls, pipelines, sweeps, compares, profiles }
}

fn on_a_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).ok()?;
        match thread.join() {
            Ok(result) => Some(result),
            // A defect of ours: let it surface as what it is.
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn no_thread(entry: &resolve::Module) -> Diagnostic {
    let message = "the machine has no memory left for a thread to evaluate the file in";
    Diagnostic::error(codes::PROGRAM_TOO_LARGE, message, Span::new(entry.source, 0, 0), "")
}

/// By file and place, each finding once, at most [`MAX_PER_FILE`] errors and as many warnings a file.
fn arranged(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|found| (found.span().map(|span| (span.source, span.start, span.end)), found.code));
    let mut seen = BTreeSet::new();
    diagnostics.retain(|found| seen.insert((found.code, found.span(), found.message.clone())));
    let mut shown: BTreeMap<_, usize> = BTreeMap::new();
    diagnostics.retain(|found| {
        let count = shown.entry((found.span().map(|span| span.source), found.is_error())).or_default();
        *count += 1;
        *count <= MAX_PER_FILE
    });
    diagnostics
}
