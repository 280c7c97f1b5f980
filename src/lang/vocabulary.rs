//! The words of the language, for tools that offer them: keywords, types, units, builtin functions, modules.

use super::datum::Datum;
use super::signature::Field;
use super::types::{Dimension, Type};
use super::value::Value;
use super::{check, index, prelude, scan, units};

/// The words that begin an item.
pub const ITEM_KEYWORDS: &[&str] = &scan::ITEM_KEYWORDS;

/// The words that nothing can be named by, those of [`ITEM_KEYWORDS`] apart.
pub const KEYWORDS: &[&str] = &[
    "as", "where", "over", "in", "skip", "when", "return", "if", "then", "else", "for", "with", "and", "or", "not",
    "step", "mod", "true", "false", "none",
];

/// The fields of a `compare`, each with what it is.
pub const COMPARE_FIELDS: &[(&str, &str)] = &[
    ("of", "the sweep whose cells are compared"),
    ("metric", "the number to compare: `SUITE.BENCH.accuracy`"),
    ("by", "the axes whose combinations are the rows"),
    ("across", "the axis that repeats a row, such as the seed"),
    ("baseline", "the labels of the row that the others are compared with"),
];

/// Every unit with its dimension.
pub fn units() -> impl Iterator<Item = (&'static str, Dimension)> {
    units::names().filter_map(|name| units::find(name).map(|(dimension, _)| (name, dimension)))
}

/// The functions that the language provides, each with its form and what it does.
pub const BUILTINS: &[(&str, &str, &str)] = &[
    ("identity", "identity", "A stage that gives back what it is given."),
    ("chain", "chain([first, second])", "Joins a list of stages into one: `first >> second`."),
    ("repeat", "repeat(stage, times: 3)", "Applies a stage several times."),
    ("verifier", "verifier(\"name\", …)", "A reward of the tool itself, by its name."),
];

/// Name and text of every module of the standard library.
pub fn std_modules() -> impl Iterator<Item = (&'static str, &'static str)> {
    prelude::MODULES.iter().copied()
}

/// A value as it is written in the language.
pub fn written(value: &Value) -> String {
    index::shown(&Datum::from(value))
}

/// `between 0 and 1`: the numbers that a field takes, in base units.
pub fn limits(field: &Field) -> Option<String> {
    field.range.map(check::limits)
}

/// Names of types that a program can write.
pub fn types() -> Vec<&'static str> {
    check::TYPE_NAMES.iter().map(|(name, _)| *name).collect()
}

/// The texts that a type allows by name: those of `"group" | "batch"`.
pub fn texts(ty: &Type) -> Vec<String> {
    check::texts_of(ty)
}

/// The dimensions of the quantities that a type allows.
pub fn dimensions(ty: &Type) -> Vec<Dimension> {
    check::dimensions_of(ty)
}

/// Whether `name` can name something.
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    starts && bytes.all(scan::is_word) && !KEYWORDS.contains(&name) && !ITEM_KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_is_told_of() {
        let told: Vec<&str> = BUILTINS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(told, prelude::BUILTINS);
    }

    #[test]
    fn keywords_name_nothing() {
        assert!(is_name("warm_2") && is_name("_x"));
        assert!(!is_name("let") && !is_name("2x") && !is_name("") && !is_name("a-b") && !is_name("é"));
    }
}
