//! Values and limits as the language writes them: what the docs, the graph and editors show.

use super::name::Name;
use super::signature::Field;
use super::types::{Dimension, Type};
use super::units;
use super::value::{RewardSum, RewardTerm, Value};

/// A limit beyond this is none.
const UNLIMITED: f64 = 1e300;
/// Outside of these a number is written with an exponent where that is shorter.
const SMALL: f64 = 0.01;
const LARGE: f64 = 1e6;

impl Value {
    /// The value as it would be written: texts in quotes, numbers with their units, variants with their settings. An
    /// artifact is called by its kind.
    pub fn literal(&self) -> String {
        match self {
            Value::None => "none".to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => float(*value),
            Value::String(text) | Value::Path(text) => quoted(text),
            Value::Quantity(quantity) => {
                let (amount, unit) = units::shown(quantity.amount, quantity.dimension);
                with_unit(amount, unit)
            }
            Value::List(items) => format!("[{}]", items.iter().map(Value::literal).collect::<Vec<_>>().join(", ")),
            Value::Record(fields) if fields.is_empty() => "{}".to_string(),
            Value::Record(fields) => format!("{{ {} }}", arguments(fields)),
            Value::Variant(name, fields) => format!("{name}({})", arguments(fields)),
            Value::Reward(sum) => reward(sum),
            Value::Node(_, kind) => kind.name().to_string(),
            Value::Input(role) => role.clone(),
        }
    }
}

impl Field {
    /// What its numbers may be, with the unit where its type has one: `1tok to 1e6tok`, `at least 0`.
    pub fn limits(&self) -> Option<String> {
        let (low, high) = self.range?;
        let unit = unit_of(&self.ty).unwrap_or_default();
        let limit = |amount: f64| with_unit(amount, unit);
        match (low.abs() < UNLIMITED, high.abs() < UNLIMITED) {
            (true, true) => Some(format!("{} to {}", limit(low), limit(high))),
            (true, false) => Some(format!("at least {}", limit(low))),
            (false, true) => Some(format!("at most {}", limit(high))),
            (false, false) => None,
        }
    }
}

/// `60steps`, `1step`.
fn with_unit(amount: f64, unit: &str) -> String {
    let one = unit.strip_suffix('s').filter(|one| amount == 1.0 && units::find(one).is_some());
    format!("{}{}", number(amount), one.unwrap_or(unit))
}

/// The unit that every number of a type carries, where there is one.
fn unit_of(ty: &Type) -> Option<&'static str> {
    match dimensions(ty)[..] {
        [Some(only)] => Some(units::base_name(only)),
        _ => None,
    }
}

/// The dimensions a number of this type may have, none for plain numbers.
fn dimensions(ty: &Type) -> Vec<Option<Dimension>> {
    match ty {
        Type::Quantity(dimension) => vec![Some(*dimension)],
        Type::Int | Type::Float => vec![None],
        Type::List(inner) | Type::Optional(inner) => dimensions(inner),
        Type::OneOf(options) => options.iter().flat_map(dimensions).collect(),
        _ => Vec::new(),
    }
}

/// A real number; a whole one keeps its point.
fn float(value: f64) -> String {
    if value == 0.0 || (SMALL..LARGE).contains(&value.abs()) { format!("{value:?}") } else { number(value) }
}

fn number(value: f64) -> String {
    let (plain, short) = (value.to_string(), format!("{value:e}"));
    let is_usual = value == 0.0 || (SMALL..LARGE).contains(&value.abs());
    if is_usual || plain.len() <= short.len() { plain } else { short }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${");
    format!("\"{}\"", escaped.replace('\n', "\\n").replace('\t', "\\t"))
}

fn arguments(fields: &[(Name, Value)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}: {}", value.literal())).collect::<Vec<_>>().join(", ")
}

fn reward(sum: &RewardSum) -> String {
    let mut parts: Vec<String> = sum.terms.iter().map(term).collect();
    if sum.offset != 0.0 || parts.is_empty() {
        parts.push(float(sum.offset));
    }
    parts.join(" + ").replace("+ -", "- ")
}

fn term(term: &RewardTerm) -> String {
    let weight = if term.weight == 1.0 { String::new() } else { format!("{} * ", float(term.weight)) };
    format!("{weight}{}", term.reward)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_they_are_written() {
        let steps = |amount| Value::quantity(amount, Dimension::Steps).literal();
        assert_eq!([steps(60.0), steps(1.0)], ["60steps", "1step"]);
        assert_eq!(Value::quantity(0.5, Dimension::Epochs).literal(), "0.5epochs");
        assert_eq!(Value::quantity(1500.0, Dimension::Duration).literal(), "1500ms");
        assert_eq!(
            [1.0, 0.0, 2e-5, 0.001, 0.05].map(|value| Value::Float(value).literal()),
            ["1.0", "0.0", "2e-5", "1e-3", "0.05"]
        );
        assert_eq!(Value::String("a \"b\" ${c}\n".into()).literal(), "\"a \\\"b\\\" \\${c}\\n\"");
        let fields = vec![("samples".into(), Value::Int(1)), ("keep".into(), Value::None)];
        assert_eq!(Value::Variant("text".into(), fields).literal(), "text(samples: 1, keep: none)");
    }

    #[test]
    fn rewards_read_as_sums() {
        let term = |weight, reward: &str| RewardTerm { weight, reward: reward.into(), version: 1, args: Vec::new() };
        let sum = RewardSum { offset: -1.0, terms: vec![term(1.0, "correct"), term(-0.1, "tagged")] };
        assert_eq!(Value::Reward(sum).literal(), "correct - 0.1 * tagged - 1.0");
    }

    #[test]
    fn limits_carry_the_unit_of_the_type() {
        let field = |ty, range| Field {
            name: "x",
            ty,
            default: None,
            doc: "",
            aliases: &[],
            range: Some(range),
            source: "",
            unbuilt: None,
            added: false,
            unkeyed: false,
        };
        let limits = |ty, range| field(ty, range).limits();
        assert_eq!(limits(Type::Quantity(Dimension::Tokens), (1.0, 1e6)).as_deref(), Some("1tok to 1e6tok"));
        assert_eq!(limits(Type::Float.optional(), (0.0, 1e300)).as_deref(), Some("at least 0"));
        assert_eq!(limits(Type::Int, (-1e300, 0.5)).as_deref(), Some("at most 0.5"));
    }
}
