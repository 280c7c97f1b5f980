//! Means over items and repeats, such as seeds: each item is met under every seed, so neither makes independent values.

use super::stats::{Interval, wilson_of_share};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The mean of a table of items × repeats without gaps, and how sure it is.
///
/// Items and repeats are crossed random effects, y_ir = μ + a_i + b_r + e_ir: an interval speaks of other items and of
/// other seeds than these. From the mean squares of the two-way analysis of variance,
/// Var(ȳ) = (MS_items + MS_repeats − MS_rest) / (I R), with the degrees of freedom of Satterthwaite 1946 (*An approximate
/// distribution of estimates of variance components*).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossed {
    /// The mean of all values.
    pub mean: f64,
    /// The variance of that mean.
    pub variance: f64,
    /// Degrees of freedom of that variance.
    pub degrees: f64,
    /// Items.
    pub items: usize,
}

/// Estimates a mean; `values` hold, for each repeat, the value of every item, in the same order. None where there are
/// fewer than two items or two repeats: nothing tells how much they scatter.
pub fn crossed(values: &[Vec<f64>]) -> Option<Crossed> {
    let (repeats, items) = (values.len(), values.first()?.len());
    if repeats < 2 || items < 2 || values.iter().any(|repeat| repeat.len() != items) {
        return None;
    }
    let (r, i) = (repeats as f64, items as f64);
    let of_repeat: Vec<f64> = values.iter().map(|repeat| repeat.iter().sum::<f64>() / i).collect();
    let of_item: Vec<f64> = (0..items).map(|item| values.iter().map(|repeat| repeat[item]).sum::<f64>() / r).collect();
    let mean = of_repeat.iter().sum::<f64>() / r;
    let scatter = |means: &[f64]| means.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let rest = |repeat: usize, item: usize| values[repeat][item] - of_item[item] - of_repeat[repeat] + mean;
    let pairs = (0..repeats).flat_map(|repeat| (0..items).map(move |item| (repeat, item)));
    let squares = [
        (r * scatter(&of_item) / (i - 1.0), i - 1.0),
        (i * scatter(&of_repeat) / (r - 1.0), r - 1.0),
        (
            pairs.map(|(repeat, item)| rest(repeat, item).powi(2)).sum::<f64>() / ((i - 1.0) * (r - 1.0)),
            (i - 1.0) * (r - 1.0),
        ),
    ];
    let (variance, degrees) = combined(squares);
    Some(Crossed { mean, variance: variance / (i * r), degrees, items })
}

/// MS_items + MS_repeats − MS_rest and its degrees of freedom. The estimate of a component may be negative, where that of
/// the truth is not: the sum is never less than its larger part.
fn combined([items, repeats, rest]: [(f64, f64); 3]) -> (f64, f64) {
    let larger = if items.0 >= repeats.0 { items } else { repeats };
    let sum = items.0 + repeats.0 - rest.0;
    if sum <= larger.0 {
        return larger;
    }
    let spread: f64 = [items, repeats, rest].iter().map(|(square, degrees)| square * square / degrees).sum();
    (sum, sum * sum / spread)
}

impl Crossed {
    /// The 95 % interval of a mean that may have either sign.
    pub fn interval(&self) -> Interval {
        let half = self.quantile() * self.variance.sqrt();
        Interval { low: self.mean - half, high: self.mean + half }
    }

    /// The 95 % interval of a share: Wilson's, for as many independent items as would leave this variance (Korn and
    /// Graubard 1998, *Confidence intervals for proportions with small expected number of positive counts estimated
    /// from survey data*; Dean and Pagano 2015 for Wilson's form). Where every value is the same, the items count once.
    pub fn share_interval(&self) -> Interval {
        let spread = self.mean * (1.0 - self.mean);
        let items = if self.variance > 0.0 && spread > 0.0 { spread / self.variance } else { self.items as f64 };
        wilson_of_share(self.mean, items, self.quantile())
    }

    /// The two-sided probability of a mean as far from 0 where the true one is 0.
    pub fn p_value(&self) -> f64 {
        if self.variance == 0.0 {
            return if self.mean == 0.0 { 1.0 } else { 0.0 };
        }
        let t = -(self.mean / self.variance.sqrt()).abs();
        self.distribution().map_or(1.0, |distribution| (2.0 * distribution.cdf(t)).min(1.0))
    }

    /// The 97.5 % quantile of Student's t.
    fn quantile(&self) -> f64 {
        self.distribution().map_or(f64::INFINITY, |distribution| distribution.inverse_cdf(0.975))
    }

