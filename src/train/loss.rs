//! Policy objectives as pure functions of log-probabilities: a value and its gradient, in f64, token by token.
//!
//! The trainers multiply the gradient into the tape (`Σ gradient · log-probability`), so that what is optimised is
//! what is written and tested here, whatever the tensor library does.

use serde::Deserialize;

/// How token losses are weighted and what ratio they use; the names are those of TRL and the papers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyLoss {
    /// Mean over sequences of the mean over tokens (DeepSeekMath, arXiv:2402.03300, eq. 3).
    Grpo,
    /// Mean over all tokens of the batch (DAPO, arXiv:2503.14476, eq. 8).
    Dapo,
    /// Sum over tokens over `N · max_completion_length`, advantages not divided (arXiv:2503.20783, Dr. GRPO).
    DrGrpo,
    /// One ratio a sequence, exp(mean of the log-ratios) (GSPO, arXiv:2507.18071, eq. 5 and 7).
    Gspo,
    /// Clipped, detached ratio times log-probability, token mean (MiniMax-M1, arXiv:2506.13585, eq. 4).
    Cispo,
}

/// What a group's centred rewards are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardScaling {
    /// The group's sample standard deviation.
    Group,
    /// The batch's sample standard deviation.
    Batch,
    /// Nothing.
    None,
}

/// What a completion's length adds to its reward (DAPO, arXiv:2503.14476, eq. 13): 0 up to `buffer` tokens before
/// `limit`, then falling linearly, −1 at the limit.
pub fn soft_overlong(length: usize, limit: usize, buffer: usize) -> f64 {
    let over = length as f64 - (limit as f64 - buffer as f64);
    -(over / buffer.max(1) as f64).clamp(0.0, 1.0)
}

/// Estimators of KL(policy ‖ reference) from one sample (Schulman, "Approximating KL divergence", 2020).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// d: unbiased as a value, without gradient in expectation as a loss.
    K1,
    /// d²/2: its gradient is the unbiased one of the reverse KL.
    K2,
    /// e^(−d) − 1 + d: its gradient is that of KL(ref ‖ π).
    K3,
}

impl KlEstimator {
    /// The estimate for d = log π − log π_ref.
    pub fn value(self, d: f64) -> f64 {
        match self {
            KlEstimator::K1 => d,
            KlEstimator::K2 => d * d / 2.0,
            KlEstimator::K3 => (-d).exp() - 1.0 + d,
        }
    }

    /// Its derivative with respect to log π.
    pub fn slope(self, d: f64) -> f64 {
        match self {
            KlEstimator::K1 => 1.0,
            KlEstimator::K2 => d,
            KlEstimator::K3 => 1.0 - (-d).exp(),
        }
    }
}

/// One advantage a completion, and how many groups taught nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Advantages {
    /// In the order of the rewards.
    pub values: Vec<f64>,
    /// Groups whose rewards are all equal (to 1e-8).
    pub zero_variance_groups: usize,
}

/// Group-relative advantages: reward minus its group's mean, divided as `scaling` says (sample deviation + 1e-4).
///
/// `rewards` holds whole groups of `group_size` one after the other; `None` marks a completion that no reward can
/// score: it is left out of mean and deviation and gets 0. Source: GRPO, arXiv:2402.03300, section 4.1.2.
pub fn advantages(rewards: &[Option<f64>], group_size: usize, scaling: RewardScaling) -> Advantages {
    let batch_deviation = deviation(&scored(rewards));
    let mut zero_variance_groups = 0;
    let mut values = Vec::with_capacity(rewards.len());
    for group in rewards.chunks(group_size) {
        let known = scored(group);
        let mean = mean(&known);
        let flat = is_flat(group);
        zero_variance_groups += usize::from(flat);
        let divisor = match scaling {
            RewardScaling::Group => deviation(&known) + 1e-4,
            RewardScaling::Batch => batch_deviation + 1e-4,
            RewardScaling::None => 1.0,
        };
        let advantage = |reward: &Option<f64>| reward.filter(|_| !flat).map_or(0.0, |reward| (reward - mean) / divisor);
        values.extend(group.iter().map(advantage));
    }
    Advantages { values, zero_variance_groups }
}

/// Whether all rewards of a group that are known are equal, to 1e-8: such a group teaches nothing.
pub fn is_flat(group: &[Option<f64>]) -> bool {
    let known = scored(group);
    let mean = mean(&known);
    known.iter().all(|reward| (reward - mean).abs() < 1e-8)
}

