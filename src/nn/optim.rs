//! AdamW with decoupled weight decay (Loshchilov and Hutter, 2019), in place, moments in f32.

use crate::nn::gradients::Gradients;
use crate::nn::ops::buffer::Buffer;
use crate::nn::ops::vector::{self, AdamWStep};
use crate::nn::params::Params;
use candle_core::{Device, Result, Tensor, bail};

/// The optimiser's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay, applied to matrices only: never to norms and biases.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// The optimiser's state: both moments of every parameter, and the steps taken.
#[derive(Clone, Debug)]
pub struct AdamW {
    config: AdamWConfig,
    moments: Vec<Moments>,
    steps: u64,
}

#[derive(Clone, Debug)]
struct Moments {
    name: String,
    first: Buffer,
    second: Buffer,
}

impl AdamW {
    /// No steps yet.
    pub fn new(params: &Params, config: AdamWConfig) -> Self {
        let moments = params.iter().map(|(name, variable)| {
            let [first, second] = [0, 1].map(|_| Buffer::zeros(variable.elem_count()));
            Moments { name: name.to_string(), first, second }
        });
        AdamW { config, moments: moments.collect(), steps: 0 }
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Moves every parameter by one step at that learning rate:
    /// w ← w (1 − lr λ) − lr m̂ / (√v̂ + ε), with m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ).
    ///
    /// # Errors
    /// Where the parameters are not those the state was made for.
    pub fn step(&mut self, params: &Params, gradients: &Gradients, learning_rate: f64) -> Result<()> {
        self.steps += 1;
        if params.len() != self.moments.len() {
            bail!("adamw: {} parameters, but moments of {}", params.len(), self.moments.len());
        }
        for (((_, variable), (_, gradient)), moments) in params.iter().zip(gradients.iter()).zip(&mut self.moments) {
            let decay = if variable.rank() >= 2 { self.config.weight_decay } else { 0.0 };
            let step = numbers(&self.config, self.steps, learning_rate, decay);
            vector::adamw(variable.as_tensor(), gradient, &mut moments.first, &mut moments.second, step)?;
        }
        Ok(())
    }

    /// The state as tensors, `<name>.first` and `<name>.second`, beside [`AdamW::steps`].
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let pair = |moments: &Moments| {
            [(".first", &moments.first), (".second", &moments.second)].map(|(suffix, values)| {
                let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu)?;
                Ok((format!("{}{suffix}", moments.name), tensor))
            })
        };
        self.moments.iter().flat_map(pair).collect()
    }

    /// Takes a state back.
    ///
    /// # Errors
    /// Where a moment is missing or has another size.
    pub fn restore(&mut self, steps: u64, find: impl Fn(&str) -> Option<Tensor>) -> Result<()> {
        for Moments { name, first, second } in &mut self.moments {
            for (suffix, values) in [(".first", first), (".second", second)] {
                let name = format!("{name}{suffix}");
                let Some(tensor) = find(&name) else { bail!("the optimiser's state has no {name}") };
                let loaded: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
                if loaded.len() != values.len() {
                    bail!("the optimiser's {name} has {} values, not {}", loaded.len(), values.len());
                }
                values.copy_from_slice(&loaded);
            }
        }
        self.steps = steps;
        Ok(())
    }
}

fn numbers(config: &AdamWConfig, step: u64, learning_rate: f64, decay: f64) -> AdamWStep {
    let correction = |beta: f64| 1.0 - beta.powf(step as f64);
    AdamWStep {
        beta1: config.beta1 as f32,
        beta2: config.beta2 as f32,
        epsilon: config.epsilon as f32,
        keep: (1.0 - learning_rate * decay) as f32,
        rate: (learning_rate / correction(config.beta1)) as f32,
        second_correction: (1.0 / correction(config.beta2).sqrt()) as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> (Params, Tensor, Tensor) {
        let mut params = Params::new();
        let matrix = params.add("matrix", &Tensor::new(&[[1.0f32, -2.0]], &Device::Cpu).unwrap()).unwrap();
        let norm = params.add("norm", &Tensor::new(&[1.0f32], &Device::Cpu).unwrap()).unwrap();
        (params, matrix, norm)
    }

    fn step(params: &Params, optimiser: &mut AdamW, matrix: &Tensor, norm: &Tensor) {
        let mut gradients = Gradients::new(params);
        let loss = (matrix.sqr().unwrap().sum_all().unwrap() + norm.sqr().unwrap().sum_all().unwrap()).unwrap();
        gradients.accumulate(params, &loss).unwrap();
        optimiser.step(params, &gradients, 0.1).unwrap();
    }

    #[test]
    fn the_first_step_is_the_learning_rate_and_only_matrices_decay() {
        let (params, matrix, norm) = problem();
        let mut optimiser = AdamW::new(&params, AdamWConfig { weight_decay: 0.5, ..AdamWConfig::default() });
        step(&params, &mut optimiser, &matrix, &norm);
        let values: Vec<f32> = matrix.flatten_all().unwrap().to_vec1().unwrap();
        assert!((values[0] - (0.95 - 0.1)).abs() < 1e-6 && (values[1] - (-1.9 + 0.1)).abs() < 1e-6, "{values:?}");
        assert!((norm.to_vec1::<f32>().unwrap()[0] - 0.9).abs() < 1e-6);
    }

    #[test]
    fn a_restored_state_continues_to_the_bit() {
        let (params, matrix, norm) = problem();
        let mut straight = AdamW::new(&params, AdamWConfig::default());
        step(&params, &mut straight, &matrix, &norm);
        let (weights, state): (Vec<_>, Vec<_>) = (params.tensors(), straight.state().unwrap());
        let weights: Vec<(String, Tensor)> = weights.iter().map(|(n, t)| (n.clone(), t.copy().unwrap())).collect();
        step(&params, &mut straight, &matrix, &norm);
        let expected: Vec<f32> = matrix.flatten_all().unwrap().to_vec1().unwrap();

        let find = |list: &[(String, Tensor)], name: &str| list.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone());
        params.load(|name| find(&weights, name)).unwrap();
        let mut resumed = AdamW::new(&params, AdamWConfig::default());
        resumed.restore(1, |name| find(&state, name)).unwrap();
        step(&params, &mut resumed, &matrix, &norm);
        assert_eq!(matrix.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected);
        assert!(resumed.restore(1, |_| None).is_err());
    }
}
