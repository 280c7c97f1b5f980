//! All layers of a decoder as one op on the tape, in memory that is kept from pass to pass.

use super::decoder_layer::{Layer, LayerSizes, Pass, Workspace};
use super::gemm::Precision;
use super::rope::RopeTable;
use super::sink;
use super::slices::{contiguous, tensor, with_values};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use std::sync::{Arc, Mutex};

const NAME: &str = "decoder_layers";

/// The layers' weights, and how they are computed with.
#[derive(Debug)]
pub struct DecoderLayers {
    layers: Vec<Layer<Tensor>>,
    sizes: LayerSizes,
    rope: Arc<RopeTable>,
    settings: LayerSettings,
    /// Memory of passes that are over.
    spare: Spare,
}

/// How layers are computed; only `precision` changes a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerSettings {
    /// Number format of the products with weights.
    pub precision: Precision,
    /// Keep only each layer's input, and run the layer once more on the way back: the same bits from less memory.
    pub checkpointing: bool,
}

#[derive(Default)]
struct Spare(Mutex<Vec<Workspace>>);

impl std::fmt::Debug for Spare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spare")
    }
}

impl DecoderLayers {
    /// Layers of those sizes, all with norms of queries and keys or all without.
    ///
    /// # Errors
    /// Where a weight has another shape than the sizes ask for.
    pub fn new(
        layers: Vec<Layer<Tensor>>,
        sizes: LayerSizes,
        rope: Arc<RopeTable>,
        settings: LayerSettings,
    ) -> Result<Self> {
        layers.iter().try_for_each(|layer| check(layer, sizes))?;
        Ok(DecoderLayers { layers, sizes, rope, settings, spare: Spare::default() })
    }

    /// Whether a kernel computes on the weights' device.
    pub fn has_kernel(&self) -> bool {
        self.layers.first().is_some_and(|layer| layer.input_layernorm.device().is_cpu())
    }

    /// `x` [n, hidden] through all layers, to the same shape; differentiable to `x` and, inside a backward pass of
    /// [`crate::nn::Gradients`], to the weights.
    ///
    /// `positions` are those of the n tokens, `segments` cumulative starts from 0 to n.
    ///
    /// # Errors
    /// Where shapes do not agree, a position lies beyond the table, or the segments do not cover the tokens.
    pub fn forward(
        self: &Arc<Self>,
        x: &Tensor,
        positions: &Arc<Vec<u32>>,
        segments: &Arc<Vec<usize>>,
    ) -> Result<Tensor> {
        let (n, hidden) = x.dims2()?;
        let covers = segments.first() == Some(&0) && segments.last() == Some(&n);
        if hidden != self.sizes.hidden || n != positions.len() || !covers || segments.windows(2).any(|p| p[0] > p[1]) {
            bail!("{NAME}: {:?} with {} positions and segment starts {segments:?}", x.shape(), positions.len());
        }
        self.rope.check_positions(positions)?;
        let Some(first) = self.layers.first() else { return Ok(x.clone()) };
        // The tape follows tensors: a trained weight beside `x` tells it that there is a way back.
        let trained = self.layers.iter().find_map(|layer| trained(layer));
        let anchor = trained.unwrap_or(&first.input_layernorm);
        let op = Stack {
            layers: self.clone(),
            positions: positions.clone(),
            segments: segments.clone(),
            records: x.track_op() || anchor.track_op(),
            workspace: Mutex::new(None),
        };
        x.contiguous()?.apply_op2(anchor, op)
    }

    fn workspace(&self) -> Workspace {
        self.spare.0.lock().ok().and_then(|mut spare| spare.pop()).unwrap_or_default()
    }

    fn give_back(&self, workspace: Workspace) {
        if let Ok(mut spare) = self.spare.0.lock() {
            spare.push(workspace);
        }
    }

    /// Values that a layer saves a token.
    fn saved(&self) -> usize {
        self.sizes.saved(self.layers.first().is_some_and(|layer| layer.q_norm.is_some()))
    }
}

