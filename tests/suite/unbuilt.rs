//! What this version checks and plans but cannot run: warned of, and refused before anything starts.

use crate::program::Project;

const FILE: &str = r#"
let data = arith_problems { split: "train", items: 4 }
let base = std.models.tiny()
let half = sft { data: data, dtype: "bf16", budget: 1steps }
pipeline later = base |> half |> (half with { seed: 2 })
pipeline now   = data |> take(2)
"#;

fn project() -> Project {
    let project = Project::quick();
    project.write("later.srlm", FILE);
    project
}

#[test]
fn a_check_and_a_plan_warn_and_go_on() {
    let project = project();
    let found = project.srlm(&["check", "later.srlm", "--json"]).ok().objects();
    let codes: Vec<_> = found.iter().map(|found| (found["code"].as_str(), found["line"].as_u64())).collect();
    assert_eq!(codes, [(Some("W002"), Some(4))]);
    let plan = project.srlm(&["plan", "later.srlm"]).ok();
    assert!(plan.out().contains("half") && plan.err().contains("W002"), "{}", plan.out());
}

#[test]
fn a_run_refuses_before_anything_starts_and_only_where_it_must() {
    let project = project();
    let refused = project.srlm(&["run", "later.srlm"]);
    assert_eq!(refused.code(), Some(2));
    let told = refused.err();
    assert!(told.contains("E061") && told.contains("bf16"), "{told}");
    assert!(project.results().is_empty(), "nothing ran");
    project.srlm(&["run", "later.srlm", "--target", "now"]).ok();
    assert_eq!(project.results().len(), 2);
}

#[test]
fn a_worker_refuses_too() {
    let project = project();
    let folder = |name: &str| {
        let path = project.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let job = serde_json::json!({
        "key": "0".repeat(64), "kind": "sft", "name": "sft", "args": {"dtype": "bf16"}, "inputs": {}, "paths": {},
        "contents": {}, "out": folder("out"), "work": project.path().join("work"), "log": project.path().join("log"), "checkpoint_seconds": 60.0,
    });
    project.write("job", &format!("{job}\n"));
    let job = std::fs::File::open(project.path().join("job")).unwrap();
    let output = project.command(&["worker"]).stdin(job).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("failed") && said.contains("cannot run it yet"), "{said}");
}
