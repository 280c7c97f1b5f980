//! Tests of masks: where training begins, where it ends, and that generation starts from the same ids.

use super::*;
use crate::data::train_tokenizer::{tests::tiny, train_tokenizer};

fn row(completion: &str) -> Row {
    Row::new("Tom has 12 apples. How many?", Some(completion.into()), None)
}

/// The text of the tokens that are trained on.
fn trained(tokenizer: &Tokenizer, example: &Example) -> String {
    let ids: Vec<u32> = example.ids.iter().zip(&example.mask).filter(|(_, mask)| **mask).map(|(id, _)| *id).collect();
    tokenizer.decode(&ids, false).unwrap()
}

/// The tiny tokenizer under another template.
fn with_template(template: &str) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    train_tokenizer(["some words"], 300, &["<think>", "</think>"]).unwrap().save(folder.path()).unwrap();
    std::fs::write(folder.path().join("chat_template.jinja"), template).unwrap();
    Tokenizer::from_folder(folder.path()).unwrap()
}

#[test]
fn the_completion_and_its_stop_token_are_trained_on() {
    let tokenizer = tiny();
    let example = encode_example(&tokenizer, &row("12 + 30 = 42 é😀\n#### 42"), LossOn::Completion).unwrap();
    assert_eq!(trained(&tokenizer, &example), "12 + 30 = 42 é😀\n#### 42<|end|>");
    let prompt = encode_prompt(&tokenizer, &row("x")).unwrap();
    assert_eq!(example.ids[..prompt.len()], prompt);
    assert!(!example.mask[..prompt.len()].contains(&true));
    let all = encode_example(&tokenizer, &row("4"), LossOn::All).unwrap();
    assert!(!all.mask[0] && all.mask[1..].iter().all(|&mask| mask));
}

fn turns() -> Row {
    let mut row = row("7.");
    row.messages.push(Message::assistant("12 apples."));
    row.messages.push(Message { role: "user".into(), content: "And without 5?".into() });
    row
}

#[test]
fn every_turn_of_the_assistants_is_trained_on_with_its_stop_token() {
    let tokenizer = tiny();
    let last = encode_example(&tokenizer, &turns(), LossOn::Completion).unwrap();
    assert_eq!(trained(&tokenizer, &last), "7.<|end|>");
    let each = encode_example(&tokenizer, &turns(), LossOn::Assistant).unwrap();
    assert_eq!(trained(&tokenizer, &each), "12 apples.<|end|>7.<|end|>");
    let text = |example: &Example| tokenizer.decode(&example.ids, false).unwrap();
    assert_eq!(text(&each), text(&last));
    // One turn alone is the completion.
    let one = row("12");
    let [each, last] = [LossOn::Assistant, LossOn::Completion].map(|on| encode_example(&tokenizer, &one, on).unwrap());
    assert_eq!(each, last);
}

#[test]
fn earlier_turns_that_the_template_rewrites_are_an_error() {
    let tokenizer = with_template(
        "{% for m in messages %}{{ '<|' + m.role + '|>' }}\
         {{ m.content if loop.last else m.content.split('</think>')[-1] }}{{ '<|end|>' }}{% endfor %}\
         {% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    );
    let mut row = turns();
    row.messages[1].content = "12 or so</think>12 apples.".into();
    let message = encode_example(&tokenizer, &row, LossOn::Assistant).unwrap_err().to_string();
    assert!(message.contains("rewrites earlier turns") && message.contains("loss_on"), "{message}");
    assert_eq!(trained(&tokenizer, &encode_example(&tokenizer, &row, LossOn::Completion).unwrap()), "7.<|end|>");
}

#[test]
fn what_the_template_writes_behind_the_stop_token_is_not() {
    let tokenizer = with_template(
        "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}\
         {% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
    );
    let example = encode_example(&tokenizer, &row("42"), LossOn::Completion).unwrap();
    assert_eq!(trained(&tokenizer, &example), "42<|end|>");
    assert_eq!(
        tokenizer.decode(&example.ids, false).unwrap(),
        "<|user|>\nTom has 12 apples. How many?<|end|>\n<|assistant|>\n42<|end|>\n"
    );
    assert_eq!(example.mask.last(), Some(&false));
}

#[test]
fn a_completion_that_was_cut_teaches_no_stop() {
    let tokenizer = tiny();
    let cut = row("12 + 30 =").with_meta("truncated", true);
    let example = encode_example(&tokenizer, &cut, LossOn::Completion).unwrap();
    assert_eq!(trained(&tokenizer, &example), "12 + 30 =");
    let whole = encode_example(&tokenizer, &row("4").with_meta("truncated", false), LossOn::Completion).unwrap();
    assert_eq!(trained(&tokenizer, &whole), "4<|end|>");
}

#[test]
fn a_stop_token_inside_the_completion_ends_nothing() {
    let tokenizer = tiny();
    let example = encode_example(&tokenizer, &row("a<|end|>b"), LossOn::Completion).unwrap();
    assert_eq!(trained(&tokenizer, &example), "a<|end|>b<|end|>");
}

#[test]
fn a_template_without_a_stop_token_gets_one() {
    let tokenizer = with_template("{% for m in messages %}{{ m.content + '\\n' }}{% endfor %}");
    let example = encode_example(&tokenizer, &row("42"), LossOn::Completion).unwrap();
    assert_eq!(trained(&tokenizer, &example), "42<|end|>");
}

#[test]
fn a_template_that_rewrites_the_completion_does_not_change_what_is_trained_on() {
    // As the distilled R1 models: the prompt opens a thought, the history loses it.
    let tokenizer = with_template(
        "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content.split('</think>')[-1] + '<|end|>' }}{% endfor %}\
         {% if add_generation_prompt %}{{ '<|assistant|><think>' }}{% endif %}",
    );
    let example = encode_example(&tokenizer, &row("12</think>42"), LossOn::Completion).unwrap();
    assert_eq!(trained(&tokenizer, &example), "12</think>42<|end|>");
    // And one that trims.
    let tokenizer = with_template(
        "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content | trim + '<|end|>' }}{% endfor %}\
         {% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    );
    let example = encode_example(&tokenizer, &row(" 42\n"), LossOn::Completion).unwrap();
    assert_eq!(trained(&tokenizer, &example), "42<|end|>");
}

#[test]
fn a_row_without_a_completion_is_an_error() {
    let message = encode_example(&tiny(), &Row::new("q", None, None), LossOn::Completion).unwrap_err().to_string();
    assert!(message.contains("has no completion"), "{message}");
}

#[test]
fn the_real_tokenizer_trains_on_gsm8k_solutions_to_the_end_of_turn() {
    let Some(shared) = crate::data::shared_data() else { return };
    let tokenizer = Tokenizer::from_folder(&shared.join("qwen2_5-tokenizer")).unwrap();
    tokenizer.check_fits(151_936).unwrap();
    let rows =
        crate::data::read::read_file(&shared.join("gsm8k/test.jsonl"), &crate::data::format::Format::Gsm8k).unwrap();
    for row in &rows[..100] {
        let example = encode_example(&tokenizer, row, LossOn::Completion).unwrap();
        assert_eq!(trained(&tokenizer, &example), format!("{}<|im_end|>", row.completion.as_deref().unwrap()));
        let prompt = encode_prompt(&tokenizer, row).unwrap();
        assert_eq!(example.ids[..prompt.len()], prompt);
    }
}