/// A weight of the layer that is trained.
fn trained(layer: &Layer<Tensor>) -> Option<&Tensor> {
    let mut found = None;
    let _ = layer.map(&mut |tensor| {
        if tensor.track_op() {
            found = found.or(Some(tensor));
        }
        Ok(())
    });
    found
}

fn check(layer: &Layer<Tensor>, s: LayerSizes) -> Result<()> {
    let (queries, keys) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    if s.kv_heads == 0 || !s.heads.is_multiple_of(s.kv_heads) || layer.q_norm.is_some() != layer.k_norm.is_some() {
        bail!("{NAME}: {} query and {} key heads, or a norm of only one of them", s.heads, s.kv_heads);
    }
    let maps = [
        (&layer.q_proj, queries, s.hidden),
        (&layer.k_proj, keys, s.hidden),
        (&layer.v_proj, keys, s.hidden),
        (&layer.o_proj, s.hidden, queries),
        (&layer.gate_proj, s.intermediate, s.hidden),
        (&layer.up_proj, s.intermediate, s.hidden),
        (&layer.down_proj, s.hidden, s.intermediate),
    ];
    for (map, outputs, inputs) in maps {
        let bias = map.bias.as_ref().map_or(outputs, Tensor::elem_count);
        if map.weight.dims2()? != (outputs, inputs) || bias != outputs {
            bail!("{NAME}: a weight of {:?} and a bias of {bias}, not [{outputs}, {inputs}]", map.weight.shape());
        }
    }
    let heads = [&layer.q_norm, &layer.k_norm].into_iter().flatten().map(|norm| (norm, s.head_dim));
    let norms = [&layer.input_layernorm, &layer.post_attention_layernorm].map(|norm| (norm, s.hidden));
    match norms.into_iter().chain(heads).find(|(norm, width)| norm.elem_count() != *width) {
        Some((norm, width)) => bail!("{NAME}: a norm of {:?}, not [{width}]", norm.shape()),
        None => Ok(()),
    }
}

struct Stack {
    layers: Arc<DecoderLayers>,
    positions: Arc<Vec<u32>>,
    segments: Arc<Vec<usize>>,
    /// Whether there will be a way back.
    records: bool,
    workspace: Mutex<Option<Workspace>>,
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Ok(Some(workspace)) = self.workspace.get_mut().map(Option::take) {
            self.layers.give_back(workspace);
        }
    }
}

/// Two different parts of `length` values each.
fn two(values: &mut [f32], read: usize, write: usize, length: usize) -> (&[f32], &mut [f32]) {
    if read < write {
        let (before, from) = values.split_at_mut(write * length);
        (&before[read * length..][..length], &mut from[..length])
    } else {
        let (before, from) = values.split_at_mut(read * length);
        (&from[..length], &mut before[write * length..][..length])
    }
}

