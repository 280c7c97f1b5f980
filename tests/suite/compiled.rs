//! A text compiled and planned in memory: each declared file holds its own name.

use srlm::base::digest::Digest;
use srlm::base::source::Loader;
use srlm::diag::render::{Look, render};
use srlm::lang::program::Program;
use srlm::plan::{Files, Graph};
use std::collections::BTreeMap;

/// What became of a text.
pub struct Compiled {
    /// Its program.
    pub program: Program,
    /// Its stages.
    pub graph: Graph,
}

/// Compiles one text.
pub fn compile(text: &str) -> Compiled {
    compile_files("main.srlm", &[("main.srlm", text)])
}

/// Compiles `entry` among some files; panics with the errors where there are any.
pub fn compile_files(entry: &str, files: &[(&str, &str)]) -> Compiled {
    let texts = Texts(files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect());
    let compiled = srlm::lang::compile(entry, &texts, &[], &srlm::stage::catalogue());
    let tell = |found: &[srlm::diag::Diagnostic]| render(found, &compiled.sources, Look::Plain, 120);
    assert!(!compiled.has_errors(), "{}", tell(&compiled.diagnostics));
    let graph = Graph::build(&compiled.program, &Names).unwrap_or_else(|errors| panic!("{}", tell(&errors)));
    Compiled { program: compiled.program, graph }
}

impl Compiled {
    /// The keys of what the file wants made, in its order.
    pub fn target_keys(&self) -> Vec<Digest> {
        self.graph.targets().iter().map(|target| self.graph.node(target.node).key).collect()
    }
}

struct Texts(BTreeMap<String, String>);

impl Loader for Texts {
    fn load(&self, path: &str) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| format!("there is no {path}"))
    }
}

/// A file holds its own name, without the folders that lead to it.
struct Names;

impl Files for Names {
    fn digest(&self, path: &str) -> Result<Digest, String> {
        Ok(Digest::of_bytes(path.rsplit('/').next().unwrap_or(path).as_bytes()))
    }
}
