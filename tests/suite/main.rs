//! The one integration-test binary: each module below is a subject.
#![expect(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod bad_input;
mod docs;
mod floors;
mod journey;
mod program;
