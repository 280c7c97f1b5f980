//! Making a small byte-level BPE tokenizer with a chat template, as files that transformers loads.
//!
//! The merges are counted here and only then handed to the `tokenizers` crate: its own trainer breaks ties between
//! equal counts by the order of a randomly keyed hash map in places, and the result must be the same bytes every time.

use super::DataError;
use crate::base::digest::Digest;
use crate::base::fs::write_atomic;
use serde_json::json;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{
    AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper, Tokenizer,
};

/// Ends every turn.
pub const END_TOKEN: &str = "<|end|>";
/// Fills empty places.
pub const PAD_TOKEN: &str = "<|pad|>";
const ROLES: [&str; 3] = ["<|system|>", "<|user|>", "<|assistant|>"];

/// Two tokens a turn: small models read short sequences.
const TEMPLATE: &str = include_str!("tiny.jinja");

/// A trained tokenizer as the files of a model folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// `tokenizer.json`.
    pub tokenizer: String,
    /// `tokenizer_config.json`.
    pub config: String,
    /// How many ids exist: the model's `vocab_size`.
    pub vocab_size: usize,
    /// The id of the token that ends a turn.
    pub eos_id: u32,
    /// The id of the padding token.
    pub pad_id: u32,
}

impl TokenizerFiles {
    /// The digest of `tokenizer.json`, as [`super::tokenizer::Tokenizer::digest`] has it.
    pub fn digest(&self) -> Digest {
        Digest::of_bytes(self.tokenizer.as_bytes())
    }

    /// Writes both files into a folder.
    ///
    /// # Errors
    /// [`DataError::Io`] with the path.
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        write_atomic(&folder.join("tokenizer.json"), self.tokenizer.as_bytes())?;
        Ok(write_atomic(&folder.join("tokenizer_config.json"), self.config.as_bytes())?)
    }
}

/// Trains a tokenizer on texts: bytes as the alphabet, digits one by one, the commonest pair merged until there are
/// `vocab_size` tokens or no pair occurs twice. `extra` are whole tokens of plain text, such as `<think>`; decoding
/// keeps them. The files depend on the multiset of texts only, not on their order.
///
/// # Errors
/// [`DataError::Tokenizer`] where `vocab_size` cannot hold the 256 bytes and the special tokens.
pub fn train_tokenizer<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    vocab_size: usize,
    extra: &[&str],
) -> Result<TokenizerFiles, DataError> {
    let special: Vec<&str> = [PAD_TOKEN, END_TOKEN].into_iter().chain(ROLES).collect();
    let mut tokens: Vec<String> = special.iter().chain(extra).map(|token| token.to_string()).collect();
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    tokens.extend(alphabet.iter().map(char::to_string));
    if vocab_size < tokens.len() {
        return Err(DataError::Tokenizer(format!(
            "a vocabulary of {vocab_size} tokens is too small: the bytes and the special tokens alone are {}",
            tokens.len()
        )));
    }
    let words = count_words(texts, extra)?;
    let merges = merge_pairs(&words, &mut tokens, vocab_size);
    let tokenizer = build(&tokens, merges, &special, extra).map_err(failed)?;
    Ok(TokenizerFiles {
        tokenizer: tokenizer.to_string(true).map_err(failed)? + "\n",
        config: config(),
        vocab_size: tokenizer.get_vocab_size(true),
        eos_id: 1,
        pad_id: 0,
    })
}

fn failed(error: tokenizers::Error) -> DataError {
    DataError::Tokenizer(format!("the tokenizer cannot be trained: {error}"))
}

fn pre_tokenizer() -> Sequence {
    let byte_level = ByteLevel::new(false, true, true);
    Sequence::new(vec![PreTokenizerWrapper::Digits(Digits::new(true)), PreTokenizerWrapper::ByteLevel(byte_level)])
}

