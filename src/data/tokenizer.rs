//! A model's tokenizer as its folder describes it: the vocabulary, the chat template and the stop tokens.

use super::DataError;
use super::chat::ChatTemplate;
use crate::base::digest::Digest;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The files of a model folder that belong to its tokenizer; all but the first may be missing.
pub const TOKENIZER_FILES: &[&str] = &[
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
];

/// A tokenizer with all that text needs on its way to a model and back.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    template: Option<ChatTemplate>,
    stop_ids: Vec<u32>,
    pad_id: Option<u32>,
    digest: Digest,
    origin: String,
}

impl Tokenizer {
    /// The tokenizer in a model folder.
    ///
    /// # Errors
    /// As [`Tokenizer::from_files`].
    pub fn from_folder(folder: &Path) -> Result<Self, DataError> {
        let found = TOKENIZER_FILES.iter().map(|name| (name.to_string(), folder.join(name)));
        let files = found.filter(|(_, path)| path.is_file()).collect();
        Self::read(&files, &folder.display().to_string())
    }

    /// The tokenizer of an artifact: file names to where the files are.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] where `tokenizer.json` is missing or a file is broken; it names the file.
    pub fn from_files(files: &BTreeMap<String, PathBuf>) -> Result<Self, DataError> {
        Self::read(files, "the model")
    }

    fn read(files: &BTreeMap<String, PathBuf>, origin: &str) -> Result<Self, DataError> {
        let path = files.get("tokenizer.json").ok_or_else(|| {
            DataError::Tokenizer(format!(
                "{origin}: there is no `tokenizer.json`: put the model's own one beside its weights"
            ))
        })?;
        let bytes = std::fs::read(path).map_err(|error| crate::base::fs::at(path, error))?;
        let inner = load(path, &bytes)?;
        let config = json(files, "tokenizer_config.json")?;
        let generation = json(files, "generation_config.json")?;
        let source = template_source(files, &config)?;
        let template = source.map(|source| ChatTemplate::new(&source, special_tokens(&config))).transpose()?;
        let named = |field: &str| token_text(&config[field]).and_then(|token| inner.token_to_id(&token));
        let stop_ids: BTreeSet<u32> = named("eos_token").into_iter().chain(generation_stops(&generation)).collect();
        let (stop_ids, pad_id) = (stop_ids.into_iter().collect(), named("pad_token"));
        Ok(Tokenizer {
            template,
            stop_ids,
            pad_id,
            digest: Digest::of_bytes(&bytes),
            inner,
            origin: origin.to_string(),
        })
    }

    /// The token ids of a text. Special tokens written out in it, as a chat template writes them, become their ids.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] with the library's reason.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, DataError> {
        let encoding = self.inner.encode_fast(text, add_special).map_err(|error| self.failed("encode", &error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The token ids of a text with the byte each token begins at.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] with the library's reason.
    pub fn encode_with_offsets(&self, text: &str) -> Result<(Vec<u32>, Vec<usize>), DataError> {
        let encoding = self.inner.encode(text, false).map_err(|error| self.failed("encode", &error))?;
        let starts = encoding.get_offsets().iter().map(|&(start, _)| start).collect();
        Ok((encoding.get_ids().to_vec(), starts))
    }

    /// The text of token ids.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] with the library's reason.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, DataError> {
        self.inner.decode(ids, skip_special).map_err(|error| self.failed("decode", &error))
    }

    /// The id of a token, by its text in the vocabulary.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// How many ids exist, added tokens included. A model's logits may be more: its vocabulary is often padded.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The greatest id that exists.
    pub fn max_id(&self) -> u32 {
        self.inner.get_vocab(true).into_values().max().unwrap_or(0)
    }

    /// The ids that end a completion, ascending: `eos_token` and those of `generation_config.json`.
    pub fn stop_ids(&self) -> &[u32] {
        &self.stop_ids
    }