fn scored(rewards: &[Option<f64>]) -> Vec<f64> {
    rewards.iter().flatten().copied().collect()
}

/// Arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Sample standard deviation (n − 1); 0 of fewer than two.
pub fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// The settings of a policy objective.
#[derive(Clone, Copy, Debug)]
pub struct Objective {
    /// Ratio and weighting.
    pub loss: PolicyLoss,
    /// Lower clip: ratios below 1 − ε earn nothing more.
    pub epsilon: f64,
    /// Upper clip; for `cispo` the absolute cap of the ratio.
    pub epsilon_high: f64,
    /// Factor of the KL to the reference.
    pub kl_coef: f64,
    /// How that KL is estimated.
    pub kl_estimator: KlEstimator,
    /// The longest completion allowed, in tokens: Dr. GRPO's denominator.
    pub max_completion_length: usize,
}

/// One completion as the objective sees it; slices are as long as the completion, the stop token included.
#[derive(Clone, Copy, Debug)]
pub struct Trajectory<'a> {
    /// log π of each token under the policy being trained.
    pub log_probs: &'a [f64],
    /// log π when sampled.
    pub old_log_probs: &'a [f64],
    /// log π of the reference; empty where `kl_coef` is 0.
    pub reference_log_probs: &'a [f64],
    /// The completion's advantage.
    pub advantage: f64,
}

/// Denominators of an optimiser step, fixed before its first backward pass so that micro-batches only add.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denominators {
    /// Completions, at least 1.
    pub sequences: f64,
    /// Tokens of all completions, at least 1.
    pub tokens: f64,
}

impl Denominators {
    /// Counts completions by their lengths; masked-out ones are not handed in.
    pub fn of(lengths: impl Iterator<Item = usize>) -> Self {
        let (sequences, tokens) = lengths.fold((0usize, 0usize), |(n, sum), length| (n + 1, sum + length));
        Denominators { sequences: sequences.max(1) as f64, tokens: tokens.max(1) as f64 }
    }
}

/// A completion's part of the loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrajectoryLoss {
    /// Its summand of the loss.
    pub value: f64,
    /// d loss / d log-probability, one a token.
    pub gradient: Vec<f64>,
    /// Tokens at which the clip took effect.
    pub clipped: usize,
    /// Sum over tokens of the KL estimate, not multiplied by `kl_coef`.
    pub kl: f64,
}

impl Objective {
    /// The loss of one completion and its gradient.
    pub fn evaluate(&self, trajectory: &Trajectory<'_>, denominators: &Denominators) -> TrajectoryLoss {
        let mut loss = match self.loss {
            PolicyLoss::Gspo => self.sequence_ratio(trajectory, denominators),
            _ => self.token_ratios(trajectory, denominators),
        };
        self.add_kl(trajectory, denominators, &mut loss);
        loss
    }

    /// What one token weighs in the loss of a completion of `length` tokens.
    fn token_weight(&self, length: usize, denominators: &Denominators) -> f64 {
        match self.loss {
            PolicyLoss::Grpo | PolicyLoss::Gspo => 1.0 / (denominators.sequences * length.max(1) as f64),
            PolicyLoss::Dapo | PolicyLoss::Cispo => 1.0 / denominators.tokens,
            PolicyLoss::DrGrpo => 1.0 / (denominators.sequences * self.max_completion_length as f64),
        }
    }

    fn token_ratios(&self, trajectory: &Trajectory<'_>, denominators: &Denominators) -> TrajectoryLoss {
        let weight = self.token_weight(trajectory.log_probs.len(), denominators);
        let mut loss = TrajectoryLoss::default();
        for (&log_prob, &old) in trajectory.log_probs.iter().zip(trajectory.old_log_probs) {
            let ratio = (log_prob - old).exp();
            let (value, slope, clipped) = match self.loss {
                PolicyLoss::Cispo => self.cispo(log_prob, ratio, trajectory.advantage),
                _ => self.surrogate(ratio, trajectory.advantage),
            };
            loss.value -= weight * value;
            loss.gradient.push(-weight * slope);
            loss.clipped += usize::from(clipped);
        }
        loss
    }

