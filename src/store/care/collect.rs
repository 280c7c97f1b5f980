//! `gc`: what nothing needs is found and taken away; what roots reach stays, whatever it weighs.

use super::inventory::{Found, Holding, Inventory};
use super::mark::{Roots, mark, reach};
use super::policy::{Candidate, Gone, Limits, Weights, Why, choose};
use super::sweep;
use crate::base::digest::Digest;
use crate::store::attempt::Fate;
use crate::store::roots::is_in_use;
use crate::store::{Store, StoreError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Run roots that gc heeds unless it is told otherwise.
pub const KEEP_RUNS: usize = 10;
/// Event logs that stay.
const KEEP_LOGS: usize = 100;
/// Tombstones that stay.
const KEEP_TOMBSTONES: usize = 10_000;
/// How long gc leaves alone what may belong to somebody that it cannot see.
pub(super) const GRACE: Duration = Duration::from_secs(3600);
/// The times of a record and of the blobs named just before it come from clocks that may differ by so much.
const SLACK: Duration = Duration::from_secs(2);

/// What to collect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Only say what would go.
    pub dry_run: bool,
    /// Results that this many of the newest runs want stay, with everything they were made from.
    pub keep_runs: usize,
    /// What limits the rest.
    pub limits: Limits,
}

impl Default for Collection {
    fn default() -> Self {
        Collection { dry_run: false, keep_runs: KEEP_RUNS, limits: Limits::default() }
    }
}

/// The sorts of things that gc takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// A result: its record, and the files that nothing else needs.
    Result,
    /// The training states of a stage.
    States,
    /// Work that nobody goes on with.
    Attempt,
    /// Results that came second under a key that has none.
    Alternates,
    /// A blob that no record needs.
    Blob,
    /// The event log of an old run.
    Log,
    /// A file under a temporary name.
    Leftover,
    /// Small files that have lost their meaning: stale leases, ways to no record, old tombstones.
    Bookkeeping,
}

/// Something that is taken away.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Removed {
    /// What it is.
    pub what: Thing,
    /// The key it belongs to.
    pub key: Option<Digest>,
    /// The stage's kind, of a result.
    pub kind: Option<String>,
    /// The stage's name, of a result.
    pub name: Option<String>,
    /// Where it is: the record of a result.
    pub path: PathBuf,
    /// Bytes that this frees.
    pub bytes: u64,
    /// Why, as half a sentence.
    pub why: String,
}

/// How many results stay, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Kept {
    /// All that stay.
    pub results: usize,
    /// Those that are pinned, or that pinned ones were made from.
    pub pinned: usize,
    /// Those that a root reaches or somebody works on, pinned ones among them.
    pub rooted: usize,
}

/// What gc did, or would do.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Collected {
    /// What went, in the order in which it went.
    pub removed: Vec<Removed>,
    /// What stayed.
    pub kept: Kept,
    /// Bytes before: of objects, states, attempts, alternates and logs, and not of the small files that describe them.
    pub bytes_before: u64,
    /// The same after.
    pub bytes_after: u64,
    /// Records that cannot be read: what they need is not known, and goes.
    pub damaged: usize,
}

/// What goes, and why: made by looking only.
pub(super) struct Cleaning {
    pub results: Vec<(Gone, String)>,
    pub states: Vec<(Gone, String)>,
    pub attempts: Vec<(Digest, Found)>,
    pub widows: Vec<(Digest, Found)>,
    pub blobs: Vec<(Digest, Found)>,
    pub logs: Vec<Found>,
    pub leftovers: Vec<Found>,
    pub bookkeeping: Vec<Found>,
}

impl Store {
    /// Takes away what nothing needs, within limits. `waits` is called where somebody publishes just now.
    ///
    /// # Errors
    /// [`StoreError::Io`] where something cannot be read or removed; what was removed before stays removed.
    pub fn collect(&self, collection: &Collection, waits: &dyn Fn()) -> Result<Collected, StoreError> {
        if !self.layout.is_made() {
            return Ok(Collected::of_nothing());
        }
        if collection.dry_run {
            let now = SystemTime::now();
            let (inventory, cleaning, kept) = self.look_around(collection, now)?;
            return Ok(report(&inventory, &cleaning, kept));
        }
        let _guard = self.collecting(waits)?;
        let now = self.disk_time()?;
        let (inventory, cleaning, kept) = self.look_around(collection, now)?;
        let collected = report(&inventory, &cleaning, kept);
        sweep::sweep(self, &inventory, &cleaning)?;
        Ok(collected)
    }

    fn look_around(&self, collection: &Collection, now: SystemTime) -> Result<(Inventory, Cleaning, Kept), StoreError> {
        let inventory = Inventory::take(self, now)?;
        let roots = Roots::read(self)?;
        let marked = mark(self, &inventory, &roots, collection.keep_runs);
        let cleaning = Cleaning::plan(&inventory, &roots, &marked, collection.limits, now);
        let pinned = reach(self, &inventory, roots.pins.iter().copied().collect());
        let count = |keys: &BTreeSet<Digest>| inventory.results.keys().filter(|key| keys.contains(*key)).count();
        let results = inventory.results.len() - cleaning.results.len();
        let kept = Kept { results, pinned: count(&pinned), rooted: count(&marked) };
        Ok((inventory, cleaning, kept))
    }
}

