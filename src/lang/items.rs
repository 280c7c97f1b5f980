//! Items to a program: params and what the command line sets, pipelines, sweeps, compares, profiles.

use super::ast::*;
use super::compare;
use super::datum::Datum;
use super::eval::{Evaluator, Frame, Local, Override};
use super::program::{Cell, Pipeline, Profile, Sweep as SweepOut};
use super::resolve::ModuleId;
use super::types::Type;
use super::value::{NodeId, Value};
use super::{nearest::nearest, references, units};
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};
use std::collections::BTreeSet;

/// How many cells a sweep may have.
const MAX_CELLS: usize = 10_000;

/// What the entry file asks for, with the evaluator's node ids.
#[derive(Default)]
pub(super) struct Wanted {
    pub pipelines: Vec<Pipeline>,
    pub sweeps: Vec<SweepOut>,
    pub compares: Vec<super::program::Compare>,
    pub profiles: Vec<Profile>,
}

impl Evaluator<'_> {
    /// Evaluates the whole entry file.
    pub fn run(&mut self) -> Wanted {
        let module = self.module(self.entry);
        self.check_overrides(&module.file);
        let mut wanted = Wanted::default();
        for (index, item) in module.file.items.iter().enumerate() {
            if !module.cyclic.contains(&index) {
                self.want(index, item, &mut wanted);
            }
        }
        for item in &module.file.items {
            if let ItemKind::Compare(name, record) = &item.kind {
                wanted.compares.extend(compare::check(self, name, record, &wanted.sweeps, &module.file));
            }
        }
        self.warn_unused(&module.file);
        wanted
    }

    /// Evaluates what the file imports but does not use, for those who ask what it is. It reports nothing: such items
    /// are no business of the file.
    pub fn survey(&mut self) {
        let (reported, entry) = (self.diagnostics.len(), self.entry);
        for module in (0..self.modules.len()).map(ModuleId).filter(|module| *module != entry) {
            let items = &self.modules[module.0].file.items;
            let has_value = |item: &Item| {
                matches!(item.kind, ItemKind::Param(_) | ItemKind::Let(_) | ItemKind::Suite(..) | ItemKind::Recipe(_))
            };
            for index in (0..items.len()).filter(|&index| has_value(&items[index])) {
                self.item(module, index);
            }
        }
        self.diagnostics.truncate(reported);
    }

    fn want(&mut self, index: usize, item: &Item, wanted: &mut Wanted) {
        match &item.kind {
            ItemKind::Pipeline(pipeline) => {
                let value = self.item(self.entry, index);
                let target =
                    self.artifact(&value, pipeline.body.result.span, &format!("pipeline `{}`", pipeline.name.name));
                let (name, doc) = (pipeline.name.name.clone(), item.doc.clone());
                wanted.pipelines.extend(target.map(|target| Pipeline { name, doc, target, span: pipeline.name.span }));
            }
            ItemKind::Sweep(sweep) => wanted.sweeps.extend(self.sweep(sweep, item.doc.clone())),
            ItemKind::Recipe(recipe) => self.check_recipe(self.entry, recipe),
            ItemKind::Profile(name, record) => {
                let settings = self.settings(record);
                wanted.profiles.push(Profile { name: name.name.clone(), settings, span: name.span });
            }
            ItemKind::Use(_) | ItemKind::Compare(..) => {}
            ItemKind::Param(_) | ItemKind::Let(_) | ItemKind::Suite(..) => drop(self.item(self.entry, index)),
        }
    }

    /// The value of an item whose needs are evaluated.
    pub fn evaluate_item(&mut self, module: ModuleId, index: usize) -> Datum {
        let source = self.module(module);
        let mut frame = Frame::new(module);
        let Some(item) = source.file.items.get(index) else {
            return Datum::UNKNOWN;
        };
        match &item.kind {
            ItemKind::Let(binding) => {
                let name = &binding.name.name;
                let shown = if source.is_std { format!("{}.{name}", source.name) } else { name.clone() };
                self.binding(binding, &shown, &mut frame)
            }
            ItemKind::Param(param) => self.param(param, &mut frame),
            ItemKind::Recipe(recipe) => self.recipe_value(module, index, recipe),
            ItemKind::Suite(name, record) => self.suite(name, record, &mut frame),
            ItemKind::Pipeline(pipeline) => self.pipeline(pipeline, &mut frame),
            ItemKind::Sweep(_) => Datum::Opaque(Type::Cells),
            ItemKind::Use(_) | ItemKind::Compare(..) | ItemKind::Profile(..) => Datum::UNKNOWN,
        }
    }

    fn suite(&mut self, name: &Ident, record: &Record, frame: &mut Frame) -> Datum {
        let arguments = self.arguments(&record.fields, frame);
        let mut fields = Vec::new();
        for entry in arguments.entries {
            let place = format!("`{}` of the suite `{}`", entry.name.name, name.name);
            let value = self.fitted(&place, entry.value, &Type::Bench, entry.span);
            fields.push((entry.name.name, value));
        }
        if fields.is_empty() && !arguments.open {
            let message = format!("the suite `{}` has no benchmark", name.name);
            let found = Diagnostic::error(codes::MISSING_FIELD, message, record.span, "empty");
            return self.report(found.help("add one: `name: bench(data)`"));
        }
        if arguments.open { Datum::UNKNOWN } else { Datum::record(fields) }
    }

    fn pipeline(&mut self, pipeline: &Recipe, frame: &mut Frame) -> Datum {
        if let Some(param) = pipeline.params.first() {
            let message = "a pipeline with parameters is not supported yet";
            let found = Diagnostic::error(codes::NOT_SUPPORTED, message, param.name.span, "a parameter");
            return self
                .report(found.help("write a `recipe` and a `pipeline` that calls it, or a `param` of the file"));
        }
        self.block(&pipeline.body, frame)
    }

    /// The node that a value is; anything else is reported.
    fn artifact(&mut self, value: &Datum, span: Span, owner: &str) -> Option<NodeId> {
        if value.node().is_none() && !value.is_opaque() {
            let message = format!("{owner} gives {}, which is nothing that can be made", value.describe());
            let found =
                Diagnostic::error(codes::NOT_AN_ARTIFACT, message, span, format!("this is {}", value.describe()));
            let waits = matches!(value, Datum::Function(_));
            let help = "apply it to a model: `model |> stage`";
            self.report(if waits { found.help(help) } else { found });
        }
        value.node()
    }

    fn check_overrides(&mut self, file: &File) {
        let params: Vec<&str> = file
            .items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::Param(param) => Some(param.name.name.as_str()),
                _ => None,
            })
            .collect();
        let known = |name: &str| params.contains(&name) || file.broken.iter().any(|broken| broken == name);
        let unknown: Vec<(String, Span)> = self
            .overrides
            .iter()
            .filter(|(name, _)| !known(name))
            .map(|(name, set)| (name.clone(), set.name))
            .collect();
        for (name, span) in unknown {
            let found =
                Diagnostic::error(codes::UNKNOWN_PARAM, format!("the file has no param `{name}`"), span, "set here");
            let is_own = self.module(self.entry).names.contains_key(&name);
            let help = match (nearest(&name, params.iter().copied()), params.is_empty()) {
                _ if is_own => format!("the file defines it itself: `param {name}: Type = …` would let it be set"),
                (Some(meant), _) => format!("did you mean `{meant}`?"),
                (None, true) => {
                    "the file has no params at all: declare one with `param name: Type = default`".to_string()
                }
                (None, false) => format!("its params are: {}", params.join(", ")),
            };
            self.report(found.help(help));
        }
    }

    fn param(&mut self, param: &Param, frame: &mut Frame) -> Datum {
        let name = &param.name.name;
        let ty = self.written(&param.ty);
        let before = self.graph.len();
        let (value, span) = match (self.take_override(name, frame), &param.default) {
            (Some(given), _) => given,
            (None, Some(default)) => (self.expr(default, frame), default.span),
            (None, None) => return self.param_without_value(param, &ty),
        };
        let value = self.fitted(&format!("param `{name}`"), value, &ty, span);
        let value = self.named(value, name, before);
        frame.bind(name, value.clone());
        match &param.condition {
            Some(condition) if self.condition(condition, frame) == Some(false) => {
                self.condition_broken(param, &value, span, condition.span);
                // The value is wrong: what depends on it is checked by its type alone.
                Datum::Opaque(ty)
            }
            _ => value,
        }
    }

    fn condition_broken(&mut self, param: &Param, value: &Datum, span: Span, condition: Span) {
        let message = format!("`{}` is {}, which breaks its condition", param.name.name, value.show());
        let text = format!("{} is given here", value.show());
        let found = Diagnostic::error(codes::CONDITION_BROKEN, message, span, text);
        self.report(found.label(condition, "this must hold"));
    }

    /// What the command line sets a param of the entry file to.
    fn take_override(&mut self, name: &str, frame: &mut Frame) -> Option<(Datum, Span)> {
        if frame.module != self.entry {
            return None;
        }
        let Override { expr, span, .. } = self.overrides.remove(name)?;
        Some((expr.map_or(Datum::UNKNOWN, |expr| self.expr(&expr, frame)), span))
    }

    fn param_without_value(&mut self, param: &Param, ty: &Type) -> Datum {
        let name = &param.name.name;
        let message = format!("param `{name}` has no value");
        let found = Diagnostic::error(codes::PARAM_WITHOUT_VALUE, message, param.name.span, "no default");
        let example = match ty {
            Type::Path | Type::String => format!("-p '{name}=\"…\"'"),
            Type::Model => format!("-p '{name}=local(\"folder\")'"),
            _ => format!("-p {name}=…"),
        };
        self.report(found.help(format!("set it on the command line: `{example}`")));
        Datum::Opaque(ty.clone())
    }

    fn sweep(&mut self, sweep: &Sweep, doc: Option<String>) -> Option<SweepOut> {
        let mut axes: Vec<Vec<(String, Datum)>> = Vec::new();
        for (index, (name, values)) in sweep.axes.iter().enumerate() {
            if let Some((first, _)) = sweep.axes[..index].iter().find(|(other, _)| other.name == name.name) {
                let message = format!("the axis `{}` is written twice", name.name);
                let found = Diagnostic::error(codes::FIELD_TWICE, message, name.span, "again here");
                self.report(found.label(first.span, "first here").help("give one of them another name"));
                return None;
            }
            axes.push(self.axis(name, values)?);
        }
        let count = axes.iter().try_fold(1usize, |count, axis| count.checked_mul(axis.len())).unwrap_or(usize::MAX);
        if count > MAX_CELLS {
            let sizes: Vec<String> = axes.iter().map(|axis| axis.len().to_string()).collect();
            let message =
                format!("sweep `{}` has {} cells; {MAX_CELLS} are allowed", sweep.name.name, sizes.join(" × "));
            let found = Diagnostic::error(codes::SWEEP_TOO_LARGE, message, sweep.name.span, "too many combinations");
            self.report(found.help("take values out of an axis, or split the sweep"));
            return None;
        }
        let cells = self.cells(sweep, &axes, count)?;
        if cells.is_empty() {
            let message = format!("sweep `{}` is empty: every cell is skipped", sweep.name.name);
            let place = sweep.skips.first().map_or(sweep.name.span, |skip| skip.span);
            self.report(Diagnostic::error(codes::EMPTY_SWEEP, message, place, "holds for every combination"));
            return None;
        }
        let labels = |axis: &Vec<(String, Datum)>| axis.iter().map(|(label, _)| label.clone()).collect();
        let axes = sweep.axes.iter().zip(&axes).map(|((name, _), axis)| (name.name.clone(), labels(axis))).collect();
        Some(SweepOut { name: sweep.name.name.clone(), doc, axes, cells, span: sweep.name.span })
    }

    /// The labelled values of an axis.
    fn axis(&mut self, name: &Ident, values: &Expr) -> Option<Vec<(String, Datum)>> {
        let mut frame = Frame::new(self.entry);
        let axis: Vec<(String, Datum)> = match self.expr(values, &mut frame) {
            Datum::Record(fields) => (*fields).clone(),
            Datum::List(items) => items.iter().map(|item| (item.show(), item.clone())).collect(),
            Datum::Opaque(_) => return None,
            other => {
                let message = format!("the axis `{}` needs a list or a record, not {}", name.name, other.describe());
                let found = Diagnostic::error(
                    codes::TYPE_MISMATCH,
                    message,
                    values.span,
                    format!("this is {}", other.describe()),
                );
                self.report(found.help("write `[1, 2, 3]`, or `{ label: value }`"));
                return None;
            }
        };
        if axis.is_empty() {
            let message = format!("the axis `{}` has no values, so the sweep is empty", name.name);
            self.report(Diagnostic::error(codes::EMPTY_SWEEP, message, values.span, "empty"));
            return None;
        }
        let mut seen = BTreeSet::new();
        if let Some((label, _)) = axis.iter().find(|(label, _)| !seen.insert(label)) {
            let message = format!("the axis `{}` has two values labelled `{label}`", name.name);
            let found = Diagnostic::error(codes::FIELD_TWICE, message, values.span, "labels must differ");
            self.report(found.help("give the values labels of their own: `{ first: …  second: … }`"));
            return None;
        }
        Some(axis)
    }

    /// Evaluates every combination, the last axis fastest; stops after the first cell with an error.
    fn cells(&mut self, sweep: &Sweep, axes: &[Vec<(String, Datum)>], count: usize) -> Option<Vec<Cell>> {
        let mut cells = Vec::new();
        for index in 0..count {
            let errors = self.diagnostics.len();
            let mut frame = Frame::new(self.entry);
            let coordinates = place(sweep, axes, index, &mut frame);
            let skipped = sweep.skips.iter().any(|skip| self.condition(skip, &mut frame) == Some(true));
            if !skipped {
                let value = self.block(&sweep.body, &mut frame);
                let owner = format!("sweep `{}`", sweep.name.name);
                let target = self.artifact(&value, sweep.body.result.span, &owner);
                if value.is_opaque() {
                    return None;
                }
                cells.extend(target.map(|target| Cell { coordinates, target }));
            }
            if self.diagnostics.len() > errors {
                return None;
            }
        }
        Some(cells)
    }

    /// The settings of a profile: plain values, names of executors taken as they stand.
    fn settings(&mut self, record: &Record) -> Vec<(String, Value)> {
        let mut settings = Vec::new();
        for field in &record.fields {
            match field {
                Field::Named(name, value) => {
                    settings.extend(self.setting(value).map(|value| (name.name.clone(), value)));
                }
                Field::Spread(value) | Field::Positional(value) => drop(self.no_setting(value)),
            }
        }
        settings
    }

    fn setting(&mut self, expr: &Expr) -> Option<Value> {
        let mut frame = Frame::new(self.entry);
        match &expr.kind {
            ExprKind::None | ExprKind::Bool(_) | ExprKind::Int(_) | ExprKind::Float(_) => {
                self.expr(expr, &mut frame).fold()
            }
            ExprKind::Quantity(_, unit) if units::find(&unit.name).is_none() => {
                self.expr(expr, &mut frame);
                None
            }
            ExprKind::Quantity(..) | ExprKind::Negate(_) => self.expr(expr, &mut frame).fold(),
            ExprKind::Text(parts) if parts.iter().all(|part| matches!(part, TextPart::Text(_))) => {
                self.expr(expr, &mut frame).fold()
            }
            ExprKind::List(items) => {
                items.iter().map(|item| self.setting(item)).collect::<Option<_>>().map(Value::List)
            }
            ExprKind::Record(record) => Some(Value::Record(self.settings(record))),
            ExprKind::Construct(name, record) => Some(Value::Variant(name.name.clone(), self.settings(record))),
            _ => self.no_setting(expr),
        }
    }

    fn no_setting(&mut self, expr: &Expr) -> Option<Value> {
        let message = "a profile holds plain values only";
        let found = Diagnostic::error(codes::PROFILE_VALUE, message, expr.span, "computed");
        self.report(found.help("write the number, text, list or record itself"));
        None
    }

    /// Warns of items that nothing the file makes depends on.
    fn warn_unused(&mut self, file: &File) {
        let makes =
            |item: &Item| matches!(item.kind, ItemKind::Pipeline(_) | ItemKind::Sweep(_) | ItemKind::Compare(..));
        if !file.items.iter().any(makes) || !file.broken.is_empty() {
            return;
        }
        let module = self.module(self.entry);
        let used =
            reached(&module.uses, file.items.iter().enumerate().filter(|(_, item)| makes(item)).map(|(at, _)| at));
        let names: BTreeSet<&str> =
            file.items.iter().flat_map(references::of_item).map(|reference| reference.name).collect();
        for (index, item) in file.items.iter().enumerate() {
            let unused = match (&item.kind, item.name()) {
                (ItemKind::Use(import), _) => unused_import(import, &names),
                (ItemKind::Profile(..), _) => None,
                (_, Some(name)) if !makes(item) && !used.contains(&index) => Some(name.clone()),
                _ => None,
            };
            if let Some(name) = unused.filter(|name| !name.name.starts_with('_')) {
                let message = format!("`{}` is never used", name.name);
                let found =
                    Diagnostic::warning(codes::UNUSED, message, name.span, "nothing that this file makes needs it");
                self.report(found.help("remove it, or start its name with `_`"));
            }
        }
    }
}

