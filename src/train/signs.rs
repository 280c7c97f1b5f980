//! Signs that reinforcement learning goes wrong: each is told once, with its cure; a collapse is kept for the record.
//!
//! A sign looks at exponential means over rollout batches, whose weights are those of about five batches. They are part
//! of the training's saved states, so that a resumed training says what an uninterrupted one says.

use super::grpo::GrpoSettings;
use super::resume::{Metrics, Tensors};
use super::watch::TrainError;
use crate::reward::RewardSum;
use candle_core::{Device, Tensor};

/// The share of a mean that stays when a batch is added to it.
const DECAY: f64 = 0.8;
/// Batches after which a mean says something.
const SETTLED: f64 = 5.0;
/// Rollout batches in a row without any signal, after which the user is warned.
const FLAT_BATCHES: f64 = 10.0;
/// Of the reward's range, or of right answers: what a policy must have reached before it can lose it.
const WORTH_LOSING: f64 = 0.1;
/// A policy that has less than this of its best mean has collapsed.
const COLLAPSED: f64 = 0.2;
/// One that has more than this of it again has recovered.
const RECOVERED: f64 = 0.5;
/// Where the signs are in a saved state.
const SIGNS: &str = "signs";

/// An exponential mean over rollout batches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Series {
    batches: f64,
    mean: f64,
    /// Its value when it had settled.
    first: f64,
    /// Its largest value since.
    best: f64,
}

impl Series {
    fn add(&mut self, value: f64) {
        self.batches += 1.0;
        // Weights of a mean without a past before the first batch, as in Adam's bias correction.
        self.mean += (value - self.mean) * (1.0 - DECAY) / (1.0 - DECAY.powf(self.batches));
        if self.batches <= SETTLED {
            (self.first, self.best) = (self.mean, self.mean);
        }
        self.best = self.best.max(self.mean);
    }

    fn settled(&self) -> bool {
        self.batches >= SETTLED
    }

    /// Whether next to nothing is left of what was there.
    fn is_lost(&self) -> bool {
        self.settled() && self.best >= WORTH_LOSING && self.mean < COLLAPSED * self.best
    }

    fn is_back(&self) -> bool {
        self.mean > RECOVERED * self.best
    }
}

/// What is looked at.
#[derive(Clone, Copy)]
enum Of {
    /// The reward before what lengths cost, as a share of its range.
    Earned,
    /// The score of the reward with the largest weight: right answers, as a rule.
    Heaviest,
    /// Completions that keep the tags.
    Tags,
    /// Their length in tokens.
    Length,
    /// Those cut at the limit.
    Truncated,
    /// Entropy at the learned tokens.
    Entropy,
}

const SERIES: usize = 6;

/// Warnings that are told once.
#[derive(Clone, Copy)]
enum Warning {
    RunAway,
    Gamed,
    Entropy,
    Collapse,
}

/// One rollout batch as the signs see it.
pub(super) struct Batch<'a> {
    /// The numbers of the step.
    pub metrics: &'a Metrics,
    /// The mean reward before what lengths cost.
    pub earned: Option<f64>,
    /// Optimiser steps done.
    pub step: u64,
}

/// What has been seen so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Signs {
    series: [Series; SERIES],
    flat_batches: f64,
    told: [bool; 4],
    /// The optimiser step at which the collapse that lasts was seen.
    collapsed_at: Option<f64>,
}

impl Signs {
    /// Takes in a batch, and says what is to be told.
    pub fn look(&mut self, batch: &Batch<'_>, settings: &GrpoSettings) -> Vec<String> {
        let number = |name: &str| batch.metrics.get(name).copied();
        let heaviest = heaviest(&settings.reward);
        let observed = [
            batch.earned.and_then(|earned| share_of_range(&settings.reward, earned)),
            heaviest.and_then(|name| number(&format!("reward/{name}"))),
            number("tag_rate"),
            number("completion_length"),
            number("truncated"),
            // Nothing was learned where no gradient norm is: there the entropy was not looked at.
            number("entropy").filter(|_| batch.metrics.contains_key("grad_norm")),
        ];
        for (series, value) in self.series.iter_mut().zip(observed) {
            value.into_iter().for_each(|value| series.add(value));
        }
        let flat = number("zero_variance_groups").is_some_and(|share| share == 1.0);
        self.flat_batches = if flat { self.flat_batches + 1.0 } else { 0.0 };
        let found = [
            self.flat(settings),
            self.run_away().and_then(|text| self.once(Warning::RunAway, text)),
            self.gamed(settings).and_then(|text| self.once(Warning::Gamed, text)),
            self.entropy_collapse().and_then(|text| self.once(Warning::Entropy, text)),
            self.collapse(batch.step, settings).and_then(|text| self.once(Warning::Collapse, text)),
        ];
        found.into_iter().flatten().collect()
    }

