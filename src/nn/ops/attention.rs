//! Causal attention with grouped key and value heads over a packed stream of segments.
//!
//! Scores are made block by block of queries and thrown away; the backward pass makes them again from the
//! log-sum-exp of each row, as FlashAttention does (Dao et al., 2022).

use super::gemm::{Matrix, Output, Precision, Threads, multiply};
use super::simd::{dot, exp_minus, max_of, scale, vectorised};
use super::slices::{Held, Scattered, contiguous, tensor, with_values};
use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};

/// Queries whose scores are held at one time.
const BLOCK: usize = 64;

/// softmax(q kᵀ / √head_dim, causal within each segment) v, as [n, heads, head_dim].
///
/// `q` [n, heads, head_dim]; `k`, `v` [n, kv_heads, head_dim]; `segments` are cumulative starts from 0 to n.
/// Query head i reads key head i / (heads / kv_heads). Differentiable to all three.
///
/// # Errors
/// Where shapes do not agree or the segments do not cover the tokens.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, segments: &Arc<Vec<usize>>) -> Result<Tensor> {
    check(q, k, v, segments)?;
    if !q.device().is_cpu() {
        return reference(q, k, v, segments);
    }
    let op = Attention { segments: segments.clone(), log_sums: Mutex::new(Vec::new()) };
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)
}

fn check(q: &Tensor, k: &Tensor, v: &Tensor, segments: &[usize]) -> Result<()> {
    let ((n, heads, head_dim), (rows, kv_heads, width)) = (q.dims3()?, k.dims3()?);
    if k.shape() != v.shape() || n != rows || head_dim != width || kv_heads == 0 || heads % kv_heads != 0 {
        bail!("attention: queries {:?}, keys {:?}, values {:?}", q.shape(), k.shape(), v.shape());
    }
    let covers = segments.first() == Some(&0) && segments.last() == Some(&n);
    if !covers || segments.windows(2).any(|pair| pair[0] > pair[1]) {
        bail!("attention: segment starts {segments:?} do not cover {n} tokens");
    }
    Ok(())
}

/// The same from elementary ops, one segment at a time.
fn reference(q: &Tensor, k: &Tensor, v: &Tensor, segments: &[usize]) -> Result<Tensor> {
    let (_, heads, head_dim) = q.dims3()?;
    let group = heads / k.dim(1)?;
    let mut outputs = Vec::new();
    for pair in segments.windows(2).filter(|pair| pair[0] < pair[1]) {
        let t = pair[1] - pair[0];
        let part = |x: &Tensor, repeats: usize| -> Result<Tensor> {
            let x = x.narrow(0, pair[0], t)?.transpose(0, 1)?.contiguous()?;
            let (kv_heads, _, _) = x.dims3()?;
            x.unsqueeze(1)?.broadcast_as((kv_heads, repeats, t, head_dim))?.reshape((heads, t, head_dim))
        };
        let (q, k, v) = (part(q, 1)?, part(k, group)?, part(v, group)?);
        let mask: Vec<f32> = (0..t * t).map(|at| if at % t > at / t { -1e30 } else { 0.0 }).collect();
        let mask = Tensor::from_vec(mask, (t, t), q.device())?;
        let scores = (q.matmul(&k.t()?)? / (head_dim as f64).sqrt())?.broadcast_add(&mask)?;
        let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let weights = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
        outputs.push(weights.matmul(&v)?.transpose(0, 1)?.contiguous()?);
    }
    Tensor::cat(&outputs, 0)
}

struct Attention {
    segments: Arc<Vec<usize>>,
    /// Log-sum-exp of each row of scores, [heads, n].
    log_sums: Mutex<Vec<f32>>,
}

/// Sizes of one call.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// Tokens.
    pub n: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl Sizes {
    fn new(q: &Shape, k: &Shape) -> Result<Self> {
        let ((n, heads, head_dim), (_, kv_heads, _)) = (q.dims3()?, k.dims3()?);
        Ok(Sizes { n, heads, kv_heads, head_dim })
    }

    fn scale(self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    fn group(self) -> usize {
        self.heads / self.kv_heads
    }

    /// Rows `from..to` of one head in [n, heads, head_dim].
    fn head<'a>(self, x: &'a [f32], heads: usize, head: usize, from: usize, to: usize) -> Matrix<'a> {
        let start = (from * heads + head) * self.head_dim;
        Matrix::strided(&x[start..], to - from, self.head_dim, heads * self.head_dim)
    }

    /// Where one row of one head starts.
    fn at(self, heads: usize, head: usize, row: usize) -> usize {
        (row * heads + head) * self.head_dim
    }
}

