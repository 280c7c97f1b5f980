//! Tests of the store: what a crash, a race or a damaged file may do to a result, which is nothing.

use super::*;
use crate::base::digest::Digest;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

const STORE: &str = "SRLM_TEST_STORE";

struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path().join("store")).expect("a new store opens");
    Fixture { folder, store }
}

pub(super) fn digest(text: &str) -> Digest {
    Digest::of_bytes(text.as_bytes())
}

pub(super) fn draft(name: &str) -> RecordDraft {
    RecordDraft {
        key: digest(name),
        shallow: digest(&format!("shallow {name}")),
        kind: "sft".into(),
        name: name.into(),
        document: json!({ "kind": "sft", "science": { "learning_rate": 1e-3 } }),
        inputs: BTreeMap::from([("model".to_string(), digest("a model"))]),
        metrics: BTreeMap::from([("loss".to_string(), 0.1 + 0.2)]),
        seconds: 1.5,
        resumed: None,
        threads: 2,
        peak_memory: Some(5 << 20),
        device: "cpu".into(),
        declared_at: Some("a.srlm:3:1".into()),
        run: "run-1".into(),
    }
}

/// Files by name, in an attempt of the key.
pub(super) fn outputs(store: &Store, key: &Digest, files: &[(&str, &str)]) -> BTreeMap<String, PathBuf> {
    let attempt = store.attempt(key).expect("an attempt starts");
    for (name, text) in files {
        let path = attempt.out.join(name);
        fs::create_dir_all(path.parent().expect("it has a parent")).expect("folders are made");
        fs::write(path, text).expect("a file is written");
    }
    BTreeMap::from([("model".to_string(), attempt.out)])
}

pub(super) const FILES: &[(&str, &str)] = &[("config.json", "{}"), ("weights/a", "aaaa"), ("weights/b", "")];

fn publish(store: &Store, name: &str) -> Record {
    let draft = draft(name);
    let outputs = outputs(store, &draft.key, FILES);
    store.publish(draft, &outputs).expect("it publishes").record
}

fn lookup(store: &Store, name: &str) -> Lookup {
    store.lookup(&digest(name)).expect("the store can be read")
}

fn missed(store: &Store, name: &str) -> MissReason {
    let looked = lookup(store, name);
    let result = store.result(&digest(name)).expect("the store can be read");
    assert_eq!(result.found().is_some(), looked.clone().found().is_some(), "both ways of looking agree");
    match looked {
        Lookup::Missing(reason) => reason,
        Lookup::Found(record) => panic!("found {record:?}"),
    }
}

#[test]
fn a_published_result_is_found_and_can_be_read() {
    let Fixture { store, .. } = fixture();
    let record = publish(&store, "warm");
    assert_eq!(lookup(&store, "warm"), Lookup::Found(Box::new(record.clone())));
    assert_eq!(store.lookup_shallow(&record.shallow).expect("readable").found(), Some(record.clone()));
    let without_document = Record { document: json!(null), ..record.clone() };
    assert_eq!(store.result(&record.key).expect("readable").found(), Some(without_document));

    let artifact = store.artifact(&record.outputs["model"]).expect("the artifact is there");
    let files = artifact.files();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["config.json", "weights/a", "weights/b"]);
    assert_eq!(artifact.size(), 6);
    assert_eq!(fs::read_to_string(&files["weights/a"]).expect("readable"), "aaaa");
    let mode = fs::metadata(&files["weights/a"]).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
    assert!(!store.layout().attempts(&record.key).exists(), "the attempt is cleared away");
}

#[test]
fn the_same_files_are_the_same_artifact() {
    let Fixture { store, .. } = fixture();
    let pinned = "1b88b00fe886f856fb06b51384e7ecd83ebb29383569ebb57487857b0239a494";
    let (one, two) = (publish(&store, "one"), publish(&store, "two"));
    assert_eq!(one.outputs, two.outputs);
    assert_eq!(one.outputs["model"].to_string(), pinned);
}

#[test]
fn looking_leaves_no_trace() {
    let Fixture { store, folder } = fixture();
    assert_eq!(missed(&store, "warm"), MissReason::NoRecord);
    assert!(store.records().expect("readable").records.is_empty());
    assert!(store.states(&digest("warm")).is_empty() && store.trajectories().is_empty());
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
}

