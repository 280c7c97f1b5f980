//! Differentiable fused ops, one a file: slow reference, fast forward, backward.
//!
//! On a device without a kernel here each public function takes its reference path, which is made of
//! elementary tensor ops and so runs, and differentiates, anywhere.

mod attention;
pub(crate) mod buffer;
mod cached_attention;
pub mod clock;
mod decoder_layer;
mod decoder_layers;
mod gather_rows;
pub(crate) mod gemm;
mod head;
mod linear;
mod lora;
mod packed;
mod rms_norm;
mod rope;
mod simd;
pub(crate) mod sink;
mod slices;
mod swiglu;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod vector;

pub use attention::attention;
pub use cached_attention::{CachedTokens, attend_cached, copy_slot, write_cache};
pub use clock::Part;
pub use decoder_layer::{Layer, LayerSizes, Map};
pub use decoder_layers::{DecoderLayers, LayerSettings};
pub use gather_rows::gather_rows;
pub use gemm::{Path as KernelPath, Precision, peak as gemm_peak};
pub use head::{head_log_probs, head_loss};
pub use linear::linear;
pub(crate) use lora::mix;
pub use lora::{Adaptation, Dropout, fold_adapter, lora_linear};
pub use packed::PackedWeight;
pub use rms_norm::rms_norm;
pub use rope::{RopeTable, frequencies, rope};
pub use slices::with_rows;
pub use swiglu::swiglu;
pub use vector::softmax_in_place;
