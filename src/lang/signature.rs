//! What the language knows of stage kinds, rewards and variants: plain data, handed in by the driver.

use super::types::Type;
use super::value::Value;
use crate::base::kind::Kind;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// One field of a stage kind, a reward or a variant, declared once for the checker, the docs and the key.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name users write.
    pub name: &'static str,
    /// What may stand there.
    pub ty: Type,
    /// The value when the user writes nothing; a field without one is required.
    pub default: Option<Value>,
    /// One sentence or more: meaning, unit, source.
    pub doc: &'static str,
    /// What other tools call it: an error that names ours.
    pub aliases: &'static [&'static str],
    /// The smallest and largest number allowed, both inclusive, in base units.
    pub range: Option<(f64, f64)>,
    /// Where name, formula or default come from: a paper, or the tool whose spelling it is. Empty where it is ours.
    pub source: &'static str,
    /// What this version cannot run yet: said of any value but the default. Such a program is checked and planned.
    pub unbuilt: Option<&'static str>,
    /// Declared after results were made of the kind: at its default it stands neither in arguments nor in keys, so that
    /// those results keep theirs.
    pub added: bool,
    /// No part of a stage's key: it says how something is reached, and not what comes of it.
    pub unkeyed: bool,
}

impl Field {
    /// Whether the value goes without saying: the default of a field that was added later.
    pub fn implies(&self, value: &Value) -> bool {
        self.added && self.default.as_ref() == Some(value)
    }

    /// Its documentation as a help text: on one line, in lower case, without the last full stop.
    pub fn summary(&self) -> String {
        let line = self.doc.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = line.strip_suffix('.').unwrap_or(&line);
        let mut letters = line.chars();
        match (letters.next(), letters.clone().next()) {
            // A second capital is that of an abbreviation.
            (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(letters).collect(),
            _ => line.to_string(),
        }
    }
}

/// A stage kind with a field of this name takes from `|>` what the field says; it is a value itself where that is none.
pub const TAKES: &str = "takes";
/// A stage kind with a field of this name makes what the field says.
pub const MAKES: &str = "makes";

/// A stage kind, as the language sees it.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The name users write: `sft`, `grpo`, …
    pub kind: &'static str,
    /// The semantic version: raised whenever the same arguments give other numbers.
    pub version: u32,
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// The role and type of what `|>` hands in; a source of values has none. See also [`TAKES`].
    pub piped: Option<(&'static str, Type)>,
    /// What it makes. Its role in the record is the kind's name in lower case. See also [`MAKES`].
    pub output: Kind,
    /// Its fields, in the order the docs show them.
    pub fields: Vec<Field>,
    /// The field that a single unnamed argument fills: `evaluate(exam)`, `jsonl("file")`.
    pub positional: Option<&'static str>,
    /// What this version cannot run yet; the stage is checked and planned all the same.
    pub unbuilt: Option<&'static str>,
}

impl Signature {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// How the training of a stage kind depends on how long it goes on. The functions take its canonical arguments.
#[derive(Clone, Copy, Debug)]
pub struct Training {
    /// The field that says how long.
    pub budget: &'static str,
    /// The fields that say nothing more of the steps that [`Training::open`] counts.
    pub of_the_end: &'static [&'static str],
    /// Optimiser steps in all, where the arguments alone say how many.
    pub total: fn(&Json) -> Option<u64>,
    /// Of so many optimiser steps, how many first ones are the same in a longer training; none where no step is.
    pub open: fn(&Json, u64) -> Option<u64>,
}

/// A reward primitive: `verifier("name", …)` in the standard library.
#[derive(Clone, Debug)]
pub struct RewardSignature {
    /// Its name.
    pub name: &'static str,
    /// The semantic version, part of every key that uses it.
    pub version: u32,
    /// What it scores.
    pub doc: &'static str,
    /// Its settings.
    pub fields: Vec<Field>,
}

/// A constructor for a field's value, such as `lora(rank: 16)`.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The name users write.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Its settings.
    pub fields: Vec<Field>,
    /// The field that a single unnamed argument fills.
    pub positional: Option<&'static str>,
    /// What this version cannot run yet; the value is checked and planned all the same.
    pub unbuilt: Option<&'static str>,
}

