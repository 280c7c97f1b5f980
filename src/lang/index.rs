//! What an editor asks of a program: the value of every expression, and the definition behind every name.

use super::Compilation;
use super::datum::{Datum, Function};
use super::names;
use super::resolve::{Module, ModuleId};
use super::signature::Catalogue;
use super::types::Type;
use crate::base::source::{SourceId, Span};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// Characters of a value that are shown.
const MAX_SHOWN: usize = 400;
/// Values with more parts are told by their type alone.
const MAX_PARTS: usize = 1_000;

/// A compilation and what was learnt on the way.
#[derive(Debug)]
pub struct Analysis {
    /// Program, diagnostics and texts.
    pub compilation: Compilation,
    /// Names and values.
    pub index: Index,
}

/// What an expression came to: its first value, or its type in the body of a recipe.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its type.
    pub ty: Type,
    /// The value as it is printed, where it is known and not too large.
    pub value: Option<String>,
    /// What `.` reads of a record: name and type.
    pub members: Vec<(String, Type)>,
    /// Whose fields a call or `with` sets.
    pub parts: Vec<Part>,
}

/// Something whose fields can be set from outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A configured stage, by its kind.
    Stage(String),
    /// A recipe, by its symbol.
    Recipe(usize),
}

/// What kind of definition a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// An item `param`.
    Param,
    /// An item `let`.
    Let,
    /// An item `recipe`.
    Recipe,
    /// An item `suite`.
    Suite,
    /// An item `pipeline`.
    Pipeline,
    /// An item `sweep`.
    Sweep,
    /// An item `compare`.
    Compare,
    /// An item `profile`.
    Profile,
    /// The name that `as` gives an import.
    Alias,
    /// A parameter of a recipe.
    Parameter,
    /// A binding of a block.
    Binding,
    /// An axis of a sweep.
    Axis,
    /// The name of a comprehension.
    Each,
    /// A field of a record that is written out, such as a benchmark of a suite.
    Field,
}

impl SymbolKind {
    /// As a reader calls it.
    pub fn word(self) -> &'static str {
        match self {
            SymbolKind::Param => "param",
            SymbolKind::Let => "let",
            SymbolKind::Recipe => "recipe",
            SymbolKind::Suite => "suite",
            SymbolKind::Pipeline => "pipeline",
            SymbolKind::Sweep => "sweep",
            SymbolKind::Compare => "compare",
            SymbolKind::Profile => "profile",
            SymbolKind::Alias => "import",
            SymbolKind::Parameter => "parameter",
            SymbolKind::Binding => "binding",
            SymbolKind::Axis => "axis",
            SymbolKind::Each => "each",
            SymbolKind::Field => "field",
        }
    }
}

/// A definition.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SymbolKind,
    /// Where its name stands.
    pub span: Span,
    /// The whole definition.
    pub whole: Span,
    /// Where a local name holds; items hold everywhere.
    pub scope: Option<Span>,
    /// Its doc comment.
    pub doc: Option<String>,
    /// The type that is written behind its name.
    pub annotation: Option<Span>,
    /// The expression that it stands for.
    pub value: Option<Span>,
    /// The symbol that a parameter, an axis or a field belongs to.
    pub owner: Option<usize>,
}

/// What a name means.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A definition, by its index.
    Symbol(usize),
    /// A module, by its text.
    Module(SourceId),
    /// The module `std`.
    Std,
    /// A stage kind.
    Stage(String),
    /// A variant such as `bench`.
    Variant(String),
    /// A function that the language provides.
    Builtin(String),
    /// A declared field: of which stage kind, variant or reward, and its name.
    Field(String, String),
}

/// A use of a name.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Where.
    pub span: Span,
    /// What it means.
    pub target: Target,
}

/// The names of a module.
#[derive(Clone, Debug)]
pub struct ModuleNames {
    /// Its text.
    pub source: SourceId,
    /// `arith` of `std.arith`, or the path.
    pub name: String,
    /// Whether it belongs to the standard library.
    pub is_std: bool,
    /// What can be written in it, imports included.
    pub names: Vec<(String, Target)>,
    /// Names of items that do not parse.
    pub broken: Vec<String>,
}

/// Names and values of a program.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// The definitions.
    pub symbols: Vec<Symbol>,
    /// The uses, by place.
    pub references: Vec<Reference>,
    /// Expressions that were evaluated.
    pub seen: BTreeMap<Span, Seen>,
    /// The modules, the standard library's included.
    pub modules: Vec<ModuleNames>,
}

impl Index {
    /// The use or the definition whose name covers `offset`; a use goes first.
    pub fn at(&self, source: SourceId, offset: u32) -> Option<Reference> {
        let covers = |span: Span| span.source == source && span.start <= offset && offset <= span.end;
        let used = self.references.iter().filter(|reference| covers(reference.span));
        let used = used.min_by_key(|reference| reference.span.end - reference.span.start).cloned();
        used.or_else(|| {
            let symbol = self.symbols.iter().position(|symbol| covers(symbol.span))?;
            Some(Reference { span: self.symbols[symbol].span, target: Target::Symbol(symbol) })
        })
    }

    /// The innermost expression around `offset` that was evaluated.
    pub fn seen_at(&self, source: SourceId, offset: u32) -> Option<(Span, &Seen)> {
        let last = Span { source, start: offset, end: u32::MAX };
        let first = Span { source, start: 0, end: 0 };
        let around = self.seen.range(first..=last).filter(|(span, _)| offset <= span.end);
        around.min_by_key(|(span, _)| span.end - span.start).map(|(span, seen)| (*span, seen))
    }

