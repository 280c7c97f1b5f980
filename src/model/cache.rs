//! Keys and values of running sequences, owned by whoever generates.

use crate::model::ModelConfig;
use crate::nn::ops;
use candle_core::{DType, Device, Result, Tensor};

/// Positions are kept in multiples of this, so that attention meets whole vectors only.
const ALIGNMENT: usize = 64;

/// Room for some sequences, each in a slot of its own.
#[derive(Debug)]
pub struct KvCache {
    /// Keys [slots, kv_heads, head_dim, capacity] and values [slots, kv_heads, capacity, head_dim] of each layer.
    pub(super) layers: Vec<(Tensor, Tensor)>,
    slots: usize,
    capacity: usize,
}

impl KvCache {
    /// Bytes that one sequence of up to `capacity` tokens takes.
    pub fn bytes_a_slot(config: &ModelConfig, capacity: usize) -> u64 {
        let rows = capacity.next_multiple_of(ALIGNMENT) * config.kv_heads() * config.head_width();
        (2 * config.num_hidden_layers * rows * DType::F32.size_in_bytes()) as u64
    }

    /// Zeros for `slots` sequences of up to `capacity` tokens.
    ///
    /// # Errors
    /// Where the device has no room.
    pub fn new(config: &ModelConfig, slots: usize, capacity: usize, device: &Device) -> Result<Self> {
        let (kv_heads, width) = (config.kv_heads(), config.head_width());
        let rows = capacity.next_multiple_of(ALIGNMENT);
        let layer = |_| {
            let keys = Tensor::zeros((slots, kv_heads, width, rows), DType::F32, device)?;
            let values = Tensor::zeros((slots, kv_heads, rows, width), DType::F32, device)?;
            Ok((keys, values))
        };
        let layers = (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?;
        Ok(KvCache { layers, slots, capacity })
    }

    /// Sequences it has room for.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Tokens a sequence may have.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Copies the first `length` positions of one slot to another, for sequences that begin alike.
    ///
    /// # Errors
    /// Where a slot or the length lies outside the cache.
    pub fn copy(&mut self, from: usize, to: usize, length: usize) -> Result<()> {
        self.layers.iter().try_for_each(|(keys, values)| ops::copy_slot(keys, values, from, to, length))
    }
}
