//! A forward pass's worth of sequences: laid end to end, with the positions that are trained and their targets.

use crate::data::encode::Example;
use crate::data::pack;
use crate::model::Decoder;
use candle_core::{Result, Tensor};

/// Tokens in one forward pass at most, unless one sequence alone is longer.
///
/// A constant, so that the order of floating-point sums, and with it every result, is the same on every machine.
pub const TOKENS_A_PASS: usize = 4096;

/// Bytes that the logits of one pass may take where a loss needs all of them: 64 MiB.
pub const LOGIT_BYTES_A_PASS: usize = 64 << 20;

/// Sequences laid end to end.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Token ids, `[tokens]`.
    pub ids: Vec<u32>,
    /// Where each sequence begins, and at the end the number of tokens, `[sequences + 1]`.
    pub starts: Vec<usize>,
    /// Positions whose next token is trained, `[trained]`.
    pub rows: Vec<u32>,
    /// Those next tokens, `[trained]`.
    pub targets: Vec<u32>,
    /// The examples' indices in the batch, in the order of the stream; their trained tokens follow one another.
    pub members: Vec<usize>,
}

/// The streams of one optimiser batch: packed best fit, or one sequence each.
pub fn streams(batch: &[&Example], packing: bool) -> Vec<Stream> {
    streams_within(batch, if packing { TOKENS_A_PASS } else { 1 })
}

/// The streams for a loss that needs whole rows of `vocabulary` logits.
pub fn streams_for_logits(batch: &[&Example], packing: bool, vocabulary: usize) -> Vec<Stream> {
    let tokens = (LOGIT_BYTES_A_PASS / (4 * vocabulary)).clamp(1, TOKENS_A_PASS);
    streams_within(batch, if packing { tokens } else { 1 })
}

fn streams_within(batch: &[&Example], tokens: usize) -> Vec<Stream> {
    let lengths: Vec<usize> = batch.iter().map(|example| example.ids.len()).collect();
    pack::pack(&lengths, tokens).into_iter().map(|members| Stream::of(batch, members)).collect()
}

impl Stream {
    fn of(batch: &[&Example], members: Vec<usize>) -> Stream {
        let examples: Vec<&Example> = members.iter().map(|&member| batch[member]).collect();
        let flat = pack::flatten(&examples);
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for segment in flat.segments() {
            for at in segment.skip(1).filter(|&at| flat.mask[at]) {
                rows.push(at as u32 - 1);
                targets.push(flat.ids[at]);
            }
        }
        Stream { ids: flat.ids, starts: flat.starts, rows, targets, members }
    }

    /// Hidden states of the trained positions, `[trained, hidden]`.
    ///
    /// # Errors
    /// What the tensor library says.
    pub fn hidden(&self, decoder: &Decoder) -> Result<Tensor> {
        let hidden = decoder.forward(&self.ids, &self.starts)?;
        crate::nn::ops::gather_rows(&hidden, &self.rows)
    }

    /// log π of the trained tokens and the entropy at them, both `[trained]`.
    ///
    /// # Errors
    /// What the tensor library says.
    pub fn log_probs(&self, decoder: &Decoder, temperature: f64) -> Result<(Tensor, Tensor)> {
        decoder.log_probs(&self.hidden(decoder)?, &self.targets, temperature)
    }
}