#[test]
fn another_format_is_refused() {
    let Fixture { store, .. } = fixture();
    publish(&store, "warm");
    fs::write(store.root().join("format"), "srlm store 99\n").expect("writable");
    let error = Store::open(store.root()).expect_err("another format");
    assert!(matches!(error, StoreError::Format { .. }) && error.to_string().contains("srlm store 99"), "{error}");
}

#[test]
fn metrics_that_are_not_finite_and_floats_of_many_digits_survive() {
    let Fixture { store, .. } = fixture();
    let mut draft = draft("warm");
    draft.metrics.insert("spread".into(), f64::NAN);
    let outputs = outputs(&store, &draft.key, FILES);
    store.publish(draft, &outputs).expect("it publishes");
    let record = lookup(&store, "warm").found().expect("it is there");
    assert!(record.metrics["spread"].is_nan());
    assert_eq!(record.metrics["loss"].to_bits(), (0.1f64 + 0.2).to_bits());
}

#[test]
fn the_first_whole_result_wins() {
    let Fixture { store, .. } = fixture();
    let first = publish(&store, "warm");
    let draft = RecordDraft { run: "run-2".into(), ..draft("warm") };
    let outputs = outputs(&store, &draft.key, &[("config.json", "other")]);
    let published = store.publish(draft, &outputs).expect("it publishes");
    assert_eq!(published.record, first);
    let alternate = published.alternate.expect("its bytes differ");
    assert_eq!(
        (alternate.run.as_str(), store.alternates(&first.key).expect("readable")),
        ("run-2", vec![alternate.clone()])
    );
    let text = store.artifact(&alternate.outputs["model"]).expect("it is kept").files();
    assert_eq!(fs::read_to_string(&text["config.json"]).expect("readable"), "other");
    assert_eq!(lookup(&store, "warm").found(), Some(first.clone()));
    publish(&store, "warm");
    assert_eq!(store.alternates(&first.key).expect("readable").len(), 1, "the same bytes are no alternate");
}

#[test]
fn an_output_that_is_empty_or_not_made_of_files_is_refused() {
    let Fixture { store, .. } = fixture();
    let empty = outputs(&store, &digest("warm"), &[]);
    let error = store.publish(draft("warm"), &empty).expect_err("nothing to publish");
    assert!(error.to_string().contains("left nothing"), "{error}");
    std::os::unix::fs::symlink("/etc/hostname", empty["model"].join("link")).expect("a link");
    let error = store.publish(draft("warm"), &empty).expect_err("no plain file");
    assert!(error.to_string().contains("neither a file nor a folder"), "{error}");
    assert_eq!(missed(&store, "warm"), MissReason::NoRecord);
}

#[test]
fn every_damaged_record_is_a_miss_and_gives_way() {
    let Fixture { store, .. } = fixture();
    let record = publish(&store, "warm");
    let path = store.layout().record(&record.key);
    let whole = fs::read(&path).expect("readable");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let truncated = whole[..whole.len() - 1].to_vec();
    for damaged in [Vec::new(), b"garbage \xff".to_vec(), b"{}".to_vec(), whole[..40].to_vec(), truncated, flipped] {
        fs::write(&path, &damaged).expect("writable");
        assert!(matches!(missed(&store, "warm"), MissReason::CorruptRecord { .. }));
        let listing = store.records().expect("readable");
        assert_eq!((listing.records.len(), listing.skipped.len()), (0, 1));
        publish(&store, "warm");
        assert!(lookup(&store, "warm").found().is_some(), "a good record replaced the damaged one");
    }
}

#[test]
fn a_record_under_another_key_is_a_miss() {
    let Fixture { store, .. } = fixture();
    let record = publish(&store, "warm");
    fs::copy(store.layout().record(&record.key), store.layout().record(&digest("cold"))).expect("a copy");
    assert!(matches!(missed(&store, "cold"), MissReason::CorruptRecord { .. }));
}

