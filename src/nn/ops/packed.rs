//! A weight laid out once for many products with few rows: generation's linear maps.
//!
//! A general product packs its right factor anew at every call, which costs more than the product itself
//! where the left factor has few rows. Each element is one sum over the inputs in order, whatever the batch:
//! a sequence's values do not depend on its neighbours.

use super::slices::{Scattered, contiguous, with_values};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::sync::Arc;

/// Outputs side by side in a panel: two AVX-512 registers.
const WIDTH: usize = 32;
/// Rows that share one pass over a panel.
const ROWS: usize = 8;
/// Rows one task works on.
const TASK_ROWS: usize = 64;
/// Below so many multiplications threads cost more than they bring.
const SERIAL: usize = 64 * 1024;

/// A weight [out, in] in panels [out / 32, in, 32], filled up with zeros.
#[derive(Clone, Debug)]
pub struct PackedWeight {
    panels: Arc<Vec<f32>>,
    inputs: usize,
    outputs: usize,
}

impl PackedWeight {
    /// Lays out `weight` [out, in].
    ///
    /// # Errors
    /// Where it is not an f32 matrix on the CPU.
    pub fn new(weight: &Tensor) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        let panels = with_values("pack", weight, |weight| Ok(pack(weight, inputs, outputs)))?;
        Ok(PackedWeight { panels: Arc::new(panels), inputs, outputs })
    }

    /// `x` [n, in] times the transpose of the weight, plus `bias` [out]; no gradient.
    ///
    /// # Errors
    /// Where the shapes do not agree.
    pub fn forward(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        if x.dims2()?.1 != self.inputs {
            bail!("packed linear: rows of {:?} and {} inputs", x.shape(), self.inputs);
        }
        let x = x.contiguous()?;
        match bias {
            None => x.apply_op1_no_bwd(&Product { weight: self, bias: &[] }),
            Some(bias) => with_values("packed", bias, |bias| x.apply_op1_no_bwd(&Product { weight: self, bias })),
        }
    }
}

fn pack(weight: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let mut panels = vec![0.0; outputs.div_ceil(WIDTH) * inputs * WIDTH];
    panels.par_chunks_mut((inputs * WIDTH).max(1)).enumerate().for_each(|(panel, values)| {
        for (lane, row) in weight[panel * WIDTH * inputs..].chunks_exact(inputs).take(WIDTH).enumerate() {
            row.iter().enumerate().for_each(|(k, &value)| values[k * WIDTH + lane] = value);
        }
    });
    panels
}

struct Product<'a> {
    weight: &'a PackedWeight,
    /// Empty where there is none.
    bias: &'a [f32],
}

type Tile = [[f32; WIDTH]; ROWS];

/// Σ_k x[row, k] · panel[k, :] for up to [`ROWS`] rows.
fn tile(x: &[f32], inputs: usize, panel: &[f32], rows: usize) -> Tile {
    debug_assert!(rows <= ROWS && x.len() >= rows * inputs && panel.len() >= inputs * WIDTH);
    #[cfg(target_arch = "x86_64")]
    if super::simd::has_avx512() {
        // SAFETY: the feature was detected.
        return unsafe {
            match rows {
                8 => tile_avx512::<8>(x, inputs, panel),
                4..8 => tile_avx512_split(x, inputs, panel, rows),
                3 => tile_avx512::<3>(x, inputs, panel),
                2 => tile_avx512::<2>(x, inputs, panel),
                _ => tile_avx512::<1>(x, inputs, panel),
            }
        };
    }
    let mut sums = [[0.0; WIDTH]; ROWS];
    for (row, sums) in sums.iter_mut().enumerate().take(rows) {
        row_of_tile(&x[row * inputs..][..inputs], panel, sums);
    }
    sums
}

super::simd::vectorised! {
    fn row_of_tile(x: &[f32], panel: &[f32], sums: &mut [f32; 32]) {
        let mut kept = *sums;
        for (&x, weights) in x.iter().zip(panel.as_chunks::<32>().0) {
            for lane in 0..32 {
                kept[lane] += x * weights[lane];
            }
        }
        *sums = kept;
    }
}

