//! Expressions to values. Checking is evaluating: a recipe is checked by running it on values known by type only.

use super::ast::*;
use super::check::{coerce, mismatch, written_type};
use super::datum::{Datum, article};
use super::graph::Graph;
use super::index::Recorder;
use super::name::Name;
use super::operators::{self, Fault};
use super::params_file::Written;
use super::program::Unbuilt;
use super::resolve::{Module, ModuleId};
use super::scan::MAX_FOUND;
use super::signature::Catalogue;
use super::types::Type;
use super::units;
use super::value::{Quantity, Value};
use crate::base::source::{SourceId, Span};
use crate::diag::{Diagnostic, Label, codes};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;

/// How many expressions may be evaluated, and how many values made: a program without loops can still be exponential.
const MAX_STEPS: usize = 5_000_000;
const MAX_VALUES: usize = 1_000_000;

/// What is given for a param.
pub(super) enum Given {
    /// An expression.
    Expr(Expr),
    /// A value of the params file.
    Written(Written),
    /// Something that did not parse, which was reported.
    Broken,
}

/// A value that the command line sets.
pub(super) struct Override {
    /// What was written.
    pub given: Given,
    /// Where the name stands in its source.
    pub name: Span,
    /// Where the value stands in its source.
    pub span: Span,
}

/// The evaluator of one compilation.
pub(super) struct Evaluator<'a> {
    pub catalogue: &'a Catalogue,
    pub modules: &'a [Arc<Module>],
    pub entry: ModuleId,
    pub overrides: BTreeMap<String, Override>,
    pub graph: Graph,
    pub diagnostics: Vec<Diagnostic>,
    /// What this version cannot run, wanted or not.
    pub unbuilt: Vec<Unbuilt>,
    /// The recipe calls under way, outermost first.
    pub sites: Vec<Span>,
    /// Keeps what expressions come to, where someone asks for it.
    pub recorder: Option<Box<Recorder>>,
    /// The values of the items of each module, as far as they are evaluated.
    values: Vec<Vec<Option<Datum>>>,
    reported: HashSet<(&'static str, Span)>,
    /// Module by its text.
    by_source: Vec<Option<ModuleId>>,
    steps: usize,
    made: usize,
    is_too_large: bool,
}

/// A name of a block, a parameter or an axis.
pub(super) struct Local {
    pub name: Name,
    pub value: Datum,
    /// What `name.name` reads: the label of an axis value.
    pub label: Option<String>,
}

/// Where an expression is evaluated.
pub(super) struct Frame {
    pub module: ModuleId,
    pub locals: Vec<Local>,
}

impl Frame {
    /// The outermost level of a module.
    pub fn new(module: ModuleId) -> Self {
        Frame { module, locals: Vec::new() }
    }

    /// Gives a value a name.
    pub fn bind(&mut self, name: &Name, value: Datum) {
        self.locals.push(Local { name: name.clone(), value, label: None });
    }

    /// The innermost local of that name.
    pub fn find(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| local.name == name)
    }
}

/// The module of each text, by the text's number.
fn by_source(modules: &[Arc<Module>]) -> Vec<Option<ModuleId>> {
    let count = modules.iter().map(|module| module.source.0 as usize + 1).max().unwrap_or(0);
    let mut found = vec![None; count];
    modules.iter().enumerate().for_each(|(at, module)| found[module.source.0 as usize] = Some(ModuleId(at)));
    found
}

impl<'a> Evaluator<'a> {
    /// An evaluator that has evaluated nothing yet.
    pub fn new(catalogue: &'a Catalogue, modules: &'a [Arc<Module>], entry: ModuleId) -> Self {
        Evaluator {
            catalogue,
            modules,
            entry,
            overrides: BTreeMap::new(),
            graph: Graph::default(),
            diagnostics: Vec::new(),
            unbuilt: Vec::new(),
            sites: Vec::new(),
            recorder: None,
            values: modules.iter().map(|module| vec![None; module.file.items.len()]).collect(),
            reported: HashSet::new(),
            by_source: by_source(modules),
            steps: 0,
            made: 0,
            is_too_large: false,
        }
    }

