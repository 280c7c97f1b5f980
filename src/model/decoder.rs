//! The decoder that all families share: training over packed streams, and generation step by step.

use crate::model::lora::{Dropout, LoraConfig};
use crate::model::rope::rope_table;
use crate::model::weights::{EMBEDDING, HEAD, NORM, in_layer};
use crate::model::{KvCache, ModelConfig, ModelError, Weights, expected_weights};
use crate::nn::ops::{self, CachedTokens, DecoderLayers, LayerSettings, LayerSizes, Map, Precision, RopeTable};
use crate::nn::{Linear, Noise, Params};
use candle_core::{Device, Result, Tensor, bail};
use std::sync::Arc;

/// A decoder-only transformer: RMSNorm, rotary attention with grouped keys, gated feed-forward; in some families the
/// queries and keys are normalised head by head.
///
/// Field names follow the weights' names. Cloning shares the weights.
#[derive(Clone, Debug)]
pub struct Decoder {
    config: Arc<ModelConfig>,
    rope: Arc<RopeTable>,
    embed_tokens: Tensor,
    layers: Vec<Layer>,
    /// The same layers as one op; none where they are computed from elementary ops.
    fused: Option<Arc<DecoderLayers>>,
    norm: Tensor,
    /// Shares the embedding's tensor where the configuration ties them.
    lm_head: Linear,
    compute: Compute,
    /// What adapters drop in training; none where they drop nothing.
    dropout: Option<Dropout>,
}

/// How a decoder is computed in training; only `precision` changes a result beyond the last digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compute {
    /// Which code computes the layers.
    pub kernels: Kernels,
    /// Number format of the products with weights, the head's included.
    pub precision: Precision,
    /// Keep only each layer's input, and run the layer once more on the way back: the same bits from less memory.
    pub checkpointing: bool,
}

/// Which code computes the layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernels {
    /// One fused op over all layers, where the device has it.
    #[default]
    Fused,
    /// Separate ops on the tape: the oracle of the fused one, and the way for devices without it.
    Reference,
}

/// Maps of a layer.
const MAPS: usize = 7;

/// One layer: attention and feed-forward, each normalised before and added to its input.
#[derive(Clone, Debug)]
struct Layer {
    input_layernorm: Tensor,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    /// Of each head's queries, [head_dim]; only some families have it.
    q_norm: Option<Tensor>,
    /// Of each head's keys, [head_dim].
    k_norm: Option<Tensor>,
    o_proj: Linear,
    post_attention_layernorm: Tensor,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

/// New tokens of some running sequences: whole prompts, or one token each.
#[derive(Clone, Debug, Default)]
pub struct DecodeStep {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Slot and position of each token; a sequence's tokens in order, none skipped.
    pub tokens: CachedTokens,
    /// Which of the tokens' logits are wanted, as indices into `ids`.
    pub outputs: Vec<u32>,
}

impl Decoder {
    /// A decoder whose weights are trainable, with its parameters in the order of the model.
    ///
    /// # Errors
    /// Where a weight is missing or has the wrong shape.
    pub fn trainable(config: &ModelConfig, weights: &Weights) -> std::result::Result<(Self, Params), ModelError> {
        let mut params = Params::new();
        let decoder = Self::build(config, weights, &mut |name, tensor| params.add(name, tensor))?;
        Ok((decoder, params))
    }

    /// As [`Decoder::trainable`], over the very memory that the weights were read into, where they were read from files:
    /// nothing else may compute with them meanwhile.
    ///
    /// # Errors
    /// Where a weight is missing or has the wrong shape.
    pub fn trainable_in_place(
        config: &ModelConfig,
        weights: Weights,
    ) -> std::result::Result<(Self, Params), ModelError> {
        let mut params = Params::new();
        let decoder = Self::build(config, &weights, &mut |name, tensor| params.take_over(name, tensor))?;
        Ok((decoder, params))
    }

    /// A decoder that records no gradient and shares the storage of `weights`.
    ///
    /// # Errors
    /// Where a weight is missing or has the wrong shape.
    pub fn frozen(config: &ModelConfig, weights: &Weights) -> std::result::Result<Self, ModelError> {
        Self::build(config, weights, &mut |_, tensor| Ok(tensor.detach()))
    }

