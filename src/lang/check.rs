//! Types at work: whether a value fits, what it becomes where it does, and what to say where it does not.

use super::ast::{TypeExpr, TypeKind};
use super::datum::{Datum, Fields};
use super::name::Name;
use super::nearest::nearest;
use super::resolve::{join, normalised};
use super::signature::Field;
use super::types::{Dimension, Type};
use super::units;
use super::value::{Quantity, Value};
use crate::base::source::Span;
use crate::diag::{Diagnostic, codes};
use std::fmt::Display;
use std::path::{Component, Path};
use std::rc::Rc;

/// The value as one of type `wanted`, where it fits. Whole numbers become real ones, and texts become paths as seen
/// from the folder `dir`.
pub(super) fn coerce(value: &Datum, wanted: &Type, dir: &str) -> Option<Datum> {
    match (value, wanted) {
        (_, Type::Unknown) => Some(value.clone()),
        (Datum::Opaque(ty), _) => ty.fits(wanted).then(|| value.clone()),
        (Datum::Plain(Value::None), Type::Optional(_)) => Some(value.clone()),
        (_, Type::Optional(inner)) => coerce(value, inner, dir),
        (_, Type::OneOf(options)) => one_of(value, options, dir),
        (Datum::Plain(Value::Int(whole)), Type::Float) => Some(Datum::float(*whole as f64)),
        (Datum::Plain(Value::String(text)), Type::Path) => Some(path(text, dir)),
        (Datum::Plain(Value::String(text)), Type::Code) => Some(code(normalised(&join(dir, text)), dir)),
        (Datum::Plain(Value::Path(path)), Type::Code) => Some(code(path.clone(), dir)),
        (Datum::Plain(Value::String(text)), Type::Strings(texts)) => texts.contains(text).then(|| value.clone()),
        (Datum::List(items), Type::List(item)) => {
            Some(Datum::list(items.iter().map(|value| coerce(value, item, dir)).collect::<Option<_>>()?))
        }
        (Datum::Record(fields), Type::Suite) => is_suite(fields).then(|| value.clone()),
        // One that was made before, in a call that is changed by `with`.
        (Datum::Record(fields), Type::Code) => fields.iter().any(|(name, _)| name == "file").then(|| value.clone()),
        (Datum::Record(fields), Type::Record(wanted)) => record(fields, wanted, dir),
        (Datum::Record(fields), Type::Map(item)) => map(fields, item, dir),
        (Datum::Module(_) | Datum::Std, _) => None,
        _ => value.ty().fits(wanted).then(|| value.clone()),
    }
}

/// An option that needs no conversion goes first.
fn one_of(value: &Datum, options: &[Type], dir: &str) -> Option<Datum> {
    let exact = options.iter().any(|option| *option == value.ty());
    if exact { Some(value.clone()) } else { options.iter().find_map(|option| coerce(value, option, dir)) }
}

fn path(text: &str, dir: &str) -> Datum {
    Datum::Plain(Value::Path(normalised(&join(dir, text))))
}

/// A file of a user's program with the name under which the program finds it: the path from the folder of the pipeline
/// file, or the last name of a path that leads out of that folder.
fn code(path: String, dir: &str) -> Datum {
    // The folder of the pipeline file itself.
    let path = if path.is_empty() { ".".to_string() } else { path };
    let inside = Path::new(&path).strip_prefix(normalised(dir)).ok();
    let name = match inside.map(|inside| (inside, inside.components().next())) {
        Some((_, None | Some(Component::CurDir))) => ".".to_string(),
        Some((inside, Some(Component::Normal(_)))) => inside.to_string_lossy().into_owned(),
        _ => path.rsplit('/').next().unwrap_or(&path).to_string(),
    };
    Datum::record(vec![("file".into(), Datum::Plain(Value::Path(path))), ("name".into(), Datum::string(name))])
}

fn is_suite(fields: &Fields) -> bool {
    !fields.is_empty() && fields.iter().all(|(_, value)| value.ty().fits(&Type::Bench))
}

fn map(fields: &Fields, item: &Type, dir: &str) -> Option<Datum> {
    let converted = fields.iter().map(|(name, value)| Some((name.clone(), coerce(value, item, dir)?)));
    Some(Datum::record(converted.collect::<Option<_>>()?))
}

