//! Output head and log-softmax in one: the log-probability of given tokens without the logits of all rows.

use super::gemm::{Matrix, Output, Precision, Threads, multiply};
use super::linear::weight_gradient;
use super::simd::{exp, maximum, scale, vectorised};
use super::slices::{contiguous, tensor, with_values};
use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};

/// Logits held at one time, at most: 16 MiB.
const CHUNK: usize = 4 << 20;

/// log softmax(`hidden` · `weight`ᵀ / `temperature`)\[target\] for every row, with the entropy of the row.
///
/// `hidden` [n, d], `weight` [V, d], `targets` n ids below V; both results are [n]. The first is differentiable
/// to `hidden` and `weight`; the entropy (in nats) is an observation without gradient.
///
/// # Errors
/// Where the shapes do not agree, a target is no row of `weight`, or the temperature is not positive.
pub fn head_log_probs(hidden: &Tensor, weight: &Tensor, targets: &[u32], temperature: f64) -> Result<(Tensor, Tensor)> {
    check(hidden, weight, targets, temperature)?;
    if !hidden.device().is_cpu() {
        return reference(hidden, weight, targets, temperature);
    }
    let entropies = Arc::new(Mutex::new(Vec::new()));
    let head = Head {
        targets: targets.to_vec(),
        inverse_temperature: (1.0 / temperature) as f32,
        entropies: entropies.clone(),
        probabilities: Mutex::new(None),
    };
    let log_probs = hidden.contiguous()?.apply_op2(weight, head)?;
    let entropies = std::mem::take(&mut *lock(&entropies)?);
    Ok((log_probs, tensor(entropies, targets.len())?))
}

fn check(hidden: &Tensor, weight: &Tensor, targets: &[u32], temperature: f64) -> Result<()> {
    let ((n, d), (vocabulary, width)) = (hidden.dims2()?, weight.dims2()?);
    if n != targets.len() || d != width {
        bail!("head: {:?}, a weight of {:?} and {} targets", hidden.shape(), weight.shape(), targets.len());
    }
    if let Some(wrong) = targets.iter().find(|&&target| target as usize >= vocabulary) {
        bail!("head: token {wrong}, but the vocabulary has {vocabulary}");
    }
    if !(temperature > 0.0 && temperature.is_finite()) {
        bail!("head: a temperature of {temperature}");
    }
    Ok(())
}

/// The same from elementary ops.
fn reference(hidden: &Tensor, weight: &Tensor, targets: &[u32], temperature: f64) -> Result<(Tensor, Tensor)> {
    let logits = (hidden.matmul(&weight.t()?)? / temperature)?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    let log_softmax = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?;
    let targets = Tensor::new(targets, hidden.device())?.unsqueeze(1)?;
    let observed = log_softmax.detach();
    let entropy = (observed.exp()? * &observed)?.sum(D::Minus1)?.neg()?;
    Ok((log_softmax.gather(&targets, 1)?.squeeze(1)?, entropy))
}

fn lock<T>(mutex: &Mutex<T>) -> Result<std::sync::MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| candle_core::Error::Msg("head: a thread failed while it held the results".into()))
}

struct Head {
    targets: Vec<u32>,
    inverse_temperature: f32,
    entropies: Arc<Mutex<Vec<f32>>>,
    /// Softmax of all rows, where they fit into one chunk: saves the backward pass one product.
    probabilities: Mutex<Option<Vec<f32>>>,
}

