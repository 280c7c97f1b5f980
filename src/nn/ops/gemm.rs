//! Matrix products over slices: a safe door to the `gemm` crate.

use gemm::Parallelism;

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
    /// The current pool.
    All,
}

/// output (+)= scale · a · b, with a [m, k] and b [k, n].
///
/// The order of every sum depends on k alone, so the bits do not depend on the thread count.
///
/// # Panics
/// Where the shapes do not fit the slices: an error in a kernel, not in its input.
pub(crate) fn multiply(output: Output<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32, threads: Threads) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert!(k == b.rows && a.fits() && b.fits(), "the factors of a product do not fit");
    assert!(fits(output.values.len(), m, n, output.row_stride, 1), "a product does not fit its place");
    if m == 0 || n == 0 {
        return;
    }
    let parallelism = match threads {
        Threads::All if m * n * k > 64 * 64 * 64 => Parallelism::Rayon(rayon::current_num_threads()),
        _ => Parallelism::None,
    };
    // SAFETY: every index that strides and sizes reach lies in its slice, as asserted above.
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
            parallelism,
        );
    }
}
