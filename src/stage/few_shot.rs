//! `few_shot`: worked examples in front of what every row asks.

use super::arguments::{DatasetInput, arguments, string_argument};
use super::dataset;
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::kind::Kind;
use crate::base::seed::Seed;
use crate::data::few_shot::{Layout, Shots, with_shots};
use crate::lang::signature::Signature;
use crate::lang::types::Type;
use serde::Deserialize;

/// The stage kind.
pub struct FewShot;

arguments! {
    /// The fields of `few_shot`.
    pub struct FewShotArgs {
        /// Rows with completions: what is shown as worked examples.
        examples: DatasetInput, aliases ["fewshot", "fewshot_split", "demonstrations"];
        /// How many examples.
        shots: usize = 5, aliases ["num_fewshot", "k", "n_shots"], range 1 ..= 1000,
            source "lm-evaluation-harness (num_fewshot)";
        /// "first" shows every row the same examples, those at the top; "drawn" draws for each row, by its id.
        order: ShotOrder = ShotOrder::First, source "lm-evaluation-harness (sampler)";
        /// "turns" makes a conversation of them, for models that were taught to chat; "text" writes `Question: …` and
        /// `Answer: …` before the question, for base models.
        layout: ShotLayout = ShotLayout::Turns, aliases ["fewshot_as_multiturn"],
            source "lm-evaluation-harness (fewshot_as_multiturn)";
        /// Root of the draws.
        seed: u64 = 0, aliases ["random_seed", "fewshot_random_seed"], range 0 ..= 9e15;
    }
}

/// The `order` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShotOrder {
    /// Those at the top.
    First,
    /// A draw for each row.
    Drawn,
}

/// The `layout` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShotLayout {
    /// A conversation.
    Turns,
    /// One text.
    Text,
}

string_argument!(ShotOrder { "first" => ShotOrder::First, "drawn" => ShotOrder::Drawn });
string_argument!(ShotLayout { "turns" => ShotLayout::Turns, "text" => ShotLayout::Text });

impl Stage for FewShot {
    fn signature(&self) -> Signature {
        Signature {
            kind: "few_shot",
            version: 1,
            doc: "Puts worked examples in front of what every row asks; ids and answers stay.",
            piped: Some(("data", Type::Dataset)),
            output: Kind::Dataset,
            fields: FewShotArgs::fields(),
            positional: Some("examples"),
            unbuilt: None,
        }
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: FewShotArgs = context.args()?;
        let examples = dataset::read(context, &args.examples.input)?;
        let drawn = (args.order == ShotOrder::Drawn).then(|| Seed::new(args.seed).child("few_shot", 0));
        let layout = match args.layout {
            ShotLayout::Turns => Layout::Turns,
            ShotLayout::Text => Layout::Text,
        };
        let shots = Shots { count: args.shots, drawn, layout };
        let rows = dataset::read(context, "data")?;
        let read = rows.len();
        let shown = rows.into_iter().map(|row| with_shots(row, &examples, &shots)).collect::<Result<Vec<_>, _>>()?;
        dataset::finish(context, read, &shown)
    }
}