    /// min(wA, clip(w)A), its derivative with respect to log π, and whether the clip took effect (PPO, eq. 7).
    fn surrogate(&self, ratio: f64, advantage: f64) -> (f64, f64, bool) {
        let clipped_ratio = ratio.clamp(1.0 - self.epsilon, 1.0 + self.epsilon_high);
        let (free, clipped) = (ratio * advantage, clipped_ratio * advantage);
        if clipped < free { (clipped, 0.0, true) } else { (free, free, false) }
    }

    fn cispo(&self, log_prob: f64, ratio: f64, advantage: f64) -> (f64, f64, bool) {
        let capped = ratio.min(self.epsilon_high);
        (capped * advantage * log_prob, capped * advantage, ratio > self.epsilon_high)
    }

    fn sequence_ratio(&self, trajectory: &Trajectory<'_>, denominators: &Denominators) -> TrajectoryLoss {
        let length = trajectory.log_probs.len();
        let pairs = trajectory.log_probs.iter().zip(trajectory.old_log_probs);
        let log_ratio = pairs.map(|(log_prob, old)| log_prob - old).sum::<f64>() / length.max(1) as f64;
        let (value, slope, clipped) = self.surrogate(log_ratio.exp(), trajectory.advantage);
        let token_slope = -slope / (denominators.sequences * length.max(1) as f64);
        TrajectoryLoss {
            value: -value / denominators.sequences,
            gradient: vec![token_slope; length],
            clipped: if clipped { length } else { 0 },
            kl: 0.0,
        }
    }

