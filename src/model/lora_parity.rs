//! Adapters against PEFT: files that it reads, its own files, logits, gradients and ten steps. See `tests/parity/lora.py`.

use crate::base::seed::Seed;
use crate::model::lora::{LORA_A, LORA_B};
use crate::model::parity::{ADAMW, Fixture, fixture, folder, loss};
use crate::model::{Decoder, LoraConfig, Weights, adapter};
use crate::nn::ops::testing::{difference, values};
use crate::nn::{AdamW, Gradients, Params};
use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::path::Path;

fn config(dropout: f64) -> LoraConfig {
    let targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    LoraConfig { rank: 4, alpha: 6.0, dropout, targets: targets.map(String::from).into(), seed: Seed::new(5) }
}

/// An adapter with a B that is not zero, as after some training.
fn adapted(fixture: &Fixture, dropout: f64) -> (Decoder, Params) {
    let (decoder, params) = Decoder::adapted(&fixture.config, &fixture.weights, &config(dropout)).unwrap();
    for (name, variable) in params.iter().filter(|(name, _)| name.ends_with(LORA_B)) {
        let mut stream = Seed::new(6).child(name, 0).stream();
        let values: Vec<f32> = (0..variable.elem_count()).map(|_| 0.2 * stream.normal() as f32).collect();
        variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    (decoder, params)
}

fn reference() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(folder("lora").join("reference.safetensors"), &Device::Cpu).unwrap()
}

fn logits(fixture: &Fixture, model: &Decoder) -> Tensor {
    model.logits(&model.forward(&fixture.ids, &fixture.segments).unwrap()).unwrap()
}

fn folded(fixture: &Fixture, files: &Path) -> Decoder {
    let mut weights: Weights = fixture.weights.clone();
    let [config, tensors] = [adapter::CONFIG, adapter::WEIGHTS].map(|name| files.join(name));
    adapter::fold([&config, &tensors], &mut weights).unwrap();
    Decoder::frozen(&fixture.config, &weights).unwrap()
}

#[test]
fn saved_adapters_equal_peft() {
    let (fixture, folder) = (fixture("qwen2"), folder("lora"));
    let (_, params) = adapted(&fixture, 0.0);
    if std::env::var_os("SRLM_BLESS").is_some() {
        return adapter::save(&folder, &config(0.0), params.tensors()).unwrap();
    }
    let again = tempfile::tempdir().unwrap();
    adapter::save(again.path(), &config(0.0), params.tensors()).unwrap();
    for name in [adapter::CONFIG, adapter::WEIGHTS] {
        let read = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
        assert_eq!(read(&folder), read(again.path()), "{name} is not the file that PEFT has read");
    }
}

#[test]
fn logits_equal_peft_before_and_after_folding() {
    let (fixture, reference) = (fixture("qwen2"), reference());
    let (model, _) = adapted(&fixture, 0.0);
    assert!(difference(&logits(&fixture, &model), &reference["logits"]) < 1e-5);
    for files in [folder("lora"), folder("lora").join("peft")] {
        let found = logits(&fixture, &folded(&fixture, &files));
        assert!(difference(&found, &reference["logits"]) < 1e-5);
        assert!(difference(&found, &reference["merged"]) < 1e-5);
    }
}

#[test]
fn gradients_of_adapters_equal_peft_and_frozen_weights_have_none() {
    let (fixture, reference) = (fixture("qwen2"), reference());
    let (model, params) = adapted(&fixture, 0.0);
    assert_eq!(params.len(), 2 * 7 * fixture.config.num_hidden_layers);
    let loss = loss(&fixture, &model);
    assert!((loss.to_scalar::<f32>().unwrap() - reference["loss"].to_scalar::<f32>().unwrap()).abs() < 1e-5);
    let mut gradients = Gradients::new(&params);
    gradients.accumulate(&params, &loss).unwrap();
    for (name, gradient) in gradients.iter() {
        let expected = values(&reference[&format!("grad.{name}")]);
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v * v)).sum::<f64>().sqrt();
        let error = norm(&mut gradient.iter().zip(&expected).map(|(a, b)| a - b));
        let size = norm(&mut expected.iter().copied());
        assert!(error / size < 1e-3, "{name} is off by {} of its norm", error / size);
    }
    let tracked = model.weights().values().filter(|weight| weight.track_op()).count();
    assert_eq!(tracked, 0, "a frozen weight is on the tape");
}

#[test]
fn the_losses_of_ten_adamw_steps_equal_peft() {
    let (fixture, reference) = (fixture("qwen2"), reference());
    let (model, params) = adapted(&fixture, 0.0);
    let (mut optimiser, mut gradients) = (AdamW::new(&params, ADAMW), Gradients::new(&params));
    let expected: Vec<f32> = reference["losses"].to_vec1().unwrap();
    assert_eq!(expected.len(), 11);
    for (step, expected) in expected.into_iter().enumerate() {
        let loss = loss(&fixture, &model);
        let error = (loss.to_scalar::<f32>().unwrap() - expected).abs();
        assert!(error < 1e-4, "after {step} steps the loss is off by {error}");
        gradients.reset();
        gradients.accumulate(&params, &loss).unwrap();
        optimiser.step(&params, &gradients, 1e-2).unwrap();
    }
}

#[test]
fn generation_folds_the_adapter_in() {
    let fixture = fixture("qwen2");
    let (model, _) = adapted(&fixture, 0.3);
    let expected = logits(&fixture, &model.detached());
    let generating = model.for_generation().unwrap();
    assert!(difference(&logits(&fixture, &generating), &expected) < 1e-5);
}

#[test]
fn a_fresh_adapter_starts_as_pefts_does() {
    let fixture = fixture("qwen2");
    let (model, params) = Decoder::adapted(&fixture.config, &fixture.weights, &config(0.0)).unwrap();
    for (name, variable) in params.iter() {
        let values = values(variable);
        let most = values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let bound = 1.0 / (variable.dim(1).unwrap() as f32).sqrt();
        match name.ends_with(LORA_A) {
            true => assert!(most <= bound && most > 0.9 * bound, "{name}: {most} within {bound}"),
            false => assert_eq!(most, 0.0, "{name}"),
        }
    }
    let base = Decoder::frozen(&fixture.config, &fixture.weights).unwrap();
    assert!(difference(&logits(&fixture, &model), &logits(&fixture, &base)) < 1e-6);
}

#[test]
fn dropout_follows_the_step_and_ends_with_training() {
    let fixture = fixture("qwen2");
    let (mut model, _) = adapted(&fixture, 0.5);
    let at = |model: &mut Decoder, step: u64| {
        model.at_step(step);
        values(&logits(&fixture, model))
    };
    let (first, second) = (at(&mut model, 0), at(&mut model, 1));
    assert_ne!(first, second);
    assert_eq!(at(&mut model, 0), first);
    let whole = values(&logits(&fixture, &model.detached()));
    assert!(whole != first && whole == values(&logits(&fixture, &adapted(&fixture, 0.0).0)));
    // Each sample alone drops what it drops beside the other.
    let n = fixture.segments[1];
    let alone = model.forward(&fixture.ids[..n], &[0, n]).unwrap();
    let packed = model.forward(&fixture.ids, &fixture.segments).unwrap().narrow(0, 0, n).unwrap();
    assert!(difference(&alone, &packed) < 1e-5);
}
