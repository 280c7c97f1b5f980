//! What a name means, in the words that a hover and a completion show.

use super::view::View;
use crate::lang::index::{Index, Part, Symbol, SymbolKind, Target};
use crate::lang::outline::opening_comment;
use crate::lang::signature::{Catalogue, Field, Signature};
use crate::lang::types::Type;
use crate::lang::value::Value;
use crate::lang::words::{Class, words};
use crate::lang::{compare, prelude};

/// A name in words.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// As it would be declared.
    pub code: String,
    /// The type, in short.
    pub detail: String,
    /// The documentation, as Markdown.
    pub doc: String,
}

/// Describes what a name means.
pub fn target(view: &View, catalogue: &Catalogue, target: &Target) -> Option<Described> {
    match target {
        Target::Symbol(index) => Some(symbol(view, *index)),
        Target::Module(source) => view.index().module(*source).map(|module| {
            let name = if module.is_std { format!("std.{}", module.name) } else { module.name.clone() };
            let names: Vec<String> = own_names(view.index(), *source).map(|name| format!("`{name}`")).collect();
            let doc = paragraphs([
                opening_comment(view.lines(*source).text()).unwrap_or_default(),
                format!("It has {}.", names.join(", ")),
            ]);
            Described { code: format!("module {name}"), detail: "module".to_string(), doc }
        }),
        Target::Std => {
            let names: Vec<String> = prelude::MODULES.iter().map(|(name, _)| format!("`std.{name}`")).collect();
            let doc = format!("The standard library: {}.", names.join(", "));
            Some(Described { code: "module std".to_string(), detail: "module".to_string(), doc })
        }
        Target::Stage(kind) => catalogue.stage(kind).map(stage),
        Target::Variant(name) => catalogue.variant(name).map(|variant| {
            let fields = field_list(&variant.fields);
            let unbuilt = unbuilt(variant.unbuilt);
            let doc = paragraphs([variant.doc.to_string(), unbuilt, fields]);
            Described { code: format!("{name}(…)"), detail: "variant".to_string(), doc }
        }),
        Target::Builtin(name) => word(name, &[Class::Builtin]),
        Target::Field(owner, name) => declared_field(catalogue, owner, name),
    }
}

/// Describes a word of the language, if it is of one of these classes.
pub fn word(name: &str, classes: &[Class]) -> Option<Described> {
    let found = words().into_iter().find(|word| word.name == name && classes.contains(&word.class))?;
    Some(Described { code: found.form, detail: found.class.name().to_string(), doc: found.doc })
}

fn declared_field(catalogue: &Catalogue, owner: &str, name: &str) -> Option<Described> {
    if owner == "compare" {
        let (_, doc) = compare::FIELDS.iter().find(|(known, _)| *known == name)?;
        return Some(Described { code: name.to_string(), detail: "compare".to_string(), doc: (*doc).to_string() });
    }
    let found = fields_of(catalogue, owner)?.iter().find(|field| field.name == name)?;
    Some(field(found))
}

/// The declared fields of a stage kind or a variant.
pub fn fields_of<'a>(catalogue: &'a Catalogue, owner: &str) -> Option<&'a [Field]> {
    let stage = catalogue.stage(owner).map(|stage| &stage.fields[..]);
    stage.or_else(|| catalogue.variant(owner).map(|variant| &variant.fields[..]))
}

/// Describes a declared field.
pub fn field(field: &Field) -> Described {
    let default = field.default.as_ref().map(Value::literal);
    let assigned = default.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
    let needed = if default.is_none() { "It must be written." } else { "" };
    let limits = field.limits().map(|limits| format!("Range: {limits}.")).unwrap_or_default();
    let source = if field.source.is_empty() { String::new() } else { format!("Source: {}.", field.source) };
    let unkeyed = if field.unkeyed { "No part of the key: a change makes no result stale." } else { "" };
    let facts = [needed.to_string(), limits, source, unkeyed.to_string()].into_iter().filter(|fact| !fact.is_empty());
    let facts = facts.collect::<Vec<_>>().join("  \n");
    Described {
        code: format!("{}: {}{assigned}", field.name, field.ty),
        detail: format!("{}{assigned}", field.ty),
        doc: paragraphs([field.doc.to_string(), facts, unbuilt(field.unbuilt)]),
    }
}

fn stage(signature: &Signature) -> Described {
    let output = signature.output.name();
    let ty = match &signature.piped {
        Some((_, from)) => format!("{from} -> {output}"),
        None => output.to_string(),
    };
    let fields = field_list(&signature.fields);
    Described {
        code: format!("{}: {ty}", signature.kind),
        doc: paragraphs([signature.doc.to_string(), unbuilt(signature.unbuilt), fields]),
        detail: ty,
    }
}

fn unbuilt(why: Option<&str>) -> String {
    why.map(|why| format!("This version does not run it yet: {why}")).unwrap_or_default()
}