    /// What the record keeps: `collapsed`, 1 where next to nothing is left of the best that the policy had reached,
    /// and then the step at which that was seen.
    pub fn verdict(&self) -> Metrics {
        let collapsed = f64::from(u8::from(self.collapsed_at.is_some()));
        let at = self.collapsed_at.map(|step| ("collapsed_at".to_string(), step));
        std::iter::once(("collapsed".to_string(), collapsed)).chain(at).collect()
    }

    fn of(&self, what: Of) -> &Series {
        &self.series[what as usize]
    }

    fn once(&mut self, warning: Warning, text: String) -> Option<String> {
        let told = std::mem::replace(&mut self.told[warning as usize], true);
        (!told).then_some(text)
    }

    /// No group has taught anything for many batches. Truncation comes first among the causes.
    fn flat(&self, settings: &GrpoSettings) -> Option<String> {
        if self.flat_batches != FLAT_BATCHES {
            return None;
        }
        let (truncated, earned) = (self.of(Of::Truncated).mean, self.of(Of::Earned).mean);
        let cause = if truncated >= 0.5 {
            format!(
                "{} of the completions were cut before they could answer: raise `max_completion_length`",
                percent(truncated)
            )
        } else if earned > 0.95 {
            "nearly every completion earns all that the reward can give: the prompts are too easy, take harder ones"
                .to_string()
        } else {
            format!(
                "{} of the completions were cut (raise `max_completion_length` if that is many); else the prompts are \
                 too hard (take easier ones, or train with `sft` first), or the reward asks for a form that the model \
                 never writes{}",
                percent(truncated),
                unearned(settings, self)
            )
        };
        Some(format!(
            "in the last {FLAT_BATCHES} rollout batches every group's rewards were equal, so that nothing was learned: \
             {cause}"
        ))
    }

    fn run_away(&self) -> Option<String> {
        let (length, truncated) = (self.of(Of::Length), self.of(Of::Truncated));
        let grown = length.settled() && length.mean >= 1.5 * length.first;
        (grown && truncated.mean >= truncated.first + 0.2).then(|| {
            format!(
                "completions have grown from {:.0} to {:.0} tokens, and {} of them are cut (at first {}): punish length \
                 with `overlong: soft(…)`, take `loss: \"dr_grpo\"`, which does not favour long wrong answers, or lower \
                 `learning_rate`",
                length.first,
                length.mean,
                percent(truncated.mean),
                percent(truncated.first)
            )
        })
    }

    /// The reward rises while the answers get worse: it is earned by tags, or by whatever else is added to it.
    fn gamed(&self, settings: &GrpoSettings) -> Option<String> {
        let (earned, heaviest, tags) = (self.of(Of::Earned), self.of(Of::Heaviest), self.of(Of::Tags));
        let name = self::heaviest(&settings.reward).filter(|_| settings.reward.terms.len() > 1)?;
        let worse = heaviest.settled() && heaviest.best >= WORTH_LOSING && heaviest.mean < 0.7 * heaviest.best;
        (worse && earned.mean > earned.first).then(|| {
            let by = if tags.mean > tags.first + 0.1 {
                format!("it is earned by tags ({} of the completions keep them)", percent(tags.mean))
            } else {
                "it is earned by its other terms".to_string()
            };
            format!(
                "the reward rises while `{name}` has fallen from {} to {}: {by}. Lower the weight of the other terms, or \
                 look at completions and `keep` only prompts whose answers cannot be guessed",
                percent(heaviest.best),
                percent(heaviest.mean)
            )
        })
    }

    fn entropy_collapse(&self) -> Option<String> {
        let entropy = self.of(Of::Entropy);
        let lost = entropy.settled() && entropy.mean < 0.1 * entropy.first && entropy.mean < 0.1;
        lost.then(|| {
            format!(
                "the policy's entropy has fallen from {:.3} to {:.3} nats a token: it writes the same whatever is drawn, \
                 and groups will teach less and less. Raise `epsilon_high` (0.28 is DAPO's), lower `learning_rate`, or \
                 raise `temperature`",
                entropy.first, entropy.mean
            )
        })
    }

