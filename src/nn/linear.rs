//! An affine map with its weights: one forward, whichever way the product is made.

use crate::nn::ops::{self, Adaptation, Dropout, PackedWeight, Precision};
use candle_core::{Result, Tensor};
use std::sync::Arc;

/// y = x Wᵀ + b, and s · drop(x) Aᵀ Bᵀ beside it where the map has an adapter.
#[derive(Clone, Debug)]
pub struct Linear {
    /// W, [out, in].
    pub weight: Tensor,
    /// b, [out].
    pub bias: Option<Tensor>,
    /// What is trained while W and b stay.
    pub lora: Option<Lora>,
    /// W, with the adapter folded in, laid out for generation; where it is present, no gradient is recorded.
    packed: Option<PackedWeight>,
    /// Number format of the products in training.
    precision: Precision,
}

/// A low-rank adapter of one map.
#[derive(Clone, Debug)]
pub struct Lora {
    /// A, [rank, in].
    pub a: Tensor,
    /// B, [out, rank].
    pub b: Tensor,
    /// The factor before B·A.
    pub scale: f64,
    /// Share of the inputs that is zeroed in training.
    pub dropout: f64,
    /// Tells this map's dropout from that of others.
    pub map: u64,
}

/// A random number for each row of a forward pass; none where nothing is dropped.
pub type Noise = Option<Arc<Vec<u64>>>;

impl Linear {
    /// A map with those weights.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Linear { weight, bias, lora: None, packed: None, precision: Precision::F32 }
    }

    /// `x` [n, in] to [n, out]; `noise` has a number for each of the n rows, where dropout is on.
    ///
    /// # Errors
    /// Where the shapes do not agree.
    pub fn forward(&self, x: &Tensor, noise: &Noise) -> Result<Tensor> {
        match (&self.packed, &self.lora) {
            (Some(packed), _) => packed.forward(x, self.bias.as_ref()),
            (None, Some(lora)) => {
                let (pair, how) = ((&lora.a, &lora.b), lora.adaptation(noise));
                ops::lora_linear(x, &self.weight, self.bias.as_ref(), pair, &how)
            }
            (None, None) => ops::linear(x, &self.weight, self.bias.as_ref(), self.precision),
        }
    }

    /// Whether it is laid out for generation.
    pub fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// The same map with products in that format.
    pub fn in_precision(self, precision: Precision) -> Self {
        Linear { precision, ..self }
    }

    /// The same map over the same storage, recording no gradient.
    pub fn detached(&self) -> Self {
        let detached = |lora: &Lora| Lora { a: lora.a.detach(), b: lora.b.detach(), ..lora.clone() };
        let lora = self.lora.as_ref().map(detached);
        let (weight, bias) = (self.weight.detach(), self.bias.as_ref().map(Tensor::detach));
        Linear { weight, bias, lora, packed: None, precision: self.precision }
    }

    /// A copy of the present weights, the adapter folded in, laid out for products with few rows; elsewhere than on the
    /// CPU, the folded weight or a detached view.
    ///
    /// # Errors
    /// Where the weight is not an f32 matrix, or adapter and weight do not agree.
    pub fn packed(&self) -> Result<Self> {
        let folded = match &self.lora {
            Some(lora) => ops::fold_adapter(&self.weight, (&lora.a, &lora.b), lora.scale)?,
            None => self.weight.detach(),
        };
        let packed = match folded.device().is_cpu() {
            true => Some(PackedWeight::new(&folded)?),
            false => None,
        };
        // Where there is a packed copy, the folded weight itself need not stay.
        let weight = if packed.is_some() { self.weight.detach() } else { folded };
        Ok(Linear { packed, ..Linear::new(weight, self.bias.as_ref().map(Tensor::detach)) })
    }
}

impl Lora {
    fn adaptation(&self, noise: &Noise) -> Adaptation {
        let rows = noise.as_ref().filter(|_| self.dropout > 0.0);
        let dropout = rows.map(|rows| Dropout { rate: self.dropout, map: self.map, rows: rows.clone() });
        Adaptation { scale: self.scale, dropout }
    }
}
