//! `import`: an archive is read as if an enemy had written it, and taken whole or not at all.
//!
//! Records come first in an archive, so that every object must be one that they name, of the size that they name. Objects
//! lie under temporary names until the last byte has been checked. Only then do they get their names, and records come
//! last, as in every publication: the first under a key stays.

use super::archive::{FORM, MOST_HELD, MOST_TEXT, MOST_TREE, Manifest, Part};
use super::verify::{Keys, key_fault};
use crate::base::digest::Digest;
use crate::base::fs::sync_parent;
use crate::base::seal;
use crate::store::artifact::read_tree;
use crate::store::{Record, Remover, Store, StoreError, Tombstone};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What was taken from an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// The results that the archive was made for.
    pub targets: Vec<Digest>,
    /// Results that are new here.
    pub added: usize,
    /// Results that were here already, and stay as they are.
    pub present: usize,
    /// Records of what they were made from, without files.
    pub lineage: usize,
    /// Bytes of the objects.
    pub bytes: u64,
}

impl Store {
    /// Takes the results of an archive; `source` is its name, for people.
    ///
    /// # Errors
    /// [`StoreError::Archive`] where anything in it is not as it should be: then nothing of it is taken;
    /// [`StoreError::Io`] where the store cannot be written.
    pub fn import(&self, archive: &mut dyn Read, keys: &Keys, source: &str) -> Result<Imported, StoreError> {
        let staging = self.staging(&Digest::of_bytes(source.as_bytes()))?;
        let mut reading = Reading::new(keys, &staging);
        let taken = reading.read(archive).and_then(|()| self.take(reading, source));
        // A leftover is removed by gc.
        let _ = fs::remove_dir_all(&staging);
        let _ = staging.parent().map(fs::remove_dir);
        taken
    }

    fn take(&self, reading: Reading, source: &str) -> Result<Imported, StoreError> {
        let Reading { targets, records, lineage, staged, bytes, .. } = reading;
        let _guard = self.publishing()?;
        for (digest, path) in &staged {
            let name = self.layout.blob(digest);
            self.layout.prepare_parent(&name)?;
            let named = fs::rename(path, &name).and_then(|()| sync_parent(&name));
            named.map_err(StoreError::io("name a blob", &name))?;
        }
        let mut imported = Imported { targets, bytes, ..Imported::default() };
        let keys: Vec<Digest> = records.keys().copied().collect();
        for (key, record) in records {
            let is_here = self.lookup(&key)?.found().is_some();
            self.commit(record)?;
            *(if is_here { &mut imported.present } else { &mut imported.added }) += 1;
        }
        for (key, record) in lineage {
            if !self.layout.record(&key).exists() && self.tombstone(&key).is_none() {
                let why = "the archive tells of it and does not hold its files";
                self.bury(&Tombstone::new(key, Remover::Import, why, Some(record)))?;
                imported.lineage += 1;
            }
        }
        // As a run does: gc keeps what was lately asked for.
        self.root_run(source, imported.targets.clone(), keys);
        Ok(imported)
    }
}

/// An archive as far as it has been read.
struct Reading<'a> {
    keys: &'a Keys<'a>,
    staging: &'a Path,
    targets: Vec<Digest>,
    records: BTreeMap<Digest, Record>,
    lineage: BTreeMap<Digest, Record>,
    /// Lists of files that records name.
    trees: BTreeSet<Digest>,
    /// Files that lists name, with their sizes.
    files: BTreeMap<Digest, u64>,
    staged: BTreeMap<Digest, PathBuf>,
    bytes: u64,
    /// Bytes that were read into memory.
    held: u64,
    last: Option<Part>,
}

impl<'a> Reading<'a> {
    fn new(keys: &'a Keys<'a>, staging: &'a Path) -> Self {
        Reading {
            keys,
            staging,
            targets: Vec::new(),
            records: BTreeMap::new(),
            lineage: BTreeMap::new(),
            trees: BTreeSet::new(),
            files: BTreeMap::new(),
            staged: BTreeMap::new(),
            bytes: 0,
            held: 0,
            last: None,
        }
    }

