//! `srlm bench generate`: tokens a second of whole batches.

use super::shape;
use crate::cli::output::Output;
use crate::cli::{exit, failure};
use crate::driver::Failure;
use crate::stage::bench_generate::{GenerateBench, GenerateTiming, NamedShape};
use clap::Args;

/// `srlm bench generate`
#[derive(Debug, Args)]
pub struct Generate {
    /// The model's shape: A is that of Qwen2.5-0.5B, B and C are small ones
    #[arg(long, value_name = "SHAPE", default_value = "B", value_parser = shape)]
    pub shape: NamedShape,
    /// The numbers of weights and cache
    #[arg(long, value_name = "DTYPE", default_value = "f32", value_parser = ["f32"])]
    pub dtype: String,
    /// Sequences at the same time; several are measured one after the other
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "8,32,64")]
    pub batch: Vec<std::num::NonZeroUsize>,
    /// Tokens of each prompt
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub prompt: usize,
    /// Tokens of each completion
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub new: usize,
    /// Sampling temperature; 0 is greedy
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub temperature: f64,
    /// Timed runs of each batch, after one that is not counted
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub repeats: usize,
}

/// Prints a line a batch; JSON is one object a batch.
pub fn generate(args: &Generate, output: Output) -> Result<u8, Failure> {
    let Generate { shape, prompt, new, temperature, repeats, .. } = *args;
    let bench = GenerateBench { shape, prompt, new, temperature, repeats };
    let measured = bench.prepare().map_err(failure::of_stage)?;
    if !output.json {
        output.result(&format!(
            "{:>6} {:>10} {:>21} {:>12} {:>14}\n",
            "batch", "tok/s", "slowest to fastest", "first token", "decode tok/s"
        ));
    }
    for &batch in &args.batch {
        let timing = measured.time(batch.get()).map_err(failure::of_stage)?;
        if output.json {
            output.json_line(&timing);
        } else {
            output.result(&line(&timing));
        }
    }
    Ok(exit::OK)
}

fn line(timing: &GenerateTiming) -> String {
    let GenerateTiming { batch, tokens_per_second, range: [slowest, fastest], decode_tokens_per_second, .. } = timing;
    let range = format!("{slowest:.1} to {fastest:.1}");
    let first = format!("{:.1} ms", timing.first_token_seconds * 1e3);
    format!("{batch:>6} {tokens_per_second:>10.1} {range:>21} {first:>12} {decode_tokens_per_second:>14.1}\n")
}