impl Stack {
    fn pass(&self) -> Pass<'_> {
        let DecoderLayers { sizes, rope, settings, .. } = &*self.layers;
        let (positions, segments, precision) = (&self.positions, &self.segments, settings.precision);
        Pass { sizes: *sizes, positions, segments, rope, precision }
    }

    /// Streams that are kept: every layer's, or two in turn; and whether every layer's parts are.
    fn kept(&self) -> (usize, bool) {
        match self.records {
            true => (self.layers.layers.len() + 1, !self.layers.settings.checkpointing),
            false => (2, false),
        }
    }

    fn forward(&self, x: &[f32]) -> Result<Vec<f32>> {
        let all = &*self.layers;
        let (n, stream, saved) = (self.positions.len(), x.len(), self.positions.len() * all.saved());
        let (streams, each) = self.kept();
        let mut workspace = all.workspace();
        let memory = workspace.streams.at_least(streams * stream);
        memory[..stream].copy_from_slice(x);
        let parts = workspace.saved.at_least(saved * if each { all.layers.len() } else { 1 });
        let scratch = workspace.scratch.at_least(n * all.sizes.scratch());
        let pass = self.pass();
        for (at, layer) in all.layers.iter().enumerate() {
            let held = layer.hold()?;
            let (x, next) = two(memory, at % streams, (at + 1) % streams, stream);
            let parts = &mut parts[if each { at * saved } else { 0 }..][..saved];
            pass.forward(&held.weights(NAME)?, x, Some(next), parts, scratch);
        }
        let result = memory[all.layers.len() % streams * stream..][..stream].to_vec();
        match (self.records, self.workspace.lock()) {
            (true, Ok(mut place)) => *place = Some(workspace),
            _ => all.give_back(workspace),
        }
        Ok(result)
    }

    fn backward(&self, grad: &[f32]) -> Result<Vec<f32>> {
        let all = &*self.layers;
        let (n, stream, saved) = (self.positions.len(), grad.len(), self.positions.len() * all.saved());
        let each = self.kept().1;
        let workspace = self.workspace.lock().ok().and_then(|mut place| place.take());
        let Some(mut workspace) = workspace else { bail!("{NAME}: a second backward pass over one forward pass") };
        let mut grad = grad.to_vec();
        let scratch = workspace.scratch.at_least(n * all.sizes.scratch());
        let pass = self.pass();
        sink::with(|sink| {
            let Some(sink) = sink else { bail!("{NAME}: gradients of weights go to `Gradients::accumulate`") };
            for (at, layer) in all.layers.iter().enumerate().rev() {
                let held = layer.hold()?;
                let weights = held.weights(NAME)?;
                let x = &workspace.streams[at * stream..][..stream];
                let parts = &mut workspace.saved[if each { at * saved } else { 0 }..][..saved];
                if !each {
                    pass.forward(&weights, x, None, parts, scratch);
                }
                pass.backward(&weights, x, &mut grad, parts, scratch, sink);
            }
            Ok(())
        })?;
        all.give_back(workspace);
        Ok(grad)
    }
}

impl CustomOp2 for Stack {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.forward(contiguous(NAME, x, lx)?)?), lx.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dx = with_values(NAME, grad, |grad| self.backward(grad))?;
        Ok((Some(tensor(dx, x.shape())?), None))
    }
}

#[cfg(test)]
mod tests {
    use super::super::decoder_layer::Map;
    use super::super::testing::{difference, random, values};
    use super::super::{attention, linear, rms_norm, rope, swiglu};
    use super::*;
    use crate::nn::{Gradients, Params};
    use proptest::prelude::*;

    /// Layers computed in one way or another.
    type Forward<'a> = dyn Fn(&Tensor, Vec<Layer<Tensor>>) -> Result<Tensor> + 'a;

    /// A case: widths, depth, and which optional weights there are.
    #[derive(Clone, Debug)]
    struct Case {
        sizes: LayerSizes,
        depth: usize,
        biases: bool,
        norms: bool,
        segments: Vec<usize>,
    }

    impl Case {
        fn tokens(&self) -> usize {
            self.segments[self.segments.len() - 1]
        }

        fn positions(&self) -> Arc<Vec<u32>> {
            Arc::new(self.segments.windows(2).flat_map(|pair| 0..(pair[1] - pair[0]) as u32).collect())
        }

        fn rope(&self) -> Arc<RopeTable> {
            Arc::new(RopeTable::new(self.sizes.head_dim, 200, 10_000.0))
        }

        fn input(&self) -> Tensor {
            random(&[self.tokens(), self.sizes.hidden], 7)
        }

        /// The input and the layers, all trained.
        fn trainable(&self) -> (Params, Tensor, Vec<Layer<Tensor>>) {
            let mut params = Params::new();
            let x = params.add("x", &self.input()).unwrap();
            let layers = (0..self.depth).map(|layer| self.layer(layer, &mut params)).collect();
            (params, x, layers)
        }