fn record(fields: &Fields, wanted: &[(String, Type)], dir: &str) -> Option<Datum> {
    let find = |name: &String| fields.iter().find(|(other, _)| other == name).map(|(_, value)| value);
    let optional = |ty: &Type| matches!(ty, Type::Optional(_)).then(|| Datum::Plain(Value::None));
    let known = fields.iter().all(|(name, _)| wanted.iter().any(|(other, _)| other == name));
    let converted = wanted.iter().map(|(name, ty)| {
        let value = find(name).map_or_else(|| optional(ty), |value| coerce(value, ty, dir))?;
        Some((Name::written(name), value))
    });
    let converted: Option<Fields> = converted.collect();
    converted.filter(|_| known).map(|fields| Datum::Record(Rc::new(fields)))
}

/// `place` needs a `wanted`, and the value at `span` is none.
pub(super) fn mismatch(place: impl Display, value: &Datum, wanted: &Type, span: Span) -> Diagnostic {
    let message = format!("{place} needs {}, not {}", wanted.phrase(), value.describe());
    let found = Diagnostic::error(codes::TYPE_MISMATCH, message, span, format!("this is {}", value.describe()));
    suggest(found, value, wanted, span)
}

fn suggest(found: Diagnostic, value: &Datum, wanted: &Type, span: Span) -> Diagnostic {
    if let Datum::Plain(Value::String(text)) = value {
        let texts = wanted.texts();
        if let Some(meant) = nearest(text, texts.iter().map(String::as_str)) {
            return found.help(format!("did you mean \"{meant}\"?")).fix(span, format!("\"{meant}\""));
        }
    }
    let dimensions = wanted.dimensions();
    let is_number = matches!(value, Datum::Plain(Value::Int(_) | Value::Float(_)));
    let counts_work = |dimension: &Dimension| matches!(dimension, Dimension::Epochs | Dimension::Steps);
    match (dimensions.as_slice(), value, wanted) {
        ([_, ..], Datum::Plain(Value::Quantity(quantity)), _)
            if quantity.dimension == Dimension::Duration && dimensions.iter().any(counts_work) =>
        {
            let help = "how far training gets in a time depends on the machine; units that fit: ";
            found.help(format!("{help}{}", unit_list(&dimensions)))
        }
        ([_, ..], Datum::Plain(Value::Quantity(_)), _) => {
            found.help(format!("units that fit: {}", unit_list(&dimensions)))
        }
        ([only], Datum::Plain(Value::Int(_)), _) => {
            let written = format!("{}{}", value.show(), units::base_name(*only));
            found.help(format!("give the number a unit, such as `{written}`")).fix(span, written)
        }
        (fitting, Datum::Plain(Value::Float(share)), _)
            if fitting.contains(&Dimension::Percent) && (0.0..=1.0).contains(share) =>
        {
            let written = format!("{}%", (share * 1e8).round() / 1e6);
            found.help(format!("a share is written in hundredths: `{written}`")).fix(span, written)
        }
        ([_, ..], _, _) if is_number => {
            let written = |&dimension: &Dimension| format!("`{}{}`", value.show(), units::base_name(dimension));
            found.help(format!(
                "give the number a unit: {}",
                dimensions.iter().map(written).collect::<Vec<_>>().join(", ")
            ))
        }
        ([], Datum::Plain(_), Type::List(item)) if coerce(value, item, "").is_some() => {
            let shown = if matches!(value.ty(), Type::String | Type::Path) {
                format!("\"{}\"", value.show())
            } else {
                value.show()
            };
            let written = format!("[{shown}]");
            found.help(format!("write a list: `{written}`")).fix(span, written)
        }
        (_, Datum::Function(_), Type::Model | Type::Dataset | Type::Scores) => {
            found.help("apply it to a value: `value |> stage`")
        }
        (_, _, Type::Suite) => found.help("a suite is a record of benchmarks: `{ name: bench(data) }`"),
        (_, _, Type::Bool) if is_number => found.help("compare it: `x > 0`"),
        _ => found,
    }
}

fn unit_list(dimensions: &[Dimension]) -> String {
    dimensions.iter().flat_map(|&dimension| units::of(dimension)).collect::<Vec<_>>().join(" ")
}

