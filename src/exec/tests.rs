//! Whole runs with stages that only write files: what runs, what does not, and what is told.

use super::gpus::GpuLocks;
use super::mock::MockExecutor;
use super::run::{Settings, World, group_key, run};
use super::settings::{Patience, Rules};
use super::{Outcome, Summary, job::Job};
use crate::base::digest::Digest;
use crate::base::event::{Event, NullSink, Sink, StageEvent};
use crate::base::kind::Kind;
use crate::base::source::{SourceId, SourceMap, Span};
use crate::base::state::Manifest;
use crate::lang::program::{Pipeline, Program, StageCall};
use crate::lang::signature::Training;
use crate::lang::types::Dimension;
use crate::lang::value::{NodeId, Value};
use crate::plan::{Files, Graph, Resolver};
use crate::stage::profile::{Gpus, Millis, StageArgs};
use crate::stage::{Metrics, StageContext, StageError};
use crate::store::{LeaseOutcome, Owner, Remote, Resumed, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct Disk;

impl Files for Disk {
    fn digest(&self, path: &str) -> Result<Digest, String> {
        fs::read(path).map(|bytes| Digest::of_bytes(&bytes)).map_err(|error| error.to_string())
    }
}

fn call(name: &str, output: Kind, tag: i64, inputs: &[(&str, usize)]) -> StageCall {
    StageCall {
        kind: format!("{name}_kind"),
        version: 1,
        args: Arc::new(vec![("tag".into(), Value::Int(tag))]),
        unkeyed: Vec::new(),
        inputs: inputs.iter().map(|(role, id)| (role.to_string(), NodeId(*id))).collect(),
        output,
        name: name.into(),
        span: Span::new(SourceId(0), 0, 1),
        field_spans: Arc::default(),
        training: None,
    }
}

/// A stage that trains for so many steps.
fn training(name: &str, steps: i64) -> StageCall {
    let mut call = call(name, Kind::Model, 0, &[("model", 0), ("data", 1)]);
    call.kind = "warm_kind".into();
    Arc::make_mut(&mut call.args).push(("budget".into(), Value::quantity(steps as f64, Dimension::Steps)));
    call.training = Some(TRAINING);
    call
}

/// base, data → warm → reason → exam; warm → early. `tag` is a field of `data`.
fn program(tag: i64) -> Program {
    let calls = vec![
        call("base", Kind::Model, 0, &[]),
        call("data", Kind::Dataset, tag, &[]),
        training("warm", 9),
        call("reason", Kind::Model, 0, &[("model", 2), ("data", 1)]),
        call("exam", Kind::Scores, 0, &[("model", 3)]),
        call("early", Kind::Scores, 1, &[("model", 2)]),
    ];
    let pipeline = |name: &str, target| Pipeline {
        name: name.into(),
        doc: None,
        target: NodeId(target),
        span: Span::new(SourceId(0), 0, 1),
    };
    Program { calls, pipelines: vec![pipeline("full", 4), pipeline("short", 5)], ..Program::default() }
}

/// Writes what the job's kind promises.
fn write_output(job: &Job, context: &StageContext) -> Result<Metrics, StageError> {
    let files: &[(&str, &[u8])] = match job.name.as_str() {
        "data" => &[("data.jsonl", b"{}\n")],
        "exam" | "early" => &[("summary.json", b"{}")],
        _ => &[("config.json", b"{}"), ("model.safetensors", b"\x02\0\0\0\0\0\0\0{}")],
    };
    files.iter().try_for_each(|(name, bytes)| fs::write(context.out.join(name), bytes))?;
    fs::write(context.out.join("made_by"), &job.name)?;
    Ok(Metrics::from([("loss".into(), 0.5)]))
}

/// Steps are all that `warm` trains for, and a longer one is a continuation.
const TRAINING: Training = Training {
    budget: "budget",
    of_the_end: &[],
    total: |args| args["budget"]["steps"].as_u64(),
    open: |_, total| Some(total),
};

/// Saves a state that a longer training may start from.
fn save_state(context: &StageContext, step: u64) -> Result<(), StageError> {
    let places = context.states.as_ref().ok_or_else(|| StageError::machine("the stage has no place for states"))?;
    let place = places.common();
    fs::create_dir_all(place.state(step))?;
    let manifest = Manifest {
        trajectory: place.trajectory,
        step,
        key: places.key,
        budget: places.budget.clone(),
        total: step,
        end: true,
        seconds: step as f64,
        metrics: Metrics::new(),
        files: BTreeMap::new(),
    };
    Ok(manifest.write(&place.state(step))?)
}

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Sink for Heard {
    fn emit(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

struct Bench {
    folder: tempfile::TempDir,
    stops: AtomicUsize,
    keep_going: bool,
    jobs: usize,
    /// The folder of a remote cache.
    remote: Option<PathBuf>,
    gpus: Vec<String>,
    rules: Rules,
    /// Stages that are computed anew, by their indices.
    fresh: BTreeSet<usize>,
    /// The name of the next run.
    run: &'static str,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (gpus, rules, fresh) = (vec![], Rules::default(), BTreeSet::new());
        Bench {
            folder,
            stops: AtomicUsize::new(0),
            keep_going: false,
            jobs: 1,
            remote: None,
            gpus,
            rules,
            fresh,
            run: "r1",
        }
    }

    /// Runs a program; returns the summary with the names of the stages that ran.
    fn run(
        &self,
        program: &Program,
        sink: &dyn Sink,
        stage: impl Fn(&Job, &StageContext) -> Result<Metrics, StageError>,
    ) -> (Summary, Vec<String>, usize) {
        let graph = Graph::build(program, &Disk).unwrap();
        let store = Store::open(self.folder.path().join("store")).unwrap();
        let mut sources = SourceMap::default();
        sources.add("a.srlm", "pipeline");
        let remote = self.remote.as_ref().map(|folder| {
            let address = folder.to_string_lossy().parse().unwrap();
            Remote::open(&address, &store)
        });
        let resolver = Resolver::new(&graph, &store, &sources).with_remote(remote.as_ref());
        let plan = resolver.with_fresh(&self.fresh).plan(&[]).unwrap();
        let locate = |path: &str| Ok(PathBuf::from(path));
        let (graph, plan, store, sources) = (&graph, &plan, &store, &sources);
        let world = World {
            graph,
            plan,
            store,
            remote: remote.as_ref(),
            sources,
            locate: &locate,
            files: &Disk,
            sink,
            stops: &self.stops,
            gpus: self.gpus.clone(),
            gpu_locks: GpuLocks::in_folder(&self.folder.path().join("gpus")),
            fresh: &self.fresh,
        };
        let rules = self.rules.clone();
        let patience = Patience { back_off: Duration::from_millis(1), ..Patience::default() };
        let (jobs, keep_going) = (self.jobs, self.keep_going);
        let settings = Settings { jobs, keep_going, rules, patience, ..Settings::new(self.run) };
        let mut executor = MockExecutor::new(stage);
        let summary = run(&world, &mut executor, &settings).unwrap();
        remote.iter().for_each(|remote| remote.finish(&|| false, &|event| sink.emit(&event)));
        (summary, executor.ran, executor.peak)
    }
}

#[test]
fn each_distinct_stage_runs_once_and_then_never_again() {
    let bench = Bench::new();
    let (summary, ran, _) = bench.run(&program(1), &NullSink, write_output);
    assert_eq!(ran, ["base", "data", "warm", "reason", "exam", "early"]);
    assert_eq!((summary.finished(), summary.cached(), summary.interrupted), (6, 0, false));
    let (summary, ran, _) = bench.run(&program(1), &NullSink, write_output);
    assert!(ran.is_empty());
    assert_eq!((summary.finished(), summary.cached()), (0, 6));
    assert!(summary.record(4).is_some());
}

#[test]
fn jobs_run_side_by_side_where_nothing_forbids_it() {
    let bench = Bench { jobs: 3, ..Bench::new() };
    let (summary, _, peak) = bench.run(&program(1), &NullSink, write_output);
    assert_eq!((summary.finished(), peak), (6, 2));
}

#[test]
fn a_failure_stops_the_run_and_names_its_place() {
    let bench = Bench::new();
    let heard = Heard::default();
    let (summary, ran, _) = bench.run(&program(1), &heard, |job, context| match job.name.as_str() {
        "reason" => Err(StageError::input("every reward is equal")),
        _ => write_output(job, context),
    });
    assert_eq!(ran, ["base", "data", "warm", "reason"]);
    assert_eq!((summary.failed(), summary.blocked(), summary.machine_failed()), (1, 1, false));
    let failed = |event: &Event| match event {
        Event::StageFailed { stage, message, declared_at, .. } => {
            Some((stage.name.clone(), message.clone(), declared_at.clone().unwrap()))
        }
        _ => None,
    };
    let failed: Vec<_> = heard.0.into_inner().unwrap().iter().filter_map(failed).collect();
    assert_eq!(failed, [("reason".into(), "every reward is equal".into(), "a.srlm:1:1".into())]);
}

#[test]
fn keep_going_runs_whatever_does_not_need_the_failed_one() {
    let bench = Bench { keep_going: true, ..Bench::new() };
    let (summary, ran, _) = bench.run(&program(1), &NullSink, |job, context| match job.name.as_str() {
        "reason" => panic!("index out of bounds"),
        _ => write_output(job, context),
    });
    assert_eq!(ran, ["base", "data", "warm", "reason", "early"]);
    assert!(matches!(&summary.outcomes[&4], Outcome::Blocked { by: 3 }));
    assert!(
        matches!(&summary.outcomes[&3], Outcome::Failed(error) if error.to_string().contains("index out of bounds"))
    );
    assert!(summary.machine_failed());
}

#[test]
fn a_change_that_changes_no_bytes_reruns_nothing_downstream() {
    let bench = Bench::new();
    bench.run(&program(1), &NullSink, write_output);
    let (summary, ran, _) = bench.run(&program(2), &NullSink, write_output);
    assert_eq!(ran, ["data"]);
    assert_eq!((summary.finished(), summary.cached()), (1, 5));
    let (_, ran, _) = bench.run(&program(2), &NullSink, write_output);
    assert!(ran.is_empty());
}

#[test]
fn what_turns_out_to_have_known_inputs_comes_from_the_remote_cache() {
    let shared = tempfile::tempdir().unwrap();
    let machine = || Bench { remote: Some(shared.path().join("cache")), ..Bench::new() };
    machine().run(&program(1), &NullSink, write_output);

    // Another `data`, with a key that no machine knows, comes out as the first one did: only then are the stages after it
    // found. They come while the run goes on.
    let (two, heard) = (machine(), Heard::default());
    let (summary, ran, _) = two.run(&program(2), &heard, write_output);
    assert_eq!(ran, ["data"]);
    assert_eq!((summary.finished(), summary.cached()), (1, 5));
    let told = heard.0.into_inner().unwrap();
    assert!(!told.iter().any(|event| matches!(event, Event::RemoteWarning { .. })), "{told:?}");
    let last = told.last();
    // warm, reason and both scores come; data and four aliases go.
    assert!(matches!(last, Some(Event::RemoteFinished { fetched: 4, uploaded: 5, left: 0, .. })), "{last:?}");

    // A third machine finds everything by its deep keys.
    let (_, ran, _) = machine().run(&program(2), &NullSink, write_output);
    assert!(ran.is_empty(), "{ran:?}");
}

#[test]
fn an_output_without_its_promised_file_is_no_result() {
    let bench = Bench::new();
    let (summary, ..) = bench.run(&program(1), &NullSink, |job, context| match job.name.as_str() {
        "warm" => Ok(Metrics::new()),
        _ => write_output(job, context),
    });
    assert!(matches!(&summary.outcomes[&2], Outcome::Failed(error) if error.to_string().contains("config.json")));
    assert!(summary.record(2).is_none());
    assert_eq!(fs::read_dir(bench.folder.path().join("store/attempts")).unwrap().count(), 0);
}

#[test]
fn a_file_that_changed_since_the_plan_was_made_yields_no_result() {
    let bench = Bench::new();
    let rows = bench.folder.path().join("rows.jsonl");
    fs::write(&rows, "old").unwrap();
    let mut program = program(1);
    Arc::make_mut(&mut program.calls[1].args).push(("path".into(), Value::Path(rows.to_string_lossy().into_owned())));
    let (summary, ran, _) = bench.run(&program, &NullSink, |job, context| {
        if job.name == "base" {
            fs::write(&rows, "new")?;
        }
        write_output(job, context)
    });
    assert_eq!((ran.last().map(String::as_str), summary.failed()), (Some("data"), 1));
    assert!(matches!(&summary.outcomes[&1], Outcome::Failed(error) if error.to_string().contains("rows.jsonl")));
    let (summary, ran, _) = bench.run(&program, &NullSink, write_output);
    assert_eq!((ran, summary.failed()), (["data", "warm", "reason", "exam", "early"].map(String::from).to_vec(), 0));
}

impl Bench {
    /// Changes a kept file of the result that `made_by` names, as a failing disk does.
    fn harm(&self, made_by: &str) {
        let store = Store::open(self.folder.path().join("store")).unwrap();
        let blob = store.layout().blob(&Digest::of_bytes(made_by.as_bytes()));
        fs::remove_file(&blob).and_then(|()| fs::write(&blob, "h".repeat(made_by.len()))).unwrap();
    }
}

/// The program with other scores of `warm`, which have no result.
fn with_a_new_score() -> Program {
    let mut changed = program(1);
    Arc::make_mut(&mut changed.calls[5].args).push(("limit".into(), Value::Int(3)));
    changed
}

#[test]
fn a_damaged_input_is_made_again_in_the_same_run_and_nothing_else_is() {
    let bench = Bench::new();
    bench.run(&program(1), &NullSink, write_output);
    bench.harm("warm");
    let heard = Heard::default();
    let (summary, ran, _) = bench.run(&with_a_new_score(), &heard, write_output);
    assert_eq!((ran, summary.failed()), (vec!["warm".to_string(), "early".to_string()], 0));
    assert_eq!((summary.finished(), summary.cached()), (2, 4));
    let warned = told(heard, |event| match event {
        Event::StageSaid { stage, said: StageEvent::Warning { message } } => Some(format!("{}: {message}", stage.name)),
        _ => None,
    });
    assert_eq!(warned.len(), 1);
    assert!(
        warned[0].starts_with("early: its input `model` is damaged, and `warm` makes it again first: "),
        "{warned:?}"
    );
    let (_, ran, _) = bench.run(&with_a_new_score(), &NullSink, write_output);
    assert!(ran.is_empty());
}

#[test]
fn what_a_damaged_input_is_made_of_is_made_again_too_whoever_waits_for_it() {
    let bench = Bench { jobs: 2, ..Bench::new() };
    bench.run(&program(1), &NullSink, write_output);
    ["base", "warm"].iter().for_each(|name| bench.harm(name));
    let mut changed = with_a_new_score();
    Arc::make_mut(&mut changed.calls[3].args).push(("limit".into(), Value::Int(3)));
    let (summary, ran, _) = bench.run(&changed, &NullSink, write_output);
    // `exam` stays as it was: `reason` came out as before.
    assert_eq!((ran, summary.failed()), (["base", "warm", "reason", "early"].map(String::from).to_vec(), 0));
}

/// A disk that damages what `warm` makes as soon as it is kept.
struct Harmful<'a>(&'a Bench);

impl Sink for Harmful<'_> {
    fn emit(&self, event: &Event) {
        if matches!(event, Event::StageFinished { stage, .. } if stage.name == "warm") {
            self.0.harm("warm");
        }
    }
}