    /// A decoder over the storage of `weights`, which stay, with fresh adapters on the maps that `lora` names: they are
    /// its parameters, under the names of their maps with PEFT's `lora_A.weight` and `lora_B.weight`. What it computes
    /// is what it would without them until the first step: B starts at zero.
    ///
    /// # Errors
    /// Where a weight is missing or has the wrong shape.
    pub fn adapted(
        config: &ModelConfig,
        weights: &Weights,
        lora: &LoraConfig,
    ) -> std::result::Result<(Self, Params), ModelError> {
        let mut decoder = Self::frozen(config, weights)?;
        let mut params = Params::new();
        for (at, layer) in decoder.layers.iter_mut().enumerate() {
            for (map, (name, linear)) in layer.maps_mut().into_iter().enumerate() {
                linear.lora =
                    lora.adapter(&in_layer(at, name), (at * MAPS + map) as u64, &linear.weight, &mut params)?;
            }
        }
        decoder.dropout = lora.dropout();
        let compute = decoder.compute;
        Ok((decoder.computed(compute)?, params))
    }

    /// Tells adapters that drop a share of their inputs which optimiser step this is: each step drops others.
    pub fn at_step(&mut self, step: u64) {
        self.dropout.iter_mut().for_each(|dropout| dropout.step = step);
    }

    fn build(
        config: &ModelConfig,
        weights: &Weights,
        adopt: &mut dyn FnMut(&str, &Tensor) -> Result<Tensor>,
    ) -> std::result::Result<Self, ModelError> {
        config.check()?;
        let mut adopted = Weights::new();
        for (name, shape) in expected_weights(config)? {
            let file = || "the given weights".to_string();
            let Some(tensor) = weights.get(&name) else { return Err(ModelError::MissingTensor { file: file(), name }) };
            if tensor.dims() != shape {
                let found = tensor.dims().to_vec();
                return Err(ModelError::WrongShape { file: file(), name, found, expected: shape });
            }
            let tensor = adopt(&name, &tensor.contiguous()?)?;
            adopted.insert(name, tensor);
        }
        Ok(Self::assemble(config, &adopted)?)
    }

    fn assemble(config: &ModelConfig, weights: &Weights) -> Result<Self> {
        let layers = (0..config.num_hidden_layers).map(|layer| Layer::new(weights, layer)).collect::<Result<_>>()?;
        let head = if config.tie_word_embeddings { EMBEDDING } else { HEAD };
        let decoder = Decoder {
            config: Arc::new(config.clone()),
            rope: Arc::new(rope_table(config)),
            embed_tokens: find(weights, EMBEDDING)?,
            layers,
            fused: None,
            norm: find(weights, NORM)?,
            lm_head: Linear::new(find(weights, head)?, None),
            compute: Compute::default(),
            dropout: None,
        };
        decoder.computed(Compute::default())
    }

    /// The same decoder over the same weights, computed in that way.
    ///
    /// # Errors
    /// Where weights and configuration do not agree.
    pub fn computed(self, compute: Compute) -> Result<Self> {
        let Compute { kernels, precision, checkpointing } = compute;
        let layers: Vec<Layer> = self.layers.into_iter().map(|layer| layer.in_precision(precision)).collect();
        let fusible: Option<Vec<_>> = match kernels {
            Kernels::Reference => None,
            Kernels::Fused => layers.iter().map(Layer::fused).collect(),
        };
        let config = &self.config;
        let sizes = LayerSizes {
            hidden: config.hidden_size,
            heads: config.num_attention_heads,
            kv_heads: config.kv_heads(),
            head_dim: config.head_width(),
            intermediate: config.intermediate_size,
            epsilon: config.rms_norm_eps,
        };
        let settings = LayerSettings { precision, checkpointing };
        let fused = fusible.map(|layers| DecoderLayers::new(layers, sizes, self.rope.clone(), settings)).transpose()?;
        let fused = fused.filter(DecoderLayers::has_kernel).map(Arc::new);
        Ok(Decoder { layers, fused, lm_head: self.lm_head.in_precision(precision), compute, ..self })
    }

    /// How it is computed.
    pub fn compute(&self) -> Compute {
        self.compute
    }

    /// The shape of this decoder.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        self.embed_tokens.device()
    }