    /// What a symbol stands for: its value, or what its first use came to.
    pub fn value_of(&self, symbol: usize) -> Option<&Seen> {
        let written = self.symbols[symbol].value.and_then(|span| self.seen.get(&span));
        let used = || {
            let uses = self.references.iter().filter(|reference| reference.target == Target::Symbol(symbol));
            uses.filter_map(|reference| self.seen.get(&reference.span)).next()
        };
        match self.symbols[symbol].kind {
            // The value is the axis, a use one of its labels.
            SymbolKind::Axis | SymbolKind::Each => used(),
            // A parameter has its annotated type, which a default may not show.
            SymbolKind::Param | SymbolKind::Parameter => used().or(written),
            _ => written.or_else(used),
        }
    }

    /// Whose fields `with` sets on a name; those of an axis are the fields of all its values.
    pub fn settable(&self, symbol: usize) -> &[Part] {
        let seen = match self.symbols[symbol].kind {
            SymbolKind::Axis | SymbolKind::Each => self.symbols[symbol].value.and_then(|span| self.seen.get(&span)),
            _ => self.value_of(symbol),
        };
        seen.map(|seen| &seen.parts[..]).unwrap_or_default()
    }

    /// The names of a module.
    pub fn module(&self, source: SourceId) -> Option<&ModuleNames> {
        self.modules.iter().find(|module| module.source == source)
    }

    /// The symbols that belong to another one: parameters, axes, fields.
    pub fn parts_of(&self, owner: usize) -> impl Iterator<Item = &Symbol> {
        self.symbols.iter().filter(move |symbol| symbol.owner == Some(owner))
    }
}

/// Values of expressions, collected while they are evaluated.
#[derive(Default)]
pub(super) struct Recorder {
    values: BTreeMap<Span, (Datum, bool)>,
}

impl Recorder {
    /// Keeps the first value of an expression; one from inside of a call gives way to one from outside.
    pub fn note(&mut self, span: Span, value: &Datum, in_call: bool) {
        match self.values.entry(span) {
            Entry::Vacant(free) => drop(free.insert((value.clone(), in_call))),
            Entry::Occupied(mut taken) => {
                let (before, was_in_call) = taken.get();
                if before.is_unknown() || (*was_in_call && !in_call && !value.is_unknown()) {
                    taken.insert((value.clone(), in_call));
                }
            }
        }
    }

    /// The value of an expression.
    pub fn value(&self, span: Span) -> Option<&Datum> {
        self.values.get(&span).map(|(value, _)| value)
    }
}

/// Puts together what was recorded and what the names of the modules mean.
pub(super) fn build(recorder: &Recorder, modules: &[Arc<Module>], catalogue: &Catalogue) -> Index {
    let names::Names { symbols, mut references, modules, recipes } = names::of(modules, recorder, catalogue);
    references.sort_by_key(|reference| reference.span);
    let seen = recorder.values.iter().map(|(span, (value, _))| (*span, seen(value, &recipes))).collect();
    Index { symbols, references, seen, modules }
}

fn seen(value: &Datum, recipes: &BTreeMap<(ModuleId, usize), usize>) -> Seen {
    let is_small = value.size(MAX_PARTS) < MAX_PARTS;
    let shows = is_small && !value.is_opaque() && !matches!(value, Datum::Module(_) | Datum::Std);
    let ty = if is_small { value.ty() } else { Type::Unknown };
    let value_text = shows.then(|| shortened(shown(value)));
    Seen { members: members(&ty, value), parts: parts(value, recipes), value: value_text, ty }
}

/// The value as it is printed; a text stands in quotes.
fn shown(value: &Datum) -> String {
    match value {
        Datum::Plain(super::value::Value::String(text)) => format!("{text:?}"),
        value => value.show(),
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn members(ty: &Type, value: &Datum) -> Vec<(String, Type)> {
    match (value, ty) {
        (Datum::Record(fields), _) if fields.len() < MAX_PARTS => {
            fields.iter().map(|(name, value)| (name.to_string(), value.ty())).collect()
        }
        (_, Type::Record(fields)) => fields.clone(),
        _ => Vec::new(),
    }
}

fn parts(value: &Datum, recipes: &BTreeMap<(ModuleId, usize), usize>) -> Vec<Part> {
    let mut found = Vec::new();
    for function in functions(value) {
        collect_parts(function, recipes, &mut found);
    }
    found
}

/// The function that a value is, or those that an axis runs over.
pub(super) fn functions(value: &Datum) -> Vec<&Function> {
    let items: Vec<&Datum> = match value {
        Datum::Record(fields) => fields.iter().map(|(_, value)| value).collect(),
        Datum::List(items) => items.iter().collect(),
        one => vec![one],
    };
    items.into_iter().filter_map(function).collect()
}

fn function(value: &Datum) -> Option<&Function> {
    match value {
        Datum::Function(function) => Some(function),
        _ => None,
    }
}

fn collect_parts(function: &Function, recipes: &BTreeMap<(ModuleId, usize), usize>, found: &mut Vec<Part>) {
    let part = match function {
        Function::Identity => return,
        Function::Stage(stage) => Part::Stage(stage.kind.clone()),
        Function::Repeat(part, _) => return collect_parts(part, recipes, found),
        Function::Join(parts) => return parts.iter().for_each(|part| collect_parts(part, recipes, found)),
        Function::Recipe(partial) => match recipes.get(&(partial.module, partial.item)) {
            Some(&symbol) => Part::Recipe(symbol),
            None => return,
        },
    };
    if !found.contains(&part) {
        found.push(part);
    }
}
