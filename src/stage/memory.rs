//! How much memory a stage needs, before it runs: plain formulas, held against measured peaks (docs/log.md).
//!
//! With P the bytes of a model's weights in f32, a training holds them where they were read, their gradient, AdamW's two
//! moments (arXiv:1412.6980) and, while a state is saved, a copy of the moments: 6 P, and P more where the weights as they
//! were read stay. With adapters the weights stand once, and the same is held of the adapters alone. A generation holds the
//! weights and a copy laid out for it: 2 P. Beside them stand what a pass keeps for each token
//! (`nn/ops/decoder_layer.rs` lists it; arXiv:2205.05198 counts so, too) and the keys and values of the sequences at
//! work (arXiv:2211.05102).

use super::sampling::SEQUENCES_AT_ONCE;
use super::{Files, Stage};
use crate::model::{LoraConfig, checkpoint, expected_weights};
use crate::train::stream::TOKENS_A_PASS;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

pub use crate::model::ModelConfig;

/// What every worker needs: its program, a tokenizer, some rows.
pub const BASE: u64 = 64 << 20;
/// Copies of the weights in a training.
const TRAINING_COPIES: u64 = 6;
/// Passes' worth of what is kept for the way back where layers have adapters: their ops keep each result.
const ADAPTED_PASSES: u64 = 2;
/// Copies of the weights in a generation.
const GENERATION_COPIES: u64 = 2;
/// The most bytes that the head holds of logits at one time: `CHUNK` of `nn/ops/head.rs`, in f32.
const HEAD: usize = 128 << 20;
/// Bytes of a row's text for each token where the vocabulary is large, and where it is small.
const BYTES_A_TOKEN: [usize; 2] = [4, 2];
/// The rows of an embedding from which on a vocabulary counts as large.
const LARGE: usize = 8192;
/// How much of a dataset is looked at for its longest row.
const LOOKED_AT: u64 = 1 << 20;
/// Lengths that are proposed are not shorter than so many tokens: fewer leave nothing to learn.
const SHORTEST: u64 = 64;
/// Tokens of a prompt where nothing is known of it.
const PROMPT: usize = 256;

/// What memory depends on besides the arguments.
pub trait Sizes {
    /// The shape of the model in a role.
    fn model(&self, role: &str) -> Option<ModelConfig>;
    /// Bytes of the longest row of the dataset in a role.
    fn longest_row(&self, role: &str) -> Option<usize>;
}

/// Sizes read from the files that go into a stage.
pub struct OfFiles<'a>(pub &'a BTreeMap<String, Files>);

impl Sizes for OfFiles<'_> {
    fn model(&self, role: &str) -> Option<ModelConfig> {
        shape_of(self.0.get(role)?)
    }

    fn longest_row(&self, role: &str) -> Option<usize> {
        longest_row(self.0.get(role)?)
    }
}

/// The shape of the model that an artifact holds.
pub fn shape_of(files: &Files) -> Option<ModelConfig> {
    checkpoint::load_config(files).ok()
}

/// Bytes of the longest row at the beginning of a dataset.
pub fn longest_row(files: &Files) -> Option<usize> {
    let mut bytes = Vec::new();
    File::open(files.get("data.jsonl")?).ok()?.take(LOOKED_AT).read_to_end(&mut bytes).ok()?;
    bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max()
}

/// Tokens of the longest row of a dataset, about; none where nothing is known of it.
pub fn longest(config: &ModelConfig, sizes: &dyn Sizes, role: &str) -> Option<usize> {
    let a_token = BYTES_A_TOKEN[usize::from(config.vocab_size < LARGE)];
    Some(sizes.longest_row(role)?.div_ceil(a_token))
}

/// Bytes that a model's weights take in f32.
pub fn weights(config: &ModelConfig) -> u64 {
    let all = expected_weights(config).unwrap_or_default();
    4 * all.iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum::<u64>()
}

