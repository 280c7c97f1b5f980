//! The golden keys: what a key is made of may change on purpose only, seen by a reviewer line by line.
//!
//! A key that moves makes every result under the old one stale for every user. So each line of `tests/keys/golden.keys`
//! pins the deep key of one expression, and each field of each stage kind has lines there with other values than its
//! default. After a change that is meant, `SRLM_BLESS=1 cargo test --test suite golden_keys` writes the file anew; the
//! diff of that file is what is reviewed.

use crate::compiled::{Compiled, compile};
use crate::sampled_fields::samples;
use srlm::base::digest::Digest;
use srlm::driver::{DiskFiles, open};
use srlm::lang::signature::Catalogue;
use srlm::plan::Files;
use srlm::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const HEAD: &str = "\
# Deep keys of stages, one a line: the key, then what it is the key of, in the words of prelude.srlm.
# Written by SRLM_BLESS=1 cargo test --test suite golden_keys, which keeps lines added here by hand and adds lines for
# fields that have none. A key that changes makes all earlier results of such a stage stale: say why in CHANGELOG.md.
";
const BLESS: &str = "a change that is meant is written by: SRLM_BLESS=1 cargo test --test suite golden_keys";

/// A file of golden keys.
struct Corpus {
    path: PathBuf,
    /// The key as it stands there, and the expression.
    lines: Vec<(String, String)>,
}

impl Corpus {
    fn read(name: &str) -> Corpus {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let split = |line: &str| {
            let (key, expression) = line.split_once("  ").unwrap_or_else(|| panic!("a key and an expression: {line}"));
            (key.to_string(), expression.trim().to_string())
        };
        Corpus { lines: lines.map(split).collect(), path }
    }

    fn expressions(&self) -> Vec<&str> {
        self.lines.iter().map(|(_, expression)| expression.as_str()).collect()
    }

    /// Fails with what moved, or writes the file where that is asked for.
    fn hold(&self, keys: &[Digest], added: &[(Digest, String)]) {
        if std::env::var_os("SRLM_BLESS").is_some() {
            let kept = self.lines.iter().zip(keys).map(|((_, expression), key)| (key, expression));
            let added = added.iter().map(|(key, expression)| (key, expression));
            let lines: String = kept.chain(added).map(|(key, expression)| format!("{key}  {expression}\n")).collect();
            std::fs::write(&self.path, format!("{HEAD}\n{lines}")).unwrap();
            return;
        }
        let moved = self.lines.iter().zip(keys).filter(|((was, _), key)| *was != key.to_string());
        let moved: Vec<String> = moved.map(|((was, what), key)| format!("- {was}\n+ {key}  {what}\n")).collect();
        let missing: Vec<String> = added.iter().map(|(_, expression)| format!("  {expression}\n")).collect();
        let name = self.path.file_name().unwrap_or_default().display();
        assert!(
            moved.is_empty() && missing.is_empty(),
            "{} of {} keys of {name} moved:\n{}{} expressions are not in it:\n{}{BLESS}",
            moved.len(),
            self.lines.len(),
            moved.concat(),
            missing.len(),
            missing.concat()
        );
    }
}

fn catalogue() -> Catalogue {
    srlm::stage::catalogue()
}

fn prelude() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/prelude.srlm")).unwrap()
}

/// The prelude with a pipeline a line.
fn with_pipelines(expressions: &[&str]) -> String {
    let lines = expressions.iter().enumerate();
    let pipelines: String = lines.map(|(at, text)| format!("pipeline case_{at} = {text}\n")).collect();
    format!("{}\n{pipelines}", prelude())
}

#[test]
fn golden_keys_stay_as_they_are() {
    let corpus = Corpus::read("golden.keys");
    let known: BTreeSet<&str> = corpus.expressions().into_iter().collect();
    let sampled = samples(&catalogue());
    let missing: Vec<&str> = sampled.iter().map(String::as_str).filter(|text| !known.contains(text)).collect();
    let expressions = [corpus.expressions(), missing.clone()].concat();
    let keys = compile(&with_pipelines(&expressions)).target_keys();
    let (kept, new) = keys.split_at(corpus.lines.len());
    let added: Vec<_> = new.iter().copied().zip(missing.into_iter().map(String::from)).collect();
    corpus.hold(kept, &added);
    assert!(expressions.len() >= 200, "{} golden keys are too few", expressions.len());
}

