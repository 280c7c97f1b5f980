//! Findings as the protocol shows them, each at the file it is about.

use super::session::Session;
use super::view::View;
use crate::base::source::{SourceId, Span};
use crate::diag::{self, Severity, codes};
use lsp_types::{
    Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, DiagnosticTag, Location, NumberOrString, Uri,
};
use std::collections::BTreeMap;

/// The findings of all open programs by file; open files without any have an empty list.
pub fn by_file(session: &Session) -> BTreeMap<String, (Uri, Vec<Diagnostic>)> {
    let mut found: BTreeMap<String, (Uri, Vec<Diagnostic>)> = BTreeMap::new();
    for (path, document) in session.documents.iter() {
        found.insert(path.clone(), (document.uri.clone(), Vec::new()));
    }
    for view in session.views() {
        for diagnostic in &view.analysis.compilation.diagnostics {
            let Some(source) = diagnostic.span().map(|span| span.source) else { continue };
            let Some(uri) = view.uri(source, &session.documents, &session.library) else { continue };
            let shown = shown(session, view, diagnostic);
            let (_, list) = found.entry(view.name(source).to_string()).or_insert((uri, Vec::new()));
            // Two programs that import a file find the same in it.
            if !list.contains(&shown) {
                list.push(shown);
            }
        }
    }
    found
}

/// A finding as the protocol shows it.
pub fn shown(session: &Session, view: &View, found: &diag::Diagnostic) -> Diagnostic {
    let span = found.span().unwrap_or(Span::new(SourceId(0), 0, 0));
    let related: Vec<_> = found.labels.iter().skip(1).filter_map(|label| related(session, view, label)).collect();
    Diagnostic {
        range: view.range(span),
        severity: Some(match found.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(found.code.to_string())),
        source: Some("srlm".to_string()),
        message: message(found),
        related_information: (!related.is_empty()).then_some(related),
        tags: (found.code == codes::UNUSED).then(|| vec![DiagnosticTag::UNNECESSARY]),
        ..Diagnostic::default()
    }
}

fn message(found: &diag::Diagnostic) -> String {
    match &found.help {
        Some(help) => format!("{}\n{help}", found.message),
        None => match found.labels.first() {
            Some(label) if !label.text.is_empty() => format!("{}\n{}", found.message, label.text),
            _ => found.message.clone(),
        },
    }
}

fn related(session: &Session, view: &View, label: &diag::Label) -> Option<DiagnosticRelatedInformation> {
    let location: Location = view.location(label.span, &session.documents, &session.library)?;
    Some(DiagnosticRelatedInformation { location, message: label.text.clone() })
}
