//! The fields of a `compare`, held against the sweep it names.

use super::ast::*;
use super::datum::Datum;
use super::eval::{Evaluator, Frame};
use super::nearest::nearest;
use super::program::{Compare, Sweep};
use super::types::Type;
use super::value::Value;
use crate::base::measure::Measure;
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};

/// The fields, each with what it is.
pub const FIELDS: [(&str, &str); 5] = [
    ("of", "the sweep whose cells are compared"),
    ("metric", "the number to compare: `SUITE.BENCH.accuracy`"),
    ("by", "the axes whose combinations are the rows"),
    ("across", "the axis that repeats a row, such as the seed"),
    ("baseline", "the labels of the row that the others are compared with"),
];

/// The compare, unless something is wrong with it.
pub(super) fn check(
    evaluator: &mut Evaluator,
    name: &Ident,
    record: &Record,
    sweeps: &[Sweep],
    file: &File,
) -> Option<Compare> {
    let mut checker = Checker { evaluator, fields: Vec::new(), site: name.span };
    checker.collect(record)?;
    let sweep = checker.sweep(sweeps, file)?;
    let (bench, metric) = checker.metric(sweep)?;
    let across = checker.across(sweep)?;
    let by = checker.by(sweep, across.as_deref())?;
    let baseline = checker.baseline(sweep, &by)?;
    let (name, span) = (name.name.to_string(), name.span);
    Some(Compare { name, of: sweep.name.clone(), bench, metric, by, across, baseline, span })
}

struct Checker<'a, 'b, 'c> {
    evaluator: &'a mut Evaluator<'b>,
    fields: Vec<(&'c Ident, &'c Expr)>,
    site: Span,
}

impl<'c> Checker<'_, '_, 'c> {
    fn wrong<T>(&mut self, message: impl Into<String>, span: Span, text: &str, help: impl Into<String>) -> Option<T> {
        let found = Diagnostic::error(codes::BAD_COMPARE, message, span, text);
        self.evaluator.report(found.help(help));
        None
    }

    fn collect(&mut self, record: &'c Record) -> Option<()> {
        for field in &record.fields {
            match field {
                Field::Named(name, _) if FIELDS.iter().all(|(known, _)| name.name != *known) => {
                    let message = format!("`compare` has no field `{}`", name.name);
                    let found = Diagnostic::error(codes::UNKNOWN_FIELD, message, name.span, "no such field");
                    let found = match nearest(&name.name, FIELDS.map(|(known, _)| known)) {
                        Some(meant) => found.help(format!("did you mean `{meant}`?")).fix(name.span, meant),
                        None => found.help(format!("fields are: {}", FIELDS.map(|(known, _)| known).join(", "))),
                    };
                    self.evaluator.report(found);
                    return None;
                }
                Field::Named(name, value) => {
                    if let Some((first, _)) = self.fields.iter().find(|(other, _)| other.name == name.name) {
                        let message = format!("`{}` is written twice", name.name);
                        let found = Diagnostic::error(codes::FIELD_TWICE, message, name.span, "again here");
                        self.evaluator.report(found.label(first.span, "first here").help("remove one of the two"));
                        return None;
                    }
                    self.fields.push((name, value));
                }
                Field::Spread(value) | Field::Positional(value) => {
                    return self.wrong("a compare is written out", value.span, "not here", "write its fields");
                }
            }
        }
        Some(())
    }

