//! Any bytes are checked, and what is found is shown, without a panic; fixes and places lie inside the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use srlm_fuzz::diag::render::{Look, one_line, render, to_json};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let done = srlm_fuzz::compiled(text);
    for look in [Look::Plain, Look::Coloured, Look::Narrated] {
        render(&done.diagnostics, &done.sources, look, 80);
    }
    for found in &done.diagnostics {
        one_line(found, &done.sources);
        to_json(found, &done.sources).to_string();
        for span in found.labels.iter().map(|label| label.span).chain(found.fix.iter().map(|fix| fix.span)) {
            let source = &done.sources.file(span.source).text;
            assert!(source.get(span.start as usize..span.end as usize).is_some(), "{found:?}");
        }
        assert!(found.message.len() < 10_000 && !found.message.contains('\n') || text.contains('\n'));
    }
});
