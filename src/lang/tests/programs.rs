//! What programs evaluate to.

use super::{clean, codes, compiled, listed};
use crate::lang::Compilation;
use crate::lang::program::Program;
use crate::lang::value::Value;

const HELLO: &str = include_str!("../../../tests/spec/examples/hello.srlm");

fn arg<'p>(program: &'p Program, kind: &str, name: &str) -> &'p Value {
    let call = program.calls.iter().find(|call| call.kind == kind).expect("the kind is there");
    &call.args.iter().find(|(other, _)| other == name).expect("the field is there").1
}

fn value_of(text: &str) -> Value {
    let done = clean(&format!(
        "pipeline p = init_model {{ layers: 1 hidden: 1 heads: 1 kv_heads: 1 intermediate: 1 vocab: {text} }}"
    ));
    arg(&done.program, "init_model", "vocab").clone()
}

#[test]
fn hello_is_six_stages_in_order() {
    let program = clean(HELLO).program;
    let calls: Vec<_> = program.calls.iter().map(|call| (call.kind.as_str(), call.name.as_str())).collect();
    let wanted = [
        ("init_model", "base"),
        ("arith_problems", "arith.train"),
        ("arith_problems", "arith.test"),
        ("sft", "warm"),
        ("grpo", "reason"),
        ("evaluate", "evaluate"),
    ];
    let mut sorted = calls.clone();
    sorted.sort_unstable();
    let mut wanted_sorted = wanted.to_vec();
    wanted_sorted.sort_unstable();
    assert_eq!(sorted, wanted_sorted);
    for (index, call) in program.calls.iter().enumerate() {
        assert!(call.inputs.iter().all(|(_, input)| input.0 < index), "inputs come before their users");
    }
    assert_eq!(program.pipelines[0].name, "sft_then_rl");
}

