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
    /// The completion, and every earlier turn of the assistant's, each with its stop token.
    Assistant,
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
/// Under [`LossOn::Assistant`] the same holds for every turn of the assistant's.
///
/// # Errors
/// [`DataError::Rows`] for a row without a completion, or whose template rewrites turns that are to be trained on;
/// [`DataError::Template`] as [`encode_prompt`].
pub fn encode_example(tokenizer: &Tokenizer, row: &Row, loss_on: LossOn) -> Result<Example, DataError> {
    let Some(completion) = &row.completion else {
        return Err(DataError::Rows(format!(
            "row `{}` has no completion to train on: give one, or generate completions first",
            row.id
        )));
    };
    let cut = row.meta.get("truncated").and_then(|value| value.as_bool()) == Some(true);
    let mut conversation = Conversation::new(tokenizer);
    if loss_on == LossOn::Assistant {
        for (at, turn) in row.messages.iter().enumerate().filter(|(_, turn)| turn.role == "assistant") {
            conversation.add(row, &row.messages[..at], &turn.content, false)?;
        }
    }
    conversation.add(row, &row.messages, completion, cut)?;
    let Conversation { mut example, until, .. } = conversation;
    if loss_on == LossOn::All {
        example.mask.iter_mut().enumerate().for_each(|(at, mask)| *mask = (1..until).contains(&at));
    }
    Ok(example)
}

/// A row's tokens so far.
struct Conversation<'a> {
    tokenizer: &'a Tokenizer,
    example: Example,
    /// The text that the tokens stand for.
    text: String,
    /// Where training ends: behind the last turn's stop token.
    until: usize,
}

impl<'a> Conversation<'a> {
    fn new(tokenizer: &'a Tokenizer) -> Self {
        let example = Example { ids: Vec::new(), mask: Vec::new() };
        Conversation { tokenizer, example, text: String::new(), until: 0 }
    }

    /// What leads from the tokens so far to the assistant's next turn, and that turn, which is trained on.
    fn add(&mut self, row: &Row, before: &[Message], content: &str, cut: bool) -> Result<(), DataError> {
        let (prompt, rest, end) = split(self.tokenizer, before, content)?;
        let Some(opening) = prompt.strip_prefix(&self.text) else {
            return Err(DataError::Rows(format!(
                "row `{}`: the chat template rewrites earlier turns once others follow, so that they cannot be trained \
                 on in one sequence: use `loss_on: \"completion\"`",
                row.id
            )));
        };
        let Example { ids, mask } = &mut self.example;
        ids.extend(self.tokenizer.encode(opening, false)?);
        let first = ids.len();
        let (rest_ids, starts) = self.tokenizer.encode_with_offsets(&rest)?;
        let content = starts.partition_point(|&start| start < end);
        let stop = rest_ids[content..].iter().position(|id| self.tokenizer.stop_ids().contains(id));
        let until = match stop {
            _ if cut => {
                ids.extend(&rest_ids[..content]);
                ids.len()
            }
            Some(at) => {
                ids.extend(&rest_ids);
                first + content + at + 1
            }
            None => {
                // A template without a stop token would teach a model that never stops.
                ids.extend(&rest_ids[..content]);
                ids.push(self.tokenizer.eos_id()?);
                ids.len()
            }
        };
        let written = if stop.is_some() && !cut { rest.len() } else { end };
        self.text = prompt + &rest[..written];
        // Nothing precedes the first token of all.
        mask.extend((mask.len()..ids.len()).map(|at| (first.max(1)..until).contains(&at)));
        self.until = until;
        Ok(())
    }
}

/// The prompt as text, what follows it, and the byte of the latter where the completion ends.
///
/// Some templates rewrite a completion on its way into a conversation (they drop earlier reasoning, or open a
/// `<think>` in the prompt), so that the prompt is no prefix of the whole: then the completion as it is, and behind
/// it what the template puts behind any completion.
fn split(tokenizer: &Tokenizer, before: &[Message], completion: &str) -> Result<(String, String, usize), DataError> {
    const MARK: &str = "srlm\u{1}completion";
    let template = tokenizer.template()?;
    let with = |content: &str| {
        let turns: Vec<Message> = before.iter().cloned().chain([Message::assistant(content)]).collect();
        template.render(&turns, false)
    };
    let prompt = template.render(before, true)?;
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
