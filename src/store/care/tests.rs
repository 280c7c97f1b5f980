//! Tests of the store's care: gc against a model, verify against flipped bits, gc beside publishers.

use super::verify::Keys;
use super::*;
use crate::base::digest::Digest;
use crate::base::state::Manifest;
use crate::store::artifact::{Entry, tree_bytes};
use crate::store::lookup::lead;
use crate::store::record::RecordDraft;
use crate::store::{MissReason, Record, Remover, Store};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

const DAY: u64 = 86_400;

fn deep(document: &Json) -> Digest {
    Digest::of("test deep", document)
}

fn shallow(document: &Json, inputs: &BTreeMap<String, Digest>) -> Digest {
    Digest::of("test shallow", &json!([document["science"], inputs]))
}

pub(super) const KEYS: Keys<'static> = Keys { deep: &deep, shallow: &shallow };

pub(super) fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path().join("store")).expect("a new store opens");
    (folder, store)
}

/// What a stage would publish.
pub(super) fn draft(name: &str, inputs: &[&Record], seconds: f64) -> RecordDraft {
    let role = |at: usize| format!("input{at}");
    let keys: BTreeMap<String, Digest> = inputs.iter().enumerate().map(|(at, it)| (role(at), it.key)).collect();
    let artifacts: BTreeMap<String, Digest> =
        inputs.iter().enumerate().map(|(at, it)| (role(at), it.outputs["data"])).collect();
    let document = json!({ "kind": "sft", "inputs": keys, "science": { "name": name } });
    RecordDraft {
        key: deep(&document),
        shallow: shallow(&document, &artifacts),
        kind: "sft".into(),
        name: name.into(),
        document,
        inputs: artifacts,
        metrics: BTreeMap::new(),
        seconds,
        threads: 1,
        peak_memory: None,
        device: "cpu".into(),
        resumed: None,
        declared_at: None,
        run: "run".into(),
    }
}

/// Publishes as a run does.
pub(super) fn publish(store: &Store, name: &str, inputs: &[&Record], files: &[(&str, &str)]) -> Record {
    let draft = draft(name, inputs, 1.0);
    let attempt = store.attempt(&draft.key).expect("an attempt starts");
    files.iter().for_each(|(name, text)| fs::write(attempt.out.join(name), text).expect("writable"));
    store.publish(draft, &BTreeMap::from([("data".to_string(), attempt.out)])).expect("it publishes").record
}

fn write(path: &Path, bytes: &[u8], age: Duration) {
    fs::create_dir_all(path.parent().expect("it has a parent")).expect("folders are made");
    fs::write(path, bytes).expect("writable");
    set_age(path, age);
}

fn set_age(path: &Path, age: Duration) {
    let file = File::options().read(true).open(path).expect("it is there");
    file.set_modified(SystemTime::now() - age).expect("its time can be set");
}

/// Every file below a folder.
pub(super) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Makes everything old, folders among it.
fn age_all(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        age_all(&entry.path());
        set_age(&entry.path(), Duration::from_secs(40 * DAY));
    }
}

fn everything() -> Collection {
    Collection { keep_runs: 0, ..Collection::default() }
}

fn collect(store: &Store, collection: Collection) -> Collected {
    store.collect(&collection, &|| {}).expect("it collects")
}

fn verify(store: &Store, repair: bool) -> Verified {
    store.verify(&KEYS, repair, &|_, _| {}).expect("it verifies")
}

#[test]
fn gc_takes_what_nothing_needs_and_says_so() {
    let (_folder, store) = store();
    let data = publish(&store, "data", &[], &[("a", "shared"), ("b", "only data")]);
    let model = publish(&store, "model", &[&data], &[("a", "shared"), ("c", "only model")]);
    let other = publish(&store, "other", &[], &[("a", "shared"), ("d", "only other")]);
    store.pin(&model.key, "ann@box".into(), None).expect("writable");
    let dry = collect(&store, Collection { dry_run: true, ..everything() });
    assert!(store.lookup(&other.key).expect("readable").found().is_some(), "a dry run takes nothing");
    let collected = collect(&store, everything());
    assert_eq!(dry.removed, collected.removed);
    let gone: Vec<_> = collected.removed.iter().map(|it| (it.what, it.name.as_deref())).collect();
    assert_eq!(gone, [(Thing::Result, Some("other"))]);
    assert_eq!(collected.kept, Kept { results: 2, pinned: 2, rooted: 2 });
    let tree = store.layout().blob(&other.outputs["data"]);
    assert!(!tree.exists() && !store.layout().blob(&Digest::of_bytes(b"only other")).exists());
    assert!(
        store.lookup(&data.key).expect("readable").found().is_some(),
        "a shared file stays with the last that needs it"
    );
    match store.lookup(&other.key).expect("readable") {
        crate::store::Lookup::Missing(MissReason::Evicted { by: Remover::Gc, why, .. }) => {
            assert!(why.contains("neither a pin nor"), "{why}");
        }
        found => panic!("{found:?}"),
    }
    assert_eq!(store.lookup_shallow(&other.shallow).expect("readable").found(), None);
    assert_eq!(verify(&store, false).bad, []);
    publish(&store, "other", &[], &[("a", "shared")]);
    assert!(store.tombstone(&other.key).is_none());
}

