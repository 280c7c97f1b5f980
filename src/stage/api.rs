//! `api`: a model behind an OpenAI-compatible endpoint, as a teacher or to be evaluated.

use super::arguments::arguments;
use super::unbuilt::refused;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::lang::signature::Signature;

/// The stage kind.
pub struct Api;

arguments! {
    /// The fields of `api`.
    pub struct ApiArgs {
        /// The base address, such as "http://localhost:8000/v1". Keys to it are never written here: they come from the
        /// environment, and enter neither key, record nor log.
        url: String, aliases ["base_url", "endpoint", "api_base"], source "OpenAI API";
        /// The model's name there.
        model: String, aliases ["model_name", "name"], source "OpenAI API";
    }
}

impl Stage for Api {
    fn signature(&self) -> Signature {
        Signature {
            kind: "api",
            version: 1,
            doc: "A model behind an OpenAI-compatible endpoint: a teacher, or something to evaluate.",
            piped: None,
            output: Kind::Teacher,
            fields: ApiArgs::fields(),
            positional: None,
            unbuilt: Some("`api`"),
        }
    }

    fn run(&self, _: &StageContext) -> Result<Metrics, StageError> {
        Err(refused("`api`"))
    }
}
