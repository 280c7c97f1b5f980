//! What must not reach a key does not, and what must does: random programs, each written in several ways.

use crate::compiled::{compile, compile_files};
use crate::program::{Project, fixture};
use crate::sampled_fields::{random_fields, values};
use proptest::prelude::*;
use srlm::base::digest::Digest;
use srlm::base::seed::{Seed, Stream};
use srlm::lang::signature::Catalogue;
use std::collections::{BTreeMap, BTreeSet};

const MODEL_STAGES: [&str; 4] = ["sft", "distill", "grpo", "merge"];
const DATA_STAGES: [&str; 7] = ["keep", "map_format", "dedup", "decontaminate", "mix", "take", "split"];
const USES: &str = "use std.reward.{correct, tagged}\n";

/// A program before it is written down.
#[derive(Clone)]
struct Draft {
    /// Name and what it stands for.
    values: Vec<(String, String)>,
    stages: Vec<DraftStage>,
    /// What flows through which stages.
    pipelines: Vec<(String, Vec<String>)>,
}

#[derive(Clone)]
struct DraftStage {
    name: String,
    kind: &'static str,
    fields: Vec<(String, String)>,
}

impl Draft {
    fn random(catalogue: &Catalogue, stream: &mut Stream) -> Draft {
        let value = |name: &str, text: &str| (name.to_string(), text.to_string());
        let values = vec![
            value("rows", "jsonl(\"rows.jsonl\")"),
            value("other", "jsonl(\"other.jsonl\")"),
            value("base", "init_model {}"),
            value("guide", "init_model { seed: 1 }"),
        ];
        let mut draft = Draft { values, stages: Vec::new(), pipelines: Vec::new() };
        for at in 0..stream.between(1, 3) {
            let is_model = stream.below(2) == 0;
            let (start, kinds) = if is_model { ("base", &MODEL_STAGES[..]) } else { ("rows", &DATA_STAGES[..]) };
            let mut chain = vec![start.to_string()];
            for _ in 0..stream.between(1, 3) {
                let (name, kind) = (format!("stage_{}", draft.stages.len()), *stream.pick(kinds));
                let fields = random_fields(catalogue, catalogue.stage(kind).unwrap(), stream);
                draft.stages.push(DraftStage { name: name.clone(), kind, fields });
                chain.push(name);
            }
            chain.extend(is_model.then(|| "evaluate(exam)".to_string()));
            draft.pipelines.push((format!("result_{at}"), chain));
        }
        draft
    }

    /// Every name that the program gives to a value or a stage.
    fn names(&self) -> Vec<&str> {
        let stages = self.stages.iter().map(|stage| stage.name.as_str());
        self.values.iter().map(|(name, _)| name.as_str()).chain(stages).chain(["exam"]).collect()
    }

    fn value_items(&self) -> Vec<String> {
        let values = self.values.iter().map(|(name, text)| format!("let {name} = {text}"));
        values.chain(["suite exam { b: bench(rows) }".to_string()]).collect()
    }

    fn stage_items(&self) -> Vec<String> {
        let field = |(name, value): &(String, String)| format!("{name}: {value}");
        let item = |stage: &DraftStage| {
            let fields: Vec<String> = stage.fields.iter().map(field).collect();
            format!("let {} = {} {{ {} }}", stage.name, stage.kind, fields.join(", "))
        };
        self.stages.iter().map(item).collect()
    }

    fn pipeline_items(&self) -> Vec<String> {
        self.pipelines.iter().map(|(name, chain)| format!("pipeline {name} = {}", chain.join(" |> "))).collect()
    }

    fn text(&self) -> String {
        let items = [self.value_items(), self.stage_items(), self.pipeline_items()].concat();
        format!("{USES}{}\n", items.join("\n"))
    }
}

/// The text with some names in the place of others; what stands before `:` or inside quotes is no such name.
fn renamed(text: &str, names: &BTreeMap<String, String>) -> String {
    let (mut out, mut rest, mut quoted) = (String::new(), text, false);
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(if end == 0 { first.len_utf8() } else { end });
        quoted ^= word == "\"";
        let is_label = after.starts_with(':') || out.ends_with('.');
        out += names.get(word).filter(|_| !quoted && !is_label).map_or(word, String::as_str);
        rest = after;
    }
    out
}

