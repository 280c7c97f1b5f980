//! The types of the language.

use std::fmt;

/// The dimension of a quantity; amounts are kept in the base unit named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// Sequences (rows of data).
    Seqs,
    /// Tokens.
    Tokens,
    /// Optimiser steps.
    Steps,
    /// Passes over the data; may be fractional.
    Epochs,
    /// Bytes.
    Size,
    /// Milliseconds.
    Duration,
    /// Hundredths; may be fractional.
    Percent,
    /// Percentage points; may be fractional.
    Points,
}

impl Dimension {
    /// The name of its type.
    pub fn type_name(self) -> &'static str {
        match self {
            Dimension::Seqs => "Seqs",
            Dimension::Tokens => "Tokens",
            Dimension::Steps => "Steps",
            Dimension::Epochs => "Epochs",
            Dimension::Size => "Size",
            Dimension::Duration => "Duration",
            Dimension::Percent => "Percent",
            Dimension::Points => "Points",
        }
    }

    /// The name of its base unit in canonical arguments: `{"steps": 60}`.
    pub fn json_name(self) -> &'static str {
        match self {
            Dimension::Seqs => "seqs",
            Dimension::Tokens => "tokens",
            Dimension::Steps => "steps",
            Dimension::Epochs => "epochs",
            Dimension::Size => "bytes",
            Dimension::Duration => "milliseconds",
            Dimension::Percent => "percent",
            Dimension::Points => "points",
        }
    }

    /// Whether amounts in the base unit are whole numbers.
    pub fn is_whole(self) -> bool {
        !matches!(self, Dimension::Epochs | Dimension::Percent | Dimension::Points)
    }
}

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// What an expression with an error in it has: it unifies with everything, so that one mistake is told once.
    Unknown,
    /// Whole numbers.
    Int,
    /// Real numbers; an `Int` becomes one silently.
    Float,
    /// `true` and `false`.
    Bool,
    /// Text.
    String,
    /// A file or folder whose content is an input.
    Path,
    /// A file or folder of a user's program: its content is an input, and so is the name under which the program finds
    /// it. A record of `name` and `file`, made of the path that is written.
    Code,
    /// A number with a unit.
    Quantity(Dimension),
    /// `none` alone.
    None,
    /// `[T]`.
    List(Box<Type>),
    /// `{ name: T, … }`, structural and closed.
    Record(Vec<(String, Type)>),
    /// `{ name: T, … }` whose names the user chooses.
    Map(Box<Type>),
    /// `T?`.
    Optional(Box<Type>),
    /// `"a" | "b"`.
    Strings(Vec<String>),
    /// One of several, such as `Steps | Epochs | Tokens` or `"cosine" | wsd(…)`.
    OneOf(Vec<Type>),
    /// A configured variant such as `lora(rank: 16)`, by the constructor's name.
    Variant(String),
    /// A model folder.
    Model,
    /// What can be asked for completions.
    Teacher,
    /// Rows.
    Dataset,
    /// What scores a completion.
    Reward,
    /// One benchmark of a suite.
    Bench,
    /// A named record of benchmarks.
    Suite,
    /// Results of an evaluation.
    Scores,
    /// The cells of a sweep.
    Cells,
    /// A number that an evaluation reports, such as `exam.arith.accuracy`.
    Metric,
    /// `A -> B`: a configured stage or a recipe waiting for its first argument.
    Function(Box<Type>, Box<Type>),
}

impl Type {
    /// `T?`
    pub fn optional(self) -> Type {
        Type::Optional(Box::new(self))
    }

    /// `A -> B`
    pub fn function(from: Type, to: Type) -> Type {
        Type::Function(Box::new(from), Box::new(to))
    }