    fn add_kl(&self, trajectory: &Trajectory<'_>, denominators: &Denominators, loss: &mut TrajectoryLoss) {
        let weight = self.kl_coef * self.token_weight(trajectory.log_probs.len(), denominators);
        let pairs = trajectory.log_probs.iter().zip(trajectory.reference_log_probs);
        for (slope, (log_prob, reference)) in loss.gradient.iter_mut().zip(pairs) {
            let d = log_prob - reference;
            loss.kl += self.kl_estimator.value(d);
            loss.value += weight * self.kl_estimator.value(d);
            *slope += weight * self.kl_estimator.slope(d);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG_RATIOS: [&[f64]; 4] = [&[0.3, -0.1], &[0.5, -0.5, 0.1, 0.0], &[-0.3, 0.2, 0.0], &[0.1]];

    fn objective(loss: PolicyLoss, epsilon: f64, epsilon_high: f64) -> Objective {
        let kl_estimator = KlEstimator::K3;
        Objective { loss, epsilon, epsilon_high, kl_coef: 0.0, kl_estimator, max_completion_length: 8 }
    }

    /// The batch of `methods`: rewards 1, 0, 0, 1 and the log-ratios above, every old log-probability −1.
    fn batch_loss(objective: &Objective, log_ratios: &[Vec<f64>]) -> (f64, Vec<Vec<f64>>, Vec<usize>) {
        let scaling = if objective.loss == PolicyLoss::DrGrpo { RewardScaling::None } else { RewardScaling::Group };
        let advantages = advantages(&[Some(1.0), Some(0.0), Some(0.0), Some(1.0)], 4, scaling).values;
        let denominators = Denominators::of(log_ratios.iter().map(Vec::len));
        let losses: Vec<TrajectoryLoss> = log_ratios
            .iter()
            .zip(&advantages)
            .map(|(ratios, &advantage)| {
                let log_probs: Vec<f64> = ratios.iter().map(|ratio| ratio - 1.0).collect();
                let old_log_probs = &vec![-1.0; ratios.len()];
                let trajectory =
                    Trajectory { log_probs: &log_probs, old_log_probs, reference_log_probs: &[], advantage };
                objective.evaluate(&trajectory, &denominators)
            })
            .collect();
        let value = losses.iter().map(|loss| loss.value).sum();
        (value, losses.iter().map(|l| l.gradient.clone()).collect(), losses.iter().map(|l| l.clipped).collect())
    }

    fn ratios() -> Vec<Vec<f64>> {
        LOG_RATIOS.iter().map(|ratios| ratios.to_vec()).collect()
    }

    #[test]
    fn advantages_of_a_half_solved_group() {
        let rewards = [Some(1.0), Some(0.0), Some(0.0), Some(1.0)];
        let group = advantages(&rewards, 4, RewardScaling::Group).values;
        assert!((group[0] - 0.8658754298).abs() < 1e-9 && (group[1] + 0.8658754298).abs() < 1e-9);
        assert_eq!(advantages(&rewards, 4, RewardScaling::None).values, [0.5, -0.5, -0.5, 0.5]);
    }

    #[test]
    fn a_group_without_variance_and_an_unscored_completion_teach_nothing() {
        let rewards = [Some(1.1), Some(1.1), Some(1.0), None, Some(0.0), Some(1.0)];
        let found = advantages(&rewards, 2, RewardScaling::None);
        assert_eq!(found.zero_variance_groups, 2);
        assert_eq!(found.values, [0.0, 0.0, 0.0, 0.0, -0.5, 0.5]);
    }

    #[test]
    fn losses_equal_the_published_vectors() {
        let cases = [
            (PolicyLoss::Grpo, 0.2, 0.2, -0.002593801),
            (PolicyLoss::Grpo, 0.2, 0.28, -0.011252555),
            (PolicyLoss::Dapo, 0.2, 0.2, 0.377979442),
            (PolicyLoss::Dapo, 0.2, 0.28, 0.371052439),
            (PolicyLoss::DrGrpo, 0.2, 0.2, 0.068207603),
            (PolicyLoss::DrGrpo, 0.2, 0.28, 0.066957603),
            (PolicyLoss::Gspo, 0.2, 0.2, -0.047149215),
            (PolicyLoss::Gspo, 3e-4, 4e-4, 0.005241819),
            (PolicyLoss::Cispo, 0.2, 5.0, -0.323328293),
        ];
        for (loss, epsilon, epsilon_high, wanted) in cases {
            let (value, _, _) = batch_loss(&objective(loss, epsilon, epsilon_high), &ratios());
            assert!((value - wanted).abs() < 1e-8, "{loss:?} at {epsilon}/{epsilon_high}: {value} is not {wanted}");
        }
    }

    #[test]
    fn only_effective_clips_are_counted() {
        let (_, gradient, clipped) = batch_loss(&objective(PolicyLoss::Dapo, 0.2, 0.2), &ratios());
        assert_eq!(clipped, [1, 1, 1, 0]);
        assert_eq!((gradient[0][0], gradient[1][1], gradient[2][0]), (0.0, 0.0, 0.0));
    }

    #[test]
    fn gradients_equal_finite_differences() {
        let step = 1e-6;
        for loss in [PolicyLoss::Grpo, PolicyLoss::Dapo, PolicyLoss::DrGrpo, PolicyLoss::Gspo] {
            let objective = objective(loss, 0.2, 0.28);
            let (_, gradient, _) = batch_loss(&objective, &ratios());
            for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (3, 0)] {
                let nudged = |by: f64| {
                    let mut ratios = ratios();
                    ratios[row][column] += by;
                    batch_loss(&objective, &ratios).0
                };
                let slope = (nudged(step) - nudged(-step)) / (2.0 * step);
                assert!((slope - gradient[row][column]).abs() < 1e-7, "{loss:?} at {row},{column}");
            }
        }
    }

    #[test]
    fn kl_estimators_equal_the_published_vectors() {
        let cases = [(0.5, [0.5, 0.125, 0.1065306597]), (-0.5, [-0.5, 0.125, 0.1487212707])];
        for (d, wanted) in cases {
            for (estimator, wanted) in [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3].into_iter().zip(wanted) {
                assert!((estimator.value(d) - wanted).abs() < 1e-9);
                let slope = (estimator.value(d + 1e-6) - estimator.value(d - 1e-6)) / 2e-6;
                assert!((estimator.slope(d) - slope).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn the_soft_overlong_punishment_equals_the_published_vectors() {
        for (length, wanted) in [(0, 0.0), (80, 0.0), (81, -0.05), (90, -0.5), (100, -1.0), (101, -1.0)] {
            assert!((soft_overlong(length, 100, 20) - wanted).abs() < 1e-12, "{length}");
        }
    }

    #[test]
    fn the_kl_shares_weight_and_mask_with_the_surrogate() {
        let with_kl = Objective { kl_coef: 0.1, ..objective(PolicyLoss::Dapo, 0.2, 0.2) };
        let trajectory = Trajectory {
            log_probs: &[-1.0, -1.5],
            old_log_probs: &[-1.0, -1.5],
            reference_log_probs: &[-1.5, -1.0],
            advantage: 0.0,
        };
        let loss = with_kl.evaluate(&trajectory, &Denominators { sequences: 1.0, tokens: 4.0 });
        assert!((loss.kl - (0.1065306597 + 0.1487212707)).abs() < 1e-9);
        assert!((loss.value - 0.1 * loss.kl / 4.0).abs() < 1e-12);
    }
}
