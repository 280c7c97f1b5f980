//! The next token from logits: repetition penalty, temperature, top-k, top-p, min-p, then one draw.

use crate::base::seed::Stream;
use crate::nn::ops::softmax_in_place;
use crate::rollout::stops::StopTexts;
use std::cmp::Ordering;

/// How tokens are chosen, and when a completion ends.
///
/// The settings apply one after the other in the order of the fields, as Hugging Face transformers applies them.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// A token that prompt or completion has already: its logit is divided by this where it is positive and multiplied
    /// where it is negative (CTRL, arXiv:1909.05858, section 4.1); 1 changes nothing.
    pub repetition_penalty: f64,
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
    /// Keep only so many of the likeliest tokens (arXiv:1805.04833).
    pub top_k: Option<usize>,
    /// Keep the fewest tokens whose probability reaches this share of what top-k left (arXiv:1904.09751); 1 keeps all.
    pub top_p: f64,
    /// Keep tokens whose probability is at least this share of the likeliest one's (arXiv:2407.01082); 0 keeps all.
    pub min_p: f64,
    /// Tokens a completion may have, the one that ends it included.
    pub max_tokens: usize,
    /// Tokens that end a completion.
    pub stop_ids: Vec<u32>,
    /// Texts that end a completion.
    pub stop_texts: Option<StopTexts>,
}

impl Default for Sampling {
    /// The model's own distribution, up to 512 tokens, with nothing that ends a completion earlier.
    fn default() -> Self {
        Sampling {
            repetition_penalty: 1.0,
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            max_tokens: 512,
            stop_ids: Vec::new(),
            stop_texts: None,
        }
    }
}

impl Sampling {
    /// Whether tokens are drawn from the whole vocabulary.
    fn keeps_all(&self) -> bool {
        self.top_k.is_none() && self.top_p >= 1.0 && self.min_p <= 0.0
    }
}

/// A token and how likely it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chosen {
    pub id: u32,
    /// See [`super::Completion::logprobs`].
    pub logprob: f32,
    /// See [`super::Completion::drawn_logprobs`].
    pub drawn: f32,
}

/// Chooses a token from one row of logits, which is overwritten; `before` are the tokens of prompt and completion.
pub(super) fn choose(logits: &mut [f32], before: &[u32], sampling: &Sampling, stream: &mut Stream) -> Chosen {
    let inverse = if sampling.temperature == 0.0 { 1.0 } else { (1.0 / sampling.temperature) as f32 };
    if sampling.repetition_penalty == 1.0 {
        return choose_by(logits, inverse, sampling, stream);
    }
    let mut policy = logits.to_vec();
    penalise(logits, before, sampling.repetition_penalty as f32);
    let chosen = choose_by(logits, inverse, sampling, stream);
    let at_token = policy[chosen.id as usize] * inverse;
    Chosen { logprob: at_token - softmax_in_place(&mut policy, inverse), ..chosen }
}

fn penalise(logits: &mut [f32], before: &[u32], penalty: f32) {
    let mut seen: Vec<usize> = before.iter().map(|&id| id as usize).filter(|&id| id < logits.len()).collect();
    seen.sort_unstable();
    seen.dedup();
    for id in seen {
        logits[id] = if logits[id] > 0.0 { logits[id] / penalty } else { logits[id] * penalty };
    }
}

fn choose_by(logits: &mut [f32], inverse: f32, sampling: &Sampling, stream: &mut Stream) -> Chosen {
    if sampling.temperature == 0.0 {
        let best = likeliest(logits);
        let logit = logits[best];
        // The distribution that is drawn from has all its mass on one token.
        return Chosen { id: best as u32, logprob: logit - softmax_in_place(logits, inverse), drawn: 0.0 };
    }
    softmax_in_place(logits, inverse);
    if sampling.keeps_all() {
        let token = draw(logits.iter().copied().enumerate(), stream);
        let logprob = logits[token].ln();
        return Chosen { id: token as u32, logprob, drawn: logprob };
    }
    let kept = kept(logits, sampling);
    let token = draw(kept.iter().map(|&at| (at, logits[at])), stream);
    let mass: f64 = kept.iter().map(|&at| f64::from(logits[at])).sum();
    let logprob = logits[token].ln();
    Chosen { id: token as u32, logprob, drawn: logprob - mass.ln() as f32 }
}

/// The first of the largest.
fn likeliest(values: &[f32]) -> usize {
    values.iter().enumerate().fold(0, |best, (at, &value)| if value > values[best] { at } else { best })
}