/// Whether two canonical values are one, however their numbers are written.
fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => left.as_f64() == right.as_f64(),
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            let equal = |(name, value)| right.get(name).is_some_and(|other| same(value, other));
            left.len() == right.len() && left.iter().all(equal)
        }
        _ => left == right,
    }
}

/// Everything the language does not define itself.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// The stage kinds.
    pub stages: Vec<Signature>,
    /// The reward primitives.
    pub rewards: Vec<RewardSignature>,
    /// The variants, `bench` among them.
    pub variants: Vec<Variant>,
    /// What a profile can set.
    pub profile: ProfileSignature,
    /// The stage kinds that train, by name.
    pub trainings: BTreeMap<&'static str, Training>,
}

/// What a profile can set: how to run, and never what.
#[derive(Clone, Debug, Default)]
pub struct ProfileSignature {
    /// Settings of a whole run. One whose type is a record holds settings of stages, and one whose type is a map such
    /// records by the name of a stage or a kind.
    pub fields: Vec<Field>,
    /// Settings of stages.
    pub stage: Vec<Field>,
    /// What can stand for `executor`, with its settings.
    pub executors: Vec<Variant>,
}

/// Something that this version cannot run yet, in a stage's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbuilt {
    /// The field of the stage that holds it; none where it is the stage itself.
    pub field: Option<&'static str>,
    /// What it is, as the declaration calls it.
    pub what: &'static str,
}

impl Catalogue {
    /// What this version cannot run of a stage with these canonical arguments.
    pub fn unbuilt(&self, kind: &str, args: &Json) -> Vec<Unbuilt> {
        let Some(stage) = self.stage(kind) else { return Vec::new() };
        let whole = stage.unbuilt.map(|what| Unbuilt { field: None, what });
        let inside = stage.fields.iter().flat_map(|field| {
            let found = self.unbuilt_in(field, &args[field.name]);
            found.into_iter().map(|what| Unbuilt { field: Some(field.name), what })
        });
        whole.into_iter().chain(inside).collect()
    }

    /// Whether a value holds a variant of which this version cannot run everything.
    pub fn has_unbuilt(&self, value: &Value) -> bool {
        let unbuilt =
            |variant: &Variant| variant.unbuilt.is_some() || variant.fields.iter().any(|field| field.unbuilt.is_some());
        match value {
            Value::Variant(name, fields) => {
                self.variant(name).is_some_and(unbuilt) || fields.iter().any(|(_, value)| self.has_unbuilt(value))
            }
            Value::List(items) => items.iter().any(|item| self.has_unbuilt(item)),
            Value::Record(fields) => fields.iter().any(|(_, value)| self.has_unbuilt(value)),
            _ => false,
        }
    }

    /// What this version cannot run of a field's canonical value: the field itself, else what is inside its variants.
    pub fn unbuilt_in(&self, field: &Field, value: &Json) -> Vec<&'static str> {
        let is_default = || field.default.as_ref().is_some_and(|default| same(&default.to_json(), value));
        match field.unbuilt {
            Some(what) if !is_default() => vec![what],
            _ => self.unbuilt_variants(value),
        }
    }

    fn unbuilt_variants(&self, value: &Json) -> Vec<&'static str> {
        match value {
            Json::Array(items) => items.iter().flat_map(|item| self.unbuilt_variants(item)).collect(),
            Json::Object(fields) => {
                let mut found = Vec::new();
                for (name, value) in fields {
                    // A variant is an object of one field, its name.
                    match self.variant(name).filter(|_| fields.len() == 1 && value.is_object()) {
                        Some(variant) => {
                            found.extend(variant.unbuilt);
                            let inside = |field: &Field| self.unbuilt_in(field, &value[field.name]);
                            found.extend(variant.fields.iter().flat_map(inside));
                        }
                        None => found.extend(self.unbuilt_variants(value)),
                    }
                }
                found
            }
            _ => Vec::new(),
        }
    }
    /// The stage kind of that name.
    pub fn stage(&self, kind: &str) -> Option<&Signature> {
        self.stages.iter().find(|stage| stage.kind == kind)
    }

    /// The reward of that name.
    pub fn reward(&self, name: &str) -> Option<&RewardSignature> {
        self.rewards.iter().find(|reward| reward.name == name)
    }

    /// The variant of that name.
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }
}
