//! Output head and log-softmax in one: the log-probability of given tokens without the logits of all rows.

use super::buffer::Buffer;
use super::clock::{Part, timed};
use super::gemm::{Matrix, Output, Precision, Threads, multiply};
use super::linear::weight_gradient;
use super::simd::{exp, maximum, scale, vectorised};
use super::sink;
use super::slices::{Held, contiguous, tensor, with_values};
use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor, TensorId, bail};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Logits held at one time, at most, and of at least 16 rows: 128 MiB.
const CHUNK: usize = 32 << 20;

/// log softmax(`hidden` · `weight`ᵀ / `temperature`)\[target\] for every row, with the entropy of the row.
///
/// `hidden` [n, d], `weight` [V, d], `targets` n ids below V; both results are [n]. The first is differentiable
/// to `hidden` and `weight`; the entropy (in nats) is an observation without gradient.
///
/// # Errors
/// Where the shapes do not agree, a target is no row of `weight`, or the temperature is not positive.
pub fn head_log_probs(
    hidden: &Tensor,
    weight: &Tensor,
    targets: &[u32],
    temperature: f64,
    precision: Precision,
) -> Result<(Tensor, Tensor)> {
    check(hidden, weight, targets, temperature)?;
    if !hidden.device().is_cpu() {
        return reference(hidden, weight, targets, temperature);
    }
    log_probs_by(Head::new(hidden, weight, targets, temperature, precision)?, hidden, weight)
}

fn log_probs_by(head: Head, hidden: &Tensor, weight: &Tensor) -> Result<(Tensor, Tensor)> {
    let (entropies, n) = (Arc::new(Mutex::new(Vec::new())), head.targets.len());
    let op = LogProbs { head, entropies: entropies.clone(), probabilities: Mutex::new(None) };
    let log_probs = hidden.contiguous()?.apply_op2(weight, op)?;
    let entropies = std::mem::take(&mut *lock(&entropies)?);
    Ok((log_probs, tensor(entropies, n)?))
}

/// Σ factorᵢ · log pᵢ as a scalar, with log p as [`head_log_probs`] has it; differentiable as that is.
///
/// The factors are known before the pass, so the gradient is made right after each chunk of logits, which are not
/// made again: three products instead of four. Inside a backward pass of [`crate::nn::Gradients`] the weight's
/// gradient is added at once; the scalar must then be what `backward` is called on.
///
/// # Errors
/// As [`head_log_probs`], and where there is not one factor a row.
pub fn head_loss(
    hidden: &Tensor,
    weight: &Tensor,
    targets: &[u32],
    factors: &[f32],
    temperature: f64,
    precision: Precision,
) -> Result<Tensor> {
    check(hidden, weight, targets, temperature)?;
    if factors.len() != targets.len() {
        bail!("head: {} factors for {} targets", factors.len(), targets.len());
    }
    if !hidden.device().is_cpu() {
        let (log_probs, _) = reference(hidden, weight, targets, temperature)?;
        return (log_probs * Tensor::new(factors, hidden.device())?)?.sum_all();
    }
    loss_by(Head::new(hidden, weight, targets, temperature, precision)?, hidden, weight, factors)
}

fn loss_by(head: Head, hidden: &Tensor, weight: &Tensor, factors: &[f32]) -> Result<Tensor> {
    let trained = weight.track_op().then(|| weight.id());
    let records = hidden.track_op() || weight.track_op();
    let op = Loss { head, factors: factors.to_vec(), trained, records, made: Mutex::new(None) };
    hidden.contiguous()?.apply_op2(weight, op)
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

/// What the ops of this file share.
struct Head {
    targets: Vec<u32>,
    inverse_temperature: f32,
    precision: Precision,
    sizes: Sizes,
    /// Rows whose logits are held at one time.
    rows: usize,
}

/// Hidden width and vocabulary.
#[derive(Clone, Copy)]
struct Sizes {
    d: usize,
    vocabulary: usize,
}

/// Rows of hidden states and the head's weight.
#[derive(Clone, Copy)]
struct Factors<'a> {
    hidden: &'a [f32],
    weight: &'a [f32],
}

thread_local! {
    /// The logits of a chunk, kept by the thread that trains.
    static LOGITS: Cell<Buffer> = Cell::new(Buffer::default());
}

