//! The language: text in, a typed [`program::Program`] and diagnostics out. It opens no file itself.

pub mod ast;
pub mod compare;
pub mod format;
pub mod index;
pub mod name;
pub mod nearest;
pub mod outline;
pub mod prelude;
pub mod program;
pub mod signature;
pub mod tokens;
pub mod types;
pub mod units;
pub mod value;
pub mod values;
pub mod words;

mod apply;
mod arguments;
mod build;
mod change;
mod check;
mod datum;
mod direct;
mod eval;
mod expected;
mod foreign_fields;
mod graph;
mod identity;
mod items;
mod literal;
mod lookup;
mod mistakes;
mod names;
mod operators;
mod params_file;
mod parse;
mod precedence;
mod profile;
mod recipes;
mod references;
mod resolve;
mod rules;
mod scan;
mod stages;
#[cfg(test)]
mod tests;

use crate::base::source::{Loader, SourceId, SourceMap, Span};
use crate::diag::{Diagnostic, codes};
use eval::{Evaluator, Given, Override};
use index::{Analysis, Index, Recorder};
use items::Wanted;
pub use params_file::ParamsFile;
use program::{Program, Unbuilt};
use resolve::{ModuleId, Resolved};
use signature::Catalogue;
use std::collections::{BTreeMap, BTreeSet};
use value::NodeId;

/// The longest text of one file, in bytes: what takes about a second to check, whatever stands in it.
pub const MAX_FILE_BYTES: usize = 8 << 20;
/// The longest message, in characters: names and texts of a file may be of any length.
const MAX_MESSAGE: usize = 1_000;
/// The most places of one finding that are shown: a ring of definitions may be as long as the file.
const MAX_LABELS: usize = 12;
/// Errors, and warnings, shown of one file; the rest would be noise until these are gone.
pub const MAX_PER_FILE: usize = 20;
/// Parsing and evaluation recurse with the nesting of the program, which is bounded, but not by a thread's usual stack.
/// All of a compilation is done on one such stack, so that what parsing frees is there for evaluation.
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
    compile_with(entry, loader, Outside { params, file: None }, catalogue)
}

/// What is set from outside of the files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outside<'a> {
    /// `-p name=expr`, in the order given: the last of a name wins.
    pub params: &'a [(String, String)],
    /// The file of `--params`; `-p` wins over it.
    pub file: Option<ParamsFile<'a>>,
}

/// [`compile`] with a params file.
pub fn compile_with(entry: &str, loader: &dyn Loader, outside: Outside, catalogue: &Catalogue) -> Compilation {
    compiled(entry, loader, outside, catalogue, false).compilation
}

/// Compiles the file `entry` as [`compile`] does, and keeps what its names mean and what its expressions came to.
pub fn analyse(entry: &str, loader: &dyn Loader, params: &[(String, String)], catalogue: &Catalogue) -> Analysis {
    compiled(entry, loader, Outside { params, file: None }, catalogue, true)
}

fn compiled(entry: &str, loader: &dyn Loader, outside: Outside, catalogue: &Catalogue, recorded: bool) -> Analysis {
    on_a_deep_stack(|| compile_here(entry, loader, outside, catalogue, recorded))
        .unwrap_or_else(|| Analysis { compilation: no_thread(entry), index: Index::default() })
}

fn compile_here(entry: &str, loader: &dyn Loader, outside: Outside, catalogue: &Catalogue, recorded: bool) -> Analysis {
    if !recorded {
        let given = outside.params.iter().map(|(_, value)| value.as_str());
        let given = given.chain(outside.file.iter().map(|file| file.text));
        let done = compile_resolved(resolve::resolve_named(entry, loader, given), outside, catalogue, false);
        // An unknown name may be one of the modules that were not loaded.
        if !done.compilation.diagnostics.iter().any(|found| found.code == codes::UNKNOWN_NAME) {
            return done;
        }
    }
    compile_resolved(resolve::resolve(entry, loader), outside, catalogue, recorded)
}

fn compile_resolved(resolved: Resolved, outside: Outside, catalogue: &Catalogue, recorded: bool) -> Analysis {
    let Resolved { modules, entry: module, mut sources, mut diagnostics } = resolved;
    let (mut program, mut index) = (Program::default(), Index::default());
    if let Some(entry) = module {
        let mut overrides = BTreeMap::new();
        if let Some(file) = outside.file {
            match read_params_file(file, &mut sources) {
                Ok(settings) => overrides = file_overrides(settings),
                Err(found) => diagnostics.push(*found),
            }
        }
        overrides.extend(read_overrides(outside.params, &mut sources, &mut diagnostics));
        let (done, found, seen) = evaluate(entry, &modules, overrides, catalogue, recorded);
        (program, index) = (done, seen);
        diagnostics.extend(found);
    }
    Analysis { compilation: Compilation { program, diagnostics: arranged(diagnostics), sources }, index }
}

