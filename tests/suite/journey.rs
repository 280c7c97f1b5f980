//! The whole journey on the real binary: run, hit, change, share, stop, die, continue.

use crate::program::Project;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

fn statuses(project: &Project, extra: &[&str]) -> BTreeMap<String, (String, String)> {
    let arguments = [&["plan", "quick.srlm", "--json"], extra].concat();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let stages = project.srlm(&arguments).ok().objects();
    stages.iter().map(|stage| (text(&stage["key"]), (text(&stage["kind"]), text(&stage["status"])))).collect()
}

fn started(events: &[Value]) -> Vec<String> {
    let starts = events.iter().filter(|event| event["event"] == "stage_started");
    starts.map(|event| event["stage"]["key"].as_str().unwrap_or_default().to_string()).collect()
}

#[test]
fn each_distinct_stage_runs_once_and_then_never_again() {
    let project = Project::quick();
    let planned = statuses(&project, &[]);
    assert!(!project.path().join(".srlm").exists(), "`plan` leaves no trace on disk");
    assert!(planned.values().all(|(_, status)| status == "run"), "{planned:?}");
    // 3 sources, sft and the teacher's sft, distill, grpo after each of the two, an evaluation for each of the four cells.
    assert_eq!(planned.len(), 3 + 2 + 1 + 2 + 4, "{planned:?}");

    let first = project.srlm(&["run", "quick.srlm", "--json"]).ok().objects();
    let mut ran = started(&first);
    ran.sort();
    assert_eq!(ran, planned.keys().cloned().collect::<Vec<_>>(), "each distinct stage ran once");

    let before = project.results();
    let again = project.srlm(&["run", "quick.srlm", "--json"]).ok().objects();
    assert!(started(&again).is_empty());
    let cached = again.iter().filter(|event| event["event"] == "stage_cached").count();
    assert!(cached > 0, "{again:?}");
    assert_eq!(project.results(), before, "running again changes nothing");
}

#[test]
fn a_changed_field_reruns_only_what_follows_it_and_says_why() {
    let project = Project::quick();
    project.srlm(&["run", "quick.srlm"]).ok();
    let changed = statuses(&project, &["-p", "grpo_steps=3"]);
    let to_run: Vec<&str> =
        changed.values().filter(|(_, status)| status != "hit").map(|(kind, _)| kind.as_str()).collect();
    let count = |kind: &str| to_run.iter().filter(|other| **other == kind).count();
    assert_eq!((count("grpo"), count("evaluate"), to_run.len()), (2, 2, 4), "{changed:?}");
    let plan = project.srlm(&["plan", "quick.srlm", "-p", "grpo_steps=3"]).ok().out();
    assert!(plan.contains("budget") && plan.contains("2steps") && plan.contains("3steps"), "{plan}");
}

#[test]
fn compare_prints_rows_with_intervals_and_differences() {
    let project = Project::quick();
    let missing = project.srlm(&["compare", "quick.srlm"]).ok().out();
    assert!(missing.contains("not run"), "{missing}");
    project.srlm(&["run", "quick.srlm"]).ok();
    let table = project.srlm(&["compare", "quick.srlm"]).ok().out();
    for row in ["untouched", "sft", "sft_rl", "sft_kd_rl"] {
        assert!(table.contains(row), "{table}");
    }
}

/// Two seeds under two trainings: the same items twice are no new items.
const SEEDS: &str = r#"
let rows = arith_problems { split: "train", items: 24, levels: [1], seed: 5 }
let test = arith_problems { split: "test", items: 12, levels: [1], seed: 6 }
let base = init_model { layers: 1, hidden: 32, heads: 2, kv_heads: 1, intermediate: 64, vocab: 320 }
suite exam { arith: bench(test, max_completion_length: 6tok) }
sweep trained {
  over rate in { slow: 1e-4, fast: 1e-2 }
  over seed in [1, 2]
  return base |> sft { data: rows, budget: 2steps, learning_rate: rate, batch: 8seqs, seed: seed } |> evaluate(exam)
}
compare rates { of: trained, metric: exam.arith.accuracy, across: seed, baseline: { rate: "slow" } }
"#;