    fn distribution(&self) -> Option<StudentsT> {
        StudentsT::new(0.0, 1.0, self.degrees).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::Seed;

    #[test]
    fn a_table_by_hand() {
        // Items 1, 3, 5 under two repeats, the second one higher by 1, with rests of ±1/2.
        let values = [vec![1.5, 2.5, 5.0], vec![1.5, 4.5, 6.0]];
        let found = crossed(&values).unwrap();
        assert!((found.mean - 3.5).abs() < 1e-12);
        // Items: means 1.5, 3.5, 5.5, so MS 2·8/2 = 8; repeats: 3, 4, so MS 3·0.5/1 = 1.5; rests ±.5, ∓.5, 0: MS 1/2.
        assert!((found.variance - (8.0 + 1.5 - 0.5) / 6.0).abs() < 1e-12, "{found:?}");
        assert!((found.degrees - 81.0 / (32.0 + 2.25 + 0.125)).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn student_has_the_known_values() {
        let at = |degrees: f64, t: f64| Crossed { mean: t, variance: 1.0, degrees, items: 2 };
        for (degrees, quantile) in [(1.0, 12.7062), (2.0, 4.3027), (10.0, 2.2281), (1e6, 1.95997)] {
            assert!((at(degrees, 0.0).interval().high - quantile).abs() < 1e-3, "{degrees}");
            assert!((at(degrees, quantile).p_value() - 0.05).abs() < 1e-5, "{degrees}");
        }
    }

    #[test]
    fn what_cannot_scatter_or_has_gaps_is_no_table() {
        assert_eq!(crossed(&[]), None);
        assert_eq!(crossed(&[vec![1.0, 0.0]]), None);
        assert_eq!(crossed(&[vec![1.0], vec![0.0]]), None);
        assert_eq!(crossed(&[vec![1.0, 0.0], vec![0.0]]), None);
    }

    #[test]
    fn where_nothing_scatters_a_share_is_as_sure_as_its_items() {
        let all = crossed(&vec![vec![1.0; 50]; 3]).unwrap();
        let interval = all.share_interval();
        assert!(interval.high == 1.0 && interval.low < 0.93, "{interval:?}");
        assert_eq!(all.p_value(), 0.0);
        assert_eq!(crossed(&vec![vec![0.0; 50]; 3]).unwrap().p_value(), 1.0);
    }

    /// How often the interval of a mean holds the truth, 0, over tables whose items, repeats and rests scatter so much.
    fn coverage(items: usize, repeats: usize, scatter: [f64; 3], seed: u64) -> f64 {
        let mut stream = Seed::new(seed).stream();
        let mut holds = || {
            let of_item: Vec<f64> = (0..items).map(|_| scatter[0] * stream.normal()).collect();
            let mut repeat = || {
                let of_repeat = scatter[1] * stream.normal();
                of_item.iter().map(|item| item + of_repeat + scatter[2] * stream.normal()).collect()
            };
            let values: Vec<Vec<f64>> = (0..repeats).map(|_| repeat()).collect();
            let interval = crossed(&values).unwrap().interval();
            interval.low <= 0.0 && 0.0 <= interval.high
        };
        (0..2_000).filter(|_| holds()).count() as f64 / 2_000.0
    }

    /// The share of right answers: items differ in difficulty, seeds in skill.
    fn share_coverage(items: usize, repeats: usize, of_seeds: f64, seed: u64) -> f64 {
        let mut stream = Seed::new(seed).stream();
        let chance = |item: f64, repeat: f64| 1.0 / (1.0 + (-(0.4 + 1.5 * item + of_seeds * repeat)).exp());
        // The truth, over all items and seeds, by a long simulation.
        let truth = (0..400_000).map(|_| chance(stream.normal(), stream.normal())).sum::<f64>() / 400_000.0;
        let mut holds = || {
            let of_item: Vec<f64> = (0..items).map(|_| stream.normal()).collect();
            let mut repeat = || {
                let skill = stream.normal();
                let mut answer = |item: &f64| f64::from(u8::from(stream.uniform() < chance(*item, skill)));
                of_item.iter().map(&mut answer).collect()
            };
            let values: Vec<Vec<f64>> = (0..repeats).map(|_| repeat()).collect();
            let interval = crossed(&values).unwrap().share_interval();
            interval.low <= truth && truth <= interval.high
        };
        (0..2_000).filter(|_| holds()).count() as f64 / 2_000.0
    }

    #[test]
    fn intervals_over_items_and_seeds_cover_at_their_stated_rate() {
        // 2,000 tables: a rate of 95 % is measured to ±1 % (two standard errors).
        for (at, (items, repeats, scatter)) in [
            (100, 3, [1.0, 0.2, 1.0]),
            (100, 5, [1.0, 0.05, 0.5]),
            (40, 10, [0.3, 0.3, 1.0]),
            (200, 3, [0.0, 0.0, 1.0]),
        ]
        .into_iter()
        .enumerate()
        {
            let rate = coverage(items, repeats, scatter, at as u64);
            assert!((0.935..=0.975).contains(&rate), "{items} items, {repeats} repeats, {scatter:?}: {rate}");
        }
        for (at, (items, repeats, of_seeds)) in [(100, 3, 0.2), (100, 5, 0.05), (60, 10, 0.3)].into_iter().enumerate() {
            let rate = share_coverage(items, repeats, of_seeds, at as u64);
            assert!((0.935..=0.975).contains(&rate), "{items} items, {repeats} repeats, {of_seeds}: {rate}");
        }
    }
}
