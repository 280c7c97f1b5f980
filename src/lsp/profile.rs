//! What a profile can set, at the cursor.

use super::cursor::Bracket;
use crate::lang::signature::{Catalogue, Field};
use crate::lang::types::Type;

/// What a bracket of a profile holds.
pub enum Holds<'a> {
    /// These settings.
    Settings(&'a [Field]),
    /// Settings by the name of a stage or of a kind.
    Stages,
    /// Items of a list, or nothing that is known.
    Else,
}

/// What the bracket around the cursor holds; the outermost is the profile's own.
pub fn holds<'a>(catalogue: &'a Catalogue, brackets: &[Bracket]) -> Holds<'a> {
    let profile = &catalogue.profile;
    if brackets.last().is_some_and(|bracket| bracket.sign != "{") {
        return Holds::Else;
    }
    match brackets {
        [_] => Holds::Settings(&profile.fields),
        [outer, _] => match outer.field.and_then(|name| field(&profile.fields, name)) {
            Some(setting) if is_map(&setting.ty) => Holds::Stages,
            Some(setting) if is_record(&setting.ty) => Holds::Settings(&profile.stage),
            Some(_) => profile.executors.first().map_or(Holds::Else, |executor| Holds::Settings(&executor.fields)),
            None => Holds::Else,
        },
        [outer, _, _] if outer.field.and_then(|name| field(&profile.fields, name)).is_some_and(|it| is_map(&it.ty)) => {
            Holds::Settings(&profile.stage)
        }
        _ => Holds::Else,
    }
}

/// The type of the setting whose value is written at the cursor.
pub fn wanted(catalogue: &Catalogue, brackets: &[Bracket]) -> Option<Type> {
    let at = brackets.iter().rposition(|bracket| bracket.field.is_some())?;
    match holds(catalogue, &brackets[..=at]) {
        Holds::Settings(settings) => field(settings, brackets[at].field?).map(|setting| setting.ty.clone()),
        Holds::Stages | Holds::Else => None,
    }
}

fn field<'a>(settings: &'a [Field], name: &str) -> Option<&'a Field> {
    settings.iter().find(|setting| setting.name == name)
}

fn is_map(ty: &Type) -> bool {
    match ty {
        Type::Optional(inner) => is_map(inner),
        ty => matches!(ty, Type::Map(_)),
    }
}

fn is_record(ty: &Type) -> bool {
    match ty {
        Type::Optional(inner) => is_record(inner),
        ty => matches!(ty, Type::Record(_)),
    }
}
