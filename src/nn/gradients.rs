//! The gradient of one optimiser step: micro-batches added in order into one flat buffer.

use crate::nn::ops::buffer::Buffer;
use crate::nn::ops::sink::{self, Places};
use crate::nn::ops::vector;
use crate::nn::params::Params;
use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// One f32 a parameter, in the order of [`Params`].
#[derive(Clone, Debug)]
pub struct Gradients {
    names: Vec<String>,
    ranges: Vec<Range<usize>>,
    /// The ranges by the variables' ids, for ops that add their gradients themselves.
    places: Places,
    values: Buffer,
}

impl Gradients {
    /// Zeros for those parameters.
    pub fn new(params: &Params) -> Self {
        let mut end = 0;
        let ranges = params.iter().map(|(_, variable)| {
            let start = end;
            end += variable.elem_count();
            start..end
        });
        let ranges: Vec<_> = ranges.collect();
        let names = params.iter().map(|(name, _)| name.to_string()).collect();
        let ids = params.iter().map(|(_, variable)| variable.as_tensor().id());
        let places = Arc::new(ids.zip(ranges.iter().cloned()).collect());
        Gradients { names, ranges, places, values: Buffer::zeros(end) }
    }

    /// Back to zero, keeping the memory.
    pub fn reset(&mut self) {
        vector::fill(&mut self.values, 0.0);
    }

    /// Runs the backward pass of a scalar `loss` and adds its gradient.
    ///
    /// # Errors
    /// Where an op on the way has no backward pass.
    pub fn accumulate(&mut self, params: &Params, loss: &Tensor) -> Result<()> {
        self.accumulate_from(params, || Ok(loss.clone())).map(|_| ())
    }

    /// Makes a scalar loss, runs its backward pass, adds its gradient, and returns the loss.
    ///
    /// Ops find these gradients from the start: one that knows its gradient already adds it on the way there.
    ///
    /// # Errors
    /// What `loss` says, and where an op on the way has no backward pass.
    pub fn accumulate_from(&mut self, params: &Params, loss: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        let both = || loss().and_then(|loss| loss.backward().map(|store| (loss, store)));
        let (result, values) = sink::during(&self.places, std::mem::take(&mut self.values), both);
        self.values = values;
        let (loss, store) = result?;
        self.add(params, &store)?;
        Ok(loss)
    }

    /// Adds what a backward pass has left; a parameter that got nothing counts as zero.
    ///
    /// # Errors
    /// Where a gradient is not f32.
    pub fn add(&mut self, params: &Params, store: &GradStore) -> Result<()> {
        for ((_, variable), range) in params.iter().zip(&self.ranges) {
            if let Some(gradient) = store.get(variable) {
                vector::add_tensor(&mut self.values[range.clone()], gradient)?;
            }
        }
        Ok(())
    }

    /// Name and gradient, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.names.iter().zip(&self.ranges).map(|(name, range)| (name.as_str(), &self.values[range.clone()]))
    }

    /// The gradient of one parameter.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.iter().find(|(known, _)| *known == name).map(|(_, values)| values)
    }

    /// The Euclidean norm over all parameters, summed in f64 in a fixed order.
    pub fn norm(&self) -> f64 {
        vector::square_sum(&self.values).sqrt()
    }

    /// Multiplies everything.
    pub fn scale(&mut self, factor: f32) {
        vector::scale(&mut self.values, factor);
    }

    /// Checks that every parameter received a finite gradient that is not all zero.
    ///
    /// # Errors
    /// The names of those that did not, and why.
    pub fn check_all_received(&self) -> std::result::Result<(), MissingGradients> {
        let (mut zero, mut not_finite) = (Vec::new(), Vec::new());
        for (name, values) in self.iter() {
            if values.iter().any(|value| !value.is_finite()) {
                not_finite.push(name.to_string());
            } else if values.iter().all(|&value| value == 0.0) {
                zero.push(name.to_string());
            }
        }
        match zero.is_empty() && not_finite.is_empty() {
            true => Ok(()),
            false => Err(MissingGradients { zero, not_finite }),
        }
    }
}

/// Parameters that a step did not reach as it should.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("parameters without a usable gradient: all zero {zero:?}, not finite {not_finite:?}")]
pub struct MissingGradients {
    /// Those whose gradient is zero everywhere.
    pub zero: Vec<String>,
    /// Those with an infinite or undefined entry.
    pub not_finite: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn two() -> (Params, Tensor, Tensor) {
        let mut params = Params::new();
        let a = params.add("a", &Tensor::new(&[1.0f32, 2.0], &Device::Cpu).unwrap()).unwrap();
        let b = params.add("b", &Tensor::new(&[3.0f32], &Device::Cpu).unwrap()).unwrap();
        (params, a, b)
    }

    #[test]
    fn passes_add_up_and_the_unreached_is_named() {
        let (params, a, _) = two();
        let mut gradients = Gradients::new(&params);
        for _ in 0..2 {
            gradients.accumulate(&params, &a.sqr().unwrap().sum_all().unwrap()).unwrap();
        }
        assert_eq!(gradients.get("a").unwrap(), [4.0, 8.0]);
        assert_eq!(gradients.norm(), 80.0f64.sqrt());
        assert_eq!(gradients.check_all_received().unwrap_err().zero, ["b"]);
        gradients.reset();
        assert_eq!(gradients.norm(), 0.0);
    }

    #[test]
    fn what_is_not_finite_is_named() {
        let (params, a, b) = two();
        let mut gradients = Gradients::new(&params);
        let loss = (a.sum_all().unwrap() + (b.sum_all().unwrap() - 3.0).unwrap().sqrt().unwrap()).unwrap();
        gradients.accumulate(&params, &loss).unwrap();
        assert_eq!(gradients.check_all_received().unwrap_err().not_finite, ["b"]);
    }
}