#[test]
fn an_input_that_is_damaged_again_is_a_failure() {
    let bench = Bench::new();
    bench.run(&program(1), &NullSink, write_output);
    bench.harm("warm");
    let (summary, ran, _) = bench.run(&with_a_new_score(), &Harmful(&bench), write_output);
    assert_eq!((ran, summary.machine_failed()), (vec!["warm".to_string()], true));
    let Outcome::Failed(error) = &summary.outcomes[&5] else { panic!("{:?}", summary.outcomes[&5]) };
    assert!(error.to_string().contains("`model` is damaged again, though `warm` made it anew"), "{error}");
}

#[test]
fn a_fresh_stage_runs_without_its_states_and_what_differs_is_told() {
    let mut bench = Bench::new();
    bench.run(&program(1), &NullSink, write_output);
    (bench.fresh, bench.run) = (BTreeSet::from([2]), "r2");
    let compared = |heard: Heard| {
        told(heard, |event| match event {
            Event::StageCompared { stage, same, files, metrics, .. } => {
                let files: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
                Some(format!("{} {same} {files:?} {metrics:?}", stage.name))
            }
            _ => None,
        })
    };
    let heard = Heard::default();
    let (summary, ran, _) = bench.run(&program(1), &heard, |job, context| {
        assert!(context.states.is_none(), "no training state is taken up");
        write_output(job, context)
    });
    assert_eq!((ran, summary.cached()), (vec!["warm".to_string()], 5));
    assert_eq!(compared(heard), ["warm true [] []"]);

    let heard = Heard::default();
    let (summary, ran, _) = bench.run(&program(1), &heard, |job, context| {
        write_output(job, context)?;
        fs::write(context.out.join("made_by"), "chance")?;
        Ok(Metrics::from([("loss".into(), 0.25)]))
    });
    // What comes after it was made of the kept result, which stays: it does not run.
    assert_eq!((ran, summary.cached()), (vec!["warm".to_string()], 5));
    let differs = r#"warm false ["made_by"] [MetricChange { name: "loss", was: Some(0.5), is: Some(0.25) }]"#;
    assert_eq!(compared(heard), [differs]);
    let store = Store::open(bench.folder.path().join("store")).unwrap();
    let kept = summary.record(2).unwrap();
    assert_eq!((kept.metrics["loss"], store.alternates(&kept.key).unwrap().len()), (0.5, 1));
}