/// Queries `from..to` of the segment that starts at `start`.
#[derive(Clone, Copy)]
struct Block {
    start: usize,
    from: usize,
    to: usize,
}

impl Block {
    /// The blocks of the segment `start..end`, in order.
    fn of(start: usize, end: usize) -> impl Iterator<Item = Block> {
        (start..end).step_by(BLOCK).map(move |from| Block { start, from, to: (from + BLOCK).min(end) })
    }

    fn rows(self) -> usize {
        self.to - self.from
    }

    /// Keys the last query sees, and so columns of the block's scores.
    fn columns(self) -> usize {
        self.to - self.start
    }

    /// Keys that the block's query `row` sees.
    fn visible(self, row: usize) -> usize {
        self.from - self.start + row + 1
    }
}

/// Writes a [rows, columns] product into `buffer`, which grows to hold it.
fn product_into(buffer: &mut Vec<f32>, a: Matrix<'_>, b: Matrix<'_>, rows: usize, columns: usize, factor: f32) {
    buffer.resize(rows * columns, 0.0);
    multiply(
        Output { values: buffer, row_stride: columns, accumulate: false },
        a,
        b,
        factor,
        Threads::One,
        Precision::F32,
    );
}

/// Adds a product to the first rows of `sum` [_, columns].
fn product_onto(sum: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, columns: usize, factor: f32) {
    multiply(Output { values: sum, row_stride: columns, accumulate: true }, a, b, factor, Threads::One, Precision::F32);
}

vectorised! {
    /// dp = p (dp − pull): the softmax's backward for one row.
    fn softmax_backward(dp: &mut [f32], p: &[f32], pull: f32) {
        for (dp, p) in dp.iter_mut().zip(p) {
            *dp = p * (*dp - pull);
        }
    }

    fn row_dot(a: &[f32], b: &[f32]) -> f32 {
        dot(a, b)
    }
}

/// What a forward task reuses: scores and output of a block.
#[derive(Default)]
struct ForwardScratch {
    scores: Vec<f32>,
    output: Vec<f32>,
}

/// One head's output for one block of queries, and the log-sum-exp of its rows.
struct ForwardTask<'a> {
    sizes: Sizes,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    output: &'a Scattered<'a>,
    log_sums: &'a Scattered<'a>,
}

impl ForwardTask<'_> {
    fn run(&self, block: Block, head: usize, scratch: &mut ForwardScratch) {
        let s = self.sizes;
        let (rows, columns, kv_head) = (block.rows(), block.columns(), head / s.group());
        let keys = s.head(self.k, s.kv_heads, kv_head, block.start, block.to);
        let queries = s.head(self.q, s.heads, head, block.from, block.to);
        product_into(&mut scratch.scores, queries, keys.t(), rows, columns, s.scale());
        // SAFETY: each (head, row) belongs to one task.
        let log_sums = unsafe { self.log_sums.range(head * s.n + block.from, rows) };
        let mut sums = [0.0f32; BLOCK];
        for (row, scores) in scratch.scores.chunks_exact_mut(columns).enumerate() {
            let (seen, hidden) = scores.split_at_mut(block.visible(row));
            let most = max_of(seen);
            sums[row] = exp_minus(seen, most);
            log_sums[row] = most + sums[row].ln();
            hidden.fill(0.0);
        }
        let values = s.head(self.v, s.kv_heads, kv_head, block.start, block.to);
        product_into(&mut scratch.output, Matrix::new(&scratch.scores, rows, columns), values, rows, s.head_dim, 1.0);
        for (row, output) in scratch.output.chunks_exact_mut(s.head_dim).enumerate() {
            scale(output, 1.0 / sums[row]);
            // SAFETY: each (head, row) belongs to one task.
            unsafe { self.output.range(s.at(s.heads, head, block.from + row), s.head_dim) }.copy_from_slice(output);
        }
    }
}

