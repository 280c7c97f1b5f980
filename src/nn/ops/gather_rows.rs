//! Rows of a matrix by index: the embedding, and the choice of trained positions.

use super::linear::{own_gradient, weight_gradient};
use super::simd;
use super::slices::{contiguous, rows_per_task, with_values};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::sync::Arc;

/// Rows `indices` of `source` [v, d] as [n, d]; differentiable to `source`, where a row may be taken twice.
///
/// # Errors
/// Where an index lies beyond the rows.
pub fn gather_rows(source: &Tensor, indices: &[u32]) -> Result<Tensor> {
    let (rows, _) = source.dims2()?;
    if let Some(wrong) = indices.iter().find(|&&index| index as usize >= rows) {
        bail!("gather_rows: index {wrong}, but there are {rows} rows");
    }
    match source.device().is_cpu() {
        true => source.contiguous()?.apply_op1(GatherRows { indices: Arc::new(indices.to_vec()) }),
        false => reference(source, indices),
    }
}

/// The same from elementary ops.
fn reference(source: &Tensor, indices: &[u32]) -> Result<Tensor> {
    source.index_select(&Tensor::new(indices, source.device())?, 0)
}

struct GatherRows {
    indices: Arc<Vec<u32>>,
}

impl GatherRows {
    fn forward(&self, source: &[f32], width: usize) -> Vec<f32> {
        let mut y = Vec::with_capacity(self.indices.len() * width);
        for &index in self.indices.iter() {
            y.extend_from_slice(&source[index as usize * width..][..width]);
        }
        y
    }

    /// Each task owns a range of source rows and adds to `d` what belongs there in the order of the indices.
    fn backward_onto(&self, d: &mut [f32], grad: &[f32], width: usize) {
        let mut order: Vec<u32> = (0..self.indices.len() as u32).collect();
        order.sort_by_key(|&at| self.indices[at as usize]);
        let owned = rows_per_task(width);
        d.par_chunks_mut((owned * width).max(1)).enumerate().for_each(|(task, d)| {
            let first = (task * owned) as u32;
            let from = order.partition_point(|&at| self.indices[at as usize] < first);
            let to = order.partition_point(|&at| self.indices[at as usize] < first + owned as u32);
            for &at in &order[from..to] {
                let row = (self.indices[at as usize] - first) as usize;
                simd::add_to(&mut d[row * width..][..width], &grad[at as usize * width..][..width]);
            }
        });
    }
}

impl CustomOp1 for GatherRows {
    fn name(&self) -> &'static str {
        "gather_rows"
    }

    fn cpu_fwd(&self, source: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let y = self.forward(contiguous(self.name(), source, layout)?, width);
        Ok((CpuStorage::F32(y), Shape::from((self.indices.len(), width))))
    }

    fn bwd(&self, source: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, width) = source.dims2()?;
        with_values(self.name(), grad, |grad| {
            let add = |d: &mut [f32]| self.backward_onto(d, grad, width);
            match source.is_variable() {
                true => weight_gradient(source, add),
                // Elsewhere the tape waits for a tensor.
                false => own_gradient(source, add),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::{agree, random};

    #[test]
    fn value_and_gradient_equal_the_reference_with_repeated_rows() {
        for (rows, width, n) in [(1, 1, 3), (7, 5, 20), (3_000, 16, 90)] {
            let indices: Vec<u32> = (0..n).map(|i| (i * i * 31 % rows) as u32).collect();
            let inputs = [random(&[rows, width], 1)];
            agree(&inputs, |v| gather_rows(&v[0], &indices), |v| reference(&v[0], &indices));
        }
    }

    #[test]
    fn an_index_beyond_the_rows_is_an_error() {
        assert!(gather_rows(&random(&[2, 2], 1), &[2]).is_err());
    }
}