    fn collapse(&mut self, step: u64, settings: &GrpoSettings) -> Option<String> {
        let (earned, heaviest) = (*self.of(Of::Earned), *self.of(Of::Heaviest));
        if earned.is_lost() || heaviest.is_lost() {
            self.collapsed_at.get_or_insert(step as f64);
        } else if earned.is_back() && (heaviest.batches == 0.0 || heaviest.is_back()) {
            self.collapsed_at = None;
        }
        self.collapsed_at?;
        let what = match self::heaviest(&settings.reward) {
            Some(name) if heaviest.is_lost() => {
                format!("`{name}` was {} at best and is {} now", percent(heaviest.best), percent(heaviest.mean))
            }
            _ => format!(
                "of the reward's range {} was earned at best, {} now",
                percent(earned.best),
                percent(earned.mean)
            ),
        };
        Some(format!(
            "the policy has collapsed by step {step}: {what}, {} of the completions are cut. The stage goes on, and its \
             record says so. Lower `learning_rate`, raise `kl_coef` or `prompts_per_step`, or stop earlier",
            percent(self.of(Of::Truncated).mean)
        ))
    }

    /// Adds them to a training's state.
    pub fn save(&self, tensors: &mut Tensors) -> Result<(), TrainError> {
        let mut numbers = vec![self.flat_batches, self.collapsed_at.unwrap_or(-1.0)];
        numbers.extend(self.told.map(|told| f64::from(u8::from(told))));
        numbers.extend(self.series.iter().flat_map(|series| [series.batches, series.mean, series.first, series.best]));
        tensors.insert(SIGNS.to_string(), Tensor::new(numbers, &Device::Cpu)?);
        Ok(())
    }

    /// Those of a state; none yet where it holds none.
    pub fn restored(tensors: &Tensors) -> Result<Self, TrainError> {
        let Some(saved) = tensors.get(SIGNS) else { return Ok(Signs::default()) };
        let numbers = saved.to_vec1::<f64>()?;
        let [flat_batches, collapsed_at, told @ ..] = &numbers[..] else { return Ok(Signs::default()) };
        let Some((told, series)) = told.split_first_chunk::<4>() else { return Ok(Signs::default()) };
        let mut signs = Signs {
            flat_batches: *flat_batches,
            collapsed_at: Some(*collapsed_at).filter(|step| *step >= 0.0),
            told: told.map(|told| told != 0.0),
            ..Signs::default()
        };
        for (series, saved) in signs.series.iter_mut().zip(series.chunks_exact(4)) {
            *series = Series { batches: saved[0], mean: saved[1], first: saved[2], best: saved[3] };
        }
        Ok(signs)
    }
}

/// The reward with the largest weight, the first where there are several.
fn heaviest(reward: &RewardSum) -> Option<&str> {
    let weights = reward.terms.iter().map(|term| term.weight).filter(|weight| *weight > 0.0);
    let largest = weights.fold(0.0, f64::max);
    reward.terms.iter().find(|term| term.weight == largest).map(|term| term.reward.as_str())
}

/// A reward as a share of what its terms can give: 0 is the least, 1 the most; none where they can give nothing.
fn share_of_range(reward: &RewardSum, value: f64) -> Option<f64> {
    let weights = || reward.terms.iter().map(|term| term.weight);
    let least = reward.offset + weights().map(|weight| weight.min(0.0)).sum::<f64>();
    let range: f64 = weights().map(f64::abs).sum();
    (range > 0.0).then(|| (value - least) / range)
}

