//! One declaration a parameter: the Rust field, the language's type, the default, the doc line and the key bytes.

use crate::lang::name::Name;
use crate::lang::signature::{Field, Variant};
use crate::lang::types::{Dimension, Type};
use crate::lang::value::Value;
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// A Rust type that can stand as a stage's argument. It deserialises from the canonical JSON of [`Value::to_json`].
pub trait Argument: DeserializeOwned {
    /// The type in the language.
    fn ty() -> Type;
    /// The value in the language, for defaults.
    fn to_value(&self) -> Value;
    /// The type of a record whose fields the user names, each of this type.
    fn record_ty() -> Type {
        Type::Map(Box::new(Self::ty()))
    }
}

/// Arguments that are themselves the value of a field: the settings of a variant.
pub trait ToFields {
    /// The values as the language writes them, in the order of the declaration.
    fn to_fields(&self) -> Vec<(Name, Value)>;
}

/// Declares a struct of arguments with its [`Field`]s:
/// `name: Type = default, aliases […], range a..=b, source "…", unbuilt "…", added "…", key never;`.
///
/// A field that is `added`, at the time named, to a kind which users have results of leaves the keys of those results as
/// they are: it stands among the arguments only where it has another value than its default, which must be that of its
/// Rust type. One with `key never` is no part of any key. `..name: Type;` takes in the fields of another struct.
macro_rules! arguments {
    (
        $(#[doc = $struct_doc:literal])+
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident : $ty:ty $(= $default:expr)?
                $(, aliases [$($alias:literal),+])? $(, range $low:literal ..= $high:literal)?
                $(, source $source:literal)? $(, unbuilt $unbuilt:literal)? $(, added $added:literal)? $(, key $key:ident)? ;
            )*
            $( .. $shared_name:ident : $shared:ty ; )*
        }
    ) => {
        $(#[doc = $struct_doc])+
        #[derive(Clone, Debug, serde::Deserialize)]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                $(#[doc = concat!("\n\nAdded ", $added, ".")] #[serde(default)])?
                pub $field: $ty,
            )*
            $( #[doc = "Fields that several kinds share."] #[serde(flatten)] pub $shared_name: $shared, )*
        }

        impl $name {
            /// The fields as the language sees them, in the order of the declaration.
            pub fn fields() -> Vec<$crate::lang::signature::Field> {
                let own = vec![$(
                    $crate::lang::signature::Field {
                        name: stringify!($field),
                        ty: <$ty as $crate::stage::arguments::Argument>::ty(),
                        default: $crate::stage::arguments::default_of::<$ty>(
                            $crate::stage::arguments::arguments!(@optional $($default)?)
                        ),
                        doc: concat!($($doc, "\n"),+).trim_ascii(),
                        aliases: &[$($($alias),+)?],
                        range: $crate::stage::arguments::arguments!(@range $($low $high)?),
                        source: concat!($($source)?),
                        unbuilt: $crate::stage::arguments::arguments!(@optional $($unbuilt)?),
                        added: $crate::stage::arguments::arguments!(@flag $($added)?),
                        unkeyed: $crate::stage::arguments::arguments!(@key $($key)?),
                    }
                ),*];
                own.into_iter()$(.chain(<$shared>::fields()))*.collect()
            }
        }

        impl $crate::stage::arguments::ToFields for $name {
            fn to_fields(&self) -> Vec<($crate::lang::name::Name, $crate::lang::value::Value)> {
                let own: Vec<($crate::lang::name::Name, $crate::lang::value::Value)> = vec![$(
                    (stringify!($field).into(), $crate::stage::arguments::Argument::to_value(&self.$field))
                ),*];
                let all = own.into_iter()$(.chain($crate::stage::arguments::ToFields::to_fields(&self.$shared_name)))*;
                let fields = Self::fields();
                let implied = |(name, value): &($crate::lang::name::Name, $crate::lang::value::Value)| {
                    fields.iter().any(|field| *name == field.name && field.implies(value))
                };
                all.filter(|entry| !implied(entry)).collect()
            }
        }
    };
    (@key) => { false };
    (@key never) => { true };
    (@optional) => { None };
    (@optional $default:expr) => { Some($default) };
    (@flag) => { false };
    (@flag $added:literal) => { true };
    (@range) => { None };
    (@range $low:literal $high:literal) => { Some(($low as f64, $high as f64)) };
}
pub(crate) use arguments;

/// The default as a value of the language.
pub fn default_of<T: Argument>(default: Option<T>) -> Option<Value> {
    default.map(|value| value.to_value())
}

/// Declares an argument type for an enum whose unit variants are strings in the language.
macro_rules! string_argument {
    ($ty:ty { $($text:literal => $variant:path),+ $(,)? }) => {
        impl $crate::stage::arguments::Argument for $ty {
            fn ty() -> $crate::lang::types::Type {
                $crate::lang::types::Type::Strings(vec![$($text.to_string()),+])
            }
            fn to_value(&self) -> $crate::lang::value::Value {
                let text = match self { $($variant => $text),+ };
                $crate::lang::value::Value::String(text.to_string())
            }
        }
    };
}
pub(crate) use string_argument;

macro_rules! scalar_argument {
    ($rust:ty, $ty:expr, $self:ident => $value:expr) => {
        impl Argument for $rust {
            fn ty() -> Type {
                $ty
            }
            fn to_value(&$self) -> Value {
                $value
            }
        }
    };
}

