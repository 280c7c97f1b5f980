//! Code actions: the fixes that findings carry.

use super::diagnostics::shown;
use super::session::Session;
use super::view::View;
use crate::diag;
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, CodeActionResponse, Range, TextEdit,
    WorkspaceEdit,
};
use std::collections::HashMap;

/// The fixes of findings that touch the range asked about.
pub fn actions(session: &Session, params: CodeActionParams) -> Result<Option<CodeActionResponse>, String> {
    let Some(view) = session.view(&params.text_document.uri) else { return Ok(None) };
    let here = |found: &&diag::Diagnostic| {
        found.span().is_some_and(|span| Some(span.source) == view.entry && touches(view.range(span), params.range))
    };
    let found = view.analysis.compilation.diagnostics.iter().filter(here);
    let actions = found.filter_map(|found| action(session, view, found)).map(CodeActionOrCommand::CodeAction);
    Ok(Some(actions.collect()))
}

fn action(session: &Session, view: &View, found: &diag::Diagnostic) -> Option<CodeAction> {
    let fix = found.fix.as_ref()?;
    if view.is_std(fix.span.source) {
        return None;
    }
    let uri = view.uri(fix.span.source, &session.documents, &session.library)?;
    let edit = TextEdit::new(view.range(fix.span), fix.replacement.clone());
    // The key's hash is that of its text, which never changes.
    #[expect(clippy::mutable_key_type, reason = "the protocol's own type of the field")]
    let changes = HashMap::from([(uri, vec![edit])]);
    Some(CodeAction {
        title: title(view, fix),
        kind: Some(CodeActionKind::QUICKFIX),
        diagnostics: Some(vec![shown(session, view, found)]),
        edit: Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }),
        is_preferred: Some(true),
        ..CodeAction::default()
    })
}

fn title(view: &View, fix: &diag::Fix) -> String {
    let (old, new) = (view.text(fix.span).trim(), fix.replacement.trim());
    match (old, new) {
        (_, "") => format!("remove `{old}`"),
        ("", _) => format!("add `{new}`"),
        _ => format!("replace `{old}` by `{new}`"),
    }
}

fn touches(one: Range, other: Range) -> bool {
    one.start <= other.end && other.start <= one.end
}
