//! Pages of the catalogue: stage kinds, variants, verifiers, and each of their fields.

use super::chapter;
use crate::lang::signature::{self, Catalogue, MAKES, RewardSignature, Signature, TAKES, Variant};
use crate::lang::types::Type;
use crate::report::page::{Chapter, Entry, Field, Page, Shared};

/// What the book of stages opens with.
pub const OPENING: &str = "\
`kind { field: value }` configures a stage, and `value |> stage` applies it. A field with a default may be left out. \
A field that another tool calls otherwise is an error that names ours; those names stand under \"Elsewhere\". \
`srlm doc NAME` shows each part of this page alone: `srlm doc grpo.epsilon`.";

/// Kinds that share fewer trailing fields than this have them by chance.
const FEWEST_SHARED: usize = 4;

/// Kinds, variants and verifiers, each followed by the pages of its fields.
pub fn pages(catalogue: &Catalogue) -> Vec<Page> {
    let kinds = catalogue.stages.iter().map(stage);
    let variants = catalogue.variants.iter().map(|variant| variant_page(variant, catalogue));
    let verifiers = catalogue.rewards.iter().map(verifier);
    kinds.chain(variants).chain(verifiers).flat_map(with_fields).chain(settings(catalogue)).collect()
}

/// The settings of a profile, of stages in a profile, and executors with theirs.
fn settings(catalogue: &Catalogue) -> Vec<Page> {
    let profile = &catalogue.profile;
    let alone = |owner, settings: &[signature::Field]| -> Vec<Page> {
        settings.iter().map(|setting| field_page(owner, &field(setting))).collect()
    };
    let executors = profile.executors.iter().map(|executor| {
        let facts = vec![Entry::new("stands in", "profile.executor")];
        Page { facts, ..variant_page(executor, catalogue) }
    });
    let executors = executors.flat_map(with_fields);
    [alone("profile", &profile.fields), alone("profile.stages", &profile.stage)]
        .concat()
        .into_iter()
        .chain(executors)
        .collect()
}

/// The settings of a profile as the page of the word shows them.
pub fn of_profiles(catalogue: &Catalogue) -> Vec<Field> {
    catalogue.profile.fields.iter().map(field).collect()
}

/// Whether a page is of a kind, a variant or a verifier, and not of a field.
pub fn is_kind(page: &Page) -> bool {
    ["stage", "variant", "verifier"].contains(&page.class)
}

/// The book of stages: sources, trainers, the rest, then what stands in their fields.
pub fn chapters(catalogue: &Catalogue) -> Vec<Chapter> {
    let of = |wanted: fn(&Signature) -> bool| -> Vec<Page> {
        catalogue.stages.iter().filter(|stage| wanted(stage)).map(stage).collect()
    };
    let variants = catalogue.variants.iter().map(|variant| variant_page(variant, catalogue)).collect();
    let verifiers = catalogue.rewards.iter().map(verifier).collect();
    let mut stages = chapter("Stages", "Each takes what `|>` hands in.", of(takes_something));
    stages.shared = shared(&stages.pages);
    vec![
        stages,
        chapter("Sources", "Each is a value by itself: nothing is handed in.", of(|stage| !takes_something(stage))),
        chapter("Values of fields", "Constructors for fields that take more than a number or a text.", variants),
        chapter("Verifiers", "What rewards are made of: `verifier(\"name\", …)`.", verifiers),
    ]
}

fn takes_something(stage: &Signature) -> bool {
    stage.piped.is_some() || stage.field(TAKES).is_some()
}

/// The longest list of fields that at least two pages, and each page that shares any of it, end with.
fn shared(pages: &[Page]) -> Option<Shared> {
    let common = |left: &Page, right: &Page| {
        left.fields.iter().rev().zip(right.fields.iter().rev()).take_while(|(left, right)| left == right).count()
    };
    let first = pages
        .iter()
        .enumerate()
        .find(|(index, page)| pages[index + 1..].iter().any(|other| common(page, other) >= FEWEST_SHARED));
    let (index, first) = first?;
    let lengths = pages[index + 1..].iter().map(|other| common(first, other));
    let length = lengths.filter(|&length| length >= FEWEST_SHARED).min()?;
    let fields = first.fields[first.fields.len() - length..].to_vec();
    Some(Shared { title: "training fields".to_string(), fields })
}

/// Pages of fields that are one and the same become one page that names all owners.
pub fn merged<'a>(pages: impl Iterator<Item = &'a Page>) -> Vec<Page> {
    let mut merged: Vec<(Page, Vec<&str>)> = Vec::new();
    for page in pages {
        let owner = page.name.rsplit_once('.').map_or("", |(owner, _)| owner);
        let same = |other: &&mut (Page, _)| page.class == "field" && other.0.fields == page.fields;
        match merged.iter_mut().find(same) {
            Some((_, owners)) => owners.push(owner),
            None => merged.push((page.clone(), vec![owner])),
        }
    }
    merged.into_iter().map(|(page, owners)| if owners.len() > 1 { of_all(page, &owners) } else { page }).collect()
}

