//! `sft`: supervised fine-tuning on the completions of a dataset.

use super::arguments::{DatasetInput, Seqs, Tokens, arguments};
use super::dataset;
use super::language_model::LanguageModel;
use super::memory::{self, Sizes};
use super::training::{TRAINING, TrainingArgs};
use super::{Metrics, Stage, StageContext, StageError};
use crate::base::event::StageEvent;
use crate::base::kind::Kind;
use crate::base::seed::Seed;
use crate::data::encode::{Example, LossOn};
use crate::data::prepare::{Overlong, prepare};
use crate::data::row::Row;
use crate::lang::signature::{Signature, Training};
use crate::lang::types::Type;
use crate::model::ModelConfig;
use crate::train::budget::Budget;
use crate::train::sft::{SftSettings, train};
use serde::Deserialize;
use serde_json::Value as Json;

/// The stage kind.
pub struct Sft;

arguments! {
    /// The fields of `sft`.
    pub struct SftArgs {
        /// Rows with completions to learn from.
        data: DatasetInput, aliases ["dataset", "train_dataset", "train_data", "train_files", "datasets"];
        ..text: TextArgs;
    }
}

arguments! {
    /// What `sft` and `distill` share: how long, how fast, on what part of the text.
    pub struct TextArgs {
        /// How long to train: epochs, steps or tokens.
        budget: Budget = Budget::Epochs(3.0),
            aliases ["num_train_epochs", "epochs", "max_steps", "num_epochs", "max_epochs", "n_epochs", "total_epochs", "num_epoch", "total_training_steps", "num_steps", "train_steps", "max_train_steps"], range 1e-6 ..= 1e300,
            source "TRL (num_train_epochs, max_steps)";
        /// Peak learning rate.
        learning_rate: f64 = 2e-5, aliases ["lr", "actor_learning_rate", "peak_lr", "max_lr"], range 0 ..= 10, source "TRL (SFTConfig)";
        /// Sequences an optimiser step, however they are split into forward passes.
        batch: Seqs = Seqs { seqs: 16 },
            aliases ["batch_size", "per_device_train_batch_size", "train_batch_size", "global_batch_size", "effective_batch_size"], range 1 ..= 1e6;
        /// The longest row in tokens, prompt and completion together; never more than the model's positions.
        max_length: Tokens = Tokens { tokens: 1024 }, aliases ["max_seq_length", "cutoff_len", "sequence_len", "sequence_length", "max_len", "seq_len", "max_tokens", "model_max_length", "block_size"], range 2 ..= 1e9,
            source "TRL (max_length)";
        /// What becomes of longer rows: "drop" leaves them out and counts them, "error" ends the stage, "truncate"
        /// cuts their end off.
        overlong: Overlong = Overlong::Drop;
        /// Several rows in one forward pass; attention and positions stay apart.
        packing: bool = true, source "TRL (packing)";
        /// What is trained on: "completion", the completion and its stop token alone; "assistant", every turn of the
        /// assistant's, each with its stop token; "all", the prompt too.
        loss_on: LossOn = LossOn::Completion, aliases ["completion_only_loss", "train_on_inputs", "assistant_only_loss", "train_on_prompt"],
            source "TRL (completion_only_loss, assistant_only_loss)";
        ..training: TrainingArgs;
    }
}

impl Stage for Sft {
    fn signature(&self) -> Signature {
        Signature {
            kind: "sft",
            version: 1,
            doc: "Supervised fine-tuning: the mean negative log-probability of the completions' tokens.",
            piped: Some(("model", Type::Model)),
            output: Kind::Model,
            fields: SftArgs::fields(),
            positional: None,
            unbuilt: None,
        }
    }

    fn training(&self) -> Option<Training> {
        Some(TRAINING)
    }

    fn memory(&self, args: &Json, sizes: &dyn Sizes) -> Option<u64> {
        let args = SftArgs::deserialize(args).ok()?;
        let config = sizes.model("model")?;
        let lora = args.text.training.adapter("sft");
        let longest = memory::longest(&config, sizes, &args.data.input);
        Some(memory::BASE + memory::training(&config, args.text.tokens_a_pass(&config, longest), lora.as_ref()))
    }

    fn memory_settings(&self) -> &'static [&'static str] {
        &["batch", "max_length", "packing"]
    }

    fn run(&self, context: &StageContext) -> Result<Metrics, StageError> {
        let args: SftArgs = context.args()?;
        let mut model = LanguageModel::load(context.input("model")?)?;
        let rows = dataset::read(context, &args.data.input)?;
        let (examples, facts) = args.text.examples(context, &model, &rows, model.context_length())?;
        let lora = args.text.training.adapter("sft");
        let (decoder, params) = model.take_trainable(lora.as_ref())?;
        let (params, metrics) = train(decoder, params, &examples, &args.text.settings("sft"), &context.watch())?;
        model.save(&context.out, &params, lora.as_ref())?;
        Ok(facts.into_iter().chain(metrics).collect())
    }
}

impl TextArgs {
    /// Encodes the rows, says what was read, dropped and cut, and returns the same for the record as `data.…`.
    ///
    /// `positions` is the longest sequence that every model concerned takes: rows are held to it where it is less
    /// than `max_length`.
    ///
    /// # Errors
    /// [`StageError::Input`] where no row is left.
    pub fn examples(
        &self,
        context: &StageContext,
        model: &LanguageModel,
        rows: &[Row],
        positions: usize,
    ) -> Result<(Vec<Example>, Metrics), StageError> {
        let max_length = self.max_length.tokens.min(positions);
        let held = max_length < self.max_length.tokens;
        let (examples, facts) = match prepare(&model.tokenizer, rows, self.loss_on, max_length, self.overlong) {
            Err(error) if held => {
                return Err(StageError::input(format!("{error}; the model has no more than {positions} positions")));
            }
            prepared => prepared?,
        };
        if held && facts.dropped + facts.cut > 0 {
            let message = format!(
                "rows are held to the model's {positions} positions, less than `max_length`: {} are left out, {} cut",
                facts.dropped, facts.cut
            );
            context.say(StageEvent::Warning { message });
        }
        context.facts(facts.to_map());
        let recorded = facts.to_map().into_iter().map(|(name, count)| (format!("data.{name}"), count));
        Ok((examples, recorded.collect()))
    }

    /// Tokens of the largest pass, where the longest row is so long; as long as may be where that is not known.
    pub fn tokens_a_pass(&self, config: &ModelConfig, longest: Option<usize>) -> usize {
        let limit = self.max_length.tokens.min(config.max_position_embeddings);
        memory::tokens_a_pass(self.batch.seqs, longest.map_or(limit, |longest| longest.min(limit)), self.packing)
    }

    /// The settings as the trainers take them; two kinds of stage with one seed draw from different streams.
    pub fn settings(&self, kind: &str) -> SftSettings {
        SftSettings {
            budget: self.budget,
            batch: self.batch.seqs,
            packing: self.packing,
            optimiser: self.training.optimiser(self.learning_rate),
            seed: Seed::new(self.training.seed).child(kind, 0),
        }
    }
}
