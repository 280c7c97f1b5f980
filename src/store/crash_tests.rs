//! Test 2 of the store's design: a model of a disk that loses what was not flushed, and every moment of publishing cut
//! off on it.
//!
//! A power cut may undo any change that was not flushed, each by itself: a name is there, gone or leads to what it led to
//! before; bytes are there, empty, cut short or garbage. After each such cut no wrong result may be found, no result
//! that was acknowledged may be lost, and the same work must come to the same bytes.

use super::tests::{FILES, digest, draft, outputs};
use super::*;
use crate::base::digest::Digest;
use crate::base::fs_trace::{Change, listen};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

type Inode = usize;

/// What a file or folder holds.
#[derive(Clone)]
enum Body {
    Folder,
    /// Bytes that survive, and bytes that were written since.
    File {
        flushed: Option<Vec<u8>>,
        pending: Option<Vec<u8>>,
    },
}

/// A disk as it is, and as a power cut may leave it. Paths count from `base`, which was there before.
#[derive(Clone)]
struct Disk {
    base: PathBuf,
    bodies: Vec<Body>,
    now: HashMap<PathBuf, Inode>,
    /// What a name in a folder has led to: first what is flushed, then every change since.
    names: BTreeMap<(Inode, PathBuf), Vec<Option<Inode>>>,
}

impl Disk {
    fn new(base: &Path) -> Disk {
        let now = HashMap::from([(PathBuf::new(), 0)]);
        Disk { base: base.to_path_buf(), bodies: vec![Body::Folder], now, names: BTreeMap::new() }
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::MadeFolder(path) => {
                self.folder(&self.inside(path));
            }
            Change::Wrote(path) => self.write(path, false),
            Change::FlushedFile(path) => self.write(path, true),
            Change::FlushedFolder(path) => self.flush_names(path),
            Change::Linked(from, to) => {
                let inode = self.file(from, from);
                self.name(&self.inside(to), Some(inode));
            }
            Change::Renamed(from, to) => self.rename(from, to),
            Change::Removed(path) => self.remove(&self.inside(path)),
        }
    }

    fn inside(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.base).expect("the listener hears of nothing else").to_path_buf()
    }

    fn add(&mut self, body: Body) -> Inode {
        self.bodies.push(body);
        self.bodies.len() - 1
    }

    /// The folder at a path; one that the model has not heard of was made and not flushed.
    fn folder(&mut self, path: &Path) -> Inode {
        if let Some(inode) = self.now.get(path) {
            return *inode;
        }
        let inode = self.add(Body::Folder);
        self.name(path, Some(inode));
        inode
    }

    /// The file at a path, whose bytes lie at `bytes`; one that the model has not heard of was not flushed.
    fn file(&mut self, path: &Path, bytes: &Path) -> Inode {
        let path = self.inside(path);
        if let Some(inode) = self.now.get(&path) {
            return *inode;
        }
        let inode = self.add(Body::File { flushed: None, pending: fs::read(bytes).ok() });
        self.name(&path, Some(inode));
        inode
    }

    fn name(&mut self, path: &Path, inode: Option<Inode>) {
        let folder = self.folder(path.parent().expect("nothing renames the base"));
        let name = PathBuf::from(path.file_name().expect("it has a name"));
        self.names.entry((folder, name)).or_insert_with(|| vec![None]).push(inode);
        match inode {
            Some(inode) => self.now.insert(path.to_path_buf(), inode),
            None => self.now.remove(path),
        };
    }

    fn write(&mut self, path: &Path, is_flushed: bool) {
        let inode = self.file(path, path);
        let Body::File { flushed, pending } = &mut self.bodies[inode] else { return };
        let bytes = fs::read(path).expect("it was written a moment ago");
        (*flushed, *pending) = if is_flushed { (Some(bytes), None) } else { (flushed.take(), Some(bytes)) };
    }

    fn flush_names(&mut self, path: &Path) {
        let path = if path.starts_with(&self.base) { self.inside(path) } else { return };
        let folder = self.folder(&path);
        for (_, history) in self.names.iter_mut().filter(|((inside, _), _)| *inside == folder) {
            history.drain(..history.len() - 1);
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let inode = self.file(from, to);
        let (from, to) = (self.inside(from), self.inside(to));
        self.name(&from, None);
        self.name(&to, Some(inode));
        let moved: Vec<PathBuf> = self.now.keys().filter(|path| path.starts_with(&from)).cloned().collect();
        for path in moved {
            let inode = self.now.remove(&path).expect("it was there");
            self.now.insert(to.join(path.strip_prefix(&from).expect("it lies below")), inode);
        }
    }

    fn remove(&mut self, path: &Path) {
        let mut gone: Vec<PathBuf> = self.now.keys().filter(|other| other.starts_with(path)).cloned().collect();
        gone.sort();
        gone.iter().rev().for_each(|path| self.name(path, None));
    }

    /// What is on the disk after a power cut in which `cut` decided.
    fn after(&self, cut: &mut Cut, target: &Path) {
        let mut open = vec![(0, target.to_path_buf())];
        while let Some((folder, path)) = open.pop() {
            fs::create_dir_all(&path).expect("writable");
            for ((_, name), history) in self.names.range((folder, PathBuf::new())..(folder + 1, PathBuf::new())) {
                let Some(inode) = history[cut.name(history.len())] else { continue };
                match &self.bodies[inode] {
                    Body::Folder => open.push((inode, path.join(name))),
                    Body::File { flushed, pending } => {
                        let bytes = cut.bytes(flushed.as_deref(), pending.as_deref());
                        fs::write(path.join(name), bytes).expect("writable");
                    }
                }
            }
        }
    }
}

