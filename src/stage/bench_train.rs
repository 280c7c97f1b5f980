//! How fast this machine trains on random weights: the real step, timed, for `srlm bench train`.

use super::StageError;
use crate::base::memory;
use crate::base::seed::Seed;
use crate::data::encode::Example;
use crate::model::{Compute, Decoder, ModelConfig, checkpoint, random_weights};
pub use crate::nn::ops::Precision;
use crate::nn::ops::{KernelPath, Part, clock, gemm_peak};
use crate::nn::{AdamWConfig, Schedule, ScheduleShape, Warmup};
use crate::train::sft;
use crate::train::step::{Learner, OptimiserSettings};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct TrainBench {
    /// Number format of the products.
    pub precision: Precision,
    /// Sequences a step.
    pub batch: usize,
    /// Tokens of each.
    pub length: usize,
    /// Whether layers are run once more on the way back, for less memory.
    pub checkpointing: bool,
    /// Timed steps, after one that is not counted.
    pub steps: usize,
}

/// What a step took: medians over the timed steps.
#[derive(Clone, Debug, Serialize)]
pub struct TrainTiming {
    /// Number format of the products.
    pub dtype: &'static str,
    /// Which code makes products of bfloat16 here: `avx512`, `avx2` or `portable`.
    pub kernels: &'static str,
    /// Sequences a step.
    pub batch: usize,
    /// Tokens of each.
    pub length: usize,
    /// Whether layers were run once more on the way back.
    pub checkpointing: bool,
    /// Parameters, all of them trained.
    pub parameters: usize,
    /// Threads that could be used.
    pub threads: usize,
    /// Timed steps.
    pub steps: usize,
    /// Seconds a step: forward, backward, clipping, AdamW.
    pub seconds: f64,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// The slowest and the fastest step.
    pub range: [f64; 2],
    /// Multiplications and additions a second of the machine's matrix products in this format, measured beside.
    pub gemm_peak: f64,
    /// The step's own multiplications and additions a second, over that.
    pub share_of_peak: f64,
    /// The most memory that the process ever had, in bytes.
    pub peak_memory: Option<u64>,
    /// Page faults a step; none where the system does not say.
    pub page_faults: Option<f64>,
    /// Seconds a step by kinds of work; what is left is gathering, the tape, and waiting.
    pub parts: BTreeMap<&'static str, f64>,
}

/// A configuration from a model's folder.
///
/// # Errors
/// [`StageError::Input`] where there is none that can be computed.
pub fn folder_config(folder: &Path) -> Result<ModelConfig, StageError> {
    let path = folder.join(checkpoint::CONFIG);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| StageError::input(format!("{}: {error}; a model's folder is expected", path.display())))?;
    Ok(ModelConfig::parse(&text)?)
}

impl TrainBench {
    /// Whether there is anything to measure.
    ///
    /// # Errors
    /// [`StageError::Input`] where there is not.
    pub fn check(&self) -> Result<(), StageError> {
        match self.batch == 0 || self.length < 2 || self.steps == 0 {
            true => Err(StageError::input("one sequence of two tokens and one step are the least to measure")),
            false => Ok(()),
        }
    }

    /// Trains a model of that configuration and times its steps.
    ///
    /// # Errors
    /// [`StageError::Input`] where there is nothing to measure, and what training says.
    pub fn run(&self, config: &ModelConfig) -> Result<TrainTiming, StageError> {
        self.check()?;
        let mut learner = self.learner(config)?;
        let (parameters, gemm_peak) = (learner.parameters(), gemm_peak(self.precision));
        self.step(&mut learner, config, 0)?;
        let faults = page_faults();
        let steps = || (1..=self.steps as u64).map(|step| self.step(&mut learner, config, step)).collect();
        let (seconds, parts): (Result<Vec<f64>, StageError>, _) = clock::count(steps);
        let page_faults = page_faults().zip(faults).map(|(after, before)| (after - before) as f64 / self.steps as f64);
        let mut seconds = seconds?;
        seconds.sort_by(f64::total_cmp);
        let (tokens, median) = ((self.batch * self.length) as f64, seconds[seconds.len() / 2]);
        let per_step = |(part, seconds): (Part, f64)| (part.name(), seconds / self.steps as f64);
        Ok(TrainTiming {
            dtype: if self.precision == Precision::Bf16 { "bf16" } else { "f32" },
            kernels: KernelPath::of_this_machine().name(),
            batch: self.batch,
            length: self.length,
            checkpointing: self.checkpointing,
            parameters,
            threads: rayon::current_num_threads(),
            steps: self.steps,
            seconds: median,
            tokens_per_second: tokens / median,
            range: [tokens / seconds[seconds.len() - 1], tokens / seconds[0]],
            gemm_peak,
            share_of_peak: self.operations(config) / median / gemm_peak,
            peak_memory: memory::own_peak(),
            page_faults,
            parts: Part::ALL.into_iter().zip(parts).map(per_step).collect(),
        })
    }

