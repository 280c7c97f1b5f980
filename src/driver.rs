//! The whole journey on one page: a file is checked, planned, run, and its results are read.

pub mod care;
mod compare;
mod cost;
mod disk;
pub mod doc;
mod fix;
pub mod format;
pub mod grade;
pub mod graph;
mod inputs;
mod leaks;
mod lineage;
mod lock;
mod memory;
mod node;
mod pin;
mod profile;
mod remote;
mod root;
mod runs;
mod save;
mod saved_plan;
mod scores;
mod servers;

pub use compare::compare;
pub use disk::{DiskFiles, DiskLoader};
pub use fix::{Fixed, fix};
pub use lineage::{Direction, lineage_of_key, lineage_of_stage};
pub use lock::{Change, LockReport, Locked, lock};
pub use node::{Shown, Why, model_files, show, why};
pub use profile::{duration, size};
pub use remote::{Moved, connect, pull, push, push_all, remote_warnings};
pub use root::root;
pub use runs::{diff_runs, runs};
pub use save::{refuse_filled, save};
pub use saved_plan::SavedPlan;
pub use scores::scores;

pub use crate::lang::MAX_PER_FILE;
pub use crate::lang::nearest::nearest;

use crate::base::event::Sink;
use crate::base::source::{Loader, SourceMap};
use crate::diag::Diagnostic;
use crate::exec::Summary;
use crate::exec::gpus::GpuLocks;
use crate::exec::local::{LocalExecutor, WorkerCommand};
use crate::exec::run::{World, run as execute};
use crate::lang::program::{Program, Unbuilt};
use crate::lang::{Outside, ParamsFile};
use crate::plan::{Graph, Plan, PlanError, Resolver, Status};
use crate::report::fanout::Fanout;
use crate::report::jsonl::JsonLines;
use crate::stage;
use crate::stage::profile::Gpus;
use crate::store::{Remote, Store, StoreError, rfc3339};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime};

/// Why a command has no result.
#[derive(Debug)]
pub enum Failure {
    /// The file, or what it includes, has errors.
    File(Box<Checked>),
    /// The command line asks for something that is not there.
    Input(String),
    /// The store or the machine is at fault.
    Machine(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Archive { .. } => Failure::Input(error.to_string()),
            error => Failure::Machine(error.to_string()),
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Target(error) => Failure::Input(error.to_string()),
            PlanError::Store(error) => error.into(),
        }
    }
}

/// A file that was read and checked, for better or worse.
#[derive(Debug)]
pub struct Checked {
    /// What it says; partial where there are errors.
    pub program: Program,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts they point into.
    pub sources: SourceMap,
}

/// A checked file with its graph and its store.
pub struct Project {
    /// The file; its stage calls have gone into the graph.
    pub checked: Checked,
    /// Its distinct stages.
    pub graph: Graph,
    /// Where results are.
    pub store: Store,
    /// The files that it declares.
    pub files: DiskFiles,
    /// Where results of other machines are, where one is named.
    pub remote: Option<Remote>,
    /// Stages that are to be computed anew though their results are there.
    pub fresh: BTreeSet<usize>,
}

/// How to run, as the command line says it: nothing here changes a result. What is not said is up to the profile.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The name of a profile of the file.
    pub profile: Option<String>,
    /// Stages at the same time.
    pub jobs: Option<usize>,
    /// After a failure, go on with what does not need the failed stage.
    pub keep_going: Option<bool>,
    /// Seconds between two saved states.
    pub checkpoint_seconds: Option<f64>,
    /// Memory that all stages together may need, in bytes.
    pub memory: Option<u64>,
    /// GPUs that the run may give out.
    pub gpus: Option<Gpus>,
    /// Threads of each stage.
    pub threads: Option<usize>,
    /// Further tries at a stage that the machine ended.
    pub retries: Option<usize>,
    /// The longest that a stage may take.
    pub time: Option<Duration>,
}

/// What the command line sets in a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'a> {
    /// `-p name=expr`
    pub params: &'a [(String, String)],
    /// `--params FILE`
    pub file: Option<&'a Path>,
}

impl<'a, P: AsRef<[(String, String)]> + ?Sized> From<&'a P> for Settings<'a> {
    fn from(params: &'a P) -> Self {
        Settings { params: params.as_ref(), file: None }
    }
}

/// Reads and checks a file, with params as the command line gives them, and the files that it declares. No store is
/// looked at, and no network is used.
///
/// # Errors
/// [`Failure::Input`] where the file cannot be read; [`Failure::File`] where it or a declared file has errors.
pub fn check<'a>(file: &Path, settings: impl Into<Settings<'a>>) -> Result<Checked, Failure> {
    judged(compiled(file, settings.into())?, file)
}

