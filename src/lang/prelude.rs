//! The standard library: text in the language itself, embedded.

/// Name and text of every module of `std`; each stands behind those it imports.
pub const MODULES: &[(&str, &str)] = &[
    ("arith", include_str!("../../stdlib/arith.srlm")),
    ("models", include_str!("../../stdlib/models.srlm")),
    ("reward", include_str!("../../stdlib/reward.srlm")),
    ("math", include_str!("../../stdlib/math.srlm")),
    ("recipes", include_str!("../../stdlib/recipes.srlm")),
    ("suites", include_str!("../../stdlib/suites.srlm")),
];

/// A program that imports every module.
pub fn uses() -> String {
    MODULES.iter().map(|(name, _)| format!("use std.{name}\n")).collect()
}

/// What to write instead of a name that other languages and tools have.
pub(super) fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name {
        "True" => "write `true`",
        "False" => "write `false`",
        "None" | "null" | "nil" | "undefined" => "write `none`",
        "dpo" | "ppo" | "orpo" | "kto" | "rloo" | "reinforce" => "stages that train are `sft`, `distill` and `grpo`",
        _ => return None,
    })
}
