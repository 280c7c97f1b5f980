//! Random weights for a configuration.

use crate::base::seed::Seed;
use crate::model::{ModelConfig, ModelError, Weights, expected_weights};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// Standard deviation of every matrix, as transformers' `initializer_range` has it.
const DEVIATION: f64 = 0.02;

/// Weights as a fresh model has them: matrices normal with deviation 0.02, those that write to the residual
/// stream divided by √(2 · layers) (GPT-2), norms 1, biases 0. Each tensor has a stream of its own.
///
/// # Errors
/// [`ModelError::Config`] where the configuration is not supported.
pub fn random_weights(config: &ModelConfig, seed: Seed) -> Result<Weights, ModelError> {
    config.check()?;
    let residual = DEVIATION / (2.0 * config.num_hidden_layers as f64).sqrt();
    let fill = |(name, shape): (String, Vec<usize>)| {
        let count = shape.iter().product();
        let values = match name.as_str() {
            bias if bias.ends_with(".bias") => vec![0.0; count],
            norm if norm.ends_with("norm.weight") => vec![1.0; count],
            map if map.ends_with("o_proj.weight") || map.ends_with("down_proj.weight") => {
                normal(&seed.child(&name, 0), count, residual)
            }
            _ => normal(&seed.child(&name, 0), count, DEVIATION),
        };
        Ok((name, Tensor::from_vec(values, shape, &Device::Cpu)?))
    };
    expected_weights(config)?.into_par_iter().map(fill).collect()
}

fn normal(seed: &Seed, count: usize, deviation: f64) -> Vec<f32> {
    let mut stream = seed.stream();
    (0..count).map(|_| (stream.normal() * deviation) as f32).collect()
}