    fn learner(&self, config: &ModelConfig) -> Result<Learner, StageError> {
        let weights = random_weights(config, 0.02, Seed::new(0).child("weights", 0))?;
        let (decoder, params) = Decoder::trainable(config, &weights)?;
        let compute = Compute { precision: self.precision, checkpointing: self.checkpointing, ..Compute::default() };
        let decoder = decoder.computed(compute).map_err(|error| StageError::machine(error.to_string()))?;
        let (shape, warmup) = (ScheduleShape::Constant, Warmup::Steps(0));
        let schedule = Schedule { shape, peak: 1e-5, warmup, min_lr_ratio: 0.0, total: 0 };
        let settings = OptimiserSettings { schedule, adamw: AdamWConfig::default(), max_grad_norm: 1.0 };
        Ok(Learner::new(decoder, params, settings, 1 + self.steps as u64))
    }

    /// One optimiser step on random tokens, each but the first of a sequence trained; seconds.
    fn step(&self, learner: &mut Learner, config: &ModelConfig, step: u64) -> Result<f64, StageError> {
        let mut stream = Seed::new(1).child("batch", step).stream();
        let mut example = || Example {
            ids: (0..self.length).map(|_| stream.below(config.vocab_size as u64) as u32).collect(),
            mask: (0..self.length).map(|at| at > 0).collect(),
        };
        let examples: Vec<Example> = (0..self.batch).map(|_| example()).collect();
        let start = Instant::now();
        let loss = sft::add_gradients(learner, &examples.iter().collect::<Vec<_>>(), true)?;
        learner.apply(loss)?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Multiplications and additions of a step: two for each weight of a product and token, as many for each of both
    /// products of attention and key in sight, and for the way back twice of all.
    fn operations(&self, config: &ModelConfig) -> f64 {
        let (d, f, width) = (config.hidden_size, config.intermediate_size, config.head_width());
        let (queries, keys) = (config.num_attention_heads * width, config.kv_heads() * width);
        let layer = (2 * d * queries + 2 * d * keys + 3 * d * f) as f64;
        let seen = (self.length + 1) as f64 / 2.0;
        let per_token = config.num_hidden_layers as f64 * (2.0 * layer + 4.0 * seen * queries as f64);
        let trained = (self.length - 1) as f64 / self.length as f64;
        let head = 2.0 * (d * config.vocab_size) as f64 * trained;
        3.0 * (per_token + head) * (self.batch * self.length) as f64
    }
}

/// Page faults of this process that needed no disk: the tenth field of `/proc/self/stat`.
fn page_faults() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = text.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SHAPES;

    #[test]
    fn a_step_is_timed_and_told_in_whole() {
        let config = ModelConfig { num_hidden_layers: 1, vocab_size: 64, ..SHAPES[1].config(16).unwrap() };
        for precision in [Precision::F32, Precision::Bf16] {
            let bench = TrainBench { precision, batch: 2, length: 8, checkpointing: false, steps: 2 };
            let timing = bench.run(&config).unwrap();
            assert!(timing.seconds > 0.0 && timing.share_of_peak > 0.0 && timing.share_of_peak < 1.0, "{timing:?}");
            assert!(timing.parts["linears"] > 0.0 && timing.parts["optimiser"] > 0.0, "{timing:?}");
            assert_eq!(timing.parts.len(), 5);
        }
        let nothing = TrainBench { precision: Precision::F32, batch: 0, length: 8, checkpointing: false, steps: 1 };
        assert!(nothing.run(&config).is_err());
    }

    #[test]
    fn the_operations_of_shape_c_are_those_counted_by_hand() {
        let config = SHAPES[2].config(256).unwrap();
        let bench = TrainBench { precision: Precision::F32, batch: 1, length: 256, checkpointing: false, steps: 1 };
        // A layer: 2·512·512 + 2·512·256 + 3·512·1408 weights; the head 512·4096 for 255 tokens.
        let weights = 8.0 * 2_949_120.0 * 256.0 + 2_097_152.0 * 255.0;
        let attention = 8.0 * 2.0 * 128.5 * 512.0 * 256.0;
        assert_eq!(bench.operations(&config), 6.0 * (weights + attention));
    }
}
