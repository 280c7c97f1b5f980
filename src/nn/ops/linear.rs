//! The affine map y = x Wᵀ + b, with the bias added where the product is made.

use super::gemm::{Matrix, Output, Threads, multiply};
use super::simd;
use super::slices::{contiguous, rows_per_task, tensor, with_values};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// `x` [n, in] times the transpose of `weight` [out, in], plus `bias` [out]; differentiable to all.
///
/// # Errors
/// Where the shapes do not agree or the tensors are not f32.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let ((_, inputs), (_, expected)) = (x.dims2()?, weight.dims2()?);
    if inputs != expected {
        bail!("linear: rows of {:?} and a weight of {:?}", x.shape(), weight.shape());
    }
    match (x.device().is_cpu(), bias) {
        (false, bias) => reference(x, weight, bias),
        (true, None) => x.contiguous()?.apply_op2(weight, Linear),
        (true, Some(bias)) => x.contiguous()?.apply_op3(weight, bias, Linear),
    }
}

/// The same from elementary ops.
fn reference(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(&weight.t()?)?;
    bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))
}

struct Linear;

const NAME: &str = "linear";

/// y [n, out] from x [n, in] and W [out, in].
fn forward(x: &[f32], weight: &[f32], bias: Option<&[f32]>, (n, inputs, outputs): (usize, usize, usize)) -> Vec<f32> {
    let mut y = vec![0.0; n * outputs];
    if let Some(bias) = bias {
        y.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(bias));
    }
    let place = Output { values: &mut y, row_stride: outputs, accumulate: bias.is_some() };
    let weight = Matrix::new(weight, outputs, inputs);
    multiply(place, Matrix::new(x, n, inputs), weight.t(), 1.0, Threads::All);
    y
}

/// dx = g W.
fn input_gradient(grad: &[f32], weight: &[f32], (n, inputs, outputs): (usize, usize, usize)) -> Vec<f32> {
    let mut dx = vec![0.0; n * inputs];
    let place = Output { values: &mut dx, row_stride: inputs, accumulate: false };
    multiply(place, Matrix::new(grad, n, outputs), Matrix::new(weight, outputs, inputs), 1.0, Threads::All);
    dx
}

/// dW = gᵀ x.
fn weight_gradient(grad: &[f32], x: &[f32], (n, inputs, outputs): (usize, usize, usize)) -> Vec<f32> {
    let mut dw = vec![0.0; outputs * inputs];
    let place = Output { values: &mut dw, row_stride: inputs, accumulate: false };
    multiply(place, Matrix::new(grad, n, outputs).t(), Matrix::new(x, n, inputs), 1.0, Threads::All);
    dw
}

/// db = Σ over rows of g, in shares of fixed size added in order.
fn bias_gradient(grad: &[f32], outputs: usize) -> Vec<f32> {
    let span = rows_per_task(outputs) * outputs;
    let mut shares = vec![0.0; grad.len().div_ceil(span) * outputs];
    shares.par_chunks_mut(outputs).zip(grad.par_chunks(span)).for_each(|(share, grad)| {
        grad.chunks_exact(outputs).for_each(|row| simd::add_to(share, row));
    });
    let mut db = vec![0.0; outputs];
    shares.chunks_exact(outputs).for_each(|share| simd::add_to(&mut db, share));
    db
}

fn sizes(x: &Tensor, weight: &Tensor) -> Result<(usize, usize, usize)> {
    Ok((x.dim(0)?, weight.dim(1)?, weight.dim(0)?))
}

/// Gradients to x and W; each only where something upstream wants it.
fn backward(x: &Tensor, weight: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let sizes = sizes(x, weight)?;
    with_values(NAME, grad, |grad| {
        let dx = match x.track_op() {
            true => Some(with_values(NAME, weight, |weight| tensor(input_gradient(grad, weight, sizes), x.shape()))?),
            false => None,
        };
        let dw = match weight.track_op() {
            true => Some(with_values(NAME, x, |x| tensor(weight_gradient(grad, x, sizes), weight.shape()))?),
            false => None,
        };
        Ok((dx, dw))
    })
}

fn layout_sizes(x: &Layout, weight: &Layout) -> Result<(usize, usize, usize)> {
    let ((n, inputs), (outputs, _)) = (x.shape().dims2()?, weight.shape().dims2()?);
    Ok((n, inputs, outputs))
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let sizes = layout_sizes(lx, lw)?;
        let y = forward(contiguous(NAME, x, lx)?, contiguous(NAME, w, lw)?, None, sizes);
        Ok((CpuStorage::F32(y), Shape::from((sizes.0, sizes.2))))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        backward(x, w, grad)
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = layout_sizes(lx, lw)?;
        let bias = contiguous(NAME, b, lb)?;
        if bias.len() != sizes.2 {
            bail!("linear: a bias of {} for {} outputs", bias.len(), sizes.2);
        }
        let y = forward(contiguous(NAME, x, lx)?, contiguous(NAME, w, lw)?, Some(bias), sizes);
        Ok((CpuStorage::F32(y), Shape::from((sizes.0, sizes.2))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = backward(x, w, grad)?;
        let db = match b.track_op() {
            true => Some(with_values(NAME, grad, |grad| tensor(bias_gradient(grad, b.elem_count()), b.shape()))?),
            false => None,
        };
        Ok((dx, dw, db))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::{agree, random, values};

    #[test]
    fn value_and_gradients_equal_the_reference() {
        for (n, inputs, outputs) in [(1, 1, 1), (3, 7, 5), (130, 33, 70)] {
            let inputs = [random(&[n, inputs], 1), random(&[outputs, inputs], 2), random(&[outputs], 3)];
            agree(&inputs, |v| linear(&v[0], &v[1], None), |v| reference(&v[0], &v[1], None));
            agree(&inputs, |v| linear(&v[0], &v[1], Some(&v[2])), |v| reference(&v[0], &v[1], Some(&v[2])));
        }
    }

    /// Products large enough for several threads; the parity fixtures are not.
    #[test]
    fn the_thread_count_changes_no_bit() {
        let inputs = [random(&[200, 300], 1), random(&[150, 300], 2), random(&[150], 3)];
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let variables = inputs.each_ref().map(|input| candle_core::Var::from_tensor(input).unwrap());
                let [x, weight, bias] = &variables;
                let y = linear(x, weight, Some(bias)).unwrap();
                let store = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                let gradients = variables.iter().map(|variable| values(store.get(variable).unwrap()));
                gradients.chain([values(&y)]).flatten().map(f32::to_bits).collect::<Vec<_>>()
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));
    }
}
