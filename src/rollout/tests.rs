//! Generation against the trainer's log-probabilities, and its independence of the batch.

use crate::base::seed::Seed;
use crate::model::{Decoder, ModelConfig, random_weights};
use crate::nn::ops::gather_rows;
use crate::rollout::{Completion, Progress, Prompt, RolloutError, Sampling, Stop, generate};

fn model() -> Decoder {
    let config = ModelConfig::parse(
        r#"{"model_type": "qwen2", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 61, "max_position_embeddings": 40}"#,
    );
    let config = config.unwrap();
    let mut weights = random_weights(&config, 0.02, Seed::new(3)).unwrap();
    // Fresh weights give flat distributions; these give peaked ones.
    weights.values_mut().filter(|w| w.rank() == 2).for_each(|w| *w = (&*w * 12.0).unwrap());
    Decoder::trainable(&config, &weights).unwrap().0
}

fn sampling() -> Sampling {
    Sampling { temperature: 0.8, top_k: None, top_p: 1.0, max_tokens: 12, stop_ids: vec![5, 9] }
}

/// Four completions of each of three prompts.
fn prompts() -> Vec<Prompt> {
    let texts = [&[1u32, 2, 3, 4][..], &[7], &[8, 30, 12, 60, 11, 2, 2]];
    let seed = |prompt, sample| Seed::new(7).child("prompt", prompt).child("sample", sample);
    let group = |(at, ids): (usize, &[u32])| {
        let ids = ids.to_vec();
        (0..4).map(move |sample| Prompt { ids: ids.clone(), seed: seed(at as u64, sample) }).collect::<Vec<_>>()
    };
    texts.into_iter().enumerate().flat_map(group).collect()
}

fn run(prompts: &[Prompt], sampling: &Sampling, batch: usize) -> Vec<Completion> {
    generate(&model(), prompts, sampling, batch, &mut |_| true).unwrap()
}

#[test]
fn log_probabilities_are_the_trainers() {
    let (model, prompts, sampling) = (model(), prompts(), sampling());
    let mut worst = 0.0f32;
    for (prompt, completion) in prompts.iter().zip(run(&prompts, &sampling, 5)) {
        let ids: Vec<u32> = prompt.ids.iter().chain(&completion.ids).copied().collect();
        let rows: Vec<u32> = (prompt.ids.len() as u32 - 1..ids.len() as u32 - 1).collect();
        let hidden = gather_rows(&model.forward(&ids, &[0, ids.len()]).unwrap(), &rows).unwrap();
        let (expected, _) = model.log_probs(&hidden, &completion.ids, sampling.temperature).unwrap();
        for (ours, theirs) in completion.logprobs.iter().zip(expected.to_vec1::<f32>().unwrap()) {
            worst = worst.max((ours - theirs).abs());
        }
    }
    assert!(worst < 2e-5, "the largest difference is {worst}");
}

#[test]
fn the_batch_changes_nothing() {
    let prompts = prompts();
    let alone = run(&prompts, &sampling(), 1);
    for batch in [2, 3, 8, 100] {
        assert_eq!(run(&prompts, &sampling(), batch), alone, "batch {batch}");
    }
    let mut reversed: Vec<Prompt> = prompts.clone();
    reversed.reverse();
    let mut completions = run(&reversed, &sampling(), 4);
    completions.reverse();
    assert_eq!(completions, alone);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    assert_eq!(pool.install(|| run(&prompts, &sampling(), 4)), alone);
}

#[test]
fn samples_of_a_group_differ_and_greedy_ones_do_not() {
    let sampled = run(&prompts(), &sampling(), 12);
    assert!(sampled[..4].iter().any(|completion| completion.ids != sampled[0].ids));
    let greedy = run(&prompts(), &Sampling { temperature: 0.0, ..sampling() }, 12);
    assert!(greedy[..4].iter().all(|completion| *completion == greedy[0]));
}

#[test]
fn completions_end_by_stop_token_by_limit_and_by_the_last_position() {
    for completion in run(&prompts(), &sampling(), 4) {
        let last = completion.ids[completion.ids.len() - 1];
        assert_eq!(completion.stop == Stop::Stop, [5, 9].contains(&last));
        assert!(completion.stop == Stop::Stop || completion.ids.len() == 12);
        assert_eq!(completion.ids.len(), completion.logprobs.len());
    }
    let endless = Sampling { max_tokens: 1_000, stop_ids: Vec::new(), ..sampling() };
    let completions = run(&prompts()[..1], &endless, 4);
    assert_eq!((completions[0].ids.len(), completions[0].stop), (40 - 4 + 1, Stop::Length));
}

#[test]
fn what_cannot_be_done_is_said() {
    let message = |prompt: Vec<u32>, sampling: Sampling| {
        let prompts = [Prompt { ids: prompt, seed: Seed::new(0) }];
        generate(&model(), &prompts, &sampling, 1, &mut |_| true).unwrap_err().to_string()
    };
    assert!(message(vec![1; 40], sampling()).contains("prompt 0 has 40 tokens, but the model has 40 positions"));
    assert!(message(vec![], sampling()).contains("prompt 0 is empty"));
    assert!(message(vec![61], sampling()).contains("61"));
    assert!(message(vec![1], Sampling { temperature: f64::NAN, ..sampling() }).contains("temperature"));
    assert!(message(vec![1], Sampling { top_p: 0.0, ..sampling() }).contains("top_p"));
    let mut seen = Progress::default();
    let stopped = generate(&model(), &prompts(), &sampling(), 2, &mut |progress| {
        seen = progress;
        progress.tokens < 4
    });
    assert!(matches!(stopped, Err(RolloutError::Stopped)));
    assert_eq!((seen.tokens, seen.total), (4, 12));
    assert_eq!(generate(&model(), &[], &sampling(), 2, &mut |_| true).unwrap(), []);
}
