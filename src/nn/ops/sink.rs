//! Where weight gradients go during a backward pass: straight into the flat buffer of the optimiser step.
//!
//! The tape hands gradients on as tensors, one fresh allocation and one addition each. An op that finds its weight in
//! the sink adds there instead, and leaves nothing to the tape. The sink belongs to the thread that runs the backward
//! pass, and ops add in the order in which the tape calls them, so the sums have one order.

use super::buffer::Buffer;
use candle_core::TensorId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

thread_local! {
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

/// Places of variables in a flat buffer of gradients.
pub(crate) type Places = Arc<HashMap<TensorId, Range<usize>>>;

/// A flat buffer of gradients, and where each variable's is.
#[derive(Debug)]
pub(crate) struct Sink {
    places: Places,
    values: Buffer,
}

impl Sink {
    /// The values of one variable; none where it is not trained.
    pub(crate) fn get(&mut self, variable: TensorId) -> Option<&mut [f32]> {
        self.places.get(&variable).map(|range| &mut self.values[range.clone()])
    }
}

/// Runs `body` while ops on this thread find `values`; returns both.
pub(crate) fn during<R>(places: &Places, values: Buffer, body: impl FnOnce() -> R) -> (R, Buffer) {
    let outer = SINK.replace(Some(Sink { places: places.clone(), values }));
    let result = body();
    let inner = SINK.replace(outer);
    (result, inner.map_or_else(Buffer::default, |sink| sink.values))
}

/// Hands the present sink to `body`; none where no backward pass of [`crate::nn::Gradients`] is running.
///
/// The sink is out of its place meanwhile: a thread that waits for others may be given work that has its own.
pub(crate) fn with<R>(body: impl FnOnce(Option<&mut Sink>) -> R) -> R {
    let mut sink = SINK.take();
    let result = body(sink.as_mut());
    SINK.set(sink);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    #[test]
    fn an_inner_pass_leaves_the_outer_ones_sink_alone() {
        let tensor = Tensor::new(&[0.0f32], &Device::Cpu).unwrap();
        let places: Places = Arc::new([(tensor.id(), 0..1)].into());
        let add = |amount: f32| with(|sink| sink.unwrap().get(tensor.id()).unwrap()[0] += amount);
        let (inner, outer) = during(&places, Buffer::zeros(1), || {
            add(1.0);
            let (_, inner) = during(&places, Buffer::zeros(1), || add(5.0));
            add(2.0);
            inner
        });
        assert_eq!((inner[0], outer[0]), (5.0, 3.0));
        with(|sink| assert!(sink.is_none()));
    }
}
