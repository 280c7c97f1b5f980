//! Attention of new tokens over keys and values kept from earlier steps; no gradient.
//!
//! Layout of a layer's cache: keys [slots, kv_heads, head_dim, capacity], so that scores are made for many
//! positions at once; values [slots, kv_heads, capacity, head_dim].

use super::simd::{exp_minus, max_of, vectorised};
use super::slices::{contiguous, with_values};
use candle_core::{CpuStorage, CustomOp3, InplaceOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Where each of n new tokens belongs.
#[derive(Clone, Debug, Default)]
pub struct CachedTokens {
    /// The sequence's place in the cache.
    pub slots: Vec<usize>,
    /// The token's position in its sequence, from 0.
    pub positions: Vec<usize>,
}

/// Puts keys and values `k`, `v` [n, kv_heads, head_dim] of new tokens into a layer's cache, in place.
///
/// # Errors
/// Where a slot or position lies outside the cache, or the device has no kernel.
pub fn write_cache(keys: &Tensor, values: &Tensor, k: &Tensor, v: &Tensor, tokens: &CachedTokens) -> Result<()> {
    let (slots, kv_heads, head_dim, capacity) = keys.dims4()?;
    if k.dims3()? != (tokens.slots.len(), kv_heads, head_dim) || k.shape() != v.shape() {
        bail!("cache: keys {:?} and values {:?} for {:?}", k.shape(), v.shape(), keys.shape());
    }
    let outside = |(&slot, &position): (&usize, &usize)| slot >= slots || position >= capacity;
    if tokens.positions.len() != tokens.slots.len() || tokens.slots.iter().zip(&tokens.positions).any(outside) {
        bail!("cache: a token lies outside {slots} slots of {capacity} positions");
    }
    let sizes = Sizes { kv_heads, head_dim, capacity };
    keys.inplace_op2(&k.contiguous()?, &Write { sizes, tokens, transposed: true })?;
    values.inplace_op2(&v.contiguous()?, &Write { sizes, tokens, transposed: false })
}

/// Attention of `q` [n, heads, head_dim], each over the positions of its slot up to its own, as [n, heads, head_dim].
///
/// # Errors
/// Where shapes do not agree or the device has no kernel.
pub fn attend_cached(q: &Tensor, keys: &Tensor, values: &Tensor, tokens: &CachedTokens) -> Result<Tensor> {
    let (n, heads, width) = q.dims3()?;
    let (_, kv_heads, head_dim, capacity) = keys.dims4()?;
    if n != tokens.slots.len() || width != head_dim || heads % kv_heads != 0 {
        bail!("cached attention: queries {:?} over keys {:?}", q.shape(), keys.shape());
    }
    let op = Attend { sizes: Sizes { kv_heads, head_dim, capacity }, heads, tokens };
    q.contiguous()?.apply_op3_no_bwd(keys, values, &op)
}

#[derive(Clone, Copy)]
struct Sizes {
    kv_heads: usize,
    head_dim: usize,
    capacity: usize,
}

impl Sizes {
    /// Where a head's keys or values start.
    fn head(self, slot: usize, kv_head: usize) -> usize {
        (slot * self.kv_heads + kv_head) * self.head_dim * self.capacity
    }
}

struct Write<'a> {
    sizes: Sizes,
    tokens: &'a CachedTokens,
    transposed: bool,
}

impl Write<'_> {
    fn write(&self, cache: &mut [f32], new: &[f32]) {
        let Sizes { kv_heads, head_dim, capacity } = self.sizes;
        let places = self.tokens.slots.iter().zip(&self.tokens.positions);
        for ((&slot, &position), token) in places.zip(new.chunks_exact(kv_heads * head_dim)) {
            for (kv_head, row) in token.chunks_exact(head_dim).enumerate() {
                let head = &mut cache[self.sizes.head(slot, kv_head)..][..head_dim * capacity];
                if self.transposed {
                    row.iter().enumerate().for_each(|(d, &value)| head[d * capacity + position] = value);
                } else {
                    head[position * head_dim..][..head_dim].copy_from_slice(row);
                }
            }
        }
    }
}

impl InplaceOp2 for Write<'_> {
    fn name(&self) -> &'static str {
        "write_cache"
    }

    fn cpu_fwd(&self, cache: &mut CpuStorage, lc: &Layout, new: &CpuStorage, ln: &Layout) -> Result<()> {
        let (CpuStorage::F32(cache), Some((start, end))) = (cache, lc.contiguous_offsets()) else {
            bail!("write_cache: the cache is a contiguous f32 tensor")
        };
        self.write(&mut cache[start..end], contiguous(self.name(), new, ln)?);
        Ok(())
    }
}

struct Attend<'a> {
    sizes: Sizes,
    heads: usize,
    tokens: &'a CachedTokens,
}

/// Positions whose scores are summed side by side: four AVX-512 registers.
const POSITIONS: usize = 64;
/// Values of a head that are summed side by side: two registers.
const VALUES: usize = 32;

/// Σ_d q[d] · keys[d, start + i] for i below [`POSITIONS`]; rows of `keys` are `capacity` long.
#[inline(always)]
fn scores_block(q: &[f32], keys: &[f32], capacity: usize, start: usize) -> [f32; POSITIONS] {
    let mut sums = [0.0f32; POSITIONS];
    for (&q, row) in q.iter().zip(keys.chunks_exact(capacity)) {
        let Some(row) = row[start..].first_chunk::<POSITIONS>() else { break };
        for i in 0..POSITIONS {
            sums[i] += q * row[i];
        }
    }
    sums
}

