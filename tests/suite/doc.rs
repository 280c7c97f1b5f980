//! `srlm doc`: every name has a page, and the generated pages of `docs/` are what it prints.

use crate::program::Project;
use serde_json::Value;

fn doc(arguments: &[&str]) -> String {
    let answer = Project::quick().srlm(&[&["doc"], arguments].concat()).ok();
    answer.out()
}

fn pages(name: &str) -> Vec<Value> {
    Project::quick().srlm(&["doc", name, "--json"]).ok().objects()
}

#[test]
fn the_generated_pages_are_current() {
    for name in ["stages", "std"] {
        let page = format!("docs/{name}.md");
        let kept = std::fs::read_to_string(format!("{}/{page}", env!("CARGO_MANIFEST_DIR"))).unwrap_or_default();
        let made = doc(&[name, "--markdown"]);
        let first = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
        let again = format!("cargo run -- doc {name} --markdown -o {page}");
        assert!(made == kept, "{page} is not what the declarations say; make it again:\n  {again}\n{first:?}");
    }
}

#[test]
fn every_stage_and_field_of_the_contents_has_a_page() {
    let stages = pages("stages");
    assert!(stages.len() > 10, "{stages:?}");
    let sft = &pages("sft")[0];
    assert_eq!(sft["signature"], "sft : Model -> Model");
    for field in sft["fields"].as_array().unwrap() {
        let name = format!("sft.{}", field["name"].as_str().unwrap());
        let found = pages(&name);
        assert_eq!((found.len(), &found[0]["class"], &found[0]["fields"][0]), (1, &"field".into(), field), "{name}");
    }
}

#[test]
fn every_sort_of_name_is_known() {
    let classes = |name: &str| -> Vec<String> {
        pages(name).iter().map(|page| page["class"].as_str().unwrap().to_string()).collect()
    };
    let known = [
        ("grpo", "stage"),
        ("wsd", "variant"),
        ("wsd.decay", "field"),
        ("tagged", "verifier"),
        ("correct.marker", "field"),
        ("std.reward", "module"),
        ("std.models.tiny", "recipe"),
        ("tiny", "recipe"),
        ("std.arith.train", "let"),
        ("Steps", "type"),
        ("tok", "unit"),
        ("repeat", "builtin"),
        ("sweep", "item"),
        ("with", "keyword"),
    ];
    for (name, class) in known {
        assert_eq!(classes(name), [class], "{name}");
    }
    assert_eq!(classes("step"), ["keyword", "unit"]);
}

#[test]
fn other_tools_names_lead_to_ours_and_typos_to_the_nearest() {
    let project = Project::quick();
    let answer = project.srlm(&["doc", "grpo.beta"]).ok();
    assert_eq!(answer.err(), "`beta` is called `kl_coef` here\n");
    assert!(answer.out().starts_with("grpo.kl_coef : Float = 0.0\n"), "{}", answer.out());
    let answer = project.srlm(&["doc", "evalute"]);
    assert_eq!(answer.code(), Some(2));
    assert!(answer.err().contains("no page on `evalute`; did you mean `evaluate`?"), "{}", answer.err());
}

#[test]
fn pages_keep_to_the_width_and_are_plain_in_a_pipe() {
    let project = Project::quick();
    let mut command = project.command(&["doc", "stages"]);
    let output = command.env("COLUMNS", "72").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\x1b'));
    let words = |line: &&str| line.chars().count() > 72 && line.trim().contains(' ');
    assert_eq!(text.lines().find(words), None);
}

#[test]
fn a_users_file_is_documented_by_its_comments() {
    let project = Project::quick();
    let text = "# What this is for.\nuse std.arith\n\n## How it begins.\nparam base: Model = std.models.tiny()\n\n\
                ## Twice as long.\nrecipe longer(m: Model, rounds: Int = 2) -> Model = m |> sft { data: arith.train, \
                budget: rounds * 1epoch }\n\nlet steps = 2 * 30steps\npipeline made = base |> longer()\n";
    project.write("mine.srlm", text);
    let answer = project.srlm(&["doc", "mine.srlm"]).ok();
    insta::assert_snapshot!(answer.out(), @r"
    mine.srlm

    What this is for.


    base : Model = std.models.tiny()

    How it begins.


    longer(m: Model, rounds: Int = 2) -> Model

    Twice as long.

      m       Model, required
      rounds  Int = 2


    steps : Steps

        let steps = 2 * 30steps

      value           60steps


    made : Model

        pipeline made = base |> longer()
    ");
    project.write("broken.srlm", "let a = sft {\n");
    let answer = project.srlm(&["doc", "broken.srlm"]);
    assert_eq!(answer.code(), Some(2), "{}", answer.err());
    assert_eq!(project.srlm(&["doc", "missing.srlm"]).code(), Some(2));
}

#[test]
fn the_contents_name_everything_once() {
    let contents = doc(&[]);
    for name in ["sft", "wsd", "tagged", "std.reward", "repeat", "sweep", "with", "Steps"] {
        let lines = contents.lines().filter(|line| line.trim_start().split("  ").next() == Some(name));
        assert_eq!(lines.count(), 1, "{name}\n{contents}");
    }
}
