//! One decoder layer over slices: forward and backward with the weights inside.
//!
//! With N = RMSNorm: m = x + attention(rope(N(x) Wqᵀ), rope(N(x) Wkᵀ), N(x) Wvᵀ) Woᵀ, then
//! y = m + (silu(N(m) Wgᵀ) · (N(m) Wuᵀ)) Wdᵀ (Llama, Touvron et al., 2023; with biases Qwen2; with norms of queries and
//! keys Qwen3). The reference is the same layer from the ops beside this file, on the tape.

use super::attention;
use super::buffer::Buffer;
use super::clock::{Part, timed};
use super::gemm::Precision;
use super::linear::{self, bias_gradient_onto, forward_into, input_gradient_into, weight_gradient_onto};
use super::rope::{RopeTable, rotate_in_place};
use super::sink::Sink;
use super::slices::Held;
use super::{rms_norm, swiglu};
use candle_core::{Result, Tensor, TensorId};

/// An affine map: W [out, in] and b [out].
#[derive(Clone, Debug)]
pub struct Map<T> {
    /// W.
    pub weight: T,
    /// b.
    pub bias: Option<T>,
}

/// The weights of a layer, by Hugging Face's names.
#[derive(Clone, Debug)]
pub struct Layer<T> {
    /// Norm before the attention, [hidden].
    pub input_layernorm: T,
    /// To queries.
    pub q_proj: Map<T>,
    /// To keys.
    pub k_proj: Map<T>,
    /// To values.
    pub v_proj: Map<T>,
    /// Norm of each query, [head_dim].
    pub q_norm: Option<T>,
    /// Norm of each key, [head_dim].
    pub k_norm: Option<T>,
    /// From the attention back to the stream.
    pub o_proj: Map<T>,
    /// Norm before the feed-forward part, [hidden].
    pub post_attention_layernorm: T,
    /// To what passes through silu.
    pub gate_proj: Map<T>,
    /// To what it multiplies.
    pub up_proj: Map<T>,
    /// Back to the stream.
    pub down_proj: Map<T>,
}

impl<T> Map<T> {
    fn map<'a, U>(&'a self, f: &mut dyn FnMut(&'a T) -> Result<U>) -> Result<Map<U>> {
        Ok(Map { weight: f(&self.weight)?, bias: self.bias.as_ref().map(f).transpose()? })
    }
}

impl<T> Layer<T> {
    /// The same layer of other things, such as values instead of tensors.
    pub(super) fn map<'a, U>(&'a self, f: &mut dyn FnMut(&'a T) -> Result<U>) -> Result<Layer<U>> {
        Ok(Layer {
            input_layernorm: f(&self.input_layernorm)?,
            q_proj: self.q_proj.map(f)?,
            k_proj: self.k_proj.map(f)?,
            v_proj: self.v_proj.map(f)?,
            q_norm: self.q_norm.as_ref().map(&mut *f).transpose()?,
            k_norm: self.k_norm.as_ref().map(&mut *f).transpose()?,
            o_proj: self.o_proj.map(f)?,
            post_attention_layernorm: f(&self.post_attention_layernorm)?,
            gate_proj: self.gate_proj.map(f)?,
            up_proj: self.up_proj.map(f)?,
            down_proj: self.down_proj.map(f)?,
        })
    }
}

impl Layer<Tensor> {
    /// The values held for reading.
    pub(super) fn hold(&self) -> Result<Layer<(TensorId, Held<'_>)>> {
        self.map(&mut |tensor| Ok((tensor.id(), Held::new(tensor))))
    }
}

/// A weight's values and who it is.
#[derive(Clone, Copy)]
pub(super) struct Weight<'a> {
    id: TensorId,
    values: &'a [f32],
}

impl Layer<(TensorId, Held<'_>)> {
    /// The values that are held.
    pub(super) fn weights(&self, op: &str) -> Result<Layer<Weight<'_>>> {
        self.map(&mut |(id, held)| Ok(Weight { id: *id, values: held.values(op)? }))
    }
}

/// Widths of a layer.
#[derive(Clone, Copy, Debug)]
pub struct LayerSizes {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width of the gated part.
    pub intermediate: usize,
    /// ε of the norms.
    pub epsilon: f64,
}

