//! A frozen affine map with a low-rank adapter: y = x Wᵀ + b + s · drop(x) Aᵀ Bᵀ (Hu et al., arXiv:2106.09685).
//!
//! Only `x`, A and B are on the tape: the frozen weight costs one product on the way back, for `x`, and none for itself.

use super::gemm::{Matrix, Output, Precision, Threads, multiply};
use super::linear::{Sizes, forward_into, input_gradient_into, weight_gradient};
use super::slices::{Held, contiguous, tensor, with_values};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::sync::Arc;

const NAME: &str = "lora";

/// What an adapter adds, apart from its matrices.
#[derive(Clone, Debug)]
pub struct Adaptation {
    /// s, the factor before B·A.
    pub scale: f64,
    /// Which of the adapter's inputs are zeroed; none where all count.
    pub dropout: Option<Dropout>,
}

/// Zeroes a share of a map's inputs and scales up the others; what is zeroed depends on nothing but the keys.
#[derive(Clone, Debug)]
pub struct Dropout {
    /// The share that is zeroed, 0 to below 1.
    pub rate: f64,
    /// Tells this map's noise from that of others.
    pub map: u64,
    /// A random number for each row: equal rows with equal keys lose the same inputs.
    pub rows: Arc<Vec<u64>>,
}

impl Dropout {
    /// `x` [n, width] with a share of it zeroed.
    fn apply(&self, x: &[f32], width: usize) -> Vec<f32> {
        let (kept, threshold) = (1.0 / (1.0 - self.rate), (self.rate * (1u64 << 32) as f64) as u32);
        let mut dropped = x.to_vec();
        dropped.par_chunks_mut(width.max(1)).zip(self.rows.par_iter()).for_each(|(row, &key)| {
            let key = mix(key ^ mix(self.map.wrapping_add(1)));
            row.iter_mut().enumerate().for_each(|(at, value)| {
                let drawn = (mix(key.wrapping_add(at as u64)) >> 32) as u32;
                *value = if drawn < threshold { 0.0 } else { *value * kept as f32 };
            });
        });
        dropped
    }
}

/// The finaliser of SplitMix64 (Steele et al., 2014) over a counter.
pub(crate) fn mix(counter: u64) -> u64 {
    let z = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `x` [n, in] times the transpose of the frozen `weight` [out, in], plus the frozen `bias` [out], plus the adapter's
/// share: A is [rank, in], B [out, rank]. Differentiable to `x`, A and B.
///
/// # Errors
/// Where the shapes do not agree or the tensors are not f32.
pub fn lora_linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    (a, b): (&Tensor, &Tensor),
    adaptation: &Adaptation,
) -> Result<Tensor> {
    let ((n, inputs), (outputs, _)) = (x.dims2()?, weight.dims2()?);
    let rank = a.dim(0)?;
    if weight.dims() != [outputs, inputs] || a.dims() != [rank, inputs] || b.dims() != [outputs, rank] {
        let [x, w, a, b] = [x, weight, a, b].map(|tensor| tensor.shape().clone());
        bail!("{NAME}: rows of {x:?}, a weight of {w:?} and an adapter of {a:?} and {b:?}");
    }
    if adaptation.dropout.as_ref().is_some_and(|dropout| dropout.rows.len() != n) {
        bail!("{NAME}: {n} rows, but keys for another number");
    }
    if !x.device().is_cpu() {
        return reference(x, weight, bias, (a, b), adaptation);
    }
    let frozen = (weight.detach(), bias.map(Tensor::detach));
    x.contiguous()?.apply_op3(a, b, Lora { frozen, adaptation: adaptation.clone() })
}

/// The same from elementary ops.
fn reference(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    (a, b): (&Tensor, &Tensor),
    adaptation: &Adaptation,
) -> Result<Tensor> {
    let y = x.matmul(&weight.detach().t()?)?;
    let y = bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(&bias.detach()))?;
    let dropped = match &adaptation.dropout {
        None => x.clone(),
        Some(dropout) => {
            let ones = vec![1.0; x.elem_count()];
            (x * tensor(dropout.apply(&ones, x.dim(1)?), x.shape())?.to_device(x.device())?)?
        }
    };
    y + (dropped.matmul(&a.t()?)?.matmul(&b.t()?)? * adaptation.scale)?
}

/// W + s · B·A: the weight of one map that computes what both compute.
///
/// # Errors
/// Where the shapes do not agree or the tensors are not f32.
pub fn fold_adapter(weight: &Tensor, (a, b): (&Tensor, &Tensor), scale: f64) -> Result<Tensor> {
    let ((outputs, inputs), rank) = (weight.dims2()?, a.dim(0)?);
    if a.dims() != [rank, inputs] || b.dims() != [outputs, rank] {
        bail!("{NAME}: a weight of {:?} and an adapter of {:?} and {:?}", weight.shape(), a.shape(), b.shape());
    }
    if !weight.device().is_cpu() {
        return weight.detach() + (b.detach().matmul(&a.detach())? * scale)?;
    }
    let mut folded = with_values(NAME, weight, |weight| Ok(weight.to_vec()))?;
    with_values(NAME, a, |a| {
        with_values(NAME, b, |b| {
            let (a, b) = (Matrix::new(a, rank, inputs), Matrix::new(b, outputs, rank));
            product(&mut folded, b, a, inputs, scale, true);
            Ok(())
        })
    })?;
    tensor(folded, weight.shape())
}