#[test]
fn gc_keeps_what_the_newest_runs_want_and_a_run_at_work_holds() {
    let (_folder, store) = store();
    let [first, second, third] = ["first", "second", "third"].map(|name| publish(&store, name, &[], &[("a", name)]));
    let root = |record: &Record, age| {
        let guard = store.root_run("a.srlm", vec![record.key], vec![record.key]).expect("writable");
        let (_, path) = store.run_root_files().expect("readable").pop().expect("one");
        set_age(&path, Duration::from_secs(age));
        guard
    };
    let guards = [root(&first, 300), root(&second, 200), root(&third, 100)];
    let is_there = |record: &Record| store.lookup(&record.key).expect("readable").found().is_some();
    collect(&store, everything());
    assert!([&first, &second, &third].into_iter().all(is_there), "their runs are at work");
    drop(guards);
    collect(&store, Collection { keep_runs: 2, ..Collection::default() });
    assert_eq!([&first, &second, &third].map(is_there), [false, true, true]);
    let _lease = store.lease(&second.key, &crate::store::Owner::current("run")).expect("writable");
    collect(&store, everything());
    assert_eq!([&second, &third].map(is_there), [true, false], "somebody works on the second");
}

#[test]
fn gc_follows_what_was_evicted_to_what_it_was_made_from() {
    let (_folder, store) = store();
    let data = publish(&store, "data", &[], &[("a", "data")]);
    let model = publish(&store, "model", &[&data], &[("a", "model")]);
    let tuned = publish(&store, "tuned", &[&model], &[("a", "tuned")]);
    store.pin(&data.key, "ann@box".into(), None).expect("writable");
    let keep = store.root_run("a.srlm", vec![tuned.key], vec![tuned.key, data.key]);
    fs::remove_file(store.layout().record(&model.key)).expect("it was there");
    store.bury(&crate::store::Tombstone::new(model.key, Remover::Gc, "test", Some(model.clone()))).expect("writable");
    store.unpin(&data.key).expect("writable");
    drop(keep);
    store.pin(&tuned.key, "ann@box".into(), None).expect("writable");
    collect(&store, everything());
    assert!(store.lookup(&data.key).expect("readable").found().is_some());
}

#[test]
fn gc_takes_garbage_of_every_sort_when_it_is_old_enough() {
    let (_folder, store) = store();
    let record = publish(&store, "kept", &[], &[("a", "kept")]);
    store.pin(&record.key, "ann@box".into(), None).expect("writable");
    let layout = store.layout();
    let other = Digest::of_bytes(b"other");
    let garbage = [
        layout.blob(&other),
        layout.blob(&other).with_file_name(".x.tmp"),
        layout.records().join(".y.tmp"),
        layout.attempts(&other).join("0000000000.1.1.0").join("out/part"),
        layout.all_alternates().join(other.to_string()).join("1.json"),
        layout.shallow(&other),
        layout.lease(&other),
    ];
    garbage.iter().for_each(|path| write(path, lead(&other, &other).as_bytes(), Duration::ZERO));
    set_age(&layout.lease(&other), Duration::from_secs(10));
    collect(&store, everything());
    let young = [&garbage[0], &garbage[1], &garbage[2], &garbage[3], &garbage[6]];
    assert!(young.iter().all(|path| path.exists()), "it may belong to somebody");
    age_all(store.root());
    let stranger = layout.root().join("notes.txt");
    write(&stranger, b"mine", Duration::from_secs(400 * DAY));
    collect(&store, everything());
    assert!(!garbage.iter().any(|path| path.exists()));
    assert!(stranger.exists(), "what is not srlm's stays");
    assert_eq!(verify(&store, false).bad, []);
    assert!(store.lookup(&record.key).expect("readable").found().is_some());
}

