//! Statistics of evaluations: estimators over samples, intervals over items, paired tests between models.

use crate::base::seed::Seed;

/// The 97.5 % quantile of the standard normal distribution: two-sided 95 % intervals.
pub const Z95: f64 = 1.959_963_984_540_054;

/// Resamples of a bootstrap.
pub const RESAMPLES: usize = 10_000;

/// An interval of 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// pass@k of one item with `correct` right ones among `samples`: 1 − C(n−c, k)/C(n, k) as a product, which does not
/// overflow (Chen et al. 2021, *Evaluating Large Language Models Trained on Code*, §2.1). None for k > n or k = 0.
pub fn pass_at_k(samples: u64, correct: u64, k: u64) -> Option<f64> {
    if k == 0 || k > samples || correct > samples {
        return None;
    }
    let wrong = samples - correct;
    if wrong < k {
        return Some(1.0);
    }
    let miss: f64 = (wrong + 1..=samples).map(|i| 1.0 - k as f64 / i as f64).product();
    Some(1.0 - miss)
}

/// maj@n of one item: whether the commonest answer is right. `votes` hold each sample's canonical answer, if it gave
/// one, and whether it is right. Samples without an answer do not vote; where several answers are commonest, the
/// share of them that is right; 0 where nobody votes.
pub fn majority(votes: &[(Option<&str>, bool)]) -> f64 {
    let mut tally: std::collections::BTreeMap<&str, (usize, bool)> = std::collections::BTreeMap::new();
    for (answer, correct) in votes {
        if let Some(answer) = answer {
            let entry = tally.entry(answer).or_insert((0, *correct));
            entry.0 += 1;
        }
    }
    let most = tally.values().map(|(count, _)| *count).max().unwrap_or(0);
    let leaders: Vec<bool> = tally.values().filter(|(count, _)| *count == most).map(|(_, correct)| *correct).collect();
    if leaders.is_empty() {
        return 0.0;
    }
    leaders.iter().filter(|&&correct| correct).count() as f64 / leaders.len() as f64
}

/// The arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Wilson's score interval for `successes` of `n` (Wilson 1927). The whole range for n = 0.
pub fn wilson(successes: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    wilson_of_share(successes as f64 / n as f64, n as f64, Z95)
}

/// Wilson's score interval of a share `p` of `n` independent values, which need not be a whole number, `z` standard
/// errors to both sides.
pub(super) fn wilson_of_share(p: f64, n: f64, z: f64) -> Interval {
    let z2 = z * z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // The ends at 0 and n are exact; only rounding would put them elsewhere.
    let low = if p == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if p == 1.0 { 1.0 } else { (centre + half).min(1.0) };
    Interval { low, high }
}

/// Percentile bootstrap of a mean over items. With an item's mean over its samples as its value this is the bootstrap
/// clustered by item: samples of one item are not independent, items are.
pub fn bootstrap_mean(values: &[f64], seed: Seed) -> Interval {
    let means = resampled_means(values, seed);
    Interval { low: percentile(&means, 0.025), high: percentile(&means, 0.975) }
}

/// Outcomes of two models on the same items, each right or wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paired {
    /// Both right.
    pub both: u64,
    /// Only the first right.
    pub first_only: u64,
    /// Only the second right.
    pub second_only: u64,
    /// Neither right.
    pub neither: u64,
}

impl Paired {
    /// Counts pairs of outcomes.
    pub fn count(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = Paired::default();
        for pair in pairs {
            match pair {
                (true, true) => counts.both += 1,
                (true, false) => counts.first_only += 1,
                (false, true) => counts.second_only += 1,
                (false, false) => counts.neither += 1,
            }
        }
        counts
    }

    /// Items.
    pub fn items(&self) -> u64 {
        self.both + self.first_only + self.second_only + self.neither
    }

    /// The second's accuracy minus the first's.
    pub fn difference(&self) -> f64 {
        (self.second_only as f64 - self.first_only as f64) / self.items().max(1) as f64
    }

