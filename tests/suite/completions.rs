//! Completions are reused one by one: what further prompts cost, and that reuse changes no byte.

use crate::program::Project;
use serde_json::Value;

const FILE: &str = r#"
use std.reward.{correct}
param asked: Int = 4
let rows    = arith_problems { split: "train", items: 12 } |> take(asked)
let teacher = std.models.tiny(hidden: 16, layers: 1, heads: 2, kv_heads: 1, intermediate: 32)
pipeline written = teacher |> generate { data: rows, samples: 2, max_completion_length: 6tok }
pipeline taught  = std.models.tiny(hidden: 16, layers: 1, heads: 2, kv_heads: 1, intermediate: 32, seed: 1)
  |> distill { teacher: teacher, data: rows, loss: text(), max_completion_length: 6tok, budget: 1steps, batch: 2seqs }
"#;

/// What the stages of that kind said of completions that were known, and how many they sampled.
fn known_and_sampled(events: &[Value], kind: &str) -> (f64, usize) {
    let said = events.iter().filter(|event| event["event"] == "stage_said" && event["stage"]["kind"] == kind);
    let said: Vec<&Value> = said.map(|event| &event["said"]).collect();
    let known = said.iter().find_map(|said| said["facts"]["completions_known"].as_f64()).unwrap_or(0.0);
    let sampled = said.iter().filter(|said| said["unit"] == "sequence").filter_map(|said| said["step"].as_u64()).max();
    (known, sampled.map_or(0, |last| last as usize - known as usize))
}

fn outputs(project: &Project, store: &str) -> Vec<String> {
    project.results_in(store)
}

#[test]
fn further_prompts_cost_their_own_completions_and_change_no_byte() {
    let project = Project::quick();
    project.write("words.srlm", FILE);
    let run = |asked: &str, store: &str| {
        let asked = format!("asked={asked}");
        project.srlm(&["run", "words.srlm", "--json", "-p", &asked, "--store", store]).ok().objects()
    };
    let first = run("4", "grown");
    assert_eq!(known_and_sampled(&first, "generate"), (0.0, 8));
    assert_eq!(known_and_sampled(&first, "distill"), (0.0, 4));
    let grown = run("7", "grown");
    assert_eq!(known_and_sampled(&grown, "generate"), (8.0, 6), "3 further prompts, twice each");
    assert_eq!(known_and_sampled(&grown, "distill"), (4.0, 3));
    run("7", "fresh");
    let grown = outputs(&project, "grown");
    assert!(outputs(&project, "fresh").iter().all(|result| grown.contains(result)), "reuse changes nothing");
    // What is kept may go: it costs time only.
    std::fs::remove_dir_all(project.path().join("grown/cache")).unwrap();
    let after = run("8", "grown");
    assert_eq!(known_and_sampled(&after, "generate"), (0.0, 16));
}
