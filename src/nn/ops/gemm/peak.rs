//! The machine's rate of matrix products, measured: what a training step's rate is held against.

use super::{Matrix, Output, Precision, Threads, multiply};
use std::time::Instant;

/// Rows, inputs and outputs: large enough that nothing but the kernels counts.
const SIZE: usize = 2048;
/// Products, of which the fastest counts; the first is not timed.
const REPEATS: usize = 4;

/// Multiplications and additions a second of a product of 2048³ with all threads.
pub fn peak(precision: Precision) -> f64 {
    let factor = |seed: usize| (0..SIZE * SIZE).map(|at| ((at * 31 + seed) % 17) as f32 - 8.0).collect::<Vec<f32>>();
    let (a, b) = (factor(0), factor(5));
    let mut y = vec![0.0; SIZE * SIZE];
    let mut once = || {
        let start = Instant::now();
        let place = Output { values: &mut y, row_stride: SIZE, accumulate: false };
        let (a, b) = (Matrix::new(&a, SIZE, SIZE), Matrix::new(&b, SIZE, SIZE));
        multiply(place, a, b.t(), 1.0, Threads::All, precision);
        start.elapsed().as_secs_f64()
    };
    once();
    let fastest = (0..REPEATS).map(|_| once()).fold(f64::INFINITY, f64::min);
    2.0 * (SIZE as f64).powi(3) / fastest
}
