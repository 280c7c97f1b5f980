//! Generation against the trainer's log-probabilities, its independence of the batch, stop texts and hard input.

use crate::base::seed::Seed;
use crate::data::tokenizer::Tokenizer;
use crate::data::train_tokenizer::tests::tiny;
use crate::model::{Decoder, ModelConfig, Weights, checkpoint, random_weights};
use crate::nn::ops::gather_rows;
use crate::rollout::{Completion, Progress, Prompt, RolloutError, Sampling, Stop, StopTexts, generate};
use std::collections::BTreeMap;

fn config(vocabulary: usize) -> ModelConfig {
    let text = format!(
        r#"{{"model_type": "qwen2", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": {vocabulary},
            "max_position_embeddings": 40}}"#,
    );
    ModelConfig::parse(&text).unwrap()
}

/// Fresh weights give flat distributions; these give peaked ones.
fn weights(config: &ModelConfig) -> Weights {
    let mut weights = random_weights(config, 0.02, Seed::new(3)).unwrap();
    weights.values_mut().filter(|w| w.rank() == 2).for_each(|w| *w = (&*w * 12.0).unwrap());
    weights
}

fn model() -> Decoder {
    let config = config(61);
    Decoder::trainable(&config, &weights(&config)).unwrap().0
}

fn sampling() -> Sampling {
    Sampling { temperature: 0.8, max_tokens: 12, stop_ids: vec![5, 9], ..Sampling::default() }
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

/// Every way of choosing a token.
fn settings() -> [Sampling; 4] {
    [
        sampling(),
        Sampling { top_k: Some(20), top_p: 0.9, min_p: 0.02, ..sampling() },
        Sampling { repetition_penalty: 1.3, ..sampling() },
        Sampling { temperature: 0.0, ..sampling() },
    ]
}

#[test]
fn tokens_do_not_depend_on_batch_size_order_refill_or_threads() {
    let prompts = prompts();
    for sampling in settings() {
        let alone = run(&prompts, &sampling, 1);
        for batch in [2, 3, 8, 100] {
            assert_eq!(run(&prompts, &sampling, batch), alone, "batch {batch} of {sampling:?}");
        }
        let reversed: Vec<Prompt> = prompts.iter().rev().cloned().collect();
        let mut completions = run(&reversed, &sampling, 4);
        completions.reverse();
        assert_eq!(completions, alone, "another order of {sampling:?}");
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| run(&prompts, &sampling, 4)), alone, "{threads} threads of {sampling:?}");
        }
    }
}

#[test]
fn truncation_changes_the_drawn_log_probabilities_alone() {
    let prompts = prompts();
    for completion in run(&prompts, &sampling(), 8) {
        assert_eq!(completion.drawn_logprobs, completion.logprobs, "nothing is truncated");
    }
    for completion in run(&prompts, &Sampling { top_k: Some(5), ..sampling() }, 8) {
        let pairs = || completion.drawn_logprobs.iter().zip(&completion.logprobs);
        assert!(pairs().all(|(drawn, policy)| drawn >= policy), "{completion:?}");
        assert!(pairs().any(|(drawn, policy)| drawn > policy), "{completion:?}");
    }
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
    assert!(message(vec![1, 61], sampling()).contains("prompt 0 has the token 61, but the model's vocabulary has 61"));
    assert!(message(vec![1], Sampling { temperature: f64::NAN, ..sampling() }).contains("temperature"));
    assert!(message(vec![1], Sampling { top_p: 0.0, ..sampling() }).contains("top_p"));
    let settings = |min_p, repetition_penalty| Sampling { min_p, repetition_penalty, ..sampling() };
    assert!(message(vec![1], settings(1.5, 1.0)).contains("min_p"));
    assert!(message(vec![1], settings(0.0, 0.0)).contains("repetition_penalty"));
    let mut seen = Progress::default();
    let stopped = generate(&model(), &prompts(), &sampling(), 2, &mut |progress| {
        seen = progress;
        progress.tokens < 4
    });
    assert!(matches!(stopped, Err(RolloutError::Stopped)));
    assert_eq!((seen.tokens, seen.total), (4, 12));
    assert_eq!(generate(&model(), &[], &sampling(), 2, &mut |_| true).unwrap(), []);
}

/// A tokenizer of bytes, and a model with a row for each of its tokens.
fn of_text() -> (Tokenizer, Decoder) {
    let tokenizer = tiny();
    let config = config(tokenizer.vocab_size());
    (tokenizer, Decoder::frozen(&config, &weights(&config)).unwrap())
}

fn one(decoder: &Decoder, seed: u64, sampling: &Sampling) -> Completion {
    let prompt = Prompt { ids: vec![40, 41], seed: Seed::new(seed) };
    generate(decoder, &[prompt], sampling, 1, &mut |_| true).unwrap().remove(0)
}

/// Three letters of a completion that are more than one token, and come for the first time where they stand.
fn across_tokens(tokenizer: &Tokenizer, text: &str) -> Option<String> {
    let plain = |part: &&str| part.is_ascii() && part.bytes().all(|byte| byte.is_ascii_graphic());
    let parts = (2..text.len().saturating_sub(4)).filter_map(|at| text.get(at..at + 3)).filter(plain);
    parts.into_iter().find(|part| tokenizer.encode(part, false).unwrap().len() > 1).map(str::to_string)
}

