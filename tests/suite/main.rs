//! The one integration-test binary: each module below is a subject.
#![expect(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod bad_input;
mod docs;
mod floors;
mod hard_files;
mod journey;
mod program;
