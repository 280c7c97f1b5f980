//! Asking the Hub what a revision holds, and downloading files: resumed where they broke off, checked when whole.

use super::cache::{Cache, sha256};
use super::{HubError, LockedFile, Repo, RepoKind};
use crate::base::fs::at;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::Agent;
use ureq::config::RedirectAuthHeaders;

/// How often a download is taken up again where it broke off.
const ATTEMPTS: u32 = 4;

/// One file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its size in bytes, where the Hub tells it.
    pub size: Option<u64>,
    /// Its digest; the Hub tells that of large files only.
    pub sha256: Option<String>,
}

/// What a repository holds at a commit.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The commit.
    pub commit: String,
    /// Its files by name.
    pub files: BTreeMap<String, RemoteFile>,
}

/// A file that is here, whole.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where.
    pub path: PathBuf,
    /// Its size and digest.
    pub locked: LockedFile,
}

/// A client with its cache.
pub struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    offline: bool,
    cache: Cache,
}

impl Client {
    /// The user's client: `$HF_ENDPOINT`, `$HF_TOKEN`, `$HF_HUB_OFFLINE` and the cache of the environment.
    pub fn from_env() -> Client {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_string());
        let is_off = |value: &String| ["0", "false", "no", "off"].contains(&value.to_lowercase().as_str());
        let offline = text("HF_HUB_OFFLINE").is_some_and(|value| !is_off(&value));
        Client::new(&endpoint, text("HF_TOKEN"), offline, Cache::from_env())
    }

    /// A client of that endpoint. The token goes into requests, and nowhere else.
    pub fn new(endpoint: &str, token: Option<String>, offline: bool, cache: Cache) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("srlm/", env!("CARGO_PKG_VERSION")))
            .build();
        let endpoint = endpoint.trim_end_matches('/').to_string();
        Client { agent: config.new_agent(), endpoint, token, offline, cache }
    }

    /// Where the files are.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The commit behind a revision and its files; the main branch where none is named.
    ///
    /// # Errors
    /// [`HubError`]: offline, no such repository or revision, or the network.
    pub fn list(&self, repo: &Repo, revision: Option<&str>) -> Result<Listing, HubError> {
        let revision = revision.unwrap_or("main");
        let what = format!("`{repo}` at `{revision}`");
        self.online(&what)?;
        let kind = if repo.kind == RepoKind::Model { "models" } else { "datasets" };
        let url = format!("{}/api/{kind}/{repo}/revision/{}?blobs=true", self.endpoint, escaped(revision, ""));
        let mut response = self.get(&url, None).map_err(|error| self.network(&what, &error))?;
        self.accepted(&what, response.status().as_u16())?;
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string();
        let text = text.map_err(|error| self.network(&what, &error))?;
        let told: Told = serde_json::from_str(&text).map_err(|error| {
            HubError::Network(format!("{} gave an answer about {what} that cannot be read: {error}", self.endpoint))
        })?;
        told.listing().ok_or_else(|| HubError::Network(format!("{} named no commit for {what}", self.endpoint)))
    }

    /// A file at a commit: from the cache, else downloaded. Its digest is checked where one is given.
    ///
    /// # Errors
    /// [`HubError`], [`HubError::Mismatch`] among them.
    pub fn fetch(&self, repo: &Repo, commit: &str, file: &str, wanted: &RemoteFile) -> Result<Fetched, HubError> {
        if !is_plain(file) {
            return Err(HubError::NotThere(format!("`{repo}` has a file called `{file}`, which srlm does not store")));
        }
        if let Some(path) = self.cache.file(repo, commit, file) {
            return self.checked(repo, file, &path, wanted).map(|locked| Fetched { path, locked });
        }
        self.online(&format!("`{file}` of `{repo}` at {commit}"))?;
        let name = wanted.sha256.clone().unwrap_or_else(|| format!("{commit}-{}", file.replace('/', "--")));
        let incomplete = self.cache.incomplete(repo, &name)?;
        let mut output =
            OpenOptions::new().create(true).append(true).open(&incomplete).map_err(|error| at(&incomplete, error))?;
        // Two stages may want the same file; the second one waits, and then finds it.
        output.lock().map_err(|error| at(&incomplete, error))?;
        if let Some(path) = self.cache.file(repo, commit, file) {
            return self.checked(repo, file, &path, wanted).map(|locked| Fetched { path, locked });
        }
        self.download(repo, commit, file, &mut output, &incomplete)?;
        match self.checked(repo, file, &incomplete, wanted) {
            Ok(locked) => {
                let path = self.cache.publish(repo, commit, file, &incomplete, &locked.sha256)?;
                Ok(Fetched { path, locked })
            }
            Err(error) => {
                let _ = std::fs::remove_file(&incomplete);
                Err(error)
            }
        }
    }

    /// Holds a file against what is wanted.
    fn checked(&self, repo: &Repo, file: &str, path: &Path, wanted: &RemoteFile) -> Result<LockedFile, HubError> {
        let size = path.metadata().map_err(|error| at(path, error))?.len();
        let differs = |is: &str, was: &str| {
            HubError::Mismatch(format!(
                "`{file}` of `{repo}` is not the file that was expected: it has {is}, not {was} ({}): remove it, and \
                 run again; or `srlm lock --update` where the lock is what is wrong",
                path.display()
            ))
        };
        if let Some(expected) = wanted.size.filter(|expected| *expected != size) {
            return Err(differs(&format!("{size} bytes"), &format!("{expected}")));
        }
        let digest = sha256(path)?;
        match &wanted.sha256 {
            Some(expected) if *expected != digest => Err(differs(&format!("the SHA-256 {digest}"), expected)),
            _ => Ok(LockedFile { size, sha256: digest }),
        }
    }

    fn download(&self, repo: &Repo, commit: &str, file: &str, output: &mut File, path: &Path) -> Result<(), HubError> {
        let kind = if repo.kind == RepoKind::Model { "" } else { "datasets/" };
        let url = format!("{}/{kind}{repo}/resolve/{commit}/{}", self.endpoint, escaped(file, "/"));
        let what = format!("`{file}` of `{repo}`");
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.download_from(&url, &what, output) {
                Err(HubError::Network(_)) if attempt < ATTEMPTS => {
                    std::thread::sleep(Duration::from_millis(100 << (2 * attempt)));
                }
                Err(HubError::Io(error)) => return Err(at(path, error).into()),
                ended => return ended,
            }
        }
    }

    /// Adds to `output` what it lacks, or begins anew where the server cannot go on.
    fn download_from(&self, url: &str, what: &str, output: &mut File) -> Result<(), HubError> {
        let have = output.metadata()?.len();
        let mut response = self.get(url, (have > 0).then_some(have)).map_err(|error| self.network(what, &error))?;
        match response.status().as_u16() {
            206 => {}
            // There is nothing behind what is here already, or what is here is longer than the file.
            416 if have > 0 => {
                output.set_len(0)?;
                return self.download_from(url, what, output);
            }
            status => {
                self.accepted(what, status)?;
                output.set_len(0)?;
            }
        }
        let expected = response.body().content_length();
        let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
        let copied = copy(&mut reader, output)?.map_err(|error| self.network(what, &ureq::Error::Io(error)))?;
        match expected {
            Some(expected) if copied < expected => {
                Err(HubError::Network(format!("the download of {what} broke off after {copied} of {expected} bytes")))
            }
            _ => Ok(output.sync_all()?),
        }
    }

    fn get(&self, url: &str, from: Option<u64>) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.get(url);
        if let Some(token) = &self.token {
            // Redirects to another host do not take it along.
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(from) = from {
            request = request.header("range", format!("bytes={from}-"));
        }
        request.call()
    }

    fn online(&self, what: &str) -> Result<(), HubError> {
        let cache = self.cache.root().to_path_buf();
        if self.offline { Err(HubError::Offline { what: what.to_string(), cache }) } else { Ok(()) }
    }

    fn accepted(&self, what: &str, status: u16) -> Result<(), HubError> {
        let endpoint = &self.endpoint;
        match status {
            200..=299 => Ok(()),
            401 | 403 => Err(HubError::NotThere(format!(
                "{endpoint} does not show {what} ({status}): look at its name; for a private or gated repository \
                 accept its terms and set HF_TOKEN"
            ))),
            404 => Err(HubError::NotThere(format!("{endpoint} has no {what}: look at the name and the revision"))),
            _ => Err(HubError::Network(format!("{endpoint} answered {status} about {what}: try again later"))),
        }
    }

    fn network(&self, what: &str, error: &ureq::Error) -> HubError {
        HubError::Network(format!("{} cannot be asked for {what}: {error}", self.endpoint))
    }
}

/// Copies all of it. The outer error is the disk's, the inner one the network's.
fn copy(reader: &mut impl io::Read, output: &mut File) -> io::Result<io::Result<u64>> {
    let (mut buffer, mut copied) = (vec![0; 1 << 18], 0);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Ok(copied)),
            Ok(count) => {
                io::Write::write_all(output, &buffer[..count])?;
                copied += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// Whether a name stays inside the folder it is put into.
fn is_plain(file: &str) -> bool {
    !file.contains('\\') && file.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// The text as part of an address; characters of `plain` stand for themselves.
fn escaped(text: &str, plain: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            _ if plain.as_bytes().contains(&byte) => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// What the Hub tells of a revision.
#[derive(Deserialize)]
struct Told {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
}

impl Told {
    fn listing(self) -> Option<Listing> {
        let commit = self.sha.filter(|sha| super::is_commit(sha))?;
        let file = |sibling: Sibling| {
            let sha256 = sibling.lfs.and_then(|lfs| lfs.sha256);
            (sibling.rfilename, RemoteFile { size: sibling.size, sha256 })
        };
        Some(Listing { commit, files: self.siblings.into_iter().map(file).collect() })
    }
}
