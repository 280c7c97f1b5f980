//! A model of a disk that loses what was not flushed: for tests that cut the power at every moment of some work.
//!
//! A power cut may undo any change that was not flushed, each by itself: a name is there, gone or leads to what it led to
//! before; bytes are there, empty, cut short or garbage.

use super::fs_trace::{Change, listen};
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
pub(crate) struct Disk {
    base: PathBuf,
    bodies: Vec<Body>,
    now: HashMap<PathBuf, Inode>,
    /// What a name in a folder has led to: first what is flushed, then every change since.
    names: BTreeMap<(Inode, PathBuf), Vec<Option<Inode>>>,
}

impl Disk {
    /// A disk on which nothing has been written yet.
    pub(crate) fn new(base: &Path) -> Disk {
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

    /// The same disk, seen at another path.
    pub(crate) fn at(self, base: &Path) -> Disk {
        Disk { base: base.to_path_buf(), ..self }
    }

    /// What is on the disk after a power cut in which `cut` decided, written to `target`.
    pub(crate) fn after(&self, cut: &mut Cut, target: &Path) {
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
pub(crate) enum Cut {
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
pub(crate) fn cuts(moment: usize) -> impl Iterator<Item = Cut> {
    let any = (0..8).map(move |turn| Cut::Any(0x9e37_79b9_7f4a_7c15 ^ (moment as u64 * 64 + turn + 1)));
    [Cut::NamesOnly, Cut::Garbage, Cut::Nothing].into_iter().chain(any)
}

/// A folder in memory where there is one: what is flushed here is only so in the model.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// Every state that the disk is in while `work` runs, each with what `work` had come to by then.
pub(crate) fn states_of<T: Clone + Send + 'static>(
    disk: Disk,
    first: T,
    work: impl FnOnce(&dyn Fn(T)),
) -> Vec<(Disk, T)> {
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