/// Token ids that top-k, top-p and min-p leave, likeliest first, of equals the smaller id first; one at least.
fn kept(probabilities: &[f32], sampling: &Sampling) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    let k = sampling.top_k.unwrap_or(order.len()).clamp(1, order.len());
    if k < order.len() {
        order.select_nth_unstable_by(k - 1, |a, b| likelier(probabilities, *a, *b));
        order.truncate(k);
    }
    nucleus(&mut order, probabilities, sampling.top_p);
    let least = sampling.min_p * order.first().map_or(0.0, |&at| f64::from(probabilities[at]));
    order.truncate(order.partition_point(|&at| f64::from(probabilities[at]) >= least).max(1));
    order
}

fn likelier(probabilities: &[f32], a: usize, b: usize) -> Ordering {
    probabilities[b].total_cmp(&probabilities[a]).then(a.cmp(&b))
}

/// Sorts the ids and cuts them to the fewest whose probability reaches `share` of that of all.
///
/// They are often few of many, so that ever wider heads are sorted instead of all.
fn nucleus(order: &mut Vec<usize>, probabilities: &[f32], share: f64) {
    let wanted = share * order.iter().map(|&at| f64::from(probabilities[at])).sum::<f64>();
    let mut width = if share < 1.0 { 256 } else { order.len() };
    loop {
        width = width.min(order.len());
        if width < order.len() {
            order.select_nth_unstable_by(width - 1, |a, b| likelier(probabilities, *a, *b));
        }
        order[..width].sort_unstable_by(|a, b| likelier(probabilities, *a, *b));
        let mut reached = 0.0;
        let last = order[..width].iter().position(|&at| {
            reached += f64::from(probabilities[at]);
            reached >= wanted
        });
        match last {
            Some(last) if share < 1.0 => return order.truncate(last + 1),
            // Rounding may keep the sum of all below the share of it.
            _ if width == order.len() => return,
            _ => width *= 16,
        }
    }
}