vectorised! {
    /// Turns logits into probabilities; returns log-probability of `target` and entropy.
    ///
    /// With t = z − max, e = exp(t), s = Σ e: log p = t − ln s, entropy = ln s − Σ e t / s.
    fn softmax_row(row: &mut [f32], target: usize) -> (f32, f32) {
        let most = maximum(row);
        let at_target = row[target] - most;
        let (mut sums, mut products) = ([0.0f32; 16], [0.0f32; 16]);
        let (whole, tail) = row.as_chunks_mut::<16>();
        for chunk in whole {
            for lane in 0..16 {
                let t = chunk[lane] - most;
                let e = exp(t);
                chunk[lane] = e;
                sums[lane] += e;
                products[lane] += e * t;
            }
        }
        for (lane, value) in tail.iter_mut().enumerate() {
            let t = *value - most;
            *value = exp(t);
            sums[lane] += *value;
            products[lane] += *value * t;
        }
        let (sum, product) = (sums.iter().sum::<f32>(), products.iter().sum::<f32>());
        for value in row.iter_mut() {
            *value *= 1.0 / sum;
        }
        (at_target - sum.ln(), sum.ln() - product / sum)
    }
}

/// Sizes of one call: hidden width and vocabulary.
#[derive(Clone, Copy)]
struct Sizes {
    d: usize,
    vocabulary: usize,
}

impl Sizes {
    fn rows_per_chunk(self) -> usize {
        (CHUNK / self.vocabulary.max(1)).max(16)
    }
}

impl Head {
    /// logits [rows, V] of some rows of hidden, divided by the temperature.
    fn logits(&self, hidden: &[f32], weight: &[f32], sizes: Sizes) -> Vec<f32> {
        let rows = hidden.len() / sizes.d;
        let mut logits = vec![0.0; rows * sizes.vocabulary];
        let place = Output { values: &mut logits, row_stride: sizes.vocabulary, accumulate: false };
        let weight = Matrix::new(weight, sizes.vocabulary, sizes.d);
        multiply(
            place,
            Matrix::new(hidden, rows, sizes.d),
            weight.t(),
            self.inverse_temperature,
            Threads::All,
            Precision::F32,
        );
        logits
    }

    fn forward(&self, hidden: &[f32], weight: &[f32], sizes: Sizes) -> Result<Vec<f32>> {
        let rows = sizes.rows_per_chunk();
        let mut results = Vec::with_capacity(self.targets.len());
        for (hidden, targets) in hidden.chunks(rows * sizes.d).zip(self.targets.chunks(rows)) {
            let mut logits = self.logits(hidden, weight, sizes);
            let observe = |(row, &target): (&mut [f32], &u32)| softmax_row(row, target as usize);
            let observed: Vec<_> = logits.par_chunks_mut(sizes.vocabulary).zip(targets).map(observe).collect();
            results.extend(observed);
            if targets.len() == self.targets.len() {
                *lock(&self.probabilities)? = Some(logits);
            }
        }
        let (log_probs, entropies) = results.into_iter().unzip();
        *lock(&self.entropies)? = entropies;
        Ok(log_probs)
    }

    /// Probabilities of a chunk, as kept or made again.
    fn probabilities(&self, hidden: &[f32], weight: &[f32], targets: &[u32], sizes: Sizes) -> Result<Vec<f32>> {
        if let Some(kept) = lock(&self.probabilities)?.take() {
            return Ok(kept);
        }
        let mut logits = self.logits(hidden, weight, sizes);
        logits.par_chunks_mut(sizes.vocabulary).zip(targets).for_each(|(row, &target)| {
            softmax_row(row, target as usize);
        });
        Ok(logits)
    }

