//! A training that goes on from a shorter one ends in the bytes and the numbers of one that never stopped.

use super::budget::Budget;
use super::distill::{self, Divergence, Goal};
use super::divergence::{Direction, Measure, TopRow};
use super::grpo::{GrpoSettings, Overlong, Task};
use super::loss::{KlEstimator, Objective, PolicyLoss, RewardScaling};
use super::on_policy::OnPolicy;
use super::resume::Metrics;
use super::sft::SftSettings;
use super::step::OptimiserSettings;
use super::teacher::{KeptRows, Teacher};
use super::watch::{TrainError, Watch};
use super::{grpo, sft};
use crate::base::digest::Digest;
use crate::base::event::StageEvent;
use crate::base::seed::Seed;
use crate::base::state::{Place, Places, TENSORS};
use crate::data::encode::{Example, encode_prompt};
use crate::data::row::Row;
use crate::data::train_tokenizer::tests::tiny;
use crate::model::{Decoder, ModelConfig, random_weights};
use crate::nn::{AdamWConfig, Params, Schedule, ScheduleShape, Warmup};
use crate::reward::RewardSum;
use crate::rollout::Sampling;
use serde_json::json;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const VOCABULARY: usize = 300;

fn model(seed: u64) -> (Decoder, Params) {
    let config = json!({
        "model_type": "qwen2", "vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": true, "hidden_act": "silu"
    });
    let config = ModelConfig::parse(&config.to_string()).unwrap();
    Decoder::trainable(&config, &random_weights(&config, 0.1, Seed::new(seed)).unwrap()).unwrap()
}

fn examples() -> Vec<Example> {
    let mut stream = Seed::new(2).stream();
    let example = |length: usize| Example {
        ids: (0..length).map(|_| stream.below(VOCABULARY as u64) as u32).collect(),
        mask: (0..length).map(|at| at >= length / 2).collect(),
    };
    (3..15).map(example).collect()
}

fn optimiser(shape: ScheduleShape) -> OptimiserSettings {
    let schedule = Schedule { shape, peak: 1e-2, warmup: Warmup::Steps(3), min_lr_ratio: 0.1, total: 0 };
    OptimiserSettings { schedule, adamw: AdamWConfig::default(), max_grad_norm: 1.0 }
}

fn settings(budget: Budget, shape: ScheduleShape) -> SftSettings {
    SftSettings { budget, batch: 5, packing: true, optimiser: optimiser(shape), seed: Seed::new(3) }
}

type Trained = Result<(Params, Metrics), TrainError>;

fn sft_for(budget: Budget, shape: ScheduleShape, watch: &Watch) -> Trained {
    let (decoder, params) = model(1);
    sft::train(decoder, params, &examples(), &settings(budget, shape), watch)
}

fn distill_for(measure: Measure, budget: Budget, shape: ScheduleShape, watch: &Watch) -> Trained {
    let ((decoder, params), (teacher, _)) = (model(1), model(9));
    let divergence = Divergence { measure, temperature: 1.5, vocabulary: VOCABULARY };
    let goal = Goal { teacher: Teacher::new(teacher), divergence, on_policy: None };
    distill::train(decoder, params, &goal, &examples(), &settings(budget, shape), watch)
}

/// Half of the batches are the student's own.
fn distill_on_policy_for(share: f64, budget: Budget, shape: ScheduleShape, watch: &Watch) -> Trained {
    let ((decoder, params), (teacher, _)) = (model(1), model(9));
    let measure = Measure::Jsd { beta: 0.5 };
    let divergence = Divergence { measure, temperature: 1.0, vocabulary: VOCABULARY };
    let stop_ids = (0..VOCABULARY as u32).step_by(5).collect();
    let on_policy = OnPolicy {
        share,
        prompts: vec![vec![5, 6, 7], vec![8, 9], vec![10]],
        sampling: Sampling { max_tokens: 9, stop_ids, ..Sampling::default() },
        sequences_at_once: 4,
        seed: Seed::new(6),
    };
    let goal = Goal { teacher: Teacher::new(teacher), divergence, on_policy: Some(on_policy) };
    distill::train(decoder, params, &goal, &examples(), &settings(budget, shape), watch)
}

