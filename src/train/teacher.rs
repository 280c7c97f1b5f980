//! The teacher's distributions at the trained tokens: computed, or as an earlier epoch or stage kept them.

use super::distill::Divergence;
use super::divergence::{Targets, TopRow};
use super::stream::Stream;
use super::watch::TrainError;
use crate::base::digest::Digest;
use crate::data::encode::Example;
use crate::model::Decoder;
use candle_core::{Result as TensorResult, Tensor};
use std::cell::RefCell;

/// Keeps the teacher's rows of whole examples.
pub trait KeptRows {
    /// Those of an example, where they are known.
    fn get(&self, example: &Digest) -> Option<Vec<TopRow>>;
    /// Takes in those of an example.
    fn put(&mut self, example: Digest, rows: &[TopRow]);
}

/// A teacher, and what is known of it.
pub struct Teacher<'a> {
    decoder: Decoder,
    kept: Option<RefCell<Box<dyn KeptRows + 'a>>>,
}

impl<'a> Teacher<'a> {
    /// A teacher that is asked anew each time.
    pub fn new(decoder: Decoder) -> Self {
        Teacher { decoder, kept: None }
    }

    /// One whose rows are kept, where the measure needs few numbers of each.
    pub fn keeping(decoder: Decoder, kept: impl KeptRows + 'a) -> Self {
        Teacher { decoder, kept: Some(RefCell::new(Box::new(kept))) }
    }

    /// What the divergence needs of it at the trained tokens of a stream.
    pub(super) fn targets(
        &self,
        divergence: &Divergence,
        batch: &[&Example],
        stream: &Stream,
    ) -> Result<Targets, TrainError> {
        let kept = self.kept.as_ref().filter(|_| divergence.measure.top_k(divergence.vocabulary).is_some());
        let Some(kept) = kept else { return self.compute(divergence, stream) };
        let keys: Vec<Digest> = stream.members.iter().map(|&member| key(batch[member])).collect();
        let known: Option<Vec<Vec<TopRow>>> = keys.iter().map(|key| kept.borrow().get(key)).collect();
        let trained = |at: usize| batch[stream.members[at]].trained();
        if let Some(known) = known.filter(|known| (0..known.len()).all(|at| known[at].len() == trained(at))) {
            return Ok(Targets::Top(known.concat()));
        }
        let targets = self.compute(divergence, stream)?;
        if let Targets::Top(rows) = &targets {
            let mut from = 0;
            for (at, key) in keys.into_iter().enumerate() {
                kept.borrow_mut().put(key, &rows[from..from + trained(at)]);
                from += trained(at);
            }
        }
        Ok(targets)
    }

    /// The same without a look at what is kept, for completions that will not come again.
    pub(super) fn compute(&self, divergence: &Divergence, stream: &Stream) -> Result<Targets, TrainError> {
        let Divergence { measure, temperature, vocabulary } = *divergence;
        let logits = flat(&real_logits(&self.decoder, stream, vocabulary)?)?;
        Ok(Targets::of(measure, temperature, vocabulary, logits))
    }
}

/// An example by its tokens and by which of them are trained.
fn key(example: &Example) -> Digest {
    let ids = example.ids.iter().flat_map(|id| id.to_le_bytes());
    Digest::of_bytes(&ids.chain(example.mask.iter().map(|&trained| u8::from(trained))).collect::<Vec<u8>>())
}

/// Logits of the trained positions over the real vocabulary, `[trained, vocabulary]`.
pub(super) fn real_logits(decoder: &Decoder, stream: &Stream, vocabulary: usize) -> TensorResult<Tensor> {
    decoder.logits(&stream.hidden(decoder)?)?.narrow(1, 0, vocabulary)?.contiguous()
}

pub(super) fn flat(tensor: &Tensor) -> TensorResult<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}
