//! Names to definitions: loads the modules a file imports, and finds cycles among imports and items.

use super::ast::{File, Ident, Item, ItemKind, Use, UsePath};
use super::scan::MAX_FOUND;
use super::{MAX_FILE_BYTES, nearest::nearest, parse, prelude, references};
use crate::base::source::{Loader, SourceId, SourceMap, Span};
use crate::diag::{Diagnostic, codes};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Index of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ModuleId(pub usize);

/// What a name of a module stands for.
#[derive(Clone, Debug)]
pub(super) enum Definition {
    /// An item of the module.
    Item(usize),
    /// A whole module.
    Module(ModuleId),
    /// An item of another module.
    Imported(ModuleId, String),
    /// The module `std`.
    Std,
    /// Something that was reported already.
    Broken,
}

/// A file with its names resolved.
pub(super) struct Module {
    /// The short name: `arith`, or the path as shown.
    pub name: String,
    /// Whether it is part of the standard library.
    pub is_std: bool,
    /// The id of its text.
    pub source: SourceId,
    /// Its text, which some fixes quote.
    pub text: Arc<str>,
    /// The folder that its paths are relative to; empty for the project's root.
    pub dir: String,
    /// Its items.
    pub file: File,
    /// Its names.
    pub names: BTreeMap<String, Definition>,
    /// For each item the items of this module that it uses.
    pub uses: Vec<Vec<usize>>,
    /// Items that need themselves.
    pub cyclic: BTreeSet<usize>,
}

/// Everything that was loaded.
pub(super) struct Resolved {
    /// The modules, the standard library first.
    pub modules: Vec<Arc<Module>>,
    /// The module of the file that was asked for, where it could be read.
    pub entry: Option<ModuleId>,
    /// Every text.
    pub sources: SourceMap,
    /// What is wrong so far.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads `entry`, all it imports, and the whole standard library.
pub(super) fn resolve(entry: &str, loader: &dyn Loader) -> Resolved {
    let mut resolver = Resolver::new(loader);
    prelude::MODULES.iter().for_each(|&(name, _)| _ = resolver.std(name));
    resolver.entry(entry)
}

/// Loads `entry`, all it imports, and of the standard library what is named in a file or in one of the texts `given`:
/// enough for a program without unknown names, and sooner there.
pub(super) fn resolve_named<'t>(entry: &str, loader: &dyn Loader, given: impl Iterator<Item = &'t str>) -> Resolved {
    let mut resolver = Resolver::new(loader);
    resolver.named_only = true;
    given.for_each(|text| resolver.std_named_in(text));
    resolver.entry(entry)
}

/// The text of a module of the standard library: these are the first texts there are.
fn std_source(name: &str) -> SourceId {
    SourceId(prelude::MODULES.iter().take_while(|(other, _)| *other != name).count() as u32)
}

enum Origin {
    Std(&'static str),
    File(String),
}

impl Origin {
    fn key(&self) -> String {
        match self {
            Origin::Std(name) => format!("std.{name}"),
            Origin::File(path) => path.clone(),
        }
    }
}

struct Resolver<'a> {
    loader: &'a dyn Loader,
    sources: SourceMap,
    modules: Vec<Arc<Module>>,
    loaded: BTreeMap<String, Option<ModuleId>>,
    /// The files on the way from the entry to the one being read.
    loading: Vec<String>,
    /// Whether modules of the standard library are loaded as they are named.
    named_only: bool,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Resolver<'a> {
    fn new(loader: &'a dyn Loader) -> Self {
        // All of them, so that a text has the same id whatever is loaded.
        let mut sources = SourceMap::default();
        prelude::MODULES.iter().for_each(|&(name, text)| _ = sources.add(Origin::Std(name).key(), text));
        Resolver {
            loader,
            sources,
            modules: Vec::new(),
            loaded: BTreeMap::new(),
            loading: Vec::new(),
            named_only: false,
            diagnostics: Vec::new(),
        }
    }

