//! Matrix products over slices: in f32 through a safe door to the `gemm` crate, in bfloat16 by kernels of our own.

mod bf16;
mod pack;
mod peak;
mod tile;

use super::simd::add_to;
use gemm::Parallelism;
pub use peak::peak;
use rayon::prelude::*;
pub use tile::Path;

/// A matrix laid over a slice: element (i, j) stands at `i · row_stride + j · column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix without gaps.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// A row-major matrix whose rows are `row_stride` values apart.
    pub(crate) fn strided(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Matrix { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose, without moving anything.
    pub(crate) fn t(self) -> Self {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Rows `from..to`.
    fn row_range(self, from: usize, to: usize) -> Self {
        Matrix { values: &self.values[(from * self.row_stride).min(self.values.len())..], rows: to - from, ..self }
    }

    fn fits(&self) -> bool {
        fits(self.values.len(), self.rows, self.columns, self.row_stride, self.column_stride)
    }
}

fn fits(length: usize, rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row_stride + (columns - 1) * column_stride < length
}

/// Where a product goes.
pub(crate) struct Output<'a> {
    /// Row-major values.
    pub values: &'a mut [f32],
    /// Distance between rows.
    pub row_stride: usize,
    /// Add to what stands there instead of replacing it.
    pub accumulate: bool,
}

/// Which threads may help.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling thread only: for products inside a parallel task.
    One,
    /// The current pool, where the product is large enough.
    All,
}

/// Number format of a product's factors; sums are f32 in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Factors rounded to bfloat16: 8 bits of precision, the range of f32.
    Bf16,
}

/// Multiplications below which threads cost more than they bring.
const SERIAL: usize = 64 * 64 * 64;
/// Tasks that a large product is cut into: enough to even out a thread that comes late.
const TASKS: usize = 8;
/// Rows of a task are a multiple of this: that of the kernel's tile, and its double.
const TILE: usize = 24;
/// Products of few elements and long sums are cut along the sum, each part at least this long.
const DEPTH: usize = 512;

/// output (+)= scale · a · b, with a [m, k] and b [k, n].
///
/// Cut into tasks by shape alone and, within a task, summed in an order that depends on k alone: the bits do
/// not depend on the thread count. The library's own threads wait for each other actively, which is slow
/// where cores are shared; these tasks wait for nobody.
///
/// bfloat16 rounds the factors and nothing else: sums, `scale` and what stood in the output are f32.
///
/// # Panics
/// Where the shapes do not fit the slices: an error in a kernel, not in its input.
pub(crate) fn multiply(
    output: Output<'_>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
    threads: Threads,
    precision: Precision,
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert!(k == b.rows && a.fits() && b.fits(), "the factors of a product do not fit");
    assert!(fits(output.values.len(), m, n, output.row_stride, 1), "a product does not fit its place");
    let alone = threads == Threads::One || m * n * k <= SERIAL;
    match precision {
        _ if m == 0 || n == 0 => {}
        Precision::Bf16 => bf16::Product::new(a, b, scale).run(output, !alone),
        Precision::F32 if alone => one_thread(output, a, b, scale),
        Precision::F32 if k >= 2 * DEPTH && m * n <= 512 * 512 => by_depth(output, a, b, scale),
        Precision::F32 => by_rows(output, a, b, scale),
    }
}

/// Strips of rows side by side.
fn by_rows(output: Output<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32) {
    let m = a.rows;
    let rows = m.div_ceil(TASKS).next_multiple_of(TILE);
    let Output { values, row_stride, accumulate } = output;
    values.par_chunks_mut(rows * row_stride).take(m.div_ceil(rows)).enumerate().for_each(|(task, values)| {
        let a = a.row_range(task * rows, ((task + 1) * rows).min(m));
        one_thread(Output { values, row_stride, accumulate }, a, b, scale);
    });
}

/// Parts of the sum side by side, then added in order.
fn by_depth(output: Output<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    let depth = k.div_ceil(TASKS).max(DEPTH);
    let mut parts = vec![0.0; k.div_ceil(depth) * m * n];
    parts.par_chunks_mut(m * n).enumerate().for_each(|(part, values)| {
        let (from, to) = (part * depth, ((part + 1) * depth).min(k));
        let place = Output { values, row_stride: n, accumulate: false };
        one_thread(place, a.t().row_range(from, to).t(), b.row_range(from, to), scale);
    });
    for (row, values) in output.values.chunks_mut(output.row_stride).take(m).enumerate() {
        if !output.accumulate {
            values[..n].fill(0.0);
        }
        parts.chunks_exact(m * n).for_each(|part| add_to(&mut values[..n], &part[row * n..(row + 1) * n]));
    }
}

fn one_thread(output: Output<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    // SAFETY: every index that strides and sizes reach lies in its slice, as `multiply` asserts.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            output.values.as_mut_ptr(),
            1,
            output.row_stride as isize,
            output.accumulate,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers: bfloat16 holds them, and every order of summing is exact.
    #[test]
    fn every_way_of_cutting_gives_the_product() {
        let shapes =
            [(1, 1, 1), (5, 7, 3), (200, 70, 90), (30, 2_000, 20), (300, 1_100, 7), (40, 1_030, 600), (15, 3, 33)];
        for (m, k, n) in shapes {
            for (precision, threads) in [Precision::F32, Precision::Bf16]
                .into_iter()
                .flat_map(|precision| [Threads::One, Threads::All].map(|threads| (precision, threads)))
            {
                let a: Vec<f32> = (0..m * k).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
                let b: Vec<f32> = (0..k * n).map(|i| (i * 5 % 13) as f32 - 6.0).collect();
                let mut y = vec![1.0; m * (n + 2)];
                let place = Output { values: &mut y, row_stride: n + 2, accumulate: true };
                multiply(place, Matrix::new(&a, m, k), Matrix::new(&b, k, n), 2.0, threads, precision);
                for (row, column) in [(0, 0), (m / 2, n / 2), (m - 1, n - 1)] {
                    let sum: f32 = (0..k).map(|i| a[row * k + i] * b[i * n + column]).sum();
                    assert_eq!(y[row * (n + 2) + column], 1.0 + 2.0 * sum, "{m} {k} {n} {precision:?}");
                    assert_eq!(y[row * (n + 2) + n], 1.0, "beside the product");
                }
            }
        }
    }

    #[test]
    fn a_sum_of_nothing_is_nothing() {
        for precision in [Precision::F32, Precision::Bf16] {
            let mut y = [1.0, 2.0];
            let place = Output { values: &mut y, row_stride: 2, accumulate: false };
            multiply(place, Matrix::new(&[], 1, 0), Matrix::new(&[], 0, 2), 1.0, Threads::All, precision);
            assert_eq!(y, [0.0, 0.0]);
        }
    }
}