#[test]
fn a_missing_or_cut_blob_is_a_miss_with_its_reason_until_it_is_made_again() {
    let Fixture { store, .. } = fixture();
    let record = publish(&store, "warm");
    let tree = store.layout().blob(&record.outputs["model"]);
    let blob = store.layout().blob(&digest("aaaa"));
    for path in [&blob, &tree] {
        fs::remove_file(path).expect("it was there");
        assert_eq!(missed(&store, "warm"), MissReason::BlobMissing { path: path.clone() });
        publish(&store, "warm");
        assert!(lookup(&store, "warm").found().is_some());
        fs::remove_file(path).and_then(|()| fs::write(path, "a")).expect("a cut file");
        assert!(matches!(missed(&store, "warm"), MissReason::BlobCorrupt { .. }));
        publish(&store, "warm");
        assert!(lookup(&store, "warm").found().is_some());
    }
}

#[test]
fn a_result_made_anew_with_other_bytes_replaces_one_whose_blobs_are_gone() {
    let Fixture { store, .. } = fixture();
    let first = publish(&store, "warm");
    fs::remove_file(store.layout().blob(&digest("aaaa"))).expect("it was there");
    let outputs = outputs(&store, &first.key, &[("config.json", "other")]);
    let second = store.publish(draft("warm"), &outputs).expect("it publishes").record;
    assert_ne!(first.outputs, second.outputs);
    assert_eq!(lookup(&store, "warm").found(), Some(second));
}

#[test]
fn an_alias_has_the_result_and_names_its_origin() {
    let Fixture { store, .. } = fixture();
    let first = publish(&store, "warm");
    let again = RecordDraft { shallow: first.shallow, ..draft("warm again") };
    let alias = store.alias(&first, again).expect("an alias is written");
    assert_eq!((alias.alias_of, &alias.outputs), (Some(first.key), &first.outputs));
    assert_eq!(lookup(&store, "warm again").found(), Some(alias.clone()));
    let third = RecordDraft { shallow: first.shallow, ..draft("third") };
    assert_eq!(store.alias(&alias, third).expect("an alias is written").alias_of, Some(first.key));
}

#[test]
fn what_a_crash_leaves_is_harmless() {
    let Fixture { store, .. } = fixture();
    let (key, shallow) = (digest("warm"), digest("shallow warm"));
    let layout = store.layout();
    let left = |path: PathBuf, text: &str| {
        layout.prepare_parent(&path).expect("a folder");
        fs::write(path, text).expect("a leftover");
    };
    left(layout.attempts(&key).join("0000000000.1.1.0").join("out/config.json"), "half");
    left(layout.attempts(&key).join("0000000000.1.1.0").join("blob.3"), "half");
    left(layout.shallow(&shallow), &lookup::lead(&shallow, &key));
    left(layout.records().join(format!(".{key}.json.1.0.tmp")), "half");
    left(layout.blob(&digest("aaaa")), "aa");
    assert_eq!(missed(&store, "warm"), MissReason::NoRecord);
    assert_eq!(store.lookup_shallow(&shallow).expect("readable").found(), None);
    let record = publish(&store, "warm");
    assert_eq!(store.lookup_shallow(&shallow).expect("readable").found(), Some(record));
    assert!(!layout.attempts(&key).exists(), "the leftover is cleared away");
    assert_eq!(store.records().expect("readable").skipped.len(), 0);
}

#[test]
fn attempts_of_living_processes_stay() {
    let Fixture { store, .. } = fixture();
    let key = digest("warm");
    let first = store.attempt(&key).expect("an attempt");
    let second = store.attempt(&key).expect("another attempt");
    assert!(first.out.is_dir() && second.out.is_dir() && first.dir != second.dir);
    second.discard();
    assert!(first.out.is_dir());
}

#[test]
fn what_a_crash_right_after_publishing_leaves_is_cleared_away() {
    let Fixture { store, .. } = fixture();
    let record = publish(&store, "warm");
    let living = store.attempt(&record.key).expect("an attempt");
    let dead_attempt = store.layout().attempts(&record.key).join("0000000000.1.1.0");
    fs::create_dir_all(dead_attempt.join("out")).expect("a leftover");
    let lost = acquire(&store, &dead()).expect("nobody has it");
    std::mem::forget(lost);
    store.clear_leftovers(&record.key);
    assert!(living.out.is_dir() && !dead_attempt.exists());
    assert!(!store.layout().lease(&record.key).exists());
    living.discard();
    let ours = acquire(&store, &Owner::current("run-1")).expect("nobody has it");
    store.clear_leftovers(&record.key);
    assert!(!store.layout().attempts(&record.key).exists());
    assert!(ours.beat().expect("writable"), "a living lease stays");
}

