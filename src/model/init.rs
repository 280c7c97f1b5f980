//! Random weights for a configuration.

use crate::base::seed::Seed;
use crate::model::{ModelConfig, ModelError, Weights, expected_weights};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// Weights as a fresh model has them: matrices normal with `deviation` (transformers' `initializer_range`), norms 1,
/// biases 0. Each tensor has a stream of its own.
///
/// # Errors
/// [`ModelError::Config`] where the configuration is not supported.
pub fn random_weights(config: &ModelConfig, deviation: f64, seed: Seed) -> Result<Weights, ModelError> {
    config.check()?;
    let fill = |(name, shape): (String, Vec<usize>)| {
        let count = shape.iter().product();
        let values = match name.as_str() {
            bias if bias.ends_with(".bias") => vec![0.0; count],
            norm if norm.ends_with("norm.weight") => vec![1.0; count],
            _ => normal(&seed.child(&name, 0), count, deviation),
        };
        Ok((name, Tensor::from_vec(values, shape, &Device::Cpu)?))
    };
    expected_weights(config)?.into_par_iter().map(fill).collect()
}

fn normal(seed: &Seed, count: usize, deviation: f64) -> Vec<f32> {
    let mut stream = seed.stream();
    (0..count).map(|_| (stream.normal() * deviation) as f32).collect()
}
