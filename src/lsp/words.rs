//! The names that can be written at the cursor: from the program as it is, and from when it was whole.

use super::describe::{self, Described};
use super::session::Session;
use super::view::View;
use crate::base::source::SourceId;
use crate::lang::index::{Part, Symbol, Target};
use crate::lang::types::Type;
use std::collections::BTreeSet;

/// Names of a file while it is edited.
pub struct Words<'a> {
    /// The session.
    pub session: &'a Session,
    now: &'a View,
    whole: Option<&'a View>,
}

/// A name and what it means in which program.
#[derive(Clone)]
pub struct Word<'a> {
    /// The name.
    pub name: String,
    /// The program.
    pub view: &'a View,
    /// What it means there.
    pub target: Target,
}

impl Word<'_> {
    /// Its description.
    pub fn described(&self, session: &Session) -> Described {
        describe::target(self.view, &session.catalogue, &self.target).unwrap_or_default()
    }

    /// The type of its value.
    pub fn ty(&self) -> Option<&Type> {
        match self.target {
            Target::Symbol(index) => self.view.index().value_of(index).map(|seen| &seen.ty),
            _ => None,
        }
    }
}

impl<'a> Words<'a> {
    /// The names of `now`; those of `whole` stand in for items that do not parse.
    pub fn new(session: &'a Session, now: &'a View, whole: Option<&'a View>) -> Self {
        Words { session, now, whole }
    }

    fn views(&self) -> impl Iterator<Item = &'a View> + use<'a> {
        [Some(self.now), self.whole].into_iter().flatten()
    }

    /// The names of the file itself: items and imports.
    pub fn own(&self) -> Vec<Word<'a>> {
        let mut seen = BTreeSet::new();
        let mut words = Vec::new();
        for view in self.views() {
            let broken = &self.now.entry.and_then(|entry| self.now.index().module(entry)).map(|module| &module.broken);
            let counts =
                |name: &String| std::ptr::eq(view, self.now) || broken.is_some_and(|broken| broken.contains(name));
            let Some(module) = view.entry.and_then(|entry| view.index().module(entry)) else { continue };
            for (name, target) in module.names.iter().filter(|(name, target)| *target != Target::Std && counts(name)) {
                if seen.insert(name.clone()) {
                    words.push(Word { name: name.clone(), view, target: target.clone() });
                }
            }
        }
        words
    }

    /// What the names of a local scope are, as far as that was known.
    pub fn local(&self, name: &str) -> Option<Word<'a>> {
        self.views().find_map(|view| {
            let is_it = |symbol: &Symbol| {
                symbol.name == name && symbol.scope.is_some() && Some(symbol.span.source) == view.entry
            };
            let index = view.index().symbols.iter().position(is_it)?;
            Some(Word { name: name.to_string(), view, target: Target::Symbol(index) })
        })
    }

    /// What `a.b.c` means.
    pub fn resolve(&self, path: &[&str], locals: &[&str]) -> Option<Word<'a>> {
        let (first, rest) = path.split_first()?;
        let mut word = if locals.contains(first) { self.local(first)? } else { self.outer(first)? };
        for name in rest {
            word = self.members(&word).into_iter().find(|member| member.name == *name)?;
        }
        Some(word)
    }

    fn outer(&self, name: &str) -> Option<Word<'a>> {
        let library = &self.session.library.view;
        let std = || Word { name: name.to_string(), view: library, target: Target::Std };
        let catalogue = &self.session.catalogue;
        let stage = || catalogue.stage(name).map(|_| Target::Stage(name.to_string()));
        let variant = || catalogue.variant(name).map(|_| Target::Variant(name.to_string()));
        let known = || stage().or_else(variant).map(|target| Word { name: name.to_string(), view: library, target });
        let own = self.own().into_iter().find(|word| word.name == name);
        own.or_else(|| (name == "std").then(std)).or_else(known)
    }

    /// What `.` reads of a name.
    pub fn members(&self, word: &Word<'a>) -> Vec<Word<'a>> {
        let view = word.view;
        let named = |name: &str, target: Target| Word { name: name.to_string(), view, target };
        match &word.target {
            Target::Std => self.std_modules(),
            Target::Module(source) => module_words(view, *source),
            Target::Symbol(index) => {
                let symbols = view.index().symbols.iter().enumerate();
                let parts = symbols.filter(|(_, part)| part.owner == Some(*index));
                parts.map(|(part, symbol)| named(&symbol.name, Target::Symbol(part))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The modules of the standard library.
    pub fn std_modules(&self) -> Vec<Word<'a>> {
        let view = &self.session.library.view;
        let modules = view.index().modules.iter().filter(|module| module.is_std);
        modules.map(|module| Word { name: module.name.clone(), view, target: Target::Module(module.source) }).collect()
    }

    /// Fields that can be read of the value of a name, with their types.
    pub fn read(&self, word: &Word<'a>) -> Vec<(String, Type)> {
        match word.target {
            Target::Symbol(index) => word.view.index().value_of(index).map(|seen| seen.members.clone()),
            _ => None,
        }
        .unwrap_or_default()
    }

    /// Whose fields a call of a name, or `with` on it, sets.
    pub fn parts(&self, word: &Word<'a>) -> Vec<(&'a View, Part)> {
        let parts = match &word.target {
            Target::Stage(kind) | Target::Variant(kind) => vec![Part::Stage(kind.clone())],
            Target::Symbol(index) => match word.view.index().settable(*index) {
                [] => vec![Part::Recipe(*index)],
                parts => parts.to_vec(),
            },
            _ => Vec::new(),
        };
        parts.into_iter().map(|part| (word.view, part)).collect()
    }
}

fn module_words(view: &View, source: SourceId) -> Vec<Word<'_>> {
    let own: BTreeSet<&str> = describe::own_names(view.index(), source).collect();
    let names = view.index().module(source).map(|module| &module.names[..]).unwrap_or_default();
    let words = names.iter().filter(|(name, _)| own.contains(name.as_str()));
    words.map(|(name, target)| Word { name: name.clone(), view, target: target.clone() }).collect()
}
