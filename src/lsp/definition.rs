//! Where a name is defined, and where it is used.

use super::session::Session;
use super::view::View;
use crate::base::source::Span;
use crate::lang::index::{Symbol, Target};
use lsp_types::{GotoDefinitionParams, GotoDefinitionResponse, Location, ReferenceParams};
use std::path::Path;
use std::sync::Arc;

/// A definition by the text it stands in and its first byte: the same in every program that reads the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// A path, or `std.arith`.
    pub file: String,
    /// The first byte of the name; `None` for a whole module.
    pub start: Option<u32>,
}

/// The definition that a target of a view means; names that the language itself provides have none.
pub fn key(view: &View, target: &Target) -> Option<Key> {
    match target {
        Target::Symbol(index) => {
            let span = view.symbol(*index).span;
            Some(Key { file: view.name(span.source).to_string(), start: Some(span.start) })
        }
        Target::Module(source) => Some(Key { file: view.name(*source).to_string(), start: None }),
        _ => None,
    }
}

/// Where the name under the cursor is defined.
pub fn definition(session: &Session, params: GotoDefinitionParams) -> Result<Option<GotoDefinitionResponse>, String> {
    let found = session.offset(&params.text_document_position_params);
    let location = found.and_then(|(view, offset)| {
        let span = match view.at(offset)?.target {
            Target::Symbol(index) => view.symbol(index).span,
            Target::Module(source) => Span::new(source, 0, 0),
            _ => return None,
        };
        view.location(span, &session.documents, &session.library)
    });
    Ok(location.map(GotoDefinitionResponse::Scalar))
}

/// Where the name under the cursor is used.
pub fn references(session: &Session, params: ReferenceParams) -> Result<Option<Vec<Location>>, String> {
    let Some((view, offset)) = session.offset(&params.text_document_position) else { return Ok(None) };
    let Some(key) = view.at(offset).and_then(|found| key(view, &found.target)) else { return Ok(None) };
    let mut locations: Vec<Location> = Vec::new();
    for view in programs(session, view, &key) {
        for span in uses(&view, &key, params.context.include_declaration) {
            let location = view.location(span, &session.documents, &session.library);
            locations.extend(location.filter(|location| !locations.contains(location)));
        }
    }
    locations.sort_by(|a, b| (a.uri.as_str(), a.range.start).cmp(&(b.uri.as_str(), b.range.start)));
    Ok(Some(locations))
}

/// The places in one program that name a definition.
pub fn uses(view: &View, key_wanted: &Key, with_definition: bool) -> Vec<Span> {
    let meant = |target: &Target| key(view, target).as_ref() == Some(key_wanted);
    let references = view.index().references.iter().filter(|reference| meant(&reference.target));
    let mut spans: Vec<Span> = references.map(|reference| reference.span).collect();
    if with_definition {
        let symbols = (0..view.index().symbols.len()).filter(|&index| meant(&Target::Symbol(index)));
        spans.extend(symbols.map(|index| view.symbol(index).span));
    }
    spans.sort();
    spans.dedup();
    spans
}

/// Files of a project that are searched at most.
const MAX_FILES: usize = 500;
/// Folders below the project's that are searched.
const MAX_DEPTH: usize = 6;

/// The open programs, and those of the project's folder that are not open but hold the word that `key` is known by.
pub fn programs(session: &Session, view: &View, key: &Key) -> Vec<Arc<View>> {
    let mut programs: Vec<Arc<View>> = session.views().cloned().collect();
    let word = word(view, key);
    let holds_it = |path: &String| std::fs::read_to_string(path).is_ok_and(|text| text.contains(&word));
    if view.path.starts_with('/') {
        for path in project_files(&crate::driver::home(Path::new(&view.path))) {
            if session.documents.get(&path).is_none() && holds_it(&path) {
                let found = View::new(&path, &session.documents, &session.catalogue, session.encoding);
                programs.push(Arc::new(found));
            }
        }
    }
    programs
}

/// What every text that names a definition must hold.
fn word(view: &View, key: &Key) -> String {
    let is_it = |symbol: &&Symbol| Some(symbol.span.start) == key.start && view.name(symbol.span.source) == key.file;
    let symbol = view.index().symbols.iter().find(is_it).map(|symbol| symbol.name.as_str());
    let last = key.file.rsplit('/').next().unwrap_or(&key.file);
    let module = last.trim_start_matches("std.").trim_end_matches(".srlm");
    symbol.unwrap_or(module).to_string()
}

/// The `.srlm` files below a folder, in the order of their names; hidden folders are left out.
pub fn project_files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_path_buf(), 0)];
    while let Some((inner, depth)) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&inner) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
            if path.extension().is_some_and(|extension| extension == "srlm") && path.is_file() {
                found.push(path.to_string_lossy().into_owned());
            } else if !is_hidden && depth < MAX_DEPTH && path.is_dir() && !path.is_symlink() {
                open.push((path, depth + 1));
            }
        }
        if found.len() > MAX_FILES {
            break;
        }
    }
    found.sort();
    found.truncate(MAX_FILES);
    found
}