/// Two lines have the same key exactly where kind, version, fields and inputs are the same.
#[test]
fn golden_keys_differ_wherever_the_stages_do() {
    let corpus = Corpus::read("golden.keys");
    let Compiled { graph, .. } = compile(&with_pipelines(&corpus.expressions()));
    let mut by_content = BTreeMap::new();
    for target in graph.targets() {
        let node = graph.node(target.node);
        let inputs: Vec<_> = node.inputs.iter().map(|(role, input)| (role, graph.node(*input).key)).collect();
        let content = format!("{} {} {} {inputs:?}", node.kind, node.version, sorted(&node.document()["science"]));
        assert_eq!(*by_content.entry(content).or_insert(node.key), node.key, "{}", target.label);
    }
    let keys: BTreeSet<_> = by_content.values().collect();
    assert_eq!(keys.len(), by_content.len(), "different stages have one key");
}

fn sorted(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name, sorted(value))).collect();
            format!("{fields:?}")
        }
        serde_json::Value::Array(items) => format!("{:?}", items.iter().map(sorted).collect::<Vec<_>>()),
        plain => plain.to_string(),
    }
}

/// Each field of each stage kind stands in the corpus with a value that is not its default.
#[test]
fn golden_keys_cover_every_field() {
    let corpus = Corpus::read("golden.keys");
    let program = compile(&with_pipelines(&corpus.expressions())).program;
    let other = |kind: &str, name: &str, default: &Option<serde_json::Value>| {
        let calls = program.calls.iter().filter(|call| call.kind == kind);
        let mut values = calls.flat_map(|call| call.args.iter()).filter(|(field, _)| field == name);
        values.any(|(_, value)| Some(value.to_json()) != *default)
    };
    for stage in catalogue().stages {
        assert!(program.calls.iter().any(|call| call.kind == stage.kind), "no line has the stage `{}`", stage.kind);
        for field in &stage.fields {
            let default = field.default.as_ref().map(|value| value.to_json());
            assert!(other(stage.kind, field.name, &default), "no line sets `{}.{}`: {BLESS}", stage.kind, field.name);
        }
    }
}

const LOCK: &str = "version: 1
sources:
- kind: model
  repo: some/model
  revision: 0123456789abcdef0123456789abcdef01234567
  files:
    config.json: { size: 3, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }
- kind: dataset
  repo: some/rows
  split: train
  revision: 89abcdef0123456789abcdef0123456789abcdef
  files:
    train.jsonl: { size: 5, sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad }
";

/// What the lock holds goes into the keys.
#[test]
fn golden_keys_of_sources_in_the_lock_stay_as_they_are() {
    let corpus = Corpus::read("locked.keys");
    let folder = tempfile::tempdir().unwrap();
    let lines = corpus.expressions().into_iter().enumerate();
    let text: String = lines.map(|(at, text)| format!("pipeline case_{at} = {text}\n")).collect();
    let file = folder.path().join("a.srlm");
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("srlm.lock"), LOCK).unwrap();
    let none: &[(String, String)] = &[];
    let project = open(&file, none, folder.path().join("store")).unwrap_or_else(|failure| panic!("{failure:?}"));
    let keys = project.graph.targets().iter().map(|target| project.graph.node(target.node).key);
    corpus.hold(&keys.collect::<Vec<_>>(), &[]);
}

/// The digests by which keys know declared files: of a file its bytes', of a folder its names' and bytes'.
#[test]
fn golden_digests_of_declared_files_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("some/rows.jsonl", b"{}\n");
    write("some/deeper/empty", b"");
    write("some/.hidden", b"left out");
    write("some/large", &vec![7; 3 << 20]);
    let files = DiskFiles::new(&Store::open(folder.path().join("no store")).unwrap());
    let digest = |name: &str| files.digest(&folder.path().join(name).to_string_lossy()).unwrap().to_string();
    let names = ["some/rows.jsonl", "some/deeper/empty", "some/large", "some"];
    assert_eq!(names.map(|name| format!("{name} {}", digest(name))), GOLDEN_DIGESTS);
}

const GOLDEN_DIGESTS: [&str; 4] = [
    "some/rows.jsonl a7c4d54776fcb179f048728766a52d75dc450cc2a5072b7e2c238aa9b2cff3b6",
    "some/deeper/empty af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    "some/large 845b7bc040bfe913bcf3f1b265a863849b59e6841469bd8b2491db954484afe7",
    "some 131ddd99e0249933dd149b3420c59ca7e9b9682ce9e606f12fac9419d54f8cfc",
];