impl LayerSizes {
    fn queries(self) -> usize {
        self.heads * self.head_dim
    }

    fn keys(self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Values that the backward pass needs beside the layer's input, a token.
    pub(super) fn saved(self, normed: bool) -> usize {
        let raw = if normed { self.queries() + self.keys() } else { 0 };
        2 * self.queries() + 2 * self.keys() + self.heads + self.hidden + 2 * self.intermediate + raw
    }

    /// Values that are free again after a layer, a token.
    pub(super) fn scratch(self) -> usize {
        2 * self.hidden + self.wide()
    }

    /// The gated part's product; later, gradients to the attention's parts.
    fn wide(self) -> usize {
        self.intermediate.max(3 * self.queries() + 2 * self.keys())
    }
}

/// One pass over a stream of tokens.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub sizes: LayerSizes,
    pub positions: &'a [u32],
    pub segments: &'a [usize],
    pub rope: &'a RopeTable,
    pub precision: Precision,
}

/// Takes one part after the other from a slice.
struct Parts<'a>(&'a mut [f32]);

impl<'a> Parts<'a> {
    fn take(&mut self, length: usize) -> &'a mut [f32] {
        let (part, rest) = std::mem::take(&mut self.0).split_at_mut(length);
        self.0 = rest;
        part
    }
}

/// What a layer keeps for its backward pass, beside its input x.
struct Saved<'a> {
    q: &'a mut [f32],
    k: &'a mut [f32],
    v: &'a mut [f32],
    attended: &'a mut [f32],
    log_sums: &'a mut [f32],
    middle: &'a mut [f32],
    gate: &'a mut [f32],
    up: &'a mut [f32],
    /// Queries before their norm; empty where there is none.
    q_raw: &'a mut [f32],
    k_raw: &'a mut [f32],
}

/// What a layer needs for a moment.
struct Scratch<'a> {
    normed: &'a mut [f32],
    dnormed: &'a mut [f32],
    wide: &'a mut [f32],
}

impl<'a> Pass<'a> {
    fn n(&self) -> usize {
        self.positions.len()
    }

    fn epsilon(&self) -> f32 {
        self.sizes.epsilon as f32
    }

