//! Memory that a stage needs is told before it starts: shown by the plan, near what a worker takes, and refused where it
//! cannot fit.

use crate::program::Project;

/// A model of 7 million weights, most of them in its gated layer: large beside a worker's own needs, quick to train.
const FILE: &str = r#"
let rows = arith_problems { split: "train", items: 8, levels: [1] }
let base = init_model { layers: 1, hidden: 384, heads: 6, kv_heads: 2, intermediate: 5600, vocab: 320, context: 256 }
let warm = sft { data: rows, budget: 1steps, batch: 2seqs }
pipeline p = base |> warm
profile known { stages: { warm: { memory: 90MiB } } }
"#;

fn project() -> Project {
    let project = Project::quick();
    project.write("m.srlm", FILE);
    project
}

#[test]
fn a_plan_tells_the_memory_of_a_stage_that_never_ran_and_a_worker_needs_about_that() {
    let project = project();
    let estimate = |project: &Project| {
        let stages = project.srlm(&["plan", "m.srlm", "--json"]).ok().objects();
        let stage = stages.into_iter().find(|stage| stage["kind"] == "sft").unwrap();
        stage["estimate"].clone()
    };
    let before = estimate(&project);
    assert_eq!(before["peak_memory_by"], "formula", "{before}");
    assert!(project.srlm(&["plan", "m.srlm"]).ok().out().contains("at most"), "the table says so, too");
    project.srlm(&["run", "m.srlm"]).ok();
    let shown = project.srlm(&["show", "m.srlm", "warm", "--json"]).ok().objects();
    let measured = shown[0]["record"]["made"]["peak_memory"].as_u64().unwrap() as f64;
    let estimated = before["peak_memory"].as_u64().unwrap() as f64;
    let ratio = estimated / measured;
    assert!((0.75..1.6).contains(&ratio), "estimated {estimated}, measured {measured}: {ratio:.2} times as much");
}

#[test]
fn what_cannot_fit_is_refused_before_anything_runs_with_settings_that_would() {
    let project = project();
    let refused = project.srlm(&["run", "m.srlm", "--memory", "100MiB"]);
    assert_eq!(refused.code(), Some(2), "{}", refused.err());
    let told = refused.err();
    assert!(told.contains("E073") && told.contains("m.srlm:4:12") && told.contains("there are 100.0 MiB"), "{told}");
    assert!(project.results().is_empty(), "nothing ran");

    // Of rows that are not made yet only what is sure counts; once they are there, the stage itself is refused.
    project.write("m.srlm", &FILE.replace("batch: 2seqs", "batch: 512seqs").replace("items: 8", "items: 512"));
    let least = project.srlm(&["plan", "m.srlm", "--json"]).ok().objects();
    let least = least.iter().find(|stage| stage["kind"] == "sft").unwrap()["estimate"]["peak_memory"].as_u64().unwrap();
    let little = format!("{}MiB", (least >> 20) * 2 / 3);
    let refused = project.srlm(&["run", "m.srlm", "--memory", &little]);
    assert_eq!(refused.code(), Some(3), "{}", refused.err());
    let told = refused.err();
    assert!(told.contains("sft `warm` failed, declared at m.srlm:4:12"), "{told}");
    assert!(told.contains("each of these alone would fit: batch: ") && told.contains("seqs ("), "{told}");
}

#[test]
fn who_knows_better_says_so_in_a_profile() {
    project().srlm(&["run", "m.srlm", "--memory", "100MiB", "--profile", "known"]).ok();
}