    /// The hidden states after the final norm, [n, hidden_size], of a packed stream.
    ///
    /// `ids` are n tokens; `segments` the cumulative starts of its samples, 0 and n included. Attention and
    /// positions start anew with each segment.
    ///
    /// # Errors
    /// Where an id lies outside the vocabulary, or a segment is longer than the model has positions.
    pub fn forward(&self, ids: &[u32], segments: &[usize]) -> Result<Tensor> {
        let positions = Arc::new(positions(segments));
        if positions.len() != ids.len() {
            bail!("decoder: segment starts {segments:?} for {} tokens", ids.len());
        }
        let noise: Noise = self.dropout.as_ref().map(|dropout| Arc::new(dropout.noise(ids, segments)));
        let segments = Arc::new(segments.to_vec());
        let mut x = ops::gather_rows(&self.embed_tokens, ids)?;
        if let Some(fused) = &self.fused {
            x = fused.forward(&x, &positions, &segments)?;
        } else {
            for layer in &self.layers {
                x = layer.forward(self, &x, &positions, &noise, |q, k, v| ops::attention(q, k, v, &segments))?;
            }
        }
        ops::rms_norm(&x, &self.norm, self.config.rms_norm_eps)
    }

    /// Log-probability of `targets` (m ids) under softmax(logits / `temperature`), and the entropy, both [m].
    ///
    /// `hidden` [m, hidden_size]: rows of [`Decoder::forward`], each that of the token before its target. The
    /// entropy carries no gradient. The logits are never held all at once.
    ///
    /// # Errors
    /// Where the sizes differ, a target lies outside the vocabulary, or the temperature is not positive.
    pub fn log_probs(&self, hidden: &Tensor, targets: &[u32], temperature: f64) -> Result<(Tensor, Tensor)> {
        ops::head_log_probs(hidden, &self.lm_head.weight, targets, temperature, self.compute.precision)
    }

    /// Σ factorᵢ · log π(targetᵢ) as a scalar whose gradient is made along with it: see [`ops::head_loss`].
    ///
    /// # Errors
    /// As [`Decoder::log_probs`], and where there is not one factor a row.
    pub fn weighted_log_probs(&self, hidden: &Tensor, targets: &[u32], factors: &[f32]) -> Result<Tensor> {
        ops::head_loss(hidden, &self.lm_head.weight, targets, factors, 1.0, self.compute.precision)
    }

    /// Logits [m, vocab_size] of `hidden` [m, hidden_size].
    ///
    /// # Errors
    /// Where the widths differ.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.lm_head.forward(hidden, &None)
    }

    /// Runs new tokens of cached sequences, keeps their keys and values, and returns the wanted logits
    /// [outputs, vocab_size]. Takes a decoder that records no gradient.
    ///
    /// # Errors
    /// Where a token lies outside the cache or vocabulary, or the decoder is a trainable one.
    pub fn decode(&self, step: &DecodeStep, cache: &mut KvCache) -> Result<Tensor> {
        if self.embed_tokens.track_op() || self.layers.iter().any(Layer::trains_adapters) {
            bail!("decode: the decoder would record gradients; use `for_generation` or `detached`");
        }
        let positions = Arc::new(step.tokens.positions.iter().map(|&position| position as u32).collect());
        let mut x = ops::gather_rows(&self.embed_tokens, &step.ids)?;
        for (layer, (keys, values)) in self.layers.iter().zip(&cache.layers) {
            x = layer.forward(self, &x, &positions, &None, |q, k, v| {
                ops::write_cache(keys, values, k, v, &step.tokens)?;
                ops::attend_cached(q, keys, values, &step.tokens)
            })?;
        }
        let wanted = ops::gather_rows(&x, &step.outputs)?;
        self.logits(&ops::rms_norm(&wanted, &self.norm, self.config.rms_norm_eps)?)
    }

    /// The same decoder over the same storage, recording no gradient: it follows the optimiser's steps, and its
    /// adapters drop nothing.
    pub fn detached(&self) -> Self {
        let detached = Decoder {
            embed_tokens: self.embed_tokens.detach(),
            layers: self.layers.iter().map(Layer::detached).collect(),
            fused: None,
            norm: self.norm.detach(),
            lm_head: self.lm_head.detached(),
            dropout: None,
            ..self.clone()
        };
        // The shapes were checked when `self` was made; without the op the layers compute all the same.
        detached.clone().computed(self.compute).unwrap_or(detached)
    }

    /// The present policy laid out for generation; later optimiser steps do not reach it. One that is laid out already
    /// is taken as it is.
    ///
    /// # Errors
    /// Where the copy cannot be made.
    pub fn for_generation(&self) -> Result<Self> {
        if self.lm_head.is_packed() {
            return Ok(self.clone());
        }
        let detached = self.detached();
        let layers = detached.layers.iter().map(Layer::packed).collect::<Result<_>>()?;
        Ok(Decoder { layers, lm_head: detached.lm_head.packed()?, ..detached })
    }

    /// Every weight by its name; the head only where it is not the embedding.
    pub fn weights(&self) -> Weights {
        let mut all = Weights::from([(EMBEDDING.into(), self.embed_tokens.clone()), (NORM.into(), self.norm.clone())]);
        if !self.config.tie_word_embeddings {
            all.insert(HEAD.into(), self.lm_head.weight.clone());
        }
        self.layers.iter().enumerate().for_each(|(at, layer)| layer.add_weights(at, &mut all));
        all
    }
}

