//! Items to a program: params and what the command line sets, pipelines, sweeps, compares, profiles.

use super::ast::*;
use super::compare;
use super::datum::{Datum, Function};
use super::eval::{Evaluator, Frame, Given, Local, Override};
use super::name::Name;
use super::params_file::takes_text;
use super::program::{Cell, Pipeline, Profile, Sweep as SweepOut};
use super::resolve::{Definition, ModuleId};
use super::types::Type;
use super::value::NodeId;
use super::{nearest::nearest, references, units};
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};
use std::collections::BTreeSet;
use std::rc::Rc;

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
            match &item.kind {
                ItemKind::Compare(name, record) => {
                    wanted.compares.extend(compare::check(self, name, record, &wanted.sweeps, &module.file));
                }
                // Its settings may name any stage of the file.
                ItemKind::Profile(name, record) => {
                    let settings = self.profile(record);
                    wanted.profiles.push(Profile { name: name.name.to_string(), settings, span: name.span });
                }
                _ => {}
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
                let value = self.built(index, pipeline);
                let target =
                    self.artifact(&value, pipeline.body.result.span, &format!("pipeline `{}`", pipeline.name.name));
                let (name, doc) = (pipeline.name.name.to_string(), item.doc.clone());
                wanted.pipelines.extend(target.map(|target| Pipeline { name, doc, target, span: pipeline.name.span }));
            }
            ItemKind::Sweep(sweep) => wanted.sweeps.extend(self.sweep(sweep, item.doc.clone())),
            ItemKind::Recipe(recipe) => self.check_recipe(self.entry, recipe),
            ItemKind::Use(_) | ItemKind::Compare(..) | ItemKind::Profile(..) => {}
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
                let shown = if source.is_std { format!("{}.{name}", source.name) } else { name.to_string() };
                self.binding(binding, &shown, &mut frame)
            }
            ItemKind::Param(param) => self.param(param, &mut frame),
            ItemKind::Recipe(recipe) => self.recipe_value(module, index, recipe),
            ItemKind::Suite(name, record) => self.suite(name, record, &mut frame),
            ItemKind::Pipeline(pipeline) => self.pipeline(module, index, pipeline),
            ItemKind::Sweep(_) => Datum::Opaque(Type::Cells),
            ItemKind::Use(_) | ItemKind::Compare(..) | ItemKind::Profile(..) => Datum::UNKNOWN,
        }
    }

    fn suite(&mut self, name: &Ident, record: &Record, frame: &mut Frame) -> Datum {
        let arguments = self.arguments(&record.fields, frame);
        let mut fields = Vec::new();
        for entry in arguments.entries {
            let place = format_args!("`{}` of the suite `{}`", entry.name.name, name.name);
            let value = self.fitted(place, entry.value, &Type::Bench, entry.span);
            fields.push((entry.name.name, value));
        }
        if fields.is_empty() && !arguments.open {
            let message = format!("the suite `{}` has no benchmark", name.name);
            let found = Diagnostic::error(codes::MISSING_FIELD, message, record.span, "empty");
            return self.report(found.help("add one: `name: bench(data)`"));
        }
        if arguments.open { Datum::UNKNOWN } else { Datum::record(fields) }
    }

    /// A pipeline without parameters is what its body gives; one with parameters is called like a recipe.
    fn pipeline(&mut self, module: ModuleId, index: usize, pipeline: &Recipe) -> Datum {
        match pipeline.params.is_empty() {
            true => self.block(&pipeline.body, &mut Frame::new(module)),
            false => self.recipe_value(module, index, pipeline),
        }
    }

    /// What the file makes of a pipeline: with parameters, what their defaults give.
    fn built(&mut self, index: usize, pipeline: &Recipe) -> Datum {
        if pipeline.params.is_empty() {
            return self.item(self.entry, index);
        }
        if let Some(param) = pipeline.params.iter().find(|param| param.default.is_none()) {
            self.check_recipe(self.entry, pipeline);
            let name = &param.name.name;
            let message = format!("`{name}` of pipeline `{}` has no default", pipeline.name.name);
            let found = Diagnostic::error(codes::PARAM_WITHOUT_VALUE, message, param.name.span, "no default");
            let help = format!(
                "a pipeline is built as it stands: give one, as in `{name}: {} = …`, or make it a `recipe`",
                self.written_at(param.ty.span).unwrap_or("Type")
            );
            return self.report(found.help(help));
        }
        let mut frame = Frame::new(self.entry);
        for param in &pipeline.params {
            self.bind_default(param, &mut frame);
        }
        self.block(&pipeline.body, &mut frame)
    }

    /// The node that a value is; anything else is reported.
    fn artifact(&mut self, value: &Datum, span: Span, owner: &str) -> Option<NodeId> {
        if value.node().is_none() && !value.is_opaque() {
            let found = match value {
                Datum::Function(function) => self.waits(function, span, owner),
                _ => {
                    let message = format!("{owner} ends in {}, which is nothing that can be made", value.describe());
                    Diagnostic::error(codes::NOT_AN_ARTIFACT, message, span, format!("this is {}", value.describe()))
                        .help("what is made is a model, a dataset or scores")
                }
            };
            self.report(found);
        }
        value.node()
    }

    /// A stage where a result should be: nothing goes into it.
    fn waits(&mut self, function: &Rc<Function>, span: Span, owner: &str) -> Diagnostic {
        let message = format!("{owner} ends in a stage, and no value goes into it");
        let found = Diagnostic::error(codes::NOT_AN_ARTIFACT, message, span, "waits for a value");
        if let Function::Recipe(partial) = &**function
            && function.from() != Type::Model
        {
            return found.help(format!("call it: `{}(…)`", partial.name));
        }
        let module = self.module(self.entry);
        let is_model = |ty: &TypeExpr| matches!(&ty.kind, TypeKind::Name(name) if name == "Model");
        let mut params = module.file.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Param(param) if is_model(&param.ty) => Some(param.name.name.as_str()),
            _ => None,
        });
        match params.next().filter(|_| function.from() == Type::Model) {
            Some(model) => {
                let place = Span { end: span.start, ..span };
                found.help(format!("apply it to a model: `{model} |> …`")).fix(place, format!("{model} |> "))
            }
            None => found.help("apply it to a value: `value |> stage`"),
        }
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
            let meant = nearest(&name, params.iter().copied()).filter(|_| !is_own);
            let found = if let Some(meant) = meant { found.fix(span, meant) } else { found };
            let help = match (meant, params.is_empty()) {
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
        let (value, span) = match (self.take_override(name, &ty, frame), &param.default) {
            (Some(given), _) => given,
            (None, Some(default)) => (self.expr(default, frame), default.span),
            (None, None) => return self.param_without_value(param, &ty),
        };
        let value = self.fitted(format_args!("param `{name}`"), value, &ty, span);
        let value = self.named(value, name, before);
        frame.bind(name, value.clone());
        match &param.condition {
            Some(condition) if self.condition(condition, frame) == Some(false) => {
                let broken = self.first_false(condition, frame);
                self.condition_broken(param, &value, span, broken);
                // The value is wrong: what depends on it is checked by its type alone.
                Datum::Opaque(ty)
            }
            _ => value,
        }
    }

    /// Of conditions joined by `and` the first that does not hold.
    fn first_false<'e>(&mut self, condition: &'e Expr, frame: &mut Frame) -> &'e Expr {
        match &condition.kind {
            ExprKind::And(parts) => {
                let mut parts = parts.iter();
                parts.find(|part| self.condition(part, frame) == Some(false)).unwrap_or(condition)
            }
            _ => condition,
        }
    }

    fn condition_broken(&mut self, param: &Param, value: &Datum, span: Span, broken: &Expr) {
        let name = &param.name.name;
        let message = format!("`{name}` is {}, which breaks its condition", value.show());
        let text = format!("{} is given here", value.show());
        let found =
            Diagnostic::error(codes::CONDITION_BROKEN, message, span, text).label(broken.span, "this must hold");
        let written = self.written_at(broken.span).unwrap_or("its condition");
        let found = match limit(broken, name).and_then(|(limit, word)| Some((self.written_at(limit)?, word))) {
            Some((limit, word)) => found.help(format!("`{name}` may be {word} {limit}")).fix(span, limit),
            None => found.help(format!("give a value for which `{written}` holds")),
        };
        self.report(found);
    }

    /// What the command line or the params file sets a param of the entry file to.
    fn take_override(&mut self, name: &str, ty: &Type, frame: &mut Frame) -> Option<(Datum, Span)> {
        if frame.module != self.entry {
            return None;
        }
        let Override { given, span, .. } = self.overrides.remove(name)?;
        let value = match given {
            Given::Expr(expr) => {
                let before = self.diagnostics.len();
                let value = self.expr(&expr, frame);
                if let (ExprKind::Name(word), true) = (&expr.kind, takes_text(ty)) {
                    let unknown =
                        self.diagnostics[before..].iter_mut().filter(|found| found.code == codes::UNKNOWN_NAME);
                    for found in unknown {
                        found.help = Some(format!("a text stands in quotes: `-p '{name}=\"{word}\"'`"));
                        found.fix = None;
                    }
                }
                value
            }
            Given::Written(written) => match written.expr(ty) {
                Ok(expr) => self.expr(&expr, frame),
                Err(found) => found.into_iter().fold(Datum::UNKNOWN, |_, found| self.report(found)),
            },
            Given::Broken => Datum::UNKNOWN,
        };
        Some((value, span))
    }

    fn param_without_value(&mut self, param: &Param, ty: &Type) -> Datum {
        let name = &param.name.name;
        let message = format!("param `{name}` has no value");
        let found = Diagnostic::error(codes::PARAM_WITHOUT_VALUE, message, param.name.span, "no default");
        let example = match ty {
            Type::Path | Type::String => format!("-p '{name}=\"…\"'"),
            Type::Model => format!("-p '{name}=local(\"folder\")'"),
            Type::Int => format!("-p {name}=1"),
            Type::Quantity(dimension) => format!("-p {name}=1{}", units::base_name(*dimension)),
            Type::List(item) if **item == Type::Int => format!("-p '{name}=[1, 2]'"),
            _ => format!("-p {name}=…"),
        };
        self.report(found.help(format!("set it on the command line: `{example}`, or in the file of `--params`")));
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
            self.report(too_many_cells(sweep, &axes));
            return None;
        }
        let cells = self.cells(sweep, &axes, count)?;
        if cells.is_empty() {
            let message = format!("sweep `{}` is empty: every cell is skipped", sweep.name.name);
            let place = sweep.skips.first().map_or(sweep.name.span, |skip| skip.span);
            let found = Diagnostic::error(codes::EMPTY_SWEEP, message, place, "holds for every combination");
            self.report(found.help("loosen the condition so that a cell is left"));
            return None;
        }
        let labels = |axis: &Vec<(String, Datum)>| axis.iter().map(|(label, _)| label.clone()).collect();
        let axes =
            sweep.axes.iter().zip(&axes).map(|((name, _), axis)| (name.name.to_string(), labels(axis))).collect();
        Some(SweepOut { name: sweep.name.name.to_string(), doc, axes, cells, span: sweep.name.span })
    }

    /// The labelled values of an axis.
    fn axis(&mut self, name: &Ident, values: &Expr) -> Option<Vec<(String, Datum)>> {
        let mut frame = Frame::new(self.entry);
        let axis: Vec<(String, Datum)> = match self.expr(values, &mut frame) {
            Datum::Record(fields) => fields.iter().map(|(label, value)| (label.to_string(), value.clone())).collect(),
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
            let found = Diagnostic::error(codes::EMPTY_SWEEP, message, values.span, "empty");
            self.report(found.help("write at least one value, such as `[1]`"));
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
        // Only what imports bring in is looked for: few names among many.
        let imports = |name: &str| !matches!(module.names.get(name), None | Some(Definition::Item(_)));
        let imported: BTreeSet<&str> = module.names.keys().map(String::as_str).filter(|name| imports(name)).collect();
        let references = file.items.iter().flat_map(references::of_item).map(|reference| reference.name);
        let names: BTreeSet<&str> = references.filter(|name| imported.contains(name)).collect();
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
                let import = matches!(item.kind, ItemKind::Use(_));
                let help = if import { "remove it from the import" } else { "remove it, or start its name with `_`" };
                self.report(found.help(help));
            }
        }
    }
}

