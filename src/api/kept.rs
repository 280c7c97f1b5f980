//! Answers on disk: each is there before it counts, and is held against its digest when it is read.
//!
//! ```text
//! {"request":"<digest>","answer":{"text":"…","finish":"stop","tokens":7},"seal":"<digest of all before>"}
//! ```
//! Lines are only ever added. A line that a crash cut short, or that anything changed, is passed over, and its request
//! is asked again.

use super::answer::Answer;
use crate::base::digest::Digest;
use crate::base::fs::{at, sync_parent};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const FILE: &str = "answers.jsonl";
const SEAL: &str = ",\"seal\":\"";
const END: &str = "\"}";

/// What a model has answered so far, to whatever stage.
pub struct Kept {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Line {
    request: Digest,
    answer: Answer,
}

impl Kept {
    /// The answers in a folder.
    pub fn new(folder: &Path) -> Kept {
        Kept { path: folder.join(FILE) }
    }

    /// The answers to those of these requests that have one; the first one counts where there are several.
    ///
    /// # Errors
    /// Whatever the file system says. A file that is not there holds no answers.
    pub fn read(&self, wanted: &HashSet<Digest>) -> io::Result<HashMap<Digest, Answer>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashMap::new()),
            Err(error) => return Err(at(&self.path, error)),
        };
        let (mut found, mut reader, mut bytes) = (HashMap::new(), BufReader::new(file), Vec::new());
        loop {
            bytes.clear();
            if reader.read_until(b'\n', &mut bytes).map_err(|error| at(&self.path, error))? == 0 {
                return Ok(found);
            }
            if let Some(line) = read_line(&bytes).filter(|line| wanted.contains(&line.request)) {
                found.entry(line.request).or_insert(line.answer);
            }
        }
    }

    /// Adds answers; they outlive a power cut when this returns.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn add(&self, answers: &[(Digest, Answer)]) -> io::Result<()> {
        self.append(answers).map_err(|error| at(&self.path, error))
    }

    fn append(&self, answers: &[(Digest, Answer)]) -> io::Result<()> {
        let is_new = !self.path.exists();
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&self.path)?;
        // Several stages may ask one model at a time. A file system without locks appends whole lines all the same.
        let _ = file.lock();
        let mut text = String::new();
        if is_cut(&mut file)? {
            text.push('\n');
        }
        for (request, answer) in answers {
            let line = serde_json::to_string(&Line { request: *request, answer: answer.clone() })?;
            let body = line.strip_suffix('}').unwrap_or(&line);
            text.push_str(&format!("{body}{SEAL}{}{END}\n", Digest::of_bytes(body.as_bytes())));
        }
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        if is_new { sync_parent(&self.path) } else { Ok(()) }
    }
}

/// Whether the file ends in the middle of a line.
fn is_cut(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// A line that is as it was written.
fn read_line(bytes: &[u8]) -> Option<Line> {
    let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (body, seal) = line.strip_suffix(END)?.rsplit_once(SEAL)?;
    let is_whole = Digest::of_bytes(body.as_bytes()).to_string() == seal;
    is_whole.then(|| serde_json::from_str(&format!("{body}}}")).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn answer(text: &str) -> Answer {
        Answer { text: text.into(), finish: "stop".into(), tokens: Some(3), ..Answer::default() }
    }

    fn name(text: &str) -> Digest {
        Digest::of_bytes(text.as_bytes())
    }

    #[test]
    fn answers_are_found_by_their_requests_whatever_happened_to_other_lines() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path());
        let all: HashSet<Digest> = ["a", "b", "c", "d"].map(name).into();
        assert!(kept.read(&all).unwrap().is_empty());
        let odd = "two\nlines, a \"seal\":\" and \u{2028}";
        kept.add(&[(name("a"), answer(odd)), (name("b"), answer("four"))]).unwrap();
        assert_eq!(kept.read(&all).unwrap(), HashMap::from([(name("a"), answer(odd)), (name("b"), answer("four"))]));
        assert_eq!(kept.read(&HashSet::from([name("b")])).unwrap().len(), 1);

        // A crash in the middle of a line, and a disk that changes a letter.
        let path = folder.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 9]).unwrap();
        kept.add(&[(name("c"), answer("six"))]).unwrap();
        let found = kept.read(&all).unwrap();
        assert_eq!((found.get(&name("b")), found[&name("c")].text.as_str()), (None, "six"));
        let text = fs::read_to_string(&path).unwrap().replace("six", "sex");
        fs::write(&path, text).unwrap();
        assert_eq!(kept.read(&all).unwrap().into_keys().collect::<Vec<_>>(), [name("a")]);
    }
}
