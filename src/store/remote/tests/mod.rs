//! Tests of the remote cache: machines that share one, and whatever a network may do to them.

mod faults;
mod storms;

use super::link::{Link, Patience};
use super::*;
use crate::base::event::Event;
use crate::store::artifact::Artifact;
use crate::store::{Lookup, Record, RecordDraft};
use faults::{Fault, Faulty};
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

/// A machine with a store of its own.
struct Machine {
    _folder: tempfile::TempDir,
    store: Store,
    remote: Remote,
}

fn patience() -> Patience {
    let (pause, answer) = (Duration::from_millis(1), Duration::from_secs(10));
    Patience { attempts: 3, pause, answer, sending: answer, rest: Duration::from_secs(60) }
}

fn machine(shared: Arc<dyn ObjectStore>) -> Machine {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let remote = connect(&store, shared);
    Machine { _folder: folder, store, remote }
}

fn connect(store: &Store, shared: Arc<dyn ObjectStore>) -> Remote {
    Remote::with("s3://team/cache".into(), "cache", Link::to(shared, patience()), store)
}

fn digest(text: &str) -> Digest {
    Digest::of_bytes(text.as_bytes())
}

fn draft(name: &str) -> RecordDraft {
    RecordDraft {
        key: digest(name),
        shallow: digest(&format!("shallow {name}")),
        kind: "sft".into(),
        name: name.into(),
        document: json!({ "kind": "sft", "science": { "learning_rate": 1e-3 } }),
        inputs: BTreeMap::new(),
        metrics: BTreeMap::from([("loss".to_string(), 0.1 + 0.2)]),
        seconds: 1.5,
        threads: 2,
        peak_memory: None,
        resumed: None,
        device: "cpu".into(),
        declared_at: None,
        run: "run-1".into(),
    }
}

impl Machine {
    /// A stage's result with these files.
    fn make(&self, name: &str, files: &[(&str, &[u8])]) -> Record {
        let draft = draft(name);
        let attempt = self.store.attempt(&draft.key).unwrap();
        for (file, bytes) in files {
            let path = attempt.out.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        self.store.publish(draft, &BTreeMap::from([("model".to_string(), attempt.out)])).unwrap().record
    }

    /// As a run does at its end; returns what was told.
    fn upload(&self, records: &[Record]) -> Vec<Event> {
        records.iter().for_each(|record| self.remote.offer(&record.key));
        self.finish()
    }

    fn finish(&self) -> Vec<Event> {
        let told = Mutex::new(Vec::new());
        self.remote.finish(&|| false, &|event| told.lock().unwrap().push(event));
        told.into_inner().unwrap()
    }

    /// Asks for a key and brings the result in.
    fn take(&self, name: &str) -> Result<Record, String> {
        let question = Question::Key(digest(name));
        self.remote.ask([question]);
        match self.remote.answer(&question).unwrap() {
            Answer::Found(record) => {
                self.remote.fetch(&record).map_err(|error| error.to_string())?;
                self.has(name).ok_or_else(|| "fetched, and not here".to_string())
            }
            Answer::Absent => Err("absent".to_string()),
            Answer::Failed(why) => Err(why),
        }
    }

    /// The result here, every byte of it held against its digest.
    fn has(&self, name: &str) -> Option<Record> {
        let Lookup::Found(record) = self.store.lookup(&digest(name)).unwrap() else { return None };
        for output in record.outputs.values() {
            let artifact: Artifact = self.store.artifact(output).unwrap();
            for entry in artifact.entries() {
                let bytes = fs::read(self.store.layout().blob(&entry.blob)).unwrap();
                assert_eq!(Digest::of_bytes(&bytes), entry.blob, "a wrong byte came into the store");
            }
        }
        Some(*record)
    }

    fn warnings(&self) -> Vec<String> {
        warnings(&self.remote.news())
    }
}

fn warnings(events: &[Event]) -> Vec<String> {
    let warning = |event: &Event| match event {
        Event::RemoteWarning { message } => Some(message.clone()),
        _ => None,
    };
    events.iter().filter_map(warning).collect()
}

/// Runs what is asynchronous in a test.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn names(shared: &Arc<InMemory>) -> Vec<String> {
    let listed = wait(shared.list(None).try_collect::<Vec<_>>()).unwrap();
    let mut names: Vec<String> = listed.into_iter().map(|meta| meta.location.to_string()).collect();
    names.sort();
    names
}

fn put(shared: &Arc<InMemory>, name: &str, bytes: &[u8]) {
    wait(shared.put(&Name::from(name), PutPayload::from(bytes.to_vec()))).unwrap();
}

