//! `srlm init-model`: a model folder with random weights in the shape of Qwen2.

use super::args::InitModel;
use super::output::Output;
use super::{exit, failure};
use crate::driver::{self, Failure};
use crate::stage::{Shape, init_model_folder};

/// Makes the folder.
pub fn init_model(args: &InitModel, output: Output) -> Result<u8, Failure> {
    driver::refuse_filled(&args.dir)?;
    let parameters = init_model_folder(&args.dir, &args.tokenizer, |vocabulary| shape(args, vocabulary));
    let parameters = parameters.map_err(failure::of_stage)?;
    if output.json {
        output.json_line(&serde_json::json!({ "folder": args.dir, "parameters": parameters }));
    } else {
        output.result(&format!("{}: a random Qwen2 model of {parameters} parameters\n", args.dir.display()));
    }
    Ok(exit::OK)
}

fn shape(args: &InitModel, vocabulary: usize) -> Shape {
    Shape {
        layers: args.layers,
        hidden: args.hidden,
        heads: args.heads,
        kv_heads: args.kv_heads,
        intermediate: args.intermediate.unwrap_or_else(|| (args.hidden * 8 / 3).next_multiple_of(16)),
        context: args.context,
        vocab_size: args.vocab_size.unwrap_or(vocabulary),
        deviation: args.deviation,
        seed: args.seed,
    }
}