    /// Reports a finding once, however often the place is evaluated, with the calls that led there.
    pub fn report(&mut self, mut diagnostic: Diagnostic) -> Datum {
        let fresh = diagnostic.span().is_none_or(|span| self.reported.insert((diagnostic.code, span)));
        if !fresh || self.diagnostics.len() > MAX_FOUND {
            return Datum::UNKNOWN;
        }
        if let Some(site) = diagnostic.span().and_then(|span| self.own_site(span)) {
            // The call is the user's, the library is not.
            diagnostic.labels.insert(0, Label { span: site, text: "by way of this call".to_string() });
        } else {
            for &site in self.sites.iter().rev().take(2) {
                diagnostic = diagnostic.label(site, "in this call");
            }
        }
        self.diagnostics.push(diagnostic);
        Datum::UNKNOWN
    }

    /// Whether a place has this finding already.
    pub fn has_reported(&self, code: &'static str, span: Span) -> bool {
        self.reported.contains(&(code, span))
    }

    /// The user's call that leads to a place in the standard library.
    pub fn own_site(&self, span: Span) -> Option<Span> {
        let own = || self.sites.iter().rev().copied().find(|&site| !self.in_std(site));
        if self.in_std(span) { own() } else { None }
    }

    /// Whether a place is in the standard library.
    pub fn in_std(&self, span: Span) -> bool {
        self.module_of(span.source).is_some_and(|module| module.is_std)
    }

