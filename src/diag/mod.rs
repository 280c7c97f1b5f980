//! Diagnostics: data here, their catalogue in `codes.rs`, their looks in `render.rs`.

pub mod codes;
mod diagnostic;
mod excerpt;
pub mod render;

pub use diagnostic::{Diagnostic, Fix, Label, Severity};
