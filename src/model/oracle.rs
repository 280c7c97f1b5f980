//! The decoder against candle's own Qwen2: it drops gradients, but its logits are a second opinion.

use crate::model::{DecodeStep, Decoder, KvCache, checkpoint};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::qwen2::{Config, ModelForCausalLM};
use std::collections::BTreeMap;
use std::path::Path;

fn candles_own(folder: &Path) -> ModelForCausalLM {
    let mut config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join(checkpoint::CONFIG)).unwrap()).unwrap();
    // Candle asks for fields that transformers no longer writes, or writes elsewhere.
    config["sliding_window"] = 64.into();
    config["rope_theta"] = config["rope_parameters"]["rope_theta"].clone();
    let config: Config = serde_json::from_value(config).unwrap();
    let bytes = std::fs::read(folder.join(checkpoint::WEIGHTS)).unwrap();
    let weights = VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu).unwrap();
    ModelForCausalLM::new(&config, weights).unwrap()
}

fn ours(folder: &Path) -> Decoder {
    let names = [checkpoint::CONFIG, checkpoint::WEIGHTS];
    let files: BTreeMap<_, _> = names.map(|name| (name.to_string(), folder.join(name))).into();
    let (config, weights) = checkpoint::load(&files).unwrap();
    Decoder::frozen(&config, &weights).unwrap().for_generation().unwrap()
}

fn step(ids: &[u32], from: usize) -> DecodeStep {
    let mut step = DecodeStep { ids: ids.to_vec(), outputs: vec![ids.len() as u32 - 1], ..DecodeStep::default() };
    step.tokens.slots = vec![0; ids.len()];
    step.tokens.positions = (from..from + ids.len()).collect();
    step
}

fn row(logits: &Tensor) -> Vec<f32> {
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

fn best(logits: &[f32]) -> u32 {
    (0..logits.len() as u32).max_by(|a, b| logits[*a as usize].total_cmp(&logits[*b as usize])).unwrap()
}

#[test]
fn greedy_decoding_equals_candles_own_qwen2() {
    for family in ["qwen2", "qwen2_untied"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(family);
        let (mut theirs, ours) = (candles_own(&folder), ours(&folder));
        let mut cache = KvCache::new(ours.config(), 1, 64, &Device::Cpu).unwrap();
        let mut ids = vec![5u32, 17, 3, 88];
        let mut from = 0;
        for _ in 0..40 {
            let input = Tensor::new(&ids[from..], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let wanted = row(&theirs.forward(&input, from).unwrap());
            let found = row(&ours.decode(&step(&ids[from..], from), &mut cache).unwrap());
            let gap = wanted.iter().zip(&found).fold(0.0f32, |largest, (a, b)| largest.max((a - b).abs()));
            assert!(gap < 1e-4, "{family}: logits differ by {gap} at position {from}");
            from = ids.len();
            ids.push(best(&found));
        }
    }
}