    fn saved(&self, memory: &'a mut [f32], normed: bool) -> Saved<'a> {
        let (n, s) = (self.n(), self.sizes);
        let mut parts = Parts(memory);
        let raw = if normed { n } else { 0 };
        Saved {
            q: parts.take(n * s.queries()),
            k: parts.take(n * s.keys()),
            v: parts.take(n * s.keys()),
            attended: parts.take(n * s.queries()),
            log_sums: parts.take(n * s.heads),
            middle: parts.take(n * s.hidden),
            gate: parts.take(n * s.intermediate),
            up: parts.take(n * s.intermediate),
            q_raw: parts.take(raw * s.queries()),
            k_raw: parts.take(raw * s.keys()),
        }
    }

    fn scratch(&self, memory: &'a mut [f32]) -> Scratch<'a> {
        let (n, s) = (self.n(), self.sizes);
        let mut parts = Parts(memory);
        Scratch { normed: parts.take(n * s.hidden), dnormed: parts.take(n * s.hidden), wide: parts.take(n * s.wide()) }
    }

    fn attention(&self) -> attention::Sizes {
        let s = self.sizes;
        attention::Sizes { n: self.n(), heads: s.heads, kv_heads: s.kv_heads, head_dim: s.head_dim }
    }

    fn sizes_of(&self, x: &[f32], map: &Map<Weight<'_>>) -> linear::Sizes {
        let n = self.n();
        let inputs = x.len().checked_div(n).unwrap_or(0);
        linear::Sizes { n, inputs, outputs: map.weight.values.len().checked_div(inputs).unwrap_or(0) }
    }

    /// y = map(x), or y += map(x) where `onto`.
    fn apply(&self, map: &Map<Weight<'_>>, x: &[f32], y: &mut [f32], onto: bool) {
        let bias = map.bias.map(|bias| bias.values);
        let sizes = self.sizes_of(x, map);
        timed(Part::Linears, || forward_into(y, x, map.weight.values, bias, sizes, onto, self.precision));
    }

    /// Adds the gradients of the map's weights, where they are trained.
    fn apply_back_weights(&self, map: &Map<Weight<'_>>, x: &[f32], grad: &[f32], sink: &mut Sink) {
        if let Some(dw) = sink.get(map.weight.id) {
            timed(Part::Linears, || weight_gradient_onto(dw, grad, x, self.sizes_of(x, map), self.precision));
        }
        if let Some(db) = map.bias.and_then(|bias| sink.get(bias.id)) {
            timed(Part::Linears, || bias_gradient_onto(db, grad));
        }
    }

    /// dx = grad W, or dx += grad W where `onto`.
    fn apply_back(&self, map: &Map<Weight<'_>>, dx: &mut [f32], grad: &[f32], onto: bool) {
        let sizes = self.sizes_of(dx, map);
        timed(Part::Linears, || input_gradient_into(dx, grad, map.weight.values, sizes, onto, self.precision));
    }

    /// Runs the layer from `x` [n, hidden] and keeps in `saved` what the way back needs; the result goes to `next`,
    /// where it is wanted.
    pub(super) fn forward(
        &'a self,
        layer: &Layer<Weight<'_>>,
        x: &[f32],
        next: Option<&mut [f32]>,
        saved: &'a mut [f32],
        scratch: &'a mut [f32],
    ) {
        let saved = self.saved(saved, layer.q_norm.is_some());
        let Scratch { normed, wide, .. } = self.scratch(scratch);
        let Saved { q, k, v, attended, log_sums, middle, gate, up, q_raw, k_raw } = saved;
        self.norm(layer.input_layernorm, normed, x);
        self.queries_or_keys(&layer.q_proj, layer.q_norm, normed, q, q_raw);
        self.queries_or_keys(&layer.k_proj, layer.k_norm, normed, k, k_raw);
        self.apply(&layer.v_proj, normed, v, false);
        let attention = self.attention();
        timed(Part::Attention, || attention::forward_into(attended, log_sums, (q, k, v), self.segments, attention));
        middle.copy_from_slice(x);
        self.apply(&layer.o_proj, attended, middle, true);
        self.norm(layer.post_attention_layernorm, normed, middle);
        self.apply(&layer.gate_proj, normed, gate, false);
        self.apply(&layer.up_proj, normed, up, false);
        if let Some(next) = next {
            let gated = &mut wide[..gate.len()];
            timed(Part::Elementwise, || swiglu::forward_into(gated, gate, up));
            next.copy_from_slice(middle);
            self.apply(&layer.down_proj, gated, next, true);
        }
    }

    fn queries_or_keys(
        &self,
        map: &Map<Weight<'_>>,
        norm: Option<Weight<'_>>,
        x: &[f32],
        y: &mut [f32],
        raw: &mut [f32],
    ) {
        match norm {
            None => self.apply(map, x, y, false),
            Some(norm) => {
                self.apply(map, x, raw, false);
                self.norm(norm, y, raw);
            }
        }
        self.rotate(y, 1.0);
    }

    /// Turns `grad` from the gradient to the layer's result into that to its input `x`, and adds the gradients of its
    /// weights to the sink. What was saved is used up.
    pub(super) fn backward(
        &'a self,
        layer: &Layer<Weight<'_>>,
        x: &[f32],
        grad: &mut [f32],
        saved: &'a mut [f32],
        scratch: &'a mut [f32],
        sink: &mut Sink,
    ) {
        let mut saved = self.saved(saved, layer.q_norm.is_some());
        let mut scratch = self.scratch(scratch);
        self.feed_forward_backward(layer, grad, &mut saved, &mut scratch, sink);
        self.attention_backward(layer, x, grad, &mut saved, &mut scratch, sink);
    }

    fn feed_forward_backward(
        &self,
        layer: &Layer<Weight<'_>>,
        grad: &mut [f32],
        saved: &mut Saved<'_>,
        scratch: &mut Scratch<'_>,
        sink: &mut Sink,
    ) {
        let Saved { middle, gate, up, .. } = saved;
        let Scratch { normed, dnormed, wide } = scratch;
        let gated = &mut wide[..gate.len()];
        timed(Part::Elementwise, || swiglu::forward_into(gated, gate, up));
        self.apply_back_weights(&layer.down_proj, gated, grad, sink);
        self.apply_back(&layer.down_proj, gated, grad, false);
        timed(Part::Elementwise, || swiglu::backward_in_place(gate, up, gated));
        self.norm(layer.post_attention_layernorm, normed, middle);
        self.apply_back_weights(&layer.gate_proj, normed, gate, sink);
        self.apply_back_weights(&layer.up_proj, normed, up, sink);
        self.apply_back(&layer.gate_proj, dnormed, gate, false);
        self.apply_back(&layer.up_proj, dnormed, up, true);
        self.norm_backward(layer.post_attention_layernorm, grad, middle, dnormed, sink);
    }

    fn attention_backward(
        &self,
        layer: &Layer<Weight<'_>>,
        x: &[f32],
        grad: &mut [f32],
        saved: &mut Saved<'_>,
        scratch: &mut Scratch<'_>,
        sink: &mut Sink,
    ) {
        let Scratch { normed, dnormed, wide } = scratch;
        let mut parts = Parts(wide);
        let dattended = parts.take(saved.attended.len());
        let (dq, dk, dv) = (parts.take(saved.q.len()), parts.take(saved.k.len()), parts.take(saved.v.len()));
        self.apply_back_weights(&layer.o_proj, saved.attended, grad, sink);
        self.apply_back(&layer.o_proj, dattended, grad, false);
        let kept =
            attention::Saved { q: saved.q, k: saved.k, v: saved.v, output: saved.attended, log_sums: saved.log_sums };
        let attention = self.attention();
        timed(Part::Attention, || {
            attention::backward_into((&mut *dq, &mut *dk, &mut *dv), kept, dattended, self.segments, attention);
        });
        let (dq, dk) = match (layer.q_norm, layer.k_norm) {
            (Some(q_norm), Some(k_norm)) => {
                // The places of queries, keys and the output's gradient are free now.
                self.head_norm_backward(q_norm, dq, dattended, saved.q_raw, sink);
                self.head_norm_backward(k_norm, dk, saved.k, saved.k_raw, sink);
                (dattended, &mut *saved.k)
            }
            _ => {
                self.rotate(dq, -1.0);
                self.rotate(dk, -1.0);
                (dq, dk)
            }
        };
        self.norm(layer.input_layernorm, normed, x);
        let maps = [(&layer.q_proj, &*dq), (&layer.k_proj, &*dk), (&layer.v_proj, &*dv)];
        for (at, (map, dy)) in maps.into_iter().enumerate() {
            self.apply_back_weights(map, normed, dy, sink);
            self.apply_back(map, dnormed, dy, at > 0);
        }
        self.norm_backward(layer.input_layernorm, grad, x, dnormed, sink);
    }

    /// Turns the rotated gradient `dy` back and takes it through the norm of each head into `dx`.
    fn head_norm_backward(&self, norm: Weight<'_>, dy: &mut [f32], dx: &mut [f32], raw: &[f32], sink: &mut Sink) {
        self.rotate(dy, -1.0);
        dx.fill(0.0);
        self.norm_backward(norm, dx, raw, dy, sink);
    }

    /// dx += the gradient through a norm.
    fn norm_backward(&self, norm: Weight<'_>, dx: &mut [f32], x: &[f32], grad: &[f32], sink: &mut Sink) {
        let (dw, epsilon) = (sink.get(norm.id), self.epsilon());
        timed(Part::Elementwise, || rms_norm::backward_onto(dx, dw, x, norm.values, grad, epsilon));
    }

    fn norm(&self, norm: Weight<'_>, y: &mut [f32], x: &[f32]) {
        timed(Part::Elementwise, || rms_norm::forward_into(y, x, norm.values, self.epsilon()));
    }

    fn rotate(&self, x: &mut [f32], sign: f32) {
        timed(Part::Elementwise, || rotate_in_place(x, self.positions, self.rope, sign));
    }
}

/// The memory of a pass, kept for the next one.
#[derive(Default)]
pub(super) struct Workspace {
    /// Inputs of the layers, and the last one's result.
    pub streams: Buffer,
    /// What the layers save.
    pub saved: Buffer,
    /// What a layer needs for a moment.
    pub scratch: Buffer,
}
