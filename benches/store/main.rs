//! How fast bytes are hashed and get into the store, beside `b3sum` and beside `cp` and `sync`.
//!
//! `cargo bench --bench store -- FOLDER` writes about 4 GiB below FOLDER, which should lie on the disk in question, and
//! removes it again. `b3sum` is left out where it is not installed.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run has nothing to say")]

use srlm::base::digest::Digest;
use srlm::driver::DiskFiles;
use srlm::plan::Files;
use srlm::store::{RecordDraft, Store};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const GIB: usize = 1 << 30;
const SMALL_FILES: usize = 100_000;

fn main() {
    let asked = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = PathBuf::from(asked.unwrap_or_else(|| ".".into())).join("srlm-bench-store");
    fs::create_dir_all(&folder).expect("the folder can be made");
    hash_one_file(&folder);
    hash_many_files(&folder);
    publish(&folder);
    fs::remove_dir_all(&folder).expect("it was ours");
}

/// One GiB that does not compress, and whose pages differ.
fn write_gib(path: &Path) {
    let mut stream = blake3::Hasher::new().finalize_xof();
    let mut buffer = vec![0; 1 << 20];
    let mut file = File::create(path).expect("writable");
    for _ in 0..GIB / buffer.len() {
        stream.fill(&mut buffer);
        file.write_all(&buffer).expect("there is room");
    }
}

fn timed(what: &str, work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    let took = started.elapsed();
    println!("{what:<46} {:>9.3} s", took.as_secs_f64());
    took
}

fn ran(program: &str, arguments: &[&Path]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// The best of five: what the others add is noise.
fn best(what: &str, mut work: impl FnMut()) {
    let once = || {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    let took = std::iter::repeat_with(once).take(5).min().unwrap_or_default();
    println!("{what:<46} {:>9.3} s", took.as_secs_f64());
}

fn hash_one_file(folder: &Path) {
    let path = folder.join("gib");
    write_gib(&path);
    best("hash 1 GiB, srlm", || assert!(Digest::of_file(&path).is_ok()));
    if ran("b3sum", &[&path]) {
        best("hash 1 GiB, b3sum", || assert!(ran("b3sum", &[&path])));
    }
    fs::remove_file(path).expect("it was ours");
}

fn hash_many_files(folder: &Path) {
    let (files, store) = (folder.join("files"), Store::open(folder.join("store")).expect("a new store"));
    for number in 0..SMALL_FILES {
        let inside = files.join(format!("{:03}", number / 1000));
        fs::create_dir_all(&inside).expect("writable");
        fs::write(inside.join(format!("{number}.txt")), number.to_string()).expect("writable");
    }
    // Younger files are hashed again each time.
    std::thread::sleep(Duration::from_secs(3));
    let digest = |files_of: &DiskFiles| files_of.digest(&files.to_string_lossy()).expect("readable");
    let first = DiskFiles::new(&store);
    let mut digests = Vec::new();
    timed("hash 100,000 small files, first", || digests.push(digest(&first)));
    timed("write the stat cache", || first.remember(&store));
    for _ in 0..3 {
        timed("hash 100,000 small files, again", || digests.push(digest(&DiskFiles::new(&store))));
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
    fs::remove_dir_all(files).expect("it was ours");
}

fn publish(folder: &Path) {
    for _ in 0..3 {
        let (from, to) = (folder.join("from"), folder.join("to"));
        write_gib(&from);
        // In favour of `cp`: only its own copy is left to be flushed.
        assert!(ran("sync", &[&from]));
        let copied = timed("1 GiB, cp and sync", || assert!(ran("cp", &[&from, &to]) && ran("sync", &[&to])));
        fs::remove_file(&to).expect("it was ours");
        fs::remove_file(&from).expect("it was ours");
        let store = Store::open(folder.join("store")).expect("it opens");
        let attempt = store.attempt(&Digest::of_bytes(b"key")).expect("writable");
        write_gib(&attempt.out.join("model.safetensors"));
        let outputs = BTreeMap::from([("model".to_string(), attempt.out.clone())]);
        let published = timed("1 GiB, published", || drop(store.publish(draft(), &outputs).expect("it publishes")));
        println!("{:<46} {:>9.2} ×", "published against cp and sync", published.as_secs_f64() / copied.as_secs_f64());
        fs::remove_dir_all(folder.join("store")).expect("it was ours");
    }
}

fn draft() -> RecordDraft {
    RecordDraft {
        key: Digest::of_bytes(b"key"),
        shallow: Digest::of_bytes(b"shallow"),
        kind: "exec".into(),
        name: "bench".into(),
        document: serde_json::json!({}),
        inputs: BTreeMap::new(),
        metrics: BTreeMap::new(),
        seconds: 0.0,
        threads: 1,
        peak_memory: None,
        device: "cpu".into(),
        declared_at: None,
        run: "bench".into(),
        resumed: None,
    }
}