    fn entry(mut self, entry: &str) -> Resolved {
        let module = match self.loader.load(entry) {
            Ok(text) => self.add(Origin::File(normalised(entry)), text),
            Err(why) => {
                self.unreadable_entry(entry, &why);
                None
            }
        };
        let Resolver { sources, modules, diagnostics, .. } = self;
        Resolved { modules, entry: module, sources, diagnostics }
    }

    /// The module of the standard library with that name, loaded at its first use.
    fn std(&mut self, name: &str) -> Option<ModuleId> {
        let &(name, text) = prelude::MODULES.iter().find(|(known, _)| *known == name)?;
        let key = Origin::Std(name).key();
        match self.loaded.get(&key) {
            Some(loaded) => *loaded,
            None if self.loading.contains(&key) => None,
            None => self.add(Origin::Std(name), text.to_string()),
        }
    }

    /// Loads the modules whose names occur in a text: whatever it uses of them, it cannot do without their names.
    fn std_named_in(&mut self, text: &str) {
        let named = prelude::MODULES.iter().filter(|(name, _)| text.contains(name));
        named.for_each(|&(name, _)| _ = self.std(name));
    }

    fn unreadable_entry(&mut self, entry: &str, why: &str) {
        let source = self.sources.add(entry, "");
        let message = format!("`{entry}` cannot be read: {why}");
        let found = Diagnostic::error(codes::NO_SUCH_MODULE, message, Span::new(source, 0, 0), "");
        self.diagnostics.push(found.help("check the path"));
    }

    fn add(&mut self, origin: Origin, text: String) -> Option<ModuleId> {
        let key = origin.key();
        if text.len() > MAX_FILE_BYTES {
            self.too_long(key);
            return None;
        }
        let is_std = matches!(origin, Origin::Std(_));
        let source = match origin {
            Origin::Std(name) => std_source(name),
            Origin::File(_) => self.sources.add_file(key.clone(), text.as_str()),
        };
        let text = self.sources.file(source).text.clone();
        self.loading.push(key.clone());
        if self.named_only {
            self.std_named_in(&text);
        }
        let (file, diagnostics) = parse::parse_file(source, &text);
        self.diagnostics.extend(diagnostics);
        let (name, dir) = match &origin {
            Origin::Std(name) => (name.to_string(), String::new()),
            Origin::File(path) => (path.clone(), directory(path)),
        };
        let names = self.names(&file, &dir, source);
        let uses = uses(&file, &names);
        let cyclic = self.cycles(&file, &uses);
        self.loading.pop();
        let id = ModuleId(self.modules.len());
        self.modules.push(Arc::new(Module { name, is_std, source, text, dir, file, names, uses, cyclic }));
        self.loaded.insert(key, Some(id));
        Some(id)
    }

    fn too_long(&mut self, key: String) {
        let source = self.sources.add(key.clone(), "");
        let message = format!("`{key}` has more than {} MiB", MAX_FILE_BYTES >> 20);
        let found = Diagnostic::error(codes::PROGRAM_TOO_LARGE, message, Span::new(source, 0, 0), "");
        self.diagnostics.push(found.help("split the file: `use \"part.srlm\" as part`"));
        self.loaded.insert(key, None);
    }

    fn names(&mut self, file: &File, dir: &str, source: SourceId) -> BTreeMap<String, Definition> {
        let mut names: BTreeMap<String, (Definition, Span)> = BTreeMap::new();
        for (index, item) in file.items.iter().enumerate() {
            let defined = match (&item.kind, item.name()) {
                (ItemKind::Use(import), _) => self.import(import, dir, item.span),
                (_, Some(name)) => vec![(name.clone(), Definition::Item(index))],
                (_, None) => Vec::new(),
            };
            for (name, definition) in defined {
                if let Some((_, first)) = names.get(name.name.as_str()) {
                    self.defined_twice(&name, *first);
                } else {
                    names.insert(name.name.to_string(), (definition, name.span));
                }
            }
        }
        let nowhere = Span::new(source, 0, 0);
        for broken in &file.broken {
            names.entry(broken.clone()).or_insert((Definition::Broken, nowhere));
        }
        names.entry("std".to_string()).or_insert((Definition::Std, nowhere));
        names.into_iter().map(|(name, (definition, _))| (name, definition)).collect()
    }

