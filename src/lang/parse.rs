//! Text to tree: each item that the scanner cut is parsed apart, by several threads where there are many.

use super::ast::*;
use super::build::{Builder, kids};
use super::direct;
use super::expected::syntax_error;
use super::rules::{Grammar, Rule};
use super::scan::{self, Slice};
use crate::base::source::{SourceId, Span};
use crate::diag::{Diagnostic, codes};
use pest::Parser;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Items that one thread parses at a time.
const SHARE: usize = 256;
/// Items after which threads meet, to see whether so much is wrong that the rest need not be parsed.
const ROUND: usize = 16 * SHARE;
/// Parsing recurses with the nesting of an item, which is bounded, but not by a thread's usual stack.
const STACK_BYTES: usize = 64 << 20;

/// Parses a file: the items that are well formed, and what is wrong with the others. Items are parsed apart, by several
/// threads where there are many; neither the tree nor what is found depends on how many threads there are.
pub(super) fn parse_file(source: SourceId, text: &str) -> (File, Vec<Diagnostic>) {
    let scan = scan::scan(source, text);
    let mut done = Parsed { file: File::default(), diagnostics: scan.diagnostics };
    for round in scan.slices.chunks(ROUND) {
        // Who has so many broken items is helped by the first of them.
        if done.diagnostics.len() > scan::MAX_FOUND {
            done.file.broken.extend(round.iter().filter_map(|slice| second_word(slice.code(&scan.masked))));
            continue;
        }
        for share in parse_round(source, &scan.masked, round) {
            done.file.items.extend(share.file.items);
            done.file.broken.extend(share.file.broken);
            done.diagnostics.extend(share.diagnostics);
        }
    }
    (done.file, done.diagnostics)
}

/// Some items of a file, and what is wrong with others.
#[derive(Default)]
struct Parsed {
    file: File,
    diagnostics: Vec<Diagnostic>,
}

/// Parses the shares of a round side by side, and returns them in their order.
fn parse_round(source: SourceId, text: &str, round: &[Slice]) -> Vec<Parsed> {
    let shares: Vec<&[Slice]> = round.chunks(SHARE).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(shares.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let taken = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let taken = taken.map_while(|at| Some((at, parse_share(source, text, shares.get(at)?))));
        taken.collect::<Vec<_>>()
    };
    let mut parsed = std::thread::scope(|scope| {
        let spawn = || std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).ok();
        // Where no thread is to be had, this one does all of it.
        let helpers: Vec<_> = (1..threads).filter_map(|_| spawn()).collect();
        let own = work();
        let theirs = helpers.into_iter().map(|helper| helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        theirs.chain([own]).flatten().collect::<Vec<_>>()
    });
    parsed.sort_by_key(|&(at, _)| at);
    parsed.into_iter().map(|(_, share)| share).collect()
}

fn parse_share(source: SourceId, text: &str, share: &[Slice]) -> Parsed {
    let mut done = Parsed::default();
    share.iter().for_each(|slice| parse_item(source, slice, slice.code(text), &mut done));
    done
}

fn parse_item(source: SourceId, slice: &Slice, code: &str, done: &mut Parsed) {
    let item = match slice.broken {
        true => None,
        false => {
            direct::item(source, code, slice.start).or_else(|| by_grammar(source, slice, code, &mut done.diagnostics))
        }
    };
    match item {
        Some(kind) => {
            let span = Span::new(source, slice.start, slice.end);
            done.file.items.push(Item { doc: slice.doc.clone(), span, kind });
        }
        None => done.file.broken.extend(second_word(code)),
    }
}

/// The item by the parser of the grammar, which says what is wrong with it.
fn by_grammar(source: SourceId, slice: &Slice, code: &str, found: &mut Vec<Diagnostic>) -> Option<ItemKind> {
    let mut builder = Builder { source, code, base: slice.start, diagnostics: Vec::new() };
    let item = match Grammar::parse(Rule::item_only, code) {
        Ok(mut pairs) => pairs.next().and_then(|pair| kids(pair).next()).and_then(|pair| builder.item(pair)),
        Err(error) => {
            builder.diagnostics.push(syntax_error(source, slice.start, Rule::item_only, code, &error));
            None
        }
    };
    found.append(&mut builder.diagnostics);
    item
}

/// Each item of a text as the two parsers see it: by hand, and by the grammar where that finds nothing wrong.
#[cfg(test)]
pub(super) fn both_ways(text: &str) -> Vec<(String, Option<ItemKind>, Option<ItemKind>)> {
    let source = SourceId(7);
    let scan = scan::scan(source, text);
    let whole = scan.slices.iter().filter(|slice| !slice.broken);
    let both = whole.map(|slice| {
        let (code, mut found) = (slice.code(&scan.masked), Vec::new());
        let item = by_grammar(source, slice, code, &mut found).filter(|_| found.is_empty());
        (code.to_string(), direct::item(source, code, slice.start), item)
    });
    both.collect()
}

/// Parses one expression: the value of `-p name=expr`, which starts at byte `base` of its source.
pub(super) fn parse_expr(source: SourceId, text: &str, base: usize) -> Result<Expr, Vec<Diagnostic>> {
    let code = text.get(base..).unwrap_or_default();
    // The scanner checks brackets and depth of items; a made-up item lends that to a bare expression.
    let scan = scan::scan(source, &format!("let {text}"));
    if scan.slices.iter().any(|slice| slice.broken) {
        let span = Span::new(source, base, text.len());
        return Err(vec![Diagnostic::error(
            codes::SYNTAX,
            "this is not a value",
            span,
            "brackets or quotes do not match",
        )]);
    }
    let mut builder = Builder { source, code, base, diagnostics: Vec::new() };
    let parsed = Grammar::parse(Rule::expr_only, code)
        .map_err(|error| vec![syntax_error(source, base, Rule::expr_only, code, &error)])?;
    let expr = parsed.flatten().find(|pair| pair.as_rule() == Rule::expr).and_then(|pair| builder.expr(pair));
    match expr {
        Some(expr) if builder.diagnostics.is_empty() => Ok(expr),
        _ => Err(builder.diagnostics),
    }
}

fn second_word(code: &str) -> Option<String> {
    let after = code.split_once(char::is_whitespace)?.1.trim_start();
    let length = after.bytes().take_while(|&byte| scan::is_word(byte)).count();
    (length > 0).then(|| after[..length].to_string())
}
