//! `srlm run --fresh NODE`: the stage is computed anew, the result that was there stays, and what differs is told.

use crate::program::Project;

const FILE: &str = r#"
let rows = arith_problems { split: "train", items: 4, levels: [1] }
let chance = exec { cmd: ["sh", "chance.sh"], code: ["chance.sh"], takes: "dataset" }
pipeline p = rows |> chance |> take(2)
"#;

/// Every call of it gives the first row another id.
const CHANCE: &str = "sed \"1s/\\\"id\\\":\\\"/&$(date +%N)/\" input/data.jsonl > out/data.jsonl\n";

fn project() -> Project {
    let project = Project::quick();
    project.write("f.srlm", FILE);
    project.write("chance.sh", CHANCE);
    project.srlm(&["run", "f.srlm"]).ok();
    project
}

#[test]
fn a_stage_that_comes_out_as_before_says_so_and_nothing_else_runs() {
    let project = project();
    let before = project.results();
    let plan = project.srlm(&["plan", "f.srlm", "--fresh", "rows"]).ok();
    assert!(plan.out().contains("asked for anew"), "{}", plan.out());
    let events = project.srlm(&["run", "f.srlm", "--fresh", "rows", "--json"]).ok().objects();
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    assert_eq!((named("stage_started").len(), named("stage_cached").len()), (1, 2));
    let compared = named("stage_compared");
    assert_eq!((compared.len(), compared[0]["same"].as_bool()), (1, Some(true)), "{compared:?}");
    assert_eq!(project.results(), before);
}

#[test]
fn a_stage_that_comes_out_otherwise_shows_the_difference_and_the_kept_result_counts() {
    let project = project();
    let before = project.results();
    let ran = project.srlm(&["run", "f.srlm", "--fresh", "chance", "--fresh", "rows"]).ok();
    let told = ran.err();
    assert!(told.contains("came out as in run") && told.contains("came out otherwise than in run"), "{told}");
    assert!(told.contains("data.jsonl: "), "{told}");
    assert_eq!(project.results(), before, "the first result under a key stays");
    let shown = project.srlm(&["show", "f.srlm", "chance", "--json"]).ok().objects();
    assert_eq!(shown[0]["alternates"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_name_that_means_nothing_here_is_told_before_anything_runs() {
    let project = project();
    let unknown = project.srlm(&["run", "f.srlm", "--fresh", "chanc"]);
    assert_eq!(unknown.code(), Some(2));
    assert!(unknown.err().contains("did you mean `chance`?"), "{}", unknown.err());
}