/// Position of each token in its segment.
fn positions(segments: &[usize]) -> Vec<u32> {
    segments.windows(2).flat_map(|pair| 0..pair[1].saturating_sub(pair[0]) as u32).collect()
}

fn find(weights: &Weights, name: &str) -> Result<Tensor> {
    let found = weights.get(name).cloned();
    found.ok_or_else(|| candle_core::Error::Msg(format!("the weights have no {name}")))
}

impl Layer {
    fn new(weights: &Weights, layer: usize) -> Result<Self> {
        let tensor = |name: &str| find(weights, &in_layer(layer, name));
        let linear = |name: &str| -> Result<Linear> {
            let bias = weights.get(&in_layer(layer, &format!("{name}.bias"))).cloned();
            Ok(Linear::new(tensor(&format!("{name}.weight"))?, bias))
        };
        Ok(Layer {
            input_layernorm: tensor("input_layernorm.weight")?,
            q_proj: linear("self_attn.q_proj")?,
            k_proj: linear("self_attn.k_proj")?,
            v_proj: linear("self_attn.v_proj")?,
            q_norm: weights.get(&in_layer(layer, "self_attn.q_norm.weight")).cloned(),
            k_norm: weights.get(&in_layer(layer, "self_attn.k_norm.weight")).cloned(),
            o_proj: linear("self_attn.o_proj")?,
            post_attention_layernorm: tensor("post_attention_layernorm.weight")?,
            gate_proj: linear("mlp.gate_proj")?,
            up_proj: linear("mlp.up_proj")?,
            down_proj: linear("mlp.down_proj")?,
        })
    }