/// The name of the blob with these bytes.
fn blob(bytes: &[u8]) -> String {
    let digest = Digest::of_bytes(bytes).to_string();
    format!("cache/objects/{}/{}", &digest[..2], &digest[2..])
}

const FILES: &[(&str, &[u8])] = &[("config.json", b"{}"), ("weights/a", b"aaaa"), ("weights/b", b""), ("copy", b"{}")];

#[test]
fn what_one_machine_made_another_one_has() {
    let shared = Arc::new(InMemory::new());
    let (one, two) = (machine(shared.clone()), machine(shared.clone()));
    let made = one.make("warm", FILES);
    let told = one.upload(std::slice::from_ref(&made));
    // Three different files and the list of them.
    let uploaded_bytes = 6 + fs::metadata(one.store.layout().blob(&made.outputs["model"])).unwrap().len();
    let summary = Event::RemoteFinished { fetched: 0, fetched_bytes: 0, uploaded: 1, uploaded_bytes, left: 0 };
    assert_eq!(told, [summary]);
    assert_eq!(names(&shared).len(), 1 + 4 + 1 + 1, "marker, blobs, shallow lead, record: {:?}", names(&shared));

    assert_eq!(two.take("warm").unwrap(), made);
    let record = |machine: &Machine| fs::read(machine.store.layout().record(&made.key)).unwrap();
    assert_eq!(record(&one), record(&two), "the same record to the byte");
    let shallow = two.store.lookup_shallow(&made.shallow).unwrap().found();
    assert_eq!(shallow, Some(made.clone()));
    assert!(!two.store.layout().attempts(&made.key).exists(), "nothing is left of the way");
    assert_eq!(two.take("cold").unwrap_err(), "absent");
    assert!(two.warnings().is_empty());
}

#[test]
fn a_shallow_key_leads_to_the_record() {
    let shared = Arc::new(InMemory::new());
    let (one, two) = (machine(shared.clone()), machine(shared.clone()));
    let made = one.make("warm", FILES);
    one.upload(std::slice::from_ref(&made));
    let questions = [Question::Shallow(made.shallow), Question::Shallow(digest("another"))];
    two.remote.ask(questions);
    assert_eq!(two.remote.answer(&questions[0]), Some(Answer::Found(Box::new(made.clone()))));
    assert_eq!(two.remote.answer(&Question::Key(made.key)), Some(Answer::Found(Box::new(made))));
    assert_eq!(two.remote.answer(&questions[1]), Some(Answer::Absent));
}

#[test]
fn without_a_question_nothing_is_asked() {
    let faulty = Faulty::new(&Arc::new(InMemory::new()), []);
    let machine = machine(faulty.clone());
    machine.remote.resume();
    assert!(machine.finish().is_empty());
    assert_eq!(faulty.requests(), 0);
    // An empty remote cache is seen by one question, however many there are.
    machine.remote.ask((0..1000).map(|n| Question::Key(digest(&n.to_string()))));
    assert_eq!(faulty.requests(), 1);
}

#[test]
fn a_thousand_misses_are_no_minute_of_waiting() {
    let shared = Arc::new(InMemory::new());
    let maker = machine(shared.clone());
    maker.upload(&[maker.make("warm", FILES)]);
    let faulty = Faulty::new(&shared, []);
    faulty.delay.store(20, std::sync::atomic::Ordering::Relaxed);
    let machine = machine(faulty.clone());
    let started = Instant::now();
    machine.remote.ask((0..1000).map(|n| Question::Key(digest(&n.to_string()))));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(faulty.requests(), 1001);
    machine.remote.ask((0..1000).map(|n| Question::Key(digest(&n.to_string()))));
    assert_eq!(faulty.requests(), 1001, "what was not there a moment ago is not asked for again");
}

#[test]
fn one_that_is_down_is_told_once_and_costs_no_time() {
    let faulty = Faulty::new(&Arc::new(InMemory::new()), []);
    faulty.down.store(true, std::sync::atomic::Ordering::Relaxed);
    let machine = machine(faulty.clone());
    let question = |n: usize| Question::Key(digest(&n.to_string()));
    machine.remote.ask((0..1000).map(question));
    let failed = Some(Answer::Failed("cannot be reached: connection refused".to_string()));
    assert!((0..1000).all(|n| machine.remote.answer(&question(n)) == failed));
    let record = machine.make("warm", FILES);
    let told = machine.upload(std::slice::from_ref(&record));
    assert_eq!(warnings(&told), ["the remote cache s3://team/cache cannot be reached: connection refused"]);
    let left = Event::RemoteFinished { fetched: 0, fetched_bytes: 0, uploaded: 0, uploaded_bytes: 0, left: 1 };
    assert_eq!(told.last(), Some(&left));
    assert_eq!(faulty.requests(), 3, "three tries at its marker, and no more");
}

