//! The trainers' invariants on a tiny decoder: packing, order in the batch, and stopping change nothing.

use super::budget::Budget;
use super::loss::{Denominators, KlEstimator, Objective, PolicyLoss, Trajectory};
use super::sft::{SftSettings, train};
use super::step::{Learner, OptimiserSettings};
use super::stream::{Stream, streams};
use super::watch::{TrainError, Watch};
use crate::base::event::StageEvent;
use crate::base::seed::Seed;
use crate::base::state::Places;
use crate::data::encode::Example;
use crate::model::{Compute, Decoder, Kernels, LoraConfig, ModelConfig, random_weights};
use crate::nn::ops::Precision;
use crate::nn::{AdamWConfig, Gradients, Params, Schedule, ScheduleShape, Warmup};
use crate::rollout::{self, Prompt, Sampling};
use candle_core::Tensor;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

fn model() -> (Decoder, Params) {
    let config = json!({
        "model_type": "qwen2", "vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0, "tie_word_embeddings": true, "hidden_act": "silu"
    });
    let config = ModelConfig::parse(&config.to_string()).unwrap();
    let weights = random_weights(&config, 0.1, Seed::new(1)).unwrap();
    Decoder::trainable(&config, &weights).unwrap()
}

/// Examples of 3 to 14 tokens whose second half is trained.
fn examples() -> Vec<Example> {
    let mut stream = Seed::new(2).stream();
    let example = |length: usize| Example {
        ids: (0..length).map(|_| stream.below(50) as u32).collect(),
        mask: (0..length).map(|at| at >= length / 2).collect(),
    };
    (3..15).map(example).collect()
}

fn settings(packing: bool) -> SftSettings {
    let schedule =
        Schedule { shape: ScheduleShape::Cosine, peak: 1e-2, warmup: Warmup::Share(0.1), min_lr_ratio: 0.1, total: 0 };
    SftSettings {
        budget: Budget::Steps(9),
        batch: 5,
        packing,
        optimiser: OptimiserSettings { schedule, adamw: AdamWConfig::default(), max_grad_norm: 1.0 },
        seed: Seed::new(3),
    }
}