    /// `x` [n, hidden_size] to the same shape; `attend` takes rotated queries and keys, and values; `noise`
    /// says what adapters drop.
    fn forward(
        &self,
        model: &Decoder,
        x: &Tensor,
        positions: &Arc<Vec<u32>>,
        noise: &Noise,
        attend: impl FnOnce(&Tensor, &Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (config, n) = (&model.config, positions.len());
        let (heads, kv_heads, width) = (config.num_attention_heads, config.kv_heads(), config.head_width());
        let by_head = |x: Tensor, norm: &Option<Tensor>, heads: usize| {
            let x = x.reshape((n * heads, width))?;
            let x = norm.as_ref().map_or(Ok(x.clone()), |norm| ops::rms_norm(&x, norm, config.rms_norm_eps))?;
            ops::rope(&x.reshape((n, heads, width))?, positions, &model.rope)
        };
        let h = ops::rms_norm(x, &self.input_layernorm, config.rms_norm_eps)?;
        let q = by_head(self.q_proj.forward(&h, noise)?, &self.q_norm, heads)?;
        let k = by_head(self.k_proj.forward(&h, noise)?, &self.k_norm, kv_heads)?;
        let v = self.v_proj.forward(&h, noise)?.reshape((n, kv_heads, width))?;
        let attended = attend(&q, &k, &v)?.reshape((n, heads * width))?;
        let x = (x + self.o_proj.forward(&attended, noise)?)?;
        let h = ops::rms_norm(&x, &self.post_attention_layernorm, config.rms_norm_eps)?;
        let gated = ops::swiglu(&self.gate_proj.forward(&h, noise)?, &self.up_proj.forward(&h, noise)?)?;
        x + self.down_proj.forward(&gated, noise)?
    }

    fn in_precision(self, precision: Precision) -> Self {
        Layer {
            q_proj: self.q_proj.in_precision(precision),
            k_proj: self.k_proj.in_precision(precision),
            v_proj: self.v_proj.in_precision(precision),
            o_proj: self.o_proj.in_precision(precision),
            gate_proj: self.gate_proj.in_precision(precision),
            up_proj: self.up_proj.in_precision(precision),
            down_proj: self.down_proj.in_precision(precision),
            ..self
        }
    }

    /// The weights as the fused op takes them; none where it cannot compute this layer.
    fn fused(&self) -> Option<ops::Layer<Tensor>> {
        if self.maps().iter().any(|(_, map)| map.lora.is_some()) {
            return None;
        }
        let map = |linear: &Linear| Map { weight: linear.weight.clone(), bias: linear.bias.clone() };
        Some(ops::Layer {
            input_layernorm: self.input_layernorm.clone(),
            q_proj: map(&self.q_proj),
            k_proj: map(&self.k_proj),
            v_proj: map(&self.v_proj),
            q_norm: self.q_norm.clone(),
            k_norm: self.k_norm.clone(),
            o_proj: map(&self.o_proj),
            post_attention_layernorm: self.post_attention_layernorm.clone(),
            gate_proj: map(&self.gate_proj),
            up_proj: map(&self.up_proj),
            down_proj: map(&self.down_proj),
        })
    }

    /// Whether an adapter of it is being trained.
    fn trains_adapters(&self) -> bool {
        self.maps().iter().any(|(_, map)| map.lora.as_ref().is_some_and(|lora| lora.a.track_op()))
    }

    /// As [`Layer::maps`], to be changed.
    fn maps_mut(&mut self) -> [(&'static str, &mut Linear); MAPS] {
        [
            ("self_attn.q_proj", &mut self.q_proj),
            ("self_attn.k_proj", &mut self.k_proj),
            ("self_attn.v_proj", &mut self.v_proj),
            ("self_attn.o_proj", &mut self.o_proj),
            ("mlp.gate_proj", &mut self.gate_proj),
            ("mlp.up_proj", &mut self.up_proj),
            ("mlp.down_proj", &mut self.down_proj),
        ]
    }

    /// The maps by their names.
    fn maps(&self) -> [(&'static str, &Linear); MAPS] {
        [
            ("self_attn.q_proj", &self.q_proj),
            ("self_attn.k_proj", &self.k_proj),
            ("self_attn.v_proj", &self.v_proj),
            ("self_attn.o_proj", &self.o_proj),
            ("mlp.gate_proj", &self.gate_proj),
            ("mlp.up_proj", &self.up_proj),
            ("mlp.down_proj", &self.down_proj),
        ]
    }

    fn add_weights(&self, layer: usize, all: &mut Weights) {
        for (name, map) in self.maps() {
            all.insert(in_layer(layer, &format!("{name}.weight")), map.weight.clone());
            all.extend(map.bias.iter().map(|bias| (in_layer(layer, &format!("{name}.bias")), bias.clone())));
        }
        for (name, norm) in [("self_attn.q_norm.weight", &self.q_norm), ("self_attn.k_norm.weight", &self.k_norm)] {
            all.extend(norm.iter().map(|norm| (in_layer(layer, name), norm.clone())));
        }
        all.insert(in_layer(layer, "input_layernorm.weight"), self.input_layernorm.clone());
        all.insert(in_layer(layer, "post_attention_layernorm.weight"), self.post_attention_layernorm.clone());
    }

    fn detached(&self) -> Self {
        Layer {
            input_layernorm: self.input_layernorm.detach(),
            q_proj: self.q_proj.detached(),
            k_proj: self.k_proj.detached(),
            v_proj: self.v_proj.detached(),
            q_norm: self.q_norm.as_ref().map(Tensor::detach),
            k_norm: self.k_norm.as_ref().map(Tensor::detach),
            o_proj: self.o_proj.detached(),
            post_attention_layernorm: self.post_attention_layernorm.detach(),
            gate_proj: self.gate_proj.detached(),
            up_proj: self.up_proj.detached(),
            down_proj: self.down_proj.detached(),
        }
    }

    fn packed(&self) -> Result<Self> {
        Ok(Layer {
            q_proj: self.q_proj.packed()?,
            k_proj: self.k_proj.packed()?,
            v_proj: self.v_proj.packed()?,
            o_proj: self.o_proj.packed()?,
            gate_proj: self.gate_proj.packed()?,
            up_proj: self.up_proj.packed()?,
            down_proj: self.down_proj.packed()?,
            ..self.detached()
        })
    }
}