#[test]
fn arguments_are_complete_typed_and_in_order() {
    let program = clean(HELLO).program;
    assert_eq!(arg(&program, "sft", "batch").to_json().to_string(), r#"{"seqs":64}"#);
    assert_eq!(arg(&program, "sft", "budget").to_json().to_string(), r#"{"epochs":3.0}"#);
    assert_eq!(arg(&program, "sft", "data"), &Value::Input("data".into()));
    let evaluate = program.calls.iter().find(|call| call.kind == "evaluate").expect("there");
    let roles: Vec<_> = evaluate.inputs.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["model", "suite.arith.data"]);
    let reward = arg(&program, "grpo", "reward").to_json();
    assert_eq!(reward["terms"][1]["weight"], 0.1);
    assert_eq!(reward["terms"][1]["reward"], "tagged");
}

#[test]
fn equal_calls_are_one_and_names_do_not_matter() {
    let twice = clean(
        "let a = sft { data: std.arith.train }\nlet b = sft { data: std.arith.train, seed: 0 }\nlet m = std.models.tiny()\n\
         pipeline p = m |> a\npipeline q = m |> b",
    );
    assert_eq!(twice.program.pipelines[0].target, twice.program.pipelines[1].target);
    assert_eq!(twice.program.calls.len(), 3);
}

#[test]
fn an_ordering_is_a_value() {
    let text = "let m = std.models.tiny()\nlet a = sft { data: std.arith.train }\nlet b = a with { seed: 2 }\n";
    let piped = clean(&format!("{text}pipeline p = m |> a |> b")).program;
    let joined = clean(&format!("{text}pipeline p = m |> (a >> b)")).program;
    let chained = clean(&format!("{text}pipeline p = m |> chain([a, b])")).program;
    let keys = |program: &Program| {
        format!("{:?}", program.calls.iter().map(|call| (&call.args, &call.inputs)).collect::<Vec<_>>())
    };
    assert_eq!(keys(&piped), keys(&joined));
    assert_eq!(keys(&piped), keys(&chained));
}

#[test]
fn arithmetic_has_the_usual_precedence() {
    assert_eq!(value_of("1 + 2 * 3 - 4"), Value::Int(3));
    assert_eq!(value_of("-(2 - 5) mod 2"), Value::Int(1));
    assert_eq!(value_of("if 1 < 2 and not (3 in [1, 2]) then 7 else 8"), Value::Int(7));
    assert_eq!(value_of("[x * x for x in 1..9 step 2 if x > 2][1]"), Value::Int(25));
    assert_eq!(value_of("{ a: { b: 4 } }.a.b"), Value::Int(4));
    assert_eq!(value_of("({ a: 1, b: 2 } with { a: 5 }).a"), Value::Int(5));
}

#[test]
fn paths_are_relative_to_the_file_that_writes_them() {
    let files = [
        (
            "main.srlm",
            "use \"sub/data.srlm\" as d\nlet m = std.models.tiny()\nlet own = jsonl(\"x/../y.jsonl\")\n\
          pipeline p = m |> sft { data: d.rows } |> sft { data: own }",
        ),
        ("sub/data.srlm", "let rows = jsonl(\"rows.jsonl\")"),
    ];
    let done = compiled(&files, &[]);
    assert!(!done.has_errors(), "{}", listed(&done));
    let paths: Vec<_> =
        done.program.calls.iter().filter(|call| call.kind == "jsonl").map(|call| &call.args[0].1).collect();
    assert_eq!(paths, [&Value::Path("y.jsonl".into()), &Value::Path("sub/rows.jsonl".into())]);
}

#[test]
fn the_command_line_sets_params_with_the_same_checks() {
    let text = "param n: Int = 3 where n >= 1\nparam file: Path = \"a.jsonl\"\nlet m = std.models.tiny(layers: n)\n\
                pipeline p = m |> sft { data: jsonl(file) }";
    let done = compiled(&[("main.srlm", text)], &[("n", "2 + 3"), ("file", "\"b.jsonl\"")]);
    assert!(!done.has_errors(), "{}", listed(&done));
    assert_eq!(arg(&done.program, "init_model", "layers"), &Value::Int(5));
    assert_eq!(arg(&done.program, "jsonl", "path"), &Value::Path("b.jsonl".into()));
    let broken = compiled(&[("main.srlm", text)], &[("n", "0")]);
    assert_eq!(broken.diagnostics[0].code, "E042");
    assert_eq!(broken.sources.file(broken.diagnostics[0].labels[0].span.source).name, "-p");
    assert_eq!(broken.sources.file(broken.diagnostics[0].labels[1].span.source).name, "main.srlm");
}

#[test]
fn errors_of_a_file_come_in_one_go_and_do_not_cascade() {
    let text = "let a = sft { data = 3 }\nlet b = sft { data: nowhere }\nlet c = a >> b\nlet m = std.models.tiny()\n\
                pipeline p = m |> c |> evaluate(exam)\nlet d = grpo {\n";
    assert_eq!(codes(text), ["E004", "E020", "E020", "E002"]);
}

#[test]
fn hostile_nesting_and_length_end_in_a_diagnostic() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{ a: ", "}"), ("f(", ")"), ("\"${", "}\""), ("if true then ", "")] {
        let text = format!("let x = {}1{}", open.repeat(5000), close.repeat(5000));
        assert!(!codes(&text).is_empty(), "{open}");
    }
    let arrows = format!("let x: {} Int = 1", "Int -> ".repeat(5000));
    assert!(codes(&arrows).contains(&"E009"));
    let long = format!("let x = 1{}", " + 1".repeat(20_000));
    assert!(codes(&long).is_empty());
    let minus = format!("let x = {}1", "- ".repeat(20_000));
    assert!(codes(&minus).is_empty());
    let deep: String = (1..3000).map(|i| format!("let a{i} = a{} + 1\n", i - 1)).collect();
    assert!(codes(&format!("let a0 = 0\n{deep}")).is_empty());
    let calls: String = (1..300).map(|i| format!("recipe f{i}(x: Int) -> Int = f{}(x)\n", i - 1)).collect();
    assert!(codes(&format!("recipe f0(x: Int) -> Int = x\n{calls}let y = f299(1)")).contains(&"E055"));
}

#[test]
fn the_deepest_nesting_allowed_fits_the_stack() {
    for (open, close) in
        [("(", ")"), ("[", "]"), ("{ a: ", "}"), ("(if true then [(", ")] else [1])"), ("- ( not (", "))")]
    {
        let levels = 48 / open.matches(['(', '[', '{']).count().max(1);
        let text = format!("let x = {}1{}", open.repeat(levels), close.repeat(levels));
        assert!(!codes(&text).contains(&"E009"), "{open}: {:?}", codes(&text));
    }
}

