//! `export`: a result with what it was made from, as one file that another store takes.

use super::archive::{FORM, Manifest, Part};
use super::mark::made_from;
use crate::base::digest::Digest;
use crate::base::seal;
use crate::store::artifact::read_tree;
use crate::store::{Lookup, Record, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// What an archive got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// Results with their files.
    pub results: usize,
    /// Records of what they were made from, without files.
    pub lineage: usize,
    /// Objects: files of results, and lists of files.
    pub objects: usize,
    /// Bytes of the objects.
    pub bytes: u64,
}

/// What goes into an archive.
struct Contents {
    target: Digest,
    records: BTreeMap<Digest, Record>,
    lineage: BTreeMap<Digest, Record>,
    trees: BTreeSet<Digest>,
    /// Files of results with their sizes.
    files: BTreeMap<Digest, u64>,
}

impl Store {
    /// Writes the result under a key to `archive`, with everything that it was made from, or with the records of that
    /// alone. What went before it and was taken away goes in as a record too, where its tombstone has one.
    ///
    /// # Errors
    /// [`StoreError::Archive`] where the key has no whole result, or a file of it is damaged; [`StoreError::Io`] where
    /// something cannot be read or written. Then there is no archive.
    pub fn export(
        &self,
        key: &Digest,
        with_inputs: bool,
        archive: &mut dyn Write,
        archive_path: &Path,
    ) -> Result<Exported, StoreError> {
        // gc must not take a file away between the look at its record and the reading.
        let _guard = self.publishing().ok();
        let contents = self.contents(key, with_inputs)?;
        contents.write(self, archive).map_err(|failed| match failed {
            Failed::Store(error) => error,
            Failed::Write(error) => StoreError::io("write the archive", archive_path)(error),
        })
    }

    fn contents(&self, target: &Digest, with_inputs: bool) -> Result<Contents, StoreError> {
        let mut contents = Contents {
            target: *target,
            records: BTreeMap::new(),
            lineage: BTreeMap::new(),
            trees: BTreeSet::new(),
            files: BTreeMap::new(),
        };
        let mut open = vec![*target];
        let mut seen = BTreeSet::new();
        while let Some(key) = open.pop() {
            if !seen.insert(key) {
                continue;
            }
            let (record, is_whole) = match self.lookup(&key)? {
                Lookup::Found(record) => (*record, true),
                Lookup::Missing(why) if key == *target => {
                    return Err(StoreError::Archive { why: format!("{} has no result: {why}", key.short()) });
                }
                Lookup::Missing(_) => match self.known_record(&key) {
                    Some(record) => (record, false),
                    None => continue,
                },
            };
            open.extend(made_from(&record));
            if is_whole && (with_inputs || key == *target) {
                for tree in record.outputs.values() {
                    contents.trees.insert(*tree);
                    contents.files.extend(self.artifact(tree)?.entries().iter().map(|entry| (entry.blob, entry.size)));
                }
                contents.records.insert(key, record);
            } else {
                contents.lineage.insert(key, record);
            }
        }
        contents.files.retain(|file, _| !contents.trees.contains(file));
        Ok(contents)
    }

    /// A record whose result is not whole, or was taken away.
    fn known_record(&self, key: &Digest) -> Option<Record> {
        let text = fs::read_to_string(self.layout.record(key)).unwrap_or_default();
        Record::from_text(key, &text).ok().or_else(|| self.tombstone(key)?.record)
    }
}

/// What went wrong, and on which side.
enum Failed {
    Store(StoreError),
    Write(io::Error),
}

impl Contents {
    fn write(&self, store: &Store, archive: &mut dyn Write) -> Result<Exported, Failed> {
        let mut archive = tar::Builder::new(archive);
        let manifest = Manifest { form: FORM.to_string(), targets: vec![self.target] };
        let json = |error: serde_json::Error| Failed::Write(error.into());
        put(&mut archive, Part::Manifest, seal::sealed(&manifest).map_err(json)?.as_bytes())?;
        for (key, record) in &self.records {
            put(&mut archive, Part::Record(*key), record.to_text().map_err(json)?.as_bytes())?;
        }
        for (key, record) in &self.lineage {
            put(&mut archive, Part::Lineage(*key), record.to_text().map_err(json)?.as_bytes())?;
        }
        let mut bytes = 0;
        for tree in &self.trees {
            let text = fs::read(store.layout().blob(tree)).unwrap_or_default();
            read_tree(tree, &text).map_err(|why| damaged(tree, why))?;
            put(&mut archive, Part::Object(*tree), &text)?;
            bytes += text.len() as u64;
        }
        for (file, size) in &self.files {
            put_file(&mut archive, store, file, *size)?;
            bytes += size;
        }
        archive.into_inner().and_then(|archive| archive.flush()).map_err(Failed::Write)?;
        let objects = self.trees.len() + self.files.len();
        Ok(Exported { results: self.records.len(), lineage: self.lineage.len(), objects, bytes })
    }
}

fn put(archive: &mut tar::Builder<&mut dyn Write>, part: Part, bytes: &[u8]) -> Result<(), Failed> {
    let header = header(part, bytes.len() as u64).map_err(Failed::Write)?;
    archive.append(&header, bytes).map_err(Failed::Write)
}

fn put_file(
    archive: &mut tar::Builder<&mut dyn Write>,
    store: &Store,
    digest: &Digest,
    size: u64,
) -> Result<(), Failed> {
    let path = store.layout().blob(digest);
    let file = File::open(&path).map_err(|error| Failed::Store(StoreError::io("read a blob", &path)(error)))?;
    let mut source = Hashing { source: file.take(size), hasher: blake3::Hasher::new(), read: 0 };
    let header = header(Part::Object(*digest), size).map_err(Failed::Write)?;
    archive.append(&header, &mut source).map_err(Failed::Write)?;
    if source.read != size || Digest::from_hasher(&source.hasher) != *digest {
        return Err(damaged(digest, "its bytes are not those that were written".to_string()));
    }
    Ok(())
}

fn damaged(digest: &Digest, why: String) -> Failed {
    let advice = "`srlm store verify --repair` drops it, and the next run makes it again";
    Failed::Store(StoreError::Archive { why: format!("the object {} is damaged: {why}; {advice}", digest.short()) })
}

/// A header that says nothing but name and size.
fn header(part: Part, size: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(part.name())?;
    header.set_size(size);
    header.set_mode(0o444);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

/// Hashes what passes through.
struct Hashing<R> {
    source: R,
    hasher: blake3::Hasher,
    read: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.read += read as u64;
        Ok(read)
    }
}