/// place (+)= scale · a · b, with `columns` columns.
fn product(place: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, columns: usize, scale: f64, accumulate: bool) {
    let output = Output { values: place, row_stride: columns, accumulate };
    multiply(output, a, b, scale as f32, Threads::All, Precision::F32);
}

struct Lora {
    /// W [out, in] and b [out].
    frozen: (Tensor, Option<Tensor>),
    adaptation: Adaptation,
}

/// The matrices of an adapter as slices.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    /// A, [rank, in].
    pub a: &'a [f32],
    /// B, [out, rank].
    pub b: &'a [f32],
    pub rank: usize,
    pub scale: f64,
}

/// y += s · x Aᵀ Bᵀ; returns x Aᵀ [n, rank].
pub(super) fn adapter_onto(y: &mut [f32], x: &[f32], pair: Pair<'_>, sizes: Sizes) -> Vec<f32> {
    let Sizes { n, inputs, outputs } = sizes;
    let mut u = vec![0.0; n * pair.rank];
    product(&mut u, Matrix::new(x, n, inputs), Matrix::new(pair.a, pair.rank, inputs).t(), pair.rank, 1.0, false);
    let b = Matrix::new(pair.b, outputs, pair.rank);
    product(y, Matrix::new(&u, n, pair.rank), b.t(), outputs, pair.scale, true);
    u
}

/// s · g B [n, rank]: what both A's and the input's gradient are made of.
pub(super) fn inner_gradient(grad: &[f32], pair: Pair<'_>, sizes: Sizes) -> Vec<f32> {
    let mut inner = vec![0.0; sizes.n * pair.rank];
    let (grad, b) = (Matrix::new(grad, sizes.n, sizes.outputs), Matrix::new(pair.b, sizes.outputs, pair.rank));
    product(&mut inner, grad, b, pair.rank, pair.scale, false);
    inner
}

impl Lora {
    fn sizes(&self, n: usize) -> Result<Sizes> {
        let (outputs, inputs) = self.frozen.0.dims2()?;
        Ok(Sizes { n, inputs, outputs })
    }

    /// What the adapter sees of `x`.
    fn dropped<'x>(&self, x: &'x [f32], inputs: usize) -> std::borrow::Cow<'x, [f32]> {
        match &self.adaptation.dropout {
            None => x.into(),
            Some(dropout) => dropout.apply(x, inputs).into(),
        }
    }

    fn forward(&self, x: &[f32], a: &[f32], b: &[f32], rank: usize) -> Result<Vec<f32>> {
        let (weight, bias) = (Held::new(&self.frozen.0), self.frozen.1.as_ref().map(Held::new));
        let (weight, bias) = (weight.values(NAME)?, bias.as_ref().map(|bias| bias.values(NAME)).transpose()?);
        let sizes = self.sizes(x.len() / self.frozen.0.dim(1)?.max(1))?;
        let mut y = vec![0.0; sizes.n * sizes.outputs];
        forward_into(&mut y, x, weight, bias, sizes, false, Precision::F32);
        let pair = Pair { a, b, rank, scale: self.adaptation.scale };
        adapter_onto(&mut y, &self.dropped(x, sizes.inputs), pair, sizes);
        Ok(y)
    }

    /// dx = g W + drop(inner A).
    fn input_gradient(&self, grad: &[f32], inner: &[f32], pair: Pair<'_>, sizes: Sizes) -> Result<Vec<f32>> {
        let Sizes { n, inputs, .. } = sizes;
        let weight = Held::new(&self.frozen.0);
        let (inner, a) = (Matrix::new(inner, n, pair.rank), Matrix::new(pair.a, pair.rank, inputs));
        let mut dx = vec![0.0; n * inputs];
        match &self.adaptation.dropout {
            None => {
                input_gradient_into(&mut dx, grad, weight.values(NAME)?, sizes, false, Precision::F32);
                product(&mut dx, inner, a, inputs, 1.0, true);
            }
            Some(dropout) => {
                product(&mut dx, inner, a, inputs, 1.0, false);
                dx = dropout.apply(&dx, inputs);
                input_gradient_into(&mut dx, grad, weight.values(NAME)?, sizes, true, Precision::F32);
            }
        }
        Ok(dx)
    }
}