#[test]
fn a_stop_text_that_spans_tokens_is_found_and_cut() {
    let (tokenizer, decoder) = of_text();
    let endless = Sampling { max_tokens: 30, ..Sampling::default() };
    let mut found = 0;
    for seed in 0..40 {
        let whole = one(&decoder, seed, &endless);
        let text = whole.text(&tokenizer, &endless).unwrap();
        let Some(stop) = across_tokens(&tokenizer, &text) else { continue };
        found += 1;
        let stops = StopTexts::new(&["never".to_string(), stop.clone()], &tokenizer);
        let sampling = Sampling { stop_texts: stops, ..endless.clone() };
        let cut = one(&decoder, seed, &sampling);
        assert_eq!(cut.stop, Stop::Text);
        assert_eq!(cut.text(&tokenizer, &sampling).unwrap(), text[..text.find(&stop).unwrap()]);
        let length = cut.ids.len();
        assert_eq!((&cut.ids[..], &cut.logprobs[..]), (&whole.ids[..length], &whole.logprobs[..length]));
        let before = tokenizer.decode(&cut.ids[..length - 1], true).unwrap();
        assert!(!before.contains(&stop), "it ends with the token that completes {stop:?}");
    }
    assert!(found >= 5, "only {found} completions had a text to stop at");
}

#[test]
fn a_stop_text_that_never_comes_changes_nothing() {
    let (tokenizer, decoder) = of_text();
    let endless = Sampling { max_tokens: 30, ..Sampling::default() };
    let stops = StopTexts::new(&["a text that no model without training writes".to_string()], &tokenizer);
    let sampling = Sampling { stop_texts: stops, ..endless.clone() };
    let completion = one(&decoder, 1, &sampling);
    assert_eq!((completion.stop, completion.ids.len()), (Stop::Length, 30));
    assert_eq!(completion, one(&decoder, 1, &endless));
    assert!(StopTexts::new(&[String::new()], &tokenizer).is_none(), "an empty text would end everything");
}

#[test]
fn what_may_begin_a_stop_text_is_held_back() {
    let stops = StopTexts::new(&["END".to_string(), "\n\n".to_string()], &tiny()).unwrap();
    for (text, settled) in
        [("", ""), ("an E", "an "), ("an EN", "an "), ("an ENT", "an ENT"), ("a\n", "a"), ("a END b", "a ")]
    {
        assert_eq!(stops.settled(text), settled, "{text:?}");
    }
    assert_eq!(stops.cut("a\n\nb END"), "a");
}

#[test]
fn weights_that_are_no_numbers_are_told() {
    let config = config(61);
    for value in [f32::NAN, f32::INFINITY] {
        let mut weights = weights(&config);
        let name = "model.layers.1.mlp.down_proj.weight";
        let broken = weights[name].affine(1.0, f64::from(value)).unwrap();
        weights.insert(name.to_string(), broken);
        let decoder = Decoder::frozen(&config, &weights).unwrap();
        for temperature in [0.0, 1.0] {
            let sampling = Sampling { temperature, ..sampling() };
            let error = generate(&decoder, &prompts(), &sampling, 4, &mut |_| true).unwrap_err();
            assert!(matches!(error, RolloutError::NotFinite { .. }), "{error}");
            assert!(error.to_string().contains("lower the `learning_rate`"), "{error}");
        }
    }
}

#[test]
fn progress_counts_prompts_batch_and_cache() {
    let mut last = Progress::default();
    let short = Sampling { max_tokens: 3, stop_ids: Vec::new(), ..sampling() };
    generate(&model(), &prompts(), &short, 4, &mut |progress| {
        last = progress;
        true
    })
    .unwrap();
    // Twelve completions of three tokens in four slots, and three prompts without their last tokens, each computed once.
    assert_eq!((last.tokens, last.steps, last.prompt_tokens), (36, 9, 3 + 6));
    assert_eq!((last.occupancy(), last.truncated_share()), (1.0, 1.0));
    // Four sequences of seven prompt tokens, the last three tokens of each behind them but for the one not run.
    assert_eq!((last.cache_used, last.cache_room), (4 * (7 + 3 - 1), 4 * 10));
}

/// What `tests/parity/greedy.py` has written.
#[test]
fn two_hundred_greedy_tokens_equal_those_of_transformers() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    let text = std::fs::read_to_string(folder.join("greedy.json")).unwrap();
    let families: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(families.len(), 5);
    for (family, rows) in families {
        let names = [checkpoint::CONFIG, checkpoint::WEIGHTS];
        let files: BTreeMap<_, _> = names.map(|name| (name.to_string(), folder.join(&family).join(name))).into();
        let (mut config, weights) = checkpoint::load(&files).unwrap();
        config.max_position_embeddings = 256;
        let decoder = Decoder::frozen(&config, &weights).unwrap();
        let ids = |value: &serde_json::Value| -> Vec<u32> { serde_json::from_value(value.clone()).unwrap() };
        let rows: Vec<_> =
            rows.as_array().unwrap().iter().map(|row| (ids(&row["prompt"]), ids(&row["tokens"]))).collect();
        let prompts: Vec<_> = rows.iter().map(|(ids, _)| Prompt { ids: ids.clone(), seed: Seed::new(0) }).collect();
        let greedy = Sampling { temperature: 0.0, max_tokens: 200, ..Sampling::default() };
        let completions = generate(&decoder, &prompts, &greedy, 2, &mut |_| true).unwrap();
        for ((_, tokens), completion) in rows.iter().zip(completions) {
            assert_eq!(completion.ids, *tokens, "{family}");
        }
    }
}
