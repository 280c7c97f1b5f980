//! Expressions for every field of every stage kind, from the catalogue alone: a new field is covered by being declared.

use srlm::base::seed::Stream;
use srlm::lang::signature::{Catalogue, Field, Signature, TAKES, Variant};
use srlm::lang::types::{Dimension, Type};

/// For each stage kind the stage by itself, then each of its fields with each of the values that fit and the others as
/// they are by themselves, as expressions: `base |> sft { data: rows, budget: 3steps }`.
pub fn samples(catalogue: &Catalogue) -> Vec<String> {
    catalogue.stages.iter().flat_map(|stage| samples_of(catalogue, stage)).collect()
}

fn samples_of(catalogue: &Catalogue, stage: &Signature) -> Vec<String> {
    let mut found = vec![call(catalogue, stage, None)];
    for field in &stage.fields {
        let values = values(catalogue, field);
        found.extend(values.iter().map(|value| call(catalogue, stage, Some((field.name, value)))));
    }
    found
}

/// Expressions of different values that a field may have.
pub fn values(catalogue: &Catalogue, field: &Field) -> Vec<String> {
    let mut found = of_type(catalogue, &field.ty, field.range);
    found.dedup();
    found
}

/// The stage as an expression, its required fields filled, one field set.
fn call(catalogue: &Catalogue, stage: &Signature, set: Option<(&str, &str)>) -> String {
    let fields = filled(catalogue, &stage.fields, set);
    let set_to = |name: &str| set.filter(|(field, _)| *field == name).map(|(_, value)| value.trim_matches('"'));
    let piped = match (&stage.piped, stage.field(TAKES)) {
        (_, Some(_)) => set_to(TAKES).filter(|value| *value != "none").map(artifact),
        (Some((_, ty)), None) => of_type(catalogue, ty, None).into_iter().next(),
        (None, None) => None,
    };
    let head = piped.map(|piped| format!("{piped} |> ")).unwrap_or_default();
    match stage.positional {
        Some(name) => format!("{head}{}({})", stage.kind, fields.replacen(&format!("{name}: "), "", 1)),
        None => format!("{head}{} {{ {fields} }}", stage.kind).replace("{  }", "{}"),
    }
}

/// What the fields `takes` and `makes` call an artifact, as a value.
fn artifact(name: &str) -> String {
    match name {
        "model" => "base".into(),
        "scores" => "(base |> evaluate(exam))".into(),
        _ => "rows".into(),
    }
}

/// `name: value` for each field without a default, and for the one that is set.
fn filled(catalogue: &Catalogue, fields: &[Field], set: Option<(&str, &str)>) -> String {
    let value = |field: &Field| match set.filter(|(name, _)| *name == field.name) {
        Some((_, value)) => Some(value.to_string()),
        None if field.default.is_none() => values(catalogue, field).into_iter().next(),
        None => None,
    };
    let written = fields.iter().filter_map(|field| Some(format!("{}: {}", field.name, value(field)?)));
    written.collect::<Vec<_>>().join(", ")
}

fn of_type(catalogue: &Catalogue, ty: &Type, range: Option<(f64, f64)>) -> Vec<String> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
    match ty {
        Type::Int => numbers(range, &[1.0, 2.0, 3.0, 8.0, 270.0, 64.0]),
        Type::Float => numbers(range, &[0.5, 0.25, 0.9, 2.0]),
        Type::Bool => texts(&["true", "false"]),
        Type::String => texts(&["\"some/text\"", "\"other/text\""]),
        Type::Path | Type::Code => texts(&["\"rows.jsonl\"", "\"other.jsonl\""]),
        Type::Quantity(dimension) => quantities(*dimension, range),
        Type::None => texts(&["none"]),
        Type::List(inner) => lists(&of_type(catalogue, inner, range)),
        Type::Map(inner) => records(&of_type(catalogue, inner, range)),
        Type::Record(fields) => {
            let first = |(name, ty): &(String, Type)| {
                Some(format!("{name}: {}", of_type(catalogue, ty, None).into_iter().next()?))
            };
            vec![format!("{{ {} }}", fields.iter().filter_map(first).collect::<Vec<_>>().join(", "))]
        }
        Type::Optional(inner) => {
            let mut found = of_type(catalogue, inner, range);
            found.push("none".into());
            found
        }
        Type::Strings(options) => options.iter().map(|option| format!("\"{option}\"")).collect(),
        Type::OneOf(options) => options.iter().flat_map(|option| of_type(catalogue, option, range)).collect(),
        Type::Variant(name) => catalogue.variant(name).map_or_else(Vec::new, |variant| variants(catalogue, variant)),
        Type::Bench => catalogue.variant("bench").map_or_else(Vec::new, |variant| variants(catalogue, variant)),
        Type::Suite => {
            let benches = of_type(catalogue, &Type::Bench, None);
            benches.iter().map(|bench| format!("{{ rows: {bench} }}")).chain(["exam".to_string()]).collect()
        }
        Type::Dataset => texts(&["rows", "other"]),
        Type::Model | Type::Teacher => texts(&["base", "guide"]),
        Type::Scores => texts(&["(base |> evaluate(exam))"]),
        Type::Reward => rewards(catalogue),
        Type::Unknown | Type::Cells | Type::Metric | Type::Function(..) => Vec::new(),
    }
}