#[test]
fn a_way_from_a_shallow_key_leads_to_what_is_left() {
    let (_folder, store) = store();
    let first = publish(&store, "first", &[], &[("a", "a")]);
    let again = RecordDraft { shallow: first.shallow, ..draft("again", &[&first], 1.0) };
    let alias = store.alias(&first, again).expect("an alias is written");
    fs::remove_file(store.layout().record(&alias.key)).expect("it was there");
    let mut apart = alias.clone();
    apart.alias_of = None;
    apart.document = json!({ "inputs": {}, "science": "again" });
    apart.key = deep(&apart.document);
    let text = apart.to_text().expect("it is written");
    fs::write(store.layout().record(&apart.key), text).expect("writable");
    store.pin(&apart.key, "ann@box".into(), None).expect("writable");
    collect(&store, everything());
    assert_eq!(store.lookup_shallow(&first.shallow).expect("readable").found(), Some(apart));
}

/// Inputs (as bits), contents of its two files, seconds, age in days, alias of an earlier one.
type SketchedRecord = (u16, [u8; 2], u8, u64, Option<prop::sample::Index>);

/// A store in a few numbers.
#[derive(Clone, Debug)]
struct Sketch {
    records: Vec<SketchedRecord>,
    states: Vec<(u8, u16, u64)>,
    orphans: Vec<(u8, bool)>,
    pins: u16,
    /// Targets (as bits) and age in hours.
    roots: Vec<(u16, u64)>,
    keep_runs: usize,
    older_than: Option<u64>,
    /// In hundredths of the size before.
    max_size: Option<u64>,
}

fn sketches() -> impl Strategy<Value = Sketch> {
    let record =
        (any::<u16>(), [0..6u8, 0..6u8], 0..20u8, 0..60u64, prop::option::weighted(0.2, any::<prop::sample::Index>()));
    let states = prop::collection::vec((0..14u8, 1..4000u16, 0..60u64), 0..4);
    (
        prop::collection::vec(record, 1..12),
        states,
        prop::collection::vec((10..16u8, any::<bool>()), 0..3),
        prop::bits::u16::sampled(0..3, 0..12),
        prop::collection::vec((prop::bits::u16::sampled(0..4, 0..12), 0..900u64), 0..4),
        0..4usize,
        prop::option::of(0..60u64),
        prop::option::of(0..110u64),
    )
        .prop_map(|(records, states, orphans, pins, roots, keep_runs, older_than, max_size)| Sketch {
            records,
            states,
            orphans,
            pins,
            roots,
            keep_runs,
            older_than,
            max_size,
        })
}

/// Text of very different lengths, by its number.
fn content(number: u8) -> Vec<u8> {
    vec![number; usize::from(number) * usize::from(number) * 40 + 1]
}

fn days(days: u64) -> Duration {
    // In the middle of a day of the clock, so that a test that runs at midnight sees the same days.
    Duration::from_secs(days * DAY)
}

/// What the model knows of a thing that may go.
#[derive(Clone, Debug)]
struct Item {
    key: Digest,
    /// Whose result or state it is.
    stage: Digest,
    is_state: bool,
    used: SystemTime,
    seconds: f64,
    own: u64,
    blobs: BTreeSet<Digest>,
    needs: Vec<Digest>,
}

/// A store on the disk, written without the store's own hand, and the model's view of it.
struct Drawn {
    items: Vec<Item>,
    sizes: BTreeMap<Digest, u64>,
    young_orphans: BTreeSet<Digest>,
    pins: BTreeSet<Digest>,
    /// Newest first.
    roots: Vec<(SystemTime, BTreeSet<Digest>)>,
}

