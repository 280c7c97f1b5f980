//! The care of the store: what is in it, what it needs, what may go, what is damaged, and how a part of it travels.

mod collect;
mod inventory;
mod mark;
mod policy;
mod repair;
mod sweep;
mod usage;
mod verify;

pub use collect::{Collected, Collection, KEEP_RUNS, Kept, Removed, Thing};
pub use policy::Limits;
pub use usage::{Usage, UsageRow};
pub use verify::{Bad, Keys, Part, Verified};