#[test]
fn exponential_and_endless_programs_end() {
    let doubling: String = (1..40).map(|i| format!("recipe f{i}(x: Int) = f{}(x) + f{}(x)\n", i - 1, i - 1)).collect();
    assert!(codes(&format!("recipe f0(x: Int) = x\n{doubling}let y = f39(1)")).contains(&"E055"));
    assert_eq!(codes("let x = 1..2000000"), ["E055"]);
    assert_eq!(codes("let x = 1..9000000000000000000"), ["E055"]);
    assert_eq!(codes("let x = [[j for j in 1..2000] for i in 1..2000]"), ["E055"]);
    let doubled = |first: &str, again: &dyn Fn(usize) -> String| {
        let rest: String = (1..60).map(|i| format!("let a{i} = {}\n", again(i - 1))).collect();
        codes(&format!("let a0 = {first}\n{rest}"))
    };
    assert_eq!(doubled("[1]", &|i| format!("a{i} + a{i}")), ["E055"]);
    assert_eq!(doubled("[1]", &|i| format!("[a{i}, a{i}]")), ["E055"]);
    assert_eq!(doubled("\"x\"", &|i| format!("\"${{a{i}}}${{a{i}}}\"")), ["E055"]);
    assert_eq!(doubled("{ x: 1 }", &|i| format!("{{ p: a{i}, q: a{i} }}")), ["E055"]);
    assert_eq!(doubled("sft { data: std.arith.train }", &|i| format!("a{i} >> a{i}")), ["E055"]);
    assert_eq!(doubled("std.reward.correct", &|i| format!("a{i} + a{i}")), ["E055"]);
}

#[test]
fn no_text_makes_the_compiler_panic() {
    let pieces = [
        "let", " x ", "=", "{", "}", "(", ")", "[", "]", "\"", "${", "|>", ">>", "3epochs", "sft", ":", "é", "\n", "#",
        "with", "1", "-", ".", "\u{feff}",
    ];
    let mut state = 12_345_u64;
    for _ in 0..3000 {
        let mut text = String::from("let a = ");
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        let done = compiled(&[("main.srlm", &text)], &[]);
        crate::diag::render::render(&done.diagnostics, &done.sources, crate::diag::render::Look::Plain, 80);
        places_are_whole_characters(&done);
    }
}

/// Every place that a finding names is cut from its text without parting a character.
fn places_are_whole_characters(done: &Compilation) {
    for found in &done.diagnostics {
        for span in found.labels.iter().map(|label| label.span).chain(found.fix.iter().map(|fix| fix.span)) {
            let text = &done.sources.file(span.source).text;
            assert!(text.get(span.start as usize..span.end as usize).is_some(), "{found:?}");
        }
    }
}

/// Found by fuzzing: a byte order mark is blank, and the last of an item that is never closed.
#[test]
fn a_file_that_ends_in_a_wide_blank_ends_behind_it() {
    let done = compiled(&[("main.srlm", "recipe f(x: Int\nsu\u{feff}# and so on")], &[]);
    assert_eq!(done.diagnostics[0].code, "E002", "{}", listed(&done));
    places_are_whole_characters(&done);
    let end = done.diagnostics[0].labels[1].span;
    assert_eq!(done.sources.text(end), "\u{feff}");
}

#[test]
fn imports_that_form_a_ring_are_shown_as_one() {
    let files = [("main.srlm", "use \"b.srlm\" as b\nlet x = 1"), ("b.srlm", "use \"main.srlm\" as m\nlet y = 2")];
    let done = compiled(&files, &[]);
    assert_eq!(done.diagnostics[0].code, "E027");
    assert!(done.diagnostics[0].message.contains("main.srlm → b.srlm → main.srlm"), "{}", listed(&done));
}

#[test]
fn a_sweep_shares_prefixes_and_has_labels() {
    let text = include_str!("../../../tests/spec/sweeps/orderings.srlm");
    let program = clean(text).program;
    let sweep = &program.sweeps[0];
    assert_eq!(sweep.cells.len(), 13);
    assert_eq!(sweep.axes[1], ("seed".to_string(), vec!["1".to_string(), "2".to_string(), "3".to_string()]));
    let uses = |target: crate::lang::value::NodeId| {
        let mut open = vec![target];
        let mut seen = std::collections::BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(program.call(id).inputs.iter().map(|(_, input)| *input));
            }
        }
        seen.len()
    };
    assert!(sweep.cells.iter().map(|cell| uses(cell.target)).sum::<usize>() > program.calls.len());
    let compare = &program.compares[0];
    assert_eq!((compare.bench.as_str(), compare.metric), ("arith", crate::base::measure::Measure::Accuracy));
    assert_eq!(compare.across.as_deref(), Some("seed"));
}

