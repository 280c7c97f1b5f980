//! `srlm graph`: what is drawn, that every form is well-formed, and that nothing written covers anything else.

use crate::program::{Project, fixture};
use serde_json::Value;

fn root() -> &'static str {
    env!("CARGO_MANIFEST_DIR")
}

/// The orderings of the specification: 13 cells.
fn orderings(arguments: &[&str]) -> String {
    let file = format!("{}/tests/spec/sweeps/orderings.srlm", root());
    Project::quick().srlm(&[&["graph", &file], arguments].concat()).ok().out()
}

fn drawn(text: &str, arguments: &[&str]) -> String {
    let project = Project::quick();
    project.write("drawn.srlm", text);
    project.srlm(&[&["graph", "drawn.srlm"], arguments].concat()).ok().out()
}

/// Count and axes of the groups whose stages have a name.
fn groups(text: &str, name: &str) -> Vec<(u64, Vec<String>)> {
    let all: Value = serde_json::from_str(&drawn(text, &["--format", "json"])).unwrap();
    let named = all["groups"].as_array().unwrap().iter().filter(|group| group["name"] == name);
    let axes = |group: &Value| serde_json::from_value(group["axes"].clone()).unwrap();
    named.map(|group| (group["count"].as_u64().unwrap(), axes(group))).collect()
}

const HEAD: &str = "use std.arith\nlet base = std.models.tiny()\nlet warm = sft { data: arith.train }\n\
                    suite exam { arith: bench(arith.test) }\n";

#[test]
fn thirteen_cells_are_drawn_as_they_always_were() {
    for (format, file) in [("dot", "orderings.dot"), ("mermaid", "orderings.mmd"), ("svg", "orderings.svg")] {
        let path = fixture(&format!("graph/{file}"));
        let made = orderings(&["--format", format]);
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let again =
            format!("cargo run -- graph tests/spec/sweeps/orderings.srlm --format {format} -o {}", path.display());
        assert!(made == kept, "{file} is drawn otherwise; look at it, and keep it by\n  {again}");
    }
}

#[test]
fn json_holds_every_stage_and_the_groups() {
    let all: Value = serde_json::from_str(&orderings(&["--json"])).unwrap();
    let [stages, groups, targets] = ["stages", "groups", "targets"].map(|part| all[part].as_array().unwrap());
    let counted: u64 = groups.iter().map(|group| group["count"].as_u64().unwrap()).sum();
    assert_eq!((stages.len() as u64, groups.len(), targets.len()), (counted, 17, 2));
    for group in groups {
        for member in group["stages"].as_array().unwrap() {
            assert_eq!(stages[member.as_u64().unwrap() as usize]["group"], group["group"]);
        }
    }
    assert_eq!(targets[0]["cells"].as_array().unwrap().len(), 13);
    let first = &targets[0]["cells"][1];
    assert_eq!(first["coordinates"], serde_json::json!({"order": "rl", "seed": "1"}));
    let last = &stages[first["stage"].as_u64().unwrap() as usize];
    assert_eq!((&last["kind"], last["inputs"].as_object().unwrap().len()), (&"evaluate".into(), 2));
}

#[test]
fn expanded_every_stage_has_a_box() {
    let all: Value = serde_json::from_str(&orderings(&["--json"])).unwrap();
    let boxes =
        orderings(&["--expand"]).lines().filter(|line| line.contains("[label=") && !line.contains("->")).count();
    assert_eq!(boxes, all["stages"].as_array().unwrap().len() + all["targets"].as_array().unwrap().len());
}

#[test]
fn stages_of_one_cell_and_of_pipelines_stay_apart() {
    let sweep = |body: &str| format!("{HEAD}sweep s {{ over seed in [1, 2, 3] {body} |> evaluate(exam) }}\n");
    let plain = sweep("return base |> (warm with { seed: seed })");
    assert_eq!(groups(&plain, "warm"), [(3, vec!["seed".to_string()])]);
    let twice = sweep("return base |> (warm with { seed: seed }) |> (warm with { seed: seed })");
    assert_eq!(groups(&twice, "warm").len(), 2, "the second takes from the first");
    let both = sweep(
        "mine = base |> (warm with { seed: seed })\nother = base |> (warm with { seed: 7 })\n\
         return mine |> distill { teacher: other, data: arith.train }",
    );
    assert_eq!(groups(&both, "warm"), [(3, vec!["seed".to_string()]), (1, Vec::new())], "both are in every cell");
    let piped = format!("{plain}pipeline one = base |> warm\npipeline two = base |> (warm with {{ seed: 9 }})\n");
    let counts: Vec<u64> = groups(&piped, "warm").iter().map(|group| group.0).collect();
    assert_eq!(counts, [3, 1, 1], "what no sweep makes is not collapsed");
}

#[test]
fn skipped_cells_do_not_tear_a_group_apart() {
    let text = format!(
        "{HEAD}let more = sft {{ data: arith.easy }}\nsweep s {{ over order in {{ a: warm, b: warm >> more }}\n\
         over seed in [1, 2, 3] skip when order.name == \"b\" and seed > 1\n\
         return base |> (order with {{ seed: seed }}) |> evaluate(exam) }}\n"
    );
    assert_eq!(groups(&text, "warm"), [(3, vec!["seed".to_string()])]);
}

