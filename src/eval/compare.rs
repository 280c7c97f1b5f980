//! Two ways of training on the same items, each under one seed or several.

use super::crossed::{Crossed, crossed};
use super::score::ItemScore;
use super::stats::{self, Interval, Paired};
use crate::base::measure::Measure;
use crate::base::seed::Seed;
use std::collections::{BTreeMap, BTreeSet};

/// The scores of one way of training: by repeat, such as the label of its seed, the scores of every item.
pub type Repeats = BTreeMap<String, Vec<ItemScore>>;

/// The mean of a measure over items and repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Items times repeats.
    pub n: usize,
    /// The mean.
    pub mean: f64,
    /// Its 95 % interval: over items under one repeat, over items and repeats under several.
    pub interval: Interval,
}

/// Two ways of training on the same items.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Items, times repeats, that both have.
    pub pairs: usize,
    /// Those that only one of them has; they are left out.
    pub unpaired: usize,
    /// The second's mean minus the first's, on what both have.
    pub difference: f64,
    /// Lower end of the difference's 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Two-sided probability of such a difference without a true one.
    pub p_value: f64,
    /// How they were compared.
    pub method: Method,
}

/// How two ways of training are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One sample an item: McNemar's exact test, and Newcombe's interval.
    Mcnemar,
    /// Several samples an item: the paired bootstrap, clustered by item.
    PairedBootstrap,
    /// Several seeds: items and seeds as crossed random effects.
    Crossed,
}

impl Method {
    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Method::Mcnemar => "mcnemar",
            Method::PairedBootstrap => "paired_bootstrap",
            Method::Crossed => "crossed",
        }
    }
}

/// The mean of a measure over one way of training; none without an item that has it.
pub fn estimate(measure: Measure, repeats: &Repeats, seed: Seed) -> Option<Mean> {
    let by_repeat: Vec<BTreeMap<&str, f64>> = repeats.values().map(|items| by_item(measure, items)).collect();
    if let Some(found) = crossed(&table(&by_repeat)) {
        let n = found.items * by_repeat.len();
        return Some(Mean { n, mean: found.mean, interval: found.share_interval() });
    }
    let values: Vec<f64> = by_repeat.iter().flat_map(|items| items.values().copied()).collect();
    let interval = match repeats.values().flatten().all(|item| is_yes_or_no(measure, item)) {
        true => stats::wilson(values.iter().filter(|value| **value == 1.0).count() as u64, values.len() as u64),
        false => stats::bootstrap_mean(&values, seed),
    };
    (!values.is_empty()).then(|| Mean { n: values.len(), mean: stats::mean(&values), interval })
}

/// Compares two ways of training, paired by item and repeat; none where nothing can be paired.
pub fn compare(measure: Measure, first: &Repeats, second: &Repeats, seed: Seed) -> Option<Comparison> {
    let pairs = paired(measure, first, second);
    let count: usize = pairs.iter().map(Vec::len).sum();
    let all = first.values().chain(second.values()).map(Vec::len).sum::<usize>();
    let by_repeat: Vec<BTreeMap<&str, f64>> =
        pairs.iter().map(|pairs| pairs.iter().map(|pair| (pair.item, pair.second - pair.first)).collect()).collect();
    let binary = first.values().chain(second.values()).flatten().all(|item| is_yes_or_no(measure, item));
    let (found, method) = match crossed(&table(&by_repeat)) {
        Some(found) => (over_repeats(&found, &pairs, binary), Method::Crossed),
        None if count == 0 => return None,
        None if binary => (mcnemar(&pairs.concat()), Method::Mcnemar),
        None => (bootstrap(&pairs.concat(), seed), Method::PairedBootstrap),
    };
    let (difference, Interval { low, high }, p_value) = found;
    Some(Comparison { pairs: count, unpaired: all.saturating_sub(2 * count), difference, low, high, p_value, method })
}

/// What both have of an item under the same repeat.
#[derive(Clone, Copy)]
struct Pair<'a> {
    item: &'a str,
    first: f64,
    second: f64,
}

/// A difference, its interval, and the probability of it.
type Verdict = (f64, Interval, f64);