#[test]
fn an_error_inside_the_library_is_shown_at_the_users_call() {
    let done = compiled(&[("main.srlm", "let m = std.models.tiny(layers: 0)")], &[]);
    let found = &done.diagnostics[0];
    assert_eq!(found.code, "E038");
    assert_eq!(done.sources.locate(found.labels[0].span).0, "main.srlm");
    assert_eq!(done.sources.locate(found.labels[1].span).0, "std.models");
}

#[test]
fn names_come_from_bindings_and_fields_keep_their_places() {
    let text = "let m = std.models.tiny()\nlet warm = sft { data: std.arith.train, seed: 3 }\npipeline p = m |> warm";
    let done = clean(text);
    let warm = done.program.calls.iter().find(|call| call.kind == "sft").expect("there");
    assert_eq!(warm.name, "warm");
    let places: Vec<_> =
        warm.field_spans.iter().map(|(name, span)| (name.as_str(), done.sources.text(*span))).collect();
    assert_eq!(places, [("data", "std.arith.train"), ("seed", "3")]);
}

#[test]
fn compiling_twice_gives_the_same_program() {
    let text = include_str!("../../../tests/spec/sweeps/orderings.srlm");
    let once = || format!("{:?}", clean(text).program);
    assert_eq!(once(), once());
}

#[test]
fn fixes_can_be_applied_by_a_machine() {
    let text = "let a = sft { data: std.arith.train, lr = 1 }\nlet b = 64 seqs\n// c";
    let done = compiled(&[("main.srlm", text)], &[]);
    assert_eq!(done.diagnostics.len(), 3);
    let mut fixed = text.to_string();
    for fix in done.diagnostics.iter().rev().filter_map(|found| found.fix.as_ref()) {
        fixed.replace_range(fix.span.start as usize..fix.span.end as usize, &fix.replacement);
    }
    assert_eq!(fixed, "let a = sft { data: std.arith.train, lr: 1 }\nlet b = 64seqs\n# c");
}

#[test]
fn odd_files_are_read_as_they_are_meant() {
    for text in ["", "\n# only a comment", "\u{feff}let a = 1", "let a = 1\r\nlet b = a\r\n", "let a = \"é${1}ü\" # ö"]
    {
        assert!(codes(text).is_empty(), "{text:?}");
    }
    assert!(codes("let a = 1 # first\n  + 2 # second\n\n# third\nlet b = a").is_empty());
    assert_eq!(codes("let é = 1"), ["E001"]);
}

#[test]
fn modules_give_names_stages_and_suites() {
    let parts = "use std.arith\nsuite exam { arith: bench(arith.test) }\nlet warm = sft { data: arith.train }\n\
                 recipe twice(m: Model, n: Int, seed: Int = 0) -> Model = m |> repeat(warm with { seed: seed }, times: n)";
    let main = "use \"parts.srlm\" as p\nuse \"parts.srlm\".{warm, exam as_}\n";
    assert_eq!(compiled(&[("main.srlm", main), ("parts.srlm", parts)], &[]).diagnostics[0].code, "E047");
    let main = "use \"parts.srlm\" as p\nuse \"parts.srlm\".{warm}\nlet m = std.models.tiny()\n\
                pipeline a = m |> p.twice(2, seed: 1) |> warm |> evaluate(p.exam)\n\
                pipeline b = m |> (p.twice(n: 2) with { seed: 1 }) |> p.warm |> evaluate({ ...p.exam })\n\
                pipeline c = p.twice(m, 2, seed: 1) |> p.warm() |> evaluate({ arith: bench(p.arith.test) })";
    let done = compiled(&[("main.srlm", main), ("parts.srlm", parts)], &[]);
    assert!(done.diagnostics.is_empty(), "{}", listed(&done));
    let targets: Vec<_> = done.program.pipelines.iter().map(|pipeline| pipeline.target).collect();
    assert!(targets.iter().all(|target| *target == targets[0]));
    assert_eq!(done.program.calls.len(), 7);
}