impl CustomOp3 for Lora {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        a: &CpuStorage,
        la: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let rank = la.shape().dims2()?.0;
        let y = self.forward(contiguous(NAME, x, lx)?, contiguous(NAME, a, la)?, contiguous(NAME, b, lb)?, rank)?;
        Ok((CpuStorage::F32(y), Shape::from((lx.shape().dims2()?.0, lb.shape().dims2()?.0))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (sizes, rank) = (self.sizes(x.dim(0)?)?, a.dim(0)?);
        let Sizes { n, inputs, outputs } = sizes;
        let grad = grad.contiguous()?;
        let [held_x, held_a, held_b, held_grad] = [x, a, b, &grad].map(Held::new);
        let (xs, grads) = (held_x.values(NAME)?, held_grad.values(NAME)?);
        let pair = Pair { a: held_a.values(NAME)?, b: held_b.values(NAME)?, rank, scale: self.adaptation.scale };
        let inner = inner_gradient(grads, pair, sizes);
        let dropped = self.dropped(xs, inputs);
        let seen = Matrix::new(&dropped, n, inputs);
        let da = match a.track_op() {
            true => weight_gradient(a, |da| product(da, Matrix::new(&inner, n, rank).t(), seen, inputs, 1.0, true))?,
            false => None,
        };
        let db = match b.track_op() {
            true => {
                let mut u = vec![0.0; n * rank];
                product(&mut u, seen, Matrix::new(pair.a, rank, inputs).t(), rank, 1.0, false);
                let (grads, u) = (Matrix::new(grads, n, outputs), Matrix::new(&u, n, rank));
                weight_gradient(b, |db| product(db, grads.t(), u, rank, pair.scale, true))?
            }
            false => None,
        };
        let dx = match x.track_op() {
            true => Some(tensor(self.input_gradient(grads, &inner, pair, sizes)?, x.shape())?),
            false => None,
        };
        Ok((dx, da, db))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::{agree, difference, random, values};

    fn adaptation(dropout: Option<Dropout>) -> Adaptation {
        Adaptation { scale: 1.7, dropout }
    }

    #[test]
    fn value_and_gradients_equal_the_reference() {
        for (n, inputs, outputs, rank) in [(1, 1, 1, 1), (3, 7, 5, 2), (70, 33, 40, 8)] {
            let (weight, bias) = (random(&[outputs, inputs], 4), random(&[outputs], 5));
            let inputs = [random(&[n, inputs], 1), random(&[rank, inputs], 2), random(&[outputs, rank], 3)];
            let rows = Arc::new((0..n as u64).map(mix).collect::<Vec<_>>());
            for dropout in [None, Some(Dropout { rate: 0.4, map: 3, rows })] {
                for bias in [None, Some(&bias)] {
                    let how = adaptation(dropout.clone());
                    agree(
                        &inputs,
                        |v| lora_linear(&v[0], &weight, bias, (&v[1], &v[2]), &how),
                        |v| reference(&v[0], &weight, bias, (&v[1], &v[2]), &how),
                    );
                }
            }
        }
    }

    #[test]
    fn a_folded_weight_computes_what_both_do() {
        let (x, weight) = (random(&[9, 30], 1), random(&[20, 30], 2));
        let (a, b) = (random(&[4, 30], 3), random(&[20, 4], 4));
        let apart = lora_linear(&x, &weight, None, (&a, &b), &adaptation(None)).unwrap();
        let folded = fold_adapter(&weight, (&a, &b), 1.7).unwrap();
        assert!(difference(&x.matmul(&folded.t().unwrap()).unwrap(), &apart) < 1e-6);
    }

    #[test]
    fn a_share_of_the_inputs_is_dropped_and_rows_do_not_depend_on_their_neighbours() {
        let dropout = |rows: Vec<u64>| Dropout { rate: 0.25, map: 0, rows: Arc::new(rows) };
        let ones = vec![1.0; 4 * 5000];
        let all = dropout(vec![mix(1), mix(2), mix(3), mix(4)]).apply(&ones, 5000);
        let zeros = all.iter().filter(|&&value| value == 0.0).count() as f64 / all.len() as f64;
        assert!((zeros - 0.25).abs() < 0.01, "{zeros}");
        let mean = all.iter().sum::<f32>() / all.len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert_eq!(dropout(vec![mix(3)]).apply(&ones[..5000], 5000), all[2 * 5000..3 * 5000]);
        assert_ne!(all[..5000], all[5000..10_000]);
    }

    #[test]
    fn shapes_that_do_not_agree_are_an_error() {
        let (x, weight) = (random(&[2, 3], 1), random(&[4, 3], 2));
        let (a, b) = (random(&[2, 5], 3), random(&[4, 2], 4));
        assert!(lora_linear(&x, &weight, None, (&a, &b), &adaptation(None)).is_err());
        assert!(fold_adapter(&weight, (&a, &b), 1.0).is_err());
        assert_eq!(values(&x).len(), 6);
    }
}