/// By repeat, the items that both have.
fn paired<'a>(measure: Measure, first: &'a Repeats, second: &'a Repeats) -> Vec<Vec<Pair<'a>>> {
    let of_repeat = |(repeat, first): (&String, &'a Vec<ItemScore>)| {
        let second = by_item(measure, second.get(repeat)?);
        let pair = |(item, first)| Some(Pair { item, first, second: *second.get(item)? });
        let pairs: Vec<Pair> = by_item(measure, first).into_iter().filter_map(pair).collect();
        (!pairs.is_empty()).then_some(pairs)
    };
    first.iter().filter_map(of_repeat).collect()
}

fn by_item(measure: Measure, items: &[ItemScore]) -> BTreeMap<&str, f64> {
    items.iter().filter_map(|item| Some((item.id.as_str(), item.measured(measure)?))).collect()
}

/// Whether the measure of such an item is 0 or 1 and nothing between.
fn is_yes_or_no(measure: Measure, item: &ItemScore) -> bool {
    match measure {
        Measure::Accuracy => item.samples == 1,
        Measure::PassAt(k) => item.samples == k,
        // Ties are averaged.
        Measure::MajAt(_) => item.samples == 1,
    }
}

/// The values, by repeat, of the items that every repeat has.
fn table(repeats: &[BTreeMap<&str, f64>]) -> Vec<Vec<f64>> {
    let in_all = |item: &&str| repeats.iter().all(|repeat| repeat.contains_key(item));
    let common: BTreeSet<&str> =
        repeats.iter().take(1).flat_map(|first| first.keys().copied()).filter(in_all).collect();
    repeats.iter().map(|repeat| common.iter().map(|item| repeat[item]).collect()).collect()
}

fn over_repeats(found: &Crossed, pairs: &[Vec<Pair>], binary: bool) -> Verdict {
    if found.variance > 0.0 || !binary {
        return (found.mean, found.interval(), found.p_value());
    }
    // Every item of every repeat differs alike, as a rule not at all: as sure as one repeat's items make it.
    let (mean, interval, _) = mcnemar(&pairs[0]);
    (mean, interval, found.p_value())
}

fn bootstrap(pairs: &[Pair], seed: Seed) -> Verdict {
    let (first, second): (Vec<f64>, Vec<f64>) = pairs.iter().map(|pair| (pair.first, pair.second)).unzip();
    let found = stats::paired_bootstrap(&first, &second, seed);
    (found.difference, found.interval, found.p_value)
}