/// Many tokens end a completion and long ones score less, so that groups of a random model teach something.
fn grpo_for(iterations: u64, budget: Budget, shape: ScheduleShape, watch: &Watch) -> Trained {
    grpo_with(grpo_settings(iterations, budget, shape), watch)
}

fn grpo_settings(iterations: u64, budget: Budget, shape: ScheduleShape) -> GrpoSettings {
    let objective = Objective {
        loss: PolicyLoss::Dapo,
        epsilon: 0.2,
        epsilon_high: 0.2,
        kl_coef: 0.05,
        kl_estimator: KlEstimator::K3,
        max_completion_length: 12,
    };
    let stop_ids = (0..VOCABULARY as u32).step_by(5).collect();
    GrpoSettings {
        budget,
        prompts_per_step: 3,
        num_generations: 4,
        iterations,
        sampling: Sampling { max_tokens: 12, stop_ids, ..Sampling::default() },
        sequences_at_once: 8,
        reward: RewardSum { offset: 0.0, terms: vec![] },
        scale_rewards: RewardScaling::Group,
        objective,
        overlong: Overlong::Soft { buffer: 11, limit: 12 },
        dynamic_sampling: false,
        optimiser: optimiser(shape),
        seed: Seed::new(3),
    }
}

/// Settings of a GRPO training, for tests that look at some of them only.
pub(super) fn plain_settings() -> GrpoSettings {
    grpo_settings(1, Budget::Steps(1), ScheduleShape::Constant)
}

fn grpo_with(settings: GrpoSettings, watch: &Watch) -> Trained {
    let tokenizer = tiny();
    let rows = ["one", "two and two", "three", "what is four?"].map(|text| Row::new(text, None, Some("4".into())));
    let tasks = rows.map(|row| Task { prompt: encode_prompt(&tokenizer, &row).unwrap(), row });
    let ((decoder, params), (reference, _)) = (model(1), model(1));
    grpo::train(decoder, params, Some(reference), &tasks, &tokenizer, &settings, watch)
}

fn places(folder: &Path, budget: Budget) -> Places {
    let own = format!("{budget:?}");
    let place = |name: &str| Place { folder: folder.join(name), trajectory: Digest::of_bytes(name.as_bytes()) };
    Places { own: place(&own), shared: Some(place("shared")), key: Digest::of_bytes(b"stage"), budget: json!(own) }
}

/// What a training came to.
#[derive(Debug, PartialEq)]
struct Ended {
    weights: Vec<u32>,
    metrics: Vec<(String, u64)>,
    /// The step of the state it went on from.
    resumed: Option<u64>,
    /// Steps that it did itself.
    steps: usize,
    warnings: usize,
}

struct Bench {
    folder: tempfile::TempDir,
    checkpoint_seconds: f64,
}

impl Bench {
    fn new() -> Self {
        Bench { folder: tempfile::tempdir().unwrap(), checkpoint_seconds: 1e9 }
    }

