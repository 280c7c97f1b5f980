//! The units a number may carry, with their size in the base unit of their dimension.

use super::types::Dimension;

const KIB: f64 = 1024.0;

/// Unit, dimension, base units in one.
const UNITS: &[(&str, Dimension, f64)] = &[
    ("seqs", Dimension::Seqs, 1.0),
    ("seq", Dimension::Seqs, 1.0),
    ("tok", Dimension::Tokens, 1.0),
    ("ktok", Dimension::Tokens, 1e3),
    ("Mtok", Dimension::Tokens, 1e6),
    ("Btok", Dimension::Tokens, 1e9),
    ("epochs", Dimension::Epochs, 1.0),
    ("epoch", Dimension::Epochs, 1.0),
    ("steps", Dimension::Steps, 1.0),
    ("step", Dimension::Steps, 1.0),
    ("B", Dimension::Size, 1.0),
    ("KB", Dimension::Size, 1e3),
    ("MB", Dimension::Size, 1e6),
    ("GB", Dimension::Size, 1e9),
    ("TB", Dimension::Size, 1e12),
    ("KiB", Dimension::Size, KIB),
    ("MiB", Dimension::Size, KIB * KIB),
    ("GiB", Dimension::Size, KIB * KIB * KIB),
    ("TiB", Dimension::Size, KIB * KIB * KIB * KIB),
    ("ms", Dimension::Duration, 1.0),
    ("s", Dimension::Duration, 1e3),
    ("min", Dimension::Duration, 60e3),
    ("h", Dimension::Duration, 3600e3),
    ("d", Dimension::Duration, 86400e3),
    ("%", Dimension::Percent, 1.0),
    ("pp", Dimension::Points, 1.0),
];

/// Dimension and size of a unit.
pub fn find(unit: &str) -> Option<(Dimension, f64)> {
    UNITS.iter().find(|(name, ..)| *name == unit).map(|&(_, dimension, factor)| (dimension, factor))
}

/// The unit for more than one of what `unit` counts one of.
pub(super) fn plural(unit: &str) -> Option<&'static str> {
    match unit {
        "seq" => Some("seqs"),
        "epoch" => Some("epochs"),
        "step" => Some("steps"),
        _ => None,
    }
}

/// Every unit's name.
pub fn names() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|&(name, ..)| name)
}

/// The units of one dimension.
pub fn of(dimension: Dimension) -> Vec<&'static str> {
    UNITS.iter().filter(|unit| unit.1 == dimension).map(|unit| unit.0).collect()
}

/// An amount as a reader writes it: durations and sizes in the largest unit that leaves a whole number.
pub(super) fn shown(amount: f64, dimension: Dimension) -> (f64, &'static str) {
    let is_scaled = matches!(dimension, Dimension::Duration | Dimension::Size) && amount != 0.0;
    let whole = UNITS.iter().filter(|unit| is_scaled && unit.1 == dimension && amount % unit.2 == 0.0);
    let largest = whole.max_by(|left, right| left.2.total_cmp(&right.2));
    largest.map_or((amount, base_name(dimension)), |&(name, _, factor)| (amount / factor, name))
}

/// The unit in which amounts of a dimension are printed.
pub(super) fn base_name(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Seqs => "seqs",
        Dimension::Tokens => "tok",
        Dimension::Steps => "steps",
        Dimension::Epochs => "epochs",
        Dimension::Size => "B",
        Dimension::Duration => "ms",
        Dimension::Percent => "%",
        Dimension::Points => "pp",
    }
}

/// The unit a user most likely meant: another case, a long form, or a typo.
pub(super) fn meant(unit: &str) -> Option<&'static str> {
    const LONG: &[(&str, &str)] = &[
        ("tokens", "tok"),
        ("token", "tok"),
        ("sequences", "seqs"),
        ("Gb", "GB"),
        ("gb", "GB"),
        ("G", "GiB"),
        ("M", "MiB"),
        ("k", "ktok"),
        ("sec", "s"),
        ("seconds", "s"),
        ("minutes", "min"),
        ("m", "min"),
        ("hours", "h"),
        ("days", "d"),
        ("percent", "%"),
    ];
    let long = LONG.iter().find(|(name, _)| *name == unit).map(|&(_, short)| short);
    long.or_else(|| names().find(|name| name.eq_ignore_ascii_case(unit)))
        .or_else(|| super::nearest::nearest(unit, names().filter(|name| name.len() > 1)))
}
