//! Low-rank adapters of a decoder's maps: which maps have one, how it starts, and what it drops in training.

use crate::base::seed::Seed;
use crate::model::{ModelConfig, expected_weights};
use crate::nn::ops::mix;
use crate::nn::{Lora, Params};
use candle_core::{Device, Result, Tensor};

/// PEFT's name of A behind that of its map.
pub const LORA_A: &str = ".lora_A.weight";
/// PEFT's name of B behind that of its map.
pub const LORA_B: &str = ".lora_B.weight";

/// What adapters to train.
#[derive(Clone, Debug)]
pub struct LoraConfig {
    /// Rows of A and columns of B.
    pub rank: usize,
    /// The factor before B·A is `alpha` / `rank`.
    pub alpha: f64,
    /// Share of the adapter's inputs that is zeroed in training, 0 to below 1.
    pub dropout: f64,
    /// The maps that have one, by the last part of their names, such as `q_proj`.
    pub targets: Vec<String>,
    /// Root of A's first values and of what is dropped.
    pub seed: Seed,
}

impl LoraConfig {
    /// The factor before B·A.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// Numbers in all adapters of a model of that shape.
    pub fn parameters(&self, config: &ModelConfig) -> usize {
        let adapted = |name: &str| self.targets.iter().any(|target| name.ends_with(&format!(".{target}.weight")));
        let weights = expected_weights(config).unwrap_or_default();
        weights.iter().filter(|(name, _)| adapted(name)).map(|(_, shape)| self.rank * shape.iter().sum::<usize>()).sum()
    }

    /// A fresh adapter for the map of that full name, its matrices added to `params`; none where it is no target.
    ///
    /// As PEFT: A is uniform within ±1/√in (Kaiming's bound at a = √5), B is zero.
    pub(super) fn adapter(&self, name: &str, map: u64, weight: &Tensor, params: &mut Params) -> Result<Option<Lora>> {
        let module = name.rsplit('.').next().unwrap_or(name);
        if !self.targets.iter().any(|target| target == module) {
            return Ok(None);
        }
        let (outputs, inputs) = weight.dims2()?;
        let bound = 1.0 / (inputs as f64).sqrt();
        let mut stream = self.seed.child("lora_A", 0).child(name, 0).stream();
        let values: Vec<f32> =
            (0..self.rank * inputs).map(|_| ((2.0 * stream.uniform() - 1.0) * bound) as f32).collect();
        let a = Tensor::from_vec(values, (self.rank, inputs), &Device::Cpu)?.to_device(weight.device())?;
        let b = Tensor::zeros((outputs, self.rank), weight.dtype(), weight.device())?;
        let a = params.add(format!("{name}{LORA_A}"), &a)?;
        let b = params.add(format!("{name}{LORA_B}"), &b)?;
        Ok(Some(Lora { a, b, scale: self.scale(), dropout: self.dropout, map }))
    }

    /// What the adapters drop; nothing where the share is 0.
    pub(super) fn dropout(&self) -> Option<Dropout> {
        (self.dropout > 0.0).then(|| Dropout { seed: self.seed.child("dropout", 0), step: 0 })
    }
}

/// Whether a parameter's gradient is zero because its partner still is: A's passes through B, which starts at zero.
pub fn waits_for_its_partner(params: &Params, name: &str) -> bool {
    let partner = name.strip_suffix(LORA_A).and_then(|map| params.get(&format!("{map}{LORA_B}")));
    partner
        .is_some_and(|b| b.as_detached_tensor().abs().and_then(|b| b.sum_all()?.to_scalar::<f32>()).ok() == Some(0.0))
}

/// Whether these are the parameters of adapters.
pub fn are_adapters(params: &Params) -> bool {
    params.iter().any(|(name, _)| name.ends_with(LORA_A))
}

/// Where the noise of an optimiser step comes from.
///
/// A token's depends on the step, its position and the tokens up to it, and on nothing else: so what is dropped does not
/// change with the micro-batch, packing, the order in the batch or a resumed training. Equal samples of one batch drop
/// the same.
#[derive(Clone, Debug)]
pub(super) struct Dropout {
    seed: Seed,
    pub(super) step: u64,
}

impl Dropout {
    /// A random number for each of `ids`, whose samples start at `segments`.
    pub(super) fn noise(&self, ids: &[u32], segments: &[usize]) -> Vec<u64> {
        let mut stream = self.seed.child("step", self.step).stream();
        let start = stream.below(u64::MAX);
        let sample = |pair: &[usize]| {
            ids[pair[0]..pair[1]].iter().scan(start, |state, &id| {
                *state = mix(*state ^ u64::from(id)).wrapping_add(1);
                Some(*state)
            })
        };
        segments.windows(2).flat_map(sample).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_depends_on_step_and_sample_and_not_on_neighbours() {
        let dropout = |step| Dropout { seed: Seed::new(1), step };
        let packed = dropout(3).noise(&[5, 6, 7, 5, 6], &[0, 3, 5]);
        assert_eq!(packed[..3], dropout(3).noise(&[5, 6, 7], &[0, 3]));
        assert_eq!(packed[3..], packed[..2]);
        assert_ne!(packed[..3], dropout(4).noise(&[5, 6, 7], &[0, 3]));
        assert_ne!(packed[0], packed[1]);
    }
}
