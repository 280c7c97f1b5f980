//! A page of the reference: one thing with its signature, meaning and fields, as data for every form it is shown in.

mod markdown;
mod prose;
mod text;

pub use markdown::{book, markdown};
pub use text::text;

use serde::Serialize;

/// What is told of one thing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Page {
    /// Its full name: `sft`, `grpo.epsilon`, `std.models.tiny`.
    pub name: String,
    /// What it is: `stage`, `field`, `variant`, `verifier`, `module`, `recipe`, `type`, …
    pub class: &'static str,
    /// One line: `sft : Model -> Model`.
    pub signature: String,
    /// What this version cannot run yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unbuilt: Option<String>,
    /// What it means: paragraphs, lists and code as in Markdown.
    pub doc: String,
    /// How it is written, or how it is defined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Lines of a label and a text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Entry>,
    /// Its fields, parameters or settings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// What belongs to it, under headings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<List>,
}

/// A field of a stage kind, a variant or a verifier, or a parameter of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
    /// The value where nothing is written; none where something must be.
    pub default: Option<String>,
    /// What its numbers may be.
    pub range: Option<String>,
    /// What it means.
    pub doc: String,
    /// Where it comes from.
    pub source: String,
    /// What other tools call it.
    pub aliases: Vec<String>,
    /// What this version cannot run yet.
    pub unbuilt: Option<String>,
    /// Whether it is no part of a stage's key: changing it makes no result stale.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unkeyed: bool,
}

/// Things that belong together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct List {
    /// Its heading.
    pub title: String,
    /// The things.
    pub entries: Vec<Entry>,
}

/// A name and what there is to say of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entry {
    /// The name or the label.
    pub name: String,
    /// One line.
    pub text: String,
}

/// A part of a book: a chapter's heading, what it opens with, its pages, and the fields that several of them share.
#[derive(Clone, Debug, Default)]
pub struct Chapter {
    /// Its heading.
    pub title: String,
    /// What it opens with.
    pub doc: String,
    /// Its pages.
    pub pages: Vec<Page>,
    /// Fields told once, under a heading of their own, and left out of the pages that name them.
    pub shared: Option<Shared>,
}

/// Fields that several pages of a chapter end with.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// Their heading.
    pub title: String,
    /// The fields.
    pub fields: Vec<Field>,
}

impl Entry {
    /// A name with a text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Entry { name: name.into(), text: text.into() }
    }
}

impl Field {
    /// `Steps = 300steps`, or `Dataset, required`.
    fn typed(&self) -> String {
        match &self.default {
            Some(default) => format!("{} = {default}", self.ty),
            None => format!("{}, required", self.ty),
        }
    }

    /// Whether there is more to say than name, type and default.
    fn is_explained(&self) -> bool {
        !self.doc.is_empty() || !self.facts().is_empty()
    }

    /// What there is to say besides the meaning.
    pub fn facts(&self) -> Vec<Entry> {
        let called = (!self.aliases.is_empty()).then(|| Entry::new("elsewhere", self.aliases.join(", ")));
        let source = (!self.source.is_empty()).then(|| Entry::new("source", self.source.clone()));
        let range = self.range.as_ref().map(|range| Entry::new("range", range.clone()));
        let unbuilt = self.unbuilt.as_ref().map(|what| Entry::new("not run yet", what.clone()));
        let unkeyed = self.unkeyed.then(|| Entry::new("not in the key", "a change makes no result stale"));
        [range, unbuilt, unkeyed, source, called].into_iter().flatten().collect()
    }
}
