//! The parser by hand held against the grammar: on every program of the repository, on generated ones, and on both with
//! random changes.

use super::format::programs;
use super::generate::{Choices, program, ugly};
use crate::lang::parse::both_ways;
use crate::lang::tokens::tokens;
use proptest::prelude::*;

/// How many items of a text parse, which both parsers must say alike, with equal trees and places.
fn agree(text: &str) -> Result<usize, String> {
    let mut parsed = 0;
    for (code, by_hand, by_grammar) in both_ways(text) {
        let (ours, theirs) = (format!("{by_hand:#?}"), format!("{by_grammar:#?}"));
        if ours != theirs {
            return Err(format!("{code}\n--- by hand\n{ours}\n--- by the grammar\n{theirs}"));
        }
        parsed += usize::from(by_hand.is_some());
    }
    Ok(parsed)
}

fn repository() -> Vec<String> {
    let found = programs(&["stdlib", "pipelines", "tests", "docs", "fuzz", "../shared/design/examples"]);
    found.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn every_program_of_the_repository_has_one_tree() {
    let parsed: usize = repository().iter().map(|text| agree(text).unwrap_or_else(|wrong| panic!("{wrong}"))).sum();
    assert!(parsed >= 1_000, "only {parsed} items parse");
}

#[test]
fn corners_of_the_grammar_have_one_tree() {
    for text in [
        "let a = 1...b",
        "let a = { x: 1...b }",
        "let a = {...b.c(1)[2] ...d}",
        "let a = 1 . x",
        "let a = 1. .x",
        "let a = b. .c",
        "let a = 1..2..3",
        "let a = 1.5_0",
        "let a = [1_, 1__0, 1e5, 1e+5, 2e, 2e+, 1.e3, 1%x]",
        "let a = { x: 1%y: 2 }",
        "let a = 64seqs_b",
        "let a = 5MB/s/2",
        "let a = 99999999999999999999",
        "let a = 1e999",
        "let a = b step : 1",
        "let a = 1..9 step\n= 2",
        "let a = - - not not b",
        "let a = not -b",
        "let a = -not b",
        "let a = b->c",
        "let a = b -\n> c",
        "let a = if b then c else d with { e: 1 }",
        "let a = -if b then c else d",
        "let a = [b for c in if d then e else f]",
        "let a = [b for c in d in e if f in g]",
        "let a = [b for c in d, e]",
        "let a = [,]",
        "let a = [b,,c]",
        "let a = f(,)",
        "let a = f(b c)",
        "let a = f(b: 1, ...c, if d then e else f,)",
        "let a = f(step: 1)",
        "let a = f\n(b)\n[c]\n.d",
        "let a = truely",
        "let a = true.x",
        "let a = none(1)",
        "let a = true { b: 1 }",
        "let a = { in: 1 }",
        "let a = { \"b ${c}\": 1 }",
        "let a = { \"\": 1, \"\\n\": 2 }",
        "let a = \"\\x\"",
        "let a = \"$ $$ \\$ $\"",
        "let a = \"${ # }\n b }\"",
        "let a = \"${ b } \"",
        "let a = \"é${\"${1}\"}\u{0}\"",
        "let a = b\u{c}",
        "let a = b\u{a0}",
        "let a: \"b\" # note\n | \"c\" # note\n = 1",
        "let a: \"b${c}\" = 1",
        "let a: B? # note\n = 1",
        "let a: B? -> C -> [D?] # note\n = 1",
        "let a: B?? = 1",
        "let a: B. .C = 1",
        "let a: { b: C, d: E f: G } = 1",
        "let a: { b: C,, } = 1",
        "let a == 1",
        "let let = 1",
        "let lets = 1",
        "use std",
        "use std.a.b.{c, d,} ",
        "use std.a.{}",
        "use std.a as b",
        "use std.{a} as b",
        "use std..a",
        "use\"b.srlm\"as c",
        "use \"${b}\"",
        "param a: B = 1 where a > 0",
        "param a = 1",
        "recipe a() = 1",
        "recipe a(b: C = 1, d: E,) -> F { g = 1 return g }",
        "recipe a { return 1 }",
        "recipe a() { g = 1 }",
        "recipe a() { return 1 g = 1 }",
        "recipe a() { returned = 1 return returned }",
        "pipeline a(b: C) { return b }",
        "sweep a { over b in [1] skip when b c = 1 return c }",
        "sweep a { return 1 }",
        "sweep a { over b in [1] c = 1 skip when b return c }",
        "suite a { b: 1 c: 2, }",
        "compare a",
        "profile a {} b",
        "let",
    ] {
        agree(text).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}

/// A text with some of its tokens, or of its bytes, removed, doubled, swapped or replaced.
fn changed(text: &str, choices: &mut Choices) -> String {
    const OTHERS: [&str; 24] = [
        ".", "..", "...", "-", ">", "->", "?", "|", "{", "}", "(", ")", "[", "]", ",", ":", "=", "if", "step",
        "return", "_", "1e5", "\"", " # x\n",
    ];
    let mut parts: Vec<String> = tokens(text).map(|token| token.text(text).to_string()).collect();
    for _ in 0..=choices.below(4) {
        // One byte says little where there are many tokens.
        let mut place = || (choices.below(256) * 256 + choices.below(256)) % parts.len().max(1);
        let (at, other) = (place(), place());
        if parts.is_empty() {
            break;
        }
        match choices.below(6) {
            0 => drop(parts.remove(at)),
            1 => parts.insert(at, parts[other].clone()),
            2 => parts.swap(at, other),
            3 => parts.insert(at, OTHERS[choices.below(OTHERS.len())].to_string()),
            4 => parts[at] = OTHERS[choices.below(OTHERS.len())].to_string(),
            _ => drop(parts[at].pop()),
        }
    }
    let glue = ["", " ", "\n", " # note\n"];
    let glued = parts.iter().map(|part| format!("{part}{}", glue[[1, 1, 1, 1, 1, 2, 3, 0][choices.below(8)]]));
    glued.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn generated_programs_have_one_tree(
        what in prop::collection::vec(any::<u8>(), 0..400),
        how in prop::collection::vec(any::<u8>(), 0..800),
    ) {
        let text = ugly(&mut Choices::new(&how), &program(&mut Choices::new(&what)));
        agree(&text).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn changed_programs_have_one_tree_or_none(
        what in prop::collection::vec(any::<u8>(), 0..400),
        how in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let text = program(&mut Choices::new(&what)).join(" ");
        agree(&changed(&text, &mut Choices::new(&how))).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn changed_programs_of_the_repository_have_one_tree_or_none(
        which in any::<usize>(),
        how in prop::collection::vec(any::<u8>(), 0..800),
    ) {
        let all = repository();
        agree(&changed(&all[which % all.len()], &mut Choices::new(&how))).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn any_text_has_one_tree_or_none(
        text in "let a = (?s)(x|1|=|\\{|\\}|\\(|\\)|\\[|\\]|\"|\\$\\{|#|\n|,|:|return|\\|>|-| |\\.|step|if|then|else|for|in|with|not|e5|_|%){0,40}",
    ) {
        agree(&text).map_err(TestCaseError::fail)?;
    }
}