/// A file without errors together with the files that it declares.
fn judged(checked: Checked, file: &Path) -> Result<Checked, Failure> {
    let checked = held(checked, file)?;
    let contents = inputs::contents(&checked.program, &checked.sources);
    checked.with(contents)
}

/// A file as it is, errors included, with texts from `loader`.
fn read(file: &Path, settings: Settings, loader: &dyn Loader) -> Result<Checked, Failure> {
    let entry = file.to_string_lossy();
    loader.load(&entry).map_err(Failure::Input)?;
    let name = settings.file.map(|file| file.to_string_lossy());
    let text = settings.file.map(disk::read_text).transpose().map_err(Failure::Input)?;
    let params_file = name.as_deref().zip(text.as_deref()).map(|(name, text)| ParamsFile { name, text });
    let outside = Outside { params: settings.params, file: params_file };
    let compiled = crate::lang::compile_with(&entry, loader, outside, &stage::catalogue());
    Ok(Checked { program: compiled.program, diagnostics: compiled.diagnostics, sources: compiled.sources })
}

/// Checks a file and hashes its declared inputs. They are read only where the store lacks a dataset made of them.
///
/// # Errors
/// As [`check`]; [`Failure::File`] also where a declared input cannot be read, [`Failure::Machine`] for an unusable
/// store.
pub fn open<'a>(file: &Path, settings: impl Into<Settings<'a>>, store: PathBuf) -> Result<Project, Failure> {
    open_compiled(compiled(file, settings.into())?, file, store)
}

/// As [`open`], of a file that was compiled without errors.
///
/// # Errors
/// As [`open`].
pub fn open_compiled(checked: Checked, file: &Path, store: PathBuf) -> Result<Project, Failure> {
    let mut checked = held(checked, file)?;
    let store = Store::open(store)?;
    let files = DiskFiles::new(&store);
    let graph = match Graph::build(&checked.program, &files) {
        Ok(graph) => graph,
        Err(diagnostics) => {
            checked.diagnostics.extend(diagnostics);
            return Err(Failure::File(Box::new(checked)));
        }
    };
    if lacks_inputs(&graph, &store)? {
        let contents = inputs::contents(&checked.program, &checked.sources);
        checked = checked.with(contents)?;
    }
    // Their graph is there now: of a large program they would take up tens of megabytes for nothing.
    checked.program.calls = Vec::new();
    Ok(Project { checked, graph, store, files, remote: None, fresh: BTreeSet::new() })
}

/// A file without errors, as far as it can be judged by itself.
fn compiled(file: &Path, settings: Settings) -> Result<Checked, Failure> {
    read(file, settings, &DiskLoader::new(&home(file)))?.with(Vec::new())
}

/// A file whose sources are held to their bytes and whose paths lead to what its stages read.
fn held(mut checked: Checked, file: &Path) -> Result<Checked, Failure> {
    let mut found = pin::pin(&mut checked.program, &home(file));
    found.extend(inputs::places(&checked.program, &checked.sources));
    found.extend(inputs::tokenizers(&checked.program));
    found.extend(servers::findings(&checked.program));
    checked.with(found)
}