    /// Trains with the states of this bench, stopped after a step where one is given.
    fn try_train(
        &self,
        budget: Budget,
        stop_after: Option<u64>,
        train: impl Fn(&Watch) -> Trained,
    ) -> Result<Ended, TrainError> {
        let stop = AtomicBool::new(false);
        let (resumed, steps, warnings) = (Mutex::new(None), Mutex::new(0), Mutex::new(0));
        let events = |event: StageEvent| match event {
            StageEvent::Resumed { step, .. } => *resumed.lock().unwrap() = Some(step),
            StageEvent::Progress { step, .. } => {
                *steps.lock().unwrap() += 1;
                stop.fetch_or(Some(step) == stop_after, Ordering::Relaxed);
            }
            StageEvent::Warning { .. } => *warnings.lock().unwrap() += 1,
            _ => {}
        };
        let places = places(self.folder.path(), budget);
        let checkpoint_seconds = self.checkpoint_seconds;
        let watch = Watch { events: &events, stop: &stop, states: Some(&places), checkpoint_seconds };
        let (params, metrics) = train(&watch)?;
        let values =
            |(_, tensor): (String, candle_core::Tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        Ok(Ended {
            weights: params.tensors().into_iter().flat_map(values).map(f32::to_bits).collect(),
            metrics: metrics.into_iter().map(|(name, value)| (name, value.to_bits())).collect(),
            resumed: resumed.into_inner().unwrap(),
            steps: steps.into_inner().unwrap(),
            warnings: warnings.into_inner().unwrap(),
        })
    }

    fn train(&self, budget: Budget, train: impl Fn(&Watch) -> Trained) -> Ended {
        self.try_train(budget, None, train).unwrap()
    }

    fn shared(&self) -> Place {
        places(self.folder.path(), Budget::Steps(1)).shared.unwrap()
    }

    fn steps(&self) -> Vec<u64> {
        self.shared().states().iter().map(|state| state.step).collect()
    }
}

/// 5 and then 9 steps are 9 steps, 9 again are none, and so are 5.
fn assert_prefixes_are_shared(train: impl Fn(Budget, &Watch) -> Trained) {
    let (short, long) = (Budget::Steps(5), Budget::Steps(9));
    let (straight, brief) =
        (Bench::new().train(long, |watch| train(long, watch)), Bench::new().train(short, |watch| train(short, watch)));
    let bench = Bench::new();
    let first = bench.train(short, |watch| train(short, watch));
    assert_eq!(first, brief);
    let stride = first.steps as u64 / 5;
    let then = bench.train(long, |watch| train(long, watch));
    assert_eq!((then.resumed, then.steps as u64), (Some(5 * stride), 4 * stride));
    assert_eq!((&then.weights, &then.metrics), (&straight.weights, &straight.metrics));
    let again = bench.train(long, |watch| train(long, watch));
    assert_eq!((again.resumed, again.steps), (Some(9 * stride), 0));
    assert_eq!((&again.weights, &again.metrics), (&straight.weights, &straight.metrics));
    let back = bench.train(short, |watch| train(short, watch));
    assert_eq!((back.resumed, back.steps), (Some(5 * stride), 0));
    assert_eq!((&back.weights, &back.metrics), (&brief.weights, &brief.metrics));
    assert_eq!(bench.steps(), [5 * stride, 9 * stride]);
    assert_eq!(then.warnings + again.warnings + back.warnings, 0);
}

#[test]
fn sft_goes_on_from_a_shorter_one() {
    assert_prefixes_are_shared(|budget, watch| sft_for(budget, ScheduleShape::Constant, watch));
}

#[test]
fn distill_by_kl_goes_on_from_a_shorter_one() {
    for direction in [Direction::Forward, Direction::Reverse] {
        let measure = Measure::Kl { direction, top_k: Some(8) };
        assert_prefixes_are_shared(|budget, watch| distill_for(measure, budget, ScheduleShape::Constant, watch));
    }
}

/// Rows in memory, and how many were taken from there.
#[derive(Default)]
struct Remembered<'a> {
    rows: std::collections::BTreeMap<Digest, Vec<TopRow>>,
    taken: Option<&'a std::cell::Cell<usize>>,
}

impl KeptRows for Remembered<'_> {
    fn get(&self, example: &Digest) -> Option<Vec<TopRow>> {
        let found = self.rows.get(example).cloned();
        if let (Some(taken), Some(_)) = (self.taken, &found) {
            taken.set(taken.get() + 1);
        }
        found
    }

    fn put(&mut self, example: Digest, rows: &[TopRow]) {
        self.rows.insert(example, rows.to_vec());
    }
}