fn draw(store: &Store, sketch: &Sketch) -> Drawn {
    let layout = store.layout();
    let mut drawn = Drawn {
        items: Vec::new(),
        sizes: BTreeMap::new(),
        young_orphans: BTreeSet::new(),
        pins: BTreeSet::new(),
        roots: Vec::new(),
    };
    layout.prepare().expect("writable");
    let mut records: Vec<Record> = Vec::new();
    let blob = |bytes: &[u8], age: Duration, sizes: &mut BTreeMap<Digest, u64>| {
        let digest = Digest::of_bytes(bytes);
        write(&layout.blob(&digest), bytes, age);
        sizes.insert(digest, bytes.len() as u64);
        digest
    };
    for (index, (inputs, contents, seconds, age, alias)) in sketch.records.iter().enumerate() {
        let chosen: Vec<&Record> =
            records.iter().enumerate().filter(|(at, _)| inputs >> at & 1 == 1).map(|(_, it)| it).take(3).collect();
        let draft = draft(&format!("stage {index}"), &chosen, f64::from(*seconds));
        let age = days(*age);
        let entries: Vec<Entry> = contents
            .iter()
            .enumerate()
            .map(|(at, number)| {
                let bytes = content(*number);
                let blob = blob(&bytes, days(70), &mut drawn.sizes);
                Entry { path: format!("file{at}"), size: bytes.len() as u64, blob }
            })
            .collect();
        let mut blobs: BTreeSet<Digest> = entries.iter().map(|entry| entry.blob).collect();
        let tree = blob(&tree_bytes(entries).expect("a tree"), days(70), &mut drawn.sizes);
        blobs.insert(tree);
        let mut record = draft.into_record(BTreeMap::from([("data".to_string(), tree)]));
        if let Some(of) = alias.filter(|_| index > 0).map(|at| at.index(index)) {
            let of = records[of].clone();
            blobs = drawn.items.iter().find(|it| it.key == of.key).expect("drawn before").blobs.clone();
            record = Record { alias_of: Some(of.alias_of.unwrap_or(of.key)), outputs: of.outputs, ..record };
        }
        let text = record.to_text().expect("a record");
        write(&layout.record(&record.key), text.as_bytes(), age);
        write(&layout.shallow(&record.shallow), lead(&record.shallow, &record.key).as_bytes(), age);
        let needs = chosen.iter().map(|it| it.key).chain(record.alias_of).collect();
        let (used, own) = (modified(&layout.record(&record.key)), 0);
        let seconds = f64::from(*seconds);
        let (key, stage) = (record.key, record.key);
        drawn.items.push(Item { key, stage, is_state: false, used, seconds, own, blobs, needs });
        records.push(record);
    }
    let mut seen = BTreeSet::new();
    for (at, size, age) in sketch.states.iter().filter(|(at, ..)| seen.insert(*at)) {
        // Some of a stage that has a result, some of none.
        let stage = records.get(usize::from(*at)).map_or_else(|| Digest::of_bytes(&[*at]), |it| it.key);
        let place = store.place(&Digest::of_bytes(&[b't', *at]));
        write(&place.state(1).join("tensors"), &vec![0; usize::from(*size)], Duration::ZERO);
        let manifest = Manifest {
            trajectory: place.trajectory,
            step: 1,
            key: stage,
            budget: json!(1),
            total: 1,
            end: true,
            seconds: 1.0,
            metrics: BTreeMap::new(),
            files: BTreeMap::from([("tensors".to_string(), Digest::of_bytes(&vec![0; usize::from(*size)]))]),
        };
        manifest.write(&place.state(1)).expect("writable");
        let saved = days(*age);
        let own = files_below(&place.folder).iter().map(|path| fs::metadata(path).expect("it is there").len()).sum();
        files_below(&place.folder).iter().for_each(|path| set_age(path, saved));
        [place.state(1), place.folder.clone()].iter().for_each(|path| set_age(path, saved));
        let used = modified(&place.state(1)).max(modified(&place.folder));
        let used = files_below(&place.folder).iter().map(|path| modified(path)).fold(used, SystemTime::max);
        let (key, blobs, needs) = (place.trajectory, BTreeSet::new(), vec![]);
        drawn.items.push(Item { key, stage, is_state: true, used, seconds: 0.0, own, blobs, needs });
    }
    for (number, is_young) in &sketch.orphans {
        let digest = blob(&content(*number), if *is_young { Duration::ZERO } else { days(3) }, &mut drawn.sizes);
        if *is_young {
            drawn.young_orphans.insert(digest);
        } else {
            drawn.young_orphans.remove(&digest);
        }
    }
    let chosen = |bits: u16| -> Vec<Digest> {
        records.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, it)| it.key).collect()
    };
    for key in chosen(sketch.pins) {
        store.pin(&key, "ann@box".into(), None).expect("writable");
        drawn.pins.insert(key);
    }
    let mut wanted: BTreeMap<Vec<Digest>, u64> = BTreeMap::new();
    for (targets, hours) in &sketch.roots {
        wanted.insert(chosen(*targets), *hours);
    }
    for (keys, hours) in wanted {
        drop(store.root_run("a.srlm", keys.clone(), keys.clone()));
        let (_, path) = store.run_root_files().expect("readable").pop().expect("the newest is the last");
        set_age(&path, Duration::from_secs(hours * 3600 + keys.len() as u64));
        drawn.roots.push((modified(&path), keys.into_iter().collect()));
    }
    drawn.roots.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
    drawn
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|found| found.modified()).expect("it is there")
}

