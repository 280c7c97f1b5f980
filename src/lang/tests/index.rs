//! What an editor is told: every name finds its definition, and every expression keeps its value.

use crate::base::source::{Loader, Span};
use crate::lang::index::{Analysis, SymbolKind, Target};
use crate::lang::{analyse, compile};
use std::collections::BTreeMap;

struct Texts(BTreeMap<&'static str, &'static str>);

impl Loader for Texts {
    fn load(&self, path: &str) -> Result<String, String> {
        self.0.get(path).map(|text| text.to_string()).ok_or_else(|| "not there".to_string())
    }
}

const LIB: &str =
    "## Rows.\nlet rows = arith_problems { split: \"train\" }\nrecipe f(x: Int, n: Int = 2) -> Int = x * n\n";
const MAIN: &str = "use \"lib.srlm\" as lib
use \"lib.srlm\".{f}
let shared = { size: 2 }
let twice = f(shared.size, n: 3)
sweep s {
  over k in [1, 2]
  copy = [k for k in [k]]
  return lib.rows |> dedup
}
compare c { of: s, by: [k] }
";

fn analysed() -> Analysis {
    let texts = Texts(BTreeMap::from([("main.srlm", MAIN), ("lib.srlm", LIB)]));
    analyse("main.srlm", &texts, &[], &super::catalogue::catalogue())
}

/// The kind and the place of what the `count`th `word` of the main file means.
fn meaning(analysis: &Analysis, word: &str, count: usize) -> Option<(SymbolKind, String)> {
    let at = MAIN.match_indices(word).nth(count)?.0 as u32;
    let source = analysis.index.modules.iter().find(|module| module.name == "main.srlm")?.source;
    match analysis.index.at(source, at)?.target {
        Target::Symbol(index) => {
            let symbol = &analysis.index.symbols[index];
            let (file, place) = analysis.compilation.sources.locate(symbol.span);
            Some((symbol.kind, format!("{file}:{}", place.line)))
        }
        _ => None,
    }
}

#[test]
fn every_name_finds_its_definition() {
    let analysis = analysed();
    let found = |word, count| meaning(&analysis, word, count);
    let at = |kind, place: &str| Some((kind, place.to_string()));
    assert_eq!(found("shared", 1), at(SymbolKind::Let, "main.srlm:3"));
    assert_eq!(found("size", 1), at(SymbolKind::Field, "main.srlm:3"));
    assert_eq!(found("f(", 0), at(SymbolKind::Recipe, "lib.srlm:3"));
    assert_eq!(found("n: 3", 0), at(SymbolKind::Parameter, "lib.srlm:3"));
    assert_eq!(found("lib.rows", 0), at(SymbolKind::Alias, "main.srlm:1"));
    assert_eq!(found("rows", 0), at(SymbolKind::Let, "lib.srlm:2"));
    assert_eq!(found("k for", 0), at(SymbolKind::Each, "main.srlm:7"));
    assert_eq!(found("k]]", 0), at(SymbolKind::Axis, "main.srlm:6"));
    assert_eq!(found("k] }", 0), at(SymbolKind::Axis, "main.srlm:6"));
    assert_eq!(found("s, by", 0), at(SymbolKind::Sweep, "main.srlm:5"));
}

#[test]
fn expressions_keep_their_first_value() {
    let analysis = analysed();
    let value = |text: &str| {
        let start = MAIN.find(text).unwrap();
        let source = analysis.index.modules.iter().find(|module| module.name == "main.srlm").unwrap().source;
        let seen = analysis.index.seen.get(&Span::new(source, start, start + text.len())).unwrap();
        (seen.ty.to_string(), seen.value.clone())
    };
    assert_eq!(value("f(shared.size, n: 3)"), ("Int".to_string(), Some("6".to_string())));
    assert_eq!(value("[k for k in [k]]"), ("[Int]".to_string(), Some("[1]".to_string())));
}

#[test]
fn to_analyse_is_to_compile() {
    let texts = Texts(BTreeMap::from([("main.srlm", MAIN), ("lib.srlm", LIB)]));
    let compiled = compile("main.srlm", &texts, &[], &super::catalogue::catalogue());
    let analysed = analysed().compilation;
    assert_eq!(compiled.diagnostics, analysed.diagnostics);
    assert_eq!(format!("{:?}", compiled.program), format!("{:?}", analysed.program));
}
