//! A teacher's most probable ids, kept for the next epoch, the next student and the next seed: each example is put to the
//! teacher once. Losing them costs time only.
//!
//! A file holds examples one after the other, little-endian: the digest of the example, the numbers of its trained tokens
//! and of ids at each; then of each token the logarithm of the remaining mass, and ids with their log-probabilities. It is
//! named by the digest of its bytes.

use super::completions::of_model;
use super::{Files, StageError};
use crate::base::digest::Digest;
use crate::base::fs::write_atomic;
use crate::train::distill::Divergence;
use crate::train::divergence::TopRow;
use crate::train::teacher::KeptRows;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes after which a file is written.
const FILE_BYTES: usize = 32 << 20;
/// Of an example: its digest, its tokens, the ids of each.
const HEAD: usize = 32 + 4 + 4;

/// Where an example's bytes are.
struct Place {
    file: Arc<PathBuf>,
    at: u64,
    bytes: usize,
}

/// The rows of one teacher at one temperature, with one number of ids.
pub struct TeacherRows {
    folder: PathBuf,
    written: HashMap<Digest, Place>,
    /// Not yet in a file.
    waiting: HashMap<Digest, Vec<u8>>,
    waiting_bytes: usize,
}

impl TeacherRows {
    /// Those kept under `root`, and a place for more.
    ///
    /// # Errors
    /// [`StageError::Io`] where a file of the model cannot be read.
    pub fn open(root: &Path, teacher: &Files, divergence: &Divergence) -> Result<Self, StageError> {
        let Divergence { measure, temperature, vocabulary } = *divergence;
        let settings = format!("{:?} of {vocabulary} at {temperature}", measure.top_k(vocabulary));
        let folder = root
            .join("teacher")
            .join(of_model("srlm teacher rows v1", &super::distill::Distill, teacher, &settings)?.to_string());
        let mut written = HashMap::new();
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            index(entry.path(), &mut written);
        }
        Ok(TeacherRows { folder, written, waiting: HashMap::new(), waiting_bytes: 0 })
    }

    /// Writes what waits. Where the disk refuses, it is computed again another time.
    fn write(&mut self) {
        let bytes: Vec<u8> = self.waiting.drain().flat_map(|(_, bytes)| bytes).collect();
        self.waiting_bytes = 0;
        let file = self.folder.join(Digest::of_bytes(&bytes).to_string());
        let made = fs::create_dir_all(&self.folder).and_then(|()| write_atomic(&file, &bytes));
        if !bytes.is_empty() && made.is_ok() {
            places(&bytes, &Arc::new(file), &mut self.written);
        }
    }
}

impl KeptRows for TeacherRows {
    fn get(&self, example: &Digest) -> Option<Vec<TopRow>> {
        if let Some(bytes) = self.waiting.get(example) {
            return Some(rows(bytes));
        }
        let Place { file, at, bytes } = self.written.get(example)?;
        let mut found = vec![0; *bytes];
        File::open(file.as_path()).and_then(|file| file.read_exact_at(&mut found, *at)).ok()?;
        Some(rows(&found))
    }

    fn put(&mut self, example: Digest, rows: &[TopRow]) {
        let bytes = bytes_of(&example, rows);
        self.waiting_bytes += bytes.len();
        self.waiting.insert(example, bytes);
        if self.waiting_bytes >= FILE_BYTES {
            self.write();
        }
    }
}

impl Drop for TeacherRows {
    fn drop(&mut self) {
        if !self.waiting.is_empty() {
            self.write();
        }
    }
}

/// Notes what a file holds; nothing where it is not what its name says.
fn index(file: PathBuf, written: &mut HashMap<Digest, Place>) {
    let bytes = fs::read(&file).unwrap_or_default();
    if file.file_name().is_some_and(|name| name.to_str() == Some(&Digest::of_bytes(&bytes).to_string())) {
        places(&bytes, &Arc::new(file), written);
    }
}

fn places(bytes: &[u8], file: &Arc<PathBuf>, written: &mut HashMap<Digest, Place>) {
    let mut at = 0;
    while let Some((example, length)) = head(&bytes[at..]) {
        written.insert(example, Place { file: Arc::clone(file), at: at as u64, bytes: length });
        at += length;
    }
}