#[test]
fn seeds_repeat_a_row_and_tables_are_written_for_papers_and_spreadsheets() {
    let project = Project::quick();
    project.write("seeds.srlm", SEEDS);
    project.srlm(&["run", "seeds.srlm"]).ok();
    let tables = project.srlm(&["compare", "seeds.srlm", "--json"]).ok().objects();
    let row = &tables[0]["rows"][1];
    assert_eq!((&row["cells"], &row["result"]["n"], &row["versus"]["pairs"]), (&2.into(), &24.into(), &24.into()));
    assert_eq!(row["versus"]["method"], "crossed");
    assert!(row["peak_memory"].as_u64().unwrap() > 1 << 20);
    project.srlm(&["compare", "seeds.srlm", "-o", "table.tex"]).ok();
    let latex = std::fs::read_to_string(project.path().join("table.tex")).unwrap();
    assert!(latex.contains("\\begin{tabular}{lrrrrrrrrr}") && latex.contains("  slow & "), "{latex}");
    let csv = project.srlm(&["compare", "seeds.srlm", "--format", "csv"]).ok().out();
    assert!(csv.starts_with("rate,cells,missing,collapsed,n,mean,") && csv.lines().count() == 3, "{csv}");
    let answer = project.srlm(&["compare", "seeds.srlm", "--format", "xls"]);
    assert!(answer.code() == Some(2) && answer.err().contains("markdown"), "{}", answer.err());
}

/// The results of a run that nobody disturbed.
fn undisturbed() -> Vec<String> {
    let project = Project::quick();
    project.srlm(&["run", "quick.srlm"]).ok();
    project.results()
}

#[test]
fn killed_at_any_moment_the_same_command_finishes_with_the_same_bytes() {
    let wanted = undisturbed();
    let project = Project::quick();
    let mut pause = Duration::from_millis(40);
    for _ in 0..25 {
        let mut child = project.start(&["run", "quick.srlm", "--checkpoint-every", "0.001"]);
        let deadline = Instant::now() + pause;
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let finished = child.try_wait().unwrap().is_some();
        // SAFETY: a signal to the process group that this test started.
        unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
        child.wait().unwrap();
        if finished {
            break;
        }
        // Uneven steps, so that the blow falls at another moment each time.
        pause = pause * 4 / 3 + Duration::from_millis(7);
    }
    project.srlm(&["run", "quick.srlm"]).ok();
    assert_eq!(project.results(), wanted);
}

#[test]
fn asked_to_stop_it_saves_a_state_and_continues_to_the_same_bytes() {
    let wanted = undisturbed();
    let project = Project::quick();
    let mut interrupted = 0;
    for pause in [150, 300, 450, 700] {
        let mut child = project.start(&["run", "quick.srlm"]);
        std::thread::sleep(Duration::from_millis(pause));
        // SAFETY: a signal to a child of this test.
        unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
        interrupted += usize::from(child.wait().unwrap().code() == Some(130));
    }
    assert!(interrupted > 0, "no run was caught at work");
    project.srlm(&["run", "quick.srlm"]).ok();
    assert_eq!(project.results(), wanted);
}

#[test]
fn the_number_of_threads_and_jobs_changes_no_byte() {
    let wanted = undisturbed();
    for (threads, jobs) in [("1", "1"), ("3", "2")] {
        let project = Project::quick();
        let output =
            project.command(&["run", "quick.srlm", "--jobs", jobs]).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(output.status.success());
        assert_eq!(project.results(), wanted, "{threads} threads, {jobs} jobs");
    }
}

#[test]
fn two_runs_at_once_share_the_work() {
    let wanted = undisturbed();
    let project = Project::quick();
    let mut first = project.start(&["run", "quick.srlm"]);
    let second = project.srlm(&["run", "quick.srlm", "--json"]).ok();
    assert!(first.wait().unwrap().success());
    assert_eq!(project.results(), wanted);
    let ran = started(&second.objects()).len();
    assert!(ran < wanted.len(), "the second run made all {ran} stages again");
}

#[test]
fn a_saved_model_is_a_folder_that_loads_again() {
    let project = Project::quick();
    project.srlm(&["run", "quick.srlm"]).ok();
    project.srlm(&["save", "quick.srlm", "warm", "model"]).ok();
    project.write(
        "again.srlm",
        "let test = arith_problems { split: \"test\", items: 8, levels: [1] }\n\
         suite exam { arith: bench(test, max_completion_length: 8tok) }\n\
         pipeline again = local(\"model\") |> evaluate(exam)\n",
    );
    project.srlm(&["run", "again.srlm"]).ok();
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        assert!(project.path().join("model").join(file).is_file(), "{file}");
    }
}

