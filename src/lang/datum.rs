//! What the evaluator computes with: values, functions, modules, and values known by type only.

use super::name::Name;
use super::resolve::ModuleId;
use super::types::Type;
use super::units;
use super::value::{NodeId, Quantity, Value};
use crate::base::kind::Kind;
use crate::base::source::Span;
use std::rc::Rc;

/// Bytes of text that count as one value.
const BYTES_PER_VALUE: usize = 64;
/// Characters of a text that a message quotes.
const QUOTED: usize = 60;

/// Named data, in the order written.
pub(super) type Fields = Vec<(Name, Datum)>;

/// A value while evaluating.
#[derive(Clone, Debug)]
pub(super) enum Datum {
    /// A value without parts.
    Plain(Value),
    /// `[…]`
    List(Rc<Vec<Datum>>),
    /// `{ … }`
    Record(Rc<Fields>),
    /// `lora(rank: 16)`, defaults filled in.
    Variant(Rc<(Name, Fields)>),
    /// A stage or a recipe that waits for its input.
    Function(Rc<Function>),
    /// A module.
    Module(ModuleId),
    /// The module `std`.
    Std,
    /// A value of which only the type is known: a parameter while its recipe is checked. `Unknown` is what an
    /// expression with an error in it gives; it suppresses further errors.
    Opaque(Type),
}

/// What can be applied to a value.
#[derive(Clone, Debug)]
pub(super) enum Function {
    /// Gives back what it is given.
    Identity,
    /// A configured stage.
    Stage(Configured),
    /// `a >> b`; never empty, never nested.
    Join(Vec<Rc<Function>>),
    /// A stage applied several times.
    Repeat(Rc<Function>, usize),
    /// A recipe whose first parameter is open.
    Recipe(Partial),
}

/// A configured stage.
#[derive(Clone, Debug)]
pub(super) struct Configured {
    /// The stage kind.
    pub kind: String,
    /// The fields that were written, checked.
    pub fields: Vec<Written>,
    /// The name of the `let` that configured it.
    pub name: Option<String>,
    /// Whether `with` has changed it since it got its name: the next `let` may name the copy.
    pub is_changed_copy: bool,
    /// Where it was configured.
    pub span: Span,
    /// What it takes.
    pub from: Type,
    /// What it makes.
    pub to: Type,
}

/// A field that was written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Datum,
    /// Where the value stands.
    pub span: Span,
}

/// A recipe with some of its parameters filled.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    /// The module of the recipe.
    pub module: ModuleId,
    /// Its item.
    pub item: usize,
    /// Its name.
    pub name: String,
    /// The parameters filled so far.
    pub bound: Vec<Written>,
    /// The type of its first parameter.
    pub from: Type,
    /// What it gives.
    pub to: Type,
}

impl Function {
    /// What it takes.
    pub fn from(&self) -> Type {
        match self {
            Function::Identity => Type::Unknown,
            Function::Stage(stage) => stage.from.clone(),
            Function::Join(parts) => parts.first().map_or(Type::Unknown, |part| part.from()),
            Function::Repeat(part, _) => part.from(),
            Function::Recipe(partial) => partial.from.clone(),
        }
    }

    /// What it gives.
    pub fn to(&self) -> Type {
        match self {
            Function::Identity => Type::Unknown,
            Function::Stage(stage) => stage.to.clone(),
            Function::Join(parts) => parts.last().map_or(Type::Unknown, |part| part.to()),
            Function::Repeat(part, _) => part.to(),
            Function::Recipe(partial) => partial.to.clone(),
        }
    }

    /// What a reader would call it.
    pub fn show(&self) -> String {
        match self {
            Function::Identity => "identity".to_string(),
            Function::Stage(stage) => stage.name.clone().unwrap_or_else(|| stage.kind.clone()),
            Function::Join(parts) => parts.iter().map(|part| part.show()).collect::<Vec<_>>().join(" >> "),
            Function::Repeat(part, times) => format!("repeat({}, times: {times})", part.show()),
            Function::Recipe(partial) => partial.name.clone(),
        }
    }

    /// Joins functions into one; identities vanish and joins are spliced in.
    pub fn join(parts: Vec<Rc<Function>>) -> Rc<Function> {
        let mut flat: Vec<Rc<Function>> = Vec::new();
        for part in parts {
            match &*part {
                Function::Identity => {}
                Function::Join(inner) => flat.extend(inner.iter().cloned()),
                _ => flat.push(part),
            }
        }
        match flat.len() {
            0 => Rc::new(Function::Identity),
            1 => flat.swap_remove(0),
            _ => Rc::new(Function::Join(flat)),
        }
    }
}

