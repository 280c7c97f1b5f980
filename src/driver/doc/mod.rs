//! The reference: a page for every stage, field, variant, verifier, library item and word, from their declarations.

mod kinds;
mod library;
mod words;

use super::Failure;
use crate::lang::nearest::nearest;
use crate::lang::signature::Catalogue;
use crate::report::page::{Chapter, Entry, List, Page, book};
use crate::stage;

pub use library::file;

/// All pages there are.
pub struct Reference {
    catalogue: Catalogue,
    pages: Vec<Page>,
}

/// What a name led to.
pub struct Found {
    /// The pages, at least one.
    pub pages: Vec<Page>,
    /// What to say before them: that another tool's name was given.
    pub note: Option<String>,
}

/// The topics that are whole books.
const BOOKS: [&str; 2] = ["stages", "std"];

impl Default for Reference {
    fn default() -> Self {
        Reference::new()
    }
}

impl Reference {
    /// The reference of this program.
    pub fn new() -> Self {
        let catalogue = stage::catalogue();
        let mut pages = kinds::pages(&catalogue);
        pages.extend(library::pages(&catalogue));
        pages.extend(words::pages(&catalogue));
        Reference { catalogue, pages }
    }

    /// The pages that a name leads to: by its full name, by its last part, or by what another tool calls it.
    ///
    /// # Errors
    /// [`Failure::Input`] with the nearest name where there is none.
    pub fn find(&self, name: &str) -> Result<Found, Failure> {
        let found = |pages| Ok(Found { pages, note: None });
        if BOOKS.contains(&name) {
            let part = |page: &&Page| if name == "std" { page.name.starts_with("std.") } else { kinds::is_kind(page) };
            return found(self.pages.iter().filter(part).cloned().collect());
        }
        let full: Vec<Page> = self.pages.iter().filter(|page| page.name == name).cloned().collect();
        if !full.is_empty() {
            return found(full);
        }
        let last = |page: &&Page| page.name.rsplit_once('.').is_some_and(|(_, last)| last == name);
        let last = kinds::merged(self.pages.iter().filter(last));
        if !last.is_empty() {
            return found(last);
        }
        self.elsewhere(name)
    }

    /// Every page in a line, by what it is.
    pub fn contents(&self) -> Page {
        let titles = [
            ("stage", "Stages: srlm doc sft, srlm doc grpo.epsilon, srlm doc stages for all of them"),
            ("variant", "Values of fields"),
            ("verifier", "Verifiers: what rewards are made of"),
            ("module", "Standard library: srlm doc std.models.tiny, srlm doc std for all of it"),
            ("builtin", "Functions that are always there"),
            ("item", "Items of a file"),
            ("keyword", "Words inside of items"),
            ("type", "Types"),
        ];
        let list = |&(class, title): &(&str, &str)| List {
            title: title.to_string(),
            entries: self.pages.iter().filter(|page| page.class == class).map(entry).collect(),
        };
        let doc = "Each name below has a page: `srlm doc NAME`. So has each field of a stage, each item of the library, \
                   each unit, and each file of yours: `srlm doc FILE.srlm`.";
        let lists = titles.iter().map(list).collect();
        Page { name: "srlm doc".into(), class: "contents", doc: doc.into(), lists, ..Page::default() }
    }

    /// `docs/stages.md`, or `docs/std.md`; none for a name that is no book.
    pub fn book(&self, name: &str) -> Option<String> {
        let made = |topic: &str| format!("Made by `srlm doc {topic} --markdown` from what the checker itself reads.");
        match name {
            "stages" => {
                let doc = format!("{}\n\n{}", made(name), kinds::OPENING);
                Some(book("Stages", &doc, &kinds::chapters(&self.catalogue)))
            }
            "std" => {
                let doc = format!("{}\n\n{}", made(name), library::OPENING);
                Some(book("The standard library", &doc, &library::chapters(&self.catalogue)))
            }
            _ => None,
        }
    }

    /// Fields that other tools call so; else the nearest name there is.
    fn elsewhere(&self, name: &str) -> Result<Found, Failure> {
        let (owner, short) = name.rsplit_once('.').map_or((None, name), |(owner, short)| (Some(owner), short));
        let called = |page: &&Page| {
            let owned = owner.is_none_or(|owner| page.name.starts_with(&format!("{owner}.")));
            let aliases = page.fields.iter().flat_map(|field| &field.aliases);
            owned && page.class == "field" && aliases.into_iter().any(|alias| alias == short)
        };
        let pages = kinds::merged(self.pages.iter().filter(called));
        if !pages.is_empty() {
            let mut names: Vec<String> =
                pages.iter().flat_map(|page| &page.fields).map(|field| format!("`{}`", field.name)).collect();
            names.dedup();
            let note = Some(format!("`{short}` is called {} here", names.join(" or ")));
            return Ok(Found { pages, note });
        }
        Err(Failure::Input(self.unknown(name)))
    }

    fn unknown(&self, name: &str) -> String {
        let full = self.pages.iter().map(|page| page.name.as_str());
        let last = self.pages.iter().filter_map(|page| page.name.rsplit_once('.').map(|(_, last)| last));
        match nearest(name, full.chain(last).chain(BOOKS)) {
            Some(meant) => format!("there is no page on `{name}`; did you mean `{meant}`?"),
            None => format!("there is no page on `{name}`; `srlm doc` lists what there is"),
        }
    }
}

/// A page as a line of a list.
fn entry(page: &Page) -> Entry {
    Entry::new(page.name.clone(), page.doc.clone())
}

/// A chapter without shared fields.
fn chapter(title: &str, doc: &str, pages: Vec<Page>) -> Chapter {
    Chapter { title: title.to_string(), doc: doc.to_string(), pages, shared: None }
}
