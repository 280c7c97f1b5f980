//! Tests of the tokenizer trainer, and the tiny tokenizer that other tests use.

use super::*;
use crate::data::tokenizer::Tokenizer as Loaded;

const TEXTS: [&str; 4] = [
    "Tom has 12 apples and buys 30 more apples.",
    "<think>12 + 30 = 42</think>\n#### 42",
    "word word word, words and wording.",
    "Ann has 7 red apples. How many apples has she?",
];

/// A small tokenizer with its template, from files on disk.
pub(crate) fn tiny() -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    train_tokenizer(TEXTS, 300, &["<think>", "</think>"]).unwrap().save(folder.path()).unwrap();
    Loaded::from_folder(folder.path()).unwrap()
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    let tokenizer = tiny();
    for text in TEXTS.into_iter().chain(["é 😀\t\r\n  x", "<|end|>", ""]) {
        let ids = tokenizer.encode(text, false).unwrap();
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
        assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    }
}

#[test]
fn digits_stand_alone_and_special_tokens_are_one_id() {
    let tokenizer = tiny();
    assert_eq!(tokenizer.encode("12", false).unwrap().len(), 2);
    assert_eq!(tokenizer.encode("<|end|><think>", false).unwrap(), [1, tokenizer.token_id("<think>").unwrap()]);
    assert_eq!((tokenizer.eos_id().unwrap(), tokenizer.pad_id()), (1, Some(0)));
    // Plain tokens survive decoding without special ones; the verifiers look for them.
    let ids = tokenizer.encode("<think>4</think><|end|>", false).unwrap();
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), "<think>4</think>");
}

#[test]
fn the_files_do_not_depend_on_the_order_of_texts_and_are_pinned() {
    let files = train_tokenizer(TEXTS, 300, &["<think>"]).unwrap();
    let reversed = train_tokenizer(TEXTS.into_iter().rev(), 300, &["<think>"]).unwrap();
    assert_eq!(files, reversed);
    let digest = crate::base::digest::Digest::of_bytes(files.tokenizer.as_bytes()).to_string();
    // Another process must make the same bytes: the number was written down by one.
    assert_eq!(digest, PINNED);
}
const PINNED: &str = "55fb4f55f6e40f255ccaf41385e128853a3f4177beb04f458d188acade25210d";

#[test]
fn a_vocabulary_has_a_smallest_size_and_need_not_fill() {
    let message = train_tokenizer(TEXTS, 200, &[]).unwrap_err().to_string();
    assert!(message.contains("200 tokens is too small"), "{message}");
    let files = train_tokenizer(TEXTS, 100_000, &[]).unwrap();
    assert!(files.vocab_size < 500);
}