    fn field(&self, name: &str) -> Option<&'c Expr> {
        self.fields.iter().find(|(other, _)| other.name == name).map(|(_, value)| *value)
    }

    fn required(&mut self, name: &str, example: &str) -> Option<&'c Expr> {
        let found = self.field(name);
        if found.is_none() {
            let message = format!("`compare` needs `{name}`");
            let missing = Diagnostic::error(codes::MISSING_FIELD, message, self.site, format!("`{name}` is missing"));
            self.evaluator.report(missing.help(format!("add `{name}: {example}`")));
        }
        found
    }

    fn sweep<'s>(&mut self, sweeps: &'s [Sweep], file: &File) -> Option<&'s Sweep> {
        let of = self.required("of", "SWEEP")?;
        let ExprKind::Name(name) = &of.kind else {
            return self.wrong("`of` names a sweep", of.span, "not a name", "write the name of a sweep of this file");
        };
        let declared = |item: &&Item| matches!(&item.kind, ItemKind::Sweep(sweep) if sweep.name.name == *name);
        match sweeps.iter().find(|sweep| sweep.name == *name) {
            Some(sweep) => Some(sweep),
            // A sweep with errors was reported.
            None if file.items.iter().any(|item| declared(&item))
                || file.broken.iter().any(|broken| broken == name) =>
            {
                None
            }
            None => {
                let known = sweeps.iter().map(|sweep| sweep.name.as_str());
                let help = match nearest(name, known.clone()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("sweeps of this file: {}", known.collect::<Vec<_>>().join(", ")),
                };
                self.wrong(format!("there is no sweep `{name}`"), of.span, "not a sweep", help)
            }
        }
    }

    /// `SUITE.BENCH.NUMBER`
    fn metric(&mut self, sweep: &Sweep) -> Option<(String, Measure)> {
        let metric = self.required("metric", "SUITE.BENCH.accuracy")?;
        let help = "write `SUITE.BENCH.accuracy`";
        let ExprKind::Postfix(head, suffixes) = &metric.kind else {
            return self.wrong("`metric` names a number of a benchmark", metric.span, "not such a path", help);
        };
        let members: Vec<&Ident> = suffixes
            .iter()
            .filter_map(|suffix| match suffix {
                Suffix::Member(member) => Some(member),
                Suffix::Call(..) | Suffix::Index(_) => None,
            })
            .collect();
        let [path @ .., bench, number] = members.as_slice() else {
            return self.wrong("`metric` names a number of a benchmark", metric.span, "too short", help);
        };
        let suite = self.suite(head, path)?;
        let samples = samples_of(self.bench(&suite, bench)?);
        let number = self.number(number, samples)?;
        self.evaluated_on(sweep, &bench.name, metric.span)?;
        Some((bench.name.to_string(), number))
    }

    fn suite(&mut self, head: &Expr, path: &[&Ident]) -> Option<Datum> {
        let mut frame = Frame::new(self.evaluator.entry);
        let mut suite = self.evaluator.expr(head, &mut frame);
        for member in path {
            suite = self.evaluator.member(&suite, member, head.span);
        }
        if suite.is_unknown() {
            return None;
        }
        if suite.ty() != Type::Suite {
            let message = format!("`metric` starts with a suite, not {}", suite.describe());
            return self.wrong(message, head.span, "not a suite", "write `SUITE.BENCH.accuracy`");
        }
        Some(suite)
    }

    fn bench<'s>(&mut self, suite: &'s Datum, bench: &Ident) -> Option<&'s Datum> {
        let Datum::Record(fields) = suite else {
            return None;
        };
        if let Some((_, found)) = fields.iter().find(|(name, _)| *name == bench.name) {
            return Some(found);
        }
        let known = fields.iter().map(|(name, _)| name.as_str());
        let help = match nearest(&bench.name, known.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it has: {}", known.collect::<Vec<_>>().join(", ")),
        };
        self.wrong(format!("the suite has no benchmark `{}`", bench.name), bench.span, "not in the suite", help)
    }

    /// The number of a benchmark of so many samples an item, where that is known.
    fn number(&mut self, number: &Ident, samples: Option<u64>) -> Option<Measure> {
        let found = number.name.as_str().parse::<Measure>();
        if let Some(found) = found.ok().filter(|found| samples.is_none_or(|samples| found.fits(samples))) {
            return Some(found);
        }
        let known: Vec<String> = Measure::of(samples.unwrap_or(1)).iter().map(ToString::to_string).collect();
        let (message, label) = match (found, samples) {
            (Ok(found), Some(samples)) => {
                let times = if samples == 1 { "once".to_string() } else { format!("{samples} times") };
                (format!("`{found}` is no number of items that are answered {times}"), "not of so many samples")
            }
            _ => (format!("a compare has no number `{}`", number.name), "not compared"),
        };
        let several =
            if samples.is_none_or(|samples| samples < 2) { "; `samples` in the bench gives more" } else { "" };
        self.wrong(message, number.span, label, format!("it compares: {}{several}", known.join(", ")))
    }

    /// Whether the cells are scores of an evaluation that has the benchmark.
    fn evaluated_on(&mut self, sweep: &Sweep, bench: &str, span: Span) -> Option<()> {
        let has =
            |value: &Value| matches!(value, Value::Record(fields) if fields.iter().any(|(name, _)| name == bench));
        let graph = &self.evaluator.graph;
        let scored = |cell: &super::program::Cell| graph.call(cell.target).args.iter().any(|(_, value)| has(value));
        if sweep.cells.iter().all(scored) {
            return Some(());
        }
        let message = format!("the cells of `{}` are not evaluated on `{bench}`", sweep.name);
        self.wrong(message, span, "not measured there", "end the sweep with `|> evaluate(SUITE)`")
    }

    /// The outer `None` is an error, the inner one means that the field is absent.
    #[expect(clippy::option_option, reason = "an absent field and a wrong one are different answers")]
    fn across(&mut self, sweep: &Sweep) -> Option<Option<String>> {
        match self.field("across").map(|expr| (&expr.kind, expr)) {
            None | Some((ExprKind::None, _)) => Some(None),
            Some((_, expr)) => self.axis(expr, sweep).map(Some),
        }
    }

    fn axis(&mut self, expr: &Expr, sweep: &Sweep) -> Option<String> {
        let ExprKind::Name(name) = &expr.kind else {
            return self.wrong("an axis is named here", expr.span, "not a name", "write the name of an axis");
        };
        let known = sweep.axes.iter().map(|(name, _)| name.as_str());
        if known.clone().any(|axis| axis == name) {
            return Some(name.to_string());
        }
        let help = match nearest(name, known.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("its axes are: {}", known.collect::<Vec<_>>().join(", ")),
        };
        self.wrong(format!("the sweep `{}` has no axis `{name}`", sweep.name), expr.span, "not an axis", help)
    }

    /// The axes of the rows: those named, or all but the one that repeats them.
    fn by(&mut self, sweep: &Sweep, across: Option<&str>) -> Option<Vec<String>> {
        let rest = || sweep.axes.iter().map(|(name, _)| name.clone()).filter(|name| Some(name.as_str()) != across);
        let Some(expr) = self.field("by") else {
            return Some(rest().collect());
        };
        let named = match &expr.kind {
            ExprKind::List(axes) => axes.iter().map(|axis| self.axis(axis, sweep)).collect::<Option<Vec<_>>>()?,
            _ => vec![self.axis(expr, sweep)?],
        };
        if let Some(both) = named.iter().find(|name| Some(name.as_str()) == across) {
            let message = format!("`{both}` is in `by` and in `across`");
            return self.wrong(message, expr.span, "twice", "an axis makes rows or repeats them, not both");
        }
        if let Some(missing) = rest().find(|name| !named.contains(name)) {
            let message = format!("the axis `{missing}` is neither in `by` nor in `across`");
            return self.wrong(message, expr.span, "incomplete", format!("add `{missing}` to one of them"));
        }
        Some(named)
    }

    fn baseline(&mut self, sweep: &Sweep, by: &[String]) -> Option<Vec<(String, String)>> {
        let Some(expr) = self.field("baseline") else {
            return Some(Vec::new());
        };
        let ExprKind::Record(record) = &expr.kind else {
            return self.wrong(
                "`baseline` is a record of labels",
                expr.span,
                "not a record",
                "write `{ axis: \"label\" }`",
            );
        };
        let mut written = Vec::new();
        for field in &record.fields {
            let Field::Named(name, value) = field else {
                return self.wrong(
                    "`baseline` is a record of labels",
                    record.span,
                    "not so",
                    "write `{ axis: \"label\" }`",
                );
            };
            written.push((name.name.to_string(), self.label(sweep, by, name, value)?));
        }
        if let Some(missing) = by.iter().find(|axis| !written.iter().any(|(name, _)| name == *axis)) {
            let message = format!("the baseline does not say which `{missing}`");
            return self.wrong(message, record.span, "incomplete", format!("add `{missing}: \"label\"`"));
        }
        let is_baseline = |cell: &super::program::Cell| written.iter().all(|label| cell.coordinates.contains(label));
        if !sweep.cells.iter().any(is_baseline) {
            let message = format!("the baseline's cell was skipped in `{}`", sweep.name);
            let found = Diagnostic::error(codes::BASELINE_SKIPPED, message, record.span, "no such cell");
            let module = self.evaluator.module(self.evaluator.entry);
            let skips = module.file.items.iter().filter_map(|item| match &item.kind {
                ItemKind::Sweep(written) if written.name.name == sweep.name => written.skips.first(),
                _ => None,
            });
            let place = skips.map(|skip| skip.span).next().unwrap_or(sweep.span);
            let found = found.label(place, "this leaves it out");
            let rows: Vec<String> = sweep
                .cells
                .iter()
                .map(|cell| row(cell, by))
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .take(6)
                .collect();
            self.evaluator.report(found.help(format!("rows that are there: {}", rows.join(" · "))));
            return None;
        }
        Some(written)
    }

    fn label(&mut self, sweep: &Sweep, by: &[String], axis: &Ident, value: &Expr) -> Option<String> {
        if !by.iter().any(|other| *other == axis.name) {
            let message = format!("the baseline names `{}`, which makes no rows", axis.name);
            return self.wrong(message, axis.span, "not in `by`", format!("axes that make rows: {}", by.join(", ")));
        }
        let mut frame = Frame::new(self.evaluator.entry);
        let label = self.evaluator.expr(value, &mut frame).show();
        let labels = sweep.axes.iter().find(|(name, _)| *name == axis.name).map_or(&[][..], |(_, labels)| labels);
        if labels.contains(&label) {
            return Some(label);
        }
        let help = match nearest(&label, labels.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("its labels are: {}", labels.join(", ")),
        };
        self.wrong(format!("the axis `{}` has no `{label}`", axis.name), value.span, "not a label of it", help)
    }
}

/// How often a benchmark asks each item, where that is known.
fn samples_of(bench: &Datum) -> Option<u64> {
    let fields = match bench {
        Datum::Variant(variant) => &variant.1,
        _ => return None,
    };
    fields.iter().find(|(name, _)| *name == "samples").and_then(|(_, value)| match value {
        Datum::Plain(Value::Int(samples)) => u64::try_from(*samples).ok(),
        _ => None,
    })
}

/// The labels of a cell on the axes that make rows, as a baseline names them.
fn row(cell: &super::program::Cell, by: &[String]) -> String {
    let labels = cell.coordinates.iter().filter(|(axis, _)| by.contains(axis));
    format!("{{ {} }}", labels.map(|(axis, label)| format!("{axis}: \"{label}\"")).collect::<Vec<_>>().join(", "))
}