        fn layer(&self, layer: usize, params: &mut Params) -> Layer<Tensor> {
            let s = self.sizes;
            let mut seed = 100 * layer as u64;
            let mut weight = |name: &str, shape: &[usize], scale: f64| {
                seed += 1;
                let value = (random(shape, seed) * scale).unwrap();
                params.add(format!("{layer}.{name}"), &value).unwrap()
            };
            let mut map = |name: &str, outputs: usize, inputs: usize| Map {
                weight: weight(name, &[outputs, inputs], 0.7 / (inputs as f64).sqrt()),
                bias: self.biases.then(|| weight(&format!("{name}.bias"), &[outputs], 0.3)),
            };
            let (queries, keys) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
            let (q_proj, k_proj, v_proj) =
                (map("q", queries, s.hidden), map("k", keys, s.hidden), map("v", keys, s.hidden));
            let (o_proj, gate_proj) = (map("o", s.hidden, queries), map("gate", s.intermediate, s.hidden));
            let (up_proj, down_proj) = (map("up", s.intermediate, s.hidden), map("down", s.hidden, s.intermediate));
            let mut norm = |name: &str, width: usize| weight(name, &[width], 1.0);
            Layer {
                input_layernorm: norm("first", s.hidden),
                q_norm: self.norms.then(|| norm("q_norm", s.head_dim)),
                k_norm: self.norms.then(|| norm("k_norm", s.head_dim)),
                post_attention_layernorm: norm("second", s.hidden),
                q_proj,
                k_proj,
                v_proj,
                o_proj,
                gate_proj,
                up_proj,
                down_proj,
            }
        }

        fn run(&self, how: &Forward) -> (Tensor, Gradients) {
            let (params, x, layers) = self.trainable();
            let y = how(&x, layers).unwrap();
            let loss = (&y * random(y.dims(), 99)).unwrap().sum_all().unwrap();
            let mut gradients = Gradients::new(&params);
            gradients.accumulate(&params, &loss).unwrap();
            (y.detach(), gradients)
        }

        fn fused(&self, settings: LayerSettings) -> (Tensor, Gradients) {
            self.run(&|x, layers| {
                let stack = Arc::new(DecoderLayers::new(layers, self.sizes, self.rope(), settings)?);
                stack.forward(x, &self.positions(), &Arc::new(self.segments.clone()))
            })
        }

        /// The same from the ops of this folder, on the tape.
        fn reference(&self, precision: Precision) -> (Tensor, Gradients) {
            let (s, n, rope_table, positions) = (self.sizes, self.tokens(), self.rope(), self.positions());
            self.run(&|x, layers| {
                let apply = |map: &Map<Tensor>, x: &Tensor| linear(x, &map.weight, map.bias.as_ref(), precision);
                let heads = |map: &Map<Tensor>, norm: &Option<Tensor>, x: &Tensor, heads: usize| {
                    let mut y = apply(map, x)?.reshape((n * heads, s.head_dim))?;
                    if let Some(norm) = norm {
                        y = rms_norm(&y, norm, s.epsilon)?;
                    }
                    rope(&y.reshape((n, heads, s.head_dim))?, &positions, &rope_table)
                };
                layers.iter().try_fold(x.clone(), |x, layer| {
                    let h = rms_norm(&x, &layer.input_layernorm, s.epsilon)?;
                    let q = heads(&layer.q_proj, &layer.q_norm, &h, s.heads)?;
                    let k = heads(&layer.k_proj, &layer.k_norm, &h, s.kv_heads)?;
                    let v = apply(&layer.v_proj, &h)?.reshape((n, s.kv_heads, s.head_dim))?;
                    let attended = attention(&q, &k, &v, &Arc::new(self.segments.clone()))?;
                    let x = (x + apply(&layer.o_proj, &attended.reshape((n, s.heads * s.head_dim))?)?)?;
                    let h = rms_norm(&x, &layer.post_attention_layernorm, s.epsilon)?;
                    let gated = swiglu(&apply(&layer.gate_proj, &h)?, &apply(&layer.up_proj, &h)?)?;
                    x + apply(&layer.down_proj, &gated)?
                })
            })
        }
    }

