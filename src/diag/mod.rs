//! Diagnostics: data here, their catalogue in `codes.rs`, their looks in `render.rs`.

pub mod codes;
mod diagnostic;
pub mod examples;
mod excerpt;
pub mod fix;
pub mod render;
pub mod sarif;

pub use diagnostic::{Diagnostic, Fix, Label, Severity};
