//! Groups of completions: sampled, scored, and sampled again where they would teach nothing.
//!
//! Dynamic sampling (DAPO, arXiv:2503.14476, section 3.2) keeps the groups with 0 < correct < G. Where rewards are not
//! binary that is the same as a spread of rewards, which is what is asked here.

use super::grpo::{GrpoSettings, Overlong};
use super::loss::{self, is_flat};
use super::resume::Metrics;
use super::watch::{TrainError, Watch};
use crate::base::seed::Seed;
use crate::data::encode::Example;
use crate::data::order::Order;
use crate::data::row::Row;
use crate::data::tokenizer::Tokenizer;
use crate::model::Decoder;
use crate::reward::RewardPart;
use crate::reward::format::tagged;
use crate::rollout::{self, Completion, Prompt, RolloutError, Stop};

/// How often at most prompts are drawn for one optimiser batch (verl's recipe of DAPO: `max_num_gen_batches = 10`).
const DRAWS: u64 = 10;

/// A row with its prompt as token ids.
pub struct Task {
    /// Question and gold answer.
    pub row: Row,
    /// The rendered prompt.
    pub prompt: Vec<u32>,
}

/// A scored completion.
pub(super) struct Rollout {
    /// Prompt and completion, the latter trained.
    pub example: Example,
    pub completion: Completion,
    /// The weighted sum and what the length costs; none where no reward can judge.
    pub reward: Option<f64>,
    /// The weighted sum alone.
    pub earned: Option<f64>,
    /// Each reward by its name.
    pub parts: Vec<RewardPart>,
    /// One closed thought with an answer behind it.
    pub tagged: bool,
    /// Out of numerator and denominator.
    pub masked: bool,
}

/// What one optimiser batch learns from, and what was sampled for it.
pub(super) struct Groups {
    /// Whole groups one after the other.
    pub rollouts: Vec<Rollout>,
    /// The tasks of the groups.
    pub chosen: Vec<usize>,
    /// Prompts drawn from the data since the stage began.
    pub drawn: u64,
    /// Numbers over all that was sampled, kept or not.
    pub metrics: Metrics,
    /// The mean reward of it before what lengths cost.
    pub earned: Option<f64>,
}

/// Samples and scores.
pub(super) struct Sampler<'a> {
    pub tasks: &'a [Task],
    pub tokenizer: &'a Tokenizer,
    pub settings: &'a GrpoSettings,
    pub watch: &'a Watch<'a>,
}