    fn case(biases: bool, norms: bool, segments: &[usize]) -> Case {
        let sizes = LayerSizes { hidden: 24, heads: 4, kv_heads: 2, head_dim: 6, intermediate: 40, epsilon: 1e-6 };
        Case { sizes, depth: 3, biases, norms, segments: segments.to_vec() }
    }

    fn bits(result: &(Tensor, Gradients)) -> Vec<u32> {
        let gradients = result.1.iter().flat_map(|(_, values)| values.to_vec());
        values(&result.0).into_iter().chain(gradients).map(f32::to_bits).collect()
    }

    fn assert_agree(case: &Case) {
        let (ours, theirs) = (case.fused(LayerSettings::default()), case.reference(Precision::F32));
        assert!(difference(&ours.0, &theirs.0) < 2e-5, "values differ by {}", difference(&ours.0, &theirs.0));
        for ((name, ours), (_, theirs)) in ours.1.iter().zip(theirs.1.iter()) {
            let scale = theirs.iter().fold(1.0f32, |most, value| most.max(value.abs()));
            let gap = ours.iter().zip(theirs).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(gap <= 1e-4 * scale, "{name} is off by {gap}, its largest entry is {scale}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn value_and_every_gradient_equal_the_reference(
            (heads, kv_heads) in (1usize..4, 1usize..3).prop_map(|(group, kv_heads)| (group * kv_heads, kv_heads)),
            (hidden, half, intermediate) in (1usize..40, 1usize..10, 1usize..50),
            (biases, norms, depth) in (any::<bool>(), any::<bool>(), 1usize..3),
            lengths in proptest::collection::vec(0usize..90, 1..4),
        ) {
            let mut segments = vec![0];
            lengths.iter().for_each(|length| segments.push(segments[segments.len() - 1] + length));
            segments.push(segments[segments.len() - 1] + 1);
            let sizes = LayerSizes { hidden, heads, kv_heads, head_dim: 2 * half, intermediate, epsilon: 1e-3 };
            assert_agree(&Case { sizes, depth, biases, norms, segments });
        }
    }

    #[test]
    fn gradients_equal_finite_differences() {
        let case = case(true, true, &[0, 5, 9]);
        let (_, gradients) = case.fused(LayerSettings::default());
        let value = |name: &str, at: usize, step: f64| {
            let (params, x, layers) = case.trainable();
            let variable = params.get(name).unwrap();
            let mut moved = values(variable);
            moved[at] += step as f32;
            variable.set(&Tensor::from_vec(moved, variable.shape(), variable.device()).unwrap()).unwrap();
            let stack = DecoderLayers::new(layers, case.sizes, case.rope(), LayerSettings::default()).unwrap();
            let y = Arc::new(stack).forward(&x, &case.positions(), &Arc::new(case.segments.clone())).unwrap();
            let weights = values(&random(y.dims(), 99));
            values(&y).iter().zip(weights).map(|(y, w)| f64::from(*y) * f64::from(w)).sum::<f64>()
        };
        for (name, gradient) in gradients.iter() {
            let at = gradient.len() / 2;
            let estimate = (value(name, at, 1e-2) - value(name, at, -1e-2)) / 2e-2;
            let scale = gradient.iter().fold(1.0f32, |most, g| most.max(g.abs()));
            let error = (estimate - f64::from(gradient[at])).abs() / f64::from(scale);
            assert!(error < 2e-2, "{name}[{at}]: {} by formula, {estimate} by difference", gradient[at]);
        }
    }

    #[test]
    fn checkpointing_changes_no_bit() {
        let case = case(true, true, &[0, 70, 100]);
        for precision in [Precision::F32, Precision::Bf16] {
            let [all, few] = [false, true].map(|checkpointing| LayerSettings { precision, checkpointing });
            assert!(bits(&case.fused(all)) == bits(&case.fused(few)));
        }
    }

    /// The relative distance of two vectors.
    fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
        let gap = square(&mut ours.iter().zip(theirs).map(|(a, b)| a - b));
        (gap / square(&mut theirs.iter().copied()).max(1e-12)).sqrt()
    }

