//! What the tests of all sinks share: events to deliver, a proxy that breaks connections as it is told to, and the contract.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail loudly")]

pub mod contract;
pub mod proxy;

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::sink::Delivery;
use crate::base::clock::{Clock, SimulatedClock};
use crate::events::{CameraChange, EventMaker, Ids};
use crate::stats::CameraState;
use crate::types::ids::CameraId;

pub use proxy::{Fault, FaultProxy};

/// The log's epoch of all [`deliveries`].
pub const LOG: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);

/// How long a test waits for what must come. Not a measure of anything: a failing test ends, that is all.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The events with these sequence numbers, of one camera. The same number gives the same event, id and JSON each time.
///
/// # Panics
/// When the range begins with zero: the log counts from 1.
pub fn deliveries(sequences: RangeInclusive<u64>) -> Vec<Delivery> {
    assert!(*sequences.start() > 0, "the log counts from 1");
    let maker = EventMaker::new("/test", Uuid::nil(), Ids::Numbered);
    let camera = CameraId::new("door").expect("valid");
    let change = CameraChange {
        camera: &camera,
        epoch: 1,
        state: CameraState::Connecting,
        error: None,
        retry: None,
        info: None,
    };
    let now = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH).now();
    let all = (1..=*sequences.end()).map(|sequence| {
        let event = maker.camera(&change, now);
        Delivery { log: LOG, sequence, json: event.to_line(), event }
    });
    all.skip_while(|delivery| !sequences.contains(&delivery.sequence)).collect()
}

/// Waits until it is so.
///
/// # Panics
/// When it is not after [`DEADLINE`]; `what` says what was awaited.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !so() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
