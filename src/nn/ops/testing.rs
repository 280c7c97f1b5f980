//! The gradient check every op passes: equal to its reference, and to finite differences.

use crate::base::seed::Seed;
use candle_core::{Device, Result, Tensor, Var};

/// A tensor of standard normal numbers.
pub(crate) fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut stream = Seed::new(seed).stream();
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|_| stream.normal() as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest difference, relative to the larger of 1 and the largest value.
pub(crate) fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.shape(), b.shape());
    let (a, b) = (values(a), values(b));
    let scale = b.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    a.iter().zip(&b).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / scale
}

type Op<'a> = &'a dyn Fn(&[Tensor]) -> Result<Tensor>;

/// Σ y · c with fixed random c: a scalar whose gradient visits every output differently.
fn weighted(y: &Tensor) -> Tensor {
    (y * random(y.dims(), 99)).unwrap().sum_all().unwrap()
}

fn gradients(inputs: &[Tensor], op: Op<'_>) -> (Tensor, Vec<Option<Tensor>>) {
    let variables: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let tensors: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
    let y = op(&tensors).unwrap();
    let store = weighted(&y).backward().unwrap();
    (y.detach(), tensors.iter().map(|tensor| store.get(tensor).cloned()).collect())
}

/// Checks value and every gradient of `fast` against `reference`, and some by central differences.
pub(crate) fn agree(
    inputs: &[Tensor],
    fast: impl Fn(&[Tensor]) -> Result<Tensor>,
    reference: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let (y, ours) = gradients(inputs, &fast);
    let (expected, theirs) = gradients(inputs, &reference);
    assert!(difference(&y, &expected) < 2e-5, "values differ by {}", difference(&y, &expected));
    for (i, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                let difference = difference(ours, theirs);
                assert!(difference < 5e-5, "gradients to input {i} differ by {difference}");
                finite_differences(inputs, i, ours, &fast);
            }
            (None, None) => {}
            _ => panic!("input {i}: a gradient only on one side"),
        }
    }
}

fn finite_differences(inputs: &[Tensor], which: usize, gradient: &Tensor, op: Op<'_>) {
    let base = values(&inputs[which]);
    let gradient = values(gradient);
    for at in [0, base.len() / 2, base.len() - 1] {
        let moved = |step: f32| {
            let mut moved = base.clone();
            moved[at] += step;
            let mut inputs = inputs.to_vec();
            inputs[which] = Tensor::from_vec(moved, inputs[which].shape(), &Device::Cpu).unwrap();
            let y = op(&inputs).unwrap();
            let weights = values(&random(y.dims(), 99));
            values(&y).iter().zip(weights).map(|(y, w)| f64::from(*y) * f64::from(w)).sum::<f64>()
        };
        let estimate = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        let scale = gradient.iter().fold(1.0f32, |most, g| most.max(g.abs()));
        let error = (estimate - f64::from(gradient[at])).abs() / f64::from(scale);
        assert!(error < 1e-2, "input {which}[{at}]: {} by formula, {estimate} by difference", gradient[at]);
    }
}
