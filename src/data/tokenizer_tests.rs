//! Tests of what a tokenizer reads from a model folder.

use super::*;
use crate::data::train_tokenizer::{tests::tiny, train_tokenizer};

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    train_tokenizer(["some words, some more words"], 280, &[]).unwrap().save(folder.path()).unwrap();
    folder
}

fn message(folder: &Path) -> String {
    Tokenizer::from_folder(folder).unwrap_err().to_string()
}

#[test]
fn a_tokenizer_that_does_not_fit_its_model_is_told() {
    let tokenizer = tiny();
    let size = tokenizer.vocab_size();
    tokenizer.check_fits(size).unwrap();
    tokenizer.check_fits(size + 100).unwrap();
    let told = tokenizer.check_fits(size - 1).unwrap_err().to_string();
    assert!(told.contains("does not match the model"), "{told}");
}

#[test]
fn missing_and_broken_files_are_named() {
    let empty = tempfile::tempdir().unwrap();
    assert!(message(empty.path()).contains("there is no `tokenizer.json`"));
    let broken = folder();
    std::fs::write(broken.path().join("tokenizer.json"), "{").unwrap();
    assert!(message(broken.path()).contains("tokenizer.json: not a tokenizer"));
    let config = folder();
    std::fs::write(config.path().join("tokenizer_config.json"), "{\n,").unwrap();
    assert!(message(config.path()).contains("tokenizer_config.json:2"));
}

#[test]
fn a_folder_without_a_template_says_what_to_do_when_one_is_needed() {
    let bare = folder();
    std::fs::write(bare.path().join("tokenizer_config.json"), "{\"eos_token\": {\"content\": \"<|end|>\"}}").unwrap();
    let tokenizer = Tokenizer::from_folder(bare.path()).unwrap();
    assert_eq!(tokenizer.eos_id().unwrap(), 1);
    assert!(tokenizer.template().unwrap_err().to_string().contains("chat_template.jinja"));
    std::fs::write(bare.path().join("chat_template.jinja"), "{{ messages[0].content }}").unwrap();
    assert!(Tokenizer::from_folder(bare.path()).unwrap().template().is_ok());
}

#[test]
fn the_generation_config_adds_stop_tokens() {
    let folder = folder();
    std::fs::write(folder.path().join("generation_config.json"), "{\"eos_token_id\": [7, 1]}").unwrap();
    assert_eq!(Tokenizer::from_folder(folder.path()).unwrap().stop_ids(), [1, 7]);
}

#[test]
fn a_saved_truncation_is_not_obeyed() {
    let folder = folder();
    let path = folder.path().join("tokenizer.json");
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    json["truncation"] =
        serde_json::json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
    std::fs::write(&path, json.to_string()).unwrap();
    assert!(Tokenizer::from_folder(folder.path()).unwrap().encode("0123456789", false).unwrap().len() >= 10);
}