/// How many items a text has, whether they parse or not.
pub fn item_count(text: &str) -> usize {
    scan::scan(SourceId(0), text).slices.len()
}

fn read_params_file(file: ParamsFile, sources: &mut SourceMap) -> Result<Vec<params_file::Setting>, Box<Diagnostic>> {
    let source = sources.add(file.name, file.text);
    params_file::read(source, file.text)
}

fn file_overrides(settings: Vec<params_file::Setting>) -> BTreeMap<String, Override> {
    let set = settings.into_iter().map(|setting| {
        let params_file::Setting { name, name_span, value } = setting;
        let span = value.span;
        (name, Override { given: Given::Written(value), name: name_span, span })
    });
    set.collect()
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
        let given = expr.map_or(Given::Broken, Given::Expr);
        overrides.insert(name.clone(), Override { given, name: Span::new(source, 0, name.len()), span });
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
    let noted = std::mem::take(&mut evaluator.unbuilt);
    if recorded {
        evaluator.survey();
    }
    let mut diagnostics = std::mem::take(&mut evaluator.diagnostics);
    let program = assemble(std::mem::take(&mut evaluator.graph), wanted, noted);
    diagnostics.extend(program.unbuilt.iter().filter_map(|found| found.warning(|span| evaluator.in_std(span))));
    let recorder = evaluator.recorder.take();
    let index = recorder.map_or_else(Index::default, |recorder| index::build(&recorder, modules, catalogue));
    (program, diagnostics, index)
}

/// Drops the stages that nothing wants and numbers the others anew.
fn assemble(graph: graph::Graph, wanted: Wanted, noted: Vec<Unbuilt>) -> Program {
    let Wanted { mut pipelines, mut sweeps, compares, profiles } = wanted;
    let cells = sweeps.iter().flat_map(|sweep| sweep.cells.iter().map(|cell| cell.target));
    let targets: Vec<NodeId> = pipelines.iter().map(|pipeline| pipeline.target).chain(cells).collect();
    let (calls, renumbered) = graph.wanted(targets);
    pipelines.iter_mut().for_each(|pipeline| pipeline.target = renumbered[&pipeline.target]);
    let cells = sweeps.iter_mut().flat_map(|sweep| &mut sweep.cells);
    cells.for_each(|cell| cell.target = renumbered[&cell.target]);
    let kept = |found: Unbuilt| Some(Unbuilt { node: *renumbered.get(&found.node)?, ..found });
    let unbuilt = noted.into_iter().filter_map(kept).collect();
    Program { calls, pipelines, sweeps, compares, profiles, unbuilt }
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

fn no_thread(entry: &str) -> Compilation {
    let mut sources = SourceMap::default();
    let source = sources.add(entry, "");
    let message = "the machine has no memory left for a thread to check the file in";
    let found = Diagnostic::error(codes::PROGRAM_TOO_LARGE, message, Span::new(source, 0, 0), "");
    Compilation { program: Program::default(), diagnostics: vec![found], sources }
}

/// By file and place, each finding once, at most [`MAX_PER_FILE`] errors and as many warnings a file.
fn arranged(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|found| (found.span().map(|span| (span.source, span.start, span.end)), found.code));
    // While something is broken, nothing can be said to be unused.
    let has_errors = diagnostics.iter().any(Diagnostic::is_error);
    diagnostics.retain(|found| !has_errors || found.code != codes::UNUSED);
    let mut seen = BTreeSet::new();
    diagnostics.retain(|found| seen.insert((found.code, found.span(), found.message.clone())));
    let mut shown: BTreeMap<_, usize> = BTreeMap::new();
    diagnostics.retain(|found| {
        let count = shown.entry((found.span().map(|span| span.source), found.is_error())).or_default();
        *count += 1;
        *count <= MAX_PER_FILE
    });
    diagnostics.iter_mut().for_each(|found| {
        found.labels.truncate(MAX_LABELS);
        let labels = found.labels.iter_mut().map(|label| &mut label.text);
        labels.chain(found.help.as_mut()).chain([&mut found.message]).for_each(cut);
    });
    diagnostics
}

/// Cuts a message to what a reader can take in.
fn cut(message: &mut String) {
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
        message.truncate(end);
        message.push('…');
    }
}
