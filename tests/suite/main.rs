//! The one integration-test binary: each module below is a subject.
#![expect(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod bad_input;
mod doc;
mod docs;
mod editors;
mod floors;
mod fmt;
mod graph;
mod hard_files;
mod inputs;
mod journey;
mod lsp;
mod messages;
mod program;
mod spec;
mod spec_coverage;
mod spec_notes;
mod stdlib;
mod unbuilt;
