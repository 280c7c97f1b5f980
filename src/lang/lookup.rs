//! What a name or a member stands for where it is evaluated, and what to say where it stands for nothing.

use super::ast::*;
use super::datum::{Datum, Function};
use super::eval::{Evaluator, Frame};
use super::nearest::nearest;
use super::prelude;
use super::resolve::{Definition, ModuleId, not_in_module};
use super::types::Type;
use super::words::BUILTIN_NAMES;
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};

/// How many findings may be there when names are still held against all others: the first of them are shown.
const MAX_SUGGESTED: usize = 100;

impl Evaluator<'_> {
    fn definition(&mut self, definition: &Definition, module: ModuleId) -> Datum {
        match definition {
            Definition::Item(index) => self.item(module, *index),
            Definition::Module(id) => Datum::Module(*id),
            Definition::Imported(id, name) => match self.module(*id).names.get(name) {
                Some(definition) => self.definition(definition, *id),
                None => Datum::UNKNOWN,
            },
            Definition::Std => Datum::Std,
            Definition::Broken => Datum::UNKNOWN,
        }
    }

    /// What a name of the file or the block stands for; `None` for names of the catalogue and unknown ones.
    pub fn own_name(&mut self, name: &str, frame: &Frame) -> Option<Datum> {
        if let Some(local) = frame.find(name) {
            return Some(local.value.clone());
        }
        let module = self.module(frame.module);
        module.names.get(name).map(|definition| self.definition(definition, frame.module))
    }

    /// The value of a name.
    pub fn name(&mut self, name: &str, span: Span, frame: &Frame) -> Datum {
        if let Some(local) = frame.find(name) {
            return local.value.clone();
        }
        if let Some(definition) = self.module(frame.module).names.get(name) {
            return match self.no_value(frame.module, definition, name, span) {
                Some(found) => self.report(found),
                None => self.definition(definition, frame.module),
            };
        }
        match name {
            "identity" => Datum::Function(Function::Identity.into()),
            _ if BUILTIN_NAMES.contains(&name) => {
                let message = format!("`{name}` needs arguments");
                self.report(Diagnostic::error(codes::BAD_ARGUMENTS, message, span, "call it: `name(…)`"))
            }
            _ => self.catalogue_name(name, span).unwrap_or_else(|| self.unknown_name(name, span, frame)),
        }
    }

    /// A name of a module that stands for a compare or a profile, which no expression can use.
    fn names_no_value(&self, module: ModuleId, name: &str, span: Span) -> Option<Diagnostic> {
        self.no_value(module, self.module(module).names.get(name)?, name, span)
    }

    fn no_value(&self, module: ModuleId, definition: &Definition, name: &str, span: Span) -> Option<Diagnostic> {
        let item = match definition {
            Definition::Item(index) => self.module(module).file.items.get(*index)?,
            Definition::Imported(id, name) => return self.names_no_value(*id, name, span),
            _ => return None,
        };
        if !matches!(item.kind, ItemKind::Compare(..) | ItemKind::Profile(..)) {
            return None;
        }
        let message = format!("`{name}` is a {}, which is no value", item.keyword());
        let found = Diagnostic::error(codes::TYPE_MISMATCH, message, span, "cannot be used in an expression");
        Some(found.label(item.name()?.span, "declared here"))
    }

    /// Reports a name that nothing defines.
    pub fn unknown_name(&mut self, name: &str, span: Span, frame: &Frame) -> Datum {
        if self.has_reported(codes::UNKNOWN_NAME, span) {
            return Datum::UNKNOWN;
        }
        if self.diagnostics.len() > MAX_SUGGESTED {
            let found = Diagnostic::error(codes::UNKNOWN_NAME, format!("`{name}` is not defined"), span, "not defined");
            return self.report(found);
        }
        let module = self.module(frame.module);
        let catalogue = self.catalogue;
        let locals = frame.locals.iter().rev().map(|local| local.name.as_str());
        let own = module.names.keys().map(String::as_str);
        let kinds = catalogue.stages.iter().map(|stage| stage.kind);
        let variants = catalogue.variants.iter().map(|variant| variant.name);
        let builtins = BUILTIN_NAMES.iter().copied();
        let known = locals.chain(own).chain(kinds).chain(variants).chain(builtins);
        let found = Diagnostic::error(codes::UNKNOWN_NAME, format!("`{name}` is not defined"), span, "not defined");
        if let Some(help) = prelude::elsewhere(name) {
            return self.report(found.help(help));
        }
        let near = nearest(name, known).map(String::from);
        let found = match (self.importable(name), near) {
            (Some(import), _) => {
                let (place, below) = module.import_place();
                let line = if below { format!("\n{import}") } else { format!("{import}\n\n") };
                found.help(format!("import it: `{import}`")).fix(place, line)
            }
            (None, Some(meant)) => found.help(format!("did you mean `{meant}`?")).fix(span, meant),
            (None, None) => self.defined_nowhere(found, name, span),
        };
        self.report(found)
    }

    /// A name that is not even near one of this file: the standard library may have a similar one.
    fn defined_nowhere(&self, found: Diagnostic, name: &str, span: Span) -> Diagnostic {
        let std = self.modules.iter().filter(|module| module.is_std);
        let items =
            std.flat_map(|module| module.names.iter().map(move |(name, definition)| (module, name, definition)));
        let items: Vec<_> = items.filter(|(.., definition)| matches!(definition, Definition::Item(_))).collect();
        match nearest(name, items.iter().map(|(_, name, _)| name.as_str())) {
            Some(meant) => {
                let module = items.iter().find(|(_, name, _)| *name == meant).map_or("", |(module, ..)| &module.name);
                found.help(format!("did you mean `{meant}` of `std.{module}`?")).fix(span, meant)
            }
            None => found.help(format!("define it, such as `let {name} = …`, or import it from the file that does")),
        }
    }

    /// The import that would define a name.
    fn importable(&self, name: &str) -> Option<String> {
        let std = || self.modules.iter().filter(|module| module.is_std);
        let whole = std().find(|module| module.name == name).map(|module| format!("use std.{}", module.name));
        let part = || std().find(|module| matches!(module.names.get(name), Some(Definition::Item(_))));
        whole.or_else(|| part().map(|module| format!("use std.{}.{{{name}}}", module.name)))
    }

    /// `value.member`
    pub fn member(&mut self, value: &Datum, member: &Ident, span: Span) -> Datum {
        match value {
            Datum::Module(id) => self.module_member(*id, member),
            Datum::Std => match self.modules.iter().position(|module| module.is_std && module.name == member.name) {
                Some(index) => Datum::Module(ModuleId(index)),
                None => self.no_std_module(member),
            },
            Datum::Record(fields) => match fields.iter().find(|(name, _)| *name == member.name) {
                Some((_, value)) => value.clone(),
                None => self.no_member(fields.iter().map(|(name, _)| name.as_str()).collect(), value, member),
            },
            Datum::Opaque(Type::Record(fields)) => match fields.iter().find(|(name, _)| *name == member.name) {
                Some((_, ty)) => Datum::Opaque(ty.clone()),
                None => self.no_member(fields.iter().map(|(name, _)| name.as_str()).collect(), value, member),
            },
            Datum::Opaque(Type::Unknown | Type::Suite) => Datum::UNKNOWN,
            other => {
                let message = format!("{} has no parts to read with `.`", other.describe());
                let found = Diagnostic::error(codes::NO_MEMBER, message, member.span, "no such part");
                let found = found.label(span, format!("this is {}", other.describe()));
                self.report(match other.ty() {
                    Type::Function(waits, _) => found.help(format!(
                        "it still waits for {}: give that as its first argument, or pipe it in with `|>`",
                        waits.phrase()
                    )),
                    _ => found,
                })
            }
        }
    }

    fn module_member(&mut self, id: ModuleId, member: &Ident) -> Datum {
        let module = self.module(id);
        if let Some(found) = self.names_no_value(id, &member.name, member.span) {
            return self.report(found);
        }
        match module.names.get(member.name.as_str()) {
            Some(definition) if member.name != "std" => self.definition(definition, id),
            _ => self.report(not_in_module(module, member)),
        }
    }

    fn no_std_module(&mut self, member: &Ident) -> Datum {
        let known = prelude::MODULES.iter().map(|&(name, _)| name);
        let message = format!("there is no module `std.{}`", member.name);
        let found = Diagnostic::error(codes::NO_SUCH_MODULE, message, member.span, "not in the standard library");
        let found = match nearest(&member.name, known.clone()) {
            Some(meant) => found.help(format!("did you mean `std.{meant}`?")).fix(member.span, meant),
            None => found.help(format!("std has: {}", known.collect::<Vec<_>>().join(", "))),
        };
        self.report(found)
    }

    fn no_member(&mut self, known: Vec<&str>, value: &Datum, member: &Ident) -> Datum {
        let kind = if value.ty() == Type::Suite { "suite" } else { "record" };
        let message = format!("the {kind} has no `{}`", member.name);
        let found = Diagnostic::error(codes::NO_MEMBER, message, member.span, "no such field");
        let found = match nearest(&member.name, known.iter().copied()) {
            Some(meant) => found.help(format!("did you mean `{meant}`?")).fix(member.span, meant),
            None => found.help(format!("it has: {}", known.join(", "))),
        };
        self.report(found)
    }
}
