//! `srlm check --fix`: the fixes of all findings, applied to the project's own files until nothing is left to apply.

use super::{Checked, DiskLoader, Failure, Settings, home, judged, read};
use crate::base::fs::{at, write_atomic};
use crate::base::source::{Loader, SourceFile, SourceId};
use crate::diag::{Diagnostic, Fix};
use crate::lang::item_count;
use std::collections::BTreeMap;
use std::path::Path;

/// A fix may uncover what the next round mends; this many rounds are enough for any honest file.
const MAX_ROUNDS: usize = 20;

/// What fixing came to.
#[derive(Debug)]
pub struct Fixed {
    /// The files that change: name, text before, text after.
    pub files: Vec<(String, String, String)>,
    /// How many fixes were applied, and what each of them mended.
    pub applied: Vec<String>,
    /// What is left.
    pub left: Checked,
}

/// Finds what fixes can mend. Only `write` changes a file.
///
/// # Errors
/// [`Failure::Input`] where a file cannot be read.
pub fn fix(file: &Path, settings: Settings) -> Result<Fixed, Failure> {
    let disk = DiskLoader::new(&home(file));
    let mut texts = Edited { disk: &disk, changed: BTreeMap::new() };
    let mut applied = Vec::new();
    let mut found = checked(file, settings, &texts)?;
    for _ in 0..MAX_ROUNDS {
        match round(file, settings, &mut texts, &found)? {
            (_, mended) if mended.is_empty() => break,
            (next, mended) => {
                found = next;
                applied.extend(mended);
            }
        }
    }
    let files = texts.changed.into_iter().map(|(name, text)| {
        let before = disk.load(&name).map_err(Failure::Input)?;
        Ok((name, before, text))
    });
    let files: Vec<_> = files.collect::<Result<_, Failure>>()?;
    let files = files.into_iter().filter(|(_, before, after)| before != after).collect();
    Ok(Fixed { files, applied, left: found })
}

impl Fixed {
    /// Writes the changed files, each whole or not at all.
    ///
    /// # Errors
    /// [`Failure::Machine`] where one cannot be written.
    pub fn write(&self) -> Result<(), Failure> {
        for (name, _, after) in &self.files {
            let path = Path::new(name);
            // A rename would put a file where a link was.
            let path = path.canonicalize().map_err(|error| Failure::Machine(at(path, error).to_string()))?;
            write_atomic(&path, after.as_bytes()).map_err(|error| Failure::Machine(error.to_string()))?;
        }
        Ok(())
    }
}

/// Texts of the disk, some of them changed.
struct Edited<'a> {
    disk: &'a DiskLoader,
    changed: BTreeMap<String, String>,
}

impl Loader for Edited<'_> {
    fn load(&self, path: &str) -> Result<String, String> {
        self.changed.get(path).map_or_else(|| self.disk.load(path), |text| Ok(text.clone()))
    }
}

/// All that is found in a file and the files it declares, whether that is an error or not.
fn checked(file: &Path, settings: Settings, texts: &Edited) -> Result<Checked, Failure> {
    let checked = read(file, settings, texts)?;
    if checked.has_errors() {
        return Ok(checked);
    }
    match judged(checked, file) {
        Err(Failure::File(checked)) => Ok(*checked),
        other => other,
    }
}

/// Applies what does not overlap, first all at once, then, where that did harm, one by one.
fn round(
    file: &Path,
    settings: Settings,
    texts: &mut Edited,
    found: &Checked,
) -> Result<(Checked, Vec<String>), Failure> {
    let fixes: Vec<(&Diagnostic, &Fix)> = found
        .diagnostics
        .iter()
        .filter_map(|diagnostic| Some((diagnostic, diagnostic.fix.as_ref()?)))
        .filter(|(_, fix)| found.sources.file(fix.span.source).is_file)
        .collect();
    if let Some(done) = attempt(file, settings, texts, found, &fixes)? {
        return Ok(done);
    }
    for fix in &fixes {
        if let Some(done) = attempt(file, settings, texts, found, std::slice::from_ref(fix))? {
            return Ok(done);
        }
    }
    Ok((checked(file, settings, texts)?, Vec::new()))
}

/// Applies fixes and checks again; takes them back where the file got worse.
fn attempt(
    file: &Path,
    settings: Settings,
    texts: &mut Edited,
    found: &Checked,
    fixes: &[(&Diagnostic, &Fix)],
) -> Result<Option<(Checked, Vec<String>)>, Failure> {
    let before = texts.changed.clone();
    let mended = edit(texts, found, fixes)?;
    if mended.is_empty() {
        return Ok(None);
    }
    let after = checked(file, settings, texts)?;
    if is_worse(found, &after) {
        texts.changed = before;
        return Ok(None);
    }
    Ok(Some((after, mended)))
}

/// Changes the texts that fixes are about; returns what each applied one mends.
fn edit(texts: &mut Edited, found: &Checked, fixes: &[(&Diagnostic, &Fix)]) -> Result<Vec<String>, Failure> {
    let mut files: BTreeMap<SourceId, Vec<(&Diagnostic, &Fix)>> = BTreeMap::new();
    fixes.iter().for_each(|fix| files.entry(fix.1.span.source).or_default().push(*fix));
    let mut mended = Vec::new();
    for (source, fixes) in files {
        let SourceFile { name, text, .. } = found.sources.file(source);
        let written = texts.load(name).map_err(Failure::Input)?;
        // A file may have changed since it was read.
        if written != **text {
            continue;
        }
        let (after, applied) = crate::diag::fix::apply(text, &fixes.iter().map(|(_, fix)| *fix).collect::<Vec<_>>());
        if after == **text {
            continue;
        }
        mended.extend(applied.iter().map(|&index| said(fixes[index].0, found)));
        texts.changed.insert(name.clone(), after);
    }
    Ok(mended)
}

/// `a.srlm:3:7: E021 here it is called `learning_rate``
fn said(found: &Diagnostic, checked: &Checked) -> String {
    let place = found.fix.as_ref().map(|fix| checked.sources.locate(fix.span));
    let place = place.map(|(file, at)| format!("{file}:{}:{}: ", at.line, at.column)).unwrap_or_default();
    format!("{place}{} {}", found.code, found.help.as_ref().unwrap_or(&found.message))
}

/// Whether an edit did harm: a file with fewer items than before, or more that does not parse.
fn is_worse(before: &Checked, after: &Checked) -> bool {
    let unparsed = |checked: &Checked| {
        let is_syntax = |found: &&Diagnostic| found.is_error() && found.code < "E020";
        checked.diagnostics.iter().filter(is_syntax).count()
    };
    let items = |checked: &Checked| -> BTreeMap<String, usize> {
        let files = checked.sources.iter().filter(|(_, file)| file.is_file);
        files.map(|(_, file)| (file.name.clone(), item_count(&file.text))).collect()
    };
    let now = items(after);
    let lost = items(before).iter().any(|(name, count)| now.get(name).is_some_and(|now| now < count));
    lost || unparsed(after) > unparsed(before)
}