/// How many random stores a test looks at: `SRLM_TEST_CASES` asks for more than a quick run does.
fn cases(quick: u32) -> u32 {
    std::env::var("SRLM_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(quick)
}

/// What must be left, found out slowly: sets are built anew for every question.
fn model(
    drawn: &Drawn,
    sketch: &Sketch,
    overhead: u64,
    max_size: Option<u64>,
) -> (BTreeSet<(bool, Digest)>, BTreeSet<Digest>) {
    let mut marked: BTreeSet<Digest> = drawn.pins.clone();
    drawn.roots.iter().take(sketch.keep_runs).for_each(|(_, keys)| marked.extend(keys));
    loop {
        let before = marked.len();
        for item in drawn.items.iter().filter(|it| !it.is_state) {
            if marked.contains(&item.key) {
                marked.extend(&item.needs);
            }
        }
        if marked.len() == before {
            break;
        }
    }
    let is_kept = |it: &Item| marked.contains(&it.stage);
    let used = |it: &Item| {
        let asked = drawn.roots.iter().filter(|(_, keys)| keys.contains(&it.stage)).map(|(used, _)| *used);
        asked.chain([it.used]).max().expect("at least one")
    };
    let mut left: Vec<Item> = drawn.items.clone();
    match (sketch.older_than, max_size) {
        (None, None) => left.retain(is_kept),
        (older_than, _) => left.retain(|it| {
            let is_old = |limit: u64| used(it) < SystemTime::now() - days(limit);
            is_kept(it) || !older_than.is_some_and(is_old)
        }),
    }
    let needed = |left: &[Item]| -> BTreeSet<Digest> { left.iter().flat_map(|it| it.blobs.clone()).collect() };
    let weight = |left: &[Item]| {
        let blobs: u64 = needed(left).iter().map(|blob| drawn.sizes[blob]).sum();
        overhead + blobs + left.iter().map(|it| it.own).sum::<u64>()
    };
    while max_size.is_some_and(|most| weight(&left) > most) {
        let worth = |it: &Item| {
            let bytes = it.own + it.blobs.iter().map(|blob| drawn.sizes[blob]).sum::<u64>();
            let day = used(it).duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() / DAY;
            (!it.is_state, day, it.seconds / bytes.max(1) as f64, it.key)
        };
        let open = (0..left.len()).filter(|&at| !is_kept(&left[at]));
        let worst = open.min_by(|&a, &b| worth(&left[a]).partial_cmp(&worth(&left[b])).expect("no NaN"));
        match worst {
            Some(at) => drop(left.remove(at)),
            None => break,
        }
    }
    let blobs = needed(&left).union(&drawn.young_orphans).copied().collect();
    (left.iter().map(|it| (it.is_state, it.key)).collect(), blobs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(32), failure_persistence: None, ..ProptestConfig::default() })]

    /// Test 9 of the store's design.
    #[test]
    fn gc_agrees_with_a_slow_and_obvious_model(sketch in sketches()) {
        let (_folder, store) = store();
        let drawn = draw(&store, &sketch);
        let file_bytes = |path: &PathBuf| fs::metadata(path).expect("it is there").len();
        let folder_bytes = |folder: PathBuf| files_below(&folder).iter().map(file_bytes).sum::<u64>();
        // The lock's file gets a byte when gc reads the disk's clock.
        drop(store.disk_time());
        let layout = store.layout();
        let apart = ["format", ".gitignore", "gc.lock"].map(|name| layout.root().join(name));
        let overhead: u64 = apart.iter().filter(|path| path.exists()).map(file_bytes).sum();
        let all = overhead + folder_bytes(layout.objects()) + folder_bytes(layout.all_states());
        let max_size = sketch.max_size.map(|hundredths| all * hundredths / 100);
        let (left, blobs) = model(&drawn, &sketch, overhead, max_size);

        let limits = Limits { older_than: sketch.older_than.map(days), max_size };
        let collection = Collection { dry_run: true, keep_runs: sketch.keep_runs, limits };
        let dry = collect(&store, collection);
        let wet = collect(&store, Collection { dry_run: false, ..collection });
        prop_assert_eq!(&dry.removed, &wet.removed);

        let inventory = super::inventory::Inventory::take(&store, SystemTime::now()).expect("readable");
        let results = inventory.results.keys().map(|key| (false, *key));
        let found: BTreeSet<(bool, Digest)> = results.chain(inventory.states.keys().map(|key| (true, *key))).collect();
        prop_assert_eq!(found, left);
        prop_assert_eq!(inventory.blobs.keys().copied().collect::<BTreeSet<_>>(), blobs);
        for key in inventory.results.keys() {
            prop_assert!(store.lookup(key).expect("readable").found().is_some(), "a record that stays is whole");
        }
        for item in drawn.items.iter().filter(|it| !it.is_state && !inventory.results.contains_key(&it.key)) {
            let told = store.tombstone(&item.key).and_then(|stone| stone.record).map(|record| record.key);
            prop_assert_eq!(told, Some(item.key));
        }
        for (_, path) in crate::store::roots::digest_files(&layout.leads()).expect("readable") {
            let key = fs::read(&path).ok().and_then(|bytes| crate::store::lookup::read_lead(&bytes)).expect("a way");
            prop_assert!(inventory.results.contains_key(&key), "every way leads to a record");
        }
        let again = collect(&store, Collection { dry_run: false, ..collection });
        prop_assert_eq!(&again.removed, &Vec::new(), "a second gc finds nothing");
    }
}

