//! Clipping a step's gradient by its global norm.

use crate::nn::gradients::Gradients;

/// Scales the gradients down to `max_norm` where their norm is larger; returns the norm before. 0 clips nothing.
///
/// The factor is max_norm / (norm + 10⁻⁶), as PyTorch's `clip_grad_norm_` has it. A norm that is not
/// finite is returned and nothing is scaled: the caller stops the run.
pub fn clip_to_norm(gradients: &mut Gradients, max_norm: f64) -> f64 {
    let norm = gradients.norm();
    if norm.is_finite() && max_norm > 0.0 && norm > max_norm {
        gradients.scale((max_norm / (norm + 1e-6)) as f32);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Params;
    use candle_core::{Device, Tensor};

    #[test]
    fn long_gradients_shrink_and_short_ones_stay() {
        let mut params = Params::new();
        let a = params.add("a", &Tensor::new(&[3.0f32, 4.0], &Device::Cpu).unwrap()).unwrap();
        let mut gradients = Gradients::new(&params);
        gradients.accumulate(&params, &(a.sqr().unwrap().sum_all().unwrap() / 2.0).unwrap()).unwrap();
        assert_eq!(clip_to_norm(&mut gradients, 10.0), 5.0);
        assert_eq!(clip_to_norm(&mut gradients, 0.0), 5.0);
        assert_eq!(gradients.get("a").unwrap(), [3.0, 4.0]);
        assert_eq!(clip_to_norm(&mut gradients, 1.0), 5.0);
        assert!((gradients.norm() - 1.0).abs() < 1e-5);
    }
}