    #[test]
    fn bf16_equals_its_reference_and_is_near_f32() {
        let case = case(true, false, &[0, 70, 100]);
        let bf16 = LayerSettings { precision: Precision::Bf16, ..LayerSettings::default() };
        let (ours, reference) = (case.fused(bf16), case.reference(Precision::Bf16));
        let exact = case.fused(LayerSettings::default());
        assert!(distance(&values(&ours.0), &values(&reference.0)) < 1e-3);
        let off = distance(&values(&ours.0), &values(&exact.0));
        assert!(off > 1e-5 && off < 2e-2, "{off}");
        for (((name, ours), (_, reference)), (_, exact)) in ours.1.iter().zip(reference.1.iter()).zip(exact.1.iter()) {
            // A key's bias shifts all scores of a row alike: its gradient is rounding alone.
            if name.ends_with("k.bias") {
                continue;
            }
            let (near, far) = (distance(ours, reference), distance(ours, exact));
            assert!(near < 5e-3 && far < 5e-2, "{name} is off by {near} and {far}");
        }
    }

    #[test]
    fn the_thread_count_changes_no_bit() {
        let sizes = LayerSizes { hidden: 96, heads: 4, kv_heads: 2, head_dim: 24, intermediate: 200, epsilon: 1e-6 };
        let case = Case { sizes, ..case(true, false, &[0, 130, 300]) };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let ways = [Precision::F32, Precision::Bf16]
                    .map(|precision| LayerSettings { precision, checkpointing: false });
                ways.map(|settings| bits(&case.fused(settings)))
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));
    }

    #[test]
    fn passes_in_flight_have_memory_of_their_own_and_it_is_used_again() {
        let case = case(false, false, &[0, 9]);
        let (params, x, layers) = case.trainable();
        let stack = Arc::new(DecoderLayers::new(layers, case.sizes, case.rope(), LayerSettings::default()).unwrap());
        let segments = Arc::new(case.segments.clone());
        let forward = || stack.forward(&x, &case.positions(), &segments).unwrap().sum_all().unwrap();
        let (mut together, mut apart) = (Gradients::new(&params), Gradients::new(&params));
        let (first, second) = (forward(), forward());
        together.accumulate(&params, &first).unwrap();
        together.accumulate(&params, &second).unwrap();
        for _ in 0..2 {
            apart.accumulate(&params, &forward()).unwrap();
        }
        assert!(together.iter().zip(apart.iter()).all(|(a, b)| a == b));
        assert_eq!(stack.spare.0.lock().unwrap().len(), 2);
        let again = together.accumulate(&params, &second).unwrap_err().to_string();
        assert!(again.contains("second backward pass"), "{again}");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let case = case(false, false, &[0, 4]);
        let (_, x, layers) = case.trainable();
        let wrong = LayerSizes { intermediate: 41, ..case.sizes };
        assert!(DecoderLayers::new(layers.clone(), wrong, case.rope(), LayerSettings::default()).is_err());
        let stack = Arc::new(DecoderLayers::new(layers, case.sizes, case.rope(), LayerSettings::default()).unwrap());
        assert!(stack.forward(&x, &case.positions(), &Arc::new(vec![0, 3])).is_err());
        let y = stack.forward(&x, &case.positions(), &Arc::new(vec![0, 4])).unwrap();
        let error = y.sum_all().unwrap().backward().unwrap_err().to_string();
        assert!(error.contains("Gradients"), "{error}");
    }
}
