//! Root-mean-square normalisation: y = x / √(mean(x²) + ε) · w (Zhang and Sennrich, 2019).

use super::linear::weight_gradient;
use super::simd::{self, sum_of, vectorised};
use super::slices::{contiguous, rows_per_task, tensor, with_values};
use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Normalises the rows of `x` [n, d] and scales them by `weight` [d]; differentiable to both.
///
/// # Errors
/// Where the shapes do not agree or the tensors are not f32.
pub fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor> {
    if x.dim(D::Minus1)? != weight.dim(0)? {
        candle_core::bail!("rms_norm: rows of {:?} and a weight of {:?}", x.shape(), weight.shape());
    }
    match x.device().is_cpu() {
        true => x.contiguous()?.apply_op2(weight, RmsNorm { epsilon: epsilon as f32 }),
        false => reference(x, weight, epsilon),
    }
}

/// The same from elementary ops.
fn reference(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor> {
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
    x.broadcast_div(&(mean_square + epsilon)?.sqrt()?)?.broadcast_mul(weight)
}

struct RmsNorm {
    epsilon: f32,
}

vectorised! {
    fn forward_rows(x: &[f32], weight: &[f32], epsilon: f32, y: &mut [f32]) {
        let d = weight.len();
        for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
            let inverse = 1.0 / (sum_of(d, |i| x[i] * x[i]) / d as f32 + epsilon).sqrt();
            for i in 0..d {
                y[i] = x[i] * inverse * weight[i];
            }
        }
    }

    /// dx += r (g w) − x r³/d Σ(g w x) and, added over rows, dw += g x r, with r = 1/√(mean(x²) + ε).
    fn backward_rows(x: &[f32], weight: &[f32], grad: &[f32], epsilon: f32, dx: &mut [f32], dw: &mut [f32]) {
        let d = weight.len();
        let dw = &mut dw[..d];
        for ((x, grad), dx) in x.chunks_exact(d).zip(grad.chunks_exact(d)).zip(dx.chunks_exact_mut(d)) {
            let inverse = 1.0 / (sum_of(d, |i| x[i] * x[i]) / d as f32 + epsilon).sqrt();
            let pull = sum_of(d, |i| grad[i] * weight[i] * x[i]) * inverse * inverse * inverse / d as f32;
            for i in 0..d {
                dx[i] += grad[i] * weight[i] * inverse - x[i] * pull;
                dw[i] += grad[i] * x[i] * inverse;
            }
        }
    }
}

/// The rows of `x` normalised, into `y`.
pub(super) fn forward_into(y: &mut [f32], x: &[f32], weight: &[f32], epsilon: f32) {
    let span = rows_per_task(weight.len()) * weight.len();
    y.par_chunks_mut(span).zip(x.par_chunks(span)).for_each(|(y, x)| forward_rows(x, weight, epsilon, y));
}

/// Adds the gradient to `x` to `dx`, and that to the weight to `dw` where it is wanted.
///
/// Each task keeps its own share of dw; the shares are added in order.
pub(super) fn backward_onto(
    dx: &mut [f32],
    dw: Option<&mut [f32]>,
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    epsilon: f32,
) {
    let d = weight.len();
    let span = rows_per_task(d) * d;
    let mut shares = vec![0.0; x.len().div_ceil(span) * d];
    dx.par_chunks_mut(span)
        .zip(shares.par_chunks_mut(d))
        .zip(x.par_chunks(span).zip(grad.par_chunks(span)))
        .for_each(|((dx, share), (x, grad))| backward_rows(x, weight, grad, epsilon, dx, share));
    if let Some(dw) = dw {
        shares.chunks_exact(d).for_each(|share| simd::add_to(dw, share));
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut y = vec![0.0; lx.shape().elem_count()];
        forward_into(&mut y, contiguous(self.name(), x, lx)?, contiguous(self.name(), w, lw)?, self.epsilon);
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let op = self.name();
        let mut dx = vec![0.0; x.elem_count()];
        let dw = with_values(op, x, |x| {
            with_values(op, w, |weight| {
                with_values(op, grad, |grad| {
                    weight_gradient(w, |dw| backward_onto(&mut dx, Some(dw), x, weight, grad, self.epsilon))
                })
            })
        })?;
        Ok((Some(tensor(dx, x.shape())?), dw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::{agree, random};

    #[test]
    fn value_and_gradients_equal_the_reference() {
        for (n, d) in [(1, 1), (3, 7), (5, 33), (40, 128), (700, 64)] {
            let inputs = [random(&[n, d], 1), random(&[d], 2)];
            agree(&inputs, |v| rms_norm(&v[0], &v[1], 1e-6), |v| reference(&v[0], &v[1], 1e-6));
        }
    }
}
