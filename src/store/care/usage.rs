//! `du`: what the bytes of a store are for. Bytes that several things share are counted once.

use super::inventory::{Found, Holding, Inventory};
use crate::base::digest::Digest;
use crate::store::{Store, StoreError};
use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

/// What takes room in a store.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Sorts of things, results first.
    pub rows: Vec<UsageRow>,
    /// Bytes of all of them together.
    pub bytes: u64,
}

/// One sort of things.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UsageRow {
    /// `results`, `shared`, `alternates`, `states`, `attempts`, `unreferenced`, `logs`, `bookkeeping`, `leftovers`, `other`
    /// or `strangers`.
    pub what: &'static str,
    /// The stage kind, of results.
    pub kind: Option<String>,
    /// The stage's name, of results told apart by it.
    pub name: Option<String>,
    /// How many there are.
    pub count: usize,
    /// Bytes that are theirs alone.
    pub bytes: u64,
}

/// Whose a blob is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    Row(usize),
    Several,
    Alternates,
}

impl Store {
    /// What takes room, results told apart by the kinds of their stages, or by their names as well.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the store cannot be read.
    pub fn usage(&self, by_name: bool) -> Result<Usage, StoreError> {
        let inventory = Inventory::take(self, SystemTime::now())?;
        let mut rows = result_rows(&inventory, by_name);
        rows.extend(other_rows(&inventory));
        rows.retain(|row| row.count > 0 || row.bytes > 0);
        let bytes = rows.iter().map(|row| row.bytes).sum();
        Ok(Usage { rows, bytes })
    }
}

fn result_rows(inventory: &Inventory, by_name: bool) -> Vec<UsageRow> {
    let group = |it: &Holding| (it.record.kind.clone(), by_name.then(|| it.record.name.clone()));
    let mut groups: BTreeMap<_, Vec<&Holding>> = BTreeMap::new();
    inventory.results.values().for_each(|it| groups.entry(group(it)).or_default().push(it));
    let mut rows: Vec<UsageRow> = Vec::new();
    let mut users: HashMap<Digest, User> = HashMap::new();
    for (index, ((kind, name), held)) in groups.into_iter().enumerate() {
        for blob in held.iter().flat_map(|it| &it.blobs) {
            let user = users.entry(*blob).or_insert(User::Row(index));
            *user = if *user == User::Row(index) { *user } else { User::Several };
        }
        let bytes = held.iter().map(|it| it.file.size).sum();
        rows.push(UsageRow { what: "results", kind: Some(kind), name, count: held.len(), bytes });
    }
    for blob in inventory.results.values().flat_map(|it| &it.second) {
        users.entry(*blob).or_insert(User::Alternates);
    }
    let (mut shared, mut alternates, mut unreferenced) = (row("shared"), row("alternates"), row("unreferenced"));
    for (digest, found) in &inventory.blobs {
        match users.get(digest) {
            Some(User::Row(index)) => rows[*index].bytes += found.size,
            Some(User::Several) => shared.add(found),
            Some(User::Alternates) => alternates.bytes += found.size,
            None => unreferenced.add(found),
        }
    }
    let folders = inventory.results.values().filter_map(|it| it.alternates.as_ref());
    folders.chain(inventory.widows.iter().map(|(_, folder)| folder)).for_each(|folder| alternates.add(folder));
    rows.extend([shared, alternates, unreferenced]);
    rows
}

fn other_rows(inventory: &Inventory) -> Vec<UsageRow> {
    let keyed = [&inventory.leases, &inventory.tombstones, &inventory.leads];
    let bookkeeping = keyed.into_iter().flatten().map(|(_, file)| file).chain(&inventory.roots);
    vec![
        sum("states", inventory.states.values()),
        sum("attempts", inventory.attempts.iter().map(|work| &work.folder)),
        sum("logs", inventory.logs.iter()),
        sum("bookkeeping", bookkeeping),
        sum("leftovers", inventory.leftovers.iter()),
        sum("other", inventory.other.iter()),
        sum("strangers", inventory.strangers.iter()),
    ]
}

fn row(what: &'static str) -> UsageRow {
    UsageRow { what, kind: None, name: None, count: 0, bytes: 0 }
}

fn sum<'a>(what: &'static str, files: impl Iterator<Item = &'a Found>) -> UsageRow {
    let mut all = row(what);
    files.for_each(|file| all.add(file));
    all
}

impl UsageRow {
    fn add(&mut self, found: &Found) {
        self.count += 1;
        self.bytes += found.size;
    }
}
