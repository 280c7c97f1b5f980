//! The affine map y = x Wᵀ + b, with the bias added where the product is made.

use super::gemm::{Matrix, Output, Precision, Threads, multiply};
use super::simd;
use super::sink;
use super::slices::{contiguous, rows_per_task, tensor, with_values};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// `x` [n, in] times the transpose of `weight` [out, in], plus `bias` [out]; differentiable to all.
///
/// # Errors
/// Where the shapes do not agree or the tensors are not f32.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, precision: Precision) -> Result<Tensor> {
    let ((_, inputs), (_, expected)) = (x.dims2()?, weight.dims2()?);
    if inputs != expected {
        bail!("linear: rows of {:?} and a weight of {:?}", x.shape(), weight.shape());
    }
    match (x.device().is_cpu(), bias) {
        (false, bias) => reference(x, weight, bias, precision),
        (true, None) => x.contiguous()?.apply_op2(weight, Linear { precision }),
        (true, Some(bias)) => x.contiguous()?.apply_op3(weight, bias, Linear { precision }),
    }
}

/// The same from elementary ops; bfloat16 rounds the factors on the way there, and not those on the way back.
fn reference(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, precision: Precision) -> Result<Tensor> {
    let y = match precision {
        Precision::F32 => x.matmul(&weight.t()?)?,
        Precision::Bf16 => {
            let round = |factor: &Tensor| factor.to_dtype(DType::BF16)?.to_dtype(DType::F32);
            round(x)?.matmul(&round(weight)?.t()?)?
        }
    };
    bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))
}

struct Linear {
    precision: Precision,
}

const NAME: &str = "linear";

/// Rows, inputs and outputs of a map.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub n: usize,
    pub inputs: usize,
    pub outputs: usize,
}

/// y = x Wᵀ + b, or y += x Wᵀ + b where `onto`; x [n, in], W [out, in], y [n, out].
pub(super) fn forward_into(
    y: &mut [f32],
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    sizes: Sizes,
    onto: bool,
    precision: Precision,
) {
    let Sizes { n, inputs, outputs } = sizes;
    if let Some(bias) = bias {
        let span = rows_per_task(outputs) * outputs;
        y.par_chunks_mut(span).for_each(|rows| {
            rows.chunks_exact_mut(outputs).for_each(|row| match onto {
                true => simd::add_to(row, bias),
                false => row.copy_from_slice(bias),
            });
        });
    }
    let place = Output { values: y, row_stride: outputs, accumulate: onto || bias.is_some() };
    let weight = Matrix::new(weight, outputs, inputs);
    multiply(place, Matrix::new(x, n, inputs), weight.t(), 1.0, Threads::All, precision);
}

/// dx = g W, or dx += g W where `onto`; g [n, out], W [out, in], dx [n, in].
pub(super) fn input_gradient_into(
    dx: &mut [f32],
    grad: &[f32],
    weight: &[f32],
    sizes: Sizes,
    onto: bool,
    precision: Precision,
) {
    let Sizes { n, inputs, outputs } = sizes;
    let place = Output { values: dx, row_stride: inputs, accumulate: onto };
    let (grad, weight) = (Matrix::new(grad, n, outputs), Matrix::new(weight, outputs, inputs));
    multiply(place, grad, weight, 1.0, Threads::All, precision);
}

/// dW += gᵀ x.
pub(super) fn weight_gradient_onto(dw: &mut [f32], grad: &[f32], x: &[f32], sizes: Sizes, precision: Precision) {
    let Sizes { n, inputs, outputs } = sizes;
    let place = Output { values: dw, row_stride: inputs, accumulate: true };
    let (grad, x) = (Matrix::new(grad, n, outputs), Matrix::new(x, n, inputs));
    multiply(place, grad.t(), x, 1.0, Threads::All, precision);
}

/// db += Σ over rows of g, in shares of fixed size added in order.
pub(super) fn bias_gradient_onto(db: &mut [f32], grad: &[f32]) {
    let outputs = db.len();
    let span = rows_per_task(outputs) * outputs;
    let mut shares = vec![0.0; grad.len().div_ceil(span) * outputs];
    shares.par_chunks_mut(outputs).zip(grad.par_chunks(span)).for_each(|(share, grad)| {
        grad.chunks_exact(outputs).for_each(|row| simd::add_to(share, row));
    });
    shares.chunks_exact(outputs).for_each(|share| simd::add_to(db, share));
}

fn sizes(x: &Tensor, weight: &Tensor) -> Result<Sizes> {
    Ok(Sizes { n: x.dim(0)?, inputs: weight.dim(1)?, outputs: weight.dim(0)? })
}