#[test]
fn bytes_changed_under_the_same_size_are_found_before_they_are_used() {
    let Fixture { store, .. } = fixture();
    let model = publish(&store, "warm").outputs["model"];
    assert_eq!(store.remove_damaged(&model).expect("readable"), None);
    let blob = store.layout().blob(&digest("aaaa"));
    fs::remove_file(&blob).and_then(|()| fs::write(&blob, "aaab")).expect("an edited file");
    assert!(lookup(&store, "warm").found().is_some(), "sizes alone do not show it");
    assert!(matches!(store.remove_damaged(&model).expect("readable"), Some(MissReason::BlobCorrupt { .. })));
    assert_eq!(missed(&store, "warm"), MissReason::BlobMissing { path: blob });
    publish(&store, "warm");
    assert_eq!(store.remove_damaged(&model).expect("readable"), None);
}

#[test]
fn a_failed_attempt_leaves_its_log_if_it_has_one_and_nothing_else() {
    let Fixture { store, .. } = fixture();
    let key = digest("warm");
    let silent = store.attempt(&key).expect("an attempt");
    fs::write(silent.out.join("model.safetensors"), "half").expect("a file");
    fs::write(silent.log(), "").expect("a file");
    silent.give_up();
    assert!(!store.layout().attempts(&key).exists());
    let telling = store.attempt(&key).expect("an attempt");
    fs::write(telling.out.join("model.safetensors"), "half").expect("a file");
    fs::write(telling.log(), "last words").expect("a log");
    let (out, log) = (telling.out.clone(), telling.log());
    telling.give_up();
    assert!(!out.exists() && log.is_file());
    publish(&store, "warm");
}

#[test]
fn threads_that_race_on_a_key_leave_one_record() {
    let Fixture { store, .. } = fixture();
    let records: Vec<Record> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8).map(|_| scope.spawn(|| publish(&store, "warm"))).collect();
        racers.into_iter().map(|racer| racer.join().expect("no panic")).collect()
    });
    let kept = lookup(&store, "warm").found().expect("a record");
    assert!(records.iter().all(|record| *record == kept));
}

#[test]
fn of_racers_with_other_bytes_each_result_is_kept_once() {
    let Fixture { store, .. } = fixture();
    let race = |number: usize| {
        let draft = RecordDraft { run: format!("run-{number}"), ..draft("warm") };
        let outputs = outputs(&store, &draft.key, &[("config.json", &(number % 3).to_string())]);
        store.publish(draft, &outputs).expect("it publishes")
    };
    let race = &race;
    let published: Vec<Published> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..9).map(|number| scope.spawn(move || race(number))).collect();
        racers.into_iter().map(|racer| racer.join().expect("no panic")).collect()
    });
    let first = lookup(&store, "warm").found().expect("a record");
    assert!(published.iter().all(|published| published.record == first));
    assert_eq!(published.iter().filter(|published| published.alternate.is_some()).count(), 6);
    let alternates = store.alternates(&first.key).expect("readable");
    assert_eq!(alternates.len(), 2);
    assert!(alternates.iter().all(|alternate| alternate.outputs != first.outputs));
}

#[test]
fn an_output_is_taken_where_it_lies_unless_somebody_else_can_reach_it() {
    use std::os::unix::fs::MetadataExt;
    let Fixture { store, folder } = fixture();
    let outputs = outputs(&store, &digest("warm"), &[("own", "o"), ("linked", "l"), ("open", "w")]);
    let inode = |path: &Path| fs::metadata(path).expect("it is there").ino();
    let at = |name: &str| outputs["model"].join(name);
    let [own, linked, open] = ["own", "linked", "open"].map(|name| inode(&at(name)));
    fs::hard_link(at("linked"), folder.path().join("second name")).expect("a link");
    let writer = File::options().append(true).open(at("open")).expect("it opens");
    let record = store.publish(draft("warm"), &outputs).expect("it publishes").record;
    drop(writer);
    let files = store.artifact(&record.outputs["model"]).expect("it is there").files();
    assert_eq!(inode(&files["own"]), own);
    assert_ne!(inode(&files["linked"]), linked);
    assert_ne!(inode(&files["open"]), open);
    assert_eq!(fs::read_to_string(&files["open"]).expect("readable"), "w");
}

