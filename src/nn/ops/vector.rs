//! Long flat vectors, in parallel spans of fixed size: what accumulation, clipping and AdamW are made of.

use super::simd::{self, vectorised};
use super::slices::{contiguous, with_values};
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};
use rayon::prelude::*;
use std::sync::Mutex;

/// Values one task works on.
const SPAN: usize = 16 * 1024;

/// Sets every value.
pub(crate) fn fill(values: &mut [f32], value: f32) {
    values.par_chunks_mut(SPAN).for_each(|span| span.fill(value));
}

/// Multiplies every value.
pub(crate) fn scale(values: &mut [f32], factor: f32) {
    values.par_chunks_mut(SPAN).for_each(|span| simd::scale(span, factor));
}

/// Adds a tensor of as many values.
pub(crate) fn add_tensor(values: &mut [f32], tensor: &Tensor) -> Result<()> {
    if tensor.elem_count() != values.len() {
        bail!("adding {:?} to {} values", tensor.shape(), values.len());
    }
    let tensor = tensor.to_device(&candle_core::Device::Cpu)?;
    with_values("add", &tensor, |source| {
        values.par_chunks_mut(SPAN).zip(source.par_chunks(SPAN)).for_each(|(a, b)| simd::add_to(a, b));
        Ok(())
    })
}

/// Σ x² in f64: spans in parallel, their sums in order.
pub(crate) fn square_sum(values: &[f32]) -> f64 {
    let sums: Vec<f64> = values.par_chunks(SPAN).map(square_sum_span).collect();
    sums.iter().sum()
}

/// Replaces a row of logits by softmax(logits · factor) and returns the log-sum-exp of logits · factor.
pub fn softmax_in_place(logits: &mut [f32], factor: f32) -> f32 {
    simd::scale(logits, factor);
    let most = simd::max_of(logits);
    let sum = simd::exp_minus(logits, most);
    simd::scale(logits, 1.0 / sum);
    most + sum.ln()
}

/// The numbers of one AdamW step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamWStep {
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    /// 1 − learning rate · weight decay.
    pub keep: f32,
    /// Learning rate / (1 − β₁ᵗ).
    pub rate: f32,
    /// 1 / √(1 − β₂ᵗ).
    pub second_correction: f32,
}

vectorised! {
    fn square_sum_span(values: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 8];
        let (whole, tail) = values.as_chunks::<8>();
        for chunk in whole {
            for lane in 0..8 {
                lanes[lane] += f64::from(chunk[lane]) * f64::from(chunk[lane]);
            }
        }
        lanes.iter().sum::<f64>() + tail.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>()
    }

    fn adamw_span(weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], step: AdamWStep) {
        let n = weights.len();
        let (gradient, first, second) = (&gradient[..n], &mut first[..n], &mut second[..n]);
        for i in 0..n {
            let g = gradient[i];
            let m = step.beta1 * first[i] + (1.0 - step.beta1) * g;
            let v = step.beta2 * second[i] + (1.0 - step.beta2) * g * g;
            first[i] = m;
            second[i] = v;
            let scale = v.sqrt() * step.second_correction + step.epsilon;
            weights[i] = weights[i] * step.keep - step.rate * m / scale;
        }
    }
}

/// One AdamW step of one parameter, in place over its storage and its moments.
///
/// # Errors
/// Where the parameter is not a contiguous f32 tensor on the CPU, or the sizes differ.
pub(crate) fn adamw(
    weights: &Tensor,
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    step: AdamWStep,
) -> Result<()> {
    if [gradient.len(), first.len(), second.len()].iter().any(|&length| length != weights.elem_count()) {
        bail!("adamw: {:?} with {} gradients", weights.shape(), gradient.len());
    }
    weights.inplace_op1(&AdamW { gradient, moments: Mutex::new((first, second)), step })
}

struct AdamW<'a> {
    gradient: &'a [f32],
    moments: Mutex<(&'a mut [f32], &'a mut [f32])>,
    step: AdamWStep,
}

impl InplaceOp1 for AdamW<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        contiguous(self.name(), storage, layout)?;
        let (CpuStorage::F32(weights), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            bail!("adamw: a parameter is a contiguous f32 tensor")
        };
        let Ok(mut moments) = self.moments.lock() else { bail!("adamw: a thread failed") };
        let (first, second) = &mut *moments;
        weights[start..end]
            .par_chunks_mut(SPAN)
            .zip(self.gradient.par_chunks(SPAN))
            .zip(first.par_chunks_mut(SPAN).zip(second.par_chunks_mut(SPAN)))
            .for_each(|((w, g), (m, v))| adamw_span(w, g, m, v, self.step));
        Ok(())
    }
}