    fn defined_twice(&mut self, name: &Ident, first: Span) {
        if self.diagnostics.len() > MAX_FOUND {
            return;
        }
        let message = format!("`{}` is defined twice", name.name);
        let found = Diagnostic::error(codes::DEFINED_TWICE, message, name.span, "defined again here");
        self.diagnostics.push(found.label(first, "first defined here").help("give one of them another name"));
    }

    fn import(&mut self, import: &Use, dir: &str, site: Span) -> Vec<(Ident, Definition)> {
        match &import.path {
            UsePath::File(path, span) => self.import_file(import, path, *span, dir),
            UsePath::Dotted(path) => self.import_std(import, path, site),
        }
    }

    fn import_std(&mut self, import: &Use, path: &[Ident], site: Span) -> Vec<(Ident, Definition)> {
        let Some((last, before)) = path.split_last() else {
            return Vec::new();
        };
        let below_std = |parts: &[Ident]| parts.first().is_some_and(|part| part.name == "std");
        match (before, &import.names) {
            ([], Some(names)) if below_std(path) => {
                names.iter().map(|name| (name.clone(), self.std_module(name))).collect()
            }
            ([], None) if below_std(path) => {
                import.alias.iter().map(|alias| (alias.clone(), Definition::Std)).collect()
            }
            ([_], _) if below_std(before) => {
                let found = self.std_module(last);
                self.bind(import, last.clone(), found)
            }
            // `use std.arith.train`: one name of a module.
            ([_, module], None) if below_std(before) => {
                let name = import.alias.clone().unwrap_or_else(|| last.clone());
                let module = self.std_module(module);
                vec![(name, self.member(&module, last))]
            }
            _ => {
                self.no_such_module(&join_idents(path), site);
                Vec::new()
            }
        }
    }

    fn no_such_module(&mut self, path: &str, site: Span) {
        let message = format!("there is no module `{path}`");
        let found = Diagnostic::error(codes::NO_SUCH_MODULE, message, site, "imported here");
        self.diagnostics.push(found.help("modules are `std.NAME`, or a file in quotes: `use \"file.srlm\" as name`"));
    }

    fn std_module(&mut self, name: &Ident) -> Definition {
        if let Some(id) = self.std(&name.name) {
            return Definition::Module(id);
        }
        let known = prelude::MODULES.iter().map(|&(name, _)| name);
        let message = format!("there is no module `std.{}`", name.name);
        let found = Diagnostic::error(codes::NO_SUCH_MODULE, message, name.span, "not in the standard library");
        self.diagnostics.push(match nearest(&name.name, known.clone()) {
            Some(meant) => found.help(format!("did you mean `std.{meant}`?")).fix(name.span, meant),
            None => found.help(format!("std has: {}", known.collect::<Vec<_>>().join(", "))),
        });
        Definition::Broken
    }