/// The limit that `name <= limit` or `name >= limit` sets, and how to say so.
fn limit(condition: &Expr, name: &str) -> Option<(Span, &'static str)> {
    let ExprKind::Compare(left, operator, right) = &condition.kind else { return None };
    let is_plain = matches!(right.kind, ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Quantity(..));
    let is_name = matches!(&left.kind, ExprKind::Name(left) if left == name);
    match operator {
        _ if !(is_plain && is_name) => None,
        Comparison::LessEqual => Some((right.span, "at most")),
        Comparison::GreaterEqual => Some((right.span, "at least")),
        _ => None,
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

/// A number with a comma between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

fn too_many_cells(sweep: &Sweep, axes: &[Vec<(String, Datum)>]) -> Diagnostic {
    let name = &sweep.name.name;
    let count = axes.iter().fold(1usize, |count, axis| count.saturating_mul(axis.len()));
    let sizes: Vec<String> = axes.iter().map(|axis| axis.len().to_string()).collect();
    let product = if sizes.len() > 1 { format!(" ({})", sizes.join(" × ")) } else { String::new() };
    let message = format!("sweep `{name}` has {} cells{product}; {} are allowed", grouped(count), grouped(MAX_CELLS));
    let mut found = Diagnostic::error(codes::SWEEP_TOO_LARGE, message, sweep.name.span, "too many combinations");
    for ((_, values), axis) in sweep.axes.iter().zip(axes) {
        found = found.label(values.span, format!("{} values", grouped(axis.len())));
    }
    found.help("take values out of an axis, or split the sweep")
}

/// The first name of an import that nothing uses.
fn unused_import(import: &Use, used: &BTreeSet<&str>) -> Option<Ident> {
    match (&import.names, &import.alias, &import.path) {
        (Some(names), _, _) => names.iter().find(|name| !used.contains(name.name.as_str())).cloned(),
        (None, Some(alias), _) => Some(alias).filter(|alias| !used.contains(alias.name.as_str())).cloned(),
        (None, None, UsePath::Dotted(path)) => path.last().filter(|last| !used.contains(last.name.as_str())).cloned(),
        (None, None, UsePath::File(path, span)) => {
            let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".srlm");
            (!used.contains(stem)).then(|| Ident { name: Name::written(stem), span: *span })
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
        coordinates.push((name.name.to_string(), label.clone()));
        frame.locals.push(Local { name: name.name.clone(), value: value.clone(), label: Some(label.clone()) });
    }
    coordinates
}
