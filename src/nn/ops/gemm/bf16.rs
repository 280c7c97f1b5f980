//! Products with factors rounded to bfloat16 while they are packed; sums are f32.
//!
//! As in Goto and van de Geijn (2008): the right factor is packed block by block, then strips of the left factor go
//! over each block, tile by tile. An element's sum runs in blocks of fixed depth, in order: its bits depend on the
//! shape of the product and on the path of the tiles, never on the number of threads.

use super::super::simd::add_to;
use super::super::slices::Scattered;
use super::pack::pack;
use super::tile::{MR, NR, Path, fetch, tile};
use super::{Matrix, Output};
use rayon::prelude::*;
use std::cell::Cell;

/// Steps of a block along the sum: a strip of the left factor stays in the first cache.
const DEPTH: usize = 512;
/// Columns of a block: with its depth, half of the second cache.
const WIDTH: usize = 512;
/// Tasks that a block is cut into, at most: enough to even out a thread that comes late.
const TASKS: usize = 16;
/// Products of few elements and long sums are cut along the sum, into parts at least this long.
const LONG: usize = 1024;

thread_local! {
    /// Memory for packed blocks and strips, kept by each thread.
    static PACKED: Cell<[Vec<u32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// Words of a cache line: panels start at one.
const LINE: usize = 16;

/// Lends the thread's memory for at least `length` words; `which` tells blocks from strips.
fn with_words<R>(which: usize, length: usize, body: impl FnOnce(&mut [u32]) -> R) -> R {
    let mut kept = PACKED.take();
    let mut words = std::mem::take(&mut kept[which]);
    PACKED.set(kept);
    if words.len() < length + LINE {
        words.resize(length + LINE, 0);
    }
    let start = words.as_ptr().align_offset(4 * LINE).min(LINE);
    let result = body(&mut words[start..start + length]);
    let mut kept = PACKED.take();
    kept[which] = words;
    PACKED.set(kept);
    result
}

/// scale · a · b, the factors rounded.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    a: Matrix<'a>,
    b: Matrix<'a>,
    scale: f32,
    path: Path,
}

impl<'a> Product<'a> {
    /// By the best path that the processor has.
    pub(super) fn new(a: Matrix<'a>, b: Matrix<'a>, scale: f32) -> Self {
        Product { a, b, scale, path: Path::of_this_machine() }
    }

    /// Into `output`, or onto what stands there; by this thread or by all.
    pub(super) fn run(&self, output: Output<'_>, parallel: bool) {
        let (m, k, n) = (self.a.rows, self.a.columns, self.b.columns);
        match parallel && k >= 2 * LONG && m * n <= 256 * 256 {
            true => self.by_depth(output),
            false => self.by_blocks(output, parallel),
        }
    }

    fn by_blocks(&self, output: Output<'_>, parallel: bool) {
        let (k, n) = (self.a.columns, self.b.columns);
        let place = Place { values: &Scattered::new(output.values), row_stride: output.row_stride };
        if k == 0 && !output.accumulate {
            (0..self.a.rows).for_each(|row| place.rows((row, row + 1), 0, n).fill(0.0));
        }
        for left in (0..n).step_by(WIDTH) {
            let columns = (left, (left + WIDTH).min(n));
            for from in (0..k).step_by(DEPTH) {
                let steps = (from, (from + DEPTH).min(k));
                let add = output.accumulate || from > 0;
                self.block(place, columns, steps, add, parallel);
            }
        }
    }

    fn block(&self, place: Place<'_>, columns: (usize, usize), steps: (usize, usize), add: bool, parallel: bool) {
        let words = (steps.1 - steps.0).div_ceil(2);
        let panels = (columns.1 - columns.0).div_ceil(NR);
        with_words(0, panels * words * NR, |block| {
            let pack_one = |(panel, place): (usize, &mut [u32])| {
                let first = columns.0 + panel * NR;
                pack::<NR>(self.b.t(), (first, (first + NR).min(columns.1)), steps, self.path, place);
            };
            match parallel {
                true => block.par_chunks_mut(words * NR).enumerate().for_each(pack_one),
                false => block.chunks_mut(words * NR).enumerate().for_each(pack_one),
            }
            let block = &*block;
            let strips = self.a.rows.div_ceil(MR);
            let each = if parallel { strips.div_ceil(TASKS) } else { strips };
            let task = |task: usize| {
                let strips = task * each..((task + 1) * each).min(strips);
                self.strips(place, strips, block, columns, steps, add);
            };
            match parallel {
                true => (0..strips.div_ceil(each)).into_par_iter().for_each(task),
                false => task(0),
            }
        });
    }

    /// Strips of the left factor over a packed block of the right one.
    fn strips(
        &self,
        place: Place<'_>,
        strips: std::ops::Range<usize>,
        block: &[u32],
        columns: (usize, usize),
        steps: (usize, usize),
        add: bool,
    ) {
        let words = (steps.1 - steps.0).div_ceil(2);
        with_words(1, words * MR, |strip| {
            let mut sums = [[0.0; NR]; MR];
            for at in strips {
                let rows = (at * MR, ((at + 1) * MR).min(self.a.rows));
                pack::<MR>(self.a, rows, steps, self.path, strip);
                for (panel, packed) in block.chunks_exact(words * NR).enumerate() {
                    let left = columns.0 + panel * NR;
                    let width = (columns.1 - left).min(NR);
                    let spot = place.rows(rows, left, width);
                    fetch(spot, place.row_stride);
                    tile(self.path, words, strip, packed, &mut sums);
                    put(spot, place.row_stride, &sums[..rows.1 - rows.0], (width, self.scale, add));
                }
            }
        });
    }

    /// Parts of the sum side by side, then added in order.
    fn by_depth(&self, output: Output<'_>) {
        let (m, k, n) = (self.a.rows, self.a.columns, self.b.columns);
        let depth = k.div_ceil(TASKS).max(LONG);
        let mut parts = vec![0.0; k.div_ceil(depth) * m * n];
        parts.par_chunks_mut(m * n).enumerate().for_each(|(part, values)| {
            let (from, to) = (part * depth, ((part + 1) * depth).min(k));
            let (a, b) = (self.a.t().row_range(from, to).t(), self.b.row_range(from, to));
            Product { a, b, ..*self }.by_blocks(Output { values, row_stride: n, accumulate: false }, false);
        });
        for (row, values) in output.values.chunks_mut(output.row_stride).take(m).enumerate() {
            if !output.accumulate {
                values[..n].fill(0.0);
            }
            parts.chunks_exact(m * n).for_each(|part| add_to(&mut values[..n], &part[row * n..(row + 1) * n]));
        }
    }
}

/// Where a product's elements go; its tasks own different rows.
#[derive(Clone, Copy)]
struct Place<'a> {
    values: &'a Scattered<'a>,
    row_stride: usize,
}