/// The digest of the first example and how many bytes are its; none where there is no whole one.
fn head(bytes: &[u8]) -> Option<(Digest, usize)> {
    let (digest, rest) = bytes.split_first_chunk::<32>()?;
    let (tokens, rest) = rest.split_first_chunk::<4>()?;
    let (ids, _) = rest.split_first_chunk::<4>()?;
    let (tokens, ids) = (u32::from_le_bytes(*tokens) as usize, u32::from_le_bytes(*ids) as usize);
    let length = HEAD + tokens * (8 + 12 * ids);
    (length <= bytes.len()).then(|| (Digest::from_bytes(*digest), length))
}

fn bytes_of(example: &Digest, rows: &[TopRow]) -> Vec<u8> {
    let ids = rows.first().map_or(0, |row| row.ids.len());
    let mut bytes = example.to_bytes().to_vec();
    [rows.len(), ids].iter().for_each(|number| bytes.extend((*number as u32).to_le_bytes()));
    for row in rows {
        bytes.extend(row.rest.to_le_bytes());
        row.ids.iter().for_each(|id| bytes.extend(id.to_le_bytes()));
        row.log_p.iter().for_each(|log_p| bytes.extend(log_p.to_le_bytes()));
    }
    bytes
}

/// The rows of a whole example.
fn rows(bytes: &[u8]) -> Vec<TopRow> {
    let number = |at: usize| bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes);
    let ids = number(36) as usize;
    let row = |row: &[u8]| {
        let (rest, more) = row.split_at(8);
        let (id_bytes, log_p) = more.split_at(4 * ids);
        let float = |eight: &[u8]| eight.try_into().map_or(f64::NAN, f64::from_le_bytes);
        TopRow {
            ids: id_bytes.chunks_exact(4).map(|four| four.try_into().map_or(0, u32::from_le_bytes)).collect(),
            log_p: log_p.chunks_exact(8).map(float).collect(),
            rest: float(rest),
        }
    };
    bytes[HEAD..].chunks_exact(8 + 12 * ids).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::divergence::{Direction, Measure};

    fn row(first: u32) -> TopRow {
        TopRow { ids: vec![first, 7], log_p: vec![-0.25, f64::from(first).ln()], rest: -1.5 }
    }

    fn open(root: &Path, temperature: f64) -> TeacherRows {
        let measure = Measure::Kl { direction: Direction::Reverse, top_k: Some(2) };
        TeacherRows::open(root, &Files::new(), &Divergence { measure, temperature, vocabulary: 50 }).unwrap()
    }

    #[test]
    fn rows_are_kept_to_the_bit_by_example_and_setting() {
        let folder = tempfile::tempdir().unwrap();
        let examples: Vec<Digest> = (0..3u8).map(|example| Digest::of_bytes(&[example])).collect();
        let mut first = open(folder.path(), 1.0);
        first.put(examples[0], &[row(1), row(2), row(3)]);
        first.put(examples[1], &[]);
        assert_eq!(first.get(&examples[0]).unwrap(), [row(1), row(2), row(3)], "before it is in a file");
        drop(first);
        open(folder.path(), 1.0).put(examples[2], &[row(9)]);
        let known = open(folder.path(), 1.0);
        assert_eq!(known.get(&examples[0]).unwrap(), [row(1), row(2), row(3)]);
        assert_eq!((known.get(&examples[1]), known.get(&examples[2])), (Some(vec![]), Some(vec![row(9)])));
        assert_eq!(open(folder.path(), 1.5).get(&examples[0]), None, "another temperature");
    }

    #[test]
    fn a_damaged_file_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let example = Digest::of_bytes(b"one");
        open(folder.path(), 1.0).put(example, &[row(4)]);
        let file = fs::read_dir(&open(folder.path(), 1.0).folder).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(&file).unwrap();
        for cut in [0, 20, HEAD, bytes.len() - 1] {
            fs::write(&file, &bytes[..cut]).unwrap();
            assert_eq!(open(folder.path(), 1.0).get(&example), None);
        }
    }
}