impl Sampler<'_> {
    /// The groups of rollout batch `step`; `drawn` prompts were drawn before it.
    ///
    /// # Errors
    /// [`TrainError::Rollout`] where sampling failed or was stopped.
    pub fn groups(&self, decoder: &Decoder, order: &mut Order, drawn: u64, step: u64) -> Result<Groups, TrainError> {
        let seed = self.settings.seed.child("rollout", step);
        if self.settings.dynamic_sampling {
            return self.groups_with_spread(decoder, order, drawn, seed);
        }
        let chosen = order.batch(drawn, self.settings.prompts_per_step);
        let rollouts = self.roll_out(decoder, &chosen, seed, 0)?;
        let all: Vec<&Rollout> = rollouts.iter().collect();
        let (mut metrics, earned) = (describe(&all), earned(&all));
        let flat = self.flat_groups(&rollouts).iter().filter(|&&flat| flat).count();
        metrics.insert("zero_variance_groups".to_string(), flat as f64 / chosen.len() as f64);
        Ok(Groups { drawn: drawn + chosen.len() as u64, rollouts, chosen, metrics, earned })
    }

    /// Draws prompts until a batch of groups with a spread of rewards is there, [`DRAWS`] times at most.
    fn groups_with_spread(
        &self,
        decoder: &Decoder,
        order: &mut Order,
        mut drawn: u64,
        seed: Seed,
    ) -> Result<Groups, TrainError> {
        let (wanted, size) = (self.settings.prompts_per_step, self.settings.num_generations);
        let (mut chosen, mut kept, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        let mut sampled = 0;
        for _ in 0..DRAWS {
            let asked = to_draw(wanted, chosen.len(), sampled);
            let tasks = order.batch(drawn, asked);
            let rollouts = self.roll_out(decoder, &tasks, seed, sampled * size)?;
            let flat = self.flat_groups(&rollouts);
            let mut rollouts = rollouts.into_iter();
            for (task, flat) in tasks.into_iter().zip(flat) {
                // What is drawn beyond the batch comes again in the next one.
                if chosen.len() == wanted {
                    break;
                }
                (drawn, sampled) = (drawn + 1, sampled + 1);
                let group = rollouts.by_ref().take(size);
                if flat {
                    dropped.extend(group);
                } else {
                    chosen.push(task);
                    kept.extend(group);
                }
            }
            if chosen.len() == wanted {
                break;
            }
        }
        let all: Vec<&Rollout> = kept.iter().chain(&dropped).collect();
        let (mut metrics, earned) = (describe(&all), earned(&all));
        let groups_dropped = (sampled - chosen.len()) as f64;
        metrics.insert("zero_variance_groups".to_string(), groups_dropped / sampled.max(1) as f64);
        metrics.insert("groups_dropped".to_string(), groups_dropped);
        metrics.insert("groups_missing".to_string(), (wanted - chosen.len()) as f64);
        Ok(Groups { rollouts: kept, chosen, drawn, metrics, earned })
    }

    fn flat_groups(&self, rollouts: &[Rollout]) -> Vec<bool> {
        let rewards: Vec<Option<f64>> = rollouts.iter().map(|rollout| rollout.reward).collect();
        rewards.chunks(self.settings.num_generations).map(is_flat).collect()
    }

    /// Samples a group for every chosen task and scores it; `before` completions have been sampled for the batch.
    fn roll_out(
        &self,
        decoder: &Decoder,
        chosen: &[usize],
        seed: Seed,
        before: usize,
    ) -> Result<Vec<Rollout>, TrainError> {
        let group = self.settings.num_generations;
        let prompts: Vec<Prompt> = (0..chosen.len() * group)
            .map(|at| Prompt {
                ids: self.tasks[chosen[at / group]].prompt.clone(),
                seed: seed.child("sample", (before + at) as u64),
            })
            .collect();
        let completions = rollout::generate(
            decoder,
            &prompts,
            &self.settings.sampling,
            self.settings.sequences_at_once,
            &mut |_| !self.watch.should_stop(),
        )?;
        let tasks = (0..prompts.len()).map(|at| &self.tasks[chosen[at / group]]);
        tasks.zip(completions).map(|(task, completion)| self.score(task, completion)).collect()
    }

    fn score(&self, task: &Task, completion: Completion) -> Result<Rollout, TrainError> {
        let truncated = completion.stop == Stop::Length;
        let text = completion.text(self.tokenizer, &self.settings.sampling).map_err(RolloutError::from)?;
        let score = self.settings.reward.evaluate(&task.row, &text);
        let reward = score.total.map(|total| self.settings.overlong.reward(total, &completion));
        let mut ids = task.prompt.clone();
        ids.extend(&completion.ids);
        let mask = (0..ids.len()).map(|at| at >= task.prompt.len().max(1)).collect();
        let masked = truncated && self.settings.overlong == Overlong::Mask;
        let (example, tagged) = (Example { ids, mask }, tagged(&text));
        Ok(Rollout { example, completion, reward, earned: score.total, parts: score.parts, tagged, masked })
    }
}

/// Prompts to draw next: all at first, then as many as should fill the batch by the share kept so far.
fn to_draw(wanted: usize, kept: usize, sampled: usize) -> usize {
    let missing = (wanted - kept) as f64;
    let share = (kept + 1) as f64 / (sampled + 1) as f64;
    ((missing / share).ceil() as usize).clamp(1, wanted)
}

/// What the rollouts themselves tell.
fn describe(rollouts: &[&Rollout]) -> Metrics {
    let rewards: Vec<f64> = rollouts.iter().filter_map(|rollout| rollout.reward).collect();
    let count = rollouts.len() as f64;
    let share = |holds: &dyn Fn(&Rollout) -> bool| rollouts.iter().filter(|r| holds(r)).count() as f64 / count;
    let tokens: usize = rollouts.iter().map(|rollout| rollout.completion.ids.len()).sum();
    let mut metrics = Metrics::from([
        ("reward".to_string(), loss::mean(&rewards)),
        ("reward_deviation".to_string(), loss::deviation(&rewards)),
        ("truncated".to_string(), share(&|rollout| rollout.completion.stop == Stop::Length)),
        ("completion_length".to_string(), tokens as f64 / count),
        ("tag_rate".to_string(), share(&|rollout| rollout.tagged)),
    ]);
    for part in rollouts.iter().flat_map(|rollout| &rollout.parts) {
        *metrics.entry(format!("reward/{}", part.reward)).or_insert(0.0) += part.score.unwrap_or(0.0) / count;
    }
    metrics
}

fn earned(rollouts: &[&Rollout]) -> Option<f64> {
    let earned: Vec<f64> = rollouts.iter().filter_map(|rollout| rollout.earned).collect();
    (!earned.is_empty()).then(|| loss::mean(&earned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_prompts_are_drawn_as_should_fill_the_batch() {
        let cases = [(8, 0, 0, 8), (8, 4, 8, 8), (8, 7, 8, 2), (8, 6, 64, 8), (8, 7, 7, 1), (1, 0, 9, 1)];
        for (wanted, kept, sampled, drawn) in cases {
            assert_eq!(to_draw(wanted, kept, sampled), drawn, "{kept} of {sampled} kept, {wanted} wanted");
        }
    }
}
