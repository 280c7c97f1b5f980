//! The language as a whole: what programs evaluate to. What they mean is specified by `tests/spec`.

mod catalogue;
mod direct;
mod format;
mod generate;
mod index;
mod outline;
mod programs;

use super::{Compilation, compile};
use crate::base::source::Loader;
use crate::diag::render::one_line;
use std::collections::BTreeMap;

/// Files in memory.
pub(super) struct Files(BTreeMap<String, String>);

impl Loader for Files {
    fn load(&self, path: &str) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| format!("there is no {path}"))
    }
}

/// Compiles `main.srlm` of some files in memory.
fn compiled(files: &[(&str, &str)], params: &[(&str, &str)]) -> Compilation {
    let files = files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    let params: Vec<_> = params.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    compile("main.srlm", &Files(files), &params, &catalogue::catalogue())
}

/// Compiles one text; it must have no findings.
fn clean(text: &str) -> Compilation {
    let done = compiled(&[("main.srlm", text)], &[]);
    assert!(done.diagnostics.is_empty(), "{}", listed(&done));
    done
}

/// The codes of what is wrong with a text.
fn codes(text: &str) -> Vec<&'static str> {
    compiled(&[("main.srlm", text)], &[]).diagnostics.iter().map(|found| found.code).collect()
}

fn listed(done: &Compilation) -> String {
    done.diagnostics.iter().map(|found| one_line(found, &done.sources) + "\n").collect()
}
