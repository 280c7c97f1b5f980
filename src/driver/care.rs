//! The care of the store, as the command line asks for it: results by their names, limits by their units, keys checked.

use super::{Failure, Project, node};
use crate::lang::types::Dimension;
use crate::lang::units;
use crate::plan::key;
use crate::store::care::{Exported, Imported, Keys, Verified};
use crate::store::{Record, Store, host_name};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::time::Duration;

/// The result of the stage that `text` means in a file.
///
/// # Errors
/// [`Failure::Input`] for an unknown stage or one without a result.
pub fn of_node(project: &Project, text: &str) -> Result<Record, Failure> {
    node::record(project, text)
}

/// The result whose key begins with these digits.
///
/// # Errors
/// [`Failure::Input`] where there is none or more than one.
pub fn of_key(store: &Store, digits: &str) -> Result<Record, Failure> {
    let is_start = digits.len() >= 4 && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    if !is_start {
        let why = format!("`{digits}` is no start of a key: at least four of its digits are needed, or FILE and NODE");
        return Err(Failure::Input(why));
    }
    let mut found = store.records()?.records;
    found.retain(|record| record.key.to_string().starts_with(digits));
    match found.len() {
        0 => Err(Failure::Input(format!("the store has no result whose key begins with {digits}"))),
        1 => Ok(found.swap_remove(0)),
        _ => {
            let lines: Vec<String> = found.iter().map(|it| format!("  {} {} `{}`", it.key, it.kind, it.name)).collect();
            Err(Failure::Input(format!("several keys begin with {digits}:\n{}", lines.join("\n"))))
        }
    }
}

/// Who gives a command: `user@machine`.
pub fn who() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    format!("{}@{}", user.unwrap_or_else(|| "unknown".to_string()), host_name())
}

/// Reads the whole store; `repair` drops what is bad.
///
/// # Errors
/// [`Failure::Machine`] where it cannot be listed or repaired.
pub fn verify(store: &Store, repair: bool, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Verified, Failure> {
    Ok(store.verify(&KEYS, repair, progress)?)
}

/// How the plan makes keys.
const KEYS: Keys<'static> = Keys { deep: &key::deep_key, shallow: &key::shallow_key };

/// Writes a result with what it was made from to a file, which appears when it is whole.
///
/// # Errors
/// [`Failure::Input`] where the result is not whole, [`Failure::Machine`] where the file cannot be written.
pub fn export(store: &Store, record: &Record, with_inputs: bool, archive: &Path) -> Result<Exported, Failure> {
    let machine = |error: std::io::Error| Failure::Machine(format!("{}: {error}", archive.display()));
    let draft = crate::base::fs::aside(archive);
    let file = File::create(&draft).map_err(machine)?;
    let mut writer = BufWriter::with_capacity(1 << 20, &file);
    let written = store.export(&record.key, with_inputs, &mut writer, archive).map_err(Failure::from);
    drop(writer);
    let named = written.and_then(|exported| {
        let named = file.sync_all().and_then(|()| fs::rename(&draft, archive));
        named.map(|()| exported).map_err(machine)
    });
    if named.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&draft);
    }
    named
}

/// Takes the results of an archive into the store.
///
/// # Errors
/// [`Failure::Input`] where the archive is not as it should be, [`Failure::Machine`] where the store cannot be written.
pub fn import(store: &Store, archive: &Path) -> Result<Imported, Failure> {
    let file = File::open(archive).map_err(|error| Failure::Input(format!("{}: {error}", archive.display())))?;
    let source = archive.file_name().unwrap_or_default().to_string_lossy();
    Ok(store.import(&mut BufReader::with_capacity(1 << 20, file), &KEYS, &source)?)
}

/// Bytes, written as in the language: `20GiB`.
///
/// # Errors
/// A sentence that says what is expected.
pub fn size(text: &str) -> Result<u64, String> {
    amount(text, Dimension::Size, "20GiB").map(|bytes| bytes as u64)
}

/// A time, written as in the language: `30d`.
///
/// # Errors
/// A sentence that says what is expected.
pub fn age(text: &str) -> Result<Duration, String> {
    amount(text, Dimension::Duration, "30d").map(|milliseconds| Duration::from_secs_f64(milliseconds / 1e3))
}

/// A number with a unit of one dimension, in the dimension's base unit.
fn amount(text: &str, dimension: Dimension, example: &str) -> Result<f64, String> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '_')).unwrap_or(text.len());
    let (number, unit) = (text[..at].replace('_', ""), text[at..].trim());
    let known = units::of(dimension).join(", ");
    let number: f64 = number.parse().map_err(|_| format!("a number with a unit is expected, such as {example}"))?;
    match units::find(unit) {
        Some((found, factor)) if found == dimension && number * factor < 1e18 => Ok(number * factor),
        Some((found, _)) if found == dimension => Err(format!("that is too much; {example} is possible")),
        _ if unit.is_empty() => Err(format!("a unit is missing: {known}; such as {example}")),
        _ => Err(format!("`{unit}` is no unit here: {known} are; such as {example}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_the_units_of_the_language() {
        assert_eq!(size("20GiB"), Ok(20 << 30));
        assert_eq!(size("1.5 KB"), Ok(1500));
        assert_eq!(size("0B"), Ok(0));
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(age("90min"), Ok(Duration::from_secs(5400)));
        for (text, said) in
            [("20", "unit is missing"), ("GiB", "a number"), ("20h", "`h` is no unit"), ("-1B", "a number")]
        {
            assert!(size(text).unwrap_err().contains(said), "{text}");
        }
        assert!(age("9999999999999999d").unwrap_err().contains("too much"));
    }
}
