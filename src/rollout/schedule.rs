//! Which sequences run now: a finished one frees its slot at once, and the next prompt takes it.

use crate::base::seed::Stream;
use crate::rollout::{Prompt, Stop};

/// A sequence that is being extended.
pub(super) struct Running<'a> {
    /// Which prompt it belongs to.
    pub prompt: usize,
    /// Where its keys and values are.
    pub slot: usize,
    /// Its own randomness.
    pub stream: Stream,
    /// Tokens so far: the prompt's, then the completion's.
    pub ids: Vec<u32>,
    prompt_ids: &'a [u32],
    /// Log-probability of each token of the completion.
    pub logprobs: Vec<f32>,
    /// The same under the distribution that it was drawn from.
    pub drawn_logprobs: Vec<f32>,
    /// Why it ended, once it has.
    pub stop: Option<Stop>,
}

impl Running<'_> {
    /// The completion without the prompt.
    pub fn completion(&self) -> &[u32] {
        &self.ids[self.prompt_ids.len()..]
    }
}

/// A prompt whose keys and values a slot must hold before its sequence may run.
pub(super) enum Admission {
    /// Compute them.
    Prefill {
        /// Which prompt.
        prompt: usize,
        /// Into which slot.
        slot: usize,
    },
    /// Copy them from a slot that holds the same prompt.
    Copy {
        /// From which slot.
        from: usize,
        /// To which slot.
        to: usize,
        /// How many positions.
        length: usize,
    },
}

/// Prompts waiting, sequences running, slots free.
pub(super) struct Schedule<'a> {
    prompts: &'a [Prompt],
    next: usize,
    free: Vec<usize>,
    /// The prompt whose keys and values begin each slot, also after its sequence has ended.
    resident: Vec<Option<&'a [u32]>>,
    /// Sequences to extend, in order of their slots.
    pub running: Vec<Running<'a>>,
}

impl<'a> Schedule<'a> {
    pub fn new(prompts: &'a [Prompt], slots: usize) -> Self {
        let resident = vec![None; slots];
        Schedule { prompts, next: 0, free: (0..slots).rev().collect(), resident, running: Vec::new() }
    }

    /// Fills free slots with waiting prompts; what is returned is to be done in that order, prefills first.
    pub fn admit(&mut self) -> Vec<Admission> {
        let (mut prefills, mut copies) = (Vec::new(), Vec::new());
        while let (Some(prompt), false) = (self.prompts.get(self.next), self.free.is_empty()) {
            let ids = prompt.ids.as_slice();
            let slot = self.take_slot(ids);
            let holder = self.resident.iter().position(|held| *held == Some(ids));
            match holder {
                _ if self.resident[slot] == Some(ids) => {}
                Some(from) => copies.push(Admission::Copy { from, to: slot, length: ids.len() - 1 }),
                None => prefills.push(Admission::Prefill { prompt: self.next, slot }),
            }
            self.resident[slot] = Some(ids);
            self.start(slot, prompt, ids);
        }
        self.running.sort_by_key(|running| running.slot);
        prefills.into_iter().chain(copies).collect()
    }

    /// A free slot, one that already holds the prompt where there is one.
    fn take_slot(&mut self, ids: &[u32]) -> usize {
        let holding = self.free.iter().rposition(|&slot| self.resident[slot] == Some(ids));
        self.free.remove(holding.unwrap_or(self.free.len() - 1))
    }

    fn start(&mut self, slot: usize, prompt: &Prompt, prompt_ids: &'a [u32]) {
        let (ids, stream) = (prompt_ids.to_vec(), prompt.seed.stream());
        self.running.push(Running {
            prompt: self.next,
            slot,
            stream,
            ids,
            prompt_ids,
            logprobs: Vec::new(),
            drawn_logprobs: Vec::new(),
            stop: None,
        });
        self.next += 1;
    }

    /// Takes out the sequences that have ended and frees their slots.
    pub fn finished(&mut self) -> Vec<Running<'a>> {
        let (ended, running) = self.running.drain(..).partition(|running| running.stop.is_some());
        self.running = running;
        let ended: Vec<Running<'a>> = ended;
        self.free.extend(ended.iter().map(|running| running.slot));
        self.free.sort_unstable_by(|a, b| b.cmp(a));
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::Seed;

    fn prompt(ids: &[u32]) -> Prompt {
        Prompt { ids: ids.to_vec(), seed: Seed::new(0) }
    }

    fn summary(admissions: &[Admission]) -> Vec<String> {
        let one = |admission: &Admission| match admission {
            Admission::Prefill { prompt, slot } => format!("prefill {prompt} in {slot}"),
            Admission::Copy { from, to, length } => format!("copy {length} from {from} to {to}"),
        };
        admissions.iter().map(one).collect()
    }

    #[test]
    fn equal_prompts_are_prefilled_once_and_slots_are_reused() {
        let prompts = [&[1u32, 2][..], &[1, 2], &[3], &[3], &[1, 2]].map(prompt);
        let mut schedule = Schedule::new(&prompts, 3);
        let first = schedule.admit();
        assert_eq!(summary(&first), ["prefill 0 in 0", "prefill 2 in 2", "copy 1 from 0 to 1"]);
        schedule.running[2].stop = Some(Stop::Stop);
        assert_eq!(schedule.finished().len(), 1);
        assert!(schedule.admit().is_empty(), "the slot still holds the prompt");
        schedule.running[2].stop = Some(Stop::Stop);
        schedule.finished();
        assert_eq!(summary(&schedule.admit()), ["copy 1 from 0 to 2"]);
    }
}