    /// With dz = g / T · (onehot − p): dhidden = dz W, dW = dzᵀ hidden, summed over chunks in order.
    fn backward(
        &self,
        dhidden: &mut [f32],
        dweight: Option<&mut [f32]>,
        (hidden, weight, grad): (&[f32], &[f32], &[f32]),
        sizes: Sizes,
    ) -> Result<()> {
        let Sizes { d, vocabulary } = sizes;
        let rows = sizes.rows_per_chunk();
        let mut dweight = dweight;
        let chunks = hidden.chunks(rows * d).zip(self.targets.chunks(rows)).zip(grad.chunks(rows));
        for (((hidden, targets), grad), dhidden) in chunks.zip(dhidden.chunks_mut(rows * d)) {
            let n = targets.len();
            let mut dz = self.probabilities(hidden, weight, targets, sizes)?;
            dz.par_chunks_mut(vocabulary).zip(targets.par_iter().zip(grad)).for_each(|(row, (&target, &grad))| {
                let factor = grad * self.inverse_temperature;
                scale(row, -factor);
                row[target as usize] += factor;
            });
            let dz = Matrix::new(&dz, n, vocabulary);
            let place = Output { values: dhidden, row_stride: d, accumulate: false };
            multiply(place, dz, Matrix::new(weight, vocabulary, d), 1.0, Threads::All, Precision::F32);
            if let Some(dweight) = dweight.as_deref_mut() {
                let place = Output { values: dweight, row_stride: d, accumulate: true };
                multiply(place, dz.t(), Matrix::new(hidden, n, d), 1.0, Threads::All, Precision::F32);
            }
        }
        Ok(())
    }
}

impl CustomOp2 for Head {
    fn name(&self) -> &'static str {
        "head_log_probs"
    }

    fn cpu_fwd(&self, h: &CpuStorage, lh: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let (vocabulary, d) = lw.shape().dims2()?;
        let (hidden, weight) = (contiguous(self.name(), h, lh)?, contiguous(self.name(), w, lw)?);
        let log_probs = self.forward(hidden, weight, Sizes { d, vocabulary })?;
        Ok((CpuStorage::F32(log_probs), Shape::from(self.targets.len())))
    }

    fn bwd(&self, h: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let op = self.name();
        let (vocabulary, d) = w.dims2()?;
        let (mut dhidden, sizes) = (vec![0.0; h.elem_count()], Sizes { d, vocabulary });
        let dweight = with_values(op, h, |hidden| {
            with_values(op, w, |weight| {
                with_values(op, grad, |grad| {
                    let factors = (hidden, weight, grad);
                    if !w.track_op() {
                        self.backward(&mut dhidden, None, factors, sizes)?;
                        return Ok(None);
                    }
                    let mut done = Ok(());
                    let dw = weight_gradient(w, |dw| done = self.backward(&mut dhidden, Some(dw), factors, sizes));
                    done.and(dw)
                })
            })
        })?;
        Ok((Some(tensor(dhidden, h.shape())?), dweight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::{agree, difference, random};

    fn targets(n: usize, vocabulary: usize) -> Vec<u32> {
        (0..n).map(|i| (i * 7 % vocabulary) as u32).collect()
    }

    #[test]
    fn value_gradients_and_entropy_equal_the_reference() {
        for (n, d, vocabulary) in [(1, 1, 2), (5, 7, 33), (40, 16, 101)] {
            let (inputs, targets) = ([random(&[n, d], 1), random(&[vocabulary, d], 2)], targets(n, vocabulary));
            for temperature in [1.0, 0.7] {
                let fast = |v: &[Tensor]| head_log_probs(&v[0], &v[1], &targets, temperature);
                let slow = |v: &[Tensor]| reference(&v[0], &v[1], &targets, temperature);
                agree(&inputs, |v| Ok(fast(v)?.0), |v| Ok(slow(v)?.0));
                assert!(difference(&fast(&inputs).unwrap().1, &slow(&inputs).unwrap().1) < 1e-5);
            }
        }
    }

    #[test]
    fn several_chunks_give_what_one_gives() {
        let (n, d, vocabulary) = (50, 3, CHUNK / 32);
        let (inputs, targets) = ([random(&[n, d], 1), random(&[vocabulary, d], 2)], targets(n, vocabulary));
        agree(
            &inputs,
            |v| Ok(head_log_probs(&v[0], &v[1], &targets, 1.0)?.0),
            |v| Ok(reference(&v[0], &v[1], &targets, 1.0)?.0),
        );
    }

    #[test]
    fn a_target_outside_the_vocabulary_is_an_error() {
        assert!(head_log_probs(&random(&[1, 2], 1), &random(&[3, 2], 2), &[3], 1.0).is_err());
    }
}