fn bits(params: &Params) -> Vec<u32> {
    let values = |(_, tensor): (String, candle_core::Tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    params.tensors().into_iter().flat_map(values).map(f32::to_bits).collect()
}

/// The same model with adapters that drop inputs and whose B is not zero.
fn adapted() -> (Decoder, Params) {
    let (decoder, _) = model();
    let targets = ["q_proj", "v_proj", "down_proj"].map(String::from).into();
    let lora = LoraConfig { rank: 2, alpha: 4.0, dropout: 0.3, targets, seed: Seed::new(4) };
    let (adapted, params) = Decoder::adapted(decoder.config(), &decoder.weights(), &lora).unwrap();
    for (_, variable) in params.iter() {
        let moved = variable.as_detached_tensor().affine(1.0, 0.05).unwrap();
        variable.set(&moved).unwrap();
    }
    (adapted, params)
}

fn gradient(streams: &[Stream]) -> Vec<f32> {
    gradient_of(model(), streams)
}

fn gradient_of((decoder, params): (Decoder, Params), streams: &[Stream]) -> Vec<f32> {
    let mut gradients = Gradients::new(&params);
    for stream in streams {
        let (log_probs, _) = stream.log_probs(&decoder, 1.0).unwrap();
        gradients.accumulate(&params, &log_probs.sum_all().unwrap()).unwrap();
    }
    gradients.iter().flat_map(|(_, values)| values.to_vec()).collect()
}

fn assert_close(first: &[f32], second: &[f32]) {
    let scale = first.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let gap = first.iter().zip(second).fold(0.0f32, |largest, (a, b)| largest.max((a - b).abs()));
    assert!(gap <= 1e-5 * scale, "the gradients differ by {gap}, their largest entry is {scale}");
}

#[test]
fn the_gradient_does_not_depend_on_packing_or_on_order_in_the_batch() {
    let examples = examples();
    let batch: Vec<&Example> = examples.iter().collect();
    let reversed: Vec<&Example> = examples.iter().rev().collect();
    let packed = gradient(&streams(&batch, true));
    assert_eq!((streams(&batch, true).len(), streams(&batch, false).len()), (1, examples.len()));
    assert_close(&packed, &gradient(&streams(&batch, false)));
    assert_close(&packed, &gradient(&streams(&reversed, true)));
}

/// The gradient of a policy objective over those streams, as the GRPO loop adds it up.
fn policy_gradient(batch: &[&Example], streams: &[Stream], loss: PolicyLoss) -> Vec<f32> {
    let (decoder, params) = model();
    let kl_estimator = KlEstimator::K3;
    let objective =
        Objective { loss, epsilon: 0.2, epsilon_high: 0.28, kl_coef: 0.1, kl_estimator, max_completion_length: 9 };
    // Before the first stream, over the whole batch.
    let denominators = Denominators::of(batch.iter().map(|example| example.trained()));
    let mut gradients = Gradients::new(&params);
    for stream in streams {
        let (log_probs, _) = stream.log_probs(&decoder, 0.8).unwrap();
        let current: Vec<f64> = log_probs.to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect();
        let (mut slopes, mut from) = (Vec::new(), 0);
        for &member in &stream.members {
            let of_member = &current[from..from + batch[member].trained()];
            from += of_member.len();
            // A step away from where it was sampled, by what hangs on the completion alone.
            let moved = |by: f64| of_member.iter().map(|value| value + by).collect::<Vec<f64>>();
            let (old_log_probs, reference_log_probs) = (moved(0.3 * (ids(batch[member]) % 3.0 - 1.0)), moved(-0.2));
            let trajectory = Trajectory {
                log_probs: of_member,
                old_log_probs: &old_log_probs,
                reference_log_probs: &reference_log_probs,
                advantage: ids(batch[member]) % 5.0 - 2.0,
            };
            slopes.extend(objective.evaluate(&trajectory, &denominators).gradient.iter().map(|&slope| slope as f32));
        }
        let slopes = Tensor::from_vec(slopes, log_probs.shape(), log_probs.device()).unwrap();
        gradients.accumulate(&params, &(log_probs * slopes).unwrap().sum_all().unwrap()).unwrap();
    }
    gradients.iter().flat_map(|(_, values)| values.to_vec()).collect()
}

/// A number of an example that does not hang on where it stands.
fn ids(example: &Example) -> f64 {
    example.ids.iter().map(|&id| f64::from(id)).sum()
}

#[test]
fn the_policy_gradient_does_not_depend_on_micro_batches_packing_or_order() {
    let examples = examples();
    let batch: Vec<&Example> = examples.iter().collect();
    let reversed: Vec<&Example> = examples.iter().rev().collect();
    for loss in [PolicyLoss::Grpo, PolicyLoss::Dapo, PolicyLoss::DrGrpo, PolicyLoss::Gspo, PolicyLoss::Cispo] {
        let packed = policy_gradient(&batch, &streams(&batch, true), loss);
        assert!(packed.iter().any(|slope| slope.abs() > 1e-4), "{loss:?} has no gradient here");
        assert_close(&packed, &policy_gradient(&batch, &streams(&batch, false), loss));
        assert_close(&packed, &policy_gradient(&reversed, &streams(&reversed, true), loss));
    }
}

/// The largest difference over 16 completions of 12 tokens is held below 1e-5 nats.
#[test]
fn log_probabilities_of_the_sampler_equal_the_trainers() {
    let (decoder, _) = model();
    let temperature = 0.7;
    let sampling = Sampling { temperature, max_tokens: 12, stop_ids: vec![3], ..Sampling::default() };
    let prompt = |at: u64| Prompt { ids: vec![7 + at as u32, 8, 9 + 2 * at as u32], seed: Seed::new(at) };
    let prompts: Vec<Prompt> = (0..16).map(prompt).collect();
    let completions = rollout::generate(&decoder, &prompts, &sampling, 5, &mut |_| true).unwrap();
    let mut largest = 0.0f32;
    for (prompt, completion) in prompts.iter().zip(&completions) {
        let ids: Vec<u32> = prompt.ids.iter().chain(&completion.ids).copied().collect();
        let mask = (0..ids.len()).map(|at| at >= prompt.ids.len()).collect();
        let example = Example { ids, mask };
        let (log_probs, _) = streams(&[&example], true)[0].log_probs(&decoder, temperature).unwrap();
        let gaps = log_probs.to_vec1::<f32>().unwrap().into_iter().zip(&completion.logprobs);
        largest = gaps.fold(largest, |largest, (trainer, sampler)| largest.max((trainer - sampler).abs()));
    }
    assert!(largest < 1e-5, "they differ by {largest}");
}

/// What adapters drop belongs to the sample, not to its place.
#[test]
fn the_gradient_of_adapters_does_not_depend_on_packing_or_on_order_in_the_batch() {
    let examples = examples();
    let batch: Vec<&Example> = examples.iter().collect();
    let reversed: Vec<&Example> = examples.iter().rev().collect();
    let packed = gradient_of(adapted(), &streams(&batch, true));
    assert_close(&packed, &gradient_of(adapted(), &streams(&batch, false)));
    assert_close(&packed, &gradient_of(adapted(), &streams(&reversed, true)));
}

#[test]
fn the_gradient_does_not_depend_on_the_micro_batch_split() {
    let examples = examples();
    for split in 1..examples.len() {
        let (first, second): (Vec<&Example>, Vec<&Example>) =
            (examples[..split].iter().collect(), examples[split..].iter().collect());
        let micro = [streams(&first, true), streams(&second, true)].concat();
        let batch: Vec<&Example> = examples.iter().collect();
        let whole = streams(&batch, true);
        assert_close(&gradient(&whole), &gradient(&micro));
        assert_close(&gradient_of(adapted(), &whole), &gradient_of(adapted(), &micro));
    }
}

/// There is no padding to leave out: a sequence beside longer ones costs its own tokens and gets its own gradient.
#[test]
fn no_token_is_spent_on_padding_and_none_changes_a_gradient() {
    let examples = examples();
    let batch: Vec<&Example> = examples.iter().collect();
    let tokens: usize = examples.iter().map(Example::len).sum();
    for packing in [true, false] {
        assert_eq!(streams(&batch, packing).iter().map(|stream| stream.ids.len()).sum::<usize>(), tokens);
    }
    let sum = |parts: Vec<Vec<f32>>| -> Vec<f32> {
        parts.into_iter().reduce(|sum, part| sum.iter().zip(&part).map(|(a, b)| a + b).collect()).unwrap()
    };
    let alone = batch.iter().map(|&example| gradient(&streams(&[example], true))).collect();
    assert_close(&gradient(&streams(&batch, true)), &sum(alone));
}

#[test]
fn a_neighbour_in_the_stream_changes_nothing() {
    let examples = examples();
    let (decoder, _) = model();
    let first = |neighbour: &Example| {
        let stream = streams(&[&examples[11], neighbour], true).remove(0);
        let (log_probs, _) = stream.log_probs(&decoder, 1.0).unwrap();
        log_probs.to_vec1::<f32>().unwrap()[..examples[11].trained()].to_vec()
    };
    assert_eq!(first(&examples[3]), first(&examples[6]));
}

/// A neighbour that is not trained on: whatever stands in it, the gradient is that of the sample alone.
#[test]
fn packing_isolates_gradients_from_a_perturbed_neighbour() {
    let examples = examples();
    let neighbour = |shift: u32| {
        let ids = examples[8].ids.iter().map(|id| (id + shift) % 50).collect();
        Example { ids, mask: vec![false; examples[8].len()] }
    };
    let sample = &examples[5];
    for before in [true, false] {
        let with = |other: &Example| {
            let batch = if before { [other, sample] } else { [sample, other] };
            gradient(&streams(&batch, true))
        };
        assert_eq!(with(&neighbour(0)), with(&neighbour(7)));
        assert_close(&with(&neighbour(0)), &gradient(&streams(&[sample], true)));
    }
}

fn run(states: &Path, stop: &AtomicBool, stop_after: u64) -> Result<Vec<u32>, TrainError> {
    run_of(model(), states, stop, stop_after)
}

fn run_of(
    (decoder, params): (Decoder, Params),
    states: &Path,
    stop: &AtomicBool,
    stop_after: u64,
) -> Result<Vec<u32>, TrainError> {
    let events = |event: StageEvent| {
        if matches!(event, StageEvent::Progress { step, .. } if step == stop_after) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let places = Places::closed(states);
    let watch = Watch { events: &events, stop, states: Some(&places), checkpoint_seconds: 1e9 };
    train(decoder, params, &examples(), &settings(true), &watch).map(|(params, _)| bits(&params))
}

#[test]
fn stopped_and_resumed_equals_straight_through_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let go = AtomicBool::new(false);
    let straight = run(&folder.path().join("straight"), &go, u64::MAX).unwrap();
    let states = folder.path().join("stopped");
    for stop_after in [2, 5] {
        let ended = run(&states, &AtomicBool::new(false), stop_after);
        assert!(matches!(ended, Err(TrainError::Interrupted { saved_at: Some(at) }) if at == stop_after), "{ended:?}");
    }
    assert_eq!(run(&states, &go, u64::MAX).unwrap(), straight);
}

/// A fresh adapter: at the first step half of it has no gradient yet, and every step drops other inputs.
#[test]
fn adapters_resume_to_the_bit() {
    let fresh = || {
        let (decoder, _) = model();
        let targets = ["q_proj", "up_proj"].map(String::from).into();
        let lora = LoraConfig { rank: 2, alpha: 4.0, dropout: 0.3, targets, seed: Seed::new(4) };
        Decoder::adapted(decoder.config(), &decoder.weights(), &lora).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let go = AtomicBool::new(false);
    let straight = run_of(fresh(), &folder.path().join("straight"), &go, u64::MAX).unwrap();
    let states = folder.path().join("stopped");
    for stop_after in [1, 4] {
        let ended = run_of(fresh(), &states, &AtomicBool::new(false), stop_after);
        assert!(matches!(ended, Err(TrainError::Interrupted { saved_at: Some(at) }) if at == stop_after), "{ended:?}");
    }
    assert_eq!(run_of(fresh(), &states, &go, u64::MAX).unwrap(), straight);
}

#[test]
fn an_adapter_that_no_gradient_reaches_ends_the_first_step_by_name() {
    let (decoder, _) = model();
    let targets = vec!["q_proj".to_string()];
    let lora = LoraConfig { rank: 2, alpha: 4.0, dropout: 0.0, targets, seed: Seed::new(4) };
    let (_, params) = Decoder::adapted(decoder.config(), &decoder.weights(), &lora).unwrap();
    // The loss of a decoder without these adapters.
    let examples = examples();
    let batch: Vec<&Example> = examples.iter().collect();
    let (other, _) = model();
    let mut learner = Learner::new(other, params, settings(true).optimiser, 1);
    for stream in streams(&batch, true) {
        let (log_probs, _) = stream.log_probs(&learner.decoder, 1.0).unwrap();
        learner.add_gradient(&log_probs.sum_all().unwrap(), stream.rows.len()).unwrap();
    }
    let message = learner.apply(1.0).unwrap_err().to_string();
    assert!(message.contains("lora_B") && !message.contains("lora_A"), "{message}");
}

/// The trained weights, computed in that way.
fn trained(compute: Compute) -> Vec<u32> {
    let folder = tempfile::tempdir().unwrap();
    let (decoder, params) = model();
    let computed = (decoder.computed(compute).unwrap(), params);
    run_of(computed, folder.path(), &AtomicBool::new(false), u64::MAX).unwrap()
}

const BF16: Compute = Compute { kernels: Kernels::Fused, precision: Precision::Bf16, checkpointing: false };

#[test]
fn the_number_of_threads_changes_no_bit() {
    for compute in [Compute::default(), BF16] {
        let with_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| trained(compute))
        };
        assert_eq!(with_threads(1), with_threads(3));
    }
}

