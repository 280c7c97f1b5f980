//! One request: what is sent, and the digest by which its answer is found again.

use crate::base::digest::Digest;
use crate::base::seed::Seed;
use serde_json::{Map, Value as Json, json};

/// What a model is asked to go on from.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Role and content of each turn.
    pub turns: Vec<(String, String)>,
    /// Where the server's random choices come from, as far as it heeds a seed.
    pub seed: Seed,
}

/// How a server samples.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The model's name there.
    pub model: String,
    /// Whether prompts are conversations; else each is one plain text.
    pub chat: bool,
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus.
    pub top_p: f64,
    /// Only the most probable tokens. OpenAI's API does not have it, llama.cpp and vLLM do: it is sent where it is set.
    pub top_k: Option<usize>,
    /// Only tokens with this share of the likeliest one's probability; 0 keeps all.
    pub min_p: f64,
    /// Against tokens that were there before; 1 is none.
    pub repetition_penalty: f64,
    /// The longest completion in tokens.
    pub max_tokens: usize,
    /// Texts that end a completion.
    pub stop: Vec<String>,
    /// Tokens that end a completion, beside the model's own.
    pub stop_ids: Vec<u32>,
}

impl Settings {
    /// The distribution of the model of that name, asked in conversations.
    pub fn new(model: &str) -> Settings {
        Settings {
            model: model.to_string(),
            chat: true,
            temperature: 1.0,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            repetition_penalty: 1.0,
            max_tokens: 512,
            stop: Vec::new(),
            stop_ids: Vec::new(),
        }
    }
}

/// The field of the longest completion.
pub(super) const MAX_TOKENS: &str = "max_tokens";
/// What newer models of OpenAI call it.
pub(super) const MAX_COMPLETION_TOKENS: &str = "max_completion_tokens";

/// The body of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request(Map<String, Json>);

impl Request {
    /// A request for one completion of a prompt.
    pub fn new(prompt: &Prompt, settings: &Settings) -> Request {
        let turn = |(role, content): &(String, String)| json!({ "role": role, "content": content });
        let mut body = Map::new();
        body.insert("model".into(), json!(settings.model));
        match settings.chat {
            true => body.insert("messages".into(), prompt.turns.iter().map(turn).collect()),
            false => body.insert("prompt".into(), json!(prompt.turns.last().map(|(_, content)| content))),
        };
        body.insert(MAX_TOKENS.into(), json!(settings.max_tokens));
        body.insert("temperature".into(), json!(settings.temperature));
        // What is as the server does anyway is not said: some refuse to be told twice how to sample.
        if settings.top_p < 1.0 {
            body.insert("top_p".into(), json!(settings.top_p));
        }
        if let Some(top_k) = settings.top_k {
            body.insert("top_k".into(), json!(top_k));
        }
        if settings.min_p > 0.0 {
            body.insert("min_p".into(), json!(settings.min_p));
        }
        if settings.repetition_penalty != 1.0 {
            // vLLM's name and llama.cpp's.
            body.insert("repetition_penalty".into(), json!(settings.repetition_penalty));
            body.insert("repeat_penalty".into(), json!(settings.repetition_penalty));
        }
        if !settings.stop.is_empty() {
            body.insert("stop".into(), json!(settings.stop));
        }
        if !settings.stop_ids.is_empty() {
            body.insert("stop_token_ids".into(), json!(settings.stop_ids));
        }
        // What is greedy draws nothing: all samples of a prompt are one request, whatever stage asks. Servers keep seeds
        // in signed numbers of 32 bits.
        if settings.temperature > 0.0 {
            body.insert("seed".into(), json!(prompt.seed.stream().below(1 << 31)));
        }
        Request(body)
    }

    /// What names it: everything that is sent.
    pub fn digest(&self) -> Digest {
        Digest::of("srlm api request v1", &Json::Object(self.0.clone()))
    }

    /// The body as it is sent; newer models of OpenAI's take the length under another name.
    pub(super) fn body(&self, newer_length: bool) -> Json {
        let mut body = self.0.clone();
        if newer_length && let Some(length) = body.remove(MAX_TOKENS) {
            body.insert(MAX_COMPLETION_TOKENS.into(), length);
        }
        Json::Object(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { temperature: 0.5, max_tokens: 7, ..Settings::new("big") }
    }

    fn prompt(seed: u64) -> Prompt {
        let turns = [("system", "Be brief."), ("user", "Why?")];
        let turns = turns.map(|(role, content)| (role.to_string(), content.to_string())).to_vec();
        Prompt { turns, seed: Seed::new(seed) }
    }

    #[test]
    fn a_request_says_what_the_stage_was_told() {
        let body = Request::new(&prompt(0), &settings()).body(false);
        assert_eq!(body["messages"][1], json!({"role": "user", "content": "Why?"}));
        assert_eq!(
            (&body["model"], &body["temperature"], &body["max_tokens"]),
            (&json!("big"), &json!(0.5), &json!(7))
        );
        assert!(body["seed"].as_u64().is_some_and(|seed| seed < 1 << 31));
        assert_eq!(body.as_object().map(|fields| fields.len()), Some(5), "what is not asked for is not said: {body}");
        let stop = vec!["\n\n".to_string()];
        let all = Settings { top_p: 0.9, top_k: Some(3), min_p: 0.1, stop, chat: false, ..settings() };
        let body = Request::new(&prompt(0), &all).body(true);
        assert_eq!((&body["min_p"], &body["stop"]), (&json!(0.1), &json!(["\n\n"])));
        assert_eq!((&body["prompt"], &body["top_p"], &body["top_k"]), (&json!("Why?"), &json!(0.9), &json!(3)));
        assert_eq!((&body["max_completion_tokens"], body.get("max_tokens")), (&json!(7), None));
    }

    #[test]
    fn whatever_is_sent_names_the_request() {
        let digest = |seed, settings: &Settings| Request::new(&prompt(seed), settings).digest();
        assert_eq!(digest(0, &settings()), digest(0, &settings()));
        let others = [
            digest(1, &settings()),
            digest(0, &Settings { temperature: 0.6, ..settings() }),
            digest(0, &Settings { max_tokens: 8, ..settings() }),
            digest(0, &Settings { chat: false, ..settings() }),
        ];
        assert!(!others.contains(&digest(0, &settings())));
        let greedy = Settings { temperature: 0.0, ..settings() };
        assert_eq!(digest(0, &greedy), digest(1, &greedy));
    }
}
