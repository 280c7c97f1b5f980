//! The decoder against PyTorch: stored logits, loss, gradients and one optimiser step of tiny random models.

use crate::model::{Compute, DecodeStep, Decoder, Kernels, KvCache, ModelConfig, Weights, checkpoint};
use crate::nn::ops::testing::{difference, values};
use crate::nn::ops::{Precision, gather_rows};
use crate::nn::{AdamW, AdamWConfig, Gradients, Params};
use candle_core::{DType, Device, Tensor};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

const FAMILIES: [&str; 5] = ["qwen2", "qwen2_untied", "qwen3", "llama", "llama3"];

/// Those of `tests/parity/generate.py`.
pub(super) const ADAMW: AdamWConfig = AdamWConfig { beta1: 0.9, beta2: 0.99, epsilon: 1e-3, weight_decay: 0.1 };

const REFERENCE: Compute = Compute { kernels: Kernels::Reference, precision: Precision::F32, checkpointing: false };

pub(super) struct Fixture {
    pub config: ModelConfig,
    pub weights: Weights,
    reference: HashMap<String, Tensor>,
    pub ids: Vec<u32>,
    pub segments: Vec<usize>,
}

pub(super) fn folder(family: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(family)
}

fn integers(tensor: &Tensor) -> Vec<u32> {
    tensor.to_dtype(DType::U32).unwrap().to_vec1().unwrap()
}

pub(super) fn fixture(family: &str) -> Fixture {
    let names = [checkpoint::CONFIG, checkpoint::WEIGHTS];
    let files: BTreeMap<_, _> = names.map(|name| (name.to_string(), folder(family).join(name))).into();
    let (config, weights) = checkpoint::load(&files).unwrap();
    let path = folder(family).join("reference.safetensors");
    let reference = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let ids = integers(&reference["input_ids"]);
    let segments = integers(&reference["segments"]).iter().map(|&start| start as usize).collect();
    Fixture { config, weights, reference, ids, segments }
}

/// Rows that predict a trained token, and those tokens.
fn trained(fixture: &Fixture) -> (Vec<u32>, Vec<u32>) {
    let mask = integers(&fixture.reference["mask"]);
    let at = (0..mask.len()).filter(|&at| mask[at] == 1);
    at.map(|at| (at as u32 - 1, fixture.ids[at])).unzip()
}

/// Mean −log p over the trained tokens.
pub(super) fn loss(fixture: &Fixture, model: &Decoder) -> Tensor {
    let (rows, targets) = trained(fixture);
    let hidden = gather_rows(&model.forward(&fixture.ids, &fixture.segments).unwrap(), &rows).unwrap();
    let (log_probs, _) = model.log_probs(&hidden, &targets, 1.0).unwrap();
    log_probs.mean_all().unwrap().neg().unwrap()
}

fn train_step(fixture: &Fixture, compute: Compute) -> (f32, Gradients, Params) {
    let (model, params) = Decoder::trainable(&fixture.config, &fixture.weights).unwrap();
    let model = model.computed(compute).unwrap();
    let loss = loss(fixture, &model);
    let mut gradients = Gradients::new(&params);
    gradients.accumulate(&params, &loss).unwrap();
    AdamW::new(&params, ADAMW).step(&params, &gradients, 1e-2).unwrap();
    (loss.to_scalar().unwrap(), gradients, params)
}

#[test]
fn logits_equal_pytorch() {
    for family in FAMILIES {
        let fixture = fixture(family);
        let model = Decoder::frozen(&fixture.config, &fixture.weights).unwrap();
        let logits = model.logits(&model.forward(&fixture.ids, &fixture.segments).unwrap()).unwrap();
        let error = (logits - &fixture.reference["logits"]).unwrap().abs().unwrap().max_all().unwrap();
        let error = error.to_scalar::<f32>().unwrap();
        assert!(error < 1e-4, "{family}: {error}");
    }
}

#[test]
fn loss_every_gradient_and_one_step_equal_pytorch() {
    let ways = FAMILIES.into_iter().flat_map(|family| [Compute::default(), REFERENCE].map(|way| (family, way)));
    for (family, compute) in ways {
        let fixture = fixture(family);
        let (loss, gradients, params) = train_step(&fixture, compute);
        assert!((loss - fixture.reference["loss"].to_scalar::<f32>().unwrap()).abs() < 1e-5);
        gradients.check_all_received().unwrap();
        for (name, gradient) in gradients.iter() {
            let expected = values(&fixture.reference[&format!("grad.{name}")]);
            let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v * v)).sum::<f64>().sqrt();
            let error = norm(&mut gradient.iter().zip(&expected).map(|(a, b)| a - b));
            // A key's bias shifts every score of a row alike: its gradient is zero but for rounding.
            let size = norm(&mut expected.iter().copied()).max(1e-3);
            assert!(error / size < 1e-3, "{family}: {name} is off by {} of its norm", error / size);
        }
        for (name, variable) in params.iter() {
            let error = difference(variable, &fixture.reference[&format!("after.{name}")]);
            assert!(error < 1e-5, "{family}: {name} after one step is off by {error}");
        }
    }
}

