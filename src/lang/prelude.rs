//! The standard library: text in the language itself, embedded.

/// Name and text of every module of `std`.
pub(super) const MODULES: &[(&str, &str)] = &[
    ("arith", include_str!("../../stdlib/arith.srlm")),
    ("models", include_str!("../../stdlib/models.srlm")),
    ("reward", include_str!("../../stdlib/reward.srlm")),
];

/// Names that the evaluator itself provides.
pub(super) const BUILTINS: &[&str] = &["identity", "chain", "repeat", "verifier"];
