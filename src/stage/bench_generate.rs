//! How fast completions are generated on random weights: what `srlm bench generate` measures.

use super::StageError;
use crate::base::seed::Seed;
use crate::model::{Decoder, random_weights};
pub use crate::model::{NamedShape, SHAPES};
use crate::rollout::{Prompt, Sampling, generate_watched};
use serde::Serialize;
use std::time::Instant;

/// What to measure.
#[derive(Clone, Debug)]
pub struct GenerateBench {
    /// The model's shape.
    pub shape: NamedShape,
    /// Tokens of each prompt.
    pub prompt: usize,
    /// Tokens of each completion.
    pub new: usize,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f64,
    /// Timed runs of each batch, after one that is not counted.
    pub repeats: usize,
}

/// What one batch took: medians over the runs.
#[derive(Clone, Debug, Serialize)]
pub struct GenerateTiming {
    /// The shape's name.
    pub shape: &'static str,
    /// Numbers of weights and cache.
    pub dtype: &'static str,
    /// Sequences at the same time.
    pub batch: usize,
    /// Tokens of each prompt.
    pub prompt: usize,
    /// Tokens of each completion.
    pub new: usize,
    /// Threads that could be used.
    pub threads: usize,
    /// Timed runs.
    pub repeats: usize,
    /// Seconds that laying out the weights took, once for all runs.
    pub pack_seconds: f64,
    /// Seconds from the start to the last token, the weights laid out.
    pub seconds: f64,
    /// Seconds until every sequence had its first token.
    pub first_token_seconds: f64,
    /// New tokens a second over the whole batch, prompts included in the time.
    pub tokens_per_second: f64,
    /// The slowest and the fastest run.
    pub range: [f64; 2],
    /// New tokens a second after the first of each sequence.
    pub decode_tokens_per_second: f64,
}

/// A model of random weights, ready to be measured.
pub struct Measured {
    bench: GenerateBench,
    decoder: Decoder,
    pack_seconds: f64,
}

impl GenerateBench {
    /// Makes the model.
    ///
    /// # Errors
    /// [`StageError::Input`] where there is nothing to generate, [`StageError::Machine`] where memory does not suffice.
    pub fn prepare(self) -> Result<Measured, StageError> {
        if self.prompt == 0 || self.new < 2 || self.repeats == 0 {
            return Err(StageError::input("a prompt of one token, two new ones and one run are the least to measure"));
        }
        let config = self.shape.config(self.prompt + self.new)?;
        let weights = random_weights(&config, 0.02, Seed::new(0).child("weights", 0))?;
        let decoder = Decoder::frozen(&config, &weights)?;
        let start = Instant::now();
        let decoder = decoder.for_generation().map_err(|error| StageError::machine(error.to_string()))?;
        Ok(Measured { pack_seconds: start.elapsed().as_secs_f64(), decoder, bench: self })
    }
}

impl Measured {
    /// Times one batch; every prompt is another one.
    ///
    /// # Errors
    /// What generation says.
    pub fn time(&self, batch: usize) -> Result<GenerateTiming, StageError> {
        let runs: Result<Vec<[f64; 2]>, StageError> = (0..=self.bench.repeats).map(|_| self.once(batch)).collect();
        let runs = &runs?[1..];
        let GenerateBench { shape, prompt, new, repeats, .. } = self.bench;
        let first = median(runs.iter().map(|[first, _]| *first).collect());
        let whole = median(runs.iter().map(|[_, whole]| *whole).collect());
        let tokens = (batch * new) as f64;
        let rates = runs.iter().map(|[_, whole]| tokens / whole);
        Ok(GenerateTiming {
            shape: shape.name,
            dtype: "f32",
            batch,
            prompt,
            new,
            threads: rayon::current_num_threads(),
            repeats,
            pack_seconds: self.pack_seconds,
            seconds: whole,
            first_token_seconds: first,
            tokens_per_second: tokens / whole,
            range: [rates.clone().fold(f64::INFINITY, f64::min), rates.fold(0.0, f64::max)],
            decode_tokens_per_second: (batch * (new - 1)) as f64 / (whole - first),
        })
    }

    /// Seconds to the first token of all, and to the last.
    fn once(&self, batch: usize) -> Result<[f64; 2], StageError> {
        let vocabulary = self.decoder.config().vocab_size as u64;
        let prompt = |at: u64| {
            let mut stream = Seed::new(1).child("prompt", at).stream();
            let ids = (0..self.bench.prompt).map(|_| stream.below(vocabulary) as u32).collect();
            Prompt { ids, seed: Seed::new(1).child("sample", at) }
        };
        let prompts: Vec<Prompt> = (0..batch as u64).map(prompt).collect();
        let GenerateBench { temperature, new, .. } = self.bench;
        let sampling = Sampling { temperature, max_tokens: new, ..Sampling::default() };
        let (start, mut first) = (Instant::now(), None);
        generate_watched(&self.decoder, &prompts, &sampling, batch, &mut |_, _| {
            first.get_or_insert_with(|| start.elapsed());
            true
        })?;
        Ok([first.unwrap_or_default().as_secs_f64(), start.elapsed().as_secs_f64()])
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_timed() {
        let bench = GenerateBench { shape: SHAPES[1], prompt: 4, new: 3, temperature: 1.0, repeats: 2 };
        let timing = bench.clone().prepare().unwrap().time(3).unwrap();
        assert!(timing.first_token_seconds > 0.0 && timing.first_token_seconds < timing.seconds);
        assert!(timing.range[0] <= timing.tokens_per_second && timing.tokens_per_second <= timing.range[1]);
        assert!((timing.tokens_per_second * timing.seconds - 9.0).abs() < 1e-6);
        assert!(GenerateBench { new: 1, ..bench }.prepare().is_err());
    }
}
