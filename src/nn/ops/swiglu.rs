//! The gated activation of Llama and Qwen2: silu(gate) · up, silu(x) = x / (1 + e^(−x)) (Shazeer, 2020).

use super::simd::{exp, vectorised};
use super::slices::{contiguous, tensor, with_values};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Values one task works on.
const SPAN: usize = 16 * 1024;

/// silu(`gate`) · `up`, both of one shape; differentiable to both.
///
/// # Errors
/// Where the shapes differ or the tensors are not f32.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.shape() != up.shape() {
        bail!("swiglu: a gate of {:?} and values of {:?}", gate.shape(), up.shape());
    }
    match gate.device().is_cpu() {
        true => gate.contiguous()?.apply_op2(&up.contiguous()?, Swiglu),
        false => reference(gate, up),
    }
}

/// The same from elementary ops.
fn reference(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let sigmoid = (gate.neg()?.exp()? + 1.0)?.recip()?;
    (gate * sigmoid)? * up
}

struct Swiglu;

vectorised! {
    fn forward_span(gate: &[f32], up: &[f32], y: &mut [f32]) {
        for ((&gate, &up), y) in gate.iter().zip(up).zip(y) {
            *y = gate / (1.0 + exp(-gate)) * up;
        }
    }

    /// With s = sigmoid(gate): dgate = g · up · s (1 + gate (1 − s)), dup = g · gate · s, in place of gate and up.
    fn backward_span(gate: &mut [f32], up: &mut [f32], grad: &[f32]) {
        let length = gate.len();
        let (up, grad) = (&mut up[..length], &grad[..length]);
        for i in 0..length {
            let sigmoid = 1.0 / (1.0 + exp(-gate[i]));
            let silu = gate[i] * sigmoid;
            gate[i] = grad[i] * up[i] * (sigmoid + silu * (1.0 - sigmoid));
            up[i] = grad[i] * silu;
        }
    }
}

/// silu(gate) · up into `y`.
pub(super) fn forward_into(y: &mut [f32], gate: &[f32], up: &[f32]) {
    y.par_chunks_mut(SPAN)
        .zip(gate.par_chunks(SPAN).zip(up.par_chunks(SPAN)))
        .for_each(|(y, (gate, up))| forward_span(gate, up, y));
}

/// Replaces gate and up by the gradients to them.
pub(super) fn backward_in_place(gate: &mut [f32], up: &mut [f32], grad: &[f32]) {
    gate.par_chunks_mut(SPAN)
        .zip(up.par_chunks_mut(SPAN).zip(grad.par_chunks(SPAN)))
        .for_each(|(gate, (up, grad))| backward_span(gate, up, grad));
}

impl CustomOp2 for Swiglu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, gate: &CpuStorage, lg: &Layout, up: &CpuStorage, lu: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut y = vec![0.0; lg.shape().elem_count()];
        forward_into(&mut y, contiguous(self.name(), gate, lg)?, contiguous(self.name(), up, lu)?);
        Ok((CpuStorage::F32(y), lg.shape().clone()))
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let op = self.name();
        let mut dgate = with_values(op, gate, |gate| Ok(gate.to_vec()))?;
        let mut dup = with_values(op, up, |up| Ok(up.to_vec()))?;
        with_values(op, grad, |grad| {
            backward_in_place(&mut dgate, &mut dup, grad);
            Ok(())
        })?;
        Ok((Some(tensor(dgate, gate.shape())?), Some(tensor(dup, up.shape())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::{agree, random};

    #[test]
    fn value_and_gradients_equal_the_reference() {
        for shape in [[1, 1], [3, 7], [5, 33], [150, 128]] {
            let inputs = [random(&shape, 1), random(&shape, 2)];
            agree(&inputs, |v| swiglu(&v[0], &v[1]), |v| reference(&v[0], &v[1]));
        }
    }
}
