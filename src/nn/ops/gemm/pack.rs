//! Factors of a product laid out for the tiles: panels of some lanes, one word a lane and two steps of the sum.
//!
//! A word holds two bfloat16 that follow one another along the sum, the earlier in the low half. What is left of a
//! panel or of a pair is filled with zeros.

use super::Matrix;
use super::tile::Path;

/// f32 to bfloat16, to nearest with ties to even; what is too small for a normal f32 becomes 0, as on the processors
/// that do it in one instruction.
#[inline(always)]
fn bf16(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let tiny = bits & 0x7f80_0000 == 0;
    let rounded = if tiny { bits >> 16 & 0x8000 } else { rounded };
    if value.is_nan() { bits >> 16 | 0x40 } else { rounded }
}

/// Packs rows `lanes` (at most `W`) of `source` over its columns `from..to` into `panel`, [words, W].
pub(super) fn pack<const W: usize>(
    source: Matrix<'_>,
    lanes: (usize, usize),
    (from, to): (usize, usize),
    path: Path,
    panel: &mut [u32],
) {
    let count = lanes.1 - lanes.0;
    let words = (to - from).div_ceil(2);
    let panel = &mut panel[..words * W];
    if count < W {
        panel.fill(0);
    }
    let values = &source.values[lanes.0 * source.row_stride + from * source.column_stride..];
    match (source.row_stride, source.column_stride) {
        (1, stride) => across::<W>(values, stride, count, to - from, path, panel),
        (stride, 1) => along::<W>(values, stride, count, to - from, path, panel),
        strides => anyhow::<W>(values, strides, count, to - from, panel),
    }
}

/// Lanes stand side by side in the source: two rows are woven together.
fn across<const W: usize>(values: &[f32], stride: usize, count: usize, depth: usize, path: Path, panel: &mut [u32]) {
    #[cfg(target_arch = "x86_64")]
    if path == Path::Avx512 {
        assert!((depth - 1) * stride + count <= values.len() && panel.len() >= depth.div_ceil(2) * W);
        for first in (0..count).step_by(16) {
            let lanes = (count - first).min(16);
            // SAFETY: the features were detected, and the assertion covers every lane and word.
            unsafe {
                let (source, target) = (values.as_ptr().add(first), panel.as_mut_ptr().add(first));
                avx512::across::<W>(source, stride, lanes, depth, target);
            }
        }
        return;
    }
    anyhow::<W>(values, (1, stride), count, depth, panel);
}

/// Any strides, value by value.
fn anyhow<const W: usize>(
    values: &[f32],
    (row, column): (usize, usize),
    count: usize,
    depth: usize,
    panel: &mut [u32],
) {
    for lane in 0..count {
        let at = |step: usize| values[lane * row + step * column];
        for (word, words) in panel.chunks_exact_mut(W).enumerate() {
            let second = if 2 * word + 1 < depth { bf16(at(2 * word + 1)) } else { 0 };
            words[lane] = bf16(at(2 * word)) | second << 16;
        }
    }
}

