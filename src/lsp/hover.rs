//! What stands under the cursor: type, value, unit, documentation, and what the store holds of it.

use super::describe::{self, fenced, paragraphs};
use super::session::Session;
use super::status::Question;
use super::view::View;
use crate::base::source::Span;
use crate::lang::index::{Seen, SymbolKind, Target};
use crate::lang::tokens::{TokenKind, tokens};
use crate::lang::types::Type;
use crate::lang::units;
use crate::lang::words::Class;
use lsp_types::{Hover, HoverContents, MarkupContent, MarkupKind, TextDocumentPositionParams};

/// What can be said at once, and what is to be looked up in the store.
pub fn hover(session: &Session, at: &TextDocumentPositionParams) -> Option<(Hover, Option<Question>)> {
    let (view, offset) = session.offset(at)?;
    if let Some(found) = view.at(offset)
        && let Some(text) = of_name(session, view, found.span, &found.target)
    {
        return Some((shown(view, found.span, text), question(view, &found.target)));
    }
    if let Some((span, seen)) = of_label(view, offset) {
        return Some((shown(view, span, of_value(seen)?), None));
    }
    if let Some((span, text)) = of_word(view, offset) {
        return Some((shown(view, span, text), None));
    }
    let (span, seen) = view.index().seen_at(view.entry?, offset as u32)?;
    Some((shown(view, span, of_value(seen)?), None))
}

fn of_name(session: &Session, view: &View, span: Span, target: &Target) -> Option<String> {
    let described = describe::target(view, &session.catalogue, target)?;
    let seen = match target {
        // An axis has another value in each cell.
        Target::Symbol(index) if view.symbol(*index).kind == SymbolKind::Axis => None,
        Target::Symbol(index) => view.index().value_of(*index),
        // The fields of a compare are names, not values.
        Target::Field(owner, _) if owner != "compare" => written_after(view, span),
        _ => None,
    };
    let value = seen.and_then(value_line).unwrap_or_default();
    Some(paragraphs([fenced(&described.code), value, described.doc]))
}

/// A keyword, or the name of a type.
fn of_word(view: &View, offset: usize) -> Option<(Span, String)> {
    let source = view.entry?;
    let text = view.lines(source).text();
    let token = tokens(text).find(|token| token.start <= offset && offset < token.end)?;
    let classes: &[Class] = match token.kind {
        TokenKind::Keyword => &[Class::Item, Class::Keyword],
        TokenKind::Name => &[Class::Type],
        _ => return None,
    };
    let described = describe::word(token.text(text), classes)?;
    let span = Span::new(source, token.start, token.end);
    Some((span, paragraphs([fenced(&described.code), described.doc])))
}

/// The value of a field that nothing declares: `name: value` in a record.
fn of_label(view: &View, offset: usize) -> Option<(Span, &Seen)> {
    let source = view.entry?;
    let text = view.lines(source).text();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let start = offset - text.as_bytes()[..offset].iter().rev().take_while(|byte| is_word(**byte)).count();
    let end = offset + text.as_bytes()[offset..].iter().take_while(|byte| is_word(**byte)).count();
    let span = Span::new(source, start, end);
    written_after(view, span).filter(|_| start < end).map(|seen| (span, seen))
}

/// The value of a field: the widest expression that begins next.
fn written_after(view: &View, name: Span) -> Option<&Seen> {
    let last = Span { source: name.source, start: u32::MAX, end: u32::MAX };
    let mut after = view.index().seen.range(Span { start: name.end, end: name.end, ..name }..=last);
    let (first, seen) = after.next()?;
    let between = view.text(Span { start: name.end, end: first.start, ..name });
    let widest = after.take_while(|(span, _)| span.start == first.start).last().map_or(seen, |(_, seen)| seen);
    (between.trim() == ":").then_some(widest)
}

fn of_value(seen: &Seen) -> Option<String> {
    if seen.ty == Type::Unknown {
        return None;
    }
    Some(paragraphs([fenced(&seen.ty.to_string()), value_line(seen).unwrap_or_default()]))
}

/// `= 60steps`, with the units of its dimension; nothing where the type says it all.
fn value_line(seen: &Seen) -> Option<String> {
    // A configured stage is told by its name, which is there; only a join says more.
    let says_more = |value: &&String| match seen.ty {
        Type::Function(..) => value.contains(' '),
        _ => **value != seen.ty.to_string(),
    };
    let value = seen.value.as_ref().filter(says_more)?;
    let units = match seen.ty {
        Type::Quantity(dimension) => format!(" (units: {})", units::of(dimension).join(", ")),
        _ => String::new(),
    };
    let ticks = if value.contains('`') { "``" } else { "`" };
    Some(format!("= {ticks}{value}{ticks}{units}"))
}

/// Stages, pipelines and sweeps of a program without errors are looked up in the store.
fn question(view: &std::sync::Arc<View>, target: &Target) -> Option<Question> {
    let Target::Symbol(index) = target else { return None };
    let symbol = view.symbol(*index);
    let makes = match symbol.kind {
        SymbolKind::Pipeline | SymbolKind::Sweep => true,
        SymbolKind::Let | SymbolKind::Param => {
            let ty = view.index().value_of(*index).map(|seen| &seen.ty);
            matches!(ty, Some(Type::Function(..) | Type::Model | Type::Dataset | Type::Scores))
        }
        _ => false,
    };
    let is_own = Some(symbol.span.source) == view.entry && view.path.starts_with('/');
    let can = makes && is_own && !view.analysis.compilation.has_errors();
    can.then(|| Question { view: view.clone(), name: symbol.name.clone(), kind: symbol.kind })
}

fn shown(view: &View, span: Span, value: String) -> Hover {
    let contents = HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value });
    Hover { contents, range: Some(view.range(span)) }
}
