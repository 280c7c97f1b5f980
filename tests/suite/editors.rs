//! The grammars for editors, held against every program in the repository: all of it is understood and coloured.

use giallo::{HighlightOptions, Registry, ThemeVariant};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tree_sitter::{Node, Parser, Query, QueryCursor, StreamingIterator, Tree};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every program in the repository that parses, with its text.
fn programs() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = ["stdlib", "pipelines", "tests"].map(|name| root().join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "srlm") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(parses(&text).then_some((path, text)));
            }
        }
    }
    found.sort();
    assert!(found.len() > 25, "only {} programs", found.len());
    found
}

/// Whether a text has no error of syntax: only then the formatter takes it.
fn parses(text: &str) -> bool {
    srlm::lang::format::format("case", text).is_ok()
}

fn parsed(text: &str) -> Tree {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_srlm::LANGUAGE.into()).unwrap();
    parser.parse(text, None).unwrap()
}

fn leaves<'t>(node: Node<'t>, found: &mut Vec<Node<'t>>) {
    if node.child_count() == 0 {
        found.push(node);
    }
    let mut cursor = node.walk();
    node.children(&mut cursor).for_each(|child| leaves(child, found));
}

#[test]
fn the_tree_sitter_grammar_understands_every_program() {
    for (path, text) in programs() {
        let tree = parsed(&text);
        let mut all = Vec::new();
        leaves(tree.root_node(), &mut all);
        let wrong = all.iter().find(|leaf| leaf.is_missing() || leaf.parent().is_some_and(|parent| parent.is_error()));
        let at = wrong.map(|leaf| leaf.start_position());
        assert!(!tree.root_node().has_error(), "{}: {at:?}\n{}", path.display(), tree.root_node().to_sexp());
    }
    assert!(parsed("let = = 1").root_node().has_error());
}

#[test]
fn the_tree_sitter_queries_colour_every_program() {
    let language = tree_sitter_srlm::LANGUAGE.into();
    let query = Query::new(&language, tree_sitter_srlm::HIGHLIGHTS_QUERY).unwrap();
    for (path, text) in programs() {
        let tree = parsed(&text);
        let mut coloured = BTreeSet::new();
        let mut cursor = QueryCursor::new();
        let mut captures = cursor.captures(&query, tree.root_node(), text.as_bytes());
        while let Some((found, index)) = captures.next() {
            coloured.insert(found.captures()[*index].node.id());
        }
        let mut all = Vec::new();
        leaves(tree.root_node(), &mut all);
        for leaf in all.iter().filter(|leaf| !leaf.byte_range().is_empty() && leaf.kind() != "\u{feff}") {
            let around = std::iter::successors(Some(*leaf), Node::parent);
            let has_colour = around.map(|node| node.id()).any(|id| coloured.contains(&id));
            assert!(has_colour, "{}: {leaf:?} has no colour", path.display());
        }
    }
}

/// A theme that gives every scope of the grammar a colour of its own.
const COLOURS: &[(&str, &str)] = &[
    ("comment", "#000001"),
    ("string", "#000002"),
    ("keyword", "#000003"),
    ("constant", "#000004"),
    ("variable", "#000005"),
    ("entity", "#000006"),
    ("support", "#000007"),
    ("punctuation", "#000008"),
    ("invalid", "#0000ff"),
];

fn registry(folder: &Path) -> Registry {
    let token =
        |(scope, colour): &(&str, &str)| serde_json::json!({ "scope": scope, "settings": { "foreground": colour } });
    let theme = serde_json::json!({
        "name": "scopes",
        "type": "dark",
        "colors": { "editor.foreground": "#ffffff", "editor.background": "#000000" },
        "tokenColors": COLOURS.iter().map(token).collect::<Vec<_>>(),
    });
    let path = folder.join("scopes.json");
    std::fs::write(&path, theme.to_string()).unwrap();
    let mut registry = Registry::default();
    registry.add_grammar_from_path(root().join("docs/editors/vscode/srlm.tmLanguage.json")).unwrap();
    registry.add_theme_from_path(path).unwrap();
    registry.link_grammars();
    registry
}

/// The pieces of a text and the scope of each by its first word.
fn scopes(registry: &Registry, text: &str) -> Vec<(String, String)> {
    let options = HighlightOptions::new("srlm", ThemeVariant::Single("scopes")).merge_same_style_tokens(false);
    let highlighted = registry.highlight(text, &options.merge_whitespace(false)).unwrap();
    let mut found = Vec::new();
    for piece in highlighted.tokens.into_iter().flatten() {
        let ThemeVariant::Single(style) = piece.style else { continue };
        let colour = style.foreground.as_hex().to_lowercase();
        let scope = COLOURS.iter().find(|(_, known)| colour.starts_with(known)).map_or("none", |(scope, _)| *scope);
        found.push((piece.text, scope.to_string()));
    }
    found
}

#[test]
fn the_textmate_grammar_colours_every_program() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    for (path, text) in programs() {
        for (piece, scope) in scopes(&registry, &text) {
            let is_coloured = scope != "none" && scope != "invalid";
            let is_blank = piece.trim_matches('\u{feff}').trim().is_empty();
            assert!(is_coloured || is_blank, "{}: `{piece}` is {scope}", path.display());
        }
    }
}

#[test]
fn the_textmate_grammar_tells_kinds_apart() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    let found = scopes(&registry, "let warm = sft { budget: 3epochs, x: \"a ${b + \"#\"} c\" } # end\n");
    let scope = |piece: &str| found.iter().find(|(text, _)| text.trim() == piece).map(|(_, scope)| scope.as_str());
    let expected = [
        ("let", "keyword"),
        ("warm", "variable"),
        ("sft", "entity"),
        ("budget", "variable"),
        ("3", "constant"),
        ("epochs", "keyword"),
        ("a", "string"),
        ("b", "variable"),
        ("c", "string"),
        ("# end", "comment"),
    ];
    for (piece, wanted) in expected {
        assert_eq!(scope(piece), Some(wanted), "`{piece}` in {found:?}");
    }
}
