//! Several listeners on one stream.

use crate::base::event::{Event, Sink};

/// Hands every event to each sink, in order.
pub struct Fanout(pub Vec<Box<dyn Sink>>);

impl Sink for Fanout {
    fn emit(&self, event: &Event) {
        self.0.iter().for_each(|sink| sink.emit(event));
    }
}
