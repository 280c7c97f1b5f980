//! Events as JSON lines: for programs on standard output, and for the run's log in the store.

use crate::base::event::{Event, Sink};
use serde_json::{Map, Value};
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Writes each event as one JSON object with the time, in seconds since 1970, as its first field.
pub struct JsonLines<W> {
    output: Mutex<W>,
    now: fn() -> f64,
}

impl<W: Write> JsonLines<W> {
    /// Lines go to `output`, flushed one by one so that a reader sees each at once.
    pub fn new(output: W) -> Self {
        JsonLines { output: Mutex::new(output), now: unix_seconds }
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn emit(&self, event: &Event) {
        let mut line = Map::from_iter([("time".to_string(), Value::from((self.now)()))]);
        if let Ok(Value::Object(fields)) = serde_json::to_value(event) {
            line.extend(fields);
        }
        let line = Value::Object(line).to_string() + "\n";
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written (a closed pipe, a full disk) must not end the work it tells of.
        let _ = output.write_all(line.as_bytes()).and_then(|()| output.flush());
    }
}

fn unix_seconds() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::tests::journey;
    use super::*;

    #[test]
    fn every_event_is_one_line_that_reads_back() {
        let sink = JsonLines { output: Mutex::new(Vec::new()), now: || 1.5 };
        let events = journey();
        events.iter().for_each(|event| sink.emit(event));
        let text = String::from_utf8(sink.output.into_inner().unwrap()).unwrap();
        let read: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, events);
        assert!(text.starts_with(r#"{"time":1.5,"event":"run_started","run":"#), "{text}");
    }
}
