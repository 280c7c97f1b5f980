//! The formatter: on every program of the repository, on pairs of before and after, and on generated programs.

use super::generate::{Choices, program, ugly};
use crate::base::source::SourceId;
use crate::lang::format::{FormatError, format};
use crate::lang::parse::parse_file;
use crate::lang::tokens::tokens;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The `.srlm` files below some folders.
pub(super) fn programs(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = folders.iter().map(|name| repository().join(name)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("the repository is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "srlm") {
                let text = String::from_utf8_lossy(&std::fs::read(&path).expect("it was listed")).into_owned();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// Tokens and comments in their order.
fn parts(text: &str) -> Vec<String> {
    tokens(text).map(|token| token.text(text).trim_end().replace("\r\n", "\n")).collect()
}

/// The tree of a text without its places; `None` where it has errors.
fn tree(text: &str) -> Option<String> {
    let (file, diagnostics) = parse_file(SourceId(0), text);
    let printed = format!("{:?}", file.items);
    let mut pieces = printed.split("Span { ");
    let first = pieces.next().unwrap_or_default().to_string();
    let rest = pieces.map(|piece| piece.split_once('}').map_or("", |(_, rest)| rest));
    diagnostics.is_empty().then(|| first + &rest.collect::<String>())
}

/// What must hold of every text that parses.
fn holds(text: &str) -> Result<String, String> {
    let done = match format("test", text) {
        Ok(done) => done,
        Err(FormatError::Syntax { diagnostics, .. }) => return Err(format!("it does not parse: {diagnostics:?}")),
        Err(FormatError::Defect(what)) => return Err(what.to_string()),
    };
    let text = &text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let again = format("test", &done).map_err(|error| format!("the result does not format: {error:?}"))?;
    let wrong_ends = done.lines().any(|line| line.ends_with([' ', '\t', '\r']));
    match () {
        () if again != done => Err("the result changes again".into()),
        () if parts(text) != parts(&done) => Err("tokens or comments changed".into()),
        () if tree(text) != tree(&done) => Err("the tree changed".into()),
        () if wrong_ends && !done.contains("${") => Err("a line ends in white space".into()),
        () if !done.is_empty() && (!done.ends_with('\n') || done.ends_with("\n\n")) => Err("a wrong end".into()),
        () if done.contains("\n\n\n") || done.starts_with('\n') => Err("too many blank lines".into()),
        () => Ok(done),
    }
}

#[test]
fn every_program_of_the_repository_keeps_its_meaning() {
    let programs = programs(&["stdlib", "pipelines", "tests", "docs", "../shared/design/examples"]);
    let parsed: Vec<_> = programs.iter().filter(|(_, text)| tree(text).is_some()).collect();
    assert!(parsed.len() >= 30, "only {} programs parse", parsed.len());
    for (path, text) in parsed {
        holds(text).unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
    }
}

#[test]
fn what_is_shipped_is_formatted() {
    let shipped = programs(&["stdlib", "pipelines", "tests/fixtures"]);
    assert!(shipped.len() >= 7);
    for (path, text) in shipped {
        assert_eq!(holds(&text).as_ref(), Ok(&text), "{}: run `srlm fmt` on it", path.display());
    }
}

/// `tests/fmt/NAME.srlm` becomes `tests/fmt/NAME.expected`.
#[test]
fn the_style_is_as_the_pairs_show() {
    let pairs = programs(&["tests/fmt"]);
    assert!(pairs.len() >= 10, "only {} pairs", pairs.len());
    for (path, text) in pairs {
        let done = holds(&text).unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
        let wanted = std::fs::read_to_string(path.with_extension("expected")).unwrap_or_default();
        assert!(done == wanted, "{} becomes\n{done}", path.display());
    }
}

#[test]
fn a_text_with_errors_is_refused_with_all_of_them() {
    let Err(FormatError::Syntax { diagnostics, sources }) = format("bad.srlm", "let a = = 1\nlet b = 2\nlet c =\n")
    else {
        panic!("it has errors");
    };
    let lines: Vec<usize> = diagnostics.iter().filter_map(|found| Some(sources.locate(found.span()?).1.line)).collect();
    assert_eq!(lines, [1, 3]);
}

#[test]
fn marks_and_line_ends_of_other_systems_go() {
    assert_eq!(
        holds("\u{feff}let a = 1\r\n# note\r\n\r\n\r\nlet b = 2").as_deref(),
        Ok("let a = 1\n# note\n\nlet b = 2\n")
    );
    for empty in ["", "\n", " \r\n\n", "\u{feff}"] {
        assert_eq!(holds(empty).as_deref(), Ok(""));
    }
}

#[test]
fn ten_thousand_lines_are_laid_out_in_no_time() {
    let block = "let a = sft {\n data: x # note\n\n\n learning_rate:1e-3 }\npipeline p = a|>b>>c|>evaluate(x,n:3)\n";
    let text = block.repeat(1700);
    let begun = std::time::Instant::now();
    let leaves = crate::lang::format::lay_out(&text).expect("brackets match");
    assert!(leaves.lines().count() > 10_000);
    // Without optimisation, on a busy machine; a quadratic formatter needs minutes.
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn generated_programs_keep_their_meaning(
        what in prop::collection::vec(any::<u8>(), 0..400),
        how in prop::collection::vec(any::<u8>(), 0..800),
    ) {
        let list = program(&mut Choices::new(&what));
        let text = ugly(&mut Choices::new(&how), &list);
        let done = holds(&text).map_err(|wrong| TestCaseError::fail(format!("{wrong}:\n{text}\n---\n{:?}", format("x", &text))))?;
        // White space that breaks no line and holds no comment has no influence.
        let plain = list.join(" ");
        let stretched = list.join("  \t ");
        prop_assert_eq!(holds(&plain).unwrap(), holds(&stretched).unwrap());
        drop(done);
    }

    #[test]
    fn any_text_is_formatted_or_refused(text in "(?s).{0,80}|(?s)(let |x|=|\\{|\\}|\\(|\\)|\"|\\$\\{|#|\n|,|:|return|\\|>|1| ){0,60}") {
        let _ = crate::lang::format::lay_out(&text);
        match format("test", &text) {
            Ok(_) => prop_assert!(holds(&text).is_ok(), "{:?}", holds(&text)),
            Err(FormatError::Syntax { .. }) => {}
            Err(FormatError::Defect(what)) => prop_assert!(false, "{}", what),
        }
    }
}
