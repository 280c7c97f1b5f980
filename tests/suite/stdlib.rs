//! The standard library: every module checks alone, every item's example compiles, what reads files reads them.

use crate::program::Project;
use srlm::base::source::Loader;
use srlm::diag::Diagnostic;
use srlm::diag::render::one_line;
use srlm::lang::{Compilation, compile};
use srlm::stage;

const MODULES: [&str; 6] = ["arith", "models", "reward", "math", "recipes", "suites"];

/// One file in memory.
struct Text(String);

impl Loader for Text {
    fn load(&self, path: &str) -> Result<String, String> {
        if path == "main.srlm" { Ok(self.0.clone()) } else { Err(format!("there is no {path}")) }
    }
}

fn compiled(text: &str) -> Compilation {
    compile("main.srlm", &Text(text.to_string()), &[], &stage::catalogue())
}

/// What is wrong, apart from what this version cannot run yet.
fn findings(done: &Compilation) -> Vec<String> {
    let counts = |found: &&Diagnostic| found.code != "W002";
    done.diagnostics.iter().filter(counts).map(|found| one_line(found, &done.sources)).collect()
}

fn module(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib").join(format!("{name}.srlm"));
    std::fs::read_to_string(path).unwrap()
}

/// The items of a module, each with its doc comment.
fn items(text: &str) -> Vec<(String, String)> {
    let (mut found, mut doc) = (Vec::new(), String::new());
    for line in text.lines() {
        let mut words = line.split([' ', '(']);
        match (line.strip_prefix("##"), words.next()) {
            (Some(text), _) => doc += text,
            (None, Some("let" | "recipe" | "suite" | "param")) => {
                found.push((words.next().unwrap_or_default().to_string(), std::mem::take(&mut doc)));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn every_module_checks_without_findings() {
    for name in MODULES {
        let done = compiled(&module(name));
        assert!(findings(&done).is_empty(), "std.{name}: {}", findings(&done).join("\n"));
    }
}

#[test]
fn every_module_is_embedded() {
    let count = std::fs::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib")).unwrap().count();
    assert_eq!(count, MODULES.len());
    for name in MODULES {
        assert!(findings(&compiled(&format!("use std.{name}"))).is_empty(), "std.{name}");
    }
}

#[test]
fn every_item_has_an_example_that_compiles_and_uses_it() {
    for name in MODULES {
        for (item, doc) in items(&module(name)) {
            let example = doc.rsplit_once("For example: `").and_then(|(_, example)| example.rsplit_once('`'));
            let example = example.unwrap_or_else(|| panic!("std.{name}.{item} has no example")).0;
            assert!(example.contains(&format!("std.{name}.{item}")), "std.{name}.{item}: {example}");
            let done = compiled(example);
            assert!(findings(&done).is_empty(), "{example}\n{}", findings(&done).join("\n"));
        }
    }
}

#[test]
fn every_recipe_is_a_stage_of_a_program() {
    let done = compiled(
        "use std.{arith, recipes}\nlet base = std.models.tiny()\nsuite exam { arith: bench(arith.test) }\n\
         sweep orderings {\n  over order in {\n\
         sft_rl: recipes.sft_then_rl(data: arith.train)\n\
         kd_rl: recipes.kd_then_rl(teacher: std.models.tiny(layers: 4), data: arith.train)\n\
         star: recipes.star(data: arith.train, rounds: 2)\n\
         rejection: recipes.rejection_sampling(data: arith.train)\n\
         curriculum: recipes.curriculum(data: [arith.easy, arith.train])\n\
         expert: repeat(recipes.rejection_sampling(data: arith.train), times: 2)\n}\n\
         over seed in [1, 2]\n  return base |> (order with { seed: seed }) |> evaluate(exam)\n}",
    );
    assert!(findings(&done).is_empty(), "{}", findings(&done).join("\n"));
    let kinds = |kind: &str| done.program.calls.iter().filter(|call| call.kind == kind).count();
    // For each seed: two rounds of STaR, rejection sampling, and the second round of expert iteration, whose first is
    // rejection sampling.
    assert_eq!((kinds("generate"), kinds("distill"), kinds("grpo")), (8, 2, 4));
    assert_eq!(kinds("evaluate"), 12);
}

/// The local form of each benchmark, with two rows.
const LOCAL: [(&str, &str, &str); 7] = [
    ("gsm8k_from", "gsm8k.jsonl", r#"{"question": "What is 2 + 3?", "answer": "2 + 3 = <<2+3=5>>5\n#### 5"}"#),
    ("math500_from", "math.jsonl", r#"{"problem": "Compute $1+1$.", "solution": "It is $\\boxed{2}$."}"#),
    ("svamp_from", "svamp.jsonl", r#"{"Body": "Tom has 3 pens.", "Question": "How many pens?", "Answer": 3.0}"#),
    ("minerva_from", "minerva.jsonl", r#"{"question": "What is $2^3$?", "answer": "8"}"#),
    ("olympiad_from", "olympiad.jsonl", r#"{"question": "Find $x$.", "final_answer": ["$4$"]}"#),
    ("amc23_from", "amc23.jsonl", r#"{"question": "Find $y$.", "answer": 27.0}"#),
    ("aime24_from", "aime24.jsonl", r#"{"problem": "Find $z$.", "answer": "204"}"#),
];

#[test]
fn local_benchmarks_read_files_and_write_their_prompts() {
    let project = Project::quick();
    let mut program = String::new();
    for (recipe, file, row) in LOCAL {
        project.write(file, &format!("{row}\n"));
        let both =
            if ["gsm8k_from", "math500_from"].contains(&recipe) { format!(", \"{file}\"") } else { String::new() };
        program += &format!("pipeline p_{recipe} = std.math.{recipe}(\"{file}\"{both}).test\n");
    }
    project.write("local.srlm", &program);
    project.srlm(&["run", "local.srlm"]).ok();
    for (recipe, ..) in LOCAL {
        let folder = format!("out_{recipe}");
        project.srlm(&["save", "local.srlm", &format!("p_{recipe}"), &folder]).ok();
        let rows = std::fs::read_to_string(project.path().join(folder).join("data.jsonl")).unwrap();
        let asked = if recipe == "gsm8k_from" { "after \\\"####\\\"." } else { "within \\\\boxed{}." };
        assert!(rows.lines().count() == 1 && rows.contains(asked), "{recipe}: {rows}");
    }
}
