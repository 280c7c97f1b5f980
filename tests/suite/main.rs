//! The one integration-test binary: each module below is a subject.
#![expect(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod api;
mod bad_input;
mod care;
mod compiled;
mod completions;
mod doc;
mod docs;
mod editors;
mod exec_stage;
mod failpoints;
mod floors;
mod fmt;
mod fresh;
mod generate;
mod golden_keys;
mod golden_outputs;
mod grading;
mod graph;
mod hard_files;
mod inputs;
mod journey;
mod lsp;
mod memory;
mod messages;
mod metamorphic_keys;
#[allow(dead_code, reason = "the tests of the library use the rest")]
#[path = "../../src/api/testing.rs"]
mod openai;
mod planning;
mod prefixes;
mod profiles;
mod program;
mod racing;
mod remote;
mod sampled_fields;
mod spec;
mod spec_coverage;
mod spec_notes;
mod stdlib;
mod store_limits;
mod study;
mod unbuilt;
