//! What can be formatted keeps its tokens and comments, and formats to itself; the formatter finds no defect of its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use srlm_fuzz::lang::format::{FormatError, format};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match format("main.srlm", text) {
        Ok(once) => {
            let twice = format("main.srlm", &once).unwrap_or_else(|_| panic!("formatted, it cannot be read:\n{once}"));
            assert_eq!(once, twice);
        }
        Err(FormatError::Syntax { .. }) => {}
        Err(FormatError::Defect(what)) => panic!("{what}"),
    }
});