impl Collected {
    fn of_nothing() -> Collected {
        Collected { removed: Vec::new(), kept: Kept::default(), bytes_before: 0, bytes_after: 0, damaged: 0 }
    }
}

impl Cleaning {
    fn plan(
        inventory: &Inventory,
        roots: &Roots,
        marked: &BTreeSet<Digest>,
        limits: Limits,
        now: SystemTime,
    ) -> Cleaning {
        let is_past_grace = |found: &Found| now.duration_since(found.modified).is_ok_and(|age| age > GRACE);
        let mut cleaning = Cleaning::of_garbage(inventory, &is_past_grace);
        let candidates = candidates(inventory, roots, marked);
        let garbage = inventory.garbage_bytes() + cleaning.bytes();
        let total = inventory.weight().saturating_sub(garbage);
        let weights = Weights { users: inventory.users(), size: &|blob| inventory.blob_size(blob), total };
        for gone in choose(candidates, weights, limits, now) {
            let why = limits.words(gone.why);
            if gone.it.is_state { cleaning.states.push((gone, why)) } else { cleaning.results.push((gone, why)) }
        }
        cleaning.blobs = unneeded_blobs(inventory, &cleaning.results, &is_past_grace);
        cleaning
    }

    /// What is of no use to anybody, whatever the limits.
    fn of_garbage(inventory: &Inventory, is_past_grace: &dyn Fn(&Found) -> bool) -> Cleaning {
        let given_up = inventory.attempts.iter().filter(|work| match work.fate {
            Fate::Alive => false,
            Fate::Dead => !inventory.leased.contains(&work.key),
            Fate::Unknown => !inventory.leased.contains(&work.key) && is_past_grace(&work.folder),
        });
        let past_grace = |found: &&Found| is_past_grace(found);
        let stale = inventory.leases.iter().filter(|(key, _)| !inventory.leased.contains(key)).map(|(_, file)| file);
        let mut bookkeeping: Vec<Found> = stale.cloned().collect();
        bookkeeping.extend(surplus(inventory.tombstones.iter().map(|(_, file)| file), KEEP_TOMBSTONES).cloned());
        Cleaning {
            results: Vec::new(),
            states: Vec::new(),
            attempts: given_up.map(|work| (work.key, work.folder.clone())).collect(),
            widows: inventory.widows.clone(),
            blobs: Vec::new(),
            logs: surplus(inventory.logs.iter(), KEEP_LOGS).filter(past_grace).cloned().collect(),
            leftovers: inventory.leftovers.iter().filter(past_grace).cloned().collect(),
            bookkeeping,
        }
    }

    fn bytes(&self) -> u64 {
        let keyed = self.attempts.iter().chain(&self.widows).map(|(_, found)| found);
        keyed.chain(&self.logs).chain(&self.leftovers).map(|found| found.size).sum()
    }
}

/// Results and states that nothing marked needs, with their last use: when they were made, or a run asked for them.
fn candidates(inventory: &Inventory, roots: &Roots, marked: &BTreeSet<Digest>) -> Vec<Candidate> {
    let asked = roots.last_asked();
    let used = |key: &Digest, found: &Found| asked.get(key).map_or(found.modified, |it| found.modified.max(*it));
    let results = inventory.results.iter().filter(|(key, _)| !marked.contains(*key));
    let mut candidates: Vec<Candidate> = results.map(|(key, it)| it.candidate(*key, used(key, &it.file))).collect();
    for (trajectory, found) in &inventory.states {
        let stages = &inventory.saved_by[trajectory];
        if !stages.is_disjoint(marked) || is_in_use(&found.path.join(".lock")) {
            continue;
        }
        let used = stages.iter().map(|stage| used(stage, found)).max().unwrap_or(found.modified);
        let (key, own, blobs) = (*trajectory, found.size, BTreeSet::new());
        candidates.push(Candidate { key, is_state: true, used, seconds: 0.0, own, blobs });
    }
    candidates
}

/// All but the newest `keep`.
fn surplus<'a>(files: impl Iterator<Item = &'a Found>, keep: usize) -> impl Iterator<Item = &'a Found> {
    let mut files: Vec<&Found> = files.collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.modified));
    files.into_iter().skip(keep)
}

