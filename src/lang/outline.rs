//! What a module offers, item by item: names, documentation, parameters, types and values, for `srlm doc` and editors.

use super::ast::{Block, Item, ItemKind, Param, Recipe, Sweep};
use super::datum::Datum;
use super::eval::{Evaluator, Frame};
use super::resolve::{self, Module, ModuleId, Resolved};
use super::signature::Catalogue;
use super::types::Type;
use super::value::Value;
use super::{on_a_deep_stack, prelude};
use crate::base::source::{Loader, SourceMap, Span};
use crate::diag::Diagnostic;
use std::sync::Arc;

/// The file that names every module of the standard library.
const LIBRARY: &str = "library.srlm";

/// A module: a file, or a part of the standard library.
#[derive(Clone, Debug)]
pub struct ModuleOutline {
    /// `std.arith`, or the path as shown.
    pub name: String,
    /// The comment that the file opens with, apart from its items' own.
    pub doc: Option<String>,
    /// Its items in the order of the file; imports are none.
    pub items: Vec<ItemOutline>,
}

/// An item of a module.
#[derive(Clone, Debug)]
pub struct ItemOutline {
    /// Its name.
    pub name: String,
    /// The word that opens it: `let`, `recipe`, …
    pub keyword: &'static str,
    /// The lines of its `##` comment.
    pub doc: Option<String>,
    /// The parameters of a recipe or a pipeline, or the axes of a sweep.
    pub params: Vec<ParamOutline>,
    /// What it is; of a recipe, what it gives. None where that cannot be told.
    pub ty: Option<Type>,
    /// What it folds to, as the language writes it; none for artifacts, stages and whatever depends on parameters.
    pub value: Option<String>,
    /// What is written behind its name: a definition, a default, or what stands between the braces.
    pub written: String,
    /// What a `param` must satisfy, as written.
    pub condition: Option<String>,
    /// Where its name stands.
    pub span: Span,
}

/// A parameter of a recipe or a pipeline, or an axis of a sweep.
#[derive(Clone, Debug)]
pub struct ParamOutline {
    /// Its name.
    pub name: String,
    /// Its type, as written; empty for an axis.
    pub ty: String,
    /// Its default as written, or the values of an axis.
    pub default: Option<String>,
}

/// A file, described.
#[derive(Debug)]
pub struct Outline {
    /// The file; none where it cannot be read.
    pub module: Option<ModuleOutline>,
    /// What is wrong with its form or its imports; its values are not judged here.
    pub diagnostics: Vec<Diagnostic>,
    /// Every text that was read.
    pub sources: SourceMap,
}

impl ItemOutline {
    /// One line: `tiny(layers: Int = 2) -> Model`, `train : Dataset`, `base : Model = std.models.tiny()`.
    pub fn signature(&self) -> String {
        let params: Vec<String> = self.params.iter().map(ParamOutline::signature).collect();
        let ty = self.ty.as_ref().filter(|ty| **ty != Type::Unknown).map(Type::to_string);
        match (self.keyword, ty) {
            ("recipe", ty) => {
                format!("{}({}){}", self.name, params.join(", "), ty.map(|ty| format!(" -> {ty}")).unwrap_or_default())
            }
            ("sweep", _) => {
                let axes: Vec<&str> = self.params.iter().map(|axis| axis.name.as_str()).collect();
                format!("{} : sweep over {}", self.name, axes.join(", "))
            }
            ("compare" | "profile", _) => format!("{} : {}", self.name, self.keyword),
            (_, ty) => {
                let params = if params.is_empty() { String::new() } else { format!("({})", params.join(", ")) };
                let ty = ty.map(|ty| format!(" : {ty}")).unwrap_or_default();
                let default = self.keyword == "param" && !self.written.is_empty() && !self.written.contains('\n');
                let default = if default { format!(" = {}", self.written) } else { String::new() };
                format!("{}{params}{ty}{default}", self.name)
            }
        }
    }
}

impl ParamOutline {
    fn signature(&self) -> String {
        let default = self.default.as_ref().map(|default| format!(" = {default}")).unwrap_or_default();
        format!("{}: {}{default}", self.name, self.ty)
    }
}

/// The modules of the standard library.
pub fn standard_library(catalogue: &Catalogue) -> Vec<ModuleOutline> {
    let Resolved { modules, sources, .. } = resolve::resolve(LIBRARY, &Library);
    let std: Vec<usize> = (0..modules.len()).filter(|&index| modules[index].is_std).collect();
    let describe = || std.into_iter().map(|index| describe(&modules, ModuleId(index), &sources, catalogue)).collect();
    on_a_deep_stack(describe).unwrap_or_default()
}

/// The file `entry`. Values are found without what a command line would set.
pub fn outline(entry: &str, loader: &dyn Loader, catalogue: &Catalogue) -> Outline {
    let Resolved { modules, entry, sources, diagnostics } = resolve::resolve(entry, loader);
    let module = entry.and_then(|entry| on_a_deep_stack(|| describe(&modules, entry, &sources, catalogue)));
    Outline { module, diagnostics, sources }
}