    fn read(&mut self, archive: &mut dyn Read) -> Result<(), StoreError> {
        let mut archive = tar::Archive::new(archive);
        // Raw: extensions of the format, such as long names, come as entries of their own, and are refused as such.
        let entries = archive.entries().map_err(broken)?.raw(true);
        for entry in entries {
            self.take(&mut entry.map_err(broken)?)?;
        }
        self.judge()
    }

    fn take(&mut self, entry: &mut tar::Entry<'_, &mut dyn Read>) -> Result<(), StoreError> {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(refused(format!("`{}` in it is no plain file", shown(&name))));
        }
        let part = Part::of(&name).ok_or_else(|| refused(format!("`{}` has no place in it", shown(&name))))?;
        match (self.last.as_ref().map(rank), rank(&part)) {
            (None, 0) | (Some(_), 1..) => {}
            (None, _) => return Err(refused("it does not begin as an archive of srlm does".to_string())),
            (Some(_), _) => return Err(refused(format!("`{name}` is in it twice"))),
        }
        if self.last.as_ref().is_some_and(|last| rank(last) > rank(&part)) {
            return Err(refused(format!("`{name}` stands in a wrong place")));
        }
        self.last = Some(part);
        match part {
            Part::Manifest => {
                let text = self.text(entry, &name)?;
                self.take_manifest(&text)
            }
            Part::Record(key) => {
                let text = self.text(entry, &name)?;
                let record = self.record(&key, &text)?;
                self.trees.extend(record.outputs.values());
                once(self.records.insert(key, record), &name)
            }
            Part::Lineage(key) => {
                let text = self.text(entry, &name)?;
                let record = self.record(&key, &text)?;
                once(self.lineage.insert(key, record), &name)
            }
            Part::Object(digest) => self.take_object(digest, entry, &name),
        }
    }

    fn take_manifest(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let manifest: Manifest =
            seal::unsealed_bytes(bytes).map_err(|why| refused(format!("its first part: {why}")))?;
        if manifest.form != FORM {
            return Err(refused(format!("it has the form `{}`, and this srlm reads `{FORM}`", shown(&manifest.form))));
        }
        self.targets = manifest.targets;
        Ok(())
    }

    /// Reads a short part into memory.
    fn text(&mut self, entry: &mut tar::Entry<'_, &mut dyn Read>, name: &str) -> Result<Vec<u8>, StoreError> {
        let size = entry.header().entry_size().map_err(broken)?;
        self.hold(size, MOST_TEXT, name)?;
        // Not as much as the header promises, but as much as there is.
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() as u64 == size { Ok(bytes) } else { Err(refused(format!("`{name}` was cut short"))) }
    }

    /// Whether so much more may be read into memory.
    fn hold(&mut self, size: u64, most: u64, name: &str) -> Result<(), StoreError> {
        if size > most {
            return Err(refused(format!("`{name}` has {size} bytes, and {most} are the most")));
        }
        self.held += size;
        if self.held > MOST_HELD {
            return Err(refused(format!("its records and lists have more than {MOST_HELD} bytes together")));
        }
        Ok(())
    }

    /// A record that has its seal, its keys, and the text that this program would write.
    fn record(&self, key: &Digest, bytes: &[u8]) -> Result<Record, StoreError> {
        let wrong = |why: String| refused(format!("its record of {}: {why}", key.short()));
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8".to_string()))?;
        let record = Record::from_text(key, text).map_err(wrong)?;
        if let Some(why) = key_fault(&record, self.keys) {
            return Err(wrong(format!("{why}: another srlm made it, or it was forged")));
        }
        match record.to_text() {
            Ok(ours) if ours == text => Ok(record),
            _ => Err(wrong("it has fields that this srlm does not know".to_string())),
        }
    }

    fn take_object(
        &mut self,
        digest: Digest,
        entry: &mut tar::Entry<'_, &mut dyn Read>,
        name: &str,
    ) -> Result<(), StoreError> {
        let size = entry.header().entry_size().map_err(broken)?;
        let is_tree = self.trees.contains(&digest);
        if is_tree {
            self.hold(size, MOST_TREE, name)?;
        }
        match self.files.get(&digest) {
            None if !is_tree => return Err(refused(format!("`{name}` belongs to no record of it"))),
            Some(wanted) if *wanted != size => {
                return Err(refused(format!("`{name}` has {size} bytes where {wanted} are named")));
            }
            _ => {}
        }
        let path = self.staging.join(digest.to_string());
        once(self.staged.insert(digest, path.clone()), name)?;
        stage(entry, &path, &digest, size, name)?;
        self.bytes += size;
        if is_tree {
            let bytes = fs::read(&path).map_err(StoreError::io("read a blob", &path))?;
            let entries = read_tree(&digest, &bytes).map_err(|why| refused(format!("`{name}`: {why}")))?;
            for entry in entries {
                let named = *self.files.entry(entry.blob).or_insert(entry.size);
                if named != entry.size {
                    return Err(refused(format!("{} is named with two sizes", entry.blob.short())));
                }
            }
        }
        Ok(())
    }

    /// Whether all is there.
    fn judge(&self) -> Result<(), StoreError> {
        if self.last.is_none() {
            return Err(refused("it is empty".to_string()));
        }
        if let Some(key) = self.targets.iter().find(|key| !self.records.contains_key(*key)) {
            return Err(refused(format!("the result {} that it was made for is not in it", key.short())));
        }
        let wanted = self.trees.iter().chain(self.files.keys());
        match wanted.clone().find(|digest| !self.staged.contains_key(*digest)) {
            Some(missing) => Err(refused(format!("the object {} is not in it: it was cut short", missing.short()))),
            None => Ok(()),
        }
    }
}