#[test]
fn a_stop_keeps_the_saved_state_and_the_next_run_resumes() {
    let bench = Bench::new();
    let (summary, ran, _) = bench.run(&program(1), &NullSink, |job, context| {
        if job.name != "warm" {
            return write_output(job, context);
        }
        save_state(context, 7)?;
        bench.stops.store(1, Ordering::Relaxed);
        Err(StageError::Interrupted { saved_at: Some(7) })
    });
    assert_eq!(ran, ["base", "data", "warm"]);
    assert!(summary.interrupted && matches!(summary.outcomes[&2], Outcome::Interrupted { saved_at: Some(7) }));

    bench.stops.store(0, Ordering::Relaxed);
    let heard = Heard::default();
    let (summary, ran, _) = bench.run(&program(1), &heard, write_output);
    assert_eq!(ran, ["warm", "reason", "exam", "early"]);
    assert!(!summary.interrupted);
    let resumed = |event: &Event| matches!(event, Event::StageStarted { resumed_from: Some(7), .. });
    assert_eq!(heard.0.into_inner().unwrap().iter().filter(|event| resumed(event)).count(), 1);
}

/// base, data → warm of 9 steps, of 2 and of 5, each a target.
fn budgets() -> Program {
    let mut program = program(1);
    program.calls.truncate(2);
    program.calls.extend([("long", 9), ("short", 2), ("middle", 5)].map(|(name, steps)| training(name, steps)));
    program.pipelines.truncate(1);
    let first = program.pipelines.remove(0);
    program.pipelines =
        (2..5).map(|target| Pipeline { target: NodeId(target), name: target.to_string(), ..first.clone() }).collect();
    program
}

