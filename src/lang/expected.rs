//! What to say where an item does not parse: a known mistake, a missing comma, or what was expected there.

use super::mistakes;
use super::rules::{self, Grammar, Rule};
use crate::base::source::{SourceId, Span};
use crate::diag::{Diagnostic, codes};
use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};

/// Reports that `code`, which begins at byte `base` of its source, is no `rule`.
pub(super) fn syntax_error(
    source: SourceId,
    base: usize,
    rule: Rule,
    code: &str,
    error: &pest::error::Error<Rule>,
) -> Diagnostic {
    let at = position(error);
    if let Some(found) = mistakes::explain(source, base, code, at) {
        return found;
    }
    if let Some(found) = missing_comma(source, base, rule, code, at) {
        return found;
    }
    let expected = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => expected_names(positives),
        ErrorVariant::CustomError { message } => Some(message.clone()),
    };
    let expected = expected.unwrap_or_else(|| "something else".to_string());
    let (message, end) = match code[at..].chars().next() {
        Some(_) => {
            (format!("`{}` is not expected here", mistakes::token(code, at)), at + mistakes::token(code, at).len())
        }
        None => (format!("{} ends too early", if rule == Rule::item_only { "the item" } else { "the value" }), at),
    };
    // An empty place at the end of a text has no picture: its last character stands for it.
    let start = if end == at { code[..at].char_indices().next_back().map_or(at, |(last, _)| last) } else { at };
    Diagnostic::error(
        codes::SYNTAX,
        message,
        Span::new(source, base + start, base + end),
        format!("expected {expected}"),
    )
}

/// The longest item, in bytes, that is parsed again to see whether a comma was all that it lacked.
const MAX_PROBED: usize = 20_000;

/// Two arguments or two items of a list without a comma between them: with one, the parser goes on.
fn missing_comma(source: SourceId, base: usize, rule: Rule, code: &str, at: usize) -> Option<Diagnostic> {
    let begins = |next: char| next.is_ascii_alphanumeric() || matches!(next, '"' | '[' | '{' | '(' | '_');
    if code.len() > MAX_PROBED || !code[at..].starts_with(begins) {
        return None;
    }
    let end = code[..at].trim_end().len();
    match Grammar::parse(rule, &format!("{},{}", &code[..end], &code[end..])) {
        Err(error) if position(&error) <= at + 1 => return None,
        _ => {}
    }
    let before = code[..end].char_indices().next_back().map_or(end, |(last, _)| last);
    let place = Span::new(source, base + before, base + end);
    let next = Span::new(source, base + at, base + at + mistakes::token(code, at).len());
    let found = Diagnostic::error(codes::MISSING_COMMA, "a comma is missing", place, "a comma belongs behind this");
    let found = found.label(next, "before this").help("arguments and items of lists are separated by commas");
    Some(found.fix(Span::new(source, base + end, base + end), ","))
}

fn position(error: &pest::error::Error<Rule>) -> usize {
    match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    }
}

fn expected_names(rules: &[Rule]) -> Option<String> {
    // Whatever a value may start with is "a value", where all of it may stand.
    const STARTS: [Rule; 3] = [Rule::list, Rule::string, Rule::bool];
    let any_value = STARTS.iter().all(|start| rules.contains(start));
    let named = |&rule: &Rule| if any_value && starts_value(rule) { Some("a value") } else { rules::name(rule) };
    let mut names: Vec<&str> = rules.iter().filter_map(named).collect();
    // Behind a value everything that continues one could stand: its own words say no more than "an operator".
    const OPERATORS: [&str; 7] = ["`and`", "`or`", "`in`", "`mod`", "`with`", "`step`", "an argument list"];
    if names.contains(&"an operator") {
        names.retain(|name| !OPERATORS.contains(name));
    }
    names.sort_unstable();
    names.dedup();
    listed(names)
}

fn starts_value(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        named | quantity | number | string | list | record | bool | none | neg | kw_not | ident | if_expr | kw_if
    )
}

/// `a, b or c`
fn listed(names: Vec<&str>) -> Option<String> {
    Some(match names.split_last()? {
        (last, []) => (*last).to_string(),
        (last, others) => format!("{} or {last}", others.join(", ")),
    })
}