/// Where a part stands in the order of an archive.
fn rank(part: &Part) -> u8 {
    match part {
        Part::Manifest => 0,
        Part::Record(_) => 1,
        Part::Lineage(_) => 2,
        Part::Object(_) => 3,
    }
}

/// Writes an object under a temporary name and holds it against its digest.
fn stage(
    entry: &mut tar::Entry<'_, &mut dyn Read>,
    path: &Path,
    digest: &Digest,
    size: u64,
    name: &str,
) -> Result<(), StoreError> {
    let failed = || StoreError::io("write a blob", path);
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed())?;
    let mut hasher = blake3::Hasher::new();
    let (mut buffer, mut written) = (vec![0; 1 << 18], 0);
    loop {
        let read = entry.read(&mut buffer).map_err(broken)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        file.write_all(&buffer[..read]).map_err(failed())?;
        written += read as u64;
    }
    if written != size || Digest::from_hasher(&hasher) != *digest {
        return Err(refused(format!("the bytes of `{name}` are not those of its name")));
    }
    file.set_permissions(Permissions::from_mode(0o444)).and_then(|()| file.sync_all()).map_err(failed())
}

fn once<T>(before: Option<T>, name: &str) -> Result<(), StoreError> {
    if before.is_some() { Err(refused(format!("`{name}` is in it twice"))) } else { Ok(()) }
}

fn refused(why: String) -> StoreError {
    StoreError::Archive { why: format!("nothing is taken from this archive: {why}") }
}

fn broken(error: io::Error) -> StoreError {
    refused(format!("it cannot be read as a tar file: {error}"))
}

/// A name from an archive as it may stand in a message: short, and without what a terminal would obey.
fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if shown.chars().count() < name.chars().count() {
        shown.push('…');
    }
    shown
}