/// Does the steps that no state stands for, and counts them.
fn train(done: &AtomicUsize, job: &Job, context: &StageContext) -> Result<Metrics, StageError> {
    let Some(places) = &context.states else { return write_output(job, context) };
    let total = job.args["budget"]["steps"].as_u64().unwrap_or_default();
    let from = places.common().states().iter().map(|state| state.step).filter(|&step| step <= total).max();
    if let Some(step) = from {
        context.say(StageEvent::Resumed { step, seconds: step as f64 });
    }
    done.fetch_add((total - from.unwrap_or(0)) as usize, Ordering::Relaxed);
    save_state(context, total)?;
    write_output(job, context)
}

#[test]
fn a_sweep_of_budgets_costs_its_maximum_whatever_the_order_and_the_jobs() {
    for jobs in [1, 4] {
        let bench = Bench { jobs, ..Bench::new() };
        let done = AtomicUsize::new(0);
        let (summary, ran, _) = bench.run(&budgets(), &NullSink, |job, context| train(&done, job, context));
        assert_eq!(ran, ["base", "data", "short", "middle", "long"]);
        assert_eq!((summary.finished(), done.into_inner()), (5, 9));
        let resumed = |node: usize| summary.record(node).and_then(|record| record.resumed);
        assert_eq!((resumed(3), resumed(2)), (None, Some(Resumed { step: 5, seconds: 5.0 })));
    }
}

