//! Golden outputs: a stage kind whose results move must have another semantic version, or old results pass for new ones.
//!
//! `tests/golden/outputs.srlm` runs every stage kind that this version can run, at a size of seconds; `outputs.txt` pins what
//! came of each beside the kind's version. What is made of rows alone is pinned by its digest. What floating-point
//! numbers went into is not the same to the bit on every machine: matrix products sum in another order where a processor
//! has AVX-512. So models are pinned by numbers, each with the tolerance that the last digits of such sums need: how far
//! the weights moved from where they started, their norm, and the metrics. A change of what is computed moves them by
//! far more; one so small that it hides in the tolerance is no other result either.
//!
//! Where a test here fails and the change is meant: raise `version` in the kind's signature (or in the verifier's entry),
//! then `SRLM_BLESS=1 cargo test --test suite golden_outputs`. Numbers that move without a version are never written,
//! unless the program itself was changed: `SRLM_BLESS=all` writes everything.

use crate::program::{Answer, Project};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Relative difference of sums of weights that differ in the order of their terms; training lets it grow.
const NUMBERS: f64 = 2e-3;
/// A metric may hang on a sampled token, and that on the last digit of a probability.
const METRICS: f64 = 2e-2;
/// Numbers below this are told apart as if they were this: a loss of policies is the last digits of a sum that is 0.
const NEAR_NOTHING: f64 = 0.01;
/// What came of a stage.
#[derive(Clone, Debug, PartialEq)]
struct Golden {
    /// The stage kind, or `verifier` and its name.
    kind: String,
    version: u64,
    /// The digest of rows; none of a model or of scores.
    digest: Option<String>,
    numbers: BTreeMap<String, f64>,
}

impl Golden {
    /// `sft 1  moved=0.4 loss=0.2`
    fn line(&self, name: &str) -> String {
        let mut line = format!("{name}  {} {}", self.kind, self.version);
        if let Some(digest) = &self.digest {
            let _ = write!(line, "  {digest}");
        }
        for (number, value) in &self.numbers {
            let _ = write!(line, "  {number}={value:.6e}");
        }
        line + "\n"
    }

    fn parse(line: &str) -> (String, Golden) {
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap_or_else(|| panic!("a word is missing: {line}")).to_string();
        let (name, kind, version) = (word(), word(), word().parse().unwrap());
        let (mut digest, mut numbers) = (None, BTreeMap::new());
        for word in words {
            match word.split_once('=') {
                Some((name, value)) => drop(numbers.insert(name.to_string(), value.parse().unwrap())),
                None => digest = Some(word.to_string()),
            }
        }
        (name, Golden { kind, version, digest, numbers })
    }

    /// What differs beyond the tolerances.
    fn moved(&self, now: &Golden) -> Vec<String> {
        let mut moved = Vec::new();
        if self.digest != now.digest {
            moved.push(format!("its digest {:?} → {:?}", self.digest, now.digest));
        }
        let names: BTreeSet<&String> = self.numbers.keys().chain(now.numbers.keys()).collect();
        for name in names {
            let (was, is) = (self.numbers.get(name), now.numbers.get(name));
            let tolerance = if name.starts_with("weights.") { NUMBERS } else { METRICS };
            let near = was.zip(is).is_some_and(|(was, is)| (was - is).abs() <= tolerance * was.abs().max(NEAR_NOTHING));
            if !near {
                moved.push(format!("{name} {was:?} → {is:?}"));
            }
        }
        moved
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Two columns of texts in the form in which the Hub keeps rows.
fn write_parquet(path: &Path, questions: &[&str], answers: &[&str]) {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
    let schema = "message m { required binary question (UTF8); required binary answer (UTF8); }";
    let schema = parquet::schema::parser::parse_message_type(schema).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, schema.into(), WriterProperties::builder().build().into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for texts in [questions, answers] {
        let values: Vec<ByteArray> = texts.iter().map(|text| ByteArray::from(*text)).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

/// Runs the golden program; what each stage said at its end.
fn finished() -> (Project, Vec<Value>) {
    let project = Project::quick();
    let copy = |from: &str, to: &str| {
        let to = project.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(folder().join(from), to).unwrap();
    };
    copy("outputs.srlm", "outputs.srlm");
    copy("rows.jsonl", "rows.jsonl");
    copy("program.sh", "program.sh");
    copy("rows.jsonl", "hub/datasets--some--rows/snapshots/89abcdef0123456789abcdef0123456789abcdef/train.jsonl");
    for entry in std::fs::read_dir(folder().join("model")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        copy(&format!("model/{name}"), &format!("model/{name}"));
        let snapshot = "hub/models--some--model/snapshots/0123456789abcdef0123456789abcdef01234567";
        copy(&format!("model/{name}"), &format!("{snapshot}/{name}"));
    }
    let answers = ["16 - 3 - 4 = <<16-3-4=9>>9 eggs.\n#### 9", "#### 7"];
    write_parquet(&project.path().join("rows.parquet"), &["How many eggs are left?", "Why?"], &answers);
    let mut command = project.command(&["run", "outputs.srlm", "--json"]);
    let command = command.env("HF_HUB_CACHE", project.path().join("hub")).env("HF_HUB_OFFLINE", "1");
    let mut events = Answer(command.output().unwrap()).ok().objects();
    events.retain(|event| event["event"] == "stage_finished");
    (project, events)
}

/// Every stage of the golden program by its name, with what came of it.
fn goldens(project: &Project, events: &[Value]) -> BTreeMap<String, Golden> {
    let store = Objects(project.path().join(".srlm"));
    let mut found = BTreeMap::new();
    for event in events {
        let name = event["stage"]["name"].as_str().unwrap().replace("model_", "");
        let kind = event["stage"]["kind"].as_str().unwrap();
        let record = store.record(event["stage"]["key"].as_str().unwrap());
        let version = record["document"]["semantic_version"].as_u64().unwrap();
        let of_rows = record["inputs"].get("model").is_none().then(|| record["outputs"]["dataset"].as_str()).flatten();
        let digest = of_rows.map(|digest| digest[..32].to_string());
        let mut numbers = BTreeMap::new();
        if digest.is_none() {
            let metrics = event["metrics"].as_object().unwrap();
            numbers.extend(metrics.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))));
        }
        if let Some(model) = record["outputs"]["model"].as_str() {
            let weights = store.weights(model);
            let start = record["inputs"]["model"].as_str().map(|model| store.weights(model));
            let start = start.unwrap_or_else(|| vec![0.0; weights.len()]);
            let moved = weights.iter().zip(&start).map(|(is, was)| (is - was) * (is - was)).sum::<f64>().sqrt();
            numbers.insert("weights.moved".into(), moved);
            numbers.insert("weights.sum".into(), weights.iter().map(|weight| weight.abs()).sum());
        }
        found.insert(name.clone(), Golden { kind: kind.into(), version, digest, numbers });
        if let Some(verifier) = name.strip_prefix("verifier_") {
            let reward = srlm::reward::VERIFIERS.iter().find(|reward| reward.name == verifier).unwrap();
            let golden = &found[&name];
            let of_verifier =
                Golden { kind: format!("verifier:{verifier}"), version: reward.version.into(), ..golden.clone() };
            found.insert(name, of_verifier);
        }
    }
    found
}

/// The objects of a store, read as they lie.
struct Objects(PathBuf);

impl Objects {
    fn record(&self, key: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.0.join(format!("records/{key}.json"))).unwrap()).unwrap()
    }

    fn blob(&self, digest: &str) -> Vec<u8> {
        std::fs::read(self.0.join("objects").join(&digest[..2]).join(&digest[2..])).unwrap()
    }

    /// Every weight of a model, in the order of the tensors' names.
    fn weights(&self, artifact: &str) -> Vec<f64> {
        let tree: Value = serde_json::from_slice(&self.blob(artifact)).unwrap();
        let files = tree["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"] == "model.safetensors").unwrap();
        let bytes = self.blob(file["blob"].as_str().unwrap());
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut tensors: Vec<_> = tensors.iter().collect();
        tensors.sort_by_key(|(name, _)| name.to_string());
        let floats = |bytes: &[u8]| -> Vec<f64> {
            let float = |bytes: &[u8]| f64::from(f32::from_le_bytes(bytes.try_into().unwrap()));
            bytes.chunks_exact(4).map(float).collect()
        };
        tensors.iter().flat_map(|(_, tensor)| floats(tensor.data())).collect()
    }
}