/// 12 examples in batches of 5: after three steps the teacher has been asked for each, and is not asked again.
#[test]
fn a_teacher_whose_rows_are_kept_teaches_the_same_bytes() {
    let taken = std::cell::Cell::new(0);
    let train = |keep: bool| {
        let train = |watch: &Watch| {
            let ((decoder, params), (teacher, _)) = (model(1), model(9));
            let measure = Measure::Kl { direction: Direction::Forward, top_k: Some(8) };
            let divergence = Divergence { measure, temperature: 1.5, vocabulary: VOCABULARY };
            let kept = Remembered { taken: Some(&taken), ..Remembered::default() };
            let teacher = if keep { Teacher::keeping(teacher, kept) } else { Teacher::new(teacher) };
            let goal = Goal { teacher, divergence, on_policy: None };
            // One sequence a pass: a stream is known where all its members are.
            let settings = SftSettings { packing: false, ..settings(Budget::Steps(9), ScheduleShape::Constant) };
            distill::train(decoder, params, &goal, &examples(), &settings, watch)
        };
        Bench::new().train(Budget::Steps(9), train)
    };
    let (kept, anew) = (train(true), train(false));
    assert_eq!((kept.weights, kept.metrics), (anew.weights, anew.metrics));
    assert_eq!(taken.get(), 9 * 5 - 12);
}

#[test]
fn distill_by_jsd_goes_on_from_a_shorter_one() {
    let measure = Measure::Jsd { beta: 0.3 };
    assert_prefixes_are_shared(|budget, watch| distill_for(measure, budget, ScheduleShape::Constant, watch));
}

#[test]
fn distill_on_policy_goes_on_from_a_shorter_one_and_comes_nearer_to_the_teacher() {
    assert_prefixes_are_shared(|budget, watch| distill_on_policy_for(0.5, budget, ScheduleShape::Constant, watch));
    let loss = |steps: u64| {
        let budget = Budget::Steps(steps);
        let train = |watch: &Watch| distill_on_policy_for(1.0, budget, ScheduleShape::Constant, watch);
        let ended = Bench::new().train(budget, train);
        let metric = |name: &str| f64::from_bits(ended.metrics.iter().find(|(found, _)| found == name).unwrap().1);
        assert_eq!(metric("on_policy"), 1.0);
        metric("loss")
    };
    assert!(loss(60) < 0.8 * loss(1), "{} after 60 steps, {} at the first", loss(60), loss(1));
}

#[test]
fn grpo_goes_on_from_a_shorter_one() {
    for iterations in [1, 2] {
        assert_prefixes_are_shared(|budget, watch| grpo_for(iterations, budget, ScheduleShape::Constant, watch));
    }
    let moved =
        Bench::new().train(Budget::Steps(5), |watch| grpo_for(1, Budget::Steps(5), ScheduleShape::Constant, watch));
    let begun = model(1).1.tensors()[0].1.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(moved.weights.iter().zip(begun).any(|(now, before)| *now != before.to_bits()), "nothing was learned");
}

/// A reward that few completions differ in: many groups are flat, and how many are drawn hangs on the policy.
fn sparse(budget: Budget) -> GrpoSettings {
    let overlong = Overlong::Soft { buffer: 3, limit: 12 };
    GrpoSettings { dynamic_sampling: true, overlong, ..grpo_settings(1, budget, ScheduleShape::Constant) }
}

#[test]
fn grpo_with_dynamic_sampling_goes_on_from_a_shorter_one() {
    assert_prefixes_are_shared(|budget, watch| grpo_with(sparse(budget), watch));
    let ended = Bench::new().train(Budget::Steps(9), |watch| grpo_with(sparse(Budget::Steps(9)), watch));
    let plain = GrpoSettings { dynamic_sampling: false, ..sparse(Budget::Steps(9)) };
    let plain = Bench::new().train(Budget::Steps(9), |watch| grpo_with(plain.clone(), watch));
    assert_ne!(ended.weights, plain.weights);
    assert!(ended.metrics.iter().any(|(name, _)| name == "groups_dropped"));
}

