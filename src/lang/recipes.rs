//! Recipes: bound to their arguments, run, and checked on parameters known by type only.

use super::arguments::Arguments;
use super::ast::*;
use super::datum::{Configured, Datum, Function, Partial, Written};
use super::eval::{Evaluator, Frame};
use super::nearest::nearest;
use super::resolve::{Module, ModuleId};
use super::types::Type;
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};
use std::rc::Rc;

/// How deep recipes may call each other.
const MAX_CALL_DEPTH: usize = 64;

impl Evaluator<'_> {
    /// A recipe as a function of its first parameter.
    pub fn recipe_value(&mut self, module: ModuleId, item: usize, recipe: &Recipe) -> Datum {
        let from = recipe.params.first().map_or(Type::Unknown, |param| self.written(&param.ty));
        let to = recipe.returns.as_ref().map_or(Type::Unknown, |ty| self.written(ty));
        let name = recipe.name.name.to_string();
        Datum::Function(Rc::new(Function::Recipe(Partial { module, item, name, bound: Vec::new(), from, to })))
    }

    /// Calls a recipe; with its first parameter left open it is a function of that.
    pub fn call_recipe(&mut self, partial: &Partial, arguments: Arguments, site: Span) -> Datum {
        let module = self.module(partial.module);
        let Some(recipe) = recipe(module, partial.item) else {
            return Datum::UNKNOWN;
        };
        let open = arguments.open;
        let Some(bound) = self.bind_arguments(recipe, partial, arguments, site) else {
            return Datum::UNKNOWN;
        };
        let is_bound = |param: &&Param| bound.iter().any(|other| other.name == param.name.name);
        let missing: Vec<&Param> =
            recipe.params.iter().filter(|param| param.default.is_none() && !is_bound(param)).collect();
        match (missing.as_slice(), recipe.params.first()) {
            ([], _) => self.run_recipe(partial, recipe, bound, site),
            ([missing], Some(first)) if missing.name == first.name => {
                Datum::Function(Rc::new(Function::Recipe(Partial { bound, ..partial.clone() })))
            }
            _ if open => Datum::UNKNOWN,
            (missing, _) => {
                let names: Vec<String> = missing.iter().map(|param| format!("`{}`", param.name.name)).collect();
                let message = format!("`{}` needs {}", partial.name, names.join(" and "));
                let found = Diagnostic::error(codes::BAD_ARGUMENTS, message, site, "missing in this call");
                self.report(found.label(recipe.name.span, "defined here"))
            }
        }
    }

    fn bind_arguments(
        &mut self,
        recipe: &Recipe,
        partial: &Partial,
        arguments: Arguments,
        site: Span,
    ) -> Option<Vec<Written>> {
        let mut bound = partial.bound.clone();
        let mut given: Vec<(usize, Datum, Span)> = Vec::new();
        let unbound = |index: &usize| !partial.bound.iter().any(|other| other.name == recipe.params[*index].name.name);
        let mut free = (0..recipe.params.len()).filter(unbound);
        for (value, span) in arguments.positional {
            let Some(index) = free.next() else {
                let message = format!("`{}` takes {} arguments", recipe.name.name, recipe.params.len());
                let found = Diagnostic::error(codes::BAD_ARGUMENTS, message, span, "one too many");
                self.report(found.label(recipe.name.span, "defined here"));
                return None;
            };
            given.push((index, value, span));
        }
        for entry in arguments.entries {
            let index =
                recipe.params.iter().position(|param| param.name == entry.name || param.name.name == entry.name.name);
            match index {
                Some(index) if given.iter().any(|(other, ..)| *other == index) => {
                    let message = format!("`{}` is given twice", entry.name.name);
                    let found = Diagnostic::error(codes::FIELD_TWICE, message, entry.name.span, "again here");
                    self.report(found.label(site, "an unnamed argument gives it already"));
                }
                Some(index) => given.push((index, entry.value, entry.span)),
                None => drop(self.report(unknown_argument(recipe, &entry.name))),
            }
        }
        for (index, value, span) in given {
            let param = &recipe.params[index];
            let value = self.fit_param(param, value, span);
            bound.retain(|other| other.name != param.name.name);
            bound.push(Written { name: param.name.name.clone(), value, span });
        }
        Some(bound)
    }

    /// An argument converted to the type its parameter is annotated with.
    pub fn fit_param(&mut self, param: &Param, value: Datum, span: Span) -> Datum {
        let ty = self.written(&param.ty);
        self.fitted(format_args!("`{}`", param.name.name), value, &ty, span)
    }

    fn run_recipe(&mut self, partial: &Partial, recipe: &Recipe, bound: Vec<Written>, site: Span) -> Datum {
        if bound.iter().any(|argument| argument.value.is_opaque()) && recipe.returns.is_some() {
            return Datum::Opaque(partial.to.clone());
        }
        if self.sites.len() >= MAX_CALL_DEPTH {
            return self.too_large(site, &format!("recipes call each other more than {MAX_CALL_DEPTH} deep"));
        }
        self.sites.push(site);
        let mut frame = Frame::new(partial.module);
        for param in &recipe.params {
            match bound.iter().find(|other| other.name == param.name.name) {
                Some(given) => frame.bind(&param.name.name, given.value.clone()),
                None => self.bind_default(param, &mut frame),
            }
        }
        let result = self.body(recipe, &mut frame);
        self.sites.pop();
        result
    }

    /// Gives a parameter its default.
    pub fn bind_default(&mut self, param: &Param, frame: &mut Frame) {
        let value = match &param.default {
            Some(default) => {
                let value = self.expr(default, frame);
                self.fit_param(param, value, default.span)
            }
            None => Datum::UNKNOWN,
        };
        frame.bind(&param.name.name, value);
    }

    /// Runs a recipe on parameters known by type only, which checks it whether it is used or not.
    pub fn check_recipe(&mut self, module: ModuleId, recipe: &Recipe) {
        let mut frame = Frame::new(module);
        for param in &recipe.params {
            if let Some(default) = &param.default {
                let value = self.expr(default, &mut frame);
                self.fit_param(param, value, default.span);
            }
            let ty = self.written(&param.ty);
            frame.bind(&param.name.name, Datum::Opaque(ty));
        }
        self.body(recipe, &mut frame);
    }

    fn body(&mut self, recipe: &Recipe, frame: &mut Frame) -> Datum {
        let value = self.block(&recipe.body, frame);
        match &recipe.returns {
            Some(ty) => {
                let ty = self.written(ty);
                self.fitted(format_args!("the result of `{}`", recipe.name.name), value, &ty, recipe.body.result.span)
            }
            None => value,
        }
    }

    /// `{ a = …  return … }`
    pub fn block(&mut self, block: &Block, frame: &mut Frame) -> Datum {
        for binding in &block.bindings {
            let value = self.binding(binding, &binding.name.name, frame);
            frame.bind(&binding.name.name, value);
        }
        self.expr(&block.result, frame)
    }

    /// The value of `name: T = value`; what it configures or makes is called `shown`.
    pub fn binding(&mut self, binding: &Binding, shown: &str, frame: &mut Frame) -> Datum {
        let before = self.graph.len();
        let mut value = self.expr(&binding.value, frame);
        if let Some(ty) = &binding.ty {
            let ty = self.written(ty);
            value = self.fitted(format_args!("`{}`", binding.name.name), value, &ty, binding.value.span);
        }
        self.named(value, shown, before)
    }

    /// Gives a configured stage, or a node made since there were `before` of them, its name; the nodes of a record are
    /// called `name.field`.
    pub fn named(&mut self, value: Datum, name: &str, before: usize) -> Datum {
        if let Datum::Record(fields) = &value {
            for (field, value) in fields.iter() {
                if let Some(node) = value.node().filter(|node| node.0 >= before) {
                    self.graph.name(node, &format!("{name}.{field}"));
                }
            }
        }
        if let Some(node) = value.node().filter(|node| node.0 >= before) {
            self.graph.name(node, name);
        }
        match &value {
            Datum::Function(function) => match &**function {
                Function::Stage(stage) if stage.name.is_none() || stage.is_changed_copy => {
                    let name = Some(name.to_string());
                    let stage = Configured { name, is_changed_copy: false, ..stage.clone() };
                    Datum::Function(Rc::new(Function::Stage(stage)))
                }
                _ => value,
            },
            _ => value,
        }
    }
}

/// The recipe that an item of a module is, or the pipeline that is called like one.
pub(super) fn recipe(module: &Module, item: usize) -> Option<&Recipe> {
    match &module.file.items.get(item)?.kind {
        ItemKind::Recipe(recipe) | ItemKind::Pipeline(recipe) => Some(recipe),
        _ => None,
    }
}

fn unknown_argument(recipe: &Recipe, name: &Ident) -> Diagnostic {
    let known: Vec<&str> = recipe.params.iter().map(|param| param.name.name.as_str()).collect();
    let message = format!("`{}` has no parameter `{}`", recipe.name.name, name.name);
    let found = Diagnostic::error(codes::BAD_ARGUMENTS, message, name.span, "no such parameter");
    let found = found.label(recipe.name.span, "defined here");
    match nearest(&name.name, known.iter().copied()) {
        Some(meant) => found.help(format!("did you mean `{meant}`?")).fix(name.span, meant),
        None => found.help(format!("parameters are: {}", known.join(", "))),
    }
}