/// Imports the whole standard library.
struct Library;

impl Loader for Library {
    fn load(&self, _: &str) -> Result<String, String> {
        Ok(prelude::uses())
    }
}

fn describe(modules: &[Arc<Module>], id: ModuleId, sources: &SourceMap, catalogue: &Catalogue) -> ModuleOutline {
    let module = &modules[id.0];
    let mut describer = Describer { sources, id, evaluator: Evaluator::new(catalogue, modules, id) };
    let items = module.file.items.iter().enumerate();
    let items = items.filter_map(|(index, item)| describer.item(index, item)).collect();
    let name = if module.is_std { format!("std.{}", module.name) } else { module.name.clone() };
    ModuleOutline { name, doc: opening_comment(&sources.file(module.source).text), items }
}

struct Describer<'a> {
    sources: &'a SourceMap,
    id: ModuleId,
    evaluator: Evaluator<'a>,
}

impl Describer<'_> {
    fn item(&mut self, index: usize, item: &Item) -> Option<ItemOutline> {
        let name = item.name()?;
        let mut found = ItemOutline {
            name: name.name.to_string(),
            keyword: item.keyword(),
            doc: item.doc.clone(),
            params: Vec::new(),
            ty: None,
            value: None,
            written: String::new(),
            condition: None,
            span: name.span,
        };
        match &item.kind {
            ItemKind::Use(_) => return None,
            ItemKind::Let(binding) => {
                self.valued(index, &mut found);
                found.written = self.text(binding.value.span);
            }
            ItemKind::Param(param) => self.param(index, param, &mut found),
            ItemKind::Recipe(recipe) => self.recipe(recipe, &mut found),
            ItemKind::Pipeline(pipeline) => self.recipe(pipeline, &mut found),
            ItemKind::Sweep(sweep) => self.sweep(sweep, &mut found),
            ItemKind::Suite(_, record) => {
                self.valued(index, &mut found);
                found.written = self.text(record.span);
            }
            ItemKind::Compare(_, record) | ItemKind::Profile(_, record) => found.written = self.text(record.span),
        }
        Some(found)
    }

    fn text(&self, span: Span) -> String {
        self.sources.text(span).to_string()
    }

    /// Type and value of an item that has one.
    fn valued(&mut self, index: usize, found: &mut ItemOutline) {
        let value = self.evaluator.item(self.id, index);
        found.ty = known(value.ty());
        found.value = value.fold().filter(is_plain).map(|value| value.literal());
    }

    fn param(&mut self, index: usize, param: &Param, found: &mut ItemOutline) {
        self.valued(index, found);
        found.ty = known(self.evaluator.written(&param.ty));
        found.written = param.default.as_ref().map(|default| self.text(default.span)).unwrap_or_default();
        found.condition = param.condition.as_ref().map(|condition| self.text(condition.span));
    }

    /// A recipe's parameters; its result from its promise, or from its body run on parameters known by type.
    fn recipe(&mut self, recipe: &Recipe, found: &mut ItemOutline) {
        let mut frame = Frame::new(self.id);
        for param in &recipe.params {
            let ty = self.evaluator.written(&param.ty);
            frame.bind(&param.name.name, Datum::Opaque(ty));
            let default = param.default.as_ref().map(|default| self.text(default.span));
            let (name, ty) = (param.name.name.to_string(), self.text(param.ty.span));
            found.params.push(ParamOutline { name, ty, default });
        }
        found.ty = known(match &recipe.returns {
            Some(promised) => self.evaluator.written(promised),
            None => self.evaluator.block(&recipe.body, &mut frame).ty(),
        });
        found.written = self.block(&recipe.body);
    }

    fn sweep(&mut self, sweep: &Sweep, found: &mut ItemOutline) {
        found.ty = Some(Type::Cells);
        found.written = self.block(&sweep.body);
        found.params = sweep
            .axes
            .iter()
            .map(|(name, values)| {
                let default = Some(self.text(values.span));
                ParamOutline { name: name.name.to_string(), ty: String::new(), default }
            })
            .collect();
    }

    fn block(&self, block: &Block) -> String {
        let first = block.bindings.first().map_or(block.result.span, |binding| binding.name.span);
        self.text(first.to(block.result.span))
    }
}

fn known(ty: Type) -> Option<Type> {
    (ty != Type::Unknown).then_some(ty)
}

/// Whether a value can be written down: no part of it is an artifact.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Node(..) | Value::Input(_) => false,
        Value::List(items) => items.iter().all(is_plain),
        Value::Record(fields) | Value::Variant(_, fields) => fields.iter().all(|(_, value)| is_plain(value)),
        _ => true,
    }
}

/// The `#` comment at the top of a file, without the signs.
pub fn opening_comment(text: &str) -> Option<String> {
    let lines = text.lines().skip_while(|line| line.trim().is_empty());
    let comment = lines.map_while(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(['#', '!'])));
    let lines: Vec<&str> = comment.map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
