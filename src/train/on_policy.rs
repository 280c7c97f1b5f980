//! Batches whose completions the student samples itself, so that it is corrected where it goes (GKD, arXiv:2306.13649).

use super::watch::{TrainError, Watch};
use crate::base::seed::Seed;
use crate::data::encode::Example;
use crate::data::order::Order;
use crate::model::Decoder;
use crate::rollout::{self, Prompt, Sampling, Stop};

/// Which batches are sampled, and how.
pub struct OnPolicy {
    /// The share of the batches, 0 to 1: each is drawn for itself.
    pub share: f64,
    /// The prompts as token ids, at least one.
    pub prompts: Vec<Vec<u32>>,
    /// Temperature and length.
    pub sampling: Sampling,
    /// Sequences that are generated at the same time; it changes no token.
    pub sequences_at_once: usize,
    /// Root of which batches, which prompts and which tokens.
    pub seed: Seed,
}

/// A batch that the student wrote.
pub(super) struct Sampled {
    /// Prompts with completions, the latter trained.
    pub examples: Vec<Example>,
    /// What there is to tell of it.
    pub metrics: Vec<(&'static str, f64)>,
}

impl OnPolicy {
    /// Whether the batch of that step is sampled: by the seed alone, so that a resumed training does the same.
    pub(super) fn samples(&self, step: u64) -> bool {
        self.seed.child("is_on_policy", step).stream().uniform() < self.share
    }

    /// Samples `count` completions for the batch of that step.
    ///
    /// # Errors
    /// [`TrainError::Rollout`] where sampling failed or was stopped.
    pub(super) fn batch(
        &self,
        student: &Decoder,
        step: u64,
        count: usize,
        watch: &Watch<'_>,
    ) -> Result<Sampled, TrainError> {
        let chosen = Order::new(self.prompts.len(), self.seed.child("prompts", 0)).batch(step * count as u64, count);
        let seed = self.seed.child("batch", step);
        let prompt = |(at, &chosen): (usize, &usize)| Prompt {
            ids: self.prompts[chosen].clone(),
            seed: seed.child("sample", at as u64),
        };
        let prompts: Vec<Prompt> = chosen.iter().enumerate().map(prompt).collect();
        let completions = rollout::generate(student, &prompts, &self.sampling, self.sequences_at_once, &mut |_| {
            !watch.should_stop()
        })?;
        let example = |(prompt, ids): (&Prompt, &Vec<u32>)| Example {
            ids: prompt.ids.iter().chain(ids).copied().collect(),
            mask: (0..prompt.ids.len() + ids.len()).map(|at| at >= prompt.ids.len()).collect(),
        };
        let tokens: usize = completions.iter().map(|completion| completion.ids.len()).sum();
        let cut = completions.iter().filter(|completion| completion.stop == Stop::Length).count();
        let examples = prompts.iter().zip(completions.iter().map(|completion| &completion.ids)).map(example).collect();
        let share = |sum: usize| sum as f64 / count.max(1) as f64;
        let metrics = vec![("on_policy", 1.0), ("completion_length", share(tokens)), ("truncated", share(cut))];
        Ok(Sampled { examples, metrics })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_batches_is_the_one_asked_for() {
        let on_policy = |share: f64| OnPolicy {
            share,
            prompts: vec![vec![1]],
            sampling: Sampling { max_tokens: 4, ..Sampling::default() },
            sequences_at_once: 4,
            seed: Seed::new(5),
        };
        let count = |share: f64| (0..1000).filter(|&step| on_policy(share).samples(step)).count();
        assert_eq!((count(0.0), count(1.0)), (0, 1000));
        // Four standard deviations of a binomial with n 1000 and p 0.3.
        assert!((242..=358).contains(&count(0.3)), "{}", count(0.3));
    }
}
