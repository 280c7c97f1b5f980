//! The policy losses and divergences against PyTorch's autograd and against TRL's own code: `tests/parity/losses.py` and
//! `tests/parity/trl_losses.py` write the cases.

use super::divergence::{Direction, Measure, Targets, divergence_rows};
use super::loss::{Denominators, KlEstimator, Objective, PolicyLoss, RewardScaling, Trajectory, advantages};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Cases {
    policy: Vec<Batch>,
    divergence: Vec<Divergence>,
}

/// One rollout batch, and what several objectives make of it.
#[derive(Deserialize)]
struct Batch {
    group_size: usize,
    max_completion_length: usize,
    completions: Vec<Completion>,
    advantages: BTreeMap<String, Vec<f64>>,
    objectives: Vec<Expected>,
}

#[derive(Deserialize)]
struct Completion {
    reward: Option<f64>,
    masked: bool,
    old: Vec<f64>,
    current: Vec<f64>,
    reference: Vec<f64>,
}

#[derive(Deserialize)]
struct Expected {
    loss: PolicyLoss,
    kl_estimator: KlEstimator,
    kl_coef: f64,
    scaling: String,
    epsilon: f64,
    epsilon_high: f64,
    value: f64,
    gradient: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Divergence {
    direction: Direction,
    temperature: f64,
    vocabulary: usize,
    teacher: Vec<f32>,
    student: Vec<f32>,
    value: f64,
    gradient: Vec<f64>,
}

/// A case of TRL's generalised Jensen–Shannon divergence; β 0 and 1 are its names for the two KLs.
#[derive(Deserialize)]
struct Jsd {
    beta: f64,
    temperature: f64,
    vocabulary: usize,
    teacher: Vec<f32>,
    student: Vec<f32>,
    value: f64,
    gradient: Vec<f64>,
}

#[derive(Deserialize)]
struct TrlCases {
    policy: Vec<Batch>,
    divergence: Vec<Jsd>,
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/parity/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn cases() -> Cases {
    read("losses.json")
}

fn assert_close(found: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((found - wanted).abs() <= tolerance, "{what}: {found} is not {wanted}");
}

#[test]
fn advantages_equal_pytorchs() {
    for batch in cases().policy {
        let rewards: Vec<Option<f64>> = batch.completions.iter().map(|completion| completion.reward).collect();
        for (name, wanted) in &batch.advantages {
            let scaling: RewardScaling = serde_json::from_value(name.as_str().into()).unwrap();
            let found = advantages(&rewards, batch.group_size, scaling);
            assert_eq!(found.zero_variance_groups, 1);
            for (at, (found, wanted)) in found.values.iter().zip(wanted).enumerate() {
                assert_close(*found, *wanted, 1e-9, &format!("{name}, completion {at}"));
            }
        }
    }
}

#[test]
fn policy_losses_and_gradients_equal_pytorchs() {
    for batch in cases().policy {
        let mut clipped = 0;
        for expected in &batch.objectives {
            clipped += hold(&batch, expected);
        }
        assert!(clipped > 0, "a batch without a clip would say nothing of clips");
    }
}

/// Holds one objective against its expected value and gradient; returns how many tokens were clipped.
fn hold(batch: &Batch, expected: &Expected) -> usize {
    let Expected { loss, kl_estimator, kl_coef, epsilon, epsilon_high, .. } = *expected;
    let max_completion_length = batch.max_completion_length;
    let objective = Objective { loss, epsilon, epsilon_high, kl_coef, kl_estimator, max_completion_length };
    let counted = || batch.completions.iter().enumerate().filter(|(_, completion)| !completion.masked);
    let denominators = Denominators::of(counted().map(|(_, completion)| completion.old.len()));
    let (mut value, mut clipped) = (0.0, 0);
    for (at, completion) in counted() {
        let found = objective.evaluate(
            &Trajectory {
                log_probs: &completion.current,
                old_log_probs: &completion.old,
                reference_log_probs: &completion.reference,
                advantage: batch.advantages[&expected.scaling][at],
            },
            &denominators,
        );
        value += found.value;
        clipped += found.clipped;
        assert_eq!(found.gradient.len(), expected.gradient[at].len());
        for (token, (found, wanted)) in found.gradient.iter().zip(&expected.gradient[at]).enumerate() {
            assert_close(*found, *wanted, 1e-9, &format!("{loss:?}, {kl_estimator:?}, completion {at}, token {token}"));
        }
    }
    assert_close(value, expected.value, 1e-9, &format!("{loss:?}, {kl_estimator:?}"));
    for (at, masked) in batch.completions.iter().enumerate().filter(|(_, completion)| completion.masked) {
        assert_eq!(expected.gradient[at], vec![0.0; masked.old.len()], "a masked completion has no gradient");
    }
    clipped
}

/// Whole optimiser steps: TRL adds up three micro-batches, we have one denominator from the start.
#[test]
fn policy_losses_and_gradients_equal_trls_over_several_micro_batches() {
    let mut held = std::collections::BTreeSet::new();
    let (mut masked, mut clipped) = (0, 0);
    for batch in read::<TrlCases>("trl_losses.json").policy {
        masked += batch.completions.iter().filter(|completion| completion.masked).count();
        for expected in &batch.objectives {
            clipped += hold(&batch, expected);
            held.insert(format!("{:?}", expected.loss));
        }
    }
    assert_eq!(held.into_iter().collect::<Vec<_>>(), ["Cispo", "Dapo", "DrGrpo", "Grpo", "Gspo"]);
    assert!(masked > 0 && clipped > 0, "{masked} masked completions, {clipped} clipped tokens");
}

#[test]
fn divergences_and_gradients_equal_trls() {
    for Jsd { beta, temperature, vocabulary, teacher, student, value, gradient: wanted } in
        read::<TrlCases>("trl_losses.json").divergence
    {
        let measure = match beta {
            0.0 => Measure::Kl { direction: Direction::Forward, top_k: None },
            1.0 => Measure::Kl { direction: Direction::Reverse, top_k: None },
            beta => Measure::Jsd { beta },
        };
        let mut gradient = vec![0.0; student.len()];
        let found =
            divergence_rows(measure, temperature, vocabulary, &Targets::Logits(teacher), &student, &mut gradient);
        let what = format!("β {beta} at {temperature}");
        assert_close(found, value, 1e-6, &what);
        gradient.iter().zip(&wanted).for_each(|(found, wanted)| assert_close(f64::from(*found), *wanted, 1e-6, &what));
    }
}

#[test]
fn divergences_and_gradients_equal_pytorchs() {
    for case in cases().divergence {
        let Divergence { direction, temperature, vocabulary, .. } = case;
        let measure = Measure::Kl { direction, top_k: None };
        let mut gradient = vec![0.0; case.student.len()];
        let value = divergence_rows(
            measure,
            temperature,
            vocabulary,
            &Targets::Logits(case.teacher),
            &case.student,
            &mut gradient,
        );
        let what = format!("{direction:?} at {temperature}");
        assert_close(value, case.value, 1e-6, &what);
        for (found, wanted) in gradient.iter().zip(&case.gradient) {
            assert_close(f64::from(*found), *wanted, 1e-6, &what);
        }
    }
}