#[test]
fn a_longer_training_begins_where_a_shorter_one_failed_or_was_made_before() {
    let bench = Bench { keep_going: true, ..Bench::new() };
    let done = AtomicUsize::new(0);
    let (summary, ran, _) = bench.run(&budgets(), &NullSink, |job, context| match job.name.as_str() {
        "short" => Err(StageError::machine("out of memory")),
        "long" => panic!("this training breaks, too"),
        _ => train(&done, job, context),
    });
    assert_eq!((ran.len(), summary.failed(), done.load(Ordering::Relaxed)), (5, 2, 5));
    let heard = Heard::default();
    bench.run(&budgets(), &heard, |job, context| train(&done, job, context));
    assert_eq!(done.into_inner(), 5 + 2 + 4);
    let from = |event: &Event| match event {
        Event::StageStarted { stage, resumed_from, .. } => Some((stage.name.clone(), *resumed_from)),
        _ => None,
    };
    let started: Vec<_> = heard.0.into_inner().unwrap().iter().filter_map(from).collect();
    assert_eq!(started, [("short".to_string(), None), ("long".to_string(), Some(5))]);
}

#[test]
fn two_runs_of_two_budgets_take_turns_on_one_training() {
    let bench = Bench::new();
    let (long, short) = (
        Program { pipelines: vec![budgets().pipelines.remove(0)], ..budgets() },
        Program { pipelines: vec![budgets().pipelines.remove(1)], ..budgets() },
    );
    bench.run(&Program { pipelines: vec![], ..budgets() }, &NullSink, write_output);
    let (done, at_once) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let slow = |job: &Job, context: &StageContext| {
        if context.states.is_some() {
            assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
            std::thread::sleep(Duration::from_millis(60));
            at_once.fetch_sub(1, Ordering::SeqCst);
        }
        train(&done, job, context)
    };
    std::thread::scope(|scope| {
        for program in [&long, &short] {
            scope.spawn(|| assert_eq!(bench.run(program, &NullSink, slow).0.failed(), 0));
        }
    });
    assert!([9, 11].contains(&done.load(Ordering::Relaxed)), "the longer one first, or after the shorter");
}

