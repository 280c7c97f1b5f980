//! What can be written in a place, for tools that offer it: fields of a compare, units, texts, modules, names.

use super::tokens::KEYWORDS;
use super::types::{Dimension, Type};
use super::{check, prelude, scan, units};

/// The words that begin an item.
pub const ITEM_KEYWORDS: &[&str] = &scan::ITEM_KEYWORDS;

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

/// Name and text of every module of the standard library.
pub fn std_modules() -> impl Iterator<Item = (&'static str, &'static str)> {
    prelude::MODULES.iter().copied()
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
    starts && bytes.all(scan::is_word) && !KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_name_nothing() {
        assert!(is_name("warm_2") && is_name("_x"));
        assert!(!is_name("let") && !is_name("2x") && !is_name("") && !is_name("a-b") && !is_name("é"));
    }
}