#[test]
fn the_shipped_orderings_share_their_common_prefixes() {
    let project = Project::quick();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/orderings.srlm");
    let text = project.srlm(&["plan", file, "--store", "store"]).ok().out();
    assert!(text.contains("6 cells, 38 stage uses, 19 stages, 0 cached, 19 to run"), "{text}");
    let stages = project.srlm(&["plan", file, "--store", "store", "--json"]).ok().objects();
    let count = |kind: &str| stages.iter().filter(|stage| stage["kind"] == kind).count();
    // SFT of base and teacher; RL after nothing, SFT, KD and SFT→KD; KD after nothing and SFT; one evaluation a cell.
    assert_eq!((count("sft"), count("grpo"), count("distill"), count("evaluate")), (2, 4, 2, 6));
}

/// Expert iteration from a recipe, then distillation by text and by distributions and soft punishment of length, and
/// every stage that turns data into data; last a model and a file of the user's, and a sampled bench.
const EVERY_KIND: [&str; 2] = [
    r#"use "quick.srlm" as q
use std.reward.{correct, tagged}
recipe star_round(m: Model, n: Int = 2) -> Model {
  traces = m |> generate(data: q.train, samples: n, temperature: 0.8, max_completion_length: 24tok)
  good   = traces |> keep(reward: 2.0 * tagged - 1.0, at_least: 1.0) |> dedup()
  return m |> sft { data: good, budget: 1epochs, batch: 8seqs }
}
let teacher = q.base |> (q.warm with { budget: 200steps })
let mimic   = distill { teacher: teacher, data: q.train, loss: text(keep: tagged), budget: 4steps, batch: 8seqs,
                        max_completion_length: 24tok }
pipeline star = teacher |> repeat(star_round, times: 2) |> evaluate(q.exam)
let ranked  = distill { teacher: teacher, data: q.train, loss: kl(top_k: 8), budget: 1steps, batch: 8seqs }
let meeting = distill { teacher: teacher, data: q.train, loss: jsd(beta: 0.1), budget: 1steps, batch: 8seqs }
let adapt   = sft { data: q.train, budget: 2steps, batch: 8seqs, lora: lora(4) }
pipeline kd   = q.base |> mimic |> ranked |> meeting |> adapt |> merge
pipeline rl   = teacher |> (q.reason with { overlong: soft(12tok) })
pipeline data = q.train |> take(40, order: "shuffled")
  |> mix(arith_problems { split: "train", items: 20, levels: [2] }, weights: [2, 1], order: "interleaved")
  |> split("train", share: 80%) |> dedup(by: "prompt") |> decontaminate(against: [q.test], ngram: 12)
  |> map_format(prompt: "{{ prompt }} Be brief.", answer: "{{ answer }}") |> few_shot(q.train |> take(3), shots: 2)
  |> exec { cmd: ["cp", "input/data.jsonl", "out"], code: [], takes: "dataset" }
"#,
    r#"let rows = jsonl("rows.jsonl")
suite exam { rows: bench(rows, samples: 4, temperature: 0.8, top_p: 0.9, max_completion_length: 8tok) }
pipeline own = local("model") |> evaluate(exam)
"#,
];

#[test]
fn every_stage_kind_runs() {
    let project = Project::quick();
    project.write("star.srlm", EVERY_KIND[0]);
    project.write("own.srlm", EVERY_KIND[1]);
    project.write("rows.jsonl", "{\"question\": \"1+1?\", \"answer\": \"<<1+1=2>>2\\n#### 2\"}\n");
    project.srlm(&["run", "star.srlm"]).ok();
    project.srlm(&["save", "star.srlm", "kd", "model"]).ok();
    project.srlm(&["run", "own.srlm"]).ok();
    let records = project.srlm(&["store", "ls", "own.srlm", "--json"]).ok().objects();
    let made: BTreeSet<&str> = records.iter().filter_map(|record| record["kind"].as_str()).collect();
    let built = srlm::stage::STAGES.iter().map(|stage| stage.signature()).filter(|stage| stage.unbuilt.is_none());
    // No test here writes a Parquet file, or talks to a Hub or a server: these have tests of their own.
    const ELSEWHERE: [&str; 4] = ["parquet", "hf", "hf_dataset", "api"];
    let known: BTreeSet<&str> = built.map(|stage| stage.kind).filter(|kind| !ELSEWHERE.contains(kind)).collect();
    assert_eq!(made, known);
    let shown = project.srlm(&["show", "own.srlm", "own"]).ok().out();
    assert!(shown.contains("rows.samples 4") && shown.contains("rows.pass@4"), "{shown}");
}