#[test]
fn dynamic_sampling_gives_up_where_no_group_can_teach() {
    let settings = GrpoSettings { overlong: Overlong::Keep, ..sparse(Budget::Steps(2)) };
    let objective = Objective { kl_coef: 0.0, ..settings.objective };
    let settings = GrpoSettings { objective, ..settings };
    let begun = model(1)
        .1
        .tensors()
        .iter()
        .flat_map(|(_, tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        .map(f32::to_bits)
        .collect::<Vec<_>>();
    let ended = Bench::new().train(Budget::Steps(2), |watch| grpo_with(settings.clone(), watch));
    let metric =
        |name: &str| ended.metrics.iter().find(|(found, _)| found == name).map(|(_, bits)| f64::from_bits(*bits));
    assert_eq!((metric("zero_variance_groups"), metric("groups_missing")), (Some(1.0), Some(3.0)));
    assert_eq!(metric("groups_dropped"), Some(30.0), "ten draws of three prompts");
    assert_eq!(ended.weights, begun, "nothing was learned, and nothing broke");
}

#[test]
fn epochs_go_on_from_fewer_epochs_and_tokens_from_fewer_tokens() {
    let budgets = [[1.0, 2.0].map(Budget::Epochs), [300, 700].map(Budget::Tokens)];
    for [short, long] in budgets {
        let train = |budget| move |watch: &Watch| sft_for(budget, ScheduleShape::Constant, watch);
        let straight = Bench::new().train(long, train(long));
        let bench = Bench::new();
        let first = bench.train(short, train(short));
        let then = bench.train(long, train(long));
        assert_eq!((then.resumed, then.steps), (Some(first.steps as u64), straight.steps - first.steps));
        assert_eq!((then.weights, then.metrics), (straight.weights, straight.metrics));
    }
}

/// 9 steps whose last third decays: 7 of them, the first decayed one with the peak included, are those of any length.
#[test]
fn wsd_shares_its_steps_before_the_decay_with_longer_shorter_and_constant_ones() {
    let wsd = ScheduleShape::Wsd { decay: 1.0 / 3.0 };
    let train = |steps, shape| move |watch: &Watch| sft_for(Budget::Steps(steps), shape, watch);
    let straight = |steps, shape| Bench::new().train(Budget::Steps(steps), train(steps, shape));
    let bench = Bench::new();
    let went_on = |steps, shape| {
        let ended = bench.train(Budget::Steps(steps), train(steps, shape));
        let straight = straight(steps, shape);
        assert_eq!((ended.weights, ended.metrics), (straight.weights, straight.metrics), "{steps} {shape:?}");
        (ended.resumed, ended.steps)
    };
    assert_eq!(went_on(9, wsd), (None, 9));
    assert_eq!(went_on(15, wsd), (Some(7), 8));
    assert_eq!(went_on(8, ScheduleShape::Constant), (Some(7), 1));
    // Its decay starts at step 4: what was saved lies beyond.
    assert_eq!(went_on(6, wsd), (None, 6));
    assert_eq!(went_on(12, ScheduleShape::Wsd { decay: 0.1 }), (Some(11), 1));
    assert_eq!(bench.steps(), [5, 7, 8, 11]);
}

#[test]
fn a_schedule_with_a_horizon_shares_nothing() {
    let train = |steps| {
        let budget = Budget::Steps(steps);
        move |watch: &Watch| sft_for(budget, ScheduleShape::Cosine, watch)
    };
    let bench = Bench { checkpoint_seconds: 0.0, ..Bench::new() };
    assert!(bench.try_train(Budget::Steps(5), Some(3), train(5)).is_err());
    assert!(!bench.shared().folder.exists());
    let longer = bench.train(Budget::Steps(9), train(9));
    assert_eq!((longer.resumed, longer.steps), (None, 9));
    assert_eq!(bench.train(Budget::Steps(5), train(5)).resumed, Some(3));
}

#[test]
fn a_stopped_training_goes_on_in_a_shorter_and_a_longer_one() {
    let train = |steps| move |watch: &Watch| sft_for(Budget::Steps(steps), ScheduleShape::Constant, watch);
    let bench = Bench::new();
    let stopped = bench.try_train(Budget::Steps(9), Some(4), train(9));
    assert!(matches!(stopped, Err(TrainError::Interrupted { saved_at: Some(4) })), "{stopped:?}");
    let short = bench.train(Budget::Steps(5), train(5));
    assert_eq!((short.resumed, short.steps), (Some(4), 1));
    assert_eq!(bench.steps(), [5], "what was saved against a crash gives way to the state that stays");
    let long = bench.train(Budget::Steps(9), train(9));
    assert_eq!(long.resumed, Some(5));
    assert_eq!(long.weights, Bench::new().train(Budget::Steps(9), train(9)).weights);
}

#[test]
fn a_damaged_state_and_one_of_another_trajectory_are_passed_over() {
    let train = |steps| move |watch: &Watch| sft_for(Budget::Steps(steps), ScheduleShape::Constant, watch);
    let straight = Bench::new().train(Budget::Steps(9), train(9));
    let bench = Bench::new();
    for steps in [3, 5, 7] {
        bench.train(Budget::Steps(steps), train(steps));
    }
    let shared = bench.shared();
    let tensors = shared.state(7).join(TENSORS);
    let mut bytes = std::fs::read(&tensors).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&tensors, bytes).unwrap();
    // A state of another trajectory under our name.
    let strange = places(bench.folder.path(), Budget::Steps(5)).own;
    let stranger = Places { own: strange.clone(), ..Places::closed(bench.folder.path()) };
    let stop = AtomicBool::new(true);
    let watch = Watch { events: &|_| {}, stop: &stop, states: Some(&stranger), checkpoint_seconds: 0.0 };
    assert!(sft_for(Budget::Steps(9), ScheduleShape::Cosine, &watch).is_err());
    std::fs::rename(strange.state(0), shared.state(6)).unwrap();
    let ended = bench.train(Budget::Steps(9), train(9));
    assert_eq!((ended.resumed, ended.warnings), (Some(5), 2));
    assert_eq!((ended.weights, ended.metrics), (straight.weights, straight.metrics));

    for state in shared.states() {
        std::fs::write(state.folder.join(TENSORS), "nothing").unwrap();
    }
    let anew = bench.train(Budget::Steps(4), train(4));
    assert_eq!((anew.resumed, anew.warnings), (None, 2), "the one that is damaged, and that nothing is left");
}

#[test]
fn few_states_stay_and_those_of_fewest_steps_go_first() {
    let train = |steps| move |watch: &Watch| sft_for(Budget::Steps(steps), ScheduleShape::Constant, watch);
    let bench = Bench { checkpoint_seconds: 0.0, ..Bench::new() };
    for steps in [2, 4, 6, 8, 10, 3] {
        bench.train(Budget::Steps(steps), train(steps));
    }
    assert_eq!(bench.steps(), [4, 6, 8, 10]);
}

#[test]
fn a_state_that_cannot_stay_is_a_warning_and_the_training_is_done() {
    let train = |watch: &Watch| sft_for(Budget::Steps(5), ScheduleShape::Constant, watch);
    let bench = Bench::new();
    // A file where the folder should be refuses every write, as a full disk does.
    std::fs::write(bench.shared().folder, "").unwrap();
    let ended = bench.train(Budget::Steps(5), train);
    assert_eq!((ended.steps, ended.warnings), (5, 1));
    assert_eq!(ended.weights, Bench::new().train(Budget::Steps(5), train).weights);
}
