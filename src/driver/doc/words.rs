//! Pages of the language's own words: items, keywords, builtins, types and units.

use super::kinds;
use crate::lang::signature::{Catalogue, Signature};
use crate::lang::words::{Class, Word, words};
use crate::report::page::{Entry, Page};

/// A page for each word.
pub fn pages(catalogue: &Catalogue) -> Vec<Page> {
    words().into_iter().map(|word| page(word, catalogue)).collect()
}

fn page(word: Word, catalogue: &Catalogue) -> Page {
    let facts = if word.class == Class::Type { makers(word.name, catalogue) } else { Vec::new() };
    let is_profile = word.class == Class::Item && word.name == "profile";
    let fields = if is_profile { kinds::of_profiles(catalogue) } else { Vec::new() };
    Page {
        name: word.name.to_string(),
        class: word.class.name(),
        signature: format!("{} : {}", word.name, word.class.name()),
        doc: word.doc,
        code: Some(word.form).filter(|form| !form.is_empty() && form != word.name),
        facts,
        fields,
        ..Page::default()
    }
}

/// The stage kinds that make and take a type.
fn makers(ty: &str, catalogue: &Catalogue) -> Vec<Entry> {
    let kinds = |wanted: &dyn Fn(&&Signature) -> bool| -> String {
        catalogue.stages.iter().filter(wanted).map(|stage| stage.kind).collect::<Vec<_>>().join(", ")
    };
    let makes = kinds(&|stage| stage.output.name() == ty);
    let takes = kinds(&|stage| stage.piped.as_ref().is_some_and(|(_, piped)| piped.to_string() == ty));
    let entries = [("made by", makes), ("taken by", takes)];
    entries.into_iter().filter(|(_, kinds)| !kinds.is_empty()).map(|(name, kinds)| Entry::new(name, kinds)).collect()
}
