//! The next token from logits: temperature, then top-k, then top-p, then one draw.

use crate::base::seed::Stream;
use crate::nn::ops::softmax_in_place;

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
    /// Keep only so many of the likeliest tokens.
    pub top_k: Option<usize>,
    /// Keep the fewest tokens whose probability reaches this; 1 keeps all.
    pub top_p: f64,
    /// Tokens a completion may have, the stop token included.
    pub max_tokens: usize,
    /// Tokens that end a completion.
    pub stop_ids: Vec<u32>,
}

/// Chooses a token from one row of logits, which is overwritten.
///
/// Returns its log-probability under softmax(logits / temperature) over the whole vocabulary, before top-k
/// and top-p; at temperature 0, under softmax(logits).
pub(super) fn choose(logits: &mut [f32], sampling: &Sampling, stream: &mut Stream) -> (u32, f32) {
    if sampling.temperature == 0.0 {
        let best = likeliest(logits);
        let logit = logits[best];
        return (best as u32, logit - softmax_in_place(logits, 1.0));
    }
    let inverse = (1.0 / sampling.temperature) as f32;
    softmax_in_place(logits, inverse);
    let token = match sampling.top_k.is_none() && sampling.top_p >= 1.0 {
        true => draw(logits.iter().copied().enumerate(), stream),
        false => draw(kept(logits, sampling).into_iter().map(|at| (at, logits[at])), stream),
    };
    (token as u32, logits[token].ln())
}

/// The first of the largest.
fn likeliest(values: &[f32]) -> usize {
    values.iter().enumerate().fold(0, |best, (at, &value)| if value > values[best] { at } else { best })
}

/// Token ids that top-k and top-p leave, likeliest first, of equals the smaller id first.
fn kept(probabilities: &[f32], sampling: &Sampling) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    let by_probability = |a: &usize, b: &usize| probabilities[*b].total_cmp(&probabilities[*a]).then(a.cmp(b));
    let k = sampling.top_k.unwrap_or(order.len()).clamp(1, order.len());
    if k < order.len() {
        order.select_nth_unstable_by(k - 1, by_probability);
        order.truncate(k);
    }
    order.sort_unstable_by(by_probability);
    // Top-p is a share of what top-k left, as Hugging Face applies them one after the other.
    let whole: f64 = order.iter().map(|&at| f64::from(probabilities[at])).sum();
    let mut reached = 0.0;
    let enough = order.iter().position(|&at| {
        reached += f64::from(probabilities[at]);
        reached >= sampling.top_p * whole
    });
    order.truncate(enough.map_or(order.len(), |last| last + 1));
    order
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

    fn sampling(temperature: f64, top_k: Option<usize>, top_p: f64) -> Sampling {
        Sampling { temperature, top_k, top_p, max_tokens: 1, stop_ids: Vec::new() }
    }

    fn counts(sampling: &Sampling, draws: usize) -> [usize; 4] {
        let mut stream = Seed::new(1).stream();
        let mut counts = [0; 4];
        for _ in 0..draws {
            let mut logits = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln);
            let (token, log_prob) = choose(&mut logits, sampling, &mut stream);
            let expected = [0.4f32, 0.3, 0.2, 0.1][token as usize].ln();
            assert!((log_prob - expected).abs() < 1e-5, "truncation does not change log-probabilities");
            counts[token as usize] += 1;
        }
        counts
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let counts = counts(&sampling(1.0, None, 1.0), 20_000);
        for (count, p) in counts.iter().zip([0.4, 0.3, 0.2, 0.1]) {
            assert!((*count as f64 / 20_000.0 - p).abs() < 0.02, "{counts:?}");
        }
    }

    #[test]
    fn truncation_keeps_the_likeliest() {
        assert_eq!(counts(&sampling(1.0, Some(2), 1.0), 500)[2..], [0, 0]);
        assert_eq!(counts(&sampling(1.0, None, 0.65), 500)[2..], [0, 0]);
        assert_eq!(counts(&sampling(1.0, None, 0.1), 500), [500, 0, 0, 0]);
        assert_eq!(counts(&sampling(0.0, None, 1.0), 3), [3, 0, 0, 0]);
        assert!(counts(&sampling(1.0, Some(4), 0.95), 2_000)[3] > 0);
    }

    #[test]
    fn temperature_divides_the_logits() {
        let mut logits = [2.0f32, 0.0];
        let (token, log_prob) = choose(&mut logits, &sampling(2.0, Some(1), 1.0), &mut Seed::new(1).stream());
        assert_eq!(token, 0);
        assert!((log_prob - (1.0 / (1.0 + (-1.0f32).exp())).ln()).abs() < 1e-6);
    }
}