scalar_argument!(f64, Type::Float, self => Value::Float(*self));
scalar_argument!(u64, Type::Int, self => Value::Int(*self as i64));
scalar_argument!(usize, Type::Int, self => Value::Int(*self as i64));
scalar_argument!(bool, Type::Bool, self => Value::Bool(*self));
scalar_argument!(String, Type::String, self => Value::String(self.clone()));

/// A number that is 1 where nothing is said: what an `added` factor or share is made of.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct OneByDefault(pub f64);

impl Default for OneByDefault {
    fn default() -> Self {
        OneByDefault(1.0)
    }
}

scalar_argument!(OneByDefault, Type::Float, self => Value::Float(self.0));

impl<T: Argument> Argument for Option<T> {
    fn ty() -> Type {
        T::ty().optional()
    }
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::None, Argument::to_value)
    }
}

impl<T: Argument> Argument for Vec<T> {
    fn ty() -> Type {
        Type::List(Box::new(T::ty()))
    }
    fn to_value(&self) -> Value {
        Value::List(self.iter().map(Argument::to_value).collect())
    }
}

macro_rules! quantity_argument {
    ($(#[$doc:meta])* $name:ident, $unit:ident : $inner:ty, $dimension:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
        pub struct $name {
            /// The amount in the base unit.
            pub $unit: $inner,
        }

        impl Argument for $name {
            fn ty() -> Type {
                Type::Quantity($dimension)
            }
            fn to_value(&self) -> Value {
                Value::quantity(self.$unit as f64, $dimension)
            }
        }
    };
}

quantity_argument!(
    /// A number of sequences.
    Seqs, seqs: usize, Dimension::Seqs);
quantity_argument!(
    /// A number of tokens.
    Tokens, tokens: usize, Dimension::Tokens);
quantity_argument!(
    /// A size.
    Bytes, bytes: u64, Dimension::Size);
quantity_argument!(
    /// A duration.
    Millis, milliseconds: u64, Dimension::Duration);
quantity_argument!(
    /// A number of optimiser steps.
    Steps, steps: u64, Dimension::Steps);
quantity_argument!(
    /// A share in hundredths.
    Percent, percent: f64, Dimension::Percent);

impl Percent {
    /// The share as a number from 0 to 1.
    pub fn ratio(self) -> f64 {
        self.percent / 100.0
    }
}

/// An artifact among the stage's inputs; `T` says of which kind.
macro_rules! input_argument {
    ($(#[$doc:meta])* $name:ident, $ty:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        pub struct $name {
            /// The role under which it was handed in.
            pub input: String,
        }

        impl Argument for $name {
            fn ty() -> Type {
                $ty
            }
            fn to_value(&self) -> Value {
                Value::Input(self.input.clone())
            }
        }
    };
}

input_argument!(
    /// A dataset made by another stage.
    DatasetInput, Type::Dataset);
input_argument!(
    /// A model made by another stage, to be asked for completions or probabilities.
    TeacherInput, Type::Teacher);
input_argument!(
    /// Whatever another stage has made.
    ArtifactInput, Type::OneOf(vec![Type::Model, Type::Dataset, Type::Scores]));

/// One dataset, or a list of them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum DatasetInputs {
    /// One, written without brackets.
    One(DatasetInput),
    /// A list.
    Many(Vec<DatasetInput>),
}

impl DatasetInputs {
    /// The roles of all of them, in order.
    pub fn roles(&self) -> Vec<&str> {
        match self {
            DatasetInputs::One(one) => vec![one.input.as_str()],
            DatasetInputs::Many(many) => many.iter().map(|one| one.input.as_str()).collect(),
        }
    }
}

impl Argument for DatasetInputs {
    fn ty() -> Type {
        Type::OneOf(vec![Type::Dataset, Type::List(Box::new(Type::Dataset))])
    }
    fn to_value(&self) -> Value {
        match self {
            DatasetInputs::One(one) => one.to_value(),
            DatasetInputs::Many(many) => many.to_value(),
        }
    }
}

/// A file or folder whose content is an input.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct InputPath {
    /// As written in the file.
    pub path: String,
}

impl Argument for InputPath {
    fn ty() -> Type {
        Type::Path
    }
    fn to_value(&self) -> Value {
        Value::Path(self.path.clone())
    }
}

/// A file or folder of a user's program: what it is called decides what the program does, as its content does.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CodePath {
    /// Where it is.
    pub file: InputPath,
    /// Where the program finds it.
    pub name: String,
}

impl Argument for CodePath {
    fn ty() -> Type {
        Type::Code
    }
    fn to_value(&self) -> Value {
        let name = Value::String(self.name.clone());
        Value::Record(vec![("file".into(), self.file.to_value()), ("name".into(), name)])
    }
}

impl<T: Argument> Argument for BTreeMap<String, T> {
    fn ty() -> Type {
        T::record_ty()
    }
    fn to_value(&self) -> Value {
        Value::Record(self.iter().map(|(name, value)| (name.clone().into(), value.to_value())).collect())
    }
}

/// A variant of the catalogue from a struct of arguments.
pub fn variant(name: &'static str, doc: &'static str, fields: Vec<Field>, positional: Option<&'static str>) -> Variant {
    Variant { name, doc, fields, positional, unbuilt: None }
}

/// The type of a field that takes these texts or one of these variants.
pub fn choice(texts: &[&str], variants: &[&str]) -> Type {
    let texts = (!texts.is_empty()).then(|| Type::Strings(texts.iter().map(ToString::to_string).collect()));
    let variants = variants.iter().map(|name| Type::Variant(name.to_string()));
    Type::OneOf(texts.into_iter().chain(variants).collect())
}
