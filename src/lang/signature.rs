//! What the language knows of stage kinds, rewards and variants: plain data, handed in by the driver.

use super::types::Type;
use super::value::Value;
use crate::base::kind::Kind;

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
}

/// A stage kind, as the language sees it.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The name users write: `sft`, `grpo`, …
    pub kind: &'static str,
    /// The semantic version: raised whenever the same arguments give other numbers.
    pub version: u32,
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// The role and type of what `|>` hands in; a source of values has none.
    pub piped: Option<(&'static str, Type)>,
    /// What it makes. Its role in the record is the kind's name in lower case.
    pub output: Kind,
    /// Its fields, in the order the docs show them.
    pub fields: Vec<Field>,
    /// The field that a single unnamed argument fills: `evaluate(exam)`, `jsonl("file")`.
    pub positional: Option<&'static str>,
    /// What this version cannot run yet; the stage is checked and planned all the same.
    pub unbuilt: Option<&'static str>,
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

/// Everything the language does not define itself.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// The stage kinds.
    pub stages: Vec<Signature>,
    /// The reward primitives.
    pub rewards: Vec<RewardSignature>,
    /// The variants, `bench` among them.
    pub variants: Vec<Variant>,
}

impl Catalogue {
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
