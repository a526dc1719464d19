//! CloudEvents 1.0 over HTTP and brokers: media types, and the JSON batch format.
//!
//! Structured mode puts the whole event, envelope and data, into the body; that is what [`super::Event::to_line`] gives. A batch
//! (JSON Event Format 1.0, section 4) is an array of such events.

/// Media type of one event in structured mode (JSON Event Format 1.0, section 3).
pub const EVENT: &str = "application/cloudevents+json";

/// Media type of a batch (JSON Event Format 1.0, section 4).
pub const BATCH: &str = "application/cloudevents-batch+json";

/// A batch of events that are JSON already, in their order. Of none it is an empty array, which is a valid batch.
pub fn batch<S: AsRef<str>>(lines: &[S]) -> String {
    let length: usize = lines.iter().map(|line| line.as_ref().len() + 1).sum();
    let mut batch = String::with_capacity(length + 2);
    batch.push('[');
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            batch.push(',');
        }
        batch.push_str(line.as_ref());
    }
    batch.push(']');
    batch
}