/// Gradients to x and W; each only where something upstream wants it.
fn backward(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    precision: Precision,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let sizes = sizes(x, weight)?;
    with_values(NAME, grad, |grad| {
        let dx = match x.track_op() {
            true => Some(with_values(NAME, weight, |weight| {
                let mut dx = vec![0.0; sizes.n * sizes.inputs];
                input_gradient_into(&mut dx, grad, weight, sizes, false, precision);
                tensor(dx, x.shape())
            })?),
            false => None,
        };
        let dw = match weight.track_op() {
            true => with_values(NAME, x, |x| {
                weight_gradient(weight, |dw| weight_gradient_onto(dw, grad, x, sizes, precision))
            })?,
            false => None,
        };
        Ok((dx, dw))
    })
}

/// Lets `add` add the gradient of `weight`: to the sink, where it takes it, else to zeros that become a tensor.
pub(super) fn weight_gradient(weight: &Tensor, add: impl FnOnce(&mut [f32])) -> Result<Option<Tensor>> {
    sink::with(|sink| match sink.and_then(|sink| sink.get(weight.id())) {
        Some(place) => {
            add(place);
            Ok(None)
        }
        None => own_gradient(weight, add),
    })
}

/// Lets `add` add a gradient to zeros that become a tensor.
pub(super) fn own_gradient(variable: &Tensor, add: impl FnOnce(&mut [f32])) -> Result<Option<Tensor>> {
    let mut gradient = vec![0.0; variable.elem_count()];
    add(&mut gradient);
    Ok(Some(tensor(gradient, variable.shape())?))
}

fn layout_sizes(x: &Layout, weight: &Layout) -> Result<Sizes> {
    let ((n, inputs), (outputs, _)) = (x.shape().dims2()?, weight.shape().dims2()?);
    Ok(Sizes { n, inputs, outputs })
}

fn product(x: &[f32], weight: &[f32], bias: Option<&[f32]>, sizes: Sizes, precision: Precision) -> (CpuStorage, Shape) {
    let mut y = vec![0.0; sizes.n * sizes.outputs];
    forward_into(&mut y, x, weight, bias, sizes, false, precision);
    (CpuStorage::F32(y), Shape::from((sizes.n, sizes.outputs)))
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let sizes = layout_sizes(lx, lw)?;
        Ok(product(contiguous(NAME, x, lx)?, contiguous(NAME, w, lw)?, None, sizes, self.precision))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        backward(x, w, grad, self.precision)
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
        if bias.len() != sizes.outputs {
            bail!("linear: a bias of {} for {} outputs", bias.len(), sizes.outputs);
        }
        Ok(product(contiguous(NAME, x, lx)?, contiguous(NAME, w, lw)?, Some(bias), sizes, self.precision))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = backward(x, w, grad, self.precision)?;
        let db = match b.track_op() {
            true => with_values(NAME, grad, |grad| weight_gradient(b, |db| bias_gradient_onto(db, grad)))?,
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
            agree(
                &inputs,
                |v| linear(&v[0], &v[1], None, Precision::F32),
                |v| reference(&v[0], &v[1], None, Precision::F32),
            );
            agree(
                &inputs,
                |v| linear(&v[0], &v[1], Some(&v[2]), Precision::F32),
                |v| reference(&v[0], &v[1], Some(&v[2]), Precision::F32),
            );
        }
    }

    /// Products large enough for several threads; the parity fixtures are not.
    #[test]
    fn the_thread_count_changes_no_bit() {
        [Precision::F32, Precision::Bf16].into_iter().for_each(one_answer);
    }

    fn one_answer(precision: Precision) {
        let inputs = [random(&[200, 300], 1), random(&[150, 300], 2), random(&[150], 3)];
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let variables = inputs.each_ref().map(|input| candle_core::Var::from_tensor(input).unwrap());
                let [x, weight, bias] = &variables;
                let y = linear(x, weight, Some(bias), precision).unwrap();
                let store = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                let gradients = variables.iter().map(|variable| values(store.get(variable).unwrap()));
                gradients.chain([values(&y)]).flatten().map(f32::to_bits).collect::<Vec<_>>()
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));
    }

    /// Every factor is off by 2⁻⁸ of itself at most, every product by twice that.
    #[test]
    fn bf16_is_near_f32() {
        let inputs = [random(&[90, 200], 1), random(&[70, 200], 2)];
        let size = linear(&inputs[0].abs().unwrap(), &inputs[1].abs().unwrap(), None, Precision::F32).unwrap();
        let exact = linear(&inputs[0], &inputs[1], None, Precision::F32).unwrap();
        let rounded = linear(&inputs[0], &inputs[1], None, Precision::Bf16).unwrap();
        let reference = reference(&inputs[0], &inputs[1], None, Precision::Bf16).unwrap();
        let gap =
            |a: &Tensor, b: &Tensor| values(a).iter().zip(values(b)).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>();
        for ((far, near), size) in gap(&rounded, &exact).iter().zip(gap(&rounded, &reference)).zip(values(&size)) {
            assert!(*far <= size / 120.0 && near <= size * 1e-6, "{far} and {near} at {size}");
        }
        assert_ne!(values(&rounded), values(&exact));
    }
}