    /// McNemar's exact test: the two-sided binomial probability, at 1/2, of a split of the discordant pairs at least
    /// as uneven as this one (McNemar 1947; exact form, no mid-p).
    pub fn mcnemar(&self) -> f64 {
        let n = self.first_only + self.second_only;
        let fewer = self.first_only.min(self.second_only);
        let ln_half_power = -(n as f64) * std::f64::consts::LN_2;
        // ln C(n, k) grows by ln((n − k)/(k + 1)): no factorial overflows, no power of 1/2 vanishes.
        let (mut ln_choose, mut tail) = (0.0f64, 0.0f64);
        for k in 0..=fewer {
            tail += (ln_choose + ln_half_power).exp();
            ln_choose += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
        }
        (2.0 * tail).min(1.0)
    }

    /// The interval of [`Paired::difference`]: Newcombe 1998 (*Improved confidence intervals for the difference
    /// between binomial proportions based on paired data*), method 10: Wilson intervals squared and added, with the
    /// correlation φ of the pairs, corrected for continuity.
    pub fn difference_interval(&self) -> Interval {
        let (n, first) = (self.items(), self.both + self.first_only);
        let second = self.both + self.second_only;
        if n == 0 {
            return Interval { low: -1.0, high: 1.0 };
        }
        let (p1, p2) = (second as f64 / n as f64, first as f64 / n as f64);
        let (w1, w2, phi) = (wilson(second, n), wilson(first, n), self.correlation());
        let root = |x: f64, y: f64| (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt();
        Interval {
            low: (p1 - p2 - root(p1 - w1.low, w2.high - p2)).max(-1.0),
            high: (p1 - p2 + root(w1.high - p1, p2 - w2.low)).min(1.0),
        }
    }

    fn correlation(&self) -> f64 {
        let [a, b, c, d] = [self.both, self.first_only, self.second_only, self.neither].map(|count| count as f64);
        let margins = (a + b) * (c + d) * (a + c) * (b + d);
        let (cross, half) = (a * d - b * c, (a + b + c + d) / 2.0);
        let corrected = if cross > half { cross - half } else { cross.min(0.0) };
        if margins == 0.0 { 0.0 } else { corrected / margins.sqrt() }
    }
}

/// A paired comparison by bootstrap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// Mean of the second minus mean of the first.
    pub difference: f64,
    /// Percentile interval of the difference.
    pub interval: Interval,
    /// Two-sided: twice the smaller share of resampled differences on the other side of 0 (Efron and Tibshirani 1993,
    /// with one added to both counts so that it is never 0).
    pub p_value: f64,
}

/// Paired bootstrap over items: both models' values of an item are drawn together. `first` and `second` hold one
/// value an item, in the same order; an item's value is its mean over samples, so items are the clusters.
pub fn paired_bootstrap(first: &[f64], second: &[f64], seed: Seed) -> Bootstrap {
    let differences: Vec<f64> = first.iter().zip(second).map(|(first, second)| second - first).collect();
    let means = resampled_means(&differences, seed);
    // Sums of hundredths are rarely exactly 0 in floating point.
    let share = |side: &dyn Fn(f64) -> bool| {
        (means.iter().filter(|&&mean| side(mean)).count() + 1) as f64 / (means.len() + 1) as f64
    };
    let p_value = (2.0 * share(&|mean| mean <= 1e-12).min(share(&|mean| mean >= -1e-12))).min(1.0);
    let interval = Interval { low: percentile(&means, 0.025), high: percentile(&means, 0.975) };
    Bootstrap { difference: mean(&differences), interval, p_value }
}

/// Means of resamples with replacement, ascending.
fn resampled_means(values: &[f64], seed: Seed) -> Vec<f64> {
    if values.is_empty() {
        return vec![0.0];
    }
    let mut stream = seed.child("bootstrap", 0).stream();
    let n = values.len();
    let mut resample = || (0..n).map(|_| values[stream.below(n as u64) as usize]).sum::<f64>() / n as f64;
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
    means.sort_by(f64::total_cmp);
    means
}