impl Head {
    fn new(hidden: &Tensor, weight: &Tensor, targets: &[u32], temperature: f64, precision: Precision) -> Result<Self> {
        let sizes = Sizes { d: hidden.dim(1)?, vocabulary: weight.dim(0)? };
        let rows = (CHUNK / sizes.vocabulary.max(1)).max(16);
        Ok(Head { targets: targets.to_vec(), inverse_temperature: (1.0 / temperature) as f32, precision, sizes, rows })
    }

    /// Whether one chunk holds all rows.
    fn at_once(&self) -> bool {
        self.targets.len() <= self.rows
    }

    /// The chunks' first rows and ends.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let (n, rows) = (self.targets.len(), self.rows);
        (0..n).step_by(rows).map(move |from| from..(from + rows).min(n))
    }

    /// Probabilities [rows, V] of some rows into `values`; log-probability of the target and entropy of each.
    fn probabilities(&self, values: &mut [f32], factors: Factors<'_>, rows: Range<usize>) -> Vec<(f32, f32)> {
        let Sizes { d, vocabulary } = self.sizes;
        let hidden = Matrix::new(&factors.hidden[rows.start * d..rows.end * d], rows.len(), d);
        let weight = Matrix::new(factors.weight, vocabulary, d);
        timed(Part::Head, || {
            let place = Output { values: &mut *values, row_stride: vocabulary, accumulate: false };
            multiply(place, hidden, weight.t(), self.inverse_temperature, Threads::All, self.precision);
            let observe = |(row, &target): (&mut [f32], &u32)| softmax_row(row, target as usize);
            values.par_chunks_mut(vocabulary).zip(&self.targets[rows]).map(observe).collect()
        })
    }

    /// With dz = g / T · (onehot − p): dhidden = dz W, dW += dzᵀ hidden; `values` are the rows' probabilities.
    fn backward(
        &self,
        values: &mut [f32],
        factors: Factors<'_>,
        grad: &[f32],
        rows: Range<usize>,
        (dhidden, dweight): (&mut [f32], Option<&mut [f32]>),
    ) {
        let Sizes { d, vocabulary } = self.sizes;
        timed(Part::Head, || {
            let (targets, grad) = (&self.targets[rows.clone()], &grad[rows.clone()]);
            values.par_chunks_mut(vocabulary).zip(targets.par_iter().zip(grad)).for_each(|(row, (&target, &grad))| {
                let factor = grad * self.inverse_temperature;
                scale(row, -factor);
                row[target as usize] += factor;
            });
            let (hidden, dhidden) =
                (&factors.hidden[rows.start * d..rows.end * d], &mut dhidden[rows.start * d..rows.end * d]);
            let dz = Matrix::new(values, rows.len(), vocabulary);
            let place = Output { values: dhidden, row_stride: d, accumulate: false };
            multiply(place, dz, Matrix::new(factors.weight, vocabulary, d), 1.0, Threads::All, self.precision);
            if let Some(dweight) = dweight {
                let place = Output { values: dweight, row_stride: d, accumulate: true };
                multiply(place, dz.t(), Matrix::new(hidden, rows.len(), d), 1.0, Threads::All, self.precision);
            }
        });
    }

    /// Lends the thread's buffer of logits.
    fn with_logits<R>(&self, body: impl FnOnce(&mut Buffer) -> R) -> R {
        let mut buffer = LOGITS.take();
        let result = body(&mut buffer);
        LOGITS.set(buffer);
        result
    }
}

struct LogProbs {
    head: Head,
    entropies: Arc<Mutex<Vec<f32>>>,
    /// Softmax of all rows, where they fit into one chunk: saves the backward pass one product.
    probabilities: Mutex<Option<Vec<f32>>>,
}

impl LogProbs {
    fn forward(&self, factors: Factors<'_>) -> Result<Vec<f32>> {
        let (head, vocabulary) = (&self.head, self.head.sizes.vocabulary);
        let observed = if head.at_once() {
            let mut values = vec![0.0; head.targets.len() * vocabulary];
            let observed = head.probabilities(&mut values, factors, 0..head.targets.len());
            *lock(&self.probabilities)? = Some(values);
            observed
        } else {
            head.with_logits(|buffer| {
                let of =
                    |rows: Range<usize>| head.probabilities(buffer.at_least(rows.len() * vocabulary), factors, rows);
                head.chunks().flat_map(of).collect()
            })
        };
        let (log_probs, entropies) = observed.into_iter().unzip();
        *lock(&self.entropies)? = entropies;
        Ok(log_probs)
    }