    fn import_file(&mut self, import: &Use, path: &str, span: Span, dir: &str) -> Vec<(Ident, Definition)> {
        let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".srlm").to_string();
        let name = Ident { name: stem.into(), span };
        let found = self.file_module(path, span, dir);
        self.bind(import, name, found)
    }

    fn file_module(&mut self, path: &str, span: Span, dir: &str) -> Definition {
        let full = normalised(&join(dir, path));
        let climbs = |path: &str| path.split('/').take_while(|part| *part == "..").count();
        if path.starts_with('/') || climbs(&full) > climbs(dir) {
            let message = format!("`{path}` lies outside of the project");
            let found = Diagnostic::error(codes::NO_SUCH_MODULE, message, span, "imported here");
            self.diagnostics.push(found.help("import files that lie inside the project, by a relative path"));
            return Definition::Broken;
        }
        if let Some(start) = self.loading.iter().position(|other| *other == full) {
            return self.import_cycle(start, &full, span);
        }
        if !self.loaded.contains_key(&full) && self.diagnostics.len() <= MAX_FOUND {
            self.load(&full, path, span);
        }
        self.loaded.get(&full).copied().flatten().map_or(Definition::Broken, Definition::Module)
    }

    fn load(&mut self, full: &str, written: &str, span: Span) {
        match self.loader.load(full) {
            Ok(text) => drop(self.add(Origin::File(full.to_string()), text)),
            Err(why) => {
                let message = format!("`{written}` cannot be read: {why}");
                let found = Diagnostic::error(codes::NO_SUCH_MODULE, message, span, "imported here");
                self.diagnostics.push(found.help("the path is relative to the file that imports"));
                self.loaded.insert(full.to_string(), None);
            }
        }
    }

    fn import_cycle(&mut self, start: usize, full: &str, span: Span) -> Definition {
        let mut ring: Vec<&str> = self.loading[start..].iter().map(String::as_str).collect();
        ring.push(full);
        let message = format!("files import each other: {}", ring.join(" → "));
        let found = Diagnostic::error(codes::IMPORT_CYCLE, message, span, "this import closes the ring");
        self.diagnostics.push(found.help("move what both need into a third file"));
        Definition::Broken
    }

    /// The names that an import of `module` brings in; `name` is the one it gets without `as`.
    fn bind(&mut self, import: &Use, name: Ident, module: Definition) -> Vec<(Ident, Definition)> {
        match &import.names {
            None => vec![(import.alias.clone().unwrap_or(name), module)],
            Some(names) => names.iter().map(|name| (name.clone(), self.member(&module, name))).collect(),
        }
    }

    fn member(&mut self, module: &Definition, name: &Ident) -> Definition {
        let &Definition::Module(id) = module else {
            return Definition::Broken;
        };
        let module = self.modules[id.0].clone();
        if module.names.contains_key(name.name.as_str()) && name.name != "std" {
            return Definition::Imported(id, name.name.to_string());
        }
        self.diagnostics.push(not_in_module(&module, name));
        Definition::Broken
    }

    /// Items that need themselves; each ring is reported once.
    fn cycles(&mut self, file: &File, uses: &[Vec<usize>]) -> BTreeSet<usize> {
        let mut cyclic = BTreeSet::new();
        for ring in rings(uses) {
            self.diagnostics.push(cycle(file, &ring));
            cyclic.extend(ring);
        }
        cyclic
    }
}

impl Module {
    /// Where a further import goes, and whether it starts a new line there: behind the last import, else before the
    /// first item and its comment.
    pub fn import_place(&self) -> (Span, bool) {
        let at = |offset: usize| Span::new(self.source, offset, offset);
        let mut imports = self.file.items.iter().filter(|item| matches!(item.kind, ItemKind::Use(_)));
        if let Some(last) = imports.next_back() {
            let end = last.span.end as usize;
            return (at(self.text[end..].find('\n').map_or(self.text.len(), |length| end + length)), true);
        }
        let first = self.file.items.first().map_or(0, |item| item.span.start as usize);
        let line_start = |end: usize| self.text[..end].rfind('\n').map_or(0, |end| end + 1);
        let mut start = line_start(first);
        while start > 0 && self.text[line_start(start - 1)..].starts_with('#') {
            start = line_start(start - 1);
        }
        (at(start), false)
    }
}

/// A name that a module lacks.
pub(super) fn not_in_module(module: &Module, name: &Ident) -> Diagnostic {
    let shown = if module.is_std { format!("std.{}", module.name) } else { module.name.clone() };
    let known: Vec<&str> = module.names.keys().map(String::as_str).filter(|name| *name != "std").collect();
    let message = format!("`{shown}` has no `{}`", name.name);
    let found = Diagnostic::error(codes::NOT_IN_MODULE, message, name.span, "not defined there");
    match nearest(&name.name, known.iter().copied()) {
        Some(meant) => found.help(format!("did you mean `{meant}`?")).fix(name.span, meant),
        None => found.help(format!("it has: {}", known.join(", "))),
    }
}

