//! Rows to token ids and masks: what the model reads, and which of it is trained on.
//!
//! The completion is found by rendering, never by a marker in the text. The prompt, rendered up to where the
//! assistant goes on, and the rest are tokenized apart, so that training continues exactly the ids that generation
//! starts from. (Tokenized as one text the two could merge into a token across the seam.)

use super::DataError;
use super::row::{Message, Row};
use super::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};

/// Which tokens of a row are trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossOn {
    /// The completion and its stop token.
    Completion,
    /// The prompt too, all but its first token, which nothing precedes.
    All,
}

/// One row as the trainer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Token ids of prompt and completion, [tokens].
    pub ids: Vec<u32>,
    /// Whether the token is trained on, that is predicted from those before it, [tokens].
    pub mask: Vec<bool>,
}

impl Example {
    /// Tokens in all.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Tokens that are trained on.
    pub fn trained(&self) -> usize {
        self.mask.iter().filter(|&&trained| trained).count()
    }
}

/// The token ids of a row's prompt, ending where the assistant goes on.
///
/// # Errors
/// [`DataError::Template`] where the template is missing or refuses the conversation.
pub fn encode_prompt(tokenizer: &Tokenizer, row: &Row) -> Result<Vec<u32>, DataError> {
    tokenizer.encode(&tokenizer.template()?.render(&row.messages, true)?, false)
}

/// The row's prompt and completion. The stop token after the completion is trained on; what the template writes
/// behind it, such as a line end, is not: the model never writes it. A completion that generation cut at its limit
/// (`truncated` in the row's `meta`) ends without a stop token: where it stops is not where it was done.
///
/// # Errors
/// [`DataError::Rows`] for a row without a completion, [`DataError::Template`] as [`encode_prompt`].
pub fn encode_example(tokenizer: &Tokenizer, row: &Row, loss_on: LossOn) -> Result<Example, DataError> {
    let Some(completion) = &row.completion else {
        return Err(DataError::Rows(format!(
            "row `{}` has no completion to train on: give one, or generate completions first",
            row.id
        )));
    };
    let (prompt, rest, end) = split(tokenizer, row, completion)?;
    let mut ids = tokenizer.encode(&prompt, false)?;
    let first = ids.len();
    let (rest_ids, starts) = tokenizer.encode_with_offsets(&rest)?;
    let content = starts.partition_point(|&start| start < end);
    ids.extend(&rest_ids);
    let stop = rest_ids[content..].iter().position(|id| tokenizer.stop_ids().contains(id));
    let trained_until = match stop {
        _ if row.meta.get("truncated").and_then(|value| value.as_bool()) == Some(true) => {
            ids.truncate(first + content);
            ids.len()
        }
        Some(at) => first + content + at + 1,
        None => {
            // A template without a stop token would teach a model that never stops.
            ids.truncate(first + content);
            ids.push(tokenizer.eos_id()?);
            ids.len()
        }
    };
    let trained_from = if loss_on == LossOn::All { 1 } else { first.max(1) };
    let mask = (0..ids.len()).map(|at| (trained_from..trained_until).contains(&at)).collect();
    Ok(Example { ids, mask })
}

/// The prompt as text, what follows it, and the byte of the latter where the completion ends.
///
/// Some templates rewrite a completion on its way into a conversation (they drop earlier reasoning, or open a
/// `<think>` in the prompt), so that the prompt is no prefix of the whole: then the completion as it is, and behind
/// it what the template puts behind any completion.
fn split(tokenizer: &Tokenizer, row: &Row, completion: &str) -> Result<(String, String, usize), DataError> {
    const MARK: &str = "srlm\u{1}completion";
    let template = tokenizer.template()?;
    let with = |content: &str| {
        let turns: Vec<Message> = row.messages.iter().cloned().chain([Message::assistant(content)]).collect();
        template.render(&turns, false)
    };
    let prompt = template.render(&row.messages, true)?;
    let (whole, marked) = (with(completion)?, with(MARK)?);
    let behind = marked.rsplit_once(MARK).map_or("", |(_, behind)| behind);
    let rest = match whole.strip_prefix(&prompt) {
        Some(rest) if rest.len() >= behind.len() && rest.ends_with(behind) => rest.to_string(),
        _ => format!("{completion}{behind}"),
    };
    let end = rest.len() - behind.len();
    Ok((prompt, rest, end))
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