fn of_all(mut page: Page, owners: &[&str]) -> Page {
    if let Some(field) = page.fields.first() {
        page.signature = format!("{} : {}", field.name, page.signature.split_once(" : ").map_or("", |(_, ty)| ty));
        page.name.clone_from(&field.name);
    }
    page.facts.insert(0, Entry::new("of", owners.join(", ")));
    page
}

fn with_fields(page: Page) -> Vec<Page> {
    let fields: Vec<Page> = page.fields.iter().map(|field| field_page(&page.name, field)).collect();
    std::iter::once(page).chain(fields).collect()
}

/// A field alone: its facts in lines, and itself for programs.
fn field_page(owner: &str, field: &Field) -> Page {
    let default = field.default.as_ref().map(|default| format!(" = {default}")).unwrap_or_default();
    let name = format!("{owner}.{}", field.name);
    let mut facts = Vec::new();
    if field.default.is_none() {
        facts.push(Entry::new("required", "it has no default"));
    }
    facts.extend(field.facts());
    Page {
        signature: format!("{name} : {}{default}", field.ty),
        name,
        class: "field",
        doc: field.doc.clone(),
        facts,
        fields: vec![field.clone()],
        ..Page::default()
    }
}

fn stage(stage: &Signature) -> Page {
    // A kind may leave to a field what it takes or makes: the field's name stands for it.
    let told_by = |field: &str| stage.field(field).map(|field| field.name.to_string());
    let to = told_by(MAKES).unwrap_or_else(|| stage.output.name().to_string());
    let from = told_by(TAKES).or_else(|| stage.piped.as_ref().map(|(_, from)| from.to_string()));
    let ty = from.map_or(to.clone(), |from| format!("{from} -> {to}"));
    let unnamed = stage.positional.map(|field| unnamed(stage.kind, field));
    Page {
        name: stage.kind.to_string(),
        class: "stage",
        signature: format!("{} : {ty}", stage.kind),
        unbuilt: stage.unbuilt.map(String::from),
        doc: stage.doc.to_string(),
        facts: unnamed.into_iter().collect(),
        fields: stage.fields.iter().map(field).collect(),
        ..Page::default()
    }
}

fn variant_page(variant: &Variant, catalogue: &Catalogue) -> Page {
    let settings: Vec<String> = variant.fields.iter().map(setting).collect();
    let mut facts: Vec<Entry> = variant.positional.iter().map(|field| unnamed(variant.name, field)).collect();
    let places = places(variant.name, catalogue);
    facts.extend((!places.is_empty()).then(|| Entry::new("stands in", places.join(", "))));
    Page {
        name: variant.name.to_string(),
        class: "variant",
        signature: format!("{}({})", variant.name, settings.join(", ")),
        unbuilt: variant.unbuilt.map(String::from),
        doc: variant.doc.to_string(),
        facts,
        fields: variant.fields.iter().map(field).collect(),
        ..Page::default()
    }
}

fn verifier(reward: &RewardSignature) -> Page {
    let settings: String = reward.fields.iter().map(|field| format!(", {}", setting(field))).collect();
    Page {
        name: reward.name.to_string(),
        class: "verifier",
        signature: format!("verifier(\"{}\"{settings}) : Reward", reward.name),
        doc: reward.doc.to_string(),
        fields: reward.fields.iter().map(field).collect(),
        ..Page::default()
    }
}

fn unnamed(owner: &str, field: &str) -> Entry {
    Entry::new("short form", format!("`{owner}({field})`"))
}

fn setting(field: &signature::Field) -> String {
    match &field.default {
        Some(default) => format!("{}: {}", field.name, default.literal()),
        None => format!("{}: {}", field.name, field.ty),
    }
}

/// The fields, with their owners, that take a variant.
fn places(variant: &str, catalogue: &Catalogue) -> Vec<String> {
    let stages = catalogue.stages.iter().map(|stage| (stage.kind, &stage.fields));
    let variants = catalogue.variants.iter().map(|variant| (variant.name, &variant.fields));
    let fields = stages.chain(variants).flat_map(|(owner, fields)| fields.iter().map(move |field| (owner, field)));
    let takes = fields.filter(|(_, field)| mentions(&field.ty, variant));
    takes.map(|(owner, field)| format!("{owner}.{}", field.name)).collect()
}

fn mentions(ty: &Type, variant: &str) -> bool {
    match ty {
        Type::Variant(name) => name == variant,
        Type::Suite | Type::Bench => variant == "bench",
        Type::List(inner) | Type::Optional(inner) => mentions(inner, variant),
        Type::OneOf(options) => options.iter().any(|option| mentions(option, variant)),
        _ => false,
    }
}

/// A declared field as the page shows it.
fn field(field: &signature::Field) -> Field {
    Field {
        name: field.name.to_string(),
        ty: field.ty.to_string(),
        default: field.default.as_ref().map(|default| default.literal()),
        range: field.limits(),
        doc: field.doc.lines().map(str::trim).collect::<Vec<_>>().join("\n"),
        source: field.source.to_string(),
        aliases: field.aliases.iter().map(ToString::to_string).collect(),
        unbuilt: field.unbuilt.map(String::from),
        unkeyed: field.unkeyed,
    }
}
