//! Profiles: how to run. Plain values, held against what a profile can set, that no expression sees and no key contains.

use super::arguments::Entry;
use super::ast::*;
use super::check::{coerce, magnitudes, mismatch, out_of_range};
use super::datum::Datum;
use super::eval::{Evaluator, Frame};
use super::foreign_fields::called;
use super::name::Name;
use super::nearest::nearest;
use super::signature::Field as Setting;
use super::stages::foreign;
use super::types::Type;
use super::units;
use super::value::Value;
use crate::diag::{Diagnostic, codes};

/// What a setting's value is made of.
enum Shape<'a> {
    /// A value by itself.
    Plain,
    /// A record of the settings of stages.
    Stage,
    /// Such a record for each name of a stage or a kind.
    Stages,
    /// An executor with settings of its own.
    Executor(&'a Record, &'a Ident),
}

impl Evaluator<'_> {
    /// The settings of a profile.
    pub fn profile(&mut self, record: &Record) -> Vec<(Name, Value)> {
        let catalogue = self.catalogue;
        self.settings("profile", &catalogue.profile.fields, record)
    }

    /// The settings of a record that are declared, each with its value.
    fn settings(&mut self, owner: &str, declared: &[Setting], record: &Record) -> Vec<(Name, Value)> {
        let mut settings: Vec<(Name, Value)> = Vec::new();
        for (name, expr) in self.written_once(record) {
            let value = match declared.iter().find(|setting| setting.name == name.name) {
                Some(setting) => self.setting(owner, setting, name, expr),
                None => self.unknown_setting(owner, declared, name, expr),
            };
            settings.extend(value.map(|value| (name.name.clone(), value)));
        }
        settings
    }

    /// The entries of a record that have a name, each name once.
    fn written_once<'r>(&mut self, record: &'r Record) -> Vec<(&'r Ident, &'r Expr)> {
        let mut named: Vec<(&Ident, &Expr)> = Vec::new();
        for field in &record.fields {
            match field {
                Field::Named(name, _) if named.iter().any(|(other, _)| other.name == name.name) => {
                    let message = format!("`{}` is written twice", name.name);
                    self.report(Diagnostic::error(codes::FIELD_TWICE, message, name.span, "here again"));
                }
                Field::Named(name, value) => named.push((name, value)),
                Field::Spread(value) | Field::Positional(value) => self.computed(value),
            }
        }
        named
    }

    fn setting(&mut self, owner: &str, setting: &Setting, name: &Ident, expr: &Expr) -> Option<Value> {
        let catalogue = self.catalogue;
        match (shape(&setting.ty, expr), &expr.kind) {
            (Shape::Stage, ExprKind::Record(record)) => {
                Some(Value::Record(self.settings(setting.name, &catalogue.profile.stage, record)))
            }
            (Shape::Stages, ExprKind::Record(record)) => self.stages(record),
            (Shape::Executor(record, called), _) => self.executor(record, called),
            _ => self.plain_setting(owner, setting, name, expr),
        }
    }

    /// A value without names in it, of the setting's type and within its range.
    fn plain_setting(&mut self, owner: &str, setting: &Setting, name: &Ident, expr: &Expr) -> Option<Value> {
        let value = self.plain(expr)?;
        let written = Datum::from(&value);
        let Some(fitting) = coerce(&written, &setting.ty, "") else {
            let place = format!("`{}` of `{owner}`", name.name);
            self.report(mismatch(&place, &written, &setting.ty, expr.span).help(setting.summary()));
            return None;
        };
        let outside = |limits: &(f64, f64)| magnitudes(&fitting).iter().any(|at| !(limits.0..=limits.1).contains(at));
        if let Some(limits) = setting.range.filter(outside) {
            self.report(out_of_range(setting.name, &fitting, limits, expr.span).help(setting.summary()));
            return None;
        }
        fitting.fold()
    }

    /// Settings by the name of a stage or of a kind.
    fn stages(&mut self, record: &Record) -> Option<Value> {
        let catalogue = self.catalogue;
        let mut found = Vec::new();
        for (name, expr) in self.written_once(record) {
            self.check_stage_name(name);
            let ExprKind::Record(settings) = &expr.kind else {
                let value = self.plain(expr);
                let written = value.as_ref().map_or(Datum::UNKNOWN, Datum::from);
                let wanted = Type::Record(Vec::new());
                self.report(mismatch(format!("`{}` of `stages`", name.name), &written, &wanted, expr.span));
                continue;
            };
            found.push((
                name.name.clone(),
                Value::Record(self.settings(&name.name, &catalogue.profile.stage, settings)),
            ));
        }
        Some(Value::Record(found))
    }

    /// A name in `stages` that nothing has would be a setting without effect.
    fn check_stage_name(&mut self, name: &Ident) {
        let catalogue = self.catalogue;
        let kinds = || catalogue.stages.iter().map(|stage| stage.kind);
        let module = self.module(self.entry);
        let items: Vec<&str> = module.names.keys().map(String::as_str).collect();
        if kinds().any(|kind| kind == name.name) || items.contains(&name.name.as_str()) {
            return;
        }
        // A stage configured inside a recipe or a block has a name that is none of the file's items.
        if self.graph.calls().iter().any(|call| call.name == name.name) {
            return;
        }
        let message = format!("no stage and no kind of stage is called `{}`", name.name);
        let found = Diagnostic::error(codes::PROFILE_SETTING, message, name.span, "no stage");
        self.report(match nearest(&name.name, items.iter().copied().chain(kinds())) {
            Some(meant) => found.help(format!("did you mean `{meant}`?")).fix(name.span, meant),
            None => found.help("a name that the file gives a stage, or a kind such as `sft` for all stages of it"),
        });
    }

    fn executor(&mut self, record: &Record, name: &Ident) -> Option<Value> {
        let catalogue = self.catalogue;
        match catalogue.profile.executors.iter().find(|executor| executor.name == name.name) {
            Some(executor) => {
                Some(Value::Variant(name.name.clone(), self.settings(executor.name, &executor.fields, record)))
            }
            None => {
                let known: Vec<&str> = catalogue.profile.executors.iter().map(|executor| executor.name).collect();
                let message = format!("there is no executor `{}`", name.name);
                let found = Diagnostic::error(codes::PROFILE_SETTING, message, name.span, "no executor");
                self.report(found.help(format!("executors are: {}", known.join(", "))));
                None
            }
        }
    }

    fn unknown_setting(&mut self, owner: &str, declared: &[Setting], name: &Ident, expr: &Expr) -> Option<Value> {
        let value = self.plain(expr);
        let message = match owner {
            "profile" => format!("a profile has no setting `{}`", name.name),
            _ => format!("`{owner}` has no setting `{}`", name.name),
        };
        let found = Diagnostic::error(codes::PROFILE_SETTING, message, name.span, "no such setting");
        let names = || declared.iter().map(|setting| setting.name);
        let renamed = declared.iter().find(|setting| setting.aliases.contains(&name.name.as_str()));
        self.report(match (renamed, nearest(&name.name, names())) {
            (Some(setting), _) => {
                let value = value.as_ref().map_or(Datum::UNKNOWN, Datum::from);
                let entry = Entry { name: name.clone(), value, span: expr.span, spread: false };
                called(found, setting, &foreign(&entry))
            }
            (None, Some(meant)) => found.help(format!("did you mean `{meant}`?")).fix(name.span, meant),
            (None, None) => found.help(format!("settings are: {}", names().collect::<Vec<_>>().join(", "))),
        });
        None
    }

    /// A value that is written out: no name, no sum.
    fn plain(&mut self, expr: &Expr) -> Option<Value> {
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
            ExprKind::List(items) => items.iter().map(|item| self.plain(item)).collect::<Option<_>>().map(Value::List),
            ExprKind::Record(record) => Some(Value::Record(self.plain_fields(record)?)),
            ExprKind::Construct(name, record) => Some(Value::Variant(name.name.clone(), self.plain_fields(record)?)),
            _ => {
                self.computed(expr);
                None
            }
        }
    }

    fn plain_fields(&mut self, record: &Record) -> Option<Vec<(Name, Value)>> {
        self.written_once(record).into_iter().map(|(name, expr)| Some((name.name.clone(), self.plain(expr)?))).collect()
    }

    fn computed(&mut self, expr: &Expr) {
        let message = "a profile holds plain values only";
        let found = Diagnostic::error(codes::PROFILE_VALUE, message, expr.span, "computed");
        self.report(found.help("write the number, text, list or record itself"));
    }
}

/// How a setting of that type is written.
fn shape<'e>(ty: &Type, expr: &'e Expr) -> Shape<'e> {
    match (ty, &expr.kind) {
        (Type::Optional(inner), _) => shape(inner, expr),
        (Type::Record(_), _) => Shape::Stage,
        (Type::Map(_), _) => Shape::Stages,
        (ty, ExprKind::Construct(name, record)) if takes_variant(ty) => Shape::Executor(record, name),
        _ => Shape::Plain,
    }
}

fn takes_variant(ty: &Type) -> bool {
    match ty {
        Type::Variant(_) => true,
        Type::OneOf(options) => options.iter().any(takes_variant),
        _ => false,
    }
}
