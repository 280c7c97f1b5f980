//! Test 2 of the store's design: every moment of publishing cut off on a disk that loses what was not flushed.
//!
//! After each such cut no wrong result may be found, no result that was acknowledged may be lost, and the same work must
//! come to the same bytes.

use super::lease::stale_after;
use super::tests::{FILES, digest, draft, outputs};
use super::*;
use crate::base::digest::Digest;
use crate::base::disk_model::{Cut, Disk, cuts, folder, states_of};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

fn publish(store: &Store, name: &str) -> Record {
    let draft = draft(name);
    let outputs = outputs(store, &draft.key, FILES);
    store.publish(draft, &outputs).expect("it publishes").record
}

/// The names whose result is found; every byte of each is right.
fn found(store: &Store) -> Vec<&'static str> {
    let whole = |name: &&str| {
        let Some(record) = store.lookup(&digest(name)).expect("readable").found() else { return false };
        let artifact = store.artifact(&record.outputs["model"]).expect("its list is there");
        assert_eq!(artifact.entries().len(), FILES.len());
        for entry in artifact.entries() {
            let bytes = fs::read(store.layout().blob(&entry.blob)).expect("its file is there");
            assert_eq!(Digest::of_bytes(&bytes), entry.blob, "a wrong byte in a result of `{name}`");
        }
        true
    };
    ["one", "two", "again"].into_iter().filter(whole).collect()
}

/// Publishes a result, one that shares its blobs, and an alias; `acknowledge` hears how many are done.
fn work(store: &Store, acknowledge: &dyn Fn(usize)) {
    let one = publish(store, "one");
    acknowledge(1);
    publish(store, "two");
    acknowledge(2);
    let draft = RecordDraft { shallow: one.shallow, ..draft("again") };
    store.alias(&one, draft).expect("it is written");
    acknowledge(3);
}

fn open(base: &Path) -> Store {
    Store::open(base.join("store")).expect("what a cut leaves opens")
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_acknowledged_and_leaves_nothing_wrong() {
    let base = folder();
    let states = states_of(Disk::new(base.path()), 0, |acknowledge| work(&open(base.path()), acknowledge));
    assert!(states.len() > 50, "{} changes were heard of", states.len());
    let expected = open(base.path()).lookup(&digest("one")).expect("readable").found().expect("it is there").outputs;
    for (moment, (disk, acknowledged)) in states.iter().enumerate() {
        for mut cut in cuts(moment) {
            let after = folder();
            disk.after(&mut cut, after.path());
            let store = open(after.path());
            let there = found(&store);
            assert!(
                there.starts_with(&["one", "two", "again"][..*acknowledged]),
                "lost after change {moment}: {there:?}"
            );
            assert_eq!(publish(&store, "one").outputs, expected);
            assert_eq!(publish(&store, "two").outputs, expected);
            assert!(found(&store).starts_with(&["one", "two"]));
        }
    }
}

#[test]
fn what_is_built_on_the_work_of_a_killed_process_survives_a_power_cut() {
    let base = folder();
    let states = states_of(Disk::new(base.path()), (), |_| drop(publish(&open(base.path()), "one")));
    for (moment, (killed, ())) in states.into_iter().enumerate() {
        let second = folder();
        killed.after(&mut Cut::None, second.path());
        let disk = killed.at(second.path());
        let states = states_of(disk, (), |_| drop(publish(&open(second.path()), "one")));
        let (disk, ()) = states.last().expect("there is a first");
        for mut cut in cuts(moment) {
            let after = folder();
            disk.after(&mut cut, after.path());
            assert_eq!(found(&open(after.path())), ["one"], "killed after change {moment}");
        }
    }
}

/// Takes the lease on a key for a process that is none of this machine's.
fn hold(store: &Store) -> Lease {
    let elsewhere = Owner { host: "elsewhere".into(), boot_id: String::new(), ..Owner::current("run-1") };
    match store.lease(&digest("one"), &elsewhere).expect("writable") {
        LeaseOutcome::Acquired(lease) => lease,
        LeaseOutcome::Held(holder) => panic!("held by {holder:?}"),
    }
}

/// Whatever a power cut leaves of a lease, whole, empty or garbage, it ends when its owner is silent: nobody waits for
/// ever, and nobody takes it for a result.
#[test]
fn a_power_cut_leaves_no_lease_that_lasts() {
    let base = folder();
    let states = states_of(Disk::new(base.path()), (), |_| {
        let store = open(base.path());
        let lease = hold(&store);
        publish(&store, "one");
        drop(lease);
    });
    for (moment, (disk, ())) in states.iter().enumerate() {
        for mut cut in cuts(moment).chain([Cut::None]) {
            let after = folder();
            disk.after(&mut cut, after.path());
            let store = open(after.path());
            let long_ago = SystemTime::now() - stale_after() - Duration::from_secs(1);
            let left = fs::File::options().write(true).open(store.layout().lease(&digest("one")));
            left.iter().for_each(|file| file.set_modified(long_ago).expect("it can be set"));
            drop(hold(&store));
            publish(&store, "one");
            assert!(found(&store).contains(&"one"));
        }
    }
}
