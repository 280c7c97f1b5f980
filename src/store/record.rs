//! Records: what a stage made, from what, by whom and why it has its key; JSON that people read, under a seal.

use super::moment::rfc3339;
use super::process::host_name;
use crate::base::digest::Digest;
use crate::base::named::Named;
use crate::base::seal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// One result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The deep key.
    pub key: Digest,
    /// The stage kind.
    pub kind: String,
    /// The name the file gave it.
    pub name: String,
    /// `FILE:LINE:COLUMN` of the declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_at: Option<String>,
    /// The deep key of the record this one repeats, found by its shallow key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<Digest>,
    /// Role to artifact digest.
    pub outputs: Named<Digest>,
    /// Role to the artifact digest that went in.
    pub inputs: Named<Digest>,
    /// The key with the digests of `inputs` for the keys upstream.
    pub shallow: Digest,
    /// The stage's final numbers. One that is not finite reads as NaN.
    #[serde(serialize_with = "write_metrics", deserialize_with = "read_metrics")]
    pub metrics: Named<f64>,
    /// Seconds of work, without those that [`Record::resumed`] tells of.
    pub seconds: f64,
    /// The training state that it went on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Resumed>,
    /// Where and when.
    pub made: Made,
    /// The run that made it.
    pub run: String,
    /// What the key hashes.
    pub document: serde_json::Value,
}

/// A training state that a stage went on from: it was left by an earlier attempt, or by a shorter training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resumed {
    /// Optimiser steps that were done already.
    pub step: u64,
    /// Seconds of training that they took.
    pub seconds: f64,
}

/// Provenance: never part of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// The machine.
    pub host: String,
    /// The process that published it.
    pub pid: u32,
    /// RFC 3339, UTC.
    pub time: String,
    /// The version of srlm.
    pub srlm: String,
    /// Threads the worker had.
    pub threads: usize,
    /// The most memory that the worker, or a process it started, had at once, in bytes; none where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// What the numbers were computed on: `cpu`.
    #[serde(default = "cpu")]
    pub device: String,
}

/// What records from before the device was told were made on.
fn cpu() -> String {
    "cpu".to_string()
}

/// A record before its outputs are in the store.
#[derive(Clone, Debug)]
pub struct RecordDraft {
    /// The deep key.
    pub key: Digest,
    /// The shallow key.
    pub shallow: Digest,
    /// The stage kind.
    pub kind: String,
    /// The name the file gives it.
    pub name: String,
    /// What the deep key hashes.
    pub document: serde_json::Value,
    /// Role to the artifact digest that went in.
    pub inputs: BTreeMap<String, Digest>,
    /// The stage's final numbers.
    pub metrics: BTreeMap<String, f64>,
    /// Seconds of work.
    pub seconds: f64,
    /// The training state that it went on from.
    pub resumed: Option<Resumed>,
    /// Threads the worker had.
    pub threads: usize,
    /// The most memory that the worker had at once, in bytes.
    pub peak_memory: Option<u64>,
    /// What the numbers were computed on.
    pub device: String,
    /// `FILE:LINE:COLUMN` of the declaration.
    pub declared_at: Option<String>,
    /// The run.
    pub run: String,
}

impl RecordDraft {
    pub(super) fn into_record(self, outputs: BTreeMap<String, Digest>) -> Record {
        let made = Made {
            host: host_name(),
            pid: std::process::id(),
            time: rfc3339(SystemTime::now()),
            srlm: env!("CARGO_PKG_VERSION").to_string(),
            threads: self.threads,
            peak_memory: self.peak_memory,
            device: self.device,
        };
        Record {
            key: self.key,
            kind: self.kind,
            name: self.name,
            declared_at: self.declared_at,
            alias_of: None,
            outputs: outputs.into(),
            inputs: self.inputs.into(),
            shallow: self.shallow,
            metrics: self.metrics.into(),
            seconds: self.seconds,
            resumed: self.resumed,
            made,
            run: self.run,
            document: self.document,
        }
    }
}

impl Record {
    /// Seconds that its making took, those included that had brought the training to the state it went on from.
    pub fn seconds_in_all(&self) -> f64 {
        self.seconds + self.resumed.map_or(0.0, |resumed| resumed.seconds)
    }

    /// The record of another deep key that has this result.
    pub fn aliased(&self, draft: RecordDraft) -> Record {
        Record {
            key: draft.key,
            name: draft.name,
            declared_at: draft.declared_at,
            alias_of: Some(self.alias_of.unwrap_or(self.key)),
            document: draft.document,
            run: draft.run,
            ..self.clone()
        }
    }

    /// The file's text: JSON whose last field is the digest of everything before it.
    pub(super) fn to_text(&self) -> Result<String, serde_json::Error> {
        seal::sealed(self)
    }

    /// Reads a file's text; says what is wrong with one that was not written by [`Record::to_text`] for `key`.
    pub(super) fn from_text(key: &Digest, text: &str) -> Result<Record, String> {
        seal::unsealed(text).and_then(|record| of_key(key, record))
    }

    /// As [`Record::from_text`], with `null` for the document: it is the longest part, and the key stands for it.
    pub(super) fn from_text_without_document(key: &Digest, text: &str) -> Result<Record, String> {
        seal::unsealed_without(text, "document").and_then(|record| of_key(key, record))
    }
}

fn of_key(key: &Digest, record: Record) -> Result<Record, String> {
    if record.key == *key { Ok(record) } else { Err(format!("it is the record of {}", record.key)) }
}

/// JSON has no word for a number that is not finite: it becomes `null`.
fn write_metrics<S: Serializer>(metrics: &Named<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(metrics.iter().map(|(name, value)| (name, value.is_finite().then_some(value))))
}

fn read_metrics<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Named<f64>, D::Error> {
    let metrics = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(metrics.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}
