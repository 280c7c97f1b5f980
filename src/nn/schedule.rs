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

/// How long the rate rises to its peak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// A share of all steps, 0 to 1.
    Share(f64),
    /// A number of steps.
    Steps(u64),
}

/// Learning rate by step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// How the rate falls.
    pub shape: Shape,
    /// The highest rate.
    pub peak: f64,
    /// The steps in which the rate rises to its peak.
    pub warmup: Warmup,
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
        let (warmup, start) = (self.warmup_steps(), self.start());
        let step = step as f64;
        if step < warmup {
            return self.peak * (step + 1.0) / warmup;
        }
        let progress = ((step - start) / (self.total as f64 - start).max(1.0)).clamp(0.0, 1.0);
        let height = match self.shape {
            Shape::Constant => 1.0,
            Shape::Linear | Shape::Wsd { .. } => 1.0 - progress,
            Shape::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        self.peak * (self.min_lr_ratio + (1.0 - self.min_lr_ratio) * height)
    }

    /// How many first steps have a rate that does not depend on how many follow: all of them under [`Shape::Constant`],
    /// those up to the decay under [`Shape::Wsd`]. None where every rate depends on it, be it by a warm-up that is a
    /// share of all steps. Within them [`Shape::Wsd`] is [`Shape::Constant`], to the bit.
    pub fn open_steps(&self) -> Option<u64> {
        if matches!(self.warmup, Warmup::Share(share) if share > 0.0) {
            return None;
        }
        match self.shape {
            Shape::Constant => Some(self.total),
            // The step at which the decay starts still has the peak.
            Shape::Wsd { .. } => Some((self.start().floor() as u64 + 1).min(self.total)),
            Shape::Linear | Shape::Cosine => None,
        }
    }

    fn warmup_steps(&self) -> f64 {
        match self.warmup {
            // Rounding must not add a step: 7 % of 100 steps are 7, not 7.000000000000001.
            Warmup::Share(share) => (share * self.total as f64 - 1e-9).ceil(),
            Warmup::Steps(steps) => steps as f64,
        }
    }

    /// The step at which the rate begins to fall.
    fn start(&self) -> f64 {
        let warmup = self.warmup_steps();
        match self.shape {
            Shape::Wsd { decay } => (self.total as f64 * (1.0 - decay)).max(warmup),
            _ => warmup,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(shape: Shape, step: u64) -> f64 {
        Schedule { shape, peak: 2.0, warmup: Warmup::Share(0.1), min_lr_ratio: 0.1, total: 100 }.at(step)
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
        let schedule =
            Schedule { shape: Shape::Linear, peak: 1.0, warmup: Warmup::Share(0.0), min_lr_ratio: 0.0, total: 4 };
        assert_eq!([0, 1, 2, 3].map(|step| schedule.at(step)), [1.0, 0.75, 0.5, 0.25]);
    }

    #[test]
    fn the_edges_have_rates_too() {
        let at = |warmup: f64, total: u64, step: u64| {
            Schedule { shape: Shape::Cosine, peak: 1.0, warmup: Warmup::Share(warmup), min_lr_ratio: 0.0, total }
                .at(step)
        };
        assert_eq!((at(0.0, 1, 0), at(0.03, 1, 0), at(1.0, 1, 0)), (1.0, 1.0, 1.0));
        assert_eq!((at(1.0, 4, 0), at(1.0, 4, 3)), (0.25, 1.0));
        assert_eq!(at(7.0 / 100.0, 100, 6), 1.0, "seven steps of warm-up, not eight");
    }
    #[test]
    fn a_warm_up_in_steps_is_as_long_whatever_follows() {
        let at = |total: u64, step: u64| {
            let warmup = Warmup::Steps(4);
            Schedule { shape: Shape::Constant, peak: 1.0, warmup, min_lr_ratio: 0.1, total }.at(step)
        };
        assert_eq!([0, 1, 2, 3, 4].map(|step| at(100, step)), [0.25, 0.5, 0.75, 1.0, 1.0]);
        assert_eq!([0, 1].map(|step| at(2, step)), [0.25, 0.5]);
    }

    #[test]
    fn open_steps_have_the_rates_of_a_constant_schedule_of_any_length() {
        let shapes =
            [Shape::Constant, Shape::Wsd { decay: 0.1 }, Shape::Wsd { decay: 0.37 }, Shape::Wsd { decay: 1.0 }];
        for shape in shapes {
            for (total, warmup) in (1..60).flat_map(|total| [0, 3, 70].map(|warmup| (total, Warmup::Steps(warmup)))) {
                let schedule = Schedule { shape, peak: 0.3, warmup, min_lr_ratio: 0.07, total };
                let endless = Schedule { shape: Shape::Constant, total: 1_000_000, ..schedule };
                let open = schedule.open_steps().expect("no share of the steps");
                assert!((1..=total).contains(&open));
                assert!(
                    (0..open).all(|step| schedule.at(step).to_bits() == endless.at(step).to_bits()),
                    "{schedule:?}"
                );
                let falls = open == total || schedule.at(open) < endless.at(open);
                assert!(falls, "more steps are open than {open}: {schedule:?}");
            }
        }
        let closed =
            |shape, warmup| Schedule { shape, peak: 1.0, warmup, min_lr_ratio: 0.1, total: 100 }.open_steps().is_none();
        assert!(closed(Shape::Cosine, Warmup::Steps(3)) && closed(Shape::Linear, Warmup::Steps(0)));
        assert!(closed(Shape::Constant, Warmup::Share(0.03)) && !closed(Shape::Constant, Warmup::Share(0.0)));
    }
}
