//! Rename: every use in every program of the project, refused where the meaning of any name would change.

use super::definition::{Key, key, programs, uses};
use super::documents::Documents;
use super::session::Session;
use super::view::View;
use crate::base::source::Span;
use crate::lang::index::{SymbolKind, Target};
use crate::lang::words::is_name;
use lsp_types::{PrepareRenameResponse, RenameParams, TextDocumentPositionParams, TextEdit, Uri, WorkspaceEdit};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The name under the cursor, if it can be changed.
pub fn prepare(session: &Session, params: TextDocumentPositionParams) -> Result<Option<PrepareRenameResponse>, String> {
    let (view, span, _) = renameable(session, &params)?;
    let (range, placeholder) = (view.range(span), view.text(span).to_string());
    Ok(Some(PrepareRenameResponse::RangeWithPlaceholder { range, placeholder }))
}

fn renameable<'a>(
    session: &'a Session,
    at: &TextDocumentPositionParams,
) -> Result<(&'a Arc<View>, Span, usize), String> {
    let (view, offset) = session.offset(at).ok_or("the file is not open")?;
    let found = view.at(offset).ok_or("there is no name here")?;
    let word = view.text(found.span).to_string();
    let index = match found.target {
        Target::Symbol(index) => index,
        Target::Module(_) => return Err(format!("`{word}` is a module: its name is its file's; `as` gives another")),
        _ => return Err(format!("`{word}` belongs to the language")),
    };
    let symbol = view.symbol(index);
    if view.is_std(symbol.span.source) || session.library.holds(view.name(symbol.span.source)) {
        return Err(format!("`{word}` belongs to the standard library"));
    }
    if symbol.kind == SymbolKind::Field {
        return Err(format!("`{word}` is a field: whoever reads the record by that name would not find it"));
    }
    Ok((view, found.span, index))
}

/// The edits that give a definition another name.
pub fn rename(session: &Session, params: RenameParams) -> Result<Option<WorkspaceEdit>, String> {
    let (view, _, index) = renameable(session, &params.text_document_position)?;
    let (old, new) = (view.symbol(index).name.clone(), params.new_name);
    if !is_name(&new) {
        return Err(format!("`{new}` is no name: names are letters, digits and `_`, and no keyword"));
    }
    let Some(wanted) = key(view, &Target::Symbol(index)) else { return Ok(None) };
    let programs = programs(session, view, &wanted);
    let affected: Vec<_> = programs.iter().filter(|view| !uses(view, &wanted, true).is_empty()).collect();
    if let Some(broken) = affected.iter().find(|view| !view.is_whole()) {
        return Err(format!("an item of {} does not parse and may use `{old}`: mend it first", broken.path));
    }
    let edits = edits(&affected, &wanted, &old);
    if edits.keys().any(|file| session.library.holds(file)) {
        return Err(format!("`{old}` belongs to the standard library"));
    }
    let renamed = apply(session, &affected, &edits, &new)?;
    affected.iter().try_for_each(|before| same_meaning(session, before, &renamed, &new))?;
    Ok(Some(workspace_edit(session, &affected, &edits, &new)))
}

/// By file, the places to change.
fn edits(affected: &[&Arc<View>], wanted: &Key, old: &str) -> BTreeMap<String, BTreeSet<(u32, u32)>> {
    let mut edits: BTreeMap<String, BTreeSet<(u32, u32)>> = BTreeMap::new();
    for view in affected {
        // A use by way of `as` has a name of its own.
        for span in uses(view, wanted, true).into_iter().filter(|span| view.text(*span) == old) {
            edits.entry(view.name(span.source).to_string()).or_default().insert((span.start, span.end));
        }
    }
    edits
}

/// The open texts, and those on the disk that change, as they will be.
fn apply(
    session: &Session,
    affected: &[&Arc<View>],
    edits: &BTreeMap<String, BTreeSet<(u32, u32)>>,
    new: &str,
) -> Result<Documents, String> {
    let mut documents = session.documents.clone();
    for (file, places) in edits {
        let text = affected.iter().find_map(|view| text_of(view, file)).ok_or("a file has changed meanwhile")?;
        let mut text = text.to_string();
        for &(start, end) in places.iter().rev() {
            text.replace_range(start as usize..end as usize, new);
        }
        let uri = "untitled:renamed".parse::<Uri>().map_err(|error| error.to_string())?;
        documents.open(file, uri, 0, &text, session.encoding);
    }
    Ok(documents)
}

fn text_of<'a>(view: &'a View, file: &str) -> Option<&'a str> {
    let files = view.analysis.compilation.sources.files();
    files.iter().find(|source| source.name == file).map(|source| &*source.text)
}

/// Refuses where a name would mean something else afterwards, or an error would appear.
fn same_meaning(session: &Session, before: &View, documents: &Documents, new: &str) -> Result<(), String> {
    let after = View::new(&before.path, documents, &session.catalogue, session.encoding);
    let errors = |view: &View| {
        let found = view.analysis.compilation.diagnostics.iter().filter(|found| found.is_error());
        found.map(|found| found.code).collect::<Vec<_>>()
    };
    let meanings = |view: &View| {
        let references = view.index().references.iter();
        references.map(|reference| reference.target.clone()).collect::<Vec<_>>()
    };
    if errors(before) == errors(&after) && meanings(before) == meanings(&after) {
        return Ok(());
    }
    Err(format!("`{new}` means something else already in {}: choose another name", before.path))
}

#[expect(clippy::mutable_key_type, reason = "the protocol's own type of the field")]
fn workspace_edit(
    session: &Session,
    affected: &[&Arc<View>],
    edits: &BTreeMap<String, BTreeSet<(u32, u32)>>,
    new: &str,
) -> WorkspaceEdit {
    let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
    for (file, places) in edits {
        let sources = affected.iter().find_map(|view| {
            let source = view.index().modules.iter().find(|module| module.name == *file)?.source;
            Some((view, source, view.uri(source, &session.documents, &session.library)?))
        });
        if let Some((view, source, uri)) = sources {
            let edit =
                |&(start, end): &(u32, u32)| TextEdit::new(view.range(Span { source, start, end }), new.to_string());
            changes.insert(uri, places.iter().map(edit).collect());
        }
    }
    WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }
}
