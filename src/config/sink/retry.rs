//! How a sink is sent to: `backoff`, `rate`, `batch`, `dead_letters`.

use std::time::Duration;

use super::millis;
use crate::config::raw::Section;
use crate::config::{read, units};

/// How the runner sends to a sink.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Wait after the first failure; each further one doubles it, with jitter. 10 ms to 1 h.
    pub first: Duration,
    /// Longest wait, not less than `first`. 10 ms to 24 h.
    pub most: Duration,
    /// Most events a second, 0.01 to 100,000; `None`: as fast as it takes them.
    pub rate: Option<f64>,
    /// Most events in one batch, 1 to 1,000; `None`: what the sink takes by itself. It never takes more than that.
    pub batch: Option<usize>,
    /// An event that was refused so many times becomes a dead letter: it is kept apart, and the next one follows. 1 to 1,000.
    /// `None`: it is tried again for ever, and everything waits behind it.
    pub dead_letters: Option<u32>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: millis(1_000), most: millis(60_000), rate: None, batch: None, dead_letters: Some(1) }
    }
}

/// Reads a sink's keys.
pub(super) fn read(s: &mut Section<'_>) -> Retry {
    let d = Retry::default();
    let mut backoff = s.table("backoff");
    let first = backoff.get("first", d.first, read::duration(millis(10)..=millis(3_600_000)));
    let most = backoff.get("most", d.most.max(first), read::duration(millis(10)..=millis(86_400_000)));
    if backoff.clean() && most < first {
        let (first, most) = (units::show_duration(first), units::show_duration(most));
        backoff.conflict("most", format!("expected at least backoff.first ({first}), found {most}"));
    }
    backoff.finish();
    Retry {
        first,
        most,
        rate: s.get("rate", d.rate, read::unless("off", read::exact(0.01..=100_000.0))),
        batch: s.get("batch", d.batch, read::unless("auto", read::count(1..=1_000))),
        dead_letters: s.get("dead_letters", d.dead_letters, read::unless("retry", read::whole(1..=1_000))),
    }
}