/// What a backward task reuses.
#[derive(Default)]
struct BackwardScratch {
    p: Vec<f32>,
    dp: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

/// One key head's gradients for one segment, with those of its query heads.
struct BackwardTask<'a> {
    sizes: Sizes,
    saved: Saved<'a>,
    grad: &'a [f32],
    dq: &'a Scattered<'a>,
    dk: &'a Scattered<'a>,
    dv: &'a Scattered<'a>,
}

impl BackwardTask<'_> {
    fn run(&self, (start, end): (usize, usize), kv_head: usize, scratch: &mut BackwardScratch) {
        let s = self.sizes;
        for sum in [&mut scratch.dk, &mut scratch.dv] {
            sum.clear();
            sum.resize((end - start) * s.head_dim, 0.0);
        }
        for head in kv_head * s.group()..(kv_head + 1) * s.group() {
            Block::of(start, end).for_each(|block| self.block(block, head, scratch));
        }
        for row in 0..end - start {
            let (at, from) = (s.at(s.kv_heads, kv_head, start + row), row * s.head_dim);
            let part = from..from + s.head_dim;
            // SAFETY: each (segment, key head) belongs to one task.
            let (dk, dv) = unsafe { (self.dk.range(at, s.head_dim), self.dv.range(at, s.head_dim)) };
            dk.copy_from_slice(&scratch.dk[part.clone()]);
            dv.copy_from_slice(&scratch.dv[part]);
        }
    }

    /// With P = exp(S − lse), D = rowsum(dO ∘ O), dS = P ∘ (dO Vᵀ − D):
    /// dV += Pᵀ dO, dQ = dS K / √d, dK += dSᵀ Q / √d.
    fn block(&self, block: Block, head: usize, scratch: &mut BackwardScratch) {
        let s = self.sizes;
        let (rows, columns, kv_head) = (block.rows(), block.columns(), head / s.group());
        let keys = s.head(self.saved.k, s.kv_heads, kv_head, block.start, block.to);
        let values = s.head(self.saved.v, s.kv_heads, kv_head, block.start, block.to);
        let queries = s.head(self.saved.q, s.heads, head, block.from, block.to);
        let grad = s.head(self.grad, s.heads, head, block.from, block.to);
        product_into(&mut scratch.p, queries, keys.t(), rows, columns, s.scale());
        product_into(&mut scratch.dp, grad, values.t(), rows, columns, 1.0);
        for row in 0..rows {
            let (seen, hidden) = scratch.p[row * columns..][..columns].split_at_mut(block.visible(row));
            exp_minus(seen, self.saved.log_sums[head * s.n + block.from + row]);
            hidden.fill(0.0);
        }
        product_onto(&mut scratch.dv, Matrix::new(&scratch.p, rows, columns).t(), grad, s.head_dim, 1.0);
        for row in 0..rows {
            let at = s.at(s.heads, head, block.from + row);
            let pull = row_dot(&self.grad[at..at + s.head_dim], &self.saved.output[at..at + s.head_dim]);
            let part = row * columns..(row + 1) * columns;
            softmax_backward(&mut scratch.dp[part.clone()], &scratch.p[part], pull);
        }
        let ds = Matrix::new(&scratch.dp, rows, columns);
        product_onto(&mut scratch.dk, ds.t(), queries, s.head_dim, s.scale());
        product_into(&mut scratch.dq, ds, keys, rows, s.head_dim, s.scale());
        for (row, dq) in scratch.dq.chunks_exact(s.head_dim).enumerate() {
            // SAFETY: each (head, row) belongs to one task.
            unsafe { self.dq.range(s.at(s.heads, head, block.from + row), s.head_dim) }.copy_from_slice(dq);
        }
    }
}

/// The attention's output [n, heads, head_dim] into `output`, and the log-sum-exp of each row into `log_sums`
/// [heads, n]; `segments` are cumulative starts from 0 to n.
pub(super) fn forward_into(
    output: &mut [f32],
    log_sums: &mut [f32],
    (q, k, v): (&[f32], &[f32], &[f32]),
    segments: &[usize],
    sizes: Sizes,
) {
    let blocks = segments.windows(2).flat_map(|pair| Block::of(pair[0], pair[1]));
    let tasks: Vec<_> = blocks.flat_map(|block| (0..sizes.heads).map(move |head| (block, head))).collect();
    let (output, log_sums) = (&Scattered::new(output), &Scattered::new(log_sums));
    let task = ForwardTask { sizes, q, k, v, output, log_sums };
    tasks.par_iter().for_each_init(ForwardScratch::default, |scratch, &(block, head)| task.run(block, head, scratch));
}