#[test]
fn two_runs_on_one_store_share_the_work() {
    let bench = Bench::new();
    let ran = AtomicUsize::new(0);
    let slow = |job: &Job, context: &StageContext| {
        ran.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(30));
        write_output(job, context)
    };
    let heard = [Heard::default(), Heard::default()];
    let summaries = std::thread::scope(|scope| {
        let runs = heard.each_ref().map(|sink| scope.spawn(|| bench.run(&program(1), sink, slow).0));
        runs.map(|run| run.join().unwrap())
    });
    assert_eq!(ran.load(Ordering::Relaxed), 6);
    assert_eq!(summaries.iter().map(Summary::finished).sum::<usize>(), 6);
    assert!(summaries.iter().all(|summary| summary.finished() + summary.cached() == 6));
}

/// What the events of one kind say of their stages.
fn told(heard: Heard, wanted: impl Fn(&Event) -> Option<String>) -> Vec<String> {
    heard.0.into_inner().unwrap().iter().filter_map(wanted).collect()
}

fn rules(stages: &[(&str, StageArgs)]) -> Rules {
    let named = stages.iter().map(|(name, args)| (name.to_string(), args.clone())).collect();
    Rules { named, ..Rules::default() }
}

#[test]
fn a_stage_that_the_machine_ended_is_tried_again_and_one_at_fault_is_not() {
    let retries = StageArgs { retries: Some(2), ..StageArgs::default() };
    let bench = Bench { rules: rules(&[("warm", retries)]), ..Bench::new() };
    let (heard, tries) = (Heard::default(), AtomicUsize::new(0));
    let (summary, ran, _) = bench.run(&program(1), &heard, |job, context| match job.name.as_str() {
        "warm" => match tries.fetch_add(1, Ordering::Relaxed) {
            0 => Err(StageError::OutOfMemory { message: "killed".into() }),
            1 => Err(StageError::Interrupted { saved_at: Some(3) }),
            _ => write_output(job, context),
        },
        "reason" => Err(StageError::Diverged { message: "not finite".into() }),
        _ => write_output(job, context),
    });
    assert_eq!(ran, ["base", "data", "warm", "warm", "warm", "reason"]);
    assert_eq!((summary.finished(), summary.failed(), summary.interrupted), (3, 1, false));
    let retried = told(heard, |event| match event {
        Event::StageRetried { stage, cause, retry, retries, .. } => {
            Some(format!("{} {cause} {retry} of {retries}", stage.name))
        }
        _ => None,
    });
    assert_eq!(retried, ["warm out_of_memory 1 of 2", "warm preempted 2 of 2"]);
}