#[test]
fn what_could_not_be_uploaded_is_uploaded_by_the_next_run() {
    let faulty = Faulty::new(&Arc::new(InMemory::new()), []);
    faulty.down.store(true, std::sync::atomic::Ordering::Relaxed);
    let one = machine(faulty.clone());
    one.upload(&[one.make("warm", FILES)]);
    faulty.heal();
    let again = Machine { remote: connect(&one.store, faulty.clone()), ..one };
    again.remote.resume();
    let told = again.finish();
    assert!(matches!(told[..], [Event::RemoteFinished { uploaded: 1, left: 0, .. }]), "{told:?}");
    assert!(machine(faulty).take("warm").is_ok());
    // Nothing is left to do, nor of the queue.
    let last = Machine { remote: connect(&again.store, Arc::new(InMemory::new())), ..again };
    last.remote.resume();
    assert!(last.finish().is_empty());
}

#[test]
fn damage_is_never_taken_and_mended_by_the_next_upload() {
    let good = blob(b"aaaa");
    let damages: [fn(&Arc<InMemory>, &str); 3] = [
        |shared, name| wait(shared.delete(&Name::from(name))).unwrap(),
        |shared, name| put(shared, name, b"aa"),
        |shared, name| put(shared, name, b"aaab"),
    ];
    for damage in damages {
        let shared = Arc::new(InMemory::new());
        let (one, two, three) = (machine(shared.clone()), machine(shared.clone()), machine(shared.clone()));
        one.upload(&[one.make("warm", FILES)]);
        damage(&shared, &good);
        let why = two.take("warm").unwrap_err();
        assert!(why.contains("holds damaged bytes"), "{why}");
        assert_eq!(two.has("warm"), None);
        assert_eq!(two.warnings().len(), 1);
        assert!(two.take("warm").is_err(), "it is not asked for again");

        // The stage runs there instead, and its result replaces what is damaged.
        let told = two.upload(&[two.make("warm", FILES)]);
        assert!(warnings(&told).is_empty(), "{told:?}");
        assert!(three.take("warm").is_ok());
    }
}

#[test]
fn a_damaged_list_of_files_names_no_file_outside() {
    let shared = Arc::new(InMemory::new());
    let (one, two) = (machine(shared.clone()), machine(shared.clone()));
    let made = one.make("warm", FILES);
    one.upload(std::slice::from_ref(&made));
    // A list that leads out, under its own right digest, in a record with a right seal.
    let evil = serde_json::to_vec(&json!({"files": [{"path": "../x", "size": 4, "blob": Digest::of_bytes(b"aaaa")}]}));
    let evil = evil.unwrap();
    put(&shared, &blob(&evil), &evil);
    let record = Record { outputs: BTreeMap::from([("model".into(), Digest::of_bytes(&evil))]).into(), ..made };
    put(&shared, &format!("cache/records/{}.json", record.key), record.to_text().unwrap().as_bytes());
    let why = two.take("warm").unwrap_err();
    assert!(why.contains("no name inside an artifact"), "{why}");
}

#[test]
fn a_record_that_cannot_be_read_gives_way() {
    for garbage in [&b""[..], b"{}", b"\xff\xfe", b"{\n  \"key\": 1,\n  \"seal\": \"00\"\n}\n"] {
        let shared = Arc::new(InMemory::new());
        let (one, two) = (machine(shared.clone()), machine(shared.clone()));
        let made = one.make("warm", FILES);
        one.upload(&[one.make("other", FILES)]);
        put(&shared, &format!("cache/records/{}.json", made.key), garbage);
        assert!(one.take("warm").unwrap_err().contains("the record"));
        one.upload(std::slice::from_ref(&made));
        assert_eq!(two.take("warm").unwrap(), made);
    }
}

#[test]
fn a_record_under_the_key_of_another_does_not_count() {
    let shared = Arc::new(InMemory::new());
    let (one, two) = (machine(shared.clone()), machine(shared.clone()));
    let made = one.make("warm", FILES);
    one.upload(std::slice::from_ref(&made));
    put(&shared, &format!("cache/records/{}.json", digest("cold")), made.to_text().unwrap().as_bytes());
    assert!(two.take("cold").unwrap_err().contains("it is the record of"));
    put(&shared, &format!("cache/shallow/{}", digest("shallow cold")), format!("{}\n", made.key).as_bytes());
    let question = Question::Shallow(digest("shallow cold"));
    two.remote.ask([question]);
    assert_eq!(two.remote.answer(&question), Some(Answer::Absent));
}

