//! The grader: finds the answer of a completion, and judges it against the gold answer. The same code serves rewards and
//! evaluation, without a clock and without a random number: a verdict is the same on every machine.
//!
//! [`extract`] finds an answer, [`judge`] compares two. On the way a text is [`notation`], then [`tokens`], then a
//! [`tree`] by [`parse`] and [`arithmetic`], then a [`shape`]. [`compare`] compares shapes, [`equality`] expressions by
//! their [`normal`] form, a fraction of [`polynomial`]s in atoms; [`zero`] proves that a difference is zero, by
//! [`interval`]s where the normal form does not show it.

mod arithmetic;
mod budget;
mod compare;
mod equality;
pub mod extract;
mod formulas;
mod functions;
mod interval;
pub mod judge;
mod literal;
mod lm_eval;
mod matrix;
mod normal;
mod notation;
mod numeric;
mod parse;
mod polynomial;
pub mod profile;
pub mod rule;
mod shape;
mod tokens;
mod tree;
mod unit;
pub mod verdict;
mod zero;

/// Raised whenever a pair would get another verdict: part of the key of every stage that judges.
pub const VERSION: u32 = 2;
