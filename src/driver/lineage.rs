//! Where a stage of a file, or a result of the store, comes from and leads to.

use super::node::find;
use super::{Failure, Project};
use crate::base::digest::Digest;
use crate::plan::Lineage;
use crate::plan::lineage::{dependents, lineage};
use crate::store::Store;

/// Which way to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To everything it was made from.
    Ancestors,
    /// To everything in the store that was made of it.
    Dependents,
}

/// The lineage of a stage of a file.
///
/// # Errors
/// [`Failure::Input`] for a name that means none or several, [`Failure::Machine`] where the store cannot be read.
pub fn lineage_of_stage(project: &Project, text: &str, direction: Direction) -> Result<Lineage, Failure> {
    let key = project.graph.node(find(project, text)?).key;
    match direction {
        Direction::Ancestors => Ok(lineage(&project.store, Some(&project.graph), key)),
        Direction::Dependents => Ok(dependents(&project.store, key)?),
    }
}

/// The lineage of a result of the store, by the first digits of its key.
///
/// # Errors
/// [`Failure::Input`] where no record, or more than one, begins so, [`Failure::Machine`] where the store cannot be read.
pub fn lineage_of_key(store: &Store, digits: &str, direction: Direction) -> Result<Lineage, Failure> {
    let key = record_key(store, digits)?;
    match direction {
        Direction::Ancestors => Ok(lineage(store, None, key)),
        Direction::Dependents => Ok(dependents(store, key)?),
    }
}

/// The one key that begins with these digits, among all records.
///
/// # Errors
/// [`Failure::Input`] where there is none, or several.
fn record_key(store: &Store, digits: &str) -> Result<Digest, Failure> {
    if digits.len() < 4 || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
        let why = format!("`{digits}` is no file, and no key: a key has at least four hexadecimal digits");
        return Err(Failure::Input(why));
    }
    let digits = digits.to_ascii_lowercase();
    let found: Vec<Digest> =
        store.record_keys()?.into_iter().filter(|key| key.to_string().starts_with(&digits)).collect();
    match found[..] {
        [key] => Ok(key),
        [] => Err(Failure::Input(format!("no record of {} begins with {digits}", store.root().display()))),
        _ => {
            let keys: Vec<String> = found.iter().take(5).map(Digest::to_string).collect();
            Err(Failure::Input(format!("{} records begin with {digits}:\n  {}", found.len(), keys.join("\n  "))))
        }
    }
}