#[test]
fn a_lead_to_nowhere_is_replaced() {
    let shared = Arc::new(InMemory::new());
    let (one, two) = (machine(shared.clone()), machine(shared.clone()));
    let made = one.make("warm", FILES);
    put(&shared, &format!("cache/shallow/{}", made.shallow), format!("{}\n", digest("never came")).as_bytes());
    one.upload(std::slice::from_ref(&made));
    two.remote.ask([Question::Shallow(made.shallow)]);
    assert_eq!(two.remote.answer(&Question::Shallow(made.shallow)), Some(Answer::Found(Box::new(made))));
}

#[test]
fn of_racing_uploads_the_first_wins_and_the_others_keep_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    for shared in [Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, disk] {
        let machines: Vec<Machine> = (0..6).map(|_| machine(shared.clone())).collect();
        let told: Vec<(Record, Vec<Event>)> = std::thread::scope(|scope| {
            let race = |(at, machine): (usize, &Machine)| {
                let made = machine.make("warm", &[("weights", at.to_string().as_bytes())]);
                let told = machine.upload(std::slice::from_ref(&made));
                (made, told)
            };
            let racing: Vec<_> = machines.iter().enumerate().map(|one| scope.spawn(move || race(one))).collect();
            racing.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let losers = told.iter().filter(|(_, told)| warnings(told).iter().any(|text| text.contains("keeps its own")));
        assert_eq!(losers.count(), 5, "{told:?}");
        let winner = machine(shared).take("warm").unwrap();
        assert!(told.iter().any(|(made, told)| *made == winner && warnings(told).is_empty()));
        assert!(machines.iter().zip(&told).all(|(machine, (made, _))| machine.has("warm").as_ref() == Some(made)));
    }
}

#[test]
fn what_is_damaged_here_goes_nowhere() {
    let shared = Arc::new(InMemory::new());
    let one = machine(shared.clone());
    let made = one.make("warm", FILES);
    let path = one.store.layout().blob(&Digest::of_bytes(b"aaaa"));
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"aaab").unwrap();
    let told = one.upload(std::slice::from_ref(&made));
    assert!(warnings(&told)[0].contains("does not have the bytes that its name promises"), "{told:?}");
    let there = names(&shared);
    assert!(!there.contains(&blob(b"aaaa")) && !there.iter().any(|name| name.contains("records/")), "{there:?}");
}

#[test]
fn a_large_file_goes_in_parts_and_comes_back_whole() {
    let shared = Arc::new(InMemory::new());
    let large: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    for fault in [Fault::None, Fault::Internal, Fault::Broken] {
        // The second request is for the marker, the last ones are about the large file.
        let faulty = Faulty::new(&shared, [Fault::None, Fault::None, Fault::None, fault, fault]);
        let (one, two) = (machine(faulty), machine(shared.clone()));
        let made = one.make(&format!("{fault:?}"), &[("weights", &large)]);
        let told = one.upload(std::slice::from_ref(&made));
        assert!(warnings(&told).is_empty(), "{told:?}");
        assert_eq!(two.take(&format!("{fault:?}")).unwrap(), made);
        wait(shared.delete(&Name::from(blob(&large)))).unwrap();
    }
}

#[test]
fn another_format_is_left_alone() {
    let shared = Arc::new(InMemory::new());
    put(&shared, "cache/format", b"srlm remote 99\n");
    let one = machine(shared.clone());
    let told = one.upload(&[one.make("warm", FILES)]);
    assert!(warnings(&told)[0].contains("`srlm remote 99`, and this srlm reads `srlm remote 1`"), "{told:?}");
    assert!(one.take("warm").unwrap_err().contains("srlm remote 99"));
    assert_eq!(names(&shared), ["cache/format"]);
}

#[test]
fn a_wait_that_is_given_up_leaves_the_rest_to_the_next_run() {
    let faulty = Faulty::new(&Arc::new(InMemory::new()), []);
    faulty.delay.store(20_000, std::sync::atomic::Ordering::Relaxed);
    let one = machine(faulty);
    one.remote.offer(&one.make("warm", FILES).key);
    let told = Mutex::new(Vec::new());
    one.remote.finish(&|| true, &|event| told.lock().unwrap().push(event));
    assert!(matches!(told.into_inner().unwrap()[..], [Event::RemoteFinished { uploaded: 0, left: 1, .. }]));
}

#[test]
fn records_of_what_stays_there_are_remembered() {
    let one = machine(Arc::new(InMemory::new()));
    let record = one.make("warm", FILES);
    let two = machine(Arc::new(InMemory::new()));
    assert_eq!(two.store.remembered(&record.key), None);
    two.store.remember(&record);
    assert_eq!(two.store.remembered(&record.key), Some(record));
    assert_eq!(two.has("warm"), None, "no result for all that");
}