/// Σ_p weights[p] · values[p, start + i] for i below [`VALUES`]; rows of `values` are `width` long.
#[inline(always)]
fn mix_block(weights: &[f32], values: &[f32], width: usize, start: usize) -> [f32; VALUES] {
    let mut sums = [0.0f32; VALUES];
    for (&weight, row) in weights.iter().zip(values.chunks_exact(width)) {
        let Some(row) = row[start..].first_chunk::<VALUES>() else { break };
        for i in 0..VALUES {
            sums[i] += weight * row[i];
        }
    }
    sums
}

vectorised! {
    /// scores[p] = Σ_d q[d] · keys[d, p] · factor, for positions below the number of scores.
    fn scores_of(q: &[f32], keys: &[f32], capacity: usize, factor: f32, scores: &mut [f32]) {
        for (block, scores) in scores.chunks_mut(POSITIONS).enumerate() {
            let start = block * POSITIONS;
            if start + POSITIONS <= capacity {
                // A block may reach past the scores into positions of the slot that are not read.
                let sums = scores_block(q, keys, capacity, start);
                scores.iter_mut().zip(sums).for_each(|(score, sum)| *score = sum * factor);
            } else {
                for (i, score) in scores.iter_mut().enumerate() {
                    let terms = q.iter().zip(keys.chunks_exact(capacity));
                    *score = terms.fold(0.0, |sum, (q, row)| sum + q * row[start + i]) * factor;
                }
            }
        }
    }

    /// output = Σ_p weights[p] · values[p, :] · factor.
    fn mix(weights: &[f32], values: &[f32], factor: f32, output: &mut [f32]) {
        let width = output.len();
        for (block, output) in output.chunks_mut(VALUES).enumerate() {
            let start = block * VALUES;
            if output.len() == VALUES {
                let sums = mix_block(weights, values, width, start);
                output.iter_mut().zip(sums).for_each(|(output, sum)| *output = sum * factor);
            } else {
                for (i, output) in output.iter_mut().enumerate() {
                    let terms = weights.iter().zip(values.chunks_exact(width));
                    *output = terms.fold(0.0, |sum, (weight, row)| sum + weight * row[start + i]) * factor;
                }
            }
        }
    }
}

impl Attend<'_> {
    fn token(&self, token: usize, q: &[f32], keys: &[f32], values: &[f32], scores: &mut Vec<f32>, y: &mut [f32]) {
        let Sizes { kv_heads, head_dim, capacity } = self.sizes;
        scores.resize(self.tokens.positions[token] + 1, 0.0);
        let factor = 1.0 / (head_dim as f32).sqrt();
        for (head, (q, y)) in q.chunks_exact(head_dim).zip(y.chunks_exact_mut(head_dim)).enumerate() {
            let start = self.sizes.head(self.tokens.slots[token], head / (self.heads / kv_heads));
            let size = head_dim * capacity;
            scores_of(q, &keys[start..][..size], capacity, factor, scores);
            let most = max_of(scores);
            let sum = exp_minus(scores, most);
            mix(scores, &values[start..][..size], 1.0 / sum, y);
        }
    }

    fn forward(&self, q: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
        let width = self.heads * self.sizes.head_dim;
        let mut y = vec![0.0; q.len()];
        y.par_chunks_mut(width)
            .zip(q.par_chunks(width))
            .enumerate()
            .with_min_len(2)
            .for_each_init(Vec::new, |scores, (token, (y, q))| self.token(token, q, keys, values, scores, y));
        y
    }
}

impl CustomOp3 for Attend<'_> {
    fn name(&self) -> &'static str {
        "attend_cached"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        lq: &Layout,
        k: &CpuStorage,
        lk: &Layout,
        v: &CpuStorage,
        lv: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let op = self.name();
        let y = self.forward(contiguous(op, q, lq)?, contiguous(op, k, lk)?, contiguous(op, v, lv)?);
        Ok((CpuStorage::F32(y), lq.shape().clone()))
    }
}

/// Copies positions below `length` from one slot to another, in a layer's keys and values, in place.
///
/// # Errors
/// Where a slot lies outside the cache or the device has no kernel.
pub fn copy_slot(keys: &Tensor, values: &Tensor, from: usize, to: usize, length: usize) -> Result<()> {
    let (slots, kv_heads, head_dim, capacity) = keys.dims4()?;
    if from >= slots || to >= slots || length > capacity {
        bail!("cache: copying {length} positions from slot {from} to {to} of {slots}");
    }
    let tokens = |slot| CachedTokens { slots: vec![slot; length], positions: (0..length).collect() };
    let read = |cache: &Tensor, transposed: bool| {
        with_values("copy_slot", cache, |cache| {
            let width = kv_heads * head_dim;
            let mut rows = Vec::with_capacity(length * width);
            for position in 0..length {
                for at in 0..width {
                    let head = (from * kv_heads + at / head_dim) * head_dim * capacity;
                    let d = at % head_dim;
                    rows.push(cache[head + if transposed { d * capacity + position } else { position * head_dim + d }]);
                }
            }
            super::slices::tensor(rows, (length, kv_heads, head_dim))
        })
    };
    let (k, v) = (read(keys, true)?, read(values, false)?);
    write_cache(keys, values, &k, &v, &tokens(to))
}
