//! The learning rate of each step.

/// How the rate falls after warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Not at all.
    Constant,
    /// In a straight line.
    Linear,
    /// Along half a cosine.
    Cosine,
    /// Constant, then in a straight line over the last share of all steps (warm-up, stable, decay).
    Wsd {
        /// The share of all steps that decays, 0 to 1.
        decay: f64,
    },
}

/// Learning rate by step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// How the rate falls.
    pub shape: Shape,
    /// The highest rate.
    pub peak: f64,
    /// The share of all steps over which the rate rises to its peak, 0 to 1.
    pub warmup: f64,
    /// The rate at the end, as a share of the peak.
    pub min_lr_ratio: f64,
    /// Steps in all.
    pub total: u64,
}

impl Schedule {
    /// The rate of step `step`, counted from 0.
    ///
    /// In warm-up over w steps, step s has (s + 1) / w of the peak: no step is wasted on a rate of zero.
    pub fn at(&self, step: u64) -> f64 {
        // Rounding must not add a step: 7 % of 100 steps are 7, not 7.000000000000001.
        let warmup = (self.warmup * self.total as f64 - 1e-9).ceil();
        let step = step as f64;
        if step < warmup {
            return self.peak * (step + 1.0) / warmup;
        }
        let start = match self.shape {
            Shape::Wsd { decay } => (self.total as f64 * (1.0 - decay)).max(warmup),
            _ => warmup,
        };
        let progress = ((step - start) / (self.total as f64 - start).max(1.0)).clamp(0.0, 1.0);
        let height = match self.shape {
            Shape::Constant => 1.0,
            Shape::Linear | Shape::Wsd { .. } => 1.0 - progress,
            Shape::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        self.peak * (self.min_lr_ratio + (1.0 - self.min_lr_ratio) * height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(shape: Shape, step: u64) -> f64 {
        Schedule { shape, peak: 2.0, warmup: 0.1, min_lr_ratio: 0.1, total: 100 }.at(step)
    }

    #[test]
    fn all_rise_to_the_peak_and_fall_towards_the_floor() {
        let wsd = Shape::Wsd { decay: 0.2 };
        for shape in [Shape::Constant, Shape::Linear, Shape::Cosine, wsd] {
            assert!((at(shape, 0) - 0.2).abs() < 1e-12);
            assert!((at(shape, 9) - 2.0).abs() < 1e-12);
            assert!((at(shape, 10) - 2.0).abs() < 1e-12);
        }
        assert_eq!(at(Shape::Constant, 99), 2.0);
        assert!((at(Shape::Linear, 55) - 1.1).abs() < 1e-12);
        assert!((at(Shape::Cosine, 55) - 1.1).abs() < 1e-12);
        assert_eq!(at(wsd, 80), 2.0);
        assert!((at(wsd, 90) - 1.1).abs() < 1e-12);
        assert!((at(Shape::Linear, 1_000) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn without_warmup_the_first_step_has_the_peak() {
        let schedule = Schedule { shape: Shape::Linear, peak: 1.0, warmup: 0.0, min_lr_ratio: 0.0, total: 4 };
        assert_eq!([0, 1, 2, 3].map(|step| schedule.at(step)), [1.0, 0.75, 0.5, 0.25]);
    }

    #[test]
    fn the_edges_have_rates_too() {
        let at = |warmup: f64, total: u64, step: u64| {
            Schedule { shape: Shape::Cosine, peak: 1.0, warmup, min_lr_ratio: 0.0, total }.at(step)
        };
        assert_eq!((at(0.0, 1, 0), at(0.03, 1, 0), at(1.0, 1, 0)), (1.0, 1.0, 1.0));
        assert_eq!((at(1.0, 4, 0), at(1.0, 4, 3)), (0.25, 1.0));
        assert_eq!(at(7.0 / 100.0, 100, 6), 1.0, "seven steps of warm-up, not eight");
    }
}
