//! Texts that end a completion: found across tokens, and cut off.

use crate::data::DataError;
use crate::data::tokenizer::Tokenizer;
use std::sync::Arc;

/// Tokens looked at before those that a stop text can span: a character that is cut in half, or a space that a decoder
/// drops at the start, never hides a text that lies behind them.
const MARGIN: usize = 4;

/// Texts that end a completion, and the tokenizer that makes text of its tokens.
#[derive(Clone)]
pub struct StopTexts {
    texts: Arc<Vec<String>>,
    tokenizer: Arc<Tokenizer>,
    longest: usize,
}

impl std::fmt::Debug for StopTexts {
    /// The texts: what is kept of completions is named by it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.texts.fmt(formatter)
    }
}

impl StopTexts {
    /// None where there is no text; empty ones, which would end everything, are left out.
    pub fn new(texts: &[String], tokenizer: &Tokenizer) -> Option<Self> {
        let texts: Vec<String> = texts.iter().filter(|text| !text.is_empty()).cloned().collect();
        let longest = texts.iter().map(String::len).max()?;
        Some(StopTexts { texts: Arc::new(texts), tokenizer: Arc::new(tokenizer.clone()), longest })
    }

    /// Whether one of the texts was completed by the last of a completion's tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub(super) fn end(&self, ids: &[u32]) -> Result<bool, DataError> {
        // A token that is shown has one byte at least, so that a text spans no more tokens than it has bytes.
        let window = &ids[ids.len().saturating_sub(self.longest + MARGIN)..];
        Ok(self.first(&self.tokenizer.decode(window, true)?).is_some())
    }

    /// Where the first of the texts begins.
    fn first(&self, text: &str) -> Option<usize> {
        self.texts.iter().filter_map(|stop| text.find(stop.as_str())).min()
    }

    /// The text before the first of the texts.
    pub fn cut<'t>(&self, text: &'t str) -> &'t str {
        &text[..self.first(text).unwrap_or(text.len())]
    }

    /// How much of a text that still grows can be shown: what may turn out to begin a stop text is held back.
    pub fn settled<'t>(&self, text: &'t str) -> &'t str {
        let text = self.cut(text);
        let begins = |at: &usize| self.texts.iter().any(|stop| stop.starts_with(&text[*at..]));
        let earliest = text.len().saturating_sub(self.longest);
        let starts = text.char_indices().map(|(at, _)| at).filter(|&at| at >= earliest);
        &text[..starts.into_iter().find(begins).unwrap_or(text.len())]
    }
}