const HEAD: &str = "\
# What came of each stage of the program beside this file: its name, its kind, the kind's version, the digest of rows,
# or numbers. tests/suite/golden_outputs.rs says what they are for, and how they change.
";

#[test]
fn golden_outputs_guard_the_semantic_versions() {
    let (project, events) = finished();
    let now = goldens(&project, &events);
    let path = folder().join("outputs.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let was: BTreeMap<String, Golden> = lines.map(Golden::parse).collect();
    let mut told = Vec::new();
    for name in was.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
        match (was.get(name), now.get(name)) {
            (Some(was), Some(now)) if (&was.kind, was.version) == (&now.kind, now.version) => {
                let moved = was.moved(now);
                if !moved.is_empty() {
                    let raise = format!("raise the version of `{}` above {}", now.kind, now.version);
                    told.push((false, format!("`{name}` came out differently, {raise}: {}", moved.join(", "))));
                }
            }
            (Some(was), Some(now)) => {
                let versions = format!("{} {} → {} {}", was.kind, was.version, now.kind, now.version);
                told.push((true, format!("`{name}` has no golden output of its version: {versions}")));
            }
            (None, _) => told.push((true, format!("`{name}` has no golden output yet"))),
            (_, None) => told.push((true, format!("`{name}` is no stage of the program any more"))),
        }
    }
    let bless = std::env::var("SRLM_BLESS").unwrap_or_default();
    let may_write = told.iter().all(|(is_allowed, _)| *is_allowed) || bless == "all";
    if !bless.is_empty() && may_write {
        let lines: String = now.iter().map(|(name, golden)| golden.line(name)).collect();
        return std::fs::write(path, format!("{HEAD}\n{lines}")).unwrap();
    }
    let told: Vec<String> = told.into_iter().map(|(_, text)| text).collect();
    assert!(told.is_empty(), "{}\nwritten by: SRLM_BLESS=1 cargo test --test suite golden_outputs", told.join("\n"));
    covers_everything(&now);
}

/// Every stage kind that can be run, and every verifier, has a golden output. What a server answers is none of ours.
fn covers_everything(goldens: &BTreeMap<String, Golden>) {
    let held: BTreeSet<&str> = goldens.values().map(|golden| golden.kind.as_str()).collect();
    let kinds = srlm::stage::STAGES.iter().map(|stage| stage.signature()).filter(|stage| stage.unbuilt.is_none());
    let kinds = kinds.filter(|stage| stage.kind != "api");
    let kinds = kinds.map(|stage| stage.kind.to_string());
    let verifiers = srlm::reward::VERIFIERS.iter().map(|verifier| format!("verifier:{}", verifier.name));
    for kind in kinds.chain(verifiers) {
        assert!(held.contains(kind.as_str()), "`{kind}` has no golden output: add it to tests/golden/outputs.srlm");
    }
}