/// The text with blanks, line ends and comments wherever a list or record goes on.
fn spaced_out(text: &str, stream: &mut Stream) -> String {
    let (mut out, mut quoted) = (String::new(), false);
    for letter in text.chars() {
        out.push(letter);
        quoted ^= letter == '"';
        if !quoted && "{([,".contains(letter) {
            out += *stream.pick(&["", " ", "\n", "\n\n  ", "  # a comment, with \"marks\" {\n"]);
        }
    }
    out
}

fn shuffle<T>(items: &mut [T], stream: &mut Stream) {
    for at in (1..items.len()).rev() {
        items.swap(at, stream.below(at as u64 + 1) as usize);
    }
}

/// What was done to a program, its text, and the files it is split into beside that.
type Retelling = (&'static str, String, Vec<(&'static str, String)>);

/// The program in other words: nothing of what changes may reach a key.
fn in_other_words(draft: &Draft, stream: &mut Stream) -> Vec<Retelling> {
    let main = |name: &'static str, text: String| (name, text, Vec::new());
    let text = draft.text();
    let other_names = draft.names().into_iter().map(|name| (name.to_string(), format!("x_{name}_y"))).collect();
    let mut reordered = draft.clone();
    reordered.stages.iter_mut().for_each(|stage| shuffle(&mut stage.fields, stream));
    let mut items = [reordered.value_items(), reordered.stage_items(), reordered.pipeline_items()].concat();
    shuffle(&mut items, stream);
    let formatted = srlm::lang::format::format("main.srlm", &text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));

    let inside = |name: &str| (name.to_string(), format!("parts.{name}"));
    let values: BTreeMap<_, _> = draft.value_items_names().iter().map(|name| inside(name)).collect();
    let rest = [draft.stage_items(), draft.pipeline_items()].concat().join("\n");
    let with_module = format!("{USES}use \"parts/values.srlm\" as parts\n{}\n", renamed(&rest, &values));
    vec![
        main("renamed", renamed(&text, &other_names)),
        main("reordered", format!("{USES}{}\n", items.join("\n"))),
        main("spaced out", spaced_out(&text, stream)),
        main("formatted", formatted),
        ("split into modules", with_module, vec![("deep/parts/values.srlm", draft.value_items().join("\n") + "\n")]),
    ]
}

impl Draft {
    fn value_items_names(&self) -> Vec<String> {
        self.values.iter().map(|(name, _)| name.clone()).chain(["exam".to_string()]).collect()
    }
}

fn keys(text: &str) -> BTreeSet<Digest> {
    compile(text).target_keys().into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_program_in_other_words_has_the_same_keys(seed in any::<u64>()) {
        let mut stream = Seed::new(seed).stream();
        let draft = Draft::random(&srlm::stage::catalogue(), &mut stream);
        let wanted = keys(&draft.text());
        for (how, text, modules) in in_other_words(&draft, &mut stream) {
            let modules = modules.iter().map(|(name, text)| (*name, text.as_str()));
            let files: Vec<_> = [("deep/main.srlm", text.as_str())].into_iter().chain(modules).collect();
            let found: BTreeSet<Digest> = compile_files("deep/main.srlm", &files).target_keys().into_iter().collect();
            prop_assert_eq!(&found, &wanted, "{}:\n{}", how, text);
        }
    }
}