/// The sum's steps stand side by side in the source: blocks of 16 lanes and 16 words are turned over.
fn along<const W: usize>(values: &[f32], stride: usize, count: usize, depth: usize, path: Path, panel: &mut [u32]) {
    #[cfg(target_arch = "x86_64")]
    if path == Path::Avx512 {
        assert!((count - 1) * stride + depth <= values.len() && panel.len() >= depth.div_ceil(2) * W);
        for first in (0..count).step_by(16) {
            let lanes = (count - first).min(16);
            // SAFETY: the features were detected, and the assertion covers every lane and word.
            unsafe {
                let (source, target) = (values.as_ptr().add(first * stride), panel.as_mut_ptr().add(first));
                avx512::along::<W>(source, stride, lanes, depth, target);
            }
        }
        return;
    }
    anyhow::<W>(values, (stride, 1), count, depth, panel);
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    /// Turns over a block of 16 × 16 words.
    #[target_feature(enable = "avx512f")]
    fn transpose(r: [__m512i; 16]) -> [__m512i; 16] {
        let mut t = r;
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        }
        let mut u = t;
        for i in 0..4 {
            u[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
            u[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
            u[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
            u[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
        }
        let mut v = u;
        for i in 0..4 {
            v[i] = _mm512_shuffle_i32x4::<0x88>(u[i], u[4 + i]);
            v[4 + i] = _mm512_shuffle_i32x4::<0xdd>(u[i], u[4 + i]);
            v[8 + i] = _mm512_shuffle_i32x4::<0x88>(u[8 + i], u[12 + i]);
            v[12 + i] = _mm512_shuffle_i32x4::<0xdd>(u[8 + i], u[12 + i]);
        }
        let mut w = v;
        for i in 0..4 {
            w[i] = _mm512_shuffle_i32x4::<0x88>(v[i], v[8 + i]);
            w[8 + i] = _mm512_shuffle_i32x4::<0xdd>(v[i], v[8 + i]);
            w[4 + i] = _mm512_shuffle_i32x4::<0x88>(v[4 + i], v[12 + i]);
            w[12 + i] = _mm512_shuffle_i32x4::<0xdd>(v[4 + i], v[12 + i]);
        }
        w
    }

    /// The first `count` of 16.
    fn mask(count: usize) -> __mmask16 {
        ((1u32 << count.min(16)) - 1) as __mmask16
    }

    /// # Safety
    /// `source` is good for `depth` rows of `lanes` values, `stride` apart; `target` for the lanes of half as many rows
    /// of W words.
    #[target_feature(enable = "avx512f,avx512bf16,avx512bw")]
    pub(super) unsafe fn across<const W: usize>(
        source: *const f32,
        stride: usize,
        lanes: usize,
        depth: usize,
        target: *mut u32,
    ) {
        // Word i takes half-words i and 16 + i.
        let weave: [i16; 32] = std::array::from_fn(|at| (at / 2 + at % 2 * 16) as i16);
        // SAFETY: 512 bits.
        let weave = unsafe { _mm512_loadu_si512(weave.as_ptr().cast()) };
        for step in (0..depth).step_by(2) {
            let second = if step + 1 < depth { mask(lanes) } else { 0 };
            // SAFETY: within the rows by the masks; nothing is read where a mask is empty. Both types are 512 bits.
            unsafe {
                let start = source.wrapping_add(step * stride);
                let first = _mm512_maskz_loadu_ps(mask(lanes), start);
                let second = _mm512_maskz_loadu_ps(second, start.wrapping_add(stride));
                let both: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(second, first));
                let words = _mm512_permutexvar_epi16(weave, both);
                _mm512_mask_storeu_epi32(target.add(step / 2 * W).cast(), mask(lanes), words);
            }
        }
    }

    /// # Safety
    /// `source` is good for `lanes` rows of `depth` values, `stride` apart; `target` as in [`across`].
    #[target_feature(enable = "avx512f,avx512bf16,avx512bw")]
    pub(super) unsafe fn along<const W: usize>(
        source: *const f32,
        stride: usize,
        lanes: usize,
        depth: usize,
        target: *mut u32,
    ) {
        for step in (0..depth).step_by(32) {
            let mut rows = [_mm512_setzero_si512(); 16];
            let left = depth - step;
            for (lane, row) in rows.iter_mut().enumerate().take(lanes) {
                // SAFETY: within the row by the masks; nothing is read where a mask is empty.
                let (first, second) = unsafe {
                    let start = source.add(lane * stride + step);
                    let second = mask(left.saturating_sub(16));
                    (_mm512_maskz_loadu_ps(mask(left), start), _mm512_maskz_loadu_ps(second, start.wrapping_add(16)))
                };
                let pairs: __m512bh = _mm512_cvtne2ps_pbh(second, first);
                // SAFETY: both are 512 bits of plain numbers.
                *row = unsafe { std::mem::transmute::<__m512bh, __m512i>(pairs) };
            }
            for (word, column) in transpose(rows).into_iter().enumerate().take(left.div_ceil(2)) {
                // SAFETY: a row of the panel, of which only the lanes are written.
                unsafe { _mm512_mask_storeu_epi32(target.add((step / 2 + word) * W).cast(), mask(lanes), column) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_even() {
        for (value, wanted) in [(1.0, 0x3f80), (1.003_906_2, 0x3f80), (1.011_718_8, 0x3f82), (-0.0, 0x8000)] {
            assert_eq!(bf16(value), wanted, "{value}");
        }
        assert_eq!(bf16(f32::MAX), 0x7f80);
        assert_eq!((bf16(1e-40), bf16(-1e-40)), (0, 0x8000));
        assert!(f32::from_bits(bf16(f32::NAN) << 16).is_nan());
        assert!(f32::from_bits(bf16(f32::from_bits(0x7fff_ffff)) << 16).is_nan());
    }

    /// Every way of packing gives what the plain one gives.
    #[test]
    fn layouts_agree() {
        let values: Vec<f32> = (0..60 * 90).map(|i| ((i * 37 % 1001) as f32 - 500.0) * 1.001).collect();
        for (count, depth) in [(1usize, 1usize), (14, 16), (13, 33), (32, 70), (20, 47), (9, 64)] {
            for (row, column) in [(90, 1), (1, 60), (2, 61)] {
                let source = Matrix { values: &values, rows: 40, columns: 80, row_stride: row, column_stride: column };
                let (mut ours, mut plain) = (vec![7; depth.div_ceil(2) * 32], vec![0; depth.div_ceil(2) * 32]);
                pack::<32>(source, (3, 3 + count), (2, 2 + depth), Path::of_this_machine(), &mut ours);
                anyhow::<32>(&values[3 * row + 2 * column..], (row, column), count, depth, &mut plain);
                assert!(ours == plain, "{count} lanes, {depth} steps, strides {row} and {column}");
            }
        }
    }
}