/// Bytes of a training whose largest pass has so many tokens, of every weight or of adapters.
pub fn training(config: &ModelConfig, tokens: usize, lora: Option<&LoraConfig>) -> u64 {
    match lora {
        None => TRAINING_COPIES * weights(config) + activations(config, tokens),
        Some(lora) => {
            let adapters = 4 * lora.parameters(config) as u64;
            weights(config) + TRAINING_COPIES * adapters + ADAPTED_PASSES * activations(config, tokens)
        }
    }
}

/// Bytes of the weights as they were read, where a training has a copy of its own: adapters share them.
pub fn kept(config: &ModelConfig, lora: Option<&LoraConfig>) -> u64 {
    if lora.is_some() { 0 } else { weights(config) }
}

/// Bytes that a pass of training keeps for `tokens` tokens: each layer its input and what its way back needs, a layer
/// at a time some more, and a part of the logits.
fn activations(config: &ModelConfig, tokens: usize) -> u64 {
    let (queries, keys) = widths(config);
    let (hidden, gated) = (config.hidden_size, config.intermediate_size);
    let layer = 3 * queries + 3 * keys + 2 * hidden + 2 * gated + config.num_attention_heads;
    let passing = 6 * hidden + gated.max(3 * queries + 2 * keys);
    let logits = (4 * tokens * config.vocab_size).min(HEAD);
    (4 * tokens * (config.num_hidden_layers * layer + passing) + logits) as u64
}

/// Bytes of a model that is only asked, beside what it writes: the weights, and a copy laid out for it.
pub fn asked(config: &ModelConfig) -> u64 {
    GENERATION_COPIES * weights(config)
}

/// Bytes of a generation beside the weights: caches and the widest pass of `sequences`, of which so many run at a time,
/// each of up to `length` tokens behind a prompt of `prompt`.
pub fn generation(config: &ModelConfig, sequences: usize, prompt: Option<usize>, length: usize) -> u64 {
    let (queries, keys) = widths(config);
    let (sequences, prompt) = (sequences.min(SEQUENCES_AT_ONCE), prompt.unwrap_or(PROMPT));
    let positions = (prompt + length).min(config.max_position_embeddings);
    let cache = 2 * sequences * positions * config.num_hidden_layers * keys;
    let widest = 3 * config.intermediate_size + 4 * config.hidden_size + 2 * queries;
    let pass = (sequences * prompt).min(TOKENS_A_PASS) * widest;
    let logits = 2 * sequences * config.vocab_size;
    4 * (cache + pass + logits) as u64
}

/// Tokens of the largest pass over a batch of rows of up to `longest` tokens.
pub fn tokens_a_pass(batch: usize, longest: usize, packing: bool) -> usize {
    match packing {
        true => batch.saturating_mul(longest).min(TOKENS_A_PASS.max(longest)),
        false => longest,
    }
}

fn widths(config: &ModelConfig) -> (usize, usize) {
    (config.num_attention_heads * config.head_width(), config.kv_heads() * config.head_width())
}

/// The settings of a stage that would fit into `there` bytes, each changed alone, with what it then needs: the largest
/// value that does, by halving.
pub fn fitting(stage: &dyn Stage, args: &Json, sizes: &dyn Sizes, there: u64) -> Vec<(String, u64)> {
    let fields = stage.signature().fields;
    let least = |name: &str| fields.iter().find(|field| field.name == name)?.range.map(|(least, _)| least as u64);
    let fits = |name: &&str| {
        let mut changed = args.clone();
        loop {
            let written = lower(&mut changed, name, least(name).unwrap_or(1))?;
            let needed = stage.memory(&changed, sizes)?;
            if needed <= there {
                return Some((format!("{name}: {written}"), needed));
            }
        }
    };
    stage.memory_settings().iter().filter_map(fits).collect()
}

/// Halves a setting wherever it stands, down to `least`, or turns it off; returns the largest value, as it is written.
fn lower(args: &mut Json, name: &str, least: u64) -> Option<String> {
    let Json::Object(fields) = args else { return None };
    let mut largest: Option<(u64, String)> = None;
    for (field, value) in fields.iter_mut() {
        let found = match field == name {
            true => lower_value(value, least),
            false => lower(value, name, least).map(|written| (0, written)),
        };
        largest = largest.max(found);
    }
    largest.map(|(_, written)| written)
}

