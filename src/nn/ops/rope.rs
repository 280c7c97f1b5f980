//! Rotary position embedding over half-split pairs, as Hugging Face lays them out (Su et al., 2021).

use super::slices::{contiguous, rows_per_task};
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::sync::Arc;

/// Cosines and sines of every position's angles.
#[derive(Debug)]
pub struct RopeTable {
    half: usize,
    positions: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl RopeTable {
    /// Angles p · θ^(−2i/d) for positions p below `positions` and i below d/2, d = `head_dim` (even).
    pub fn new(head_dim: usize, positions: usize, theta: f64) -> Self {
        Self::from_frequencies(&frequencies(head_dim, theta), positions)
    }

    /// Angles p · f of the `frequencies` f, one for each pair of a head's values.
    pub fn from_frequencies(frequencies: &[f32], positions: usize) -> Self {
        let half = frequencies.len();
        let angles: Vec<f64> =
            (0..positions).flat_map(|p| frequencies.iter().map(move |f| f64::from(p as f32 * f))).collect();
        let cosines = angles.iter().map(|a| a.cos() as f32).collect();
        let sines = angles.iter().map(|a| a.sin() as f32).collect();
        RopeTable { half, positions, cosines, sines }
    }

    fn check(&self, x: &Tensor, positions: &[u32]) -> Result<()> {
        let (n, _, head_dim) = x.dims3()?;
        if n != positions.len() || head_dim != 2 * self.half {
            bail!("rope: {:?} with {} positions and {} angles", x.shape(), positions.len(), self.half);
        }
        self.check_positions(positions)
    }

    /// That the table has every position.
    pub(super) fn check_positions(&self, positions: &[u32]) -> Result<()> {
        match positions.iter().max() {
            Some(&last) if last as usize >= self.positions => {
                bail!("rope: position {last}, but the model has {} positions", self.positions)
            }
            _ => Ok(()),
        }
    }
}

/// θ^(−2i/d) for i below d/2: the angle by which a pair turns from one position to the next.
pub fn frequencies(head_dim: usize, theta: f64) -> Vec<f32> {
    (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64) as f32).collect()
}

/// Rotates `x` [n, heads, head_dim] by the angles of `positions` (n of them); differentiable to `x`.
///
/// # Errors
/// Where shapes do not agree or a position lies beyond the table.
pub fn rope(x: &Tensor, positions: &Arc<Vec<u32>>, table: &Arc<RopeTable>) -> Result<Tensor> {
    table.check(x, positions)?;
    match x.device().is_cpu() {
        true => x.contiguous()?.apply_op1(Rope { positions: positions.clone(), table: table.clone(), sign: 1.0 }),
        false => reference(x, positions, table),
    }
}

/// The same from elementary ops: [x₁ cos − x₂ sin, x₂ cos + x₁ sin].
fn reference(x: &Tensor, positions: &[u32], table: &RopeTable) -> Result<Tensor> {
    let half = table.half;
    let rows = |values: &[f32]| -> Vec<f32> {
        positions.iter().flat_map(|&p| &values[p as usize * half..(p as usize + 1) * half]).copied().collect()
    };
    let shape = (positions.len(), 1, half);
    let cosines = Tensor::from_vec(rows(&table.cosines), shape, &Device::Cpu)?.to_device(x.device())?;
    let sines = Tensor::from_vec(rows(&table.sines), shape, &Device::Cpu)?.to_device(x.device())?;
    let (first, second) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
    let upper = (first.broadcast_mul(&cosines)? - second.broadcast_mul(&sines)?)?;
    let lower = (second.broadcast_mul(&cosines)? + first.broadcast_mul(&sines)?)?;
    Tensor::cat(&[upper, lower], 2)
}

#[derive(Clone)]
struct Rope {
    positions: Arc<Vec<u32>>,
    table: Arc<RopeTable>,
    /// −1 turns back: the transpose of a rotation is its inverse.
    sign: f32,
}

impl Rope {
    fn rotate(&self, x: &mut [f32]) {
        rotate_in_place(x, &self.positions, &self.table, self.sign);
    }
}

super::simd::vectorised! {
    /// Turns one head: [x₁ c − x₂ s, x₂ c + x₁ s].
    fn turn(x: &mut [f32], cosines: &[f32], sines: &[f32], sign: f32) {
        let half = cosines.len();
        let (first, second) = x.split_at_mut(half);
        let (second, sines) = (&mut second[..half], &sines[..half]);
        for i in 0..half {
            let (sine, one, two) = (sign * sines[i], first[i], second[i]);
            first[i] = one * cosines[i] - two * sine;
            second[i] = two * cosines[i] + one * sine;
        }
    }
}

/// Turns the rows of `x` [n, heads, head_dim] by their positions' angles times `sign`; −1 turns back.
pub(super) fn rotate_in_place(x: &mut [f32], positions: &[u32], table: &RopeTable, sign: f32) {
    let (half, width) = (table.half, x.len() / positions.len().max(1));
    if width == 0 {
        return;
    }
    let rows = rows_per_task(width);
    x.par_chunks_mut(rows * width).zip(positions.par_chunks(rows)).for_each(|(x, positions)| {
        for (x, &position) in x.chunks_exact_mut(width).zip(positions) {
            let angles = position as usize * half..(position as usize + 1) * half;
            let (cosines, sines) = (&table.cosines[angles.clone()], &table.sines[angles]);
            x.chunks_exact_mut(2 * half).for_each(|head| turn(head, cosines, sines, sign));
        }
    });
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut y = contiguous(self.name(), x, layout)?.to_vec();
        self.rotate(&mut y);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let back = Rope { sign: -self.sign, ..self.clone() };
        Ok(Some(grad.contiguous()?.apply_op1_no_bwd(&back)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::{agree, random};

    #[test]
    fn value_and_gradient_equal_the_reference() {
        let table = Arc::new(RopeTable::new(6, 50, 10_000.0));
        for (n, heads) in [(1, 1), (9, 3), (40, 2)] {
            let positions = Arc::new((0..n as u32).map(|i| i * 7 % 50).collect::<Vec<_>>());
            let inputs = [random(&[n, heads, 6], 1)];
            agree(&inputs, |v| rope(&v[0], &positions, &table), |v| reference(&v[0], &positions, &table));
        }
    }

    #[test]
    fn a_position_beyond_the_table_is_an_error() {
        let table = Arc::new(RopeTable::new(2, 4, 10_000.0));
        let error = rope(&random(&[1, 1, 2], 1), &Arc::new(vec![4]), &table).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("position 4"), "{error}");
    }
}