#[test]
fn gc_beside_publishers_never_breaks_a_result() {
    let (_folder, store) = store();
    let done = AtomicBool::new(false);
    let (done, store) = (&done, &store);
    std::thread::scope(|scope| {
        let gc = scope.spawn(move || {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                collect(store, everything());
                rounds += 1;
            }
            rounds
        });
        let publishers: Vec<_> = (0..3)
            .map(|thread| {
                scope.spawn(move || {
                    for round in 0..12 {
                        // Half of the results have a root, and must be there; all share their files with others.
                        let name = format!("stage {thread} {round}");
                        let key = draft(&name, &[], 1.0).key;
                        let root = (round % 2 == 0).then(|| store.root_run("a.srlm", vec![key], vec![key]));
                        let files = [("a", "shared by all"), ("b", if round % 3 == 0 { "some" } else { "others" })];
                        let record = publish(store, &name, &[], &files);
                        if root.is_some() {
                            let found = store.lookup(&record.key).expect("readable").found();
                            assert!(found.is_some(), "a rooted result was taken");
                            assert_eq!(store.remove_damaged(&record.outputs["data"]).expect("readable"), None);
                        }
                    }
                })
            })
            .collect();
        publishers.into_iter().for_each(|it| it.join().expect("no panic"));
        done.store(true, Ordering::Relaxed);
        assert!(gc.join().expect("no panic") > 0);
    });
    assert_eq!(verify(store, false).bad, [], "what stays is whole");
}

/// A store with something in every folder that `verify` reads.
fn furnished() -> (tempfile::TempDir, Store, Vec<Record>) {
    let (folder, store) = store();
    let data = publish(&store, "data", &[], &[("a", "some rows"), ("b", "more rows")]);
    let model = publish(&store, "model", &[&data], &[("a", "weights"), ("empty", "")]);
    let gone = publish(&store, "gone", &[], &[("a", "gone")]);
    store.pin(&model.key, "ann@box".into(), Some("table 2".into())).expect("writable");
    drop(store.root_run("a.srlm", vec![model.key], vec![data.key, model.key]));
    collect(&store, Collection::default());
    assert!(store.tombstone(&gone.key).is_some());
    let state = store.layout().all_states().join(model.key.to_string()).join("step-00000007");
    let manifest = json!({ "step": 7, "files": { "tensors": Digest::of_bytes(b"tensors") } });
    write(&state.join("tensors"), b"tensors", Duration::ZERO);
    write(&state.join("state.json"), crate::base::seal::sealed(&manifest).expect("text").as_bytes(), Duration::ZERO);
    let second = store.layout().all_alternates().join(model.key.to_string()).join("1.json");
    write(&second, model.to_text().expect("text").as_bytes(), Duration::ZERO);
    assert_eq!(verify(&store, false).bad, []);
    (folder, store, vec![data, model])
}

