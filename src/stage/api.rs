//! `api`: a model behind an OpenAI-compatible server, as a teacher or to be evaluated.

use super::arguments::{Millis, arguments};
use super::{Metrics, Stage, StageContext, StageError};
use crate::api::{Address, is_variable_name};
use crate::base::fs::write_atomic;
use crate::base::kind::Kind;
use crate::lang::signature::Signature;
use serde_json::json;

/// The stage kind.
pub struct Api;

/// What it is called.
pub const KIND: &str = "api";

/// The file of the artifact: which model is meant. How it is reached does not stand in it.
const FILE: &str = "api.json";

arguments! {
    /// The fields of `api`.
    pub struct ApiArgs {
        /// The base address, such as "http://localhost:8000/v1". It is part of the key, since the same name may mean
        /// another model on another server. Keys are never written here: see `key_env`.
        url: String, aliases ["base_url", "endpoint", "api_base"], source "OpenAI API";
        /// The model's name there.
        model: String, aliases ["model_name", "name"], source "OpenAI API";
        /// Which model the server has under that name, in words of your own. Another text asks everything anew: write
        /// one when the server begins to serve other weights.
        rev: Option<String> = None, aliases ["revision", "version"], added "2026-11";
        /// Whether prompts of one turn go to `/completions` as plain texts, for a model without a chat template. Else
        /// all go to `/chat/completions` as conversations.
        plain: bool = false, aliases ["completions"], added "2026-11";
        /// The environment variable that holds the key to the server, such as "OPENAI_API_KEY". Its value is read when
        /// a request is sent and stands in no key, record or log. `none` sends no key.
        key_env: Option<String> = None, aliases ["api_key", "api_key_env", "key", "token"], key never;
        /// An environment variable with an address to go to in place of `url`, where it is set: the same model on another
        /// host or port, or through a tunnel.
        url_env: Option<String> = None, aliases ["base_url_env"], key never;
        /// Requests at the same time, of each stage that asks.
        concurrency: usize = 8, aliases ["max_concurrency", "num_concurrent", "parallel", "num_workers", "max_workers"],
            range 1 ..= 1024, source "lm-evaluation-harness (num_concurrent)", key never;
        /// Further tries at a request that failed for a while: too many requests, a failing server, a broken connection.
        /// The pause doubles from half a second to a minute, or is what the server asks for.
        retries: usize = 8, aliases ["max_retries"], range 0 ..= 100, source "openai-python (max_retries)", key never;
        /// The longest that one request may take.
        timeout: Millis = Millis { milliseconds: 600_000 }, aliases ["request_timeout"], range 1 ..= 1e9,
            source "openai-python (timeout)", key never;
    }
}

/// A field that is not as it must be.
pub struct Fault {
    /// Which.
    pub field: &'static str,
    /// What is wrong, without the value, which may be a secret.
    pub why: &'static str,
}

impl ApiArgs {
    /// What is wrong with the fields, as far as they say by themselves.
    pub fn fault(&self) -> Option<Fault> {
        let named = |name: &Option<String>| name.as_deref().is_none_or(is_variable_name);
        if let Err(why) = Address::new(&self.url) {
            return Some(Fault { field: "url", why });
        }
        let why = "it is no name of an environment variable, such as \"OPENAI_API_KEY\": a key itself is never written \
                   into a file";
        match (named(&self.key_env), named(&self.url_env)) {
            (false, _) => Some(Fault { field: "key_env", why }),
            (_, false) => Some(Fault { field: "url_env", why }),
            _ => None,
        }
    }
}

impl Stage for Api {
    fn signature(&self) -> Signature {
        Signature {
            kind: KIND,
            version: 1,
            doc: "A model behind an OpenAI-compatible server: a teacher, or something to evaluate.",
            piped: None,
            output: Kind::Teacher,
            fields: ApiArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    /// Nothing is asked yet: the artifact names the model, and whoever takes it asks.
    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: ApiArgs = context.args()?;
        if let Some(Fault { field, why }) = args.fault() {
            return Err(StageError::input(format!("the `{field}` of `api`: {why}")));
        }
        let named = json!({ "url": args.url, "model": args.model, "rev": args.rev, "plain": args.plain });
        write_atomic(&context.out.join(FILE), format!("{named:#}\n").as_bytes())?;
        Ok(Metrics::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(changes: serde_json::Value) -> Option<&'static str> {
        let mut args = json!({
            "url": "http://localhost:8000/v1", "model": "m", "rev": null, "plain": false, "key_env": null, "url_env": null,
            "concurrency": 8, "retries": 8, "timeout": { "milliseconds": 1000 },
        });
        changes.as_object().unwrap().iter().for_each(|(name, value)| args[name] = value.clone());
        serde_json::from_value::<ApiArgs>(args).unwrap().fault().map(|fault| fault.field)
    }

    #[test]
    fn a_key_in_the_wrong_place_is_a_fault() {
        assert_eq!(fault(json!({ "key_env": "LAB_KEY", "url_env": "LAB_URL" })), None);
        assert_eq!(fault(json!({ "key_env": "sk-sesame" })), Some("key_env"));
        assert_eq!(fault(json!({ "url_env": "http://other" })), Some("url_env"));
        assert_eq!(fault(json!({ "url": "http://me:sesame@host/v1" })), Some("url"));
    }
}