fn mcnemar(pairs: &[Pair]) -> Verdict {
    let counts = Paired::count(pairs.iter().map(|pair| (pair.first == 1.0, pair.second == 1.0)));
    (counts.difference(), counts.difference_interval(), counts.mcnemar())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: usize, correct: u64, samples: u64) -> ItemScore {
        ItemScore {
            bench: "arith".into(),
            id: id.to_string(),
            question: String::new(),
            gold: "18".into(),
            samples,
            correct,
            answers: Vec::new(),
        }
    }

    /// `right` of 40 items right, the same ones first; `turned` turns some around.
    fn items(right: usize, turned: &[usize]) -> Vec<ItemScore> {
        (0..40).map(|id| item(id, u64::from((id < right) != turned.contains(&id)), 1)).collect()
    }

    fn one(items: Vec<ItemScore>) -> Repeats {
        Repeats::from([("1".to_string(), items)])
    }

    fn several(repeats: &[Vec<ItemScore>]) -> Repeats {
        repeats.iter().enumerate().map(|(seed, items)| (seed.to_string(), items.clone())).collect()
    }

    #[test]
    fn items_are_paired_whatever_their_order() {
        let mut better = items(30, &[]);
        better.reverse();
        better.pop();
        let found = compare(Measure::Accuracy, &one(items(10, &[])), &one(better), Seed::new(0)).unwrap();
        assert_eq!((found.pairs, found.unpaired, found.method), (39, 1, Method::Mcnemar));
        assert!(found.p_value < 1e-4 && found.low > 0.3, "{found:?}");
        assert_eq!(compare(Measure::Accuracy, &one(items(10, &[])), &Repeats::new(), Seed::new(0)), None);
    }

    #[test]
    fn what_counts_of_several_samples_can_be_chosen() {
        let sampled = |right: u64| one((0..40).map(|id| item(id, if id % 2 == 0 { right } else { 0 }, 4)).collect());
        let found = |measure| compare(measure, &sampled(1), &sampled(2), Seed::new(0)).unwrap();
        assert_eq!((found(Measure::PassAt(4)).method, found(Measure::PassAt(4)).difference), (Method::Mcnemar, 0.0));
        // pass@2 of 1 and of 2 right ones in 4: 1/2 and 5/6, for every other item.
        assert!((found(Measure::PassAt(2)).difference - (5.0 / 6.0 - 0.5) / 2.0).abs() < 1e-12);
        assert_eq!(found(Measure::PassAt(2)).method, Method::PairedBootstrap);
        assert_eq!(compare(Measure::PassAt(8), &sampled(1), &sampled(2), Seed::new(0)), None);
        assert_eq!(estimate(Measure::MajAt(8), &sampled(1), Seed::new(0)), None);
        assert_eq!(estimate(Measure::PassAt(4), &sampled(1), Seed::new(0)).unwrap().mean, 0.5);
    }

    #[test]
    fn several_samples_are_resampled_by_item() {
        let sampled = |right: u64| (0..40).map(|id| item(id, if id % 2 == 0 { right } else { 0 }, 4)).collect();
        let found = compare(Measure::Accuracy, &one(sampled(1)), &one(sampled(3)), Seed::new(0)).unwrap();
        assert_eq!((found.method, found.difference), (Method::PairedBootstrap, 0.25));
        let accuracy = estimate(Measure::Accuracy, &one(sampled(2)), Seed::new(0)).unwrap();
        assert!((accuracy.mean - 0.25).abs() < 1e-12 && accuracy.interval.low > 0.15, "{accuracy:?}");
    }

    /// Three seeds that answer alike are no more sure than one: the same items three times are no new items.
    #[test]
    fn seeds_that_answer_alike_add_nothing() {
        let alike = |right| several(&[items(right, &[]), items(right, &[]), items(right, &[])]);
        let (single, threefold) = (one(items(20, &[])), alike(20));
        let width = |repeats: &Repeats| {
            let found = estimate(Measure::Accuracy, repeats, Seed::new(0)).unwrap().interval;
            found.high - found.low
        };
        assert!(width(&threefold) >= 0.98 * width(&single), "{} {}", width(&threefold), width(&single));
        let found = compare(Measure::Accuracy, &alike(20), &alike(24), Seed::new(0)).unwrap();
        let once = compare(Measure::Accuracy, &single, &one(items(24, &[])), Seed::new(0)).unwrap();
        assert_eq!((found.method, found.pairs, once.pairs), (Method::Crossed, 120, 40));
        assert!(found.high - found.low >= 0.8 * (once.high - once.low), "{found:?} {once:?}");
        let none = compare(Measure::Accuracy, &alike(20), &alike(20), Seed::new(0)).unwrap();
        assert!(none.p_value == 1.0 && none.low < 0.0 && none.high > 0.0, "{none:?}");
    }

    /// What one seed gains and another loses is no gain, however many items there are.
    #[test]
    fn seeds_that_disagree_widen_the_interval() {
        let baseline = several(&[items(20, &[]), items(20, &[]), items(20, &[])]);
        let alike = several(&[items(28, &[1]), items(28, &[2]), items(28, &[3])]);
        let apart = several(&[items(36, &[1]), items(28, &[2]), items(20, &[3])]);
        let found = |second| compare(Measure::Accuracy, &baseline, &second, Seed::new(0)).unwrap();
        let (alike, apart) = (found(alike), found(apart));
        assert!((alike.difference - apart.difference).abs() < 1e-12);
        assert!(alike.p_value < 0.05 && apart.p_value > 0.2, "{alike:?} {apart:?}");
    }

    /// Where each repeat has items of its own, such as a fold, nothing is repeated and all items count.
    #[test]
    fn repeats_without_a_common_item_are_more_items() {
        let shifted = |right: usize| (40..80).map(|id| item(id, u64::from(id < 40 + right), 1)).collect::<Vec<_>>();
        let folds = |right| several(&[items(right, &[]), shifted(right)]);
        let found = compare(Measure::Accuracy, &folds(10), &folds(20), Seed::new(0)).unwrap();
        assert_eq!((found.method, found.pairs, found.unpaired), (Method::Mcnemar, 80, 0));
        assert_eq!(estimate(Measure::Accuracy, &folds(10), Seed::new(0)).unwrap().n, 80);
    }
}
