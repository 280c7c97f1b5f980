//! `with`: changed copies of records, stages, joins and recipes.

use super::arguments::{Arguments, Entry};
use super::ast::*;
use super::datum::{Configured, Datum, Fields, Function, Partial, Written, kind_type};
use super::eval::{Evaluator, Frame};
use super::foreign_fields;
use super::nearest::nearest;
use super::recipes::recipe;
use super::signature::Field as Declared;
use super::stages::{foreign, shape};
use super::types::Type;
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};
use std::rc::Rc;

impl Evaluator<'_> {
    /// `value with { … }`
    pub fn with(&mut self, value: &Expr, changes: &[Record], frame: &mut Frame) -> Datum {
        let span = value.span;
        let mut value = self.expr(value, frame);
        for change in changes {
            let arguments = self.arguments(&change.fields, frame);
            value = self.change(value, arguments, span);
        }
        value
    }

    fn change(&mut self, value: Datum, arguments: Arguments, span: Span) -> Datum {
        match &value {
            Datum::Record(fields) => self.change_record(fields, arguments),
            Datum::Function(function) => {
                let parts = if let Function::Join(parts) = &**function { parts.len() } else { 1 };
                if !self.make(parts, span) {
                    return Datum::UNKNOWN;
                }
                self.change_function(function, &arguments)
            }
            Datum::Opaque(Type::Unknown | Type::Function(..) | Type::Record(_)) => value,
            other => {
                let message = format!("`with` changes stages and records, not {}", other.describe());
                let found =
                    Diagnostic::error(codes::WITH_NEEDS_FIELDS, message, span, format!("this is {}", other.describe()));
                self.report(found.help("change the stage before a value goes into it"))
            }
        }
    }

    fn change_record(&mut self, fields: &Fields, arguments: Arguments) -> Datum {
        let mut changed = fields.clone();
        for entry in arguments.entries {
            match changed.iter_mut().find(|(name, _)| *name == entry.name.name) {
                Some((_, value)) => *value = entry.value,
                None => {
                    let known: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
                    self.report(sets_nothing("the record", &entry, &known, &[]));
                }
            }
        }
        Datum::record(changed)
    }

    fn change_function(&mut self, function: &Rc<Function>, arguments: &Arguments) -> Datum {
        let known = self.settable(function);
        for entry in &arguments.entries {
            if !known.iter().any(|name| *name == entry.name.name) && !matches!(**function, Function::Identity) {
                let names: Vec<&str> = known.iter().map(String::as_str).collect();
                let found = sets_nothing(&format!("`{}`", function.show()), entry, &names, &self.declared(function));
                self.report(found);
            }
        }
        Datum::Function(self.changed(function, arguments))
    }

    /// The fields that `with` can set in some part of a function.
    fn settable(&self, function: &Function) -> Vec<String> {
        match function {
            Function::Identity => Vec::new(),
            Function::Stage(stage) => match self.catalogue.stage(&stage.kind) {
                Some(signature) => signature.fields.iter().map(|field| field.name.to_string()).collect(),
                None => Vec::new(),
            },
            Function::Join(parts) => parts.iter().flat_map(|part| self.settable(part)).collect(),
            Function::Repeat(part, _) => self.settable(part),
            Function::Recipe(partial) => match recipe(self.module(partial.module), partial.item) {
                Some(recipe) => recipe.params.iter().skip(1).map(|param| param.name.name.to_string()).collect(),
                None => Vec::new(),
            },
        }
    }

    /// The declared fields that `with` can set in some part of a function.
    fn declared(&self, function: &Function) -> Vec<&Declared> {
        match function {
            Function::Stage(stage) => {
                self.catalogue.stage(&stage.kind).map_or(Vec::new(), |signature| signature.fields.iter().collect())
            }
            Function::Join(parts) => parts.iter().flat_map(|part| self.declared(part)).collect(),
            Function::Repeat(part, _) => self.declared(part),
            Function::Identity | Function::Recipe(_) => Vec::new(),
        }
    }

    fn changed(&mut self, function: &Rc<Function>, arguments: &Arguments) -> Rc<Function> {
        match &**function {
            Function::Identity => function.clone(),
            Function::Stage(stage) => Rc::new(Function::Stage(self.changed_stage(stage, arguments))),
            Function::Join(parts) => {
                Rc::new(Function::Join(parts.iter().map(|part| self.changed(part, arguments)).collect()))
            }
            Function::Repeat(part, times) => Rc::new(Function::Repeat(self.changed(part, arguments), *times)),
            Function::Recipe(partial) => Rc::new(Function::Recipe(self.changed_recipe(partial, arguments))),
        }
    }

    fn changed_stage(&mut self, stage: &Configured, arguments: &Arguments) -> Configured {
        let mut changed = Configured { is_changed_copy: true, ..stage.clone() };
        let Some(signature) = self.catalogue.stage(&stage.kind) else {
            return changed;
        };
        for entry in &arguments.entries {
            let Some(field) = signature.fields.iter().find(|field| field.name == entry.name.name) else {
                continue;
            };
            let written = self.check_entry(signature.kind, field, copy(entry));
            changed.fields.retain(|other| other.name != written.name);
            changed.fields.push(written);
        }
        if let Some((from, to)) = shape(signature, &changed.fields) {
            (changed.from, changed.to) = (from.unwrap_or(Type::None), kind_type(to));
        }
        changed
    }

    fn changed_recipe(&mut self, partial: &Partial, arguments: &Arguments) -> Partial {
        let mut changed = partial.clone();
        let module = self.module(partial.module);
        let Some(recipe) = recipe(module, partial.item) else {
            return changed;
        };
        for entry in &arguments.entries {
            if let Some(param) = recipe.params.iter().skip(1).find(|param| param.name.name == entry.name.name) {
                let value = self.fit_param(param, entry.value.clone(), entry.span);
                changed.bound.retain(|other| other.name != entry.name.name);
                changed.bound.push(Written { name: entry.name.name.clone(), value, span: entry.span });
            }
        }
        changed
    }
}

fn copy(entry: &Entry) -> Entry {
    Entry { name: entry.name.clone(), value: entry.value.clone(), span: entry.span, spread: entry.spread }
}

fn sets_nothing(owner: &str, entry: &Entry, known: &[&str], declared: &[&Declared]) -> Diagnostic {
    let name = &entry.name;
    let message = format!("no part of {owner} has a field `{}`", name.name);
    let found = Diagnostic::error(codes::WITH_SETS_NOTHING, message, name.span, "sets nothing");
    if let Some(field) = declared.iter().find(|field| field.aliases.contains(&name.name.as_str())) {
        return foreign_fields::called(found, field, &foreign(entry));
    }
    match (nearest(&name.name, known.iter().copied()), foreign_fields::elsewhere(&name.name)) {
        (None, Some(why)) if !declared.is_empty() => found.help(why),
        (Some(meant), _) => found.help(format!("did you mean `{meant}`?")).fix(name.span, meant),
        (None, _) if known.is_empty() => found.help("it has no fields at all"),
        (None, _) => {
            let mut known = known.to_vec();
            let mut seen = std::collections::BTreeSet::new();
            known.retain(|name| seen.insert(*name));
            found.help(format!("fields that can be set: {}", known.join(", ")))
        }
    }
}