fn cycle(file: &File, ring: &[usize]) -> Diagnostic {
    let ident = |index: usize| file.items.get(index).and_then(Item::name);
    let names: Vec<&str> =
        ring.iter().chain(ring.first()).filter_map(|&index| ident(index)).map(|name| &*name.name).collect();
    let message = match names.as_slice() {
        [name, _] => format!("`{name}` needs itself: {}", names.join(" → ")),
        _ => format!("definitions need each other: {}", names.join(" → ")),
    };
    let spans: Vec<Span> = ring.iter().filter_map(|&index| ident(index)).map(|name| name.span).collect();
    let text = if ring.len() == 1 { "this definition needs itself" } else { "the ring starts here" };
    let mut found = Diagnostic::error(codes::CYCLE, message, spans[0], text);
    for span in &spans[1..] {
        found = found.label(*span, "then this");
    }
    found.help("break the ring: everything is computed once, before anything runs")
}

/// For each item the items of the file that it uses.
fn uses(file: &File, names: &BTreeMap<String, Definition>) -> Vec<Vec<usize>> {
    let items: HashMap<&str, usize> = names
        .iter()
        .filter_map(|(name, definition)| match definition {
            Definition::Item(index) => Some((name.as_str(), *index)),
            _ => None,
        })
        .collect();
    let item_uses = |item: &Item| {
        let references = references::of_item(item);
        let mut found: Vec<usize> =
            references.iter().filter_map(|reference| items.get(reference.name).copied()).collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    file.items.iter().map(item_uses).collect()
}

/// Rings of a graph, found by depth-first search without recursion; a node is in one ring at most.
fn rings(uses: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut rings: Vec<Vec<usize>> = Vec::new();
    let (mut done, mut on_path) = (vec![false; uses.len()], vec![false; uses.len()]);
    for start in 0..uses.len() {
        let mut path: Vec<(usize, usize)> = if done[start] { Vec::new() } else { vec![(start, 0)] };
        while let Some(&mut (node, ref mut next)) = path.last_mut() {
            on_path[node] = true;
            let Some(&target) = uses[node].get(*next) else {
                (done[node], on_path[node]) = (true, false);
                path.pop();
                continue;
            };
            *next += 1;
            if on_path[target] {
                let at = path.iter().position(|&(other, _)| other == target).unwrap_or(0);
                rings.push(path[at..].iter().map(|&(node, _)| node).collect());
            } else if !done[target] {
                path.push((target, 0));
            }
        }
    }
    let mut seen = BTreeSet::new();
    rings.retain(|ring| ring.iter().all(|node| !seen.contains(node)) && ring.iter().all(|&node| seen.insert(node)));
    rings
}

fn join_idents(path: &[Ident]) -> String {
    path.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(".")
}

/// The folder of a path; empty where it has none.
fn directory(path: &str) -> String {
    path.rsplit_once('/').map(|(dir, _)| if dir.is_empty() { "/" } else { dir }).unwrap_or_default().to_string()
}

/// `path` as seen from `dir`.
pub(super) fn join(dir: &str, path: &str) -> String {
    if dir.is_empty() || path.starts_with('/') { path.to_string() } else { format!("{dir}/{path}") }
}

/// The path without `.` and without `..` that a name before it cancels.
pub(super) fn normalised(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_file_that_writes_them() {
        assert_eq!(normalised(&join("a/b", "../c/./d.srlm")), "a/c/d.srlm");
        assert_eq!(normalised(&join("", "../x")), "../x");
        assert_eq!(normalised(&join("a", "/abs/x")), "/abs/x");
        assert_eq!(directory("a/b.srlm"), "a");
        assert_eq!(directory("b.srlm"), "");
    }

    #[test]
    fn rings_are_found_once() {
        assert_eq!(rings(&[vec![1], vec![2], vec![0], vec![0]]), vec![vec![0, 1, 2]]);
        assert_eq!(rings(&[vec![0], vec![]]), vec![vec![0]]);
        assert!(rings(&[vec![1, 2], vec![2], vec![]]).is_empty());
    }
}