/// Files whose every bit `verify` answers for.
fn answered_for(store: &Store) -> Vec<PathBuf> {
    let apart = ["format", ".gitignore", "gc.lock"];
    let root = store.root();
    let is_apart = |path: &PathBuf| {
        let inside = path.strip_prefix(root).expect("inside");
        apart.iter().any(|name| inside == Path::new(name)) || inside.starts_with("runs") || inside.starts_with("leases")
    };
    files_below(root).into_iter().filter(|path| !is_apart(path)).collect()
}

fn flip(path: &Path, bit: usize) {
    let mut bytes = fs::read(path).expect("readable");
    let at = bit % (bytes.len() * 8);
    bytes[at / 8] ^= 1 << (at % 8);
    fs::remove_file(path).and_then(|()| fs::write(path, bytes)).expect("writable");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(8), failure_persistence: None, ..ProptestConfig::default() })]

    /// Test 4 of the store's design, as far as the store goes; `tests/suite/care.rs` has the next run.
    #[test]
    fn verify_finds_every_flipped_bit_and_repair_leaves_nothing_bad(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u16>()), 1..6),
    ) {
        let (_folder, store, records) = furnished();
        let files = answered_for(&store);
        let files: Vec<&PathBuf> =
            files.iter().filter(|path| fs::metadata(path).is_ok_and(|found| found.len() > 0)).collect();
        let mut flipped = BTreeMap::new();
        for (file, bit) in flips {
            flipped.entry(file.get(&files)).or_insert(bit);
        }
        flipped.iter().for_each(|(path, bit)| flip(path, usize::from(*bit)));
        let found: BTreeSet<PathBuf> = verify(&store, false).bad.into_iter().map(|bad| bad.path).collect();
        for path in flipped.keys() {
            let is_state = path.starts_with(store.layout().all_states());
            let told = if is_state { path.parent().expect("a folder") } else { path };
            prop_assert!(found.contains(told), "{} is not among {:?}", path.display(), found);
        }
        let repaired = verify(&store, true);
        prop_assert!(repaired.bad.iter().all(|bad| bad.dropped));
        prop_assert_eq!(verify(&store, false).bad, vec![]);
        prop_assert_eq!(store.pins().expect("readable").len(), 1, "a damaged pin keeps what it kept");
        for record in &records {
            let is_hurt = repaired.bad.iter().any(|bad| bad.results.contains(&record.key));
            match store.lookup(&record.key).expect("readable") {
                crate::store::Lookup::Found(found) => prop_assert!(!is_hurt && found.key == record.key),
                crate::store::Lookup::Missing(MissReason::Evicted { by, .. }) => {
                    prop_assert!(is_hurt && by == Remover::Verify);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

#[test]
fn verify_holds_records_against_their_documents() {
    let (_folder, store, records) = furnished();
    let forged = Record { document: json!({ "kind": "sft", "inputs": {}, "science": "forged" }), ..records[1].clone() };
    let path = store.layout().record(&forged.key);
    fs::write(&path, forged.to_text().expect("text")).expect("writable");
    let bad = verify(&store, false).bad;
    assert_eq!((bad.len(), bad[0].what, &bad[0].path), (1, Part::Record, &path));
    assert!(bad[0].why.contains("its document has the key"), "{}", bad[0].why);
}

#[test]
fn verify_tells_of_a_missing_file_and_who_needs_it() {
    let (_folder, store, records) = furnished();
    let blob = store.layout().blob(&Digest::of_bytes(b"weights"));
    fs::remove_file(&blob).expect("it was there");
    let bad = verify(&store, false).bad;
    assert_eq!((bad.len(), &bad[0].path, &bad[0].results), (1, &blob, &vec![records[1].key]));
}

#[test]
fn du_counts_every_byte_once() {
    let (_folder, store, _) = furnished();
    let all: u64 = files_below(store.root()).iter().map(|path| fs::metadata(path).expect("it is there").len()).sum();
    for by_name in [false, true] {
        let usage = store.usage(by_name).expect("readable");
        assert_eq!(usage.bytes, all);
        assert_eq!(usage.rows.iter().map(|row| row.bytes).sum::<u64>(), all);
        let names = usage.rows.iter().filter(|row| row.what == "results").count();
        assert_eq!(names, if by_name { 2 } else { 1 });
    }
}
