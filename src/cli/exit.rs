//! The exit codes of the program: part of its interface.

/// All went well.
pub const OK: u8 = 0;
/// A stage failed, or could not run because one it needs failed.
pub const STAGE_FAILED: u8 = 1;
/// `fmt --check` found a file that is not in the one style.
pub const UNFORMATTED: u8 = 1;
/// The command line or a file is wrong: nothing was run.
pub const INPUT: u8 = 2;
/// The store or the machine is at fault: disk full, no permission, a record that cannot be read.
pub const MACHINE: u8 = 3;
/// Stopped by Ctrl-C or a request to end; the same command continues.
pub const INTERRUPTED: u8 = 130;