    /// The id of `eos_token` or of the first stop token.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] where the folder names none.
    pub fn eos_id(&self) -> Result<u32, DataError> {
        self.stop_ids.first().copied().ok_or_else(|| {
            DataError::Tokenizer(format!(
                "{}: the tokenizer names no end of text: set `eos_token` in tokenizer_config.json to one of its tokens",
                self.origin
            ))
        })
    }

    /// The id that fills empty places, the end of text where the folder names none.
    pub fn pad_id(&self) -> Option<u32> {
        self.pad_id.or_else(|| self.stop_ids.first().copied())
    }

    /// The chat template.
    ///
    /// # Errors
    /// [`DataError::Template`] where the folder has none, with what to do.
    pub fn template(&self) -> Result<&ChatTemplate, DataError> {
        self.template.as_ref().ok_or_else(|| {
            DataError::Template(format!(
                "{}: the tokenizer has no chat template: put a `chat_template.jinja` into the model folder or a \
                 `chat_template` into its tokenizer_config.json",
                self.origin
            ))
        })
    }

    /// The digest of `tokenizer.json`: two models with equal ones share their token ids.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Checks that every id has a row among a model's embeddings.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] where an id lies outside.
    pub fn check_fits(&self, vocab_size: usize) -> Result<(), DataError> {
        let max_id = self.max_id();
        if (max_id as usize) < vocab_size {
            return Ok(());
        }
        Err(DataError::Tokenizer(format!(
            "{}: the tokenizer does not match the model: it has ids up to {max_id}, the model's vocab_size is \
             {vocab_size}: use the tokenizer the model was trained with",
            self.origin
        )))
    }

    fn failed(&self, what: &str, error: &tokenizers::Error) -> DataError {
        DataError::Tokenizer(format!("{}: the tokenizer cannot {what}: {error}", self.origin))
    }
}

fn load(path: &Path, bytes: &[u8]) -> Result<tokenizers::Tokenizer, DataError> {
    let broken = |error: tokenizers::Error| {
        DataError::Tokenizer(format!("{}: not a tokenizer that can be read: {error}", path.display()))
    };
    let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(broken)?;
    // A saved truncation would cut texts, a saved padding would lengthen them, both without a word.
    inner.with_truncation(None).map_err(broken)?;
    inner.with_padding(None);
    Ok(inner)
}

fn json(files: &BTreeMap<String, PathBuf>, name: &str) -> Result<Value, DataError> {
    let Some(path) = files.get(name) else { return Ok(Value::Null) };
    serde_json::from_str(&super::read_text(path)?)
        .map_err(|error| DataError::Tokenizer(format!("{}:{}: broken JSON: {error}", path.display(), error.line())))
}

/// `chat_template.jinja` goes before the config's field; a list of named templates means its `default`.
fn template_source(files: &BTreeMap<String, PathBuf>, config: &Value) -> Result<Option<String>, DataError> {
    if let Some(path) = files.get("chat_template.jinja") {
        return super::read_text(path).map(Some);
    }
    Ok(match &config["chat_template"] {
        Value::String(source) => Some(source.clone()),
        Value::Array(named) => {
            let default = named.iter().find(|entry| entry["name"] == "default");
            default.and_then(|entry| entry["template"].as_str()).map(str::to_string)
        }
        _ => None,
    })
}

/// A token in a config: a text, or an object with its `content`.
fn token_text(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["content"].as_str()).map(str::to_string)
}

/// The named tokens a template may speak of: `bos_token`, `eos_token`, …
fn special_tokens(config: &Value) -> BTreeMap<String, String> {
    let fields = config.as_object().into_iter().flatten();
    let named = fields.filter(|(name, _)| name.ends_with("_token"));
    named.filter_map(|(name, value)| Some((name.clone(), token_text(value)?))).collect()
}

fn generation_stops(generation: &Value) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match &generation["eos_token_id"] {
        Value::Array(ids) => ids.iter().filter_map(id).collect(),
        one => id(one).into_iter().collect(),
    }
}

#[cfg(test)]
#[path = "tokenizer_tests.rs"]
mod tests;