#[test]
fn tries_have_an_end() {
    let bench = Bench::new();
    let (summary, ran, _) = bench.run(&program(1), &NullSink, |job, context| match job.name.as_str() {
        "warm" => Err(StageError::Io { message: "input/output error".into() }),
        _ => write_output(job, context),
    });
    assert_eq!(ran, ["base", "data", "warm", "warm"]);
    assert!(summary.machine_failed());
}

#[test]
fn a_group_runs_one_at_a_time() {
    let disk = StageArgs { mutex: Some("disk".into()), ..StageArgs::default() };
    let rules = rules(&[("base", disk.clone()), ("data", disk)]);
    let bench = Bench { jobs: 3, rules, ..Bench::new() };
    let (summary, _, peak) = bench.run(&program(1), &NullSink, write_output);
    // `reason` and `early` may still run beside each other.
    assert_eq!((summary.finished(), peak), (6, 2));
    let held = StageArgs { mutex: Some("all".into()), ..StageArgs::default() };
    let bench = Bench { jobs: 3, rules: Rules { all: held, ..Rules::default() }, ..Bench::new() };
    let (summary, _, peak) = bench.run(&program(1), &NullSink, write_output);
    assert_eq!((summary.finished(), peak), (6, 1));
}

#[test]
fn a_group_that_another_run_uses_is_waited_for() {
    let disk = StageArgs { mutex: Some("disk".into()), ..StageArgs::default() };
    let bench = Bench { jobs: 2, rules: rules(&[("data", disk)]), ..Bench::new() };
    let store = Store::open(bench.folder.path().join("store")).unwrap();
    let other = Owner::current("another run");
    let LeaseOutcome::Acquired(lease) = store.lease(&group_key("disk"), &other).unwrap() else { panic!("it is free") };
    let (heard, held) = (Heard::default(), Mutex::new(Some(lease)));
    let (summary, ran, _) = bench.run(&program(1), &heard, |job, context| {
        held.lock().unwrap().take();
        write_output(job, context)
    });
    assert_eq!((summary.finished(), ran.len()), (6, 6));
    let waited = told(heard, |event| match event {
        Event::StageWaiting { stage, holder } => Some(format!("{} {holder}", stage.name)),
        _ => None,
    });
    assert!(waited.len() == 1 && waited[0].starts_with("data process ") && waited[0].ends_with("in the group `disk`"));
}