#[test]
fn activation_checkpointing_changes_no_bit() {
    for compute in [Compute::default(), BF16] {
        assert_eq!(trained(compute), trained(Compute { checkpointing: true, ..compute }));
    }
}

#[test]
fn the_fused_layers_and_the_reference_learn_the_same() {
    for compute in [Compute::default(), BF16] {
        let [fused, reference] =
            [Kernels::Fused, Kernels::Reference].map(|kernels| trained(Compute { kernels, ..compute }));
        let values = |bits: &[u32]| bits.iter().map(|bits| f32::from_bits(*bits)).collect::<Vec<_>>();
        let (fused, reference) = (values(&fused), values(&reference));
        let gaps = fused.iter().zip(&reference).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        let size = reference.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>();
        let bound = if compute.precision == Precision::F32 { 1e-3 } else { 2e-2 };
        assert!((gaps / size).sqrt() < bound, "{compute:?}: the weights differ by {}", (gaps / size).sqrt());
    }
    assert_ne!(trained(Compute::default()), trained(BF16));
}

#[test]
fn numbers_that_are_not_finite_end_the_loop_and_name_step_and_batch() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let places = Places::closed(folder.path());
    let watch = Watch { events: &|_| {}, stop: &stop, states: Some(&places), checkpoint_seconds: 1e9 };
    let mut settings = settings(true);
    // The first step at this rate puts every weight beyond the largest float.
    settings.optimiser.schedule.peak = 1e38;
    let (decoder, params) = model();
    let ended = train(decoder, params, &examples(), &settings, &watch).map(|_| ());
    let message = match ended {
        Err(TrainError::Diverged(message)) => message,
        other => panic!("{other:?}"),
    };
    assert!(["step 2:", "example ", "learning_rate"].iter().all(|part| message.contains(part)), "{message}");
}

#[test]
fn a_parameter_without_gradient_ends_the_first_step_by_name() {
    let (decoder, mut params) = model();
    let stray = candle_core::Tensor::zeros(3, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    params.add("stray.weight", &stray).unwrap();
    let examples = examples();
    let batch: Vec<&Example> = examples.iter().collect();
    let mut learner = Learner::new(decoder, params, settings(true).optimiser, 1);
    for stream in streams(&batch, true) {
        let (log_probs, _) = stream.log_probs(&learner.decoder, 1.0).unwrap();
        learner.add_gradient(&log_probs.sum_all().unwrap(), stream.rows.len()).unwrap();
    }
    let message = learner.apply(1.0).unwrap_err().to_string();
    assert!(message.contains("stray.weight") && !message.contains("embed_tokens"), "{message}");
}