/// Names the rewards that were hardly ever earned.
fn unearned(settings: &GrpoSettings, signs: &Signs) -> String {
    match heaviest(&settings.reward) {
        Some(name) if signs.of(Of::Heaviest).mean < 0.01 => {
            format!(" (`{name}` is earned by {} of them)", percent(signs.of(Of::Heaviest).mean))
        }
        _ => String::new(),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::prefix_tests::plain_settings;
    use serde_json::json;

    fn settings(terms: serde_json::Value) -> GrpoSettings {
        let reward = serde_json::from_value(json!({ "offset": -2.0, "terms": terms })).unwrap();
        GrpoSettings { reward, ..plain_settings() }
    }

    /// The study's reward: +1 or −1 for the answer, and half as much for the tags.
    fn both() -> GrpoSettings {
        let term = |weight: f64, reward: &str| json!({ "weight": weight, "reward": reward, "version": 1 });
        settings(json!([term(2.0, "correct"), term(1.0, "tagged")]))
    }

    struct Run {
        settings: GrpoSettings,
        signs: Signs,
        step: u64,
        told: Vec<String>,
    }

    impl Run {
        fn new(settings: GrpoSettings) -> Self {
            Run { settings, signs: Signs::default(), step: 0, told: Vec::new() }
        }

        /// `batches` batches of these right answers, tags, lengths, cuts and entropy.
        fn batches(&mut self, batches: u64, [correct, tags, length, truncated, entropy]: [f64; 5]) -> &mut Self {
            for _ in 0..batches {
                self.step += 1;
                let flat = f64::from(u8::from(correct == 0.0 && tags == 0.0));
                let numbers = [
                    ("reward/correct", correct),
                    ("tag_rate", tags),
                    ("completion_length", length),
                    ("truncated", truncated),
                    ("entropy", entropy),
                    ("grad_norm", 1.0),
                    ("zero_variance_groups", flat),
                ];
                let metrics = numbers.map(|(name, value)| (name.to_string(), value)).into();
                let earned = Some(2.0 * correct + tags - 2.0);
                let batch = Batch { metrics: &metrics, earned, step: self.step };
                // As a resumed training would go on.
                let mut state = Tensors::new();
                self.signs.save(&mut state).unwrap();
                assert_eq!(Signs::restored(&state).unwrap(), self.signs);
                self.told.extend(self.signs.look(&batch, &self.settings));
            }
            self
        }

        fn told(&self, part: &str) -> usize {
            self.told.iter().filter(|told| told.contains(part)).count()
        }
    }

    #[test]
    fn a_training_that_goes_well_is_told_nothing() {
        let mut run = Run::new(both());
        for step in 0..40 {
            let done = f64::from(step) / 40.0;
            run.batches(1, [0.3 + 0.5 * done, 0.5 + 0.4 * done, 100.0 + 20.0 * done, 0.05, 1.0 - 0.8 * done]);
        }
        assert_eq!(run.told, Vec::<String>::new());
        assert_eq!(run.signs.verdict(), Metrics::from([("collapsed".to_string(), 0.0)]));
    }

    #[test]
    fn a_collapse_is_told_once_and_kept_for_the_record() {
        let mut run = Run::new(both());
        run.batches(10, [0.5, 0.9, 100.0, 0.0, 1.0]).batches(30, [0.0, 0.0, 512.0, 1.0, 1.0]);
        assert_eq!(run.told("collapsed"), 1, "{:?}", run.told);
        assert_eq!(run.told("have grown from 100 to"), 1);
        let verdict = run.signs.verdict();
        assert_eq!(verdict["collapsed"], 1.0);
        assert!((11.0..25.0).contains(&verdict["collapsed_at"]), "{verdict:?}");
        // What comes back has not collapsed.
        run.batches(20, [0.5, 0.9, 100.0, 0.0, 1.0]);
        assert_eq!(run.signs.verdict()["collapsed"], 0.0);
    }

    #[test]
    fn what_never_earned_anything_has_not_collapsed() {
        let mut run = Run::new(both());
        run.batches(40, [0.0, 0.0, 512.0, 0.9, 1.0]);
        assert_eq!(run.signs.verdict()["collapsed"], 0.0);
        assert_eq!(run.told.len(), 1, "{:?}", run.told);
        assert!(run.told[0].contains("90 % of the completions were cut before they could answer"), "{}", run.told[0]);
        assert!(run.told[0].contains("raise `max_completion_length`"));
        let mut run = Run::new(both());
        run.batches(40, [0.0, 0.0, 20.0, 0.0, 1.0]);
        assert!(
            run.told[0].contains("too hard") && run.told[0].contains("`correct` is earned by 0 %"),
            "{}",
            run.told[0]
        );
    }

    #[test]
    fn tags_that_are_gamed_are_told() {
        let mut run = Run::new(both());
        run.batches(10, [0.3, 0.1, 100.0, 0.0, 1.0]).batches(20, [0.15, 1.0, 30.0, 0.0, 1.0]);
        assert_eq!(run.told("earned by tags"), 1, "{:?}", run.told);
        assert_eq!(run.signs.verdict()["collapsed"], 0.0);
    }

    #[test]
    fn an_entropy_collapse_is_told() {
        let mut run = Run::new(both());
        run.batches(10, [0.3, 0.9, 100.0, 0.0, 0.8]).batches(30, [0.4, 0.9, 100.0, 0.0, 0.01]);
        assert_eq!(run.told("entropy has fallen"), 1, "{:?}", run.told);
    }

    #[test]
    fn a_reward_is_a_share_of_what_its_terms_can_give() {
        let GrpoSettings { reward, .. } = both();
        assert_eq!((share_of_range(&reward, -2.0), share_of_range(&reward, 1.0)), (Some(0.0), Some(1.0)));
        assert_eq!(heaviest(&reward), Some("correct"));
        let none = settings(json!([])).reward;
        assert_eq!((share_of_range(&none, 0.0), heaviest(&none)), (None, None));
    }
}