#[test]
fn each_stage_gets_gpus_of_its_own_and_what_asks_for_too_many_is_refused() {
    let gpus = |count| StageArgs { gpus: Some(Gpus::Count(count)), ..StageArgs::default() };
    let rules = rules(&[("base", gpus(1)), ("data", gpus(1)), ("exam", gpus(3))]);
    let bench = Bench { jobs: 3, gpus: vec!["4".into(), "6".into()], rules, keep_going: true, ..Bench::new() };
    let given = Mutex::new(Vec::new());
    let (summary, ..) = bench.run(&program(1), &NullSink, |job, context| {
        given.lock().unwrap().push((job.name.clone(), job.gpus.clone().unwrap().join(",")));
        write_output(job, context)
    });
    let given = given.into_inner().unwrap();
    let of = |name: &str| given.iter().find(|(other, _)| other == name).map(|(_, gpus)| gpus.as_str());
    assert_eq!((of("base"), of("data"), of("warm")), (Some("4"), Some("6"), Some("")));
    let refused =
        |text: &str| matches!(&summary.outcomes[&4], Outcome::Failed(error) if error.to_string().contains(text));
    assert!(refused("it needs 3 GPUs, and the run has 2 GPUs"), "{:?}", summary.outcomes[&4]);
    assert!(summary.machine_failed());
}

#[test]
fn a_stage_that_uses_up_its_time_is_stopped_and_what_needs_it_is_blocked() {
    let limit = StageArgs { time: Some(Millis { milliseconds: 1 }), ..StageArgs::default() };
    // Two at a time, and the mock runs one a poll: `data` is older than its limit when its turn comes.
    let bench = Bench { jobs: 2, rules: rules(&[("data", limit)]), ..Bench::new() };
    let heard = Heard::default();
    let (summary, ran, _) = bench.run(&program(1), &heard, |job, context| {
        std::thread::sleep(Duration::from_millis(20));
        write_output(job, context)
    });
    assert_eq!(ran, ["base"]);
    assert!(summary.interrupted && summary.blocked() == 4, "{summary:?}");
    let stopped = told(heard, |event| match event {
        Event::StageInterrupted { stage, why, .. } => {
            Some(format!("{} {}", stage.name, why.clone().unwrap_or_default()))
        }
        Event::StageBlocked { stage, by } => Some(format!("{} by {}", stage.name, by.name)),
        _ => None,
    });
    assert_eq!(
        stopped,
        ["data its time limit of 0.001 s", "warm by data", "reason by data", "exam by data", "early by data"]
    );
}
