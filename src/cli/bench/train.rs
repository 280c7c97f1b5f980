//! `srlm bench train`: tokens a second of the real training step.

use super::shape;
use crate::cli::output::Output;
use crate::cli::{exit, failure};
use crate::driver::Failure;
use crate::stage::bench_generate::NamedShape;
use crate::stage::bench_train::{Precision, TrainBench, TrainTiming, folder_config};
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;

/// `srlm bench train`
#[derive(Debug, Args)]
pub struct Train {
    /// A model's folder, whose `config.json` gives the shape; the weights are random all the same
    #[arg(value_name = "FOLDER", conflicts_with = "shape")]
    pub folder: Option<PathBuf>,
    /// The model's shape: A is that of Qwen2.5-0.5B, B and C are small ones
    #[arg(long, value_name = "SHAPE", default_value = "C", value_parser = shape)]
    pub shape: NamedShape,
    /// The numbers of the matrix products; weights and optimiser are f32
    #[arg(long, value_name = "DTYPE", default_value = "f32", value_parser = ["f32", "bf16"])]
    pub dtype: String,
    /// Sequences a step
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch: usize,
    /// Tokens of each sequence
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub seq: usize,
    /// Run layers once more on the way back instead of keeping what they made: slower, in less memory
    #[arg(long)]
    pub checkpointing: bool,
    /// Timed steps, after one that is not counted
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub steps: usize,
}

/// Prints what a step took; JSON is one object.
pub fn train(args: &Train, output: Output) -> Result<u8, Failure> {
    let bench = TrainBench {
        precision: if args.dtype == "bf16" { Precision::Bf16 } else { Precision::F32 },
        batch: args.batch,
        length: args.seq,
        checkpointing: args.checkpointing,
        steps: args.steps,
    };
    bench.check().map_err(failure::of_stage)?;
    let config = match &args.folder {
        Some(folder) => folder_config(folder).map_err(failure::of_stage)?,
        None => args.shape.config(args.seq).map_err(|error| failure::of_stage(error.into()))?,
    };
    let timing = bench.run(&config).map_err(failure::of_stage)?;
    if output.json {
        output.json_line(&timing);
    } else {
        output.result(&table(&timing));
    }
    Ok(exit::OK)
}

fn table(timing: &TrainTiming) -> String {
    let TrainTiming { tokens_per_second, range: [slowest, fastest], seconds, .. } = timing;
    let mut text = format!("{tokens_per_second:.1} tok/s ({slowest:.1} to {fastest:.1}), {seconds:.3} s a step\n");
    let giga = timing.gemm_peak / 1e9;
    let _ = writeln!(text, "{:.0} % of {giga:.0} GFLOP/s, the matrix products' peak", timing.share_of_peak * 100.0);
    if let Some(peak) = timing.peak_memory {
        let _ = writeln!(text, "{:.0} MiB at most", peak as f64 / f64::from(1 << 20));
    }
    if let Some(faults) = timing.page_faults {
        let _ = writeln!(text, "{faults:.0} page faults a step");
    }
    for (part, spent) in &timing.parts {
        let _ = writeln!(text, "{:>5.1} % {part}", spent / seconds * 100.0);
    }
    text
}