proptest! {
    // Each case compiles some fifty programs.
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// One field set to each of its values in turn: what follows has another key each time, all else the same.
    #[test]
    fn a_changed_field_changes_the_keys_of_what_follows_alone(seed in any::<u64>()) {
        let catalogue = srlm::stage::catalogue();
        let mut stream = Seed::new(seed).stream();
        let draft = Draft::random(&catalogue, &mut stream);
        let chosen = stream.below(draft.stages.len() as u64) as usize;
        let signature = catalogue.stage(draft.stages[chosen].kind).unwrap();
        let name = draft.stages[chosen].name.clone();
        for field in &signature.fields {
            let mut keys_by_science = BTreeMap::new();
            for value in values(&catalogue, field).iter().take(3) {
                let mut changed = draft.clone();
                let fields = &mut changed.stages[chosen].fields;
                fields.retain(|(other, _)| other != field.name);
                fields.push((field.name.to_string(), value.clone()));
                let compiled = compile(&changed.text());
                let node = compiled.graph.nodes().find(|node| node.name == name);
                // Equal stages are one, and it has the name of the first.
                let Some(node) = node else { return Ok(()) };
                let inputs: Vec<_> = node.inputs.iter().map(|(role, input)| (role, compiled.graph.node(*input).key)).collect();
                let science = format!("{} {inputs:?}", node.document()["science"]);
                let keys = compiled.target_keys();
                let was = keys_by_science.entry(science).or_insert_with(|| keys.clone());
                prop_assert_eq!(&*was, &keys, "{} = {}", field.name, value);
            }
            let all: Vec<&Vec<Digest>> = keys_by_science.values().collect();
            for (at, (_, chain)) in draft.pipelines.iter().enumerate() {
                let different: BTreeSet<Digest> = all.iter().map(|keys| keys[at]).collect();
                let wanted = if chain.contains(&name) { all.len() } else { 1 };
                prop_assert_eq!(different.len(), wanted, "{}.{} in {}", name, field.name, draft.text());
            }
        }
    }
}

#[test]
fn two_inputs_that_swap_their_roles_are_another_stage() {
    let pairs = [
        ("base |> distill { teacher: guide, data: rows }", "guide |> distill { teacher: base, data: rows }"),
        ("rows |> mix(other)", "other |> mix(rows)"),
        ("rows |> mix([other, more])", "rows |> mix([more, other])"),
        ("rows |> decontaminate(other)", "other |> decontaminate(rows)"),
        (
            "exec { cmd: [\"a\"], code: [], inputs: { a: rows, b: other } }",
            "exec { cmd: [\"a\"], code: [], inputs: { a: other, b: rows } }",
        ),
        (
            "base |> evaluate({ a: bench(rows), b: bench(other) })",
            "base |> evaluate({ a: bench(other), b: bench(rows) })",
        ),
    ];
    for (one, other) in pairs {
        let text = format!(
            "let rows = jsonl(\"rows.jsonl\")\nlet other = jsonl(\"other.jsonl\")\nlet more = jsonl(\"more.jsonl\")\n\
             let base = init_model {{}}\nlet guide = init_model {{ seed: 1 }}\n\
             pipeline one = {one}\npipeline other_way = {other}\n"
        );
        assert_eq!(keys(&text).len(), 2, "{one}");
    }
}

/// The keys of a plan by the real program, in the folder and with the settings that `change` gives it.
fn planned(project: &Project, arguments: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    let mut command = project.command(&[&["plan", "--json"], arguments].concat());
    let output = command.envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|stage| stage["key"].as_str().unwrap_or_default().to_string()).collect()
}

#[test]
fn place_folder_threads_store_and_profiles_do_not_reach_a_key() {
    let project = Project::quick();
    let wanted = planned(&project, &["quick.srlm"], &[]);
    let text = std::fs::read_to_string(fixture("quick.srlm")).unwrap();
    std::fs::create_dir_all(project.path().join("some where/else")).unwrap();
    project.write("some where/else/renamed.srlm", &format!("\u{feff}{}", text.replace('\n', "\r\n")));
    project.write("profiled.srlm", &format!("{text}\nprofile big {{ jobs: 4 }}\n"));
    let absolute = project.path().join("quick.srlm").to_string_lossy().into_owned();
    /// Arguments of `plan`, and its environment.
    type Way<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let ways: [Way; 6] = [
        (&["some where/else/renamed.srlm"], &[]),
        (&[&absolute], &[]),
        (&["profiled.srlm"], &[]),
        (&["quick.srlm", "--store", "elsewhere"], &[]),
        (&["quick.srlm", "-p", "grpo_steps=2"], &[]),
        (
            &["quick.srlm"],
            &[("RAYON_NUM_THREADS", "1"), ("SRLM_STORE", "third"), ("LC_ALL", "de_DE.UTF-8"), ("TZ", "Asia/Tokyo")],
        ),
    ];
    for (arguments, environment) in ways {
        assert_eq!(planned(&project, arguments, environment), wanted, "{arguments:?} {environment:?}");
    }
    assert_ne!(planned(&project, &["quick.srlm", "-p", "grpo_steps=3"], &[]), wanted);
}
