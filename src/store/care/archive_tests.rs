//! Tests of archives: there and back to the same bytes, and whatever an enemy may write is refused whole.

use super::tests::{KEYS, files_below, publish, store};
use super::*;
use crate::base::digest::Digest;
use crate::store::{Record, Remover, Store, StoreError};
use std::io::{Cursor, Read};
use std::path::Path;

fn furnished() -> (tempfile::TempDir, Store, Record, Record) {
    let (folder, store) = store();
    let data = publish(&store, "data", &[], &[("a", "some rows"), ("b", "shared")]);
    let model = publish(&store, "model", &[&data], &[("a", "weights"), ("b", "shared"), ("empty", "")]);
    (folder, store, data, model)
}

fn export(store: &Store, record: &Record, with_inputs: bool) -> Vec<u8> {
    let mut archive = Vec::new();
    store.export(&record.key, with_inputs, &mut archive, Path::new("a.tar")).expect("it exports");
    archive
}

fn import(store: &Store, archive: &[u8]) -> Result<Imported, StoreError> {
    store.import(&mut Cursor::new(archive), &KEYS, "a.tar")
}

#[test]
fn a_result_travels_with_its_lineage_and_comes_out_the_same() {
    let (_there, from, data, model) = furnished();
    publish(&from, "apart", &[], &[("a", "not asked for")]);
    let archive = export(&from, &model, true);
    let (_here, to) = store();
    let imported = import(&to, &archive).expect("it imports");
    assert_eq!((imported.added, imported.present, &imported.targets), (2, 0, &vec![model.key]));
    for record in [&data, &model] {
        assert_eq!(to.lookup(&record.key).expect("readable").found().as_ref(), Some(record));
        assert_eq!(to.lookup_shallow(&record.shallow).expect("readable").found().as_ref(), Some(record));
    }
    assert_eq!(to.verify(&KEYS, false, &|_, _| {}).expect("readable").bad, []);
    assert_eq!(export(&to, &model, true), archive, "the same results give the same bytes");
    let again = import(&to, &archive).expect("it imports");
    assert_eq!((again.added, again.present), (0, 2));
    to.collect(&Collection::default(), &|| {}).expect("it collects");
    assert!(to.lookup(&model.key).expect("readable").found().is_some(), "gc keeps what was lately imported");
}

#[test]
fn without_inputs_the_records_of_the_lineage_travel_alone() {
    let (_there, from, data, model) = furnished();
    let archive = export(&from, &model, false);
    let (_here, to) = store();
    let imported = import(&to, &archive).expect("it imports");
    assert_eq!((imported.added, imported.lineage), (1, 1));
    assert!(to.lookup(&model.key).expect("readable").found().is_some());
    let stone = to.tombstone(&data.key).expect("it tells of the data");
    assert_eq!((stone.by, stone.record.as_ref()), (Remover::Import, Some(&data)));
    assert_eq!(export(&to, &model, true), archive, "what went before it is still known");
    let whole = export(&from, &model, true);
    assert_eq!(import(&to, &whole).expect("it imports").added, 1);
    assert!(to.tombstone(&data.key).is_none());
}

#[test]
fn a_damaged_or_missing_result_is_not_exported() {
    let (_there, from, _, model) = furnished();
    let blob = from.layout().blob(&Digest::of_bytes(b"weights"));
    std::fs::remove_file(&blob).and_then(|()| std::fs::write(&blob, "weighty")).expect("writable");
    let error = from.export(&model.key, true, &mut Vec::new(), Path::new("a.tar")).expect_err("a damaged file");
    assert!(error.to_string().contains("store verify --repair"), "{error}");
    std::fs::remove_file(&blob).expect("it was there");
    let error = from.export(&model.key, true, &mut Vec::new(), Path::new("a.tar")).expect_err("a missing file");
    assert!(error.to_string().contains("has no result"), "{error}");
}

/// A part of an archive as raw as a tar file allows.
#[derive(Clone)]
struct Raw {
    name: Vec<u8>,
    kind: u8,
    link: &'static str,
    /// What the header says.
    size: u64,
    bytes: Vec<u8>,
}

fn parts(archive: &[u8]) -> Vec<Raw> {
    let mut archive = tar::Archive::new(archive);
    let parts = archive.entries().expect("a tar file").map(|entry| {
        let mut entry = entry.expect("an entry");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("readable");
        Raw { name: entry.path_bytes().into_owned(), kind: b'0', link: "", size: bytes.len() as u64, bytes }
    });
    parts.collect()
}

