//! An affine map with its weights: one forward, whichever way the product is made.

use crate::nn::ops::{self, PackedWeight};
use candle_core::{Result, Tensor};

/// y = x Wᵀ + b.
#[derive(Clone, Debug)]
pub struct Linear {
    /// W, [out, in].
    pub weight: Tensor,
    /// b, [out].
    pub bias: Option<Tensor>,
    /// W laid out for generation; where it is present, no gradient is recorded.
    packed: Option<PackedWeight>,
}

impl Linear {
    /// A map with those weights.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Linear { weight, bias, packed: None }
    }

    /// `x` [n, in] to [n, out].
    ///
    /// # Errors
    /// Where the shapes do not agree.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.packed {
            Some(packed) => packed.forward(x, self.bias.as_ref()),
            None => ops::linear(x, &self.weight, self.bias.as_ref()),
        }
    }

    /// Whether it is laid out for generation.
    pub fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// The same map over the same storage, recording no gradient.
    pub fn detached(&self) -> Self {
        Linear::new(self.weight.detach(), self.bias.as_ref().map(Tensor::detach))
    }

    /// A copy of the present weights, laid out for products with few rows; elsewhere than on the CPU, a detached view.
    ///
    /// # Errors
    /// Where the weight is not an f32 matrix.
    pub fn packed(&self) -> Result<Self> {
        let packed = match self.weight.device().is_cpu() {
            true => Some(PackedWeight::new(&self.weight)?),
            false => None,
        };
        Ok(Linear { packed, ..self.detached() })
    }
}