/// Whether the store lacks the result of a stage that reads a file of the user's.
fn lacks_inputs(graph: &Graph, store: &Store) -> Result<bool, Failure> {
    for node in graph.nodes().filter(|node| inputs::declares_rows(&node.kind)) {
        if store.result(&node.key)?.found().is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What `run` would do for the targets of these names, or for all.
///
/// # Errors
/// [`Failure::Input`] for an unknown name, [`Failure::Machine`] where the store cannot be read.
pub fn plan(project: &Project, targets: &[String]) -> Result<Plan, Failure> {
    let mut plan = project.resolver().plan(targets)?;
    if let Some(&unwanted) = project.fresh.iter().find(|&&node| plan.step(node).is_none()) {
        let name = &project.graph.node(unwanted).name;
        return Err(Failure::Input(format!(
            "nothing that is asked for needs `{name}`, so --fresh has no meaning for it"
        )));
    }
    memory::estimate(project, &mut plan);
    Ok(plan)
}

/// Does what the plan says; `stops` counts how often the user asked to stop. A run that has something to do leaves its
/// events in the store.
///
/// # Errors
/// [`Failure::File`] where a stage that would run needs what this version cannot run, or asks a server whose key is
/// not there: then nothing starts.
/// [`Failure::Machine`] where the store fails; a stage that fails is told by the summary.
pub fn run(
    project: &Project,
    plan: &Plan,
    options: &RunOptions,
    listener: Box<dyn Sink>,
    stops: &AtomicUsize,
) -> Result<Summary, Failure> {
    let run = run_id();
    let (settings, gpus) = profile::settings(project, options, run.clone())?;
    let mut sinks = vec![listener];
    if plan.summary.cached < plan.summary.stages || plan.steps.iter().any(|step| step.far) {
        sinks.push(Box::new(JsonLines::new(project.store.run_log(&run)?)));
    }
    let sink = Fanout(sinks);
    let fetched = remote::fetch_needed(project, plan, &sink, stops)?;
    let plan = fetched.as_ref().unwrap_or(plan);
    refuse_unbuilt(project, plan)?;
    servers::refuse_without_keys(project, plan)?;
    memory::refuse(project, plan, &settings)?;
    let world = World {
        graph: &project.graph,
        plan,
        store: &project.store,
        remote: project.remote.as_ref(),
        sources: &project.checked.sources,
        locate: &|path| project.files.locate(path),
        files: &project.files,
        sink: &sink,
        stops,
        gpus,
        gpu_locks: GpuLocks::of_this_machine(),
        fresh: &project.fresh,
    };
    let mut executor = LocalExecutor::new(worker_command(settings.threads)?);
    let summary = execute(&world, &mut executor, &settings);
    project.files.remember(&project.store);
    remote::finish(project, &sink, stops);
    Ok(summary?)
}

/// Refuses a plan with a stage to run that this version cannot run.
fn refuse_unbuilt(project: &Project, plan: &Plan) -> Result<(), Failure> {
    let blocked = |node: usize| plan.step(node).is_some_and(|step| step.status == Status::Blocked);
    let program = &project.checked.program;
    let to_run = |found: &&Unbuilt| project.graph.node_of(found.node).is_some_and(blocked);
    let mut diagnostics: Vec<Diagnostic> = program.unbuilt.iter().filter(to_run).map(Unbuilt::error).collect();
    diagnostics.sort_by_key(|found| found.span().map(|span| (span.source, span.start)));
    diagnostics.dedup();
    let sources = project.checked.sources.clone();
    Checked { program: Program::default(), diagnostics: Vec::new(), sources }.with(diagnostics).map(drop)
}

/// Where results are kept: as asked for, else `$SRLM_STORE`, else `.srlm` in the project's folder.
pub fn store_root(asked: Option<&Path>, file: Option<&Path>) -> PathBuf {
    let from_environment = || std::env::var_os("SRLM_STORE").filter(|value| !value.is_empty()).map(PathBuf::from);
    let beside = || file.map_or_else(|| PathBuf::from("."), home).join(".srlm");
    asked.map(Path::to_path_buf).or_else(from_environment).unwrap_or_else(beside)
}

impl Project {
    /// Asks for stages to be computed anew, by the names that [`why`] takes.
    ///
    /// # Errors
    /// [`Failure::Input`] for a name that means no stage, or several.
    pub fn compute_anew(&mut self, names: &[String]) -> Result<(), Failure> {
        self.fresh = names.iter().map(|name| node::find(self, name)).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn resolver(&self) -> Resolver<'_> {
        Resolver::new(&self.graph, &self.store, &self.checked.sources)
            .with_remote(self.remote.as_ref())
            .with_fresh(&self.fresh)
    }
}

impl Checked {
    /// Whether anything keeps the file from running.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// With further findings, in the order of their places; a failure where there is an error among all.
    fn with(mut self, found: Vec<Diagnostic>) -> Result<Checked, Failure> {
        self.diagnostics.extend(found);
        let place = |found: &Diagnostic| found.span().map(|span| (span.source, span.start, span.end));
        self.diagnostics.sort_by_key(|found| (place(found), found.code));
        if self.has_errors() { Err(Failure::File(Box::new(self))) } else { Ok(self) }
    }
}

/// The project's folder: the file's own, or the one above where that is called `pipelines`.
pub fn home(file: &Path) -> PathBuf {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let folder = file.parent().unwrap_or(&file);
    let above = folder.parent().filter(|_| folder.ends_with("pipelines"));
    above.unwrap_or(folder).to_path_buf()
}

/// A name that sorts by time: `20260131T235959Z-4711`.
fn run_id() -> String {
    format!("{}-{}", rfc3339(SystemTime::now()).replace(['-', ':'], ""), std::process::id())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// This very program: by the kernel's link it is found even when its file was replaced since it started.
fn worker_command(threads: usize) -> Result<WorkerCommand, Failure> {
    let own = Path::new("/proc/self/exe");
    let program = if own.exists() { Ok(own.to_path_buf()) } else { std::env::current_exe() };
    let program = program.map_err(|error| Failure::Machine(format!("srlm cannot find its own program: {error}")))?;
    Ok(WorkerCommand { program, args: vec!["worker".into()], threads })
}
