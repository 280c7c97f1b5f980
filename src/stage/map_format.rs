//! `map_format`: every row's parts written anew by templates.

use super::arguments::arguments;
use super::dataset;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::data::template::RowTemplates;
use crate::lang::signature::Signature;
use crate::lang::types::Type;

/// The stage kind.
pub struct MapFormat;

arguments! {
    /// The fields of `map_format`: Jinja templates over a row's `prompt` (its last user turn), `system`, `completion`,
    /// `answer`, `id` and `meta`.
    pub struct MapFormatArgs {
        /// The system turn, set or replaced; a template that gives an empty text takes it away.
        system: Option<String> = None, aliases ["system_prompt"], source "Jinja, as in chat templates";
        /// The last user turn: `"{{ prompt }} Think step by step."`
        prompt: Option<String> = None, aliases ["question", "user", "instruction"], source "Jinja, as in chat templates";
        /// The completion: `"<think>{{ completion }}</think> {{ answer }}"`; an empty text takes it away.
        completion: Option<String> = None, aliases ["response", "output", "assistant"],
            source "Jinja, as in chat templates";
        /// The gold answer; an empty text takes it away.
        answer: Option<String> = None, aliases ["label", "solution", "target"], source "Jinja, as in chat templates";
    }
}

impl Stage for MapFormat {
    fn signature(&self) -> Signature {
        Signature {
            kind: "map_format",
            version: 1,
            doc: "Writes the parts of every row anew by templates; what has no template stays, and so do the ids.",
            piped: Some(("data", Type::Dataset)),
            output: Kind::Dataset,
            fields: MapFormatArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    fn keeps_prompts(&self) -> bool {
        true
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let MapFormatArgs { system, prompt, completion, answer } = context.args()?;
        let parts = [("system", system), ("prompt", prompt), ("completion", completion), ("answer", answer)];
        let given = parts.into_iter().filter_map(|(name, source)| Some((name, source?)));
        let templates = RowTemplates::new(given)?;
        let rows = dataset::read(context, "data")?;
        let read = rows.len();
        let rows = rows.into_iter().map(|row| templates.apply(row)).collect::<Result<Vec<_>, _>>()?;
        dataset::finish(context, read, &rows)
    }
}
