//! How much work one comparison may take: a count of steps, not a clock, so that a verdict is the same on every machine.

use std::cell::Cell;

/// Steps of one comparison. A product of two terms takes some thirty, an operation on an interval of 128 bits two.
const STEPS: u64 = 60_000;

/// The largest number in bits: `9^(9^9)` is refused before it is computed.
pub const MAX_BITS: u64 = 8192;

/// Why a computation was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Too many steps, too many terms or too large a number.
    TooLarge,
    /// A division by zero, or another expression without a value.
    Undefined,
    /// Notation or a function that is not computed with.
    Beyond,
}

/// The steps that are left.
#[derive(Debug)]
pub struct Budget(Cell<u64>);

impl Budget {
    /// A comparison's whole allowance.
    pub fn new() -> Self {
        Budget(Cell::new(STEPS))
    }

    /// Takes steps from what is left.
    ///
    /// # Errors
    /// [`Stop::TooLarge`] where nothing is left.
    pub fn spend(&self, steps: u64) -> Result<(), Stop> {
        let left = self.0.get().saturating_sub(steps);
        self.0.set(left);
        if left == 0 { Err(Stop::TooLarge) } else { Ok(()) }
    }
}
