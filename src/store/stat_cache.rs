//! The stat cache: what declared files held by what the disk says of them, so that an unchanged file is not read again.
//!
//! `cache/stats` is one line, entries of 72 bytes sorted by device and inode, and the digest of all before it. It is
//! read at the first question and written only by [`StatCache::save`], which `plan` never calls. Whatever is wrong with
//! it costs the time to hash again, and nothing else.

use super::Store;
use super::error::StoreError;
use crate::base::digest::Digest;
use crate::base::fs::{at, write_atomic};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HEADER: &[u8] = b"srlm stats 1\n";
const ID: usize = 16;
const STAMP: usize = 24;
const ENTRY: usize = ID + STAMP + DIGEST;
const DIGEST: usize = 32;
/// A file that changed so shortly before it was hashed may change again without another time: its clock is coarse.
const RACY: Duration = Duration::from_secs(2);
/// Above this many entries (75 MB) those of earlier runs are dropped.
const MOST: usize = 1 << 20;

/// Device and inode: which file.
type Id = [u8; ID];
/// Size and the times of the last change of bytes and of anything: whether it is still the same.
type Stamp = [u8; STAMP];

/// The digests of files that a run and those before it have hashed.
#[derive(Debug)]
pub struct StatCache {
    path: PathBuf,
    /// The entries of the file, checked and in order; empty where there are none to trust.
    earlier: OnceLock<Vec<u8>>,
    fresh: Mutex<BTreeMap<Id, (Stamp, Digest)>>,
}

impl StatCache {
    fn new(path: PathBuf) -> StatCache {
        StatCache { path, earlier: OnceLock::new(), fresh: Mutex::default() }
    }

    /// The digest of a file's bytes: from the cache where size, times, device and inode are those of then.
    ///
    /// # Errors
    /// Whatever the file system says, with the path in the message; also for what is no plain file.
    pub fn digest(&self, path: &Path) -> io::Result<Digest> {
        let found = std::fs::metadata(path).map_err(|error| at(path, error))?;
        if !found.is_file() {
            return Err(at(path, io::Error::other("it is neither a file nor a folder")));
        }
        match self.known(&found) {
            Some(digest) => Ok(digest),
            None => self.hash(path).map_err(|error| at(path, error)),
        }
    }

    /// Hashes a file, and remembers the digest where the file was at rest before, and the same afterwards.
    fn hash(&self, path: &Path) -> io::Result<Digest> {
        let begun = SystemTime::now();
        let file = File::open(path)?;
        let before = file.metadata()?;
        let digest = Digest::of_open_file(&file)?;
        if rests(&before, begun) && stamp(&file.metadata()?) == stamp(&before) {
            let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            fresh.insert(id(&before), (stamp(&before), digest));
        }
        Ok(digest)
    }

    fn known(&self, found: &Metadata) -> Option<Digest> {
        let (id, stamp) = (id(found), stamp(found));
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        let (seen, digest) = fresh.or_else(|| find(self.earlier(), &id))?;
        (seen == stamp).then_some(digest)
    }

    fn earlier(&self) -> &[u8] {
        self.earlier.get_or_init(|| read(&self.path))
    }

    /// The file's content with what was hashed since it was read; none where nothing was.
    fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut entries = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if entries.is_empty() {
            return None;
        }
        // Another run may have written meanwhile: its entries are as good as ours.
        for (id, entry) in read(&self.path).chunks_exact(ENTRY).filter_map(split) {
            if entries.len() < MOST {
                entries.entry(id).or_insert(entry);
            }
        }
        let mut bytes = Vec::with_capacity(HEADER.len() + entries.len() * ENTRY + DIGEST);
        bytes.extend_from_slice(HEADER);
        for (id, (stamp, digest)) in entries {
            bytes.extend_from_slice(&id);
            bytes.extend_from_slice(&stamp);
            bytes.extend_from_slice(&digest.to_bytes());
        }
        let sum = Digest::of_bytes(&bytes);
        bytes.extend_from_slice(&sum.to_bytes());
        Some(bytes)
    }
}

impl Store {
    /// The cache as this store has it. Nothing is read before it is asked, and nothing is written but by
    /// [`Store::save_stats`].
    pub fn stat_cache(&self) -> StatCache {
        StatCache::new(self.layout.stats())
    }

    /// Writes what the cache has learnt, if anything, for the next run.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the store cannot be written: the next run hashes again then.
    pub fn save_stats(&self, cache: &StatCache) -> Result<(), StoreError> {
        let Some(bytes) = cache.to_bytes() else { return Ok(()) };
        let path = self.layout.stats();
        self.layout.prepare_parent(&path)?;
        write_atomic(&path, &bytes).map_err(StoreError::placed("write the stat cache", &path))
    }
}

/// The checked entries of a cache file.
fn read(path: &Path) -> Vec<u8> {
    let Ok(mut bytes) = std::fs::read(path) else { return Vec::new() };
    let Some(end) = bytes.len().checked_sub(DIGEST).filter(|end| *end >= HEADER.len()) else { return Vec::new() };
    let whole = bytes.starts_with(HEADER)
        && (end - HEADER.len()).is_multiple_of(ENTRY)
        && bytes[end..] == Digest::of_bytes(&bytes[..end]).to_bytes();
    if !whole {
        return Vec::new();
    }
    bytes.truncate(end);
    bytes.drain(..HEADER.len());
    bytes
}