    /// The module behind an id.
    pub fn module(&self, id: ModuleId) -> &'a Module {
        &self.modules[id.0]
    }

    /// The folder that paths written in a source are relative to.
    pub fn dir(&self, source: SourceId) -> &'a str {
        self.module_of(source).map(|module| module.dir.as_str()).unwrap_or_default()
    }

    fn module_of(&self, source: SourceId) -> Option<&'a Module> {
        let id = self.by_source.get(source.0 as usize).copied().flatten()?;
        Some(&self.modules[id.0])
    }

    /// Counts values made; `false` when there are too many.
    pub fn make(&mut self, count: usize, span: Span) -> bool {
        self.made = self.made.saturating_add(count);
        if self.made > MAX_VALUES {
            self.too_large(span, "more than 1,000,000 values are made");
        }
        self.made <= MAX_VALUES
    }

    /// Counts a value with all its parts; `false` when that is too many.
    pub fn holds(&mut self, value: &Datum, span: Span) -> bool {
        self.make(value.size(MAX_VALUES + 1), span)
    }

    /// Reports that a limit is passed.
    pub fn too_large(&mut self, span: Span, what: &str) -> Datum {
        if std::mem::replace(&mut self.is_too_large, true) {
            return Datum::UNKNOWN;
        }
        let message = format!("the program is too large: {what}");
        self.report(Diagnostic::error(codes::PROGRAM_TOO_LARGE, message, span, "here"))
    }

    /// Whether two types can meet; reports a mismatch where not.
    pub fn fitted(&mut self, place: impl Display, value: Datum, wanted: &Type, span: Span) -> Datum {
        match coerce(&value, wanted, self.dir(span.source)) {
            Some(value) => value,
            None => self.report(mismatch(place, &value, wanted, span)),
        }
    }

    /// The type that is written.
    pub fn written(&mut self, ty: &TypeExpr) -> Type {
        let mut diagnostics = Vec::new();
        let ty = written_type(ty, &mut diagnostics);
        diagnostics.into_iter().for_each(|found| drop(self.report(found)));
        ty
    }

    /// The value of an item, evaluated at its first use. What it needs comes first, so that long rows of definitions
    /// do not nest.
    pub fn item(&mut self, module: ModuleId, index: usize) -> Datum {
        if let Some(value) = &self.values[module.0][index] {
            return value.clone();
        }
        let source = self.module(module);
        let mut open = vec![index];
        while let Some(&top) = open.last() {
            let known = &mut self.values[module.0];
            if known[top].is_some() {
                open.pop();
            } else if source.cyclic.contains(&top) {
                known[top] = Some(Datum::UNKNOWN);
            } else {
                let before = open.len();
                open.extend(source.uses[top].iter().filter(|&&index| known[index].is_none()));
                if open.len() == before {
                    let value = self.evaluate_item(module, top);
                    self.values[module.0][top] = Some(value);
                }
            }
        }
        self.values[module.0][index].clone().unwrap_or(Datum::UNKNOWN)
    }

    /// The characters that a span covers, in a file or a module.
    pub fn written_at(&self, span: Span) -> Option<&str> {
        let module = self.module_of(span.source)?;
        module.text.get(span.start as usize..span.end as usize)
    }

    /// The value of an expression; `UNKNOWN` where it has an error, which is reported.
    pub fn expr(&mut self, expr: &Expr, frame: &mut Frame) -> Datum {
        let value = self.evaluate(expr, frame);
        if let Some(recorder) = &mut self.recorder {
            recorder.note(expr.span, &value, !self.sites.is_empty());
        }
        value
    }

    fn evaluate(&mut self, expr: &Expr, frame: &mut Frame) -> Datum {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return self.too_large(expr.span, "evaluating it takes more than 5,000,000 steps");
        }
        match &expr.kind {
            ExprKind::None => Datum::Plain(Value::None),
            ExprKind::Bool(value) => Datum::bool(*value),
            ExprKind::Int(value) => Datum::int(*value),
            ExprKind::Float(value) => Datum::float(*value),
            ExprKind::Quantity(amount, unit) => self.quantity(*amount, unit, expr.span),
            ExprKind::Text(parts) => self.text(parts, expr.span, frame),
            ExprKind::Name(name) => self.name(name, expr.span, frame),
            ExprKind::List(items) => self.list(items, expr.span, frame),
            ExprKind::Comprehension(comprehension) => self.comprehension(comprehension, expr.span, frame),
            ExprKind::Record(record) => self.record(record, frame),
            ExprKind::Construct(kind, record) => self.construct(kind, record, expr.span, frame),
            ExprKind::Postfix(value, suffixes) => self.postfix(value, suffixes, frame),
            ExprKind::With(value, changes) => self.with(value, changes, frame),
            ExprKind::Negate(value) => self.negate(value, expr.span, frame),
            ExprKind::Arithmetic(head, rest) => self.arithmetic(head, rest, frame),
            ExprKind::Range(from, to, step) => self.range(from, to, step.as_deref(), expr.span, frame),
            ExprKind::Compare(left, operator, right) => self.compare(left, *operator, right, expr.span, frame),
            ExprKind::Not(value) => match self.condition(value, frame) {
                Some(value) => Datum::bool(!value),
                None => Datum::Opaque(Type::Bool),
            },
            ExprKind::And(parts) => self.logic(parts, false, frame),
            ExprKind::Or(parts) => self.logic(parts, true, frame),
            ExprKind::Join(parts) => self.join(parts, frame),
            ExprKind::Pipe(head, stages) => self.pipe(head, stages, frame),
            ExprKind::If(parts) => self.choose(parts, frame),
        }
    }

    fn quantity(&mut self, amount: f64, unit: &Ident, span: Span) -> Datum {
        let Some((dimension, factor)) = units::find(&unit.name) else {
            return self.unknown_unit(unit);
        };
        if let Some(plural) = units::plural(&unit.name).filter(|_| amount != 1.0) {
            let message = format!("`{amount}{}` is written `{amount}{plural}`", unit.name);
            let found = Diagnostic::error(codes::UNKNOWN_UNIT, message, unit.span, "only one has no `s`");
            let list = units::of(dimension).join(" ");
            let help = format!("units of {}: {list}", dimension.type_name());
            return self.report(found.help(help).fix(unit.span, plural));
        }
        match operators::quantity(Quantity { amount: amount * factor, dimension }) {
            Ok(value) => value,
            Err(_) => {
                let name = dimension.json_name();
                let message = format!("{amount}{} is no whole number of {name}", unit.name);
                self.report(Diagnostic::error(codes::BAD_NUMBER, message, span, format!("{name} are whole numbers")))
            }
        }
    }

    fn unknown_unit(&mut self, unit: &Ident) -> Datum {
        let message = format!("there is no unit `{}`", unit.name);
        let found = Diagnostic::error(codes::UNKNOWN_UNIT, message, unit.span, "not a unit");
        let meant = units::meant(&unit.name).and_then(|meant| Some((meant, units::find(meant)?.0)));
        let found = match meant {
            Some((meant, dimension)) => {
                let list = units::of(dimension).join(" ");
                found
                    .help(format!("did you mean `{meant}`? Units of {}: {list}", dimension.type_name()))
                    .fix(unit.span, meant)
            }
            None => found.help(format!("units are: {}", units::names().collect::<Vec<_>>().join(" "))),
        };
        self.report(found)
    }

    fn text(&mut self, parts: &[TextPart], span: Span, frame: &mut Frame) -> Datum {
        let mut text = String::new();
        let mut known = true;
        for part in parts {
            match part {
                TextPart::Text(part) => text.push_str(part),
                TextPart::Value(value) => {
                    let value = self.expr(value, frame);
                    known &= !value.is_opaque();
                    text.push_str(&value.show());
                }
            }
        }
        let text = Datum::string(text);
        if !self.holds(&text, span) {
            return Datum::UNKNOWN;
        }
        if known { text } else { Datum::Opaque(Type::String) }
    }

    fn list(&mut self, items: &[Expr], span: Span, frame: &mut Frame) -> Datum {
        let values: Vec<Datum> = items.iter().map(|item| self.expr(item, frame)).collect();
        if !values.iter().all(|value| self.holds(value, span)) {
            return Datum::UNKNOWN;
        }
        let mut first = values.first().map_or(Type::Unknown, Datum::ty);
        for (value, item) in values.iter().zip(items) {
            let ty = value.ty();
            if let Some(common) = first.common(&ty) {
                first = common;
            } else {
                let message = format!("a list holds one type: first {first}, then {ty}");
                let found = Diagnostic::error(
                    codes::TYPE_MISMATCH,
                    message,
                    item.span,
                    format!("this is {}", value.describe()),
                );
                return self.report(found.label(items[0].span, format!("this is {}", values[0].describe())));
            }
        }
        Datum::list(values)
    }

    fn comprehension(&mut self, comprehension: &Comprehension, span: Span, frame: &mut Frame) -> Datum {
        let values = self.expr(&comprehension.values, frame);
        match &values {
            Datum::List(items) => {
                let mut results = Vec::new();
                let found = self.diagnostics.len();
                for item in items.iter() {
                    // What is wrong in one round mostly is in all the others.
                    if !self.make(1, span) || self.diagnostics.len() > found {
                        return Datum::UNKNOWN;
                    }
                    results.extend(self.round(comprehension, item.clone(), frame));
                }
                Datum::list(results)
            }
            Datum::Opaque(Type::Unknown) => values,
            Datum::Opaque(Type::List(item)) => {
                let result = self.round(comprehension, Datum::Opaque((**item).clone()), frame);
                Datum::Opaque(Type::List(Box::new(result.map_or(Type::Unknown, |result| result.ty()))))
            }
            other => self.report(mismatch(
                "`for … in`",
                other,
                &Type::List(Box::new(Type::Unknown)),
                comprehension.values.span,
            )),
        }
    }

    fn round(&mut self, comprehension: &Comprehension, item: Datum, frame: &mut Frame) -> Option<Datum> {
        frame.bind(&comprehension.name.name, item);
        let keep =
            comprehension.condition.as_ref().is_none_or(|condition| self.condition(condition, frame) != Some(false));
        let result = keep.then(|| self.expr(&comprehension.item, frame));
        frame.locals.pop();
        result.map(|result| if self.holds(&result, comprehension.item.span) { result } else { Datum::UNKNOWN })
    }

    fn record(&mut self, record: &Record, frame: &mut Frame) -> Datum {
        let arguments = self.arguments(&record.fields, frame);
        if arguments.open {
            return Datum::UNKNOWN;
        }
        if !arguments.entries.iter().all(|entry| self.holds(&entry.value, entry.span)) {
            return Datum::UNKNOWN;
        }
        Datum::record(arguments.entries.into_iter().map(|entry| (entry.name.name, entry.value)).collect())
    }

    /// `head(…)[…].name`
    pub fn postfix(&mut self, head: &Expr, suffixes: &[Suffix], frame: &mut Frame) -> Datum {
        let mut rest = suffixes;
        let mut value = match (&head.kind, suffixes) {
            (ExprKind::Name(name), [Suffix::Call(args, span), tail @ ..]) if self.own_name(name, frame).is_none() => {
                rest = tail;
                let name = Ident { name: name.clone(), span: head.span };
                self.call_catalogue(&name, args, head.span.to(*span), frame)
            }
            (ExprKind::Name(name), [Suffix::Member(member), tail @ ..]) if member.name == "name" => {
                match frame.find(name).and_then(|local| local.label.clone()) {
                    Some(label) => {
                        rest = tail;
                        Datum::string(label)
                    }
                    None => self.expr(head, frame),
                }
            }
            _ => self.expr(head, frame),
        };
        let mut span = head.span;
        for suffix in rest {
            (value, span) = self.suffix(value, span, suffix, frame);
        }
        value
    }

    fn suffix(&mut self, value: Datum, span: Span, suffix: &Suffix, frame: &mut Frame) -> (Datum, Span) {
        match suffix {
            Suffix::Call(args, end) => {
                let site = span.to(*end);
                (self.call_value(&value, args, None, site, frame), site)
            }
            Suffix::Index(index) => (self.index(&value, index, span, frame), span.to(index.span)),
            Suffix::Member(member) => (self.member(&value, member, span), span.to(member.span)),
        }
    }

    fn index(&mut self, value: &Datum, index: &Expr, span: Span, frame: &mut Frame) -> Datum {
        let at = self.expr(index, frame);
        match (value, &at) {
            (Datum::List(items), Datum::Plain(Value::Int(at))) => {
                let item = usize::try_from(*at).ok().and_then(|at| items.get(at)).cloned();
                item.unwrap_or_else(|| self.bad_index(*at, items.len(), index.span))
            }
            (Datum::Record(_), Datum::Plain(Value::String(name))) => {
                self.member(value, &Ident { name: Name::written(name), span: index.span }, span)
            }
            (Datum::Opaque(Type::List(item)), _) => Datum::Opaque((**item).clone()),
            _ if value.is_opaque() || at.is_opaque() => Datum::UNKNOWN,
            _ => {
                let message = format!("{} cannot be indexed by {}", value.describe(), at.describe());
                let found = Diagnostic::error(codes::BAD_INDEX, message, index.span, "not an index of it");
                self.report(found.help("lists are indexed by whole numbers, records by texts"))
            }
        }
    }

    fn bad_index(&mut self, at: i64, length: usize, span: Span) -> Datum {
        let message = format!("the list has {length} items and none at {at}");
        self.report(Diagnostic::error(codes::BAD_INDEX, message, span, "outside of the list").help("the first is at 0"))
    }

    fn negate(&mut self, value: &Expr, span: Span, frame: &mut Frame) -> Datum {
        let value = self.expr(value, frame);
        operators::negate(&value).unwrap_or_else(|fault| {
            let message = format!("`-` does not work on {}", value.describe());
            self.fault(fault, message, span, None)
        })
    }

    fn arithmetic(&mut self, head: &Expr, rest: &[(Arithmetic, Expr)], frame: &mut Frame) -> Datum {
        let mut left = self.expr(head, frame);
        let mut span = head.span;
        for (operator, right) in rest {
            let value = self.expr(right, frame);
            let result = operators::arithmetic(*operator, &left, &value);
            left = match result {
                Ok(result @ (Datum::List(_) | Datum::Plain(Value::Reward(_)))) => {
                    if self.holds(&result, span) {
                        result
                    } else {
                        Datum::UNKNOWN
                    }
                }
                Ok(result) => result,
                Err(Fault::RewardConstant) => self.reward_constant(*operator, span, right.span),
                Err(fault) => {
                    let symbol = operator.symbol();
                    let message = format!("`{symbol}` does not work on {} and {}", left.describe(), value.describe());
                    let texts = [&left, &value].map(|side| matches!(side.ty(), Type::String | Type::Path));
                    let joins = symbol == "+" && texts.contains(&true);
                    self.fault(
                        fault,
                        message,
                        span.to(right.span),
                        joins.then_some("texts are joined inside one: `\"${a}${b}\"`"),
                    )
                }
            };
            span = span.to(right.span);
        }
        left
    }

    fn fault(&mut self, fault: Fault, message: String, span: Span, help: Option<&str>) -> Datum {
        let found = match fault {
            Fault::Number(why) => Diagnostic::error(codes::BAD_NUMBER, why, span, "this has no result"),
            _ => Diagnostic::error(codes::BAD_OPERANDS, message, span, "these types do not go together"),
        };
        self.report(match help {
            Some(help) => found.help(help),
            None => found,
        })
    }

    fn reward_constant(&mut self, operator: Arithmetic, left: Span, right: Span) -> Datum {
        let symbol = operator.symbol();
        let message = format!("a number `{symbol}` a reward: the constant changes no advantage");
        let between = Span { start: left.end, end: right.start, ..left };
        let found = Diagnostic::error(codes::REWARD_CONSTANT, message, left, "a constant").label(right, "a reward");
        let help = "a weight is written `0.1 * reward`; an offset stands on the right: `reward - 1.0`";
        self.report(found.help(help).fix(between, " * "))
    }

    fn range(&mut self, from: &Expr, to: &Expr, step: Option<&Expr>, span: Span, frame: &mut Frame) -> Datum {
        let whole = |evaluator: &mut Self, expr: &Expr, frame: &mut Frame| {
            let value = evaluator.expr(expr, frame);
            match evaluator.fitted("a range", value, &Type::Int, expr.span) {
                Datum::Plain(Value::Int(value)) => Some(value),
                _ => None,
            }
        };
        let (from, to) = (whole(self, from, frame), whole(self, to, frame));
        let step = step.map_or(Some(1), |step| whole(self, step, frame));
        let (Some(from), Some(to), Some(step)) = (from, to, step) else {
            return Datum::Opaque(Type::List(Box::new(Type::Int)));
        };
        if step == 0 {
            return self.report(Diagnostic::error(
                codes::BAD_NUMBER,
                "the step of a range is zero",
                span,
                "never ends",
            ));
        }
        let distance = (i128::from(to) - i128::from(from)) / i128::from(step);
        let count = usize::try_from(distance + 1).unwrap_or(if distance < 0 { 0 } else { usize::MAX });
        let beyond = (to < from) == (step > 0) && to != from;
        let count = if beyond { 0 } else { count };
        if !self.make(count, span) {
            return Datum::UNKNOWN;
        }
        Datum::list((0..count as i64).map(|index| Datum::int(from + index * step)).collect())
    }

    fn compare(&mut self, left: &Expr, operator: Comparison, right: &Expr, span: Span, frame: &mut Frame) -> Datum {
        let list = right.span;
        let (left, right) = (self.expr(left, frame), self.expr(right, frame));
        if operator == Comparison::In && !matches!(right.ty(), Type::List(_) | Type::Unknown) {
            let wanted = Type::List(Box::new(Type::Unknown));
            return self.report(mismatch("the right side of `in`", &right, &wanted, list));
        }
        operators::compare(operator, &left, &right).unwrap_or_else(|fault| {
            let message = format!("{} and {} cannot be compared like this", left.describe(), right.describe());
            self.fault(fault, message, span, None)
        })
    }

    /// The truth of a condition; `None` where it is not known, or was no condition.
    pub fn condition(&mut self, expr: &Expr, frame: &mut Frame) -> Option<bool> {
        let value = self.expr(expr, frame);
        match self.fitted("a condition", value, &Type::Bool, expr.span) {
            Datum::Plain(Value::Bool(value)) => Some(value),
            _ => None,
        }
    }

    /// `and` stops at the first false part, `or` at the first true one.
    fn logic(&mut self, parts: &[Expr], stop: bool, frame: &mut Frame) -> Datum {
        let mut known = true;
        for part in parts {
            match self.condition(part, frame) {
                Some(value) if value == stop && known => return Datum::bool(stop),
                Some(_) => {}
                None => known = false,
            }
        }
        if known { Datum::bool(!stop) } else { Datum::Opaque(Type::Bool) }
    }

    fn choose(&mut self, parts: &[Expr; 3], frame: &mut Frame) -> Datum {
        let [condition, then, otherwise] = parts;
        match self.condition(condition, frame) {
            Some(true) => self.expr(then, frame),
            Some(false) => self.expr(otherwise, frame),
            None => {
                let (first, second) = (self.expr(then, frame).ty(), self.expr(otherwise, frame).ty());
                let ty = if first.fits(&second) { second.clone() } else { first.clone() };
                if !alike(&first, &second) {
                    let message = format!("the branches of `if` differ: {first} and {second}");
                    let found = Diagnostic::error(
                        codes::TYPE_MISMATCH,
                        message,
                        otherwise.span,
                        format!("this is {}", article(&second.to_string())),
                    );
                    let found = found.label(then.span, format!("this is {}", article(&first.to_string())));
                    return self.report(found.help("both branches give the same type of value"));
                }
                Datum::Opaque(ty)
            }
        }
    }
}

/// Whether values of two types may stand beside each other.
fn alike(left: &Type, right: &Type) -> bool {
    left.fits(right) || right.fits(left)
}
