//! The outline of a document.

use super::session::Session;
use super::view::View;
use crate::lang::index::{Symbol, SymbolKind as Kind};
use lsp_types::{DocumentSymbol, DocumentSymbolParams, DocumentSymbolResponse, SymbolKind};

/// The items of a file, each with its parameters, axes or fields.
pub fn symbols(session: &Session, params: DocumentSymbolParams) -> Result<Option<DocumentSymbolResponse>, String> {
    let Some(view) = session.view(&params.text_document.uri) else { return Ok(None) };
    let is_item =
        |symbol: &Symbol| Some(symbol.span.source) == view.entry && symbol.owner.is_none() && symbol.scope.is_none();
    let items = view.index().symbols.iter().enumerate().filter(|(_, symbol)| is_item(symbol));
    let outline = items.map(|(index, symbol)| entry(view, symbol, view.index().parts_of(index)));
    Ok(Some(DocumentSymbolResponse::Nested(outline.collect())))
}

fn entry<'a>(view: &View, symbol: &Symbol, parts: impl Iterator<Item = &'a Symbol>) -> DocumentSymbol {
    let children: Vec<_> = parts.map(|part| entry(view, part, std::iter::empty())).collect();
    #[expect(deprecated, reason = "a field of the protocol's type that has a successor")]
    DocumentSymbol {
        name: symbol.name.clone(),
        detail: Some(symbol.kind.word().to_string()),
        kind: kind(symbol.kind),
        tags: None,
        deprecated: None,
        range: view.range(symbol.whole),
        selection_range: view.range(symbol.span),
        children: (!children.is_empty()).then_some(children),
    }
}

fn kind(kind: Kind) -> SymbolKind {
    match kind {
        Kind::Recipe => SymbolKind::FUNCTION,
        Kind::Suite => SymbolKind::STRUCT,
        Kind::Pipeline => SymbolKind::EVENT,
        Kind::Sweep => SymbolKind::ARRAY,
        Kind::Compare => SymbolKind::OBJECT,
        Kind::Profile => SymbolKind::NAMESPACE,
        Kind::Alias => SymbolKind::MODULE,
        Kind::Field => SymbolKind::FIELD,
        Kind::Param => SymbolKind::CONSTANT,
        Kind::Let | Kind::Parameter | Kind::Binding | Kind::Axis | Kind::Each => SymbolKind::VARIABLE,
    }
}