fn find(entries: &[u8], wanted: &Id) -> Option<(Stamp, Digest)> {
    let (mut low, mut high) = (0, entries.len() / ENTRY);
    while low < high {
        let middle = low.midpoint(high);
        let (id, entry) = split(&entries[middle * ENTRY..][..ENTRY])?;
        match id.cmp(wanted) {
            std::cmp::Ordering::Equal => return Some(entry),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

fn split(entry: &[u8]) -> Option<(Id, (Stamp, Digest))> {
    let (id, rest) = entry.split_first_chunk::<ID>()?;
    let (stamp, rest) = rest.split_first_chunk::<STAMP>()?;
    Some((*id, (*stamp, Digest::from_bytes(*rest.first_chunk()?))))
}

/// Big end first, so that entries sort by their bytes.
fn id(found: &Metadata) -> Id {
    joined([found.dev(), found.ino()])
}

fn stamp(found: &Metadata) -> Stamp {
    let nanoseconds = |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest) as u64;
    let modified = nanoseconds(found.mtime(), found.mtime_nsec());
    joined([found.size(), modified, nanoseconds(found.ctime(), found.ctime_nsec())])
}

fn joined<const NUMBERS: usize, const BYTES: usize>(numbers: [u64; NUMBERS]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

/// Whether a file last changed long enough before `now` that a later change shows in its times.
fn rests(found: &Metadata, now: SystemTime) -> bool {
    let changed =
        |seconds: i64, rest: i64| UNIX_EPOCH.checked_add(Duration::new(seconds.try_into().ok()?, rest as u32));
    let times = [changed(found.mtime(), found.mtime_nsec()), changed(found.ctime(), found.ctime_nsec())];
    let rested = |time: &SystemTime| now.duration_since(*time).is_ok_and(|since| since >= RACY);
    times.iter().all(|time| time.as_ref().is_some_and(rested))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Fixture {
        folder: tempfile::TempDir,
        store: Store,
    }

    impl Fixture {
        fn new() -> Fixture {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path().join("store")).unwrap();
            Fixture { folder, store }
        }

        fn file(&self, text: &str) -> PathBuf {
            let path = self.folder.path().join("file");
            fs::write(&path, text).unwrap();
            path
        }

        /// A cache on disk that holds `digest` for the file, true or not.
        fn saved(&self, path: &Path, digest: Digest) -> StatCache {
            let found = fs::metadata(path).unwrap();
            let cache = self.store.stat_cache();
            cache.fresh.lock().unwrap().insert(id(&found), (stamp(&found), digest));
            self.store.save_stats(&cache).unwrap();
            self.store.stat_cache()
        }
    }

    #[test]
    fn an_unchanged_file_is_not_read_and_a_changed_one_is() {
        let fixture = Fixture::new();
        let (path, planted) = (fixture.file("one"), Digest::of_bytes(b"planted"));
        let cache = fixture.saved(&path, planted);
        assert_eq!(cache.digest(&path).unwrap(), planted, "the cache was believed");
        std::thread::sleep(Duration::from_millis(20));
        let times = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(times).unwrap();
        assert_eq!(cache.digest(&path).unwrap(), Digest::of_bytes(b"two"), "same size and mtime, but another ctime");
    }

    #[test]
    fn a_file_that_changed_just_now_is_hashed_every_time() {
        let fixture = Fixture::new();
        let path = fixture.file("one");
        let cache = fixture.store.stat_cache();
        assert_eq!(cache.digest(&path).unwrap(), Digest::of_bytes(b"one"));
        assert!(cache.to_bytes().is_none());
        let found = fs::metadata(&path).unwrap();
        let changed = found.modified().unwrap();
        assert!(!rests(&found, changed + Duration::from_millis(1900)) && !rests(&found, UNIX_EPOCH));
        assert!(rests(&found, changed + Duration::from_millis(2100)));
    }

    #[test]
    fn a_damaged_cache_costs_time_and_nothing_else() {
        let fixture = Fixture::new();
        let (path, planted) = (fixture.file("one"), Digest::of_bytes(b"planted"));
        fixture.saved(&path, planted);
        let stats = fixture.store.layout().stats();
        let whole = fs::read(&stats).unwrap();
        let mut flipped = whole.clone();
        flipped[HEADER.len() + ID + STAMP] ^= 1;
        for damaged in
            [b"".as_slice(), b"garbage", &whole[..whole.len() - 1], &whole[..HEADER.len() + DIGEST], &flipped]
        {
            fs::write(&stats, damaged).unwrap();
            assert_eq!(fixture.store.stat_cache().digest(&path).unwrap(), Digest::of_bytes(b"one"));
        }
        fs::write(&stats, &whole).unwrap();
        assert_eq!(fixture.store.stat_cache().digest(&path).unwrap(), planted);
    }

    #[test]
    fn two_runs_keep_what_each_has_learnt() {
        let fixture = Fixture::new();
        let digest = |number: u64| Digest::of_bytes(&number.to_le_bytes());
        let learn = |numbers: std::ops::Range<u64>| {
            let cache = fixture.store.stat_cache();
            let mut fresh = cache.fresh.lock().unwrap();
            fresh.extend(numbers.map(|number| (joined([1, number]), (joined([number, 0, 0]), digest(number)))));
            drop(fresh);
            cache
        };
        let (one, two) = (learn(0..500), learn(300..1000));
        one.earlier();
        fixture.store.save_stats(&two).unwrap();
        fixture.store.save_stats(&one).unwrap();
        let entries = read(&fixture.store.layout().stats());
        assert!(
            (0..1000).all(|number| {
                find(&entries, &joined([1, number])) == Some((joined([number, 0, 0]), digest(number)))
            })
        );
        assert_eq!(find(&entries, &joined([1, 1000])), None);
    }

    #[test]
    fn asking_writes_nothing() {
        let fixture = Fixture::new();
        let path = fixture.file("one");
        fixture.store.stat_cache().digest(&path).unwrap();
        assert!(!fixture.store.root().exists());
    }
}