/// What the backward pass reads.
#[derive(Clone, Copy)]
pub(super) struct Saved<'a> {
    /// Rotated queries, [n, heads, head_dim].
    pub q: &'a [f32],
    /// Rotated keys, [n, kv_heads, head_dim].
    pub k: &'a [f32],
    /// Values, as the keys.
    pub v: &'a [f32],
    /// What the forward pass gave, as the queries.
    pub output: &'a [f32],
    /// What it gave beside, [heads, n].
    pub log_sums: &'a [f32],
}

/// The gradients to queries, keys and values into `dq`, `dk` and `dv`, from `grad` to the output.
pub(super) fn backward_into(
    (dq, dk, dv): (&mut [f32], &mut [f32], &mut [f32]),
    saved: Saved<'_>,
    grad: &[f32],
    segments: &[usize],
    sizes: Sizes,
) {
    let segments = segments.windows(2).map(|pair| (pair[0], pair[1]));
    let tasks: Vec<_> = segments.flat_map(|segment| (0..sizes.kv_heads).map(move |head| (segment, head))).collect();
    let (dq, dk, dv) = (&Scattered::new(dq), &Scattered::new(dk), &Scattered::new(dv));
    let task = BackwardTask { sizes, saved, grad, dq, dk, dv };
    tasks
        .par_iter()
        .for_each_init(BackwardScratch::default, |scratch, &(segment, head)| task.run(segment, head, scratch));
}

impl Attention {
    fn lock(&self) -> Result<std::sync::MutexGuard<'_, Vec<f32>>> {
        self.log_sums.lock().map_err(|_| candle_core::Error::Msg("attention: a thread failed".into()))
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
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
        let (q, k, v) = (contiguous(op, q, lq)?, contiguous(op, k, lk)?, contiguous(op, v, lv)?);
        let sizes = Sizes::new(lq.shape(), lk.shape())?;
        let (mut output, mut log_sums) = (vec![0.0; q.len()], vec![0.0; sizes.heads * sizes.n]);
        forward_into(&mut output, &mut log_sums, (q, k, v), &self.segments, sizes);
        *self.lock()? = log_sums;
        Ok((CpuStorage::F32(output), lq.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        output: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (op, sizes) = (self.name(), Sizes::new(q.shape(), k.shape())?);
        let [mut dq, mut dk, mut dv] = [q, k, v].map(|input| vec![0.0; input.elem_count()]);
        let held = [q, k, v, output].map(Held::new);
        let values = |at: usize| held[at].values(op);
        let (q_values, k_values, v_values) = (values(0)?, values(1)?, values(2)?);
        let log_sums = &*self.lock()?;
        let saved = Saved { q: q_values, k: k_values, v: v_values, output: values(3)?, log_sums };
        with_values(op, grad, |grad| {
            backward_into((&mut dq, &mut dk, &mut dv), saved, grad, &self.segments, sizes);
            Ok(())
        })?;
        Ok((Some(tensor(dq, q.shape())?), Some(tensor(dk, k.shape())?), Some(tensor(dv, v.shape())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::{agree, random};

    #[test]
    fn value_and_gradients_equal_the_reference() {
        let cases: [(usize, usize, usize, Vec<usize>); 4] = [
            (1, 1, 1, vec![0, 1]),
            (4, 2, 6, vec![0, 5, 6, 17]),
            (3, 1, 5, vec![0, 3, 3, 80]),
            (2, 2, 32, vec![0, 64, 129]),
        ];
        for (heads, kv_heads, head_dim, segments) in cases {
            let n = segments[segments.len() - 1];
            let segments = Arc::new(segments);
            let kv = [n, kv_heads, head_dim];
            let inputs = [random(&[n, heads, head_dim], 1), random(&kv, 2), random(&kv, 3)];
            agree(
                &inputs,
                |x| attention(&x[0], &x[1], &x[2], &segments),
                |x| reference(&x[0], &x[1], &x[2], &segments),
            );
        }
    }

    #[test]
    fn segments_that_do_not_cover_the_tokens_are_an_error() {
        let x = random(&[3, 1, 2], 1);
        assert!(attention(&x, &x, &x, &Arc::new(vec![0, 2])).is_err());
    }
}