/// The quantile of ascending values, by linear interpolation.
fn percentile(sorted: &[f64], quantile: f64) -> f64 {
    let at = quantile * (sorted.len() - 1) as f64;
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

/// Holm's step-down adjustment (Holm 1979): p-values that may be compared to the level directly, in the order given.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut running = 0.0f64;
    for (rank, index) in order.into_iter().enumerate() {
        running = running.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = running;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64, tolerance: f64) {
        assert!((left - right).abs() <= tolerance, "{left} is not {right}");
    }

    #[test]
    fn pass_at_k_has_the_known_values() {
        for (k, expected) in [(1, 0.375), (2, 0.6428571), (4, 0.9285714), (8, 1.0)] {
            close(pass_at_k(8, 3, k).unwrap(), expected, 1e-7);
        }
        assert_eq!(pass_at_k(8, 0, 8), Some(0.0));
        assert_eq!((pass_at_k(8, 3, 9), pass_at_k(8, 3, 0), pass_at_k(2, 3, 1)), (None, None, None));
        close(pass_at_k(100_000, 1, 50_000).unwrap(), 0.5, 1e-9);
    }

    #[test]
    fn majorities_leave_out_the_unanswered_and_average_ties() {
        assert_eq!(majority(&[(Some("4"), true), (Some("4"), true), (Some("5"), false)]), 1.0);
        assert_eq!(majority(&[(None, false), (None, false), (Some("4"), true)]), 1.0);
        assert_eq!(majority(&[(Some("4"), true), (Some("5"), false)]), 0.5);
        assert_eq!(majority(&[(None, false), (None, false)]), 0.0);
        assert_eq!(majority(&[]), 0.0);
    }

    #[test]
    fn wilson_has_the_known_values() {
        // Newcombe 1998, table I, method 3.
        for (successes, n, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let interval = wilson(successes, n);
            close(interval.low, low, 5e-5);
            close(interval.high, high, 5e-5);
        }
        assert_eq!(wilson(20, 20).high, 1.0);
        assert_eq!(wilson(0, 0), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn mcnemar_is_the_exact_binomial() {
        let p = |first_only, second_only| Paired { first_only, second_only, ..Paired::default() }.mcnemar();
        close(p(0, 5), 0.0625, 1e-12);
        close(p(2, 10), 0.03857421875, 1e-12);
        close(p(10, 2), 0.03857421875, 1e-12);
        assert_eq!((p(0, 0), p(5, 5)), (1.0, 1.0));
        // Powers of 1/2 far below the smallest double.
        close(p(4_900, 5_100), 0.0466, 5e-4);
    }

    #[test]
    fn newcombe_has_the_known_values() {
        // Newcombe 1998, table II, method 10, computed for (e, f, g, h).
        for (counts, low, high) in NEWCOMBE {
            let [both, second_only, first_only, neither] = *counts;
            let interval = Paired { both, first_only, second_only, neither }.difference_interval();
            close(interval.low, *low, 1e-4);
            close(interval.high, *high, 1e-4);
        }
    }
    const NEWCOMBE: &[([u64; 4], f64, f64)] = &[([36, 12, 2, 0], 0.0569, 0.3404)];

    #[test]
    fn bootstraps_repeat_and_cover_what_they_should() {
        let first: Vec<f64> = (0..400).map(|item| f64::from(item % 2)).collect();
        let second: Vec<f64> = (0..400).map(|item| f64::from(u8::from(item % 2 == 1 || item % 8 == 0))).collect();
        let result = paired_bootstrap(&first, &second, Seed::new(0));
        assert_eq!(result, paired_bootstrap(&first, &second, Seed::new(0)));
        close(result.difference, 0.125, 1e-12);
        assert!(result.p_value < 0.001 && result.interval.low > 0.09 && result.interval.high < 0.16, "{result:?}");
        assert_eq!(paired_bootstrap(&first, &first, Seed::new(0)).p_value, 1.0);

        let interval = bootstrap_mean(&first, Seed::new(0));
        let exact = wilson(200, 400);
        close(interval.low, exact.low, 0.005);
        close(interval.high, exact.high, 0.005);
    }

    #[test]
    fn holm_steps_down() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (value, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            close(*value, expected, 1e-12);
        }
        assert_eq!(holm(&[0.9, 0.8]), vec![1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