/// How a power cut decides about what was not flushed.
enum Cut {
    /// There was none: the process was killed.
    None,
    /// Every name is there, and no byte.
    NamesOnly,
    /// Every name is there, and garbage in place of bytes.
    Garbage,
    /// Nothing is there.
    Nothing,
    /// Each by itself, by the numbers that follow from a seed.
    Any(u64),
}

impl Cut {
    fn draw(&mut self, below: usize) -> usize {
        let Cut::Any(state) = self else { return 0 };
        // xorshift64: any stream that is the same in every run will do.
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state % below as u64) as usize
    }

    fn name(&mut self, changes: usize) -> usize {
        match self {
            Cut::None | Cut::NamesOnly | Cut::Garbage => changes - 1,
            Cut::Nothing => 0,
            Cut::Any(_) => self.draw(changes),
        }
    }

    fn bytes(&mut self, flushed: Option<&[u8]>, pending: Option<&[u8]>) -> Vec<u8> {
        let Some(pending) = pending else { return flushed.unwrap_or_default().to_vec() };
        let choice = match self {
            Cut::None => 0,
            Cut::NamesOnly | Cut::Nothing => 1,
            Cut::Garbage => 2,
            Cut::Any(_) => self.draw(5),
        };
        match choice {
            0 => pending.to_vec(),
            1 => Vec::new(),
            2 => vec![0xa5; pending.len()],
            3 => pending[..pending.len() / 2].to_vec(),
            _ => flushed.unwrap_or_default().to_vec(),
        }
    }
}

/// The cuts that are tried at a moment.
fn cuts(moment: usize) -> impl Iterator<Item = Cut> {
    let any = (0..8).map(move |turn| Cut::Any(0x9e37_79b9_7f4a_7c15 ^ (moment as u64 * 64 + turn + 1)));
    [Cut::NamesOnly, Cut::Garbage, Cut::Nothing].into_iter().chain(any)
}

/// A folder in memory where there is one: what is flushed here is only so in the model.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// Every state that the disk is in while `work` runs, each with what `work` had come to by then.
fn states_of<T: Clone + Send + 'static>(disk: Disk, first: T, work: impl FnOnce(&dyn Fn(T))) -> Vec<(Disk, T)> {
    let base = disk.base.clone();
    let states = Arc::new(Mutex::new(vec![(disk, first)]));
    let listener = Arc::clone(&states);
    let take = move |change: Change| {
        let mut states = listener.lock().expect("no panic");
        let (mut disk, reached) = states.last().expect("there is a first").clone();
        disk.take(change);
        states.push((disk, reached));
    };
    let reached = Arc::clone(&states);
    let acknowledge = move |now: T| reached.lock().expect("no panic").last_mut().expect("there is a first").1 = now;
    listen(&base, Arc::new(take), || work(&acknowledge));

    states.lock().expect("no panic").clone()
}

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
        let disk = Disk { base: second.path().to_path_buf(), ..killed };
        let states = states_of(disk, (), |_| drop(publish(&open(second.path()), "one")));
        let (disk, ()) = states.last().expect("there is a first");
        for mut cut in cuts(moment) {
            let after = folder();
            disk.after(&mut cut, after.path());
            assert_eq!(found(&open(after.path())), ["one"], "killed after change {moment}");
        }
    }
}