#[test]
fn the_losses_of_ten_adamw_steps_equal_pytorch() {
    for family in FAMILIES {
        let fixture = fixture(family);
        let (model, params) = Decoder::trainable(&fixture.config, &fixture.weights).unwrap();
        let (mut optimiser, mut gradients) = (AdamW::new(&params, ADAMW), Gradients::new(&params));
        let expected: Vec<f32> = fixture.reference["losses"].to_vec1().unwrap();
        assert_eq!(expected.len(), 11);
        for (step, expected) in expected.into_iter().enumerate() {
            let loss = loss(&fixture, &model);
            let error = (loss.to_scalar::<f32>().unwrap() - expected).abs();
            assert!(error < 1e-4, "{family}: after {step} steps the loss is off by {error}");
            gradients.reset();
            gradients.accumulate(&params, &loss).unwrap();
            optimiser.step(&params, &gradients, 1e-2).unwrap();
        }
    }
}

#[test]
fn packed_equals_unpacked() {
    let fixture = fixture("qwen2");
    let model = Decoder::frozen(&fixture.config, &fixture.weights).unwrap();
    let packed = model.forward(&fixture.ids, &fixture.segments).unwrap();
    for pair in fixture.segments.windows(2) {
        let alone = model.forward(&fixture.ids[pair[0]..pair[1]], &[0, pair[1] - pair[0]]).unwrap();
        assert!(difference(&alone, &packed.narrow(0, pair[0], pair[1] - pair[0]).unwrap()) < 1e-5);
    }
}

/// Both samples: some tokens at once, then one a step, each sequence at its own pace.
#[test]
fn cached_decoding_equals_uncached() {
    for family in FAMILIES {
        let fixture = fixture(family);
        let expected = &fixture.reference["logits"];
        let trainable = Decoder::trainable(&fixture.config, &fixture.weights).unwrap().0;
        let mut cache = KvCache::new(&fixture.config, 3, 16, &Device::Cpu).unwrap();
        assert!(trainable.decode(&DecodeStep::default(), &mut cache).is_err());
        let model = trainable.for_generation().unwrap();
        for (from, to) in [(0, 4), (4, 5), (5, 6), (6, 13)] {
            let mut step = DecodeStep::default();
            for (sample, pair) in fixture.segments.windows(2).enumerate() {
                for at in from..to.min(pair[1] - pair[0]) {
                    step.ids.push(fixture.ids[pair[0] + at]);
                    step.tokens.slots.push(2 - sample);
                    step.tokens.positions.push(at);
                    step.outputs.push(step.outputs.len() as u32);
                }
            }
            let logits = model.decode(&step, &mut cache).unwrap();
            let row = |(slot, position): (&usize, &usize)| (fixture.segments[2 - slot] + position) as u32;
            let rows: Vec<u32> = step.tokens.slots.iter().zip(&step.tokens.positions).map(row).collect();
            let error = difference(&logits, &gather_rows(expected, &rows).unwrap());
            assert!(error < 1e-4, "{family}: tokens {from}..{to} are off by {error}");
        }
    }
}

#[test]
fn the_thread_count_changes_no_bit() {
    let fixture = fixture("qwen2");
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (loss, gradients, params) = train_step(&fixture, Compute::default());
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            let weights: Vec<_> = params.iter().map(|(_, variable)| bits(&values(variable))).collect();
            let gradients: Vec<_> = gradients.iter().map(|(_, values)| bits(values)).collect();
            (loss.to_bits(), gradients, weights)
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(3));
}

#[test]
fn a_frozen_reference_stays_and_a_detached_view_follows() {
    let fixture = fixture("llama");
    let (model, params) = Decoder::trainable(&fixture.config, &fixture.weights).unwrap();
    let reference = Decoder::frozen(&fixture.config, &fixture.weights).unwrap();
    let view = model.detached();
    let before = values(&reference.forward(&fixture.ids, &fixture.segments).unwrap());
    let mut gradients = Gradients::new(&params);
    gradients.accumulate(&params, &loss(&fixture, &model)).unwrap();
    AdamW::new(&params, AdamWConfig::default()).step(&params, &gradients, 1e-2).unwrap();
    assert_eq!(values(&reference.forward(&fixture.ids, &fixture.segments).unwrap()), before);
    let after = view.forward(&fixture.ids, &fixture.segments).unwrap();
    assert!(!after.track_op());
    assert_ne!(values(&after), before);
    assert_eq!(values(&after), values(&model.forward(&fixture.ids, &fixture.segments).unwrap()));
}

/// See `tests/parity/saved_folder.py`, which makes the reference.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so, and a check by hand shows its figure")]
fn a_folder_of_the_users_equals_pytorch() {
    let Some(folder) = std::env::var_os("SRLM_PARITY").map(PathBuf::from) else {
        eprintln!("skipped: SRLM_PARITY names no folder");
        return;
    };
    let names = [checkpoint::CONFIG, checkpoint::WEIGHTS];
    let files: BTreeMap<_, _> = names.map(|name| (name.to_string(), folder.join(name))).into();
    let (config, weights) = checkpoint::load(&files).unwrap();
    let reference = candle_core::safetensors::load(folder.join("reference.safetensors"), &Device::Cpu).unwrap();
    let ids = integers(&reference["input_ids"]);
    let model = Decoder::frozen(&config, &weights).unwrap();
    let logits = model.logits(&model.forward(&ids, &[0, ids.len()]).unwrap()).unwrap();
    let error = (logits - &reference["logits"]).unwrap().abs().unwrap().max_all().unwrap();
    let error = error.to_scalar::<f32>().unwrap();
    eprintln!("{}: logits differ by at most {error:e} from transformers", folder.display());
    assert!(error < 1e-4, "{error}");
}