/// The words of the texts with their counts. Extra tokens are cut out first, as they are when encoding.
fn count_words<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    extra: &[&str],
) -> Result<BTreeMap<String, u64>, DataError> {
    let splitter = pre_tokenizer();
    let mut words = BTreeMap::new();
    for text in texts {
        let cut = |pieces: Vec<&'a str>, token: &&str| pieces.iter().flat_map(|piece| piece.split(*token)).collect();
        for piece in extra.iter().fold(vec![text], cut) {
            let mut split = PreTokenizedString::from(piece);
            splitter.pre_tokenize(&mut split).map_err(failed)?;
            for (word, _, _) in split.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
                *words.entry(word.to_string()).or_insert(0) += 1;
            }
        }
    }
    Ok(words)
}

type Pair = (u32, u32);

/// Merges the commonest pair, the lowest ids first among equals, until `tokens` is full. Returns merges in order.
fn merge_pairs(words: &BTreeMap<String, u64>, tokens: &mut Vec<String>, vocab_size: usize) -> Vec<(String, String)> {
    let ids: BTreeMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
    let spell = |word: &String| word.chars().filter_map(|c| ids.get(&c.to_string()).copied()).collect::<Vec<_>>();
    let mut spelled: Vec<(Vec<u32>, i64)> = words.iter().map(|(word, &count)| (spell(word), count as i64)).collect();
    // Read only through a maximum over a total order, so that the map's own order does not matter.
    let mut counts: HashMap<Pair, i64> = HashMap::new();
    for (word, count) in &spelled {
        add_pairs(word, *count, &mut counts);
    }
    let mut merges = Vec::new();
    while tokens.len() < vocab_size {
        let best = counts.iter().max_by_key(|&(&pair, &count)| (count, Reverse(pair)));
        let Some((&pair, _)) = best.filter(|&(_, &count)| count > 1) else { break };
        let (left, right) = (tokens[pair.0 as usize].clone(), tokens[pair.1 as usize].clone());
        let merged = tokens.len() as u32;
        tokens.push(format!("{left}{right}"));
        merges.push((left, right));
        for (word, count) in spelled.iter_mut().filter(|(word, _)| holds(word, pair)) {
            add_pairs(word, -*count, &mut counts);
            *word = merge(word, pair, merged);
            add_pairs(word, *count, &mut counts);
        }
        counts.retain(|_, count| *count > 0);
    }
    merges
}

fn holds(word: &[u32], pair: Pair) -> bool {
    word.windows(2).any(|two| (two[0], two[1]) == pair)
}

fn add_pairs(word: &[u32], count: i64, counts: &mut HashMap<Pair, i64>) {
    for two in word.windows(2) {
        *counts.entry((two[0], two[1])).or_insert(0) += count;
    }
}

fn merge(word: &[u32], pair: Pair, merged: u32) -> Vec<u32> {
    let mut out: Vec<u32> = Vec::with_capacity(word.len());
    let mut at = 0;
    while at < word.len() {
        let found = at + 1 < word.len() && (word[at], word[at + 1]) == pair;
        out.push(if found { merged } else { word[at] });
        at += if found { 2 } else { 1 };
    }
    out
}

fn build(
    tokens: &[String],
    merges: Vec<(String, String)>,
    special: &[&str],
    extra: &[&str],
) -> Result<Tokenizer, tokenizers::Error> {
    let mut tokenizer = Tokenizer::new(BPE::new(tokens.iter().cloned().zip(0..).collect(), merges));
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer()));
    tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
    let added = |token: &&str, special| AddedToken::from(token.to_string(), special).normalized(false);
    tokenizer.add_special_tokens(special.iter().map(|token| added(token, true)))?;
    tokenizer.add_tokens(extra.iter().map(|token| added(token, false)))?;
    Ok(tokenizer)
}

fn config() -> String {
    let config = json!({
        "bos_token": null,
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": false,
        "eos_token": END_TOKEN,
        "model_max_length": 32768,
        "pad_token": PAD_TOKEN,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": null,
    });
    format!("{config:#}\n")
}

#[cfg(test)]
#[path = "train_tokenizer_tests.rs"]
pub(crate) mod tests;
