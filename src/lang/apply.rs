//! Calls, `|>` and `>>`: functions given a value, and functions joined to longer ones.

use super::arguments::Arguments;
use super::ast::*;
use super::check::{coerce, out_of_range};
use super::datum::{Configured, Datum, Function};
use super::eval::{Evaluator, Frame};
use super::types::Type;
use super::value::Value;
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};
use std::rc::Rc;

impl Evaluator<'_> {
    /// `kind { … }`, or a recipe with named arguments in braces.
    pub fn construct(&mut self, kind: &Ident, record: &Record, site: Span, frame: &mut Frame) -> Datum {
        if let Some(value) = self.own_name(&kind.name, frame) {
            return self.call_value(&value, &record.fields, None, site, frame);
        }
        self.call_catalogue(kind, &record.fields, site, frame)
    }

    /// A call of something that the file does not define itself.
    pub fn call_catalogue(&mut self, name: &Ident, args: &[Field], site: Span, frame: &mut Frame) -> Datum {
        let arguments = self.arguments(args, frame);
        match name.name.as_str() {
            "chain" => self.chain(arguments, site),
            "repeat" => self.repeat(arguments, site),
            "verifier" => self.verifier(arguments, site),
            "identity" => self.apply_call(&Rc::new(Function::Identity), arguments, site),
            _ => {
                let made = self.make_from_catalogue(name, arguments, site);
                made.unwrap_or_else(|| self.unknown_name(&name.name, name.span, frame))
            }
        }
    }

    /// A call of a value; `piped` goes in as its first argument.
    pub fn call_value(
        &mut self,
        callee: &Datum,
        args: &[Field],
        piped: Option<(Datum, Span)>,
        site: Span,
        frame: &mut Frame,
    ) -> Datum {
        let mut arguments = self.arguments(args, frame);
        match callee {
            Datum::Function(function) => {
                arguments.positional.splice(0..0, piped);
                match &**function {
                    Function::Recipe(partial) => self.call_recipe(partial, arguments, site),
                    _ => self.apply_call(function, arguments, site),
                }
            }
            Datum::Opaque(Type::Function(_, to)) => Datum::Opaque((**to).clone()),
            Datum::Opaque(Type::Unknown) => Datum::UNKNOWN,
            other => {
                let message = format!("{} cannot be called", other.describe());
                let found =
                    Diagnostic::error(codes::NOT_CALLABLE, message, site, format!("this is {}", other.describe()));
                self.report(found.help("stage kinds, variants, recipes and stages take arguments"))
            }
        }
    }

    /// `stage(value)` is `value |> stage`.
    fn apply_call(&mut self, function: &Rc<Function>, arguments: Arguments, site: Span) -> Datum {
        match (arguments.positional.as_slice(), arguments.entries.as_slice()) {
            ([(value, span)], []) => self.apply(function, value.clone(), *span, site),
            _ => {
                let message = format!("`{}` is configured already: it takes one value and no fields", function.show());
                let found = Diagnostic::error(codes::BAD_ARGUMENTS, message, site, "called here");
                self.report(found.help("`stage with { … }` is a changed copy; `value |> stage` applies it"))
            }
        }
    }

    /// `value |> function`
    pub fn apply(&mut self, function: &Rc<Function>, value: Datum, value_span: Span, site: Span) -> Datum {
        match &**function {
            Function::Identity => value,
            Function::Stage(stage) => self.apply_stage(stage, &value, value_span, site),
            Function::Join(parts) => parts.iter().fold(value, |value, part| self.apply(part, value, value_span, site)),
            Function::Repeat(part, times) => {
                (0..*times).fold(value, |value, _| self.apply(part, value, value_span, site))
            }
            Function::Recipe(partial) => {
                let arguments = Arguments { positional: vec![(value, value_span)], ..Arguments::default() };
                self.call_recipe(partial, arguments, site)
            }
        }
    }

    fn apply_stage(&mut self, stage: &Configured, value: &Datum, value_span: Span, site: Span) -> Datum {
        if coerce(value, &stage.from, "").is_some() {
            return self.node(stage, Some(value));
        }
        let name = stage.name.as_ref().unwrap_or(&stage.kind);
        let found = if value.ty() == Type::Scores {
            let message = format!("`{name}` cannot follow Scores: evaluate ends a pipeline");
            Diagnostic::error(codes::AFTER_SCORES, message, site, "nothing comes after Scores")
                .help("evaluate in a pipeline of its own, and go on from the model in another")
        } else {
            let message = format!("`{name}` takes {}, not {}", stage.from.phrase(), value.describe());
            let found = Diagnostic::error(codes::WRONG_INPUT, message, site, format!("takes {}", stage.from.phrase()));
            match (value.ty(), &stage.from) {
                (Type::Dataset, Type::Model) => {
                    found.help("what is piped in is the model; a dataset is a field: `data: …`")
                }
                (Type::Model, Type::Dataset) => {
                    found.help("`model |> generate { data: … }` makes a dataset of a model")
                }
                (Type::Function(..), _) => found.help("apply the left side to a value first: `value |> stage`"),
                _ => found,
            }
        };
        self.report(found.label(value_span, format!("this gives {}", value.describe())));
        Datum::Opaque(stage.to.clone())
    }

    /// `value |> stage |> stage`
    pub fn pipe(&mut self, head: &Expr, stages: &[Expr], frame: &mut Frame) -> Datum {
        let mut value = self.expr(head, frame);
        let mut span = head.span;
        for stage in stages {
            value = self.pipe_into(value, span, stage, frame);
            span = span.to(stage.span);
        }
        value
    }

    fn pipe_into(&mut self, value: Datum, span: Span, stage: &Expr, frame: &mut Frame) -> Datum {
        let function = match self.callee(stage, frame) {
            // `value |> recipe(n)` hands the value in first, so the call must not run before.
            Some((callee @ Datum::Function(_), args)) => {
                return self.call_value(&callee, args, Some((value, span)), stage.span, frame);
            }
            Some((callee, args)) => self.call_value(&callee, args, None, stage.span, frame),
            None => self.expr(stage, frame),
        };
        match function {
            Datum::Function(function) => self.apply(&function, value, span, stage.span),
            Datum::Opaque(Type::Function(from, to)) => {
                self.fitted("this stage", value, &from, span);
                Datum::Opaque(*to)
            }
            Datum::Opaque(Type::Unknown) => Datum::UNKNOWN,
            other => {
                let message = format!("`|>` needs a stage on its right, not {}", other.describe());
                let text = format!("this is {}", other.describe());
                self.report(Diagnostic::error(codes::NOT_A_STAGE, message, stage.span, text))
            }
        }
    }

    /// What an expression that ends in a call calls, unless that is a name of the catalogue.
    fn callee<'e>(&mut self, expr: &'e Expr, frame: &mut Frame) -> Option<(Datum, &'e [Field])> {
        let ExprKind::Postfix(head, suffixes) = &expr.kind else { return None };
        let [before @ .., Suffix::Call(args, _)] = suffixes.as_slice() else { return None };
        match &head.kind {
            ExprKind::Name(name) if self.own_name(name, frame).is_none() => None,
            _ => Some((self.postfix(head, before, frame), args)),
        }
    }

    /// `a >> b`
    pub fn join(&mut self, parts: &[Expr], frame: &mut Frame) -> Datum {
        let values = parts.iter().map(|part| (self.expr(part, frame), part.span)).collect();
        self.join_values(values)
    }

    fn join_values(&mut self, values: Vec<(Datum, Span)>) -> Datum {
        let mut functions = Vec::new();
        let mut before: Option<(Type, Span)> = None;
        let mut first = Type::Unknown;
        for (value, span) in &values {
            let (from, to) = match value {
                Datum::Function(function) => (function.from(), function.to()),
                Datum::Opaque(Type::Function(from, to)) => ((**from).clone(), (**to).clone()),
                Datum::Opaque(Type::Unknown) => (Type::Unknown, Type::Unknown),
                other => {
                    let found = not_joinable(other, *span);
                    let left = before.is_some().then(|| values[0].1);
                    let found = if let Some(left) = left { self.repeated(found, other, left, *span) } else { found };
                    return self.report(found);
                }
            };
            if let Some((given, earlier)) = before.as_ref().filter(|(given, _)| !given.fits(&from)) {
                return self.report(ill_joined(given, *earlier, &from, *span));
            }
            let passes_on = matches!(value, Datum::Function(function) if matches!(**function, Function::Identity));
            if !passes_on {
                first = if before.is_none() { from } else { first };
                before = Some((to, *span));
            }
            functions.extend(match value {
                Datum::Function(function) => Some(function.clone()),
                _ => None,
            });
        }
        if functions.len() == values.len() {
            let joined = Function::join(functions);
            let parts = if let Function::Join(parts) = &*joined { parts.len() } else { 1 };
            let span = values.first().zip(values.last()).map(|(first, last)| first.1.to(last.1));
            if span.is_some_and(|span| !self.make(parts, span)) {
                return Datum::UNKNOWN;
            }
            return Datum::Function(joined);
        }
        Datum::Opaque(Type::function(first, before.map_or(Type::Unknown, |(to, _)| to)))
    }

    /// `stage >> 3` may mean the stage three times.
    fn repeated(&self, found: Diagnostic, times: &Datum, left: Span, span: Span) -> Diagnostic {
        let Datum::Plain(Value::Int(times)) = times else { return found };
        let before = Span { end: span.start, ..left };
        let stages = self.written_at(before).map(|text| text.trim_end().trim_end_matches(">>").trim_end());
        match stages {
            Some(stages) if *times >= 0 => {
                let written = format!("repeat({stages}, times: {times})");
                found.help(format!("to apply it {times} times, write `{written}`")).fix(left.to(span), written)
            }
            _ => found,
        }
    }

    /// `chain([a, b])`
    fn chain(&mut self, mut arguments: Arguments, site: Span) -> Datum {
        let list = arguments.positional.pop();
        match (list, arguments.positional.is_empty() && arguments.entries.is_empty()) {
            (Some((Datum::List(stages), span)), true) => {
                self.join_values(stages.iter().map(|stage| (stage.clone(), span)).collect())
            }
            (Some((Datum::Opaque(Type::List(stage)), _)), true) => Datum::Opaque(*stage),
            (Some((Datum::Opaque(Type::Unknown), _)), true) => Datum::UNKNOWN,
            _ => {
                let message = "`chain` takes a list of stages";
                let found = Diagnostic::error(codes::BAD_ARGUMENTS, message, site, "called here");
                self.report(found.help("write `chain([first, second])`"))
            }
        }
    }

    /// `repeat(stage, times: n)`
    fn repeat(&mut self, mut arguments: Arguments, site: Span) -> Datum {
        let stage = (!arguments.positional.is_empty()).then(|| arguments.positional.remove(0));
        let times =
            arguments.take("times").map(|entry| (entry.value, entry.span)).or_else(|| arguments.positional.pop());
        let (Some((stage, stage_span)), Some((times, times_span))) = (stage, times) else {
            let found =
                Diagnostic::error(codes::BAD_ARGUMENTS, "`repeat` needs a stage and `times`", site, "called here");
            return self.report(found.help("write `repeat(stage, times: 3)`"));
        };
        let times = self.fitted("`times`", times, &Type::Int, times_span);
        let function = match &stage {
            Datum::Function(function) => function.clone(),
            Datum::Opaque(_) => return stage,
            other => return self.report(not_joinable(other, stage_span)),
        };
        if !function.to().fits(&function.from()) {
            return self.report(ill_joined(&function.to(), stage_span, &function.from(), stage_span));
        }
        match times {
            Datum::Plain(Value::Int(times)) if (0..=10_000).contains(&times) => {
                Datum::Function(Rc::new(Function::Repeat(function, times as usize)))
            }
            Datum::Plain(_) => self.report(out_of_range("times", &times, (0.0, 10_000.0), times_span)),
            _ => Datum::Opaque(Type::function(function.from(), function.to())),
        }
    }
}

fn not_joinable(value: &Datum, span: Span) -> Diagnostic {
    let message = format!("only stages can be joined, and this is {}", value.describe());
    let found = Diagnostic::error(codes::NOT_A_STAGE, message, span, format!("this is {}", value.describe()));
    if value.node().is_some() { found.help("a value goes into stages with `|>`: `value |> (a >> b)`") } else { found }
}

fn ill_joined(given: &Type, before: Span, wanted: &Type, span: Span) -> Diagnostic {
    if *given == Type::Scores {
        let message = "nothing comes after Scores: evaluate ends a pipeline";
        let found = Diagnostic::error(codes::AFTER_SCORES, message, span, format!("takes {}", wanted.phrase()));
        let found = found.label(before, "gives Scores");
        return found.help("evaluate in a pipeline of its own, and go on from the model in another");
    }
    let message = format!("these stages do not join: {given} comes out, {wanted} goes in");
    Diagnostic::error(codes::WRONG_INPUT, message, span, format!("takes {}", wanted.phrase()))
        .label(before, format!("gives {}", given.phrase()))
}