fn field_list(fields: &[Field]) -> String {
    let lines: Vec<String> = fields.iter().map(|one| field(one).code).collect();
    if lines.is_empty() { String::new() } else { fenced(&lines.join("\n")) }
}

/// Describes a definition.
pub fn symbol(view: &View, index: usize) -> Described {
    let symbol = view.symbol(index);
    let ty = type_of(view, index);
    let detail = ty.clone().unwrap_or_else(|| symbol.kind.word().to_string());
    let typed = ty.map(|ty| format!(": {ty}")).unwrap_or_default();
    let name = &symbol.name;
    let code = match symbol.kind {
        SymbolKind::Recipe => recipe(view, index),
        SymbolKind::Param | SymbolKind::Let | SymbolKind::Suite | SymbolKind::Pipeline => {
            format!("{} {name}{typed}", symbol.kind.word())
        }
        SymbolKind::Sweep => {
            let axes: Vec<&str> = view.index().parts_of(index).map(|axis| axis.name.as_str()).collect();
            format!("sweep {name} over {}", axes.join(", "))
        }
        SymbolKind::Compare | SymbolKind::Profile => format!("{} {name}", symbol.kind.word()),
        SymbolKind::Alias => view.text(symbol.whole).to_string(),
        SymbolKind::Parameter => on_one_line(view.text(symbol.whole)),
        SymbolKind::Axis => format!("over {name} in {}", labels(view, symbol)),
        SymbolKind::Binding | SymbolKind::Each | SymbolKind::Field => format!("{name}{typed}"),
    };
    let doc = paragraphs([symbol.doc.clone().unwrap_or_default(), origin(view, symbol)]);
    Described { code, detail, doc }
}

/// `recipe f(x: Model, n: Int = 4) -> Model`
fn recipe(view: &View, index: usize) -> String {
    let symbol = view.symbol(index);
    let params = view.index().parts_of(index).map(|param| on_one_line(view.text(param.whole)));
    let params: Vec<String> = params.collect();
    let returns = symbol.annotation.map(|ty| format!(" -> {}", view.text(ty))).unwrap_or_default();
    format!("recipe {}({}){returns}", symbol.name, params.join(", "))
}

/// The labels of an axis, or its values where it is a list.
fn labels(view: &View, axis: &Symbol) -> String {
    match axis.value.and_then(|span| view.index().seen.get(&span)) {
        Some(seen) if !seen.members.is_empty() => {
            let names: Vec<&str> = seen.members.iter().map(|(name, _)| name.as_str()).collect();
            format!("{{ {} }}", names.join(", "))
        }
        Some(seen) => seen.value.clone().unwrap_or_else(|| seen.ty.to_string()),
        None => "…".to_string(),
    }
}

/// Blanks that align columns say nothing in a single line.
fn on_one_line(code: &str) -> String {
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The module that a definition comes from, unless that is the file itself.
fn origin(view: &View, symbol: &Symbol) -> String {
    if Some(symbol.span.source) == view.entry { String::new() } else { format!("*{}*", view.name(symbol.span.source)) }
}

/// The type of a definition: as it is annotated, or as its value has it.
pub fn type_of(view: &View, index: usize) -> Option<String> {
    let symbol = view.symbol(index);
    let written = symbol.annotation.map(|ty| view.text(ty).to_string());
    let found = || view.index().value_of(index).map(|seen| &seen.ty).filter(|ty| **ty != Type::Unknown);
    match symbol.kind {
        SymbolKind::Suite => Some("Suite".to_string()),
        _ => written.or_else(|| found().map(Type::to_string)),
    }
}

/// Names that a module defines itself.
pub fn own_names(index: &Index, source: crate::base::source::SourceId) -> impl Iterator<Item = &str> {
    let is_own =
        move |symbol: &&Symbol| symbol.span.source == source && symbol.owner.is_none() && symbol.scope.is_none();
    index.symbols.iter().filter(is_own).map(|symbol| symbol.name.as_str())
}

/// Declared fields and parameters of what can be set from outside, in the order they are declared.
pub fn settable(view: &View, catalogue: &Catalogue, part: &Part) -> Vec<(String, Described)> {
    match part {
        Part::Stage(kind) => {
            let fields = fields_of(catalogue, kind).unwrap_or_default();
            fields.iter().map(|one| (one.name.to_string(), field(one))).collect()
        }
        Part::Recipe(recipe) => parameters(view, *recipe),
    }
}

/// The parameters of a recipe.
pub fn parameters(view: &View, recipe: usize) -> Vec<(String, Described)> {
    let symbols = view.index().symbols.iter().enumerate().filter(|(_, symbol)| symbol.owner == Some(recipe));
    symbols.map(|(index, found)| (found.name.clone(), symbol(view, index))).collect()
}

/// Code in a Markdown block.
pub fn fenced(code: &str) -> String {
    format!("```srlm\n{code}\n```")
}

/// The parts that are not empty, as Markdown paragraphs.
pub fn paragraphs(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}