    /// The texts that it allows by name: those of `"group" | "batch"`.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Type::Strings(texts) => texts.clone(),
            Type::OneOf(options) => options.iter().flat_map(Type::texts).collect(),
            Type::Optional(inner) => inner.texts(),
            _ => Vec::new(),
        }
    }

    /// The dimensions of the quantities that it allows.
    pub fn dimensions(&self) -> Vec<Dimension> {
        match self {
            Type::Quantity(dimension) => vec![*dimension],
            Type::OneOf(options) => options.iter().flat_map(Type::dimensions).collect(),
            Type::Optional(inner) => inner.dimensions(),
            _ => Vec::new(),
        }
    }

    /// How many types it is built of, itself included, counted up to `most`.
    pub fn size(&self, most: usize) -> usize {
        let mut open = vec![self];
        let mut count = 0;
        while let Some(ty) = open.pop() {
            count += 1;
            if count >= most {
                return most;
            }
            match ty {
                Type::List(inner) | Type::Map(inner) | Type::Optional(inner) => open.push(inner),
                Type::Function(from, to) => open.extend([&**from, &**to]),
                Type::Record(fields) => open.extend(fields.iter().map(|(_, ty)| ty)),
                Type::OneOf(options) => open.extend(options),
                _ => {}
            }
        }
        count
    }

    /// The type that holds values of both: `Float` for an `Int` and a `Float`, `T?` for `none` and a `T`.
    pub fn common(&self, other: &Type) -> Option<Type> {
        match (self, other) {
            _ if self.fits(other) && !(other.is_vague() && other.fits(self)) => Some(other.clone()),
            _ if other.fits(self) => Some(self.clone()),
            (Type::None, ty) | (ty, Type::None) => Some(ty.clone().optional()),
            (Type::Optional(inner), ty) | (ty, Type::Optional(inner)) => Some(inner.common(ty)?.optional()),
            _ => None,
        }
    }

    /// Whether a part of it is not known.
    fn is_vague(&self) -> bool {
        match self {
            Type::Unknown => true,
            Type::List(inner) | Type::Optional(inner) => inner.is_vague(),
            Type::Function(from, to) => from.is_vague() || to.is_vague(),
            _ => false,
        }
    }

    /// Whether a value of type `self` may stand where `wanted` is expected.
    pub fn fits(&self, wanted: &Type) -> bool {
        use Type::*;
        match (self, wanted) {
            (Unknown, _) | (_, Unknown) => true,
            (Int, Float) | (None, Optional(_)) | (Model, Teacher) => true,
            (OneOf(options), _) => options.iter().all(|option| option.fits(wanted)),
            (Optional(inner), Optional(wanted)) => inner.fits(wanted),
            (_, Optional(wanted)) => self.fits(wanted),
            (_, OneOf(options)) => options.iter().any(|option| self.fits(option)),
            (Strings(_), String) => true,
            (Strings(given), Strings(wanted)) => given.iter().all(|text| wanted.contains(text)),
            (String, Path) | (String | Path, Code) => true,
            (List(item), List(wanted)) | (Map(item), Map(wanted)) => item.fits(wanted),
            (Record(given), Map(wanted)) => given.iter().all(|(_, ty)| ty.fits(wanted)),
            (Record(given), Record(wanted)) => {
                given.len() == wanted.len()
                    && wanted
                        .iter()
                        .all(|(name, wanted)| given.iter().any(|(other, ty)| other == name && ty.fits(wanted)))
            }
            (Function(from, to), Function(wanted_from, wanted_to)) => wanted_from.fits(from) && to.fits(wanted_to),
            _ => self == wanted,
        }
    }
}

impl Type {
    /// As a message asks for it: `epochs, steps or tokens`, `a Model`, `"a" or "b"`.
    pub fn phrase(&self) -> String {
        let parts = self.alternatives();
        match parts.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
            _ => parts.concat(),
        }
    }

    fn alternatives(&self) -> Vec<String> {
        match self {
            Type::Optional(inner) => inner.alternatives().into_iter().chain(["none".to_string()]).collect(),
            Type::Strings(texts) => texts.iter().map(|text| format!("\"{text}\"")).collect(),
            Type::OneOf(options) => options.iter().flat_map(Type::alternatives).collect(),
            single => vec![single.single_phrase()],
        }
    }

    fn single_phrase(&self) -> String {
        match self {
            Type::Unknown => "a value".to_string(),
            Type::None => "`none`".to_string(),
            Type::Quantity(Dimension::Size) => "a size".to_string(),
            Type::Quantity(Dimension::Duration) => "a duration".to_string(),
            Type::Quantity(Dimension::Percent) => "a percentage".to_string(),
            Type::Quantity(counted) => counted.json_name().to_string(),
            Type::List(item) if **item == Type::Unknown => "a list".to_string(),
            Type::List(item) => format!("a list of {item}"),
            Type::Variant(name) => format!("`{name}(…)`"),
            Type::Function(..) => format!("a stage ({self})"),
            Type::Record(fields) if fields.is_empty() => "a record".to_string(),
            Type::Record(_) => format!("a record {self}"),
            Type::Scores | Type::Cells => self.to_string(),
            Type::Int => "an Int".to_string(),
            named => match named.to_string() {
                braces if braces.starts_with('{') => format!("a record {braces}"),
                name => format!("a {name}"),
            },
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: Vec<std::string::String>| f.write_str(&parts.join(" | "));
        match self {
            Type::Unknown => f.write_str("?"),
            Type::None => f.write_str("none"),
            Type::Quantity(dimension) => f.write_str(dimension.type_name()),
            Type::List(item) => write!(f, "[{item}]"),
            Type::Optional(inner) => write!(f, "{inner}?"),
            Type::Strings(texts) => joined(f, texts.iter().map(|text| format!("\"{text}\"")).collect()),
            Type::OneOf(options) => joined(f, options.iter().map(|option| option.to_string()).collect()),
            Type::Variant(name) => write!(f, "{name}(…)"),
            Type::Map(item) => write!(f, "{{ …: {item} }}"),
            Type::Function(from, to) => write!(f, "{from} -> {to}"),
            Type::Record(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
                write!(f, "{{ {} }}", fields.join(", "))
            }
            // What is written there is a path.
            Type::Code => f.write_str("Path"),
            named => write!(f, "{named:?}"),
        }
    }
}