/// One draw in proportion to the weights: the first whose running sum exceeds u · total.
fn draw(weights: impl Iterator<Item = (usize, f32)> + Clone, stream: &mut Stream) -> usize {
    let total: f64 = weights.clone().map(|(_, weight)| f64::from(weight)).sum();
    let mut left = stream.uniform() * total;
    let mut chosen = 0;
    for (at, weight) in weights {
        // Rounding may leave a rest after the last; a token of weight 0 is never the answer.
        if weight > 0.0 {
            chosen = at;
            left -= f64::from(weight);
            if left < 0.0 {
                break;
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::Seed;

    const SHARES: [f32; 4] = [0.4, 0.3, 0.2, 0.1];

    fn sampling(temperature: f64, top_k: Option<usize>, top_p: f64) -> Sampling {
        Sampling { temperature, top_k, top_p, max_tokens: 1, ..Sampling::default() }
    }

    fn chosen(sampling: &Sampling, draws: usize) -> Vec<Chosen> {
        let mut stream = Seed::new(1).stream();
        (0..draws).map(|_| choose(&mut SHARES.map(f32::ln), &[], sampling, &mut stream)).collect()
    }

    fn counts(sampling: &Sampling, draws: usize) -> [usize; 4] {
        let mut counts = [0; 4];
        for Chosen { id, logprob, .. } in chosen(sampling, draws) {
            let expected = SHARES[id as usize].ln();
            assert!((logprob - expected).abs() < 1e-5, "truncation does not change the policy's log-probabilities");
            counts[id as usize] += 1;
        }
        counts
    }

    /// Σ (observed − expected)² / expected.
    fn chi_squared(counts: &[usize], shares: &[f64]) -> f64 {
        let draws = counts.iter().sum::<usize>() as f64;
        let term = |(&count, share): (&usize, f64)| (count as f64 - draws * share).powi(2) / (draws * share);
        counts.iter().zip(shares.iter().copied()).map(term).sum()
    }

    /// The quantile of the chi-squared distribution that one test in a thousand exceeds, for 1, 2 and 3 degrees of freedom.
    const ONE_IN_A_THOUSAND: [f64; 3] = [10.828, 13.816, 16.266];

    #[test]
    fn sampled_frequencies_pass_a_chi_squared_test() {
        let cases: [(Sampling, &[f64]); 5] = [
            (sampling(1.0, None, 1.0), &[0.4, 0.3, 0.2, 0.1]),
            (sampling(1.0, Some(3), 1.0), &[4.0 / 9.0, 3.0 / 9.0, 2.0 / 9.0]),
            (sampling(1.0, None, 0.65), &[4.0 / 7.0, 3.0 / 7.0]),
            (Sampling { min_p: 0.45, ..sampling(1.0, None, 1.0) }, &[4.0 / 9.0, 3.0 / 9.0, 2.0 / 9.0]),
            // Squares of the probabilities, normalised.
            (sampling(0.5, None, 1.0), &[16.0 / 30.0, 9.0 / 30.0, 4.0 / 30.0, 1.0 / 30.0]),
        ];
        for (sampling, shares) in cases {
            let chosen = chosen(&sampling, 20_000);
            let mut counts = vec![0; shares.len()];
            for Chosen { id, drawn, .. } in chosen {
                counts[id as usize] += 1;
                let expected = shares[id as usize].ln();
                assert!((f64::from(drawn) - expected).abs() < 1e-5, "{sampling:?}: {drawn}, not {expected}");
            }
            let statistic = chi_squared(&counts, shares);
            assert!(statistic < ONE_IN_A_THOUSAND[shares.len() - 2], "{sampling:?}: {counts:?} give {statistic}");
        }
    }

    #[test]
    fn truncation_keeps_the_likeliest() {
        assert_eq!(counts(&sampling(1.0, Some(2), 1.0), 500)[2..], [0, 0]);
        assert_eq!(counts(&sampling(1.0, None, 0.65), 500)[2..], [0, 0]);
        assert_eq!(counts(&sampling(1.0, None, 0.1), 500), [500, 0, 0, 0]);
        assert_eq!(counts(&sampling(0.0, None, 1.0), 3), [3, 0, 0, 0]);
        assert!(counts(&sampling(1.0, Some(4), 0.95), 2_000)[3] > 0);
        assert_eq!(counts(&Sampling { min_p: 1.0, ..sampling(1.0, None, 1.0) }, 500), [500, 0, 0, 0]);
        assert_eq!(counts(&Sampling { min_p: 0.7, ..sampling(1.0, None, 1.0) }, 500)[2..], [0, 0]);
    }

    #[test]
    fn a_nucleus_of_many_tokens_is_that_of_a_full_sort() {
        let mut stream = Seed::new(3).stream();
        let probabilities: Vec<f32> = (0..5_000).map(|_| stream.uniform() as f32).collect();
        let mut sorted: Vec<usize> = (0..probabilities.len()).collect();
        sorted.sort_by(|a, b| likelier(&probabilities, *a, *b));
        for share in [0.01, 0.3, 0.9, 0.999_999, 1.0] {
            let mut order: Vec<usize> = (0..probabilities.len()).collect();
            nucleus(&mut order, &probabilities, share);
            assert_eq!(order, sorted[..order.len()], "{share}");
            let mass = |ids: &[usize]| ids.iter().map(|&at| f64::from(probabilities[at])).sum::<f64>();
            assert!(mass(&order) >= share * mass(&sorted) * (1.0 - 1e-12), "{share}");
            assert!(share == 1.0 || mass(&order[..order.len() - 1]) < share * mass(&sorted), "{share}");
        }
    }

    #[test]
    fn temperature_divides_the_logits() {
        let mut logits = [2.0f32, 0.0];
        let chosen = choose(&mut logits, &[], &sampling(2.0, Some(1), 1.0), &mut Seed::new(1).stream());
        assert_eq!((chosen.id, chosen.drawn), (0, 0.0));
        assert!((chosen.logprob - (1.0 / (1.0 + (-1.0f32).exp())).ln()).abs() < 1e-6);
    }

    #[test]
    fn a_repetition_penalty_acts_once_on_each_token_that_was_there() {
        let penalised = |before: &[u32]| {
            let mut logits = [2.0f32, -1.0, 1.5];
            penalise(&mut logits, before, 2.0);
            logits
        };
        assert_eq!(penalised(&[]), [2.0, -1.0, 1.5]);
        assert_eq!(penalised(&[0, 1, 0, 99]), [1.0, -2.0, 1.5]);
        let greedy = Sampling { repetition_penalty: 2.0, temperature: 0.0, ..Sampling::default() };
        let chosen = choose(&mut [2.0f32, -1.0, 1.5], &[0, 1], &greedy, &mut Seed::new(1).stream());
        let policy = 1.5 - (2.0f32.exp() + (-1.0f32).exp() + 1.5f32.exp()).ln();
        assert_eq!(chosen.id, 2);
        assert!((chosen.logprob - policy).abs() < 1e-6, "the policy's log-probability knows no penalty");
    }
}