/// The items that can be reached from some of them.
fn reached(uses: &[Vec<usize>], roots: impl Iterator<Item = usize>) -> BTreeSet<usize> {
    let mut open: Vec<usize> = roots.collect();
    let mut reached = BTreeSet::new();
    while let Some(index) = open.pop() {
        if reached.insert(index) {
            open.extend(&uses[index]);
        }
    }
    reached
}

/// The first name of an import that nothing uses.
fn unused_import(import: &Use, used: &BTreeSet<&str>) -> Option<Ident> {
    match (&import.names, &import.alias, &import.path) {
        (Some(names), _, _) => names.iter().find(|name| !used.contains(name.name.as_str())).cloned(),
        (None, Some(alias), _) => Some(alias).filter(|alias| !used.contains(alias.name.as_str())).cloned(),
        (None, None, UsePath::Dotted(path)) => path.last().filter(|last| !used.contains(last.name.as_str())).cloned(),
        (None, None, UsePath::File(path, span)) => {
            let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".srlm");
            (!used.contains(stem)).then(|| Ident { name: stem.to_string(), span: *span })
        }
    }
}

/// Binds each axis to its value in cell `index`, and returns the cell's coordinates.
fn place(sweep: &Sweep, axes: &[Vec<(String, Datum)>], index: usize, frame: &mut Frame) -> Vec<(String, String)> {
    let mut below: usize = axes.iter().map(Vec::len).product();
    let mut coordinates = Vec::new();
    for ((name, _), axis) in sweep.axes.iter().zip(axes) {
        below /= axis.len();
        let (label, value) = &axis[index / below % axis.len()];
        coordinates.push((name.name.clone(), label.clone()));
        frame.locals.push(Local { name: name.name.clone(), value: value.clone(), label: Some(label.clone()) });
    }
    coordinates
}