fn lower_value(value: &mut Json, least: u64) -> Option<(u64, String)> {
    if *value == Json::Bool(true) {
        *value = Json::Bool(false);
        return Some((0, "false".to_string()));
    }
    let (number, unit, least) = match value {
        Json::Object(quantity) => match quantity.iter_mut().next()? {
            (dimension, number) if dimension == "tokens" => (number, "tok", least.max(SHORTEST)),
            (_, number) => (number, "seqs", least),
        },
        number => (number, "", least),
    };
    let halved = number.as_u64().filter(|&value| value > least)?.div_ceil(2).max(least);
    *number = halved.into();
    Some((halved, format!("{halved}{unit}")))
}

#[cfg(test)]
mod tests {
    use super::super::unbuilt::defaults_of;
    use super::super::{evaluate::Evaluate, grpo::Grpo, sft::Sft};
    use super::*;
    use serde_json::json;

    /// Rows of 104 bytes, and one model.
    struct Known;

    impl Sizes for Known {
        fn model(&self, _: &str) -> Option<ModelConfig> {
            ModelConfig::parse(MODEL).ok()
        }
        fn longest_row(&self, _: &str) -> Option<usize> {
            Some(104)
        }
    }

    const MODEL: &str = r#"{"model_type":"qwen2","hidden_size":768,"intermediate_size":2048,"num_hidden_layers":12,
        "num_attention_heads":12,"num_key_value_heads":4,"vocab_size":2048,"max_position_embeddings":1024,
        "tie_word_embeddings":true}"#;

    fn sft(batch: u64) -> Json {
        let mut args = defaults_of("sft");
        args["batch"] = json!({ "seqs": batch });
        args
    }

    #[test]
    fn memory_grows_with_the_batch_as_far_as_a_pass_does() {
        let needed = |batch| Sft.memory(&sft(batch), &Known).unwrap();
        assert!(needed(1) > BASE + 6 * weights(&Known.model("model").unwrap()));
        assert!(needed(1) < needed(16) && needed(16) < needed(64));
        assert_eq!(needed(1 << 10), needed(1 << 14), "a pass has no more than so many tokens");
    }

    #[test]
    fn adapters_need_the_weights_once() {
        let mut args = sft(1);
        let (whole, weights) = (Sft.memory(&args, &Known).unwrap(), weights(&Known.model("model").unwrap()));
        args["lora"] = json!({ "lora": { "rank": 8, "alpha": 16, "dropout": 0.0, "targets": "all-linear" } });
        let adapted = Sft.memory(&args, &Known).unwrap();
        assert!(adapted > BASE + weights && adapted + 3 * weights < whole, "{adapted} beside {whole}");
    }

    #[test]
    fn settings_that_fit_are_the_largest_by_halving() {
        let whole = Sft.memory(&sft(64), &Known).unwrap();
        let there = Sft.memory(&sft(20), &Known).unwrap();
        let found = fitting(&Sft, &sft(64), &Known, there);
        let written: Vec<&str> = found.iter().map(|(setting, _)| setting.as_str()).collect();
        assert_eq!(written, ["batch: 16seqs", "packing: false"]);
        assert!(found.iter().all(|(_, needed)| *needed <= there) && there < whole);
        assert!(fitting(&Sft, &sft(64), &Known, BASE).is_empty());
    }

    #[test]
    fn settings_keep_their_ranges_and_are_found_inside_of_others() {
        let mut args = json!({ "num_generations": 2, "suite": { "a": { "bench": { "n": { "tokens": 99 } } } } });
        assert_eq!(lower(&mut args, "num_generations", 2), None);
        assert_eq!(lower(&mut args, "n", 1), Some("64tok".to_string()));
        assert_eq!(args["suite"]["a"]["bench"]["n"]["tokens"], 64);
        assert!(Grpo.memory_settings().contains(&"num_generations"));
        assert!(Evaluate.memory_settings().contains(&"max_completion_length"));
    }
}