fn numbers(range: Option<(f64, f64)>, candidates: &[f64]) -> Vec<String> {
    let (low, high) = range.unwrap_or((f64::MIN, f64::MAX));
    let fit: Vec<f64> = candidates.iter().copied().filter(|number| (low..=high).contains(number)).collect();
    let fit = if fit.len() < 2 { vec![low, high] } else { fit.into_iter().take(2).collect() };
    fit.iter().map(|number| number.to_string()).collect()
}

fn quantities(dimension: Dimension, range: Option<(f64, f64)>) -> Vec<String> {
    let unit = match dimension {
        Dimension::Seqs => "seqs",
        Dimension::Tokens => "tok",
        Dimension::Steps => "steps",
        Dimension::Epochs => "epochs",
        Dimension::Size => "MiB",
        Dimension::Duration => "ms",
        Dimension::Percent => "%",
        Dimension::Points => "pp",
    };
    numbers(range, &[7.0, 40.0]).iter().map(|number| format!("{number}{unit}")).collect()
}

fn lists(items: &[String]) -> Vec<String> {
    let one = items.first().map(|item| format!("[{item}]"));
    let two = (items.len() > 1).then(|| format!("[{}, {}]", items[0], items[1]));
    one.into_iter().chain(two).collect()
}

fn records(items: &[String]) -> Vec<String> {
    let one = items.first().map(|item| format!("{{ a: {item} }}"));
    let renamed = items.first().map(|item| format!("{{ b: {item} }}"));
    let two = (items.len() > 1).then(|| format!("{{ a: {}, b: {} }}", items[0], items[1]));
    let swapped = (items.len() > 1).then(|| format!("{{ a: {}, b: {} }}", items[1], items[0]));
    [one, renamed, two, swapped].into_iter().flatten().collect()
}

/// A variant by itself, then with each of its fields set.
fn variants(catalogue: &Catalogue, variant: &Variant) -> Vec<String> {
    let call = |set: Option<(&str, &str)>| {
        let fields = filled(catalogue, &variant.fields, set);
        format!("{}({fields})", variant.name)
    };
    let mut found = vec![call(None)];
    for field in &variant.fields {
        found.extend(values(catalogue, field).iter().map(|value| call(Some((field.name, value)))));
    }
    found.dedup();
    found
}

/// Each verifier by itself, weighted, added to, and with each of its settings.
fn rewards(catalogue: &Catalogue) -> Vec<String> {
    let mut found: Vec<String> =
        ["correct", "0.5 * correct", "correct + 0.5", "correct + 0.1 * tagged"].map(String::from).into();
    for reward in &catalogue.rewards {
        found.push(format!("verifier(\"{}\")", reward.name));
        for field in &reward.fields {
            let values = of_type(catalogue, &field.ty, field.range);
            found.extend(values.iter().map(|value| format!("verifier(\"{}\", {}: {value})", reward.name, field.name)));
        }
    }
    found
}

/// A random choice of a stage's fields with random values; the required ones always.
pub fn random_fields(catalogue: &Catalogue, stage: &Signature, stream: &mut Stream) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for field in &stage.fields {
        let values = values(catalogue, field);
        if field.default.is_none() || stream.below(4) == 0 {
            found.push((field.name.to_string(), stream.pick(&values).clone()));
        }
    }
    found
}