const TYPE_NAMES: &[(&str, Type)] = &[
    ("Int", Type::Int),
    ("Float", Type::Float),
    ("Bool", Type::Bool),
    ("String", Type::String),
    ("Path", Type::Path),
    ("Duration", Type::Quantity(Dimension::Duration)),
    ("Size", Type::Quantity(Dimension::Size)),
    ("Tokens", Type::Quantity(Dimension::Tokens)),
    ("Seqs", Type::Quantity(Dimension::Seqs)),
    ("Steps", Type::Quantity(Dimension::Steps)),
    ("Epochs", Type::Quantity(Dimension::Epochs)),
    ("Percent", Type::Quantity(Dimension::Percent)),
    ("Points", Type::Quantity(Dimension::Points)),
    ("Model", Type::Model),
    ("Teacher", Type::Teacher),
    ("Dataset", Type::Dataset),
    ("Reward", Type::Reward),
    ("Bench", Type::Bench),
    ("Suite", Type::Suite),
    ("Scores", Type::Scores),
];

/// The names of all types.
#[cfg(test)]
pub(super) fn type_names() -> impl Iterator<Item = &'static str> {
    TYPE_NAMES.iter().map(|&(name, _)| name)
}

/// The type that is written; `Unknown` with a diagnostic where there is none of that name.
pub(super) fn written_type(ty: &TypeExpr, diagnostics: &mut Vec<Diagnostic>) -> Type {
    let mut inner = |ty: &TypeExpr| Box::new(written_type(ty, diagnostics));
    match &ty.kind {
        TypeKind::Name(name) => match TYPE_NAMES.iter().find(|(known, _)| known == name) {
            Some((_, ty)) => ty.clone(),
            None => {
                diagnostics.push(unknown_type(name, ty.span));
                Type::Unknown
            }
        },
        TypeKind::Strings(texts) => Type::Strings(texts.clone()),
        TypeKind::List(item) => Type::List(inner(item)),
        TypeKind::Record(fields) => {
            Type::Record(fields.iter().map(|(name, ty)| (name.name.to_string(), *inner(ty))).collect())
        }
        TypeKind::Optional(of) => Type::Optional(inner(of)),
        TypeKind::Function(from, to) => Type::Function(inner(from), inner(to)),
    }
}

fn unknown_type(name: &str, span: Span) -> Diagnostic {
    let known = TYPE_NAMES.iter().map(|&(name, _)| name);
    let message = format!("there is no type `{name}`");
    let found = Diagnostic::error(codes::UNKNOWN_NAME, message, span, "not a type");
    let foreign =
        [("str", "String"), ("string", "String"), ("number", "Float"), ("list", "[Int]"), ("boolean", "Bool")];
    let meant = foreign.iter().find(|(other, _)| *other == name).map(|&(_, ours)| ours);
    match meant.or_else(|| nearest(name, known.clone())) {
        Some(meant) => found.help(format!("did you mean `{meant}`?")).fix(span, meant),
        None => found.help(format!("types are: {}", known.collect::<Vec<_>>().join(", "))),
    }
}

/// The numbers of a value that a range applies to, in base units; of a list those of its items.
pub(super) fn magnitudes(value: &Datum) -> Vec<f64> {
    match value {
        Datum::Plain(Value::Int(value)) => vec![*value as f64],
        Datum::Plain(Value::Float(value)) => vec![*value],
        Datum::Plain(Value::Quantity(quantity)) => vec![quantity.amount],
        Datum::List(items) => items.iter().flat_map(magnitudes).collect(),
        _ => Vec::new(),
    }
}

/// A limit beyond this is none.
const UNLIMITED: f64 = 1e300;

/// What the numbers of a field's value must lie between. Where the field takes several units, a share among them is one
/// of a whole, and the range is that of the others.
pub(super) fn limits_of(field: &Field, value: &Datum) -> Option<(f64, f64)> {
    let is_share = |quantity: &Quantity| quantity.dimension == Dimension::Percent;
    match (&field.ty, value) {
        (Type::OneOf(_), Datum::Plain(Value::Quantity(quantity))) if is_share(quantity) => Some((0.0, 100.0)),
        _ => field.range,
    }
}

/// A number of the value is outside of `low..=high`.
pub(super) fn out_of_range(name: &str, value: &Datum, (low, high): (f64, f64), span: Span) -> Diagnostic {
    let is_limit = |number: f64| number.abs() < UNLIMITED;
    let limits = match (is_limit(low), is_limit(high)) {
        (true, true) => format!("between {low} and {high}"),
        (true, false) => format!("at least {low}"),
        _ => format!("at most {high}"),
    };
    let message = format!("`{name}` must be {limits}, not {}", value.show());
    Diagnostic::error(codes::OUT_OF_RANGE, message, span, format!("must be {limits}"))
}