#[test]
fn texts_of_users_break_no_form() {
    let text = format!(
        "{HEAD}sweep s {{ over text in [\"a\\\"b\", \"<x> & `y`\", \"end; |#\", \"\\\\n\", \"größer 漢字\"]\n\
         return base |> sft {{ data: jsonl(\"missing ${{text}}.jsonl\") }} |> evaluate(exam) }}\n"
    );
    for expand in [&[][..], &["--expand"]] {
        let form = |name| drawn(&text, &[&["--format", name], expand].concat());
        well_formed(&form("svg"));
        assert_eq!(form("dot").lines().find(|line| !is_dot(line)), None);
        assert_eq!(form("mermaid").lines().find(|line| !is_mermaid(line)), None);
    }
}

#[test]
fn nothing_covers_anything() {
    let texts =
        [("collapsed", orderings(&["--format", "svg"])), ("expanded", orderings(&["--format", "svg", "--expand"]))];
    for (name, svg) in texts {
        let elements = well_formed(&svg);
        let number = |element: &Element, name: &str| {
            element.1.iter().find(|(n, _)| n == name).unwrap().1.parse::<f64>().unwrap()
        };
        let rects: Vec<[f64; 4]> = elements
            .iter()
            .filter(|element| element.0 == "rect")
            .map(|rect| ["x", "y", "width", "height"].map(|name| number(rect, name)))
            .collect();
        let apart = |a: &[f64; 4], b: &[f64; 4]| {
            a[0] + a[2] <= b[0] || b[0] + b[2] <= a[0] || a[1] + a[3] <= b[1] || b[1] + b[3] <= a[1]
        };
        // The second sheet of a box that stands for several lies behind the first on purpose.
        let sheet = |a: &[f64; 4], b: &[f64; 4]| (a[0] - b[0]).abs() < 4.2 && (a[1] - b[1]).abs() < 4.2;
        for (at, a) in rects.iter().enumerate() {
            for b in &rects[at + 1..] {
                assert!(apart(a, b) || sheet(a, b), "{name}: {a:?} and {b:?}");
            }
        }
        let labels = elements.iter().filter(|element| element.1.iter().any(|(n, v)| n == "class" && v == "r"));
        let labels: Vec<[f64; 4]> = labels
            .map(|label| [number(label, "x"), number(label, "y") - 9.0, label.2.chars().count() as f64 * 6.0, 10.0])
            .collect();
        for (at, a) in labels.iter().enumerate() {
            assert!(rects.iter().chain(&labels[at + 1..]).all(|b| apart(a, b)), "{name}: a label at {a:?} is covered");
        }
    }
}

#[test]
fn the_output_file_says_the_format() {
    let project = Project::quick();
    for (name, start) in [("a.svg", "<svg"), ("a.mmd", "flowchart"), ("a.json", "{\"stages\""), ("a.gv", "digraph")] {
        project.srlm(&["graph", "quick.srlm", "-o", name]).ok();
        let text = std::fs::read_to_string(project.path().join(name)).unwrap();
        assert!(text.starts_with(start), "{name}: {text}");
    }
    assert_eq!(project.srlm(&["graph", "quick.srlm", "--format", "png"]).code(), Some(2));
    assert_eq!(project.srlm(&["graph", "quick.srlm", "-o", "no/such/folder.svg"]).code(), Some(3));
}

#[test]
fn a_file_that_makes_nothing_is_an_empty_graph() {
    for format in ["dot", "mermaid", "svg", "json"] {
        let text = drawn("let a = 1\n", &["--format", format]);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}

/// Name, attributes, and the text behind the opening tag.
type Element = (String, Vec<(String, String)>, String);

/// Reads XML as strictly as the pictures need; panics where it is none.
fn well_formed(xml: &str) -> Vec<Element> {
    let (mut open, mut found) = (Vec::new(), Vec::new());
    for part in xml.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("a tag without an end: {part}"));
        assert!(
            text.split('&').skip(1).all(|rest| ["amp;", "lt;", "gt;", "quot;"].iter().any(|e| rest.starts_with(e)))
        );
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let inner = tag.strip_suffix('/').unwrap_or(tag);
        let (name, mut rest) = inner.split_once(' ').unwrap_or((inner, ""));
        let mut attributes = Vec::new();
        while let Some((attribute, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"').unwrap();
            attributes.push((attribute.trim().to_string(), value.to_string()));
            rest = after;
        }
        assert!(rest.trim().is_empty(), "{tag}");
        if !tag.ends_with('/') {
            open.push(name.to_string());
        }
        found.push((name.to_string(), attributes, text.to_string()));
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    found
}

/// Takes one quoted string off the front.
fn unquoted(text: &str) -> Option<&str> {
    let mut signs = text.strip_prefix('"')?.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\\' => drop(signs.next()),
            '"' => return Some(&text[at + 2..]),
            _ => {}
        }
    }
    None
}

fn is_dot(line: &str) -> bool {
    let line = line.trim();
    let Some((_, label)) = line.split_once("[label=") else {
        return !line.starts_with('n') || line.ends_with(';') || line.ends_with(']');
    };
    unquoted(label).is_some_and(|rest| rest == "];" || (rest.starts_with(", shape=") && rest.ends_with("];")))
}

fn is_mermaid(line: &str) -> bool {
    let quotes = line.matches('"').count();
    let inner = line.split('"').nth(1).unwrap_or_default().replace("<br/>", "");
    [0, 2].contains(&quotes) && !inner.contains(['<', '>', '`', '|'])
}
