//! Pages of modules: the standard library's, and the user's own files.

use super::chapter;
use crate::base::source::Loader;
use crate::diag::Diagnostic;
use crate::driver::{Checked, DiskLoader, Failure, home};
use crate::lang::outline::{ItemOutline, ModuleOutline, Outline, ParamOutline, outline, standard_library};
use crate::lang::program::Program;
use crate::lang::signature::Catalogue;
use crate::lang::types::Type;
use crate::report::page::{Chapter, Entry, Field, List, Page};
use crate::stage;
use std::path::Path;

/// What the book of the library opens with.
pub const OPENING: &str = "\
`use std.reward.{correct}` brings a name in, `use std.reward` a module, and `std` is always known: \
`std.models.tiny()`. The library is written in the language itself; `srlm doc NAME` shows each part of this page alone.";

/// A definition with more lines is not shown.
const LONGEST_DEFINITION: usize = 12;

/// Each module, followed by its items.
pub fn pages(catalogue: &Catalogue) -> Vec<Page> {
    standard_library(catalogue).iter().flat_map(module_pages).collect()
}

/// The book of the library: a chapter a module.
pub fn chapters(catalogue: &Catalogue) -> Vec<Chapter> {
    let modules = standard_library(catalogue);
    let of = |module: &ModuleOutline| {
        let pages = module.items.iter().map(|item| item_page(module, item)).collect();
        chapter(&module.name, module.doc.as_deref().unwrap_or_default(), pages)
    };
    modules.iter().map(of).collect()
}

/// The pages of a file of the user's: the file itself, then its items.
///
/// # Errors
/// [`Failure::Input`] where it cannot be read, [`Failure::File`] where it cannot be parsed.
pub fn file(path: &Path) -> Result<Vec<Page>, Failure> {
    let loader = DiskLoader::new(&home(path));
    let entry = path.to_string_lossy();
    loader.load(&entry).map_err(Failure::Input)?;
    let Outline { module, diagnostics, sources } = outline(&entry, &loader, &stage::catalogue());
    match module {
        Some(module) if !diagnostics.iter().any(Diagnostic::is_error) => Ok(module_pages(&module)),
        _ => Err(Failure::File(Box::new(Checked { program: Program::default(), diagnostics, sources }))),
    }
}

fn module_pages(module: &ModuleOutline) -> Vec<Page> {
    let items = module.items.iter().map(|item| item_page(module, item));
    std::iter::once(module_page(module)).chain(items).collect()
}

fn module_page(module: &ModuleOutline) -> Page {
    let entry = |item: &ItemOutline| Entry::new(item.name.clone(), item.doc.clone().unwrap_or_default());
    let is_std = module.name.starts_with("std.");
    let list = || List { title: "Items".to_string(), entries: module.items.iter().map(entry).collect() };
    Page {
        name: module.name.clone(),
        class: if is_std { "module" } else { "file" },
        signature: if is_std { format!("use {}", module.name) } else { module.name.clone() },
        doc: module.doc.clone().unwrap_or_default(),
        // The pages of a file's items follow its own.
        lists: is_std.then(list).into_iter().collect(),
        ..Page::default()
    }
}

fn item_page(module: &ModuleOutline, item: &ItemOutline) -> Page {
    let prefix = if module.name.starts_with("std.") { format!("{}.", module.name) } else { String::new() };
    let axes = if item.keyword == "sweep" { item.params.as_slice() } else { &[] };
    let mut facts: Vec<Entry> = axes.iter().map(axis).collect();
    let computed = item.ty != Some(Type::Reward);
    let told = item.value.as_ref().filter(|value| computed && !value.contains('\n') && **value != item.written);
    facts.extend(told.map(|value| Entry::new("value", value.clone())));
    facts.extend(item.condition.as_ref().map(|condition| Entry::new("where", condition.clone())));
    Page {
        name: format!("{prefix}{}", item.name),
        class: item.keyword,
        signature: format!("{prefix}{}", item.signature()),
        doc: item.doc.clone().unwrap_or_default(),
        code: definition(item),
        facts,
        fields: if item.keyword == "sweep" { Vec::new() } else { item.params.iter().map(parameter).collect() },
        ..Page::default()
    }
}

fn axis(axis: &ParamOutline) -> Entry {
    let values = axis.default.clone().unwrap_or_default();
    Entry::new(format!("over {}", axis.name), values.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn parameter(param: &ParamOutline) -> Field {
    Field { name: param.name.clone(), ty: param.ty.clone(), default: param.default.clone(), ..Field::default() }
}

/// What is written behind the name, where it is short and the signature does not say it.
fn definition(item: &ItemOutline) -> Option<String> {
    let short = !item.written.is_empty() && item.written.lines().count() <= LONGEST_DEFINITION;
    let form = match item.keyword {
        "let" | "pipeline" => format!("{} {} = {}", item.keyword, item.name, item.written),
        "suite" | "compare" | "profile" => format!("{} {} {}", item.keyword, item.name, item.written),
        _ => return None,
    };
    short.then_some(form)
}