/// The body of the processes that the two tests below start: publishes without end, or once.
#[test]
fn child_process() {
    let Ok(root) = std::env::var(STORE) else { return };
    let store = Store::open(root).expect("the store opens");
    publish(&store, "warm");
}

fn child(store: &Store) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    let name = format!("{}::child_process", module_path!().split_once("::").expect("a crate name").1);
    command.args(["--exact", &name]).env(STORE, store.root()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn processes_that_race_on_a_key_leave_one_record() {
    let Fixture { store, .. } = fixture();
    let children: Vec<_> = (0..4).map(|_| child(&store).spawn().expect("a child starts")).collect();
    assert!(children.into_iter().all(|mut child| child.wait().expect("it ends").success()));
    assert_eq!(store.records().expect("readable").records.len(), 1);
    assert!(lookup(&store, "warm").found().is_some());
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_whole_result_or_none() {
    let expected = publish(&fixture().store, "warm").outputs;
    for milliseconds in 0..12 {
        let Fixture { store, .. } = fixture();
        let mut child = child(&store).spawn().expect("a child starts");
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().and_then(|()| child.wait()).expect("it ends");
        match lookup(&store, "warm") {
            Lookup::Found(record) => assert_eq!(record.outputs, expected),
            Lookup::Missing(reason) => assert_eq!(reason, MissReason::NoRecord),
        }
        assert_eq!(publish(&store, "warm").outputs, expected);
        assert!(!store.layout().attempts(&digest("warm")).exists(), "leftovers are cleared away");
    }
}

fn acquire(store: &Store, owner: &Owner) -> Option<Lease> {
    match store.lease(&digest("warm"), owner).expect("the store can be written") {
        LeaseOutcome::Acquired(lease) => Some(lease),
        LeaseOutcome::Held(_) => None,
    }
}

/// A process that ended a moment ago.
fn dead() -> Owner {
    let mut child = Command::new("true").spawn().expect("`true` starts");
    let pid = child.id();
    child.wait().expect("`true` ends");
    Owner { pid, ..Owner::current("run-0") }
}

/// A process on a machine that cannot be asked.
fn distant() -> Owner {
    Owner { host: "far".into(), boot_id: "another boot".into(), ..Owner::current("run-0") }
}

#[test]
fn a_lease_is_held_by_one_until_it_is_dropped() {
    let Fixture { store, .. } = fixture();
    let lease = acquire(&store, &Owner::current("run-1")).expect("nobody has it");
    match store.lease(&digest("warm"), &Owner::current("run-2")).expect("readable") {
        LeaseOutcome::Held(holder) => assert_eq!((holder.run.as_str(), holder.pid), ("run-1", std::process::id())),
        LeaseOutcome::Acquired(_) => panic!("two have it"),
    }
    assert!(lease.beat().expect("writable"));
    drop(lease);
    assert!(acquire(&store, &Owner::current("run-2")).is_some());
}

#[test]
fn the_lease_of_a_dead_process_is_taken_over_at_once() {
    let Fixture { store, .. } = fixture();
    let lost = acquire(&store, &dead()).expect("nobody has it");
    let ours = acquire(&store, &Owner::current("run-2")).expect("its process is dead");
    assert!(!lost.beat().expect("the old file can still be written"), "the loser learns that it lost");
    assert!(ours.beat().expect("writable"));
    drop(lost);
    assert!(ours.beat().expect("writable"), "the loser's end leaves our lease alone");
}

#[test]
fn a_reused_process_id_does_not_keep_a_lease() {
    let Fixture { store, .. } = fixture();
    let reused = Owner { started: Owner::current("").started + 1, ..Owner::current("run-0") };
    let _lost = acquire(&store, &reused).expect("nobody has it");
    assert!(acquire(&store, &Owner::current("run-2")).is_some());
}

#[test]
fn a_distant_lease_goes_when_its_heart_stops() {
    let Fixture { store, .. } = fixture();
    let lease = acquire(&store, &distant()).expect("nobody has it");
    assert!(acquire(&store, &Owner::current("run-2")).is_none());
    let file = File::options().write(true).open(store.layout().lease(&digest("warm"))).expect("the lease");
    file.set_modified(SystemTime::now() - Duration::from_secs(100)).expect("an old heartbeat");
    lease.beat().expect("writable");
    assert!(acquire(&store, &Owner::current("run-2")).is_none(), "a beat renews it");
    file.set_modified(SystemTime::now() - Duration::from_secs(100)).expect("an old heartbeat");
    assert!(acquire(&store, &Owner::current("run-2")).is_some());
}

#[test]
fn a_distant_lease_from_before_the_clock_was_set_back_goes() {
    let Fixture { store, .. } = fixture();
    let _lost = acquire(&store, &distant()).expect("nobody has it");
    let file = File::options().write(true).open(store.layout().lease(&digest("warm"))).expect("the lease");
    file.set_modified(SystemTime::now() + Duration::from_secs(30)).expect("a clock a little ahead");
    assert!(acquire(&store, &Owner::current("run-2")).is_none());
    file.set_modified(SystemTime::now() + Duration::from_secs(3600)).expect("a heartbeat to come");
    assert!(acquire(&store, &Owner::current("run-2")).is_some());
}

#[test]
fn of_many_that_find_a_stale_lease_one_takes_it() {
    for _ in 0..6 {
        let Fixture { store, .. } = fixture();
        let _lost = acquire(&store, &dead()).expect("nobody has it");
        let leases: Vec<Option<Lease>> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8).map(|_| scope.spawn(|| acquire(&store, &Owner::current("run-1")))).collect();
            racers.into_iter().map(|racer| racer.join().expect("no panic")).collect()
        });
        assert_eq!(leases.iter().flatten().count(), 1);
        assert!(leases.iter().flatten().all(|lease| lease.beat().expect("writable")));
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_an_error_with_its_path() {
    let Fixture { folder, .. } = fixture();
    let file = folder.path().join("file");
    fs::write(&file, "no folder").expect("writable");
    let store = Store::open(file.join("store"));
    let error = store.and_then(|store| store.attempt(&digest("warm")).map(drop)).expect_err("a file is no folder");
    assert!(error.to_string().contains("file/store"), "{error}");
}

#[test]
fn a_result_that_was_taken_away_says_so_until_it_is_made_again() {
    let Fixture { store, .. } = fixture();
    let record = publish(&store, "warm");
    let tombstone = Tombstone::new(record.key, Remover::Gc, "no root needs it", Some(record.clone()));
    store.bury(&tombstone).expect("writable");
    assert!(lookup(&store, "warm").found().is_some(), "a crash before the record goes leaves a result");
    fs::remove_file(store.layout().record(&record.key)).expect("it was there");
    let reason = missed(&store, "warm");
    let day = tombstone.when.split('T').next().expect("a date");
    assert_eq!(reason.to_string(), format!("evicted by gc on {day}: no root needs it"));
    assert_eq!(store.tombstone(&record.key).expect("it is there").record, Some(record.clone()));
    publish(&store, "warm");
    assert!(!store.layout().tombstone(&record.key).exists());
    fs::write(store.layout().tombstone(&digest("cold")), "garbage").expect("writable");
    assert_eq!(missed(&store, "cold"), MissReason::NoRecord);
}

#[test]
fn a_run_that_wants_the_same_again_renews_its_root() {
    let Fixture { store, .. } = fixture();
    let root = |name: &str| store.root_run("a.srlm", vec![digest(name)], vec![digest(name)]);
    let (warm, cold) = (root("warm").expect("writable"), root("cold").expect("writable"));
    let files = store.run_root_files().expect("readable");
    assert_eq!(files.len(), 2);
    let (_, oldest) = &files[0];
    File::options().write(true).open(oldest).and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH)).expect("aged");
    let again = root("warm").and_then(|_| root("cold")).expect("writable");
    assert!(store.run_root_files().expect("readable").iter().all(|(used, _)| *used > SystemTime::UNIX_EPOCH));
    assert!(files.iter().all(|(_, path)| roots::is_in_use(path)));
    drop((warm, cold, again));
    assert!(!files.iter().any(|(_, path)| roots::is_in_use(path)));
}

#[test]
fn a_pin_says_who_and_why_and_goes_when_it_is_taken_away() {
    let Fixture { store, .. } = fixture();
    let pin = store.pin(&digest("warm"), "ann@box".into(), Some("the paper's table 2".into())).expect("writable");
    assert_eq!(store.pins().expect("readable"), [pin]);
    assert!(store.unpin(&digest("warm")).expect("writable"));
    assert!(!store.unpin(&digest("warm")).expect("writable"));
    assert!(store.pins().expect("readable").is_empty());
}