    /// Adds to `dweight`; chunks in order, each with its probabilities as kept or made again.
    fn backward(&self, factors: Factors<'_>, grad: &[f32], mut dweight: Option<&mut [f32]>) -> Result<Vec<f32>> {
        let (head, vocabulary) = (&self.head, self.head.sizes.vocabulary);
        let mut dhidden = vec![0.0; factors.hidden.len()];
        if let Some(mut kept) = lock(&self.probabilities)?.take() {
            head.backward(&mut kept, factors, grad, 0..head.targets.len(), (&mut dhidden, dweight));
            return Ok(dhidden);
        }
        head.with_logits(|buffer| {
            for rows in head.chunks() {
                let values = buffer.at_least(rows.len() * vocabulary);
                head.probabilities(values, factors, rows.clone());
                head.backward(values, factors, grad, rows, (&mut dhidden, dweight.as_deref_mut()));
            }
        });
        Ok(dhidden)
    }
}

impl CustomOp2 for LogProbs {
    fn name(&self) -> &'static str {
        "head_log_probs"
    }

    fn cpu_fwd(&self, h: &CpuStorage, lh: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let factors = Factors { hidden: contiguous(self.name(), h, lh)?, weight: contiguous(self.name(), w, lw)? };
        Ok((CpuStorage::F32(self.forward(factors)?), Shape::from(self.head.targets.len())))
    }

    fn bwd(&self, h: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let op = self.name();
        let (hidden, weight) = (Held::new(h), Held::new(w));
        let factors = Factors { hidden: hidden.values(op)?, weight: weight.values(op)? };
        let mut dhidden = Ok(Vec::new());
        let dweight = with_values(op, grad, |grad| match w.track_op() {
            true => weight_gradient(w, |dw| dhidden = self.backward(factors, grad, Some(dw))),
            false => {
                dhidden = self.backward(factors, grad, None);
                Ok(None)
            }
        })?;
        Ok((Some(tensor(dhidden?, h.shape())?), dweight))
    }
}

struct Loss {
    head: Head,
    factors: Vec<f32>,
    /// The weight, where it is trained.
    trained: Option<TensorId>,
    /// Whether there will be a way back.
    records: bool,
    made: Mutex<Option<Made>>,
}

/// The gradients that the forward pass made; none to the weight where the sink has it.
struct Made {
    dhidden: Vec<f32>,
    dweight: Option<Vec<f32>>,
}

impl Loss {
    fn forward(&self, factors: Factors<'_>) -> Result<f32> {
        let mut dhidden = vec![0.0; if self.records { factors.hidden.len() } else { 0 }];
        let (value, dweight) = sink::with(|sink| match self.trained {
            None => (self.chunks(factors, &mut dhidden, None), None),
            Some(weight) => match sink.and_then(|sink| sink.get(weight)) {
                Some(place) => (self.chunks(factors, &mut dhidden, Some(place)), None),
                None => {
                    let mut own = vec![0.0; factors.weight.len()];
                    (self.chunks(factors, &mut dhidden, Some(&mut own)), Some(own))
                }
            },
        });
        *lock(&self.made)? = self.records.then_some(Made { dhidden, dweight });
        Ok(value as f32)
    }

    fn chunks(&self, factors: Factors<'_>, dhidden: &mut [f32], mut dweight: Option<&mut [f32]>) -> f64 {
        let head = &self.head;
        head.with_logits(|buffer| {
            let mut sum = 0.0;
            for rows in head.chunks() {
                let values = buffer.at_least(rows.len() * head.sizes.vocabulary);
                let observed = head.probabilities(values, factors, rows.clone());
                let terms = observed.iter().zip(&self.factors[rows.clone()]);
                sum += terms.map(|((log_prob, _), factor)| f64::from(*log_prob) * f64::from(*factor)).sum::<f64>();
                if self.records {
                    head.backward(values, factors, &self.factors, rows, (dhidden, dweight.as_deref_mut()));
                }
            }
            sum
        })
    }
}