fn tar_of(parts: &[Raw]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        let mut header = tar::Header::new_ustar();
        let raw = header.as_mut_bytes();
        raw[..part.name.len()].copy_from_slice(&part.name);
        raw[156] = part.kind;
        raw[157..157 + part.link.len()].copy_from_slice(part.link.as_bytes());
        header.set_size(part.size);
        header.set_mode(0o777);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(&part.bytes);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Asserts that nothing of an archive is taken, and that nothing is written outside the store.
fn refused(case: &str, archive: &[u8], said: &str) {
    let (folder, to) = store();
    let error = import(&to, archive).expect_err(case).to_string();
    assert!(error.contains(said), "{case}: {error}");
    assert!(to.records().expect("readable").records.is_empty(), "{case}");
    let left = files_below(folder.path());
    let left: Vec<_> =
        left.iter().filter(|path| !["format", ".gitignore"].iter().any(|name| path.ends_with(name))).collect();
    assert!(left.is_empty(), "{case}: {left:?}");
}

#[test]
fn a_hostile_archive_is_refused_whole() {
    let (_there, from, data, model) = furnished();
    let good = parts(&export(&from, &model, true));
    assert!(import(&store().1, &tar_of(&good)).is_ok(), "the parts themselves are good");
    let last = good.iter().rposition(|part| !part.bytes.is_empty()).expect("files with something in them");
    let with = |change: &dyn Fn(&mut Vec<Raw>)| {
        let mut parts = good.clone();
        change(&mut parts);
        tar_of(&parts)
    };
    let extra = |name: &str, kind: u8, link: &'static str| {
        with(&|parts| parts.push(Raw { name: name.into(), kind, link, size: 1, bytes: b"x".to_vec() }))
    };
    for name in ["../evil", "/etc/evil", "objects/../../evil", "objects/ab/../../../evil", "records", "format", ""] {
        refused(name, &extra(name, b'0', ""), "has no place in it");
    }
    let object = String::from_utf8(good[last].name.clone()).expect("UTF-8");
    for (case, kind) in [("link", b'1'), ("symlink", b'2'), ("device", b'3'), ("fifo", b'6'), ("folder", b'5')] {
        refused(case, &extra(&object, kind, "/etc/passwd"), "is no plain file");
    }
    for (case, kind) in [("long name", b'L'), ("pax", b'x'), ("global pax", b'g'), ("sparse", b'S')] {
        refused(case, &extra("x", kind, ""), "is no plain file");
    }
    refused("twice", &with(&|parts| parts.push(parts[last].clone())), "is in it twice");
    refused("a record twice", &with(&|parts| parts.insert(1, parts[1].clone())), "is in it twice");
    refused("order", &with(&|parts| parts.swap(1, last)), "belongs to no record");
    refused("no manifest", &with(&|parts| drop(parts.remove(0))), "does not begin");
    refused("wrong digest", &with(&|parts| parts[last].bytes[0] ^= 1), "are not those of its name");
    refused("an object too few", &with(&|parts| drop(parts.remove(last))), "is not in it");
    refused("a record too few", &with(&|parts| drop(parts.remove(1))), "");
    refused("empty", &[], "it is empty");
    refused("no tar", &[7; 2048], "cannot be read as a tar file");
    refused("a broken seal", &with(&|parts| parts[1].bytes[20] ^= 1), "changed after it was written");
    refused(
        "a record of another key",
        &with(&|parts| {
            let other = good[2].bytes.clone();
            parts[1].size = other.len() as u64;
            parts[1].bytes = other;
        }),
        "it is the record of",
    );
    refused("a huge record", &with(&|parts| parts[1].size = 1 << 40), "are the most");
    refused("a huge object", &with(&|parts| parts[last].size = 1 << 60), "bytes where");
    let stranger = Raw {
        name: format!("objects/{}/{}", "ab", "c".repeat(62)).into(),
        kind: b'0',
        link: "",
        size: 1,
        bytes: b"x".to_vec(),
    };
    refused("an object of nobody", &with(&|parts| parts.push(stranger.clone())), "belongs to no record");
    let whole = tar_of(&good);
    for cut in (0..whole.len() - 1536).step_by(511) {
        refused("cut short", &whole[..cut], "nothing is taken from this archive");
    }
    let forged = Record { document: data.document.clone(), ..model.clone() };
    let forged = forged.to_text().expect("text").into_bytes();
    let name = format!("records/{}.json", model.key).into_bytes();
    let at = good.iter().position(|part| part.name == name).expect("it is there");
    refused(
        "a record whose key its document does not have",
        &with(&|parts| {
            parts[at].size = forged.len() as u64;
            parts[at].bytes = forged.clone();
        }),
        "forged",
    );
}

#[test]
fn random_damage_to_an_archive_is_refused_or_harmless() {
    let (_there, from, _, model) = furnished();
    let good = export(&from, &model, true);
    for at in (0..good.len()).step_by(509) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let (_folder, to) = store();
        if import(&to, &bad).is_ok() {
            // Padding, or a field of the header that says nothing.
            assert_eq!(export(&to, &model, true), good, "byte {at}");
        } else {
            assert!(to.records().expect("readable").records.is_empty(), "byte {at}");
        }
    }
}
