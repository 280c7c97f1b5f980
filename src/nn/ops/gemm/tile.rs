//! The innermost part of a product: one tile of 14 × 32 sums, by what the processor has.
//!
//! Products of two bfloat16 are exact in f32, and every path adds them to f32 sums. AVX2 and the portable path add one
//! after the other, rounding each time; what the AVX-512 instruction does inside a pair is the processor's own, and it
//! takes numbers below the smallest normal one as 0.

/// Rows of a tile.
pub(super) const MR: usize = 14;
/// Columns of a tile: two AVX-512 registers.
pub(super) const NR: usize = 32;

/// The sums of a tile.
pub(super) type Tile = [[f32; NR]; MR];

/// Which code computes tiles: told as provenance, since the last digits of a result may hang on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// 512-bit registers; for bfloat16 its own instruction.
    Avx512,
    /// 256-bit registers with fused multiply-add.
    Avx2,
    /// What the compiler makes of plain loops.
    Portable,
}

impl Path {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Path::Avx512 => "avx512",
            Path::Avx2 => "avx2",
            Path::Portable => "portable",
        }
    }

    /// The best that this processor has.
    pub fn of_this_machine() -> Path {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if super::super::simd::has_avx512() && has!("avx512bf16") {
                return Path::Avx512;
            }
            if has!("avx2") && has!("fma") {
                return Path::Avx2;
            }
        }
        Path::Portable
    }

    /// This path and those that work wherever it does.
    #[cfg(test)]
    pub(super) fn and_slower(self) -> Vec<Path> {
        let all = [Path::Avx512, Path::Avx2, Path::Portable];
        all.into_iter().skip_while(|path| *path != self).collect()
    }
}

/// Asks for the rows that a tile will be added to, so that they are there when its sums are.
#[inline]
pub(super) fn fetch(place: &mut [f32], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    for row in place.chunks(stride.max(1)) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which reads nothing; the addresses lie in the slice or right behind it.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().cast());
            _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().wrapping_add(NR - 1).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (place, stride);
}

/// The product of two packed panels of `words` words.
#[inline]
pub(super) fn tile(path: Path, words: usize, a: &[u32], b: &[u32], sums: &mut Tile) {
    assert!(a.len() >= words * MR && b.len() >= words * NR, "a tile lies outside its panels");
    match path {
        // SAFETY: `Path::of_this_machine` detected the features, and the panels are long enough.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { x86::avx512(words, a.as_ptr(), b.as_ptr(), sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => unsafe { x86::avx2(words, a, b, sums) },
        _ => portable(words, a, b, sums),
    }
}

/// The two numbers of a word, the earlier first.
#[inline(always)]
fn pair(word: u32) -> (f32, f32) {
    (f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000))
}

fn portable(words: usize, a: &[u32], b: &[u32], sums: &mut Tile) {
    *sums = [[0.0; NR]; MR];
    for (a, b) in a.chunks_exact(MR).zip(b.chunks_exact(NR)).take(words) {
        for (sums, a) in sums.iter_mut().zip(a) {
            let (a0, a1) = pair(*a);
            for (sum, b) in sums.iter_mut().zip(b) {
                let (b0, b1) = pair(*b);
                *sum = (*sum + a0 * b0) + a1 * b1;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{MR, NR, Tile};
    use std::arch::x86_64::*;

    /// # Safety
    /// `a` is good for `words` rows of MR words, `b` for as many of NR.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn avx512(words: usize, a: *const u32, b: *const u32, sums: &mut Tile) {
        let (mut low, mut high) = ([_mm512_setzero_ps(); MR], [_mm512_setzero_ps(); MR]);
        let (mut a, mut b) = (a, b);
        for _ in 0..words {
            // SAFETY: within the panels, by the caller's promise; both types are 512 bits of plain numbers.
            unsafe {
                let first: __m512bh = std::mem::transmute(_mm512_loadu_si512(b.cast()));
                let second: __m512bh = std::mem::transmute(_mm512_loadu_si512(b.add(16).cast()));
                for row in 0..MR {
                    let value: __m512bh = std::mem::transmute(_mm512_set1_epi32(*a.add(row) as i32));
                    low[row] = _mm512_dpbf16_ps(low[row], value, first);
                    high[row] = _mm512_dpbf16_ps(high[row], value, second);
                }
                a = a.add(MR);
                b = b.add(NR);
            }
        }
        store(&low, &high, sums);
    }

    #[target_feature(enable = "avx512f")]
    fn store(low: &[__m512; MR], high: &[__m512; MR], sums: &mut Tile) {
        for row in 0..MR {
            // SAFETY: a row of the tile holds both registers.
            unsafe {
                _mm512_storeu_ps(sums[row].as_mut_ptr(), low[row]);
                _mm512_storeu_ps(sums[row].as_mut_ptr().add(16), high[row]);
            }
        }
    }

    /// # Safety
    /// AVX2 and FMA are there.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(words: usize, a: &[u32], b: &[u32], sums: &mut Tile) {
        for column in [0, 16] {
            part::<6>(words, (a, 0), (b, column), sums);
            part::<6>(words, (a, 6), (b, column), sums);
            part::<2>(words, (a, 12), (b, column), sums);
        }
    }

    /// R rows from `a.1` and 16 columns from `b.1`.
    #[target_feature(enable = "avx2,fma")]
    fn part<const R: usize>(words: usize, a: (&[u32], usize), b: (&[u32], usize), sums: &mut Tile) {
        let mut kept = [[_mm256_setzero_ps(); 2]; R];
        for word in 0..words {
            let rows = &a.0[word * MR + a.1..][..R];
            let columns = &b.0[word * NR + b.1..][..16];
            // SAFETY: sixteen words, checked above.
            let columns = unsafe {
                let start = columns.as_ptr().cast::<__m256i>();
                [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))]
            };
            for (row, sums) in rows.iter().zip(&mut kept) {
                let value = _mm256_set1_epi32(*row as i32);
                for (sum, column) in sums.iter_mut().zip(columns) {
                    let early = _mm256_fmadd_ps(earlier(value), earlier(column), *sum);
                    *sum = _mm256_fmadd_ps(later(value), later(column), early);
                }
            }
        }
        for (row, kept) in kept.iter().enumerate() {
            let place = &mut sums[a.1 + row][b.1..b.1 + 16];
            // SAFETY: sixteen values, checked above.
            unsafe {
                _mm256_storeu_ps(place.as_mut_ptr(), kept[0]);
                _mm256_storeu_ps(place.as_mut_ptr().add(8), kept[1]);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    fn earlier(words: __m256i) -> __m256 {
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words))
    }

    #[target_feature(enable = "avx2")]
    fn later(words: __m256i) -> __m256 {
        _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(0xffff_0000u32 as i32)))
    }
}
