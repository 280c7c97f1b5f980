//! The study's files: rows, benchmarks and stages as the study has them, planned without the network.

use crate::program::Project;
use serde_json::Value;
use std::collections::BTreeSet;

const MODELS: [&str; 2] = ["Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B-Instruct"];
/// Repository, configuration and split of every dataset.
const DATASETS: [(&str, Option<&str>, &str); 7] = [
    ("camel-ai/gsm8k_distilled", None, "train"),
    ("openai/gsm8k", Some("main"), "train"),
    ("openai/gsm8k", Some("main"), "test"),
    ("HuggingFaceH4/MATH-500", None, "test"),
    ("math-ai/minervamath", None, "test"),
    ("Hothan/OlympiadBench", Some("OE_TO_maths_en_COMP"), "train"),
    ("math-ai/amc23", None, "test"),
];

/// The file as a project of its own.
fn study(name: &str) -> Project {
    let project = Project::quick();
    let path = format!("{}/pipelines/study/{name}", env!("CARGO_MANIFEST_DIR"));
    project.write(name, &std::fs::read_to_string(path).unwrap());
    project
}

/// A lock as `srlm lock` writes it, of revisions that no Hub has: a plan looks no further.
fn lock() -> String {
    let entry = |kind: &str, repo: &str, more: String, file: &str| {
        format!(
            "- kind: {kind}\n  repo: {repo}\n{more}  revision: 0123456789abcdef0123456789abcdef01234567\n  files:\n    \
             {file}: {{ size: 3, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }}\n"
        )
    };
    let models = MODELS.map(|repo| entry("model", repo, String::new(), "config.json"));
    let datasets = DATASETS.map(|(repo, config, split)| {
        let config = config.map(|config| format!("  config: {config}\n")).unwrap_or_default();
        entry("dataset", repo, format!("{config}  split: {split}\n"), "rows.parquet")
    });
    format!("version: 1\nsources:\n{}{}", models.concat(), datasets.concat())
}

fn plan(project: &Project, name: &str) -> Vec<Value> {
    // A Hub that cannot be reached: who asks it fails.
    let mut command = project.command(&["plan", name, "--json"]);
    command.env("HF_ENDPOINT", "http://127.0.0.1:9").env("HF_HOME", project.path().join("hf"));
    crate::program::Answer(command.output().unwrap()).ok().objects()
}

fn of_kind<'a>(stages: &'a [Value], kind: &str) -> Vec<&'a Value> {
    stages.iter().filter(|stage| stage["kind"] == kind).collect()
}

#[test]
fn the_paper_is_twenty_rows_on_five_benchmarks_planned_without_the_network() {
    let project = study("paper.srlm");
    project.write("srlm.lock", &lock());
    project.srlm(&["check", "paper.srlm"]).ok();
    let stages = plan(&project, "paper.srlm");
    assert_eq!(of_kind(&stages, "evaluate").len(), 20);
    // Of 2 × (4 + 5) trainings none is done twice: sft, kd and their adapters, and rl after each of them and alone.
    assert_eq!((of_kind(&stages, "sft").len(), of_kind(&stages, "grpo").len()), (8, 10));
    assert_eq!(of_kind(&stages, "hf").len(), 2);
    let text = std::fs::read_to_string(project.path().join("paper.srlm")).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains(" bench(")).count(), 5);
    assert_eq!(text.lines().filter(|line| line.starts_with("compare ")).count(), 5);
}

#[test]
fn the_small_study_is_the_same_question_and_shares_what_rows_have_in_common() {
    let project = study("small.srlm");
    project.srlm(&["check", "small.srlm"]).ok();
    let stages = plan(&project, "small.srlm");
    // Untouched models are the same for every seed: 2 + 2 × 9 × 3 evaluations.
    assert_eq!(of_kind(&stages, "evaluate").len(), 2 + 54);
    assert_eq!(of_kind(&stages, "grpo").len(), 2 * 5 * 3);
    // The teacher writes once, for all rows that learn from it.
    assert_eq!((of_kind(&stages, "generate").len(), of_kind(&stages, "keep").len()), (1, 1));
    let keys: BTreeSet<String> = stages.iter().map(|stage| stage["key"].to_string()).collect();
    assert_eq!(keys.len(), stages.len());
}