/// Blobs that no record needs once the results are gone. One that got its name within the grace period, and after every
/// record that was seen to need it, may belong to a record about to be written: it stays where locks do not tell.
fn unneeded_blobs(
    inventory: &Inventory,
    gone: &[(Gone, String)],
    is_past_grace: &dyn Fn(&Found) -> bool,
) -> Vec<(Digest, Found)> {
    let leaving: BTreeSet<Digest> = gone.iter().map(|(gone, _)| gone.it.key).collect();
    let mut needed = BTreeSet::new();
    let mut last_needed: BTreeMap<Digest, SystemTime> = BTreeMap::new();
    for (key, holding) in &inventory.results {
        if !leaving.contains(key) {
            needed.extend(holding.all_blobs().copied());
            continue;
        }
        for blob in holding.all_blobs() {
            let last = last_needed.entry(*blob).or_insert(holding.file.modified);
            *last = holding.file.modified.max(*last);
        }
    }
    let goes = |(digest, found): &(&Digest, &Found)| {
        let has_record = last_needed.get(digest).is_some_and(|record| found.modified <= *record + SLACK);
        !needed.contains(*digest) && (has_record || is_past_grace(found))
    };
    let mut blobs: Vec<(Digest, Found)> =
        inventory.blobs.iter().filter(goes).map(|(digest, found)| (*digest, found.clone())).collect();
    blobs.sort_by_key(|(digest, _)| *digest);
    blobs
}

impl Holding {
    /// What the record and those that came second need, each once.
    fn all_blobs(&self) -> impl Iterator<Item = &Digest> {
        self.blobs.union(&self.second)
    }

    fn candidate(&self, key: Digest, used: SystemTime) -> Candidate {
        let own = self.alternates.as_ref().map_or(0, |folder| folder.size);
        Candidate {
            key,
            is_state: false,
            used,
            seconds: self.record.seconds_in_all(),
            own,
            blobs: self.all_blobs().copied().collect(),
        }
    }
}

impl Inventory {
    /// How many results need each blob.
    fn users(&self) -> HashMap<Digest, usize> {
        let mut users = HashMap::new();
        let blobs = self.results.values().flat_map(Holding::all_blobs);
        blobs.for_each(|blob| *users.entry(*blob).or_insert(0) += 1);
        users
    }

    /// Bytes of blobs that no result needs.
    fn garbage_bytes(&self) -> u64 {
        let users = self.users();
        self.blobs.iter().filter(|(digest, _)| !users.contains_key(*digest)).map(|(_, found)| found.size).sum()
    }
}

impl Limits {
    fn words(&self, why: Why) -> String {
        match why {
            Why::NoRoot => "neither a pin nor one of the newest runs needs it".to_string(),
            Why::Old => "it was last used longer ago than --older-than allows".to_string(),
            Why::Size => "the store was larger than --max-size allows".to_string(),
        }
    }
}

fn report(inventory: &Inventory, cleaning: &Cleaning, kept: Kept) -> Collected {
    let mut removed = Vec::new();
    let mut tell = |what, key: Option<Digest>, found: &Found, bytes, why: &str| {
        let record = key.filter(|_| what == Thing::Result).and_then(|key| inventory.results.get(&key));
        let (kind, name) = record.map(|it| (it.record.kind.clone(), it.record.name.clone())).unzip();
        removed.push(Removed { what, key, kind, name, path: found.path.clone(), bytes, why: why.to_string() });
    };
    let freed_blobs: BTreeSet<Digest> = cleaning.blobs.iter().map(|(digest, _)| *digest).collect();
    let mut told: BTreeSet<Digest> = BTreeSet::new();
    for (gone, why) in &cleaning.states {
        tell(Thing::States, Some(gone.it.key), &inventory.states[&gone.it.key], gone.freed, why);
    }
    for (gone, why) in cleaning.results.iter() {
        tell(Thing::Result, Some(gone.it.key), &inventory.results[&gone.it.key].file, gone.freed, why);
        told.extend(gone.it.blobs.intersection(&freed_blobs));
    }
    for (key, found) in &cleaning.attempts {
        tell(Thing::Attempt, Some(*key), found, found.size, "its process has ended");
    }
    for (key, found) in &cleaning.widows {
        tell(Thing::Alternates, Some(*key), found, found.size, "the result beside which they came second is gone");
    }
    for (digest, found) in cleaning.blobs.iter().filter(|(digest, _)| !told.contains(digest)) {
        tell(Thing::Blob, Some(*digest), found, found.size, "no record needs it");
    }
    let rest = [
        (Thing::Log, &cleaning.logs, "newer runs have their logs"),
        (Thing::Leftover, &cleaning.leftovers, "a crash left it"),
        (Thing::Bookkeeping, &cleaning.bookkeeping, "it has lost its meaning"),
    ];
    for (what, files, why) in rest {
        let bytes = |found: &Found| if what == Thing::Bookkeeping { 0 } else { found.size };
        files.iter().for_each(|found| tell(what, None, found, bytes(found), why));
    }
    let bytes_before = inventory.weight();
    let freed: u64 = removed.iter().map(|it: &Removed| it.bytes).sum();
    let bytes_after = bytes_before.saturating_sub(freed);
    Collected { removed, kept, bytes_before, bytes_after, damaged: inventory.damaged.len() }
}
