//! The care of the store: what is in it, what it needs, what may go, what is damaged, and how a part of it travels.

mod archive;
mod collect;
mod export;
mod import;
mod inventory;
mod mark;
mod policy;
mod repair;
mod sweep;
mod usage;
mod verify;

pub use collect::{Collected, Collection, KEEP_RUNS, Kept, Removed, Thing};
pub use export::Exported;
pub use import::Imported;
pub use policy::Limits;
pub use usage::{Usage, UsageRow};
pub use verify::{Bad, Keys, Part, Verified};

#[cfg(test)]
mod archive_tests;
#[cfg(test)]
mod tests;
