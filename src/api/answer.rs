//! What a server answers: the completion, why it ended, and how many tokens it counted.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A completion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The text; empty where the model said nothing.
    pub text: String,
    /// Why it ended, in the server's word: `stop`, `length`, `content_filter`, …
    pub finish: String,
    /// Tokens of the completion, where the server counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Tokens of the prompt, where the server counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// What the server calls the model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl Answer {
    /// Whether it was cut at the length limit.
    pub fn is_truncated(&self) -> bool {
        self.finish == "length"
    }

    /// Reads the body of a good answer.
    ///
    /// # Errors
    /// What is wrong with it: it broke off, or is none.
    pub(super) fn read(body: &str) -> Result<Answer, String> {
        let json: Json =
            serde_json::from_str(body).map_err(|error| format!("an answer that cannot be read: {error}"))?;
        if let Some(error) = json.get("error").filter(|error| !error.is_null()) {
            return Err(format!("an error as an answer: {}", message_of(error)));
        }
        let choice = json["choices"].get(0).ok_or("an answer without `choices`")?;
        let message = &choice["message"];
        let text = if message.is_object() { &message["content"] } else { &choice["text"] };
        let text = match text {
            Json::String(text) => text.clone(),
            // Models that call a tool, or that think and never come to say something.
            Json::Null if message.is_object() => String::new(),
            _ => return Err("an answer without a text".to_string()),
        };
        let finish = choice["finish_reason"].as_str().unwrap_or("stop").to_string();
        let count = |name: &str| json["usage"][name].as_u64();
        let model = json["model"].as_str().map(String::from);
        Ok(Answer { text, finish, tokens: count("completion_tokens"), prompt_tokens: count("prompt_tokens"), model })
    }
}

/// What an error of a server says, whether it is an object, as OpenAI's are, or a plain text.
pub(super) fn message_of(error: &Json) -> String {
    let text = error["message"].as_str().or_else(|| error.as_str()).map(String::from);
    text.unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_both_calls_are_read() {
        let chat = r#"{"model":"big-1","choices":[{"index":0,"message":{"role":"assistant","content":"4"},
            "finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;
        let answer = Answer::read(chat).unwrap();
        assert_eq!((answer.text.as_str(), answer.is_truncated()), ("4", true));
        assert_eq!((answer.tokens, answer.prompt_tokens, answer.model.as_deref()), (Some(1), Some(9), Some("big-1")));
        let plain = Answer::read(r#"{"choices":[{"text":" four","finish_reason":"stop"}]}"#).unwrap();
        assert_eq!((plain.text.as_str(), plain.is_truncated(), plain.tokens), (" four", false, None));
        let silent =
            Answer::read(r#"{"choices":[{"message":{"content":null},"finish_reason":"tool_calls"}]}"#).unwrap();
        assert_eq!((silent.text.as_str(), silent.finish.as_str()), ("", "tool_calls"));
    }

    #[test]
    fn what_is_no_answer_says_why() {
        let wrong = [
            (r#"{"choices":[{"mess"#, "cannot be read"),
            (r#"{"choices":[]}"#, "without `choices`"),
            (r#"{"choices":[{"message":{"content":7}}]}"#, "without a text"),
            (r#"{"error":{"message":"overloaded"}}"#, "overloaded"),
            ("<html>", "cannot be read"),
        ];
        for (body, why) in wrong {
            assert!(Answer::read(body).is_err_and(|told| told.contains(why)), "{body}");
        }
    }
}
