//! Completions that were sampled before, one by one: of a dataset with 100 further prompts only those 100 are generated.
//!
//! A completion depends on the model's files, the sampling settings, its prompt's tokens and its own seed, and on nothing
//! else: not on its neighbours, so that rows can come and go. What was sampled is kept in a folder of the store's cache,
//! named by model and settings, in files named by the digest of their bytes. Losing them costs time only.

use super::{Files, Stage, StageError};
use crate::base::digest::Digest;
use crate::base::fs::write_atomic;
use crate::base::seed::Seed;
use crate::rollout::Sampling;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// What a model wrote to one prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Prompt and seed.
    pub key: Digest,
    /// The text without the stop token.
    pub text: String,
    /// Tokens, the stop token included.
    pub tokens: usize,
    /// Cut at the length limit.
    pub truncated: bool,
}

/// The completions of one model under one set of settings.
pub struct Completions {
    folder: Option<PathBuf>,
    known: HashMap<Digest, Written>,
}

impl Completions {
    /// Those kept under `root`; none are where there is no such folder.
    ///
    /// # Errors
    /// [`StageError::Io`] where a file of the model cannot be read.
    pub fn open(root: Option<&Path>, model: &Files, sampling: &Sampling) -> Result<Self, StageError> {
        let Some(root) = root else { return Ok(Completions { folder: None, known: HashMap::new() }) };
        let folder = root.join("completions").join(about(model, sampling)?.to_string());
        let mut known = HashMap::new();
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            known.extend(read(&entry.path()).into_iter().map(|written| (written.key, written)));
        }
        Ok(Completions { folder: Some(folder), known })
    }

    /// What names the completion of a prompt under a seed.
    pub fn key(prompt: &[u32], seed: &Seed) -> Digest {
        Digest::of("srlm completion v1", &json!({ "prompt": prompt, "seed": seed.digest() }))
    }

    /// The completion of that key, where it is known.
    pub fn get(&self, key: &Digest) -> Option<&Written> {
        self.known.get(key)
    }

    /// Whether completions are kept at all.
    pub fn are_kept(&self) -> bool {
        self.folder.is_some()
    }

    /// Keeps further ones. Where the disk refuses they are only known to this process: that costs time later.
    pub fn add(&mut self, written: Vec<Written>) {
        if let Some(folder) = &self.folder {
            let lines = written.iter().filter_map(|written| serde_json::to_string(written).ok());
            let text = lines.map(|line| line + "\n").collect::<String>();
            let file = folder.join(format!("{}.jsonl", Digest::of_bytes(text.as_bytes())));
            let _ = fs::create_dir_all(folder).and_then(|()| write_atomic(&file, text.as_bytes()));
        }
        self.known.extend(written.into_iter().map(|written| (written.key, written)));
    }
}

/// The digest of everything that the completions of a folder have in common.
fn about(model: &Files, sampling: &Sampling) -> Result<Digest, StageError> {
    of_model("srlm completions v1", &super::generate::Generate, model, &format!("{sampling:?}"))
}

/// The digest of a model's files and some settings, with the versions of srlm and of the stage kind whose results would
/// move with these numbers: another one may compute others.
///
/// # Errors
/// [`StageError::Io`] where a file cannot be read.
pub fn of_model(domain: &str, kind: &dyn Stage, model: &Files, settings: &str) -> Result<Digest, StageError> {
    let digest = |(name, path): (&String, &PathBuf)| Ok((name.clone(), Digest::of_file(path)?.to_string()));
    let files: BTreeMap<String, String> = model.iter().map(digest).collect::<Result<_, std::io::Error>>()?;
    let (srlm, version) = (env!("CARGO_PKG_VERSION"), kind.signature().version);
    Ok(Digest::of(domain, &json!({ "files": files, "settings": settings, "srlm": srlm, "version": version })))
}

/// The completions of a file; none where it is not what its name says.
fn read(file: &Path) -> Vec<Written> {
    let bytes = fs::read(file).unwrap_or_default();
    let named = file.file_stem().is_some_and(|name| name.to_str() == Some(&Digest::of_bytes(&bytes).to_string()));
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| named && !line.is_empty());
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(temperature: f64) -> Sampling {
        Sampling { temperature, max_tokens: 8, stop_ids: vec![1], ..Sampling::default() }
    }

    fn written(prompt: u32) -> Written {
        let key = Completions::key(&[prompt], &Seed::new(7));
        Written { key, text: format!("to {prompt}\n"), tokens: 3, truncated: prompt == 2 }
    }

    #[test]
    fn what_was_written_is_known_to_the_next_stage_and_to_no_other_model_or_setting() {
        let folder = tempfile::tempdir().unwrap();
        let weights = folder.path().join("weights");
        fs::write(&weights, "one").unwrap();
        let files = Files::from([("model.safetensors".to_string(), weights.clone())]);
        let root = folder.path().join("cache");
        let open = |temperature: f64| Completions::open(Some(&root), &files, &sampling(temperature)).unwrap();
        open(0.5).add(vec![written(1), written(2)]);
        open(0.5).add(vec![written(3)]);
        let known = open(0.5);
        for prompt in 1..=3 {
            assert_eq!(known.get(&written(prompt).key), Some(&written(prompt)));
        }
        assert_eq!(known.get(&Completions::key(&[1], &Seed::new(8))), None, "another seed");
        assert!(open(0.6).known.is_empty(), "another temperature");
        fs::write(&weights, "two").unwrap();
        assert!(open(0.5).known.is_empty(), "other weights");
        assert!(!Completions::open(None, &files, &sampling(0.5)).unwrap().are_kept());
    }

    #[test]
    fn a_damaged_file_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Completions::open(Some(folder.path()), &Files::new(), &sampling(1.0)).unwrap();
        open().add(vec![written(1)]);
        open().add(vec![written(2)]);
        let shards = fs::read_dir(open().folder.unwrap()).unwrap().map(|entry| entry.unwrap().path());
        let shard = shards.into_iter().find(|shard| read(shard) == [written(1)]).unwrap();
        let mut bytes = fs::read(&shard).unwrap();
        bytes[70] ^= 1;
        fs::write(&shard, bytes).unwrap();
        assert_eq!((open().get(&written(1).key), open().get(&written(2).key)), (None, Some(&written(2))));
    }
}
