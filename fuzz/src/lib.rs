//! The language and the grader without the rest of the tool: the very files of `../src`, compiled in a moment and
//! instrumented alone.

#[path = "../../src/base/mod.rs"]
pub mod base;
#[path = "../../src/diag/mod.rs"]
pub mod diag;
#[path = "../../src/lang/mod.rs"]
pub mod lang;

#[path = "../../src/data/boxed.rs"]
mod boxed;
#[path = "../../src/reward/grade/mod.rs"]
pub mod grade;

/// The one file of the data room that the grader uses.
mod data {
    pub(crate) use crate::boxed;
}

#[path = "../../src/lang/tests/catalogue.rs"]
mod catalogue;

use base::source::Loader;
use lang::Compilation;

/// The text under test, and nothing else to import.
struct OneFile<'a>(&'a str);

impl Loader for OneFile<'_> {
    fn load(&self, path: &str) -> Result<String, String> {
        if path == "main.srlm" { Ok(self.0.to_string()) } else { Err(format!("there is no {path}")) }
    }
}

/// Checks a text with the small catalogue that the tests of the language use.
pub fn compiled(text: &str) -> Compilation {
    lang::compile("main.srlm", &OneFile(text), &[], &catalogue::catalogue())
}
