//! Tests of the client against a small server on this machine, and of the lock.

use super::*;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// What the server was asked: the first line and the headers of every request.
type Asked = Arc<Mutex<Vec<String>>>;

/// A server that answers the n-th request with the n-th answer, and the last one again and again.
fn server(answers: Vec<String>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let answer = answers[index.min(answers.len() - 1)].clone();
            serve(stream.unwrap(), &answer, &heard);
        }
    });
    (address, asked)
}

fn serve(mut stream: TcpStream, answer: &str, heard: &Asked) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    heard.lock().unwrap().push(request.join("\n"));
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read(&mut [0; 16]);
}

fn answer(status: &str, length: usize, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn whole(body: &str) -> String {
    answer("200 OK", body.len(), body)
}

struct Setup {
    folder: tempfile::TempDir,
    client: Client,
    asked: Asked,
}

fn setup(answers: Vec<String>) -> Setup {
    let (address, asked) = server(answers);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().to_path_buf());
    Setup { client: Client::new(&address, Some("hf_secret".into()), false, cache), folder, asked }
}

fn repo() -> Repo {
    Repo::new(RepoKind::Model, "org/tiny").unwrap()
}

fn hello() -> RemoteFile {
    RemoteFile { size: Some(5), sha256: Some(HELLO.to_string()) }
}

#[test]
fn a_listing_names_commit_and_files() {
    let body = format!(
        "{{\"sha\":\"{COMMIT}\",\"siblings\":[{{\"rfilename\":\"config.json\",\"size\":7}},\
         {{\"rfilename\":\"model.safetensors\",\"size\":5,\"lfs\":{{\"sha256\":\"{HELLO}\",\"size\":5}}}}]}}"
    );
    let setup = setup(vec![whole(&body)]);
    let listing = setup.client.list(&repo(), Some("refs/pr/1")).unwrap();
    assert_eq!(listing.commit, COMMIT);
    assert_eq!(listing.files["model.safetensors"], hello());
    assert_eq!(listing.files["config.json"], RemoteFile { size: Some(7), sha256: None });
    let request = setup.asked.lock().unwrap()[0].clone();
    assert!(request.starts_with("GET /api/models/org/tiny/revision/refs%2Fpr%2F1?blobs=true "), "{request}");
    assert!(request.to_lowercase().contains("authorization: bearer hf_secret"), "{request}");
}

#[test]
fn a_download_lands_in_the_shared_cache_and_is_not_repeated() {
    let setup = setup(vec![whole("hello")]);
    let path = setup.client.fetch(&repo(), COMMIT, "sub/a.txt", &hello()).unwrap().path;
    assert_eq!(std::fs::read(&path).unwrap(), b"hello");
    assert_eq!(path, setup.folder.path().join(format!("models--org--tiny/snapshots/{COMMIT}/sub/a.txt")));
    assert!(setup.folder.path().join(format!("models--org--tiny/blobs/{HELLO}")).is_file());
    assert_eq!(setup.client.cache().files(&repo(), COMMIT), ["sub/a.txt"]);
    setup.client.fetch(&repo(), COMMIT, "sub/a.txt", &hello()).unwrap();
    assert_eq!(setup.asked.lock().unwrap().len(), 1);
    let offline = Client::new("http://127.0.0.1:1", None, true, setup.client.cache().clone());
    offline.fetch(&repo(), COMMIT, "sub/a.txt", &hello()).unwrap();
    let told = offline.fetch(&repo(), COMMIT, "b.txt", &hello()).unwrap_err().to_string();
    assert!(told.contains("`b.txt` of `org/tiny`") && told.contains("offline"), "{told}");
}

#[test]
fn a_download_that_breaks_off_is_resumed() {
    let rest = answer("206 Partial Content", 2, "lo");
    let setup = setup(vec![answer("200 OK", 5, "hel"), rest]);
    let path = setup.client.fetch(&repo(), COMMIT, "a.txt", &hello()).unwrap().path;
    assert_eq!(std::fs::read(&path).unwrap(), b"hello");
    let asked = setup.asked.lock().unwrap();
    assert!(asked[1].to_lowercase().contains("range: bytes=3-"), "{}", asked[1]);
}

#[test]
fn a_server_that_cannot_resume_begins_anew() {
    let setup = setup(vec![answer("200 OK", 5, "hel"), whole("hello")]);
    let path = setup.client.fetch(&repo(), COMMIT, "a.txt", &hello()).unwrap().path;
    assert_eq!(std::fs::read(&path).unwrap(), b"hello");
}

#[test]
fn a_wrong_digest_is_an_error_and_leaves_nothing() {
    let setup = setup(vec![whole("hallo")]);
    let error = setup.client.fetch(&repo(), COMMIT, "a.txt", &hello()).unwrap_err();
    assert!(matches!(&error, HubError::Mismatch(told) if told.contains("`a.txt`") && told.contains(HELLO)), "{error}");
    assert!(setup.client.cache().file(&repo(), COMMIT, "a.txt").is_none());
    assert_eq!(std::fs::read_dir(setup.folder.path().join("models--org--tiny/blobs")).unwrap().count(), 0);
}

#[test]
fn what_the_server_refuses_is_told_with_the_way_out_and_without_the_token() {
    let refused = |status: &str| {
        let setup = setup(vec![answer(status, 0, "")]);
        setup.client.list(&repo(), None).unwrap_err().to_string()
    };
    let (gated, absent, down) = (refused("401 Unauthorized"), refused("404 Not Found"), refused("503 Unavailable"));
    assert!(gated.contains("HF_TOKEN") && absent.contains("has no `org/tiny`") && down.contains("503"), "{gated}");
    assert!(![gated, absent, down].iter().any(|told| told.contains("hf_secret")));
    let nowhere = Client::new("http://127.0.0.1:1", None, false, Cache::new(std::env::temp_dir()));
    assert!(matches!(nowhere.list(&repo(), None), Err(HubError::Network(_))));
}

#[test]
fn names_that_are_none_are_refused() {
    for name in ["", "a/b/c", "../x", "a b", "a/", "org/.hidden", "http://x"] {
        assert!(Repo::new(RepoKind::Model, name).is_err(), "{name}");
    }
    assert!(Repo::new(RepoKind::Dataset, "openai/gsm8k").is_ok());
}

#[test]
fn a_lock_survives_its_file_and_is_sorted() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Lock::read(folder.path()).unwrap(), Lock::default());
    let entry = |repo: &str, rev: Option<&str>| Entry {
        wanted: Wanted {
            kind: RepoKind::Model,
            repo: repo.into(),
            rev: rev.map(String::from),
            config: None,
            split: None,
            file: None,
        },
        revision: COMMIT.into(),
        files: BTreeMap::from([("a".into(), LockedFile { size: 5, sha256: HELLO.into() })]),
    };
    let mut lock = Lock::default();
    lock.put(entry("org/b", Some("v1")));
    lock.put(entry("org/a", None));
    lock.write(folder.path()).unwrap();
    assert_eq!(Lock::read(folder.path()).unwrap(), lock);
    assert_eq!(lock.revision_of(&entry("org/b", Some("v1")).wanted), Some(COMMIT));
    let text = std::fs::read_to_string(folder.path().join("srlm.lock")).unwrap();
    assert!(text.starts_with("# Written by") && text.find("org/a") < text.find("org/b"), "{text}");
    for broken in ["version: 2\nsources: []\n", "version: 1\nsources: [", "[]"] {
        std::fs::write(folder.path().join("srlm.lock"), broken).unwrap();
        assert!(matches!(Lock::read(folder.path()), Err(HubError::Lock(_))), "{broken}");
    }
}