/// Four rows, then the rest.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn tile_avx512_split(x: &[f32], inputs: usize, panel: &[f32], rows: usize) -> Tile {
    let mut sums = tile_avx512::<4>(x, inputs, panel);
    let rest = &x[4 * inputs..];
    let second = match rows - 4 {
        0 => return sums,
        1 => tile_avx512::<1>(rest, inputs, panel),
        2 => tile_avx512::<2>(rest, inputs, panel),
        _ => tile_avx512::<3>(rest, inputs, panel),
    };
    sums[4..].copy_from_slice(&second[..4]);
    sums
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn tile_avx512<const R: usize>(x: &[f32], inputs: usize, panel: &[f32]) -> Tile {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps};
    assert!(x.len() >= R * inputs && panel.len() >= inputs * WIDTH, "a tile lies outside its factors");
    let mut low = [_mm512_setzero_ps(); R];
    let mut high = [_mm512_setzero_ps(); R];
    for k in 0..inputs {
        // SAFETY: k < inputs, and the assertion above covers every index made from it.
        let (first, second) = unsafe {
            let weights = panel.as_ptr().add(k * WIDTH);
            (_mm512_loadu_ps(weights), _mm512_loadu_ps(weights.add(16)))
        };
        for row in 0..R {
            // SAFETY: as above.
            let value = _mm512_set1_ps(unsafe { *x.get_unchecked(row * inputs + k) });
            low[row] = _mm512_fmadd_ps(value, first, low[row]);
            high[row] = _mm512_fmadd_ps(value, second, high[row]);
        }
    }
    let mut sums = [[0.0; WIDTH]; ROWS];
    for row in 0..R {
        // SAFETY: a row of the tile holds both registers.
        unsafe {
            _mm512_storeu_ps(sums[row].as_mut_ptr(), low[row]);
            _mm512_storeu_ps(sums[row].as_mut_ptr().add(16), high[row]);
        }
    }
    sums
}

impl Product<'_> {
    /// Rows `first..` of `x` (at most [`TASK_ROWS`]) times one panel.
    fn task(&self, x: &[f32], first: usize, panel: usize, y: &Scattered<'_>) {
        let PackedWeight { panels, inputs, outputs } = self.weight;
        let weights = &panels[panel * inputs * WIDTH..][..inputs * WIDTH];
        let start = panel * WIDTH;
        let width = (outputs - start).min(WIDTH);
        let rows = (x.len() / inputs - first).min(TASK_ROWS);
        for block in (first..first + rows).step_by(ROWS) {
            let height = (first + rows - block).min(ROWS);
            let sums = tile(&x[block * inputs..(block + height) * inputs], *inputs, weights, height);
            for (row, sums) in sums.iter().enumerate().take(height) {
                // SAFETY: each (row, panel) belongs to one task.
                let y = unsafe { y.range((block + row) * outputs + start, width) };
                match self.bias.get(start..start + width) {
                    Some(bias) => y.iter_mut().zip(sums.iter().zip(bias)).for_each(|(y, (sum, bias))| *y = sum + bias),
                    None => y.copy_from_slice(&sums[..width]),
                }
            }
        }
    }

    fn product(&self, x: &[f32]) -> Vec<f32> {
        let PackedWeight { inputs, outputs, .. } = self.weight;
        let n = x.len().checked_div(*inputs).unwrap_or(0);
        let mut y = vec![0.0; n * outputs];
        let places = Scattered::new(&mut y);
        let panels = outputs.div_ceil(WIDTH);
        let task = |at: usize| self.task(x, at / panels * TASK_ROWS, at % panels, &places);
        let tasks = n.div_ceil(TASK_ROWS) * panels;
        if n * inputs * outputs < SERIAL {
            (0..tasks).for_each(task);
        } else {
            let least = (SERIAL / (n.min(TASK_ROWS) * inputs * WIDTH)).max(1);
            (0..tasks).into_par_iter().with_min_len(least).for_each(task);
        }
        y
    }
}

impl CustomOp1 for Product<'_> {
    fn name(&self) -> &'static str {
        "packed_linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.product(contiguous(self.name(), x, layout)?);
        Ok((CpuStorage::F32(y), Shape::from((layout.shape().dims2()?.0, self.weight.outputs))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::{difference, random, values};
    use crate::nn::ops::{Precision, linear};

    #[test]
    fn equals_the_general_product_and_no_row_sees_its_neighbours() {
        for (inputs, outputs) in [(1, 1), (7, 33), (64, 100)] {
            let (weight, bias) = (random(&[outputs, inputs], 1), random(&[outputs], 2));
            let packed = PackedWeight::new(&weight).unwrap();
            let all = random(&[70, inputs], 3);
            let expected = linear(&all, &weight, Some(&bias), Precision::F32).unwrap();
            let together = packed.forward(&all, Some(&bias)).unwrap();
            assert!(difference(&together, &expected) < 2e-6);
            for n in [1, 2, 3, 5, 7, 9, 70] {
                let alone = packed.forward(&all.narrow(0, 0, n).unwrap(), Some(&bias)).unwrap();
                assert_eq!(values(&alone), values(&together)[..n * outputs], "{n} rows");
            }
        }
    }
}