impl CustomOp2 for Loss {
    fn name(&self) -> &'static str {
        "head_loss"
    }

    fn cpu_fwd(&self, h: &CpuStorage, lh: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let factors = Factors { hidden: contiguous(self.name(), h, lh)?, weight: contiguous(self.name(), w, lw)? };
        Ok((CpuStorage::F32(vec![self.forward(factors)?]), Shape::from(())))
    }

    fn bwd(&self, h: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.to_scalar::<f32>()?;
        let Some(Made { mut dhidden, dweight }) = lock(&self.made)?.take() else {
            bail!("head_loss: a second backward pass over one forward pass")
        };
        if grad != 1.0 {
            if self.trained.is_some() && dweight.is_none() {
                bail!("head_loss: its gradient went out already and cannot be multiplied by {grad}");
            }
            scale(&mut dhidden, grad);
        }
        let dweight = dweight.map(|mut values| {
            scale(&mut values, grad);
            tensor(values, w.shape())
        });
        Ok((Some(tensor(dhidden, h.shape())?), dweight.transpose()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::{agree, difference, random};
    use crate::nn::{Gradients, Params};

    const F32: Precision = Precision::F32;

    fn targets(n: usize, vocabulary: usize) -> Vec<u32> {
        (0..n).map(|i| (i * 7 % vocabulary) as u32).collect()
    }

    /// The head of two inputs, some rows at a time.
    fn head(v: &[Tensor], targets: &[u32], temperature: f64, rows: usize) -> Head {
        Head { rows, ..Head::new(&v[0], &v[1], targets, temperature, F32).unwrap() }
    }

    #[test]
    fn value_gradients_and_entropy_equal_the_reference() {
        for (n, d, vocabulary) in [(1, 1, 2), (5, 7, 33), (40, 16, 101)] {
            let (inputs, targets) = ([random(&[n, d], 1), random(&[vocabulary, d], 2)], targets(n, vocabulary));
            for (temperature, rows) in [(1.0, 1000), (0.7, 1000), (1.0, 3), (0.7, 16)] {
                let fast = |v: &[Tensor]| log_probs_by(head(v, &targets, temperature, rows), &v[0], &v[1]);
                let slow = |v: &[Tensor]| reference(&v[0], &v[1], &targets, temperature);
                agree(&inputs, |v| Ok(fast(v)?.0), |v| Ok(slow(v)?.0));
                assert!(difference(&fast(&inputs).unwrap().1, &slow(&inputs).unwrap().1) < 1e-5);
            }
        }
    }

    #[test]
    fn the_loss_and_its_gradients_equal_the_reference() {
        let (n, d, vocabulary) = (40, 16, 101);
        let (inputs, targets) = ([random(&[n, d], 1), random(&[vocabulary, d], 2)], targets(n, vocabulary));
        let factors: Vec<f32> = (0..n).map(|at| at as f32 / 20.0 - 1.0).collect();
        for rows in [7, 1000] {
            agree(
                &inputs,
                |v| loss_by(head(v, &targets, 0.7, rows), &v[0], &v[1], &factors),
                |v| (reference(&v[0], &v[1], &targets, 0.7)?.0 * Tensor::new(&factors[..], v[0].device())?)?.sum_all(),
            );
        }
    }

    #[test]
    fn inside_a_backward_pass_the_weights_gradient_goes_straight_to_the_buffer() {
        let (mut params, targets, factors) = (Params::new(), targets(9, 20), [0.5; 9]);
        let hidden = params.add("hidden", &random(&[9, 4], 1)).unwrap();
        let weight = params.add("weight", &random(&[20, 4], 2)).unwrap();
        let loss = || head_loss(&hidden, &weight, &targets, &factors, 1.0, F32);
        let (mut inside, mut outside) = (Gradients::new(&params), Gradients::new(&params));
        inside.accumulate_from(&params, loss).unwrap();
        outside.accumulate(&params, &loss().unwrap()).unwrap();
        assert!(inside.iter().zip(outside.iter()).all(|(a, b)| a == b));
        let doubled = inside.accumulate_from(&params, || loss()? * 2.0).unwrap_err().to_string();
        assert!(doubled.contains("multiplied by 2"), "{doubled}");
    }

    #[test]
    fn a_target_outside_the_vocabulary_is_an_error() {
        assert!(head_log_probs(&random(&[1, 2], 1), &random(&[3, 2], 2), &[3], 1.0, F32).is_err());
        assert!(head_loss(&random(&[1, 2], 1), &random(&[3, 2], 2), &[2], &[], 1.0, F32).is_err());
    }
}