impl Datum {
    /// The value of an expression with an error in it.
    pub const UNKNOWN: Datum = Datum::Opaque(Type::Unknown);

    /// A whole number.
    pub fn int(value: i64) -> Datum {
        Datum::Plain(Value::Int(value))
    }

    /// A real number.
    pub fn float(value: f64) -> Datum {
        Datum::Plain(Value::Float(value))
    }

    /// A truth value.
    pub fn bool(value: bool) -> Datum {
        Datum::Plain(Value::Bool(value))
    }

    /// A text.
    pub fn string(text: impl Into<String>) -> Datum {
        Datum::Plain(Value::String(text.into()))
    }

    /// A list.
    pub fn list(items: Vec<Datum>) -> Datum {
        Datum::List(Rc::new(items))
    }

    /// A record.
    pub fn record(fields: Fields) -> Datum {
        Datum::Record(Rc::new(fields))
    }

    /// Whether an error was reported where it came from.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Datum::Opaque(Type::Unknown))
    }

    /// Whether any part of it is known by type only.
    pub fn is_opaque(&self) -> bool {
        match self {
            Datum::Opaque(_) => true,
            Datum::List(items) => items.iter().any(Datum::is_opaque),
            Datum::Record(fields) => fields.iter().any(|(_, value)| value.is_opaque()),
            Datum::Variant(variant) => variant.1.iter().any(|(_, value)| value.is_opaque()),
            _ => false,
        }
    }

    /// How many values it holds, itself included, counted up to `most`: parts that are shared count wherever they
    /// stand, since whatever walks over a value meets them there.
    pub fn size(&self, most: usize) -> usize {
        let mut open = vec![self];
        let mut count = 0;
        while let Some(datum) = open.pop() {
            count += match datum {
                Datum::Opaque(ty) => ty.size(most),
                Datum::Plain(Value::Reward(sum)) => 1 + sum.terms.len(),
                Datum::Plain(Value::String(text)) => 1 + text.len() / BYTES_PER_VALUE,
                _ => 1,
            };
            if count >= most {
                return most;
            }
            match datum {
                Datum::List(items) => open.extend(items.iter()),
                Datum::Record(fields) => open.extend(fields.iter().map(|(_, value)| value)),
                Datum::Variant(variant) => open.extend(variant.1.iter().map(|(_, value)| value)),
                _ => {}
            }
        }
        count
    }

    /// The node it is the result of.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Datum::Plain(Value::Node(id, _)) => Some(*id),
            _ => None,
        }
    }

    /// Its type.
    pub fn ty(&self) -> Type {
        match self {
            Datum::Plain(value) => plain_type(value),
            Datum::List(items) => Type::List(Box::new(item_type(items))),
            Datum::Record(fields) => record_type(fields),
            Datum::Variant(variant) if variant.0 == "bench" => Type::Bench,
            Datum::Variant(variant) => Type::Variant(variant.0.to_string()),
            Datum::Function(function) => Type::function(function.from(), function.to()),
            Datum::Module(_) | Datum::Std => Type::Unknown,
            Datum::Opaque(ty) => ty.clone(),
        }
    }

    /// As a message calls its type: a text by its value, a module as one.
    pub fn describe(&self) -> String {
        match self {
            Datum::Plain(Value::String(text)) => match text.char_indices().nth(QUOTED) {
                Some((end, _)) => format!("the text \"{}…\"", &text[..end]),
                None => format!("the text \"{text}\""),
            },
            Datum::Plain(Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Quantity(_)) => {
                format!("{} ({})", self.show(), article(&self.ty().to_string()))
            }
            Datum::Plain(Value::None) => "`none`".to_string(),
            Datum::Module(_) | Datum::Std => "a module".to_string(),
            other => article(&other.ty().to_string()),
        }
    }

    /// As it is printed into a text, or shown as the label of a cell.
    pub fn show(&self) -> String {
        match self {
            Datum::Plain(value) => show_plain(value),
            Datum::List(items) => format!("[{}]", items.iter().map(Datum::show).collect::<Vec<_>>().join(", ")),
            Datum::Record(fields) => format!("{{ {} }}", show_fields(fields)),
            Datum::Variant(variant) => format!("{}({})", variant.0, show_fields(&variant.1)),
            Datum::Function(function) => function.show(),
            Datum::Module(_) | Datum::Std => "module".to_string(),
            Datum::Opaque(ty) => ty.to_string(),
        }
    }

    /// The value, where it is one all through: functions and opaque data are not.
    pub fn fold(&self) -> Option<Value> {
        match self {
            Datum::Plain(value) => Some(value.clone()),
            Datum::List(items) => Some(Value::List(items.iter().map(Datum::fold).collect::<Option<_>>()?)),
            Datum::Record(fields) => Some(Value::Record(fold_fields(fields)?)),
            Datum::Variant(variant) => Some(Value::Variant(variant.0.clone(), fold_fields(&variant.1)?)),
            Datum::Function(_) | Datum::Module(_) | Datum::Std | Datum::Opaque(_) => None,
        }
    }
}