impl<'a> Place<'a> {
    /// From the first row's column `left` to the last one's column `left + width`.
    fn rows(self, (from, to): (usize, usize), left: usize, width: usize) -> &'a mut [f32] {
        let length = (to - from - 1) * self.row_stride + width;
        // SAFETY: rows belong to one task, which holds one such range at a time.
        unsafe { self.values.range(from * self.row_stride + left, length) }
    }
}

super::super::simd::vectorised! {
    /// Writes sums times `scale` to rows `stride` apart, or adds them.
    fn put(place: &mut [f32], stride: usize, sums: &[[f32; 32]], how: (usize, f32, bool)) {
        let (width, scale, add) = how;
        for (row, sums) in sums.iter().enumerate() {
            let place = &mut place[row * stride..][..width];
            match (<&mut [f32; 32]>::try_from(&mut *place), add) {
                (Ok(place), true) => (0..32).for_each(|at| place[at] += sums[at] * scale),
                (Ok(place), false) => (0..32).for_each(|at| place[at] = sums[at] * scale),
                (Err(_), true) => place.iter_mut().zip(sums).for_each(|(place, sum)| *place += sum * scale),
                (Err(_), false) => place.iter_mut().zip(sums).for_each(|(place, sum)| *place = sum * scale),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut stream = crate::base::seed::Seed::new(seed).stream();
        (0..n).map(|_| stream.normal() as f32).collect()
    }

    fn by(path: Path, (m, k, n): (usize, usize, usize), parallel: bool) -> Vec<f32> {
        let (a, b) = (random(m * k, 1), random(k * n, 2));
        let mut y = vec![0.0; m * n];
        let product = Product { a: Matrix::new(&a, m, k), b: Matrix::new(&b, n, k).t(), scale: 0.5, path };
        product.run(Output { values: &mut y, row_stride: n, accumulate: false }, parallel);
        y
    }

    /// The paths round the same products and the same sums: what may differ is said in `tile`.
    #[test]
    fn paths_agree() {
        for sizes in [(1, 1, 1), (3, 17, 40), (30, 65, 70), (50, 1_100, 33), (20, 2_100, 20)] {
            let portable = by(Path::Portable, sizes, true);
            for path in Path::of_this_machine().and_slower() {
                let found = by(path, sizes, true);
                for (found, wanted) in found.iter().zip(&portable) {
                    let bound = 1e-6 * (sizes.1 as f32).sqrt().max(1.0);
                    assert!((found - wanted).abs() <= bound, "{path:?}: {found}, portable {wanted}, {sizes:?}");
                }
                let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
                assert!(one.install(|| by(path, sizes, true)) == found, "{path:?}: another thread count, other bits");
            }
        }
    }
}