impl From<&Value> for Datum {
    fn from(value: &Value) -> Datum {
        let fields =
            |fields: &[(Name, Value)]| fields.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        match value {
            Value::List(items) => Datum::list(items.iter().map(Datum::from).collect()),
            Value::Record(parts) => Datum::record(fields(parts)),
            Value::Variant(name, parts) => Datum::Variant(Rc::new((name.clone(), fields(parts)))),
            plain => Datum::Plain(plain.clone()),
        }
    }
}

fn fold_fields(fields: &Fields) -> Option<Vec<(Name, Value)>> {
    fields.iter().map(|(name, value)| Some((name.clone(), value.fold()?))).collect()
}

fn show_fields(fields: &Fields) -> String {
    fields.iter().map(|(name, value)| format!("{name}: {}", value.show())).collect::<Vec<_>>().join(", ")
}

/// The type that all items of a list have; that of the first where they differ, which was reported.
fn item_type(items: &[Datum]) -> Type {
    let Some((first, rest)) = items.split_first() else {
        return Type::Unknown;
    };
    rest.iter().fold(first.ty(), |ty, item| ty.common(&item.ty()).unwrap_or(ty))
}

fn record_type(fields: &Fields) -> Type {
    let types: Vec<_> = fields.iter().map(|(name, value)| (name.to_string(), value.ty())).collect();
    let is_suite = !types.is_empty() && types.iter().all(|(_, ty)| *ty == Type::Bench);
    if is_suite { Type::Suite } else { Type::Record(types) }
}

/// The type of what a stage makes.
pub(super) fn kind_type(kind: Kind) -> Type {
    match kind {
        Kind::Model => Type::Model,
        Kind::Dataset => Type::Dataset,
        Kind::Scores => Type::Scores,
        Kind::Teacher => Type::Teacher,
    }
}

fn plain_type(value: &Value) -> Type {
    match value {
        Value::None => Type::None,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Float(_) => Type::Float,
        Value::String(_) => Type::String,
        Value::Path(_) => Type::Path,
        Value::Quantity(quantity) => Type::Quantity(quantity.dimension),
        Value::Reward(_) => Type::Reward,
        Value::Node(_, kind) => kind_type(*kind),
        Value::List(_) | Value::Record(_) | Value::Variant(..) | Value::Input(_) => Type::Unknown,
    }
}

fn show_plain(value: &Value) -> String {
    match value {
        Value::None => "none".to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::String(text) | Value::Path(text) | Value::Input(text) => text.clone(),
        Value::Quantity(quantity) => show_quantity(*quantity),
        other => plain_type(other).to_string(),
    }
}

fn show_quantity(quantity: Quantity) -> String {
    let (amount, unit) = units::shown(quantity.amount, quantity.dimension);
    format!("{amount}{unit}")
}

/// The name with `a` or `an` before it.
pub(super) fn article(name: &str) -> String {
    const PLURAL: [&str; 7] = ["Seqs", "Tokens", "Steps", "Epochs", "Points", "Scores", "Cells"];
    if PLURAL.contains(&name) {
        return name.to_string();
    }
    let vowel = name.starts_with(['A', 'E', 'I', 'O', 'a', 'e', 'i', 'o']);
    let plain = name.starts_with(|first: char| first.is_ascii_alphabetic());
    match (plain, vowel) {
        (false, _) => name.to_string(),
        (true, true) => format!("an {name}"),
        (true, false) => format!("a {name}"),
    }
}
