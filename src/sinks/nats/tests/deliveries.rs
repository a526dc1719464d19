//! Events to send.

use std::time::Duration;

use uuid::Uuid;

use crate::base::clock::Moment;
use crate::events::{CameraChange, Event, EventMaker, Ids};
use crate::sinks::sink::Delivery;
use crate::source::{Failure, SourceError};
use crate::stats::CameraState;
use crate::types::decision::{Asked, Decision, Stage, ThresholdOrigin, Verdict};
use crate::types::ids::{CameraId, IdentityId, ModelId, TrackId};
use crate::types::matching::{IndexKind, Publish};

const LOG: Uuid = Uuid::from_u128(0x0198_f3c2_7d00_7a10_8000_0000_0000_0002);

/// The event number `n` of the log as a delivery.
pub(super) fn delivery(n: u64, event: Event) -> Delivery {
    Delivery { log: LOG, sequence: n, json: event.to_line(), event }
}

/// Deliveries `from..=to`, all of the camera `door`.
pub(super) fn deliveries(from: u64, to: u64) -> Vec<Delivery> {
    (from..=to).map(|n| at("door", n)).collect()
}

/// Delivery `n`: a camera's change of state.
pub(super) fn at(camera: &str, n: u64) -> Delivery {
    told(camera, n, "no route to host")
}

/// Delivery `n`, as large as the message makes it.
pub(super) fn told(camera: &str, n: u64, message: &str) -> Delivery {
    let error = SourceError { failure: Failure::Unreachable, message: message.to_owned() };
    let change = CameraChange {
        camera: &id(camera),
        epoch: 1,
        state: CameraState::Waiting,
        error: Some(&error),
        retry: None,
        info: None,
    };
    delivery(n, maker(n).camera(&change, now()))
}

/// Delivery `n`: somebody is recognised for these lists.
pub(super) fn recognized(camera: &str, n: u64, lists: &[&str]) -> Delivery {
    let verdict = Verdict::Recognized {
        identity: IdentityId(Uuid::from_u128(7)),
        name: Some("Ada Lovelace".into()),
        external_id: None,
        stage: Stage::Confirmed,
    };
    let decision = Decision {
        track: TrackId { camera: id(camera), epoch: 1, number: n },
        visit: Uuid::from_u128(9),
        lists: lists.iter().map(|&list| list.into()).collect(),
        verdict,
        publish: Publish::Name,
        score: Some(0.6),
        margin: Some(0.2),
        threshold: 0.42,
        threshold_origin: ThresholdOrigin::Model,
        asked: Asked::default(),
        looked: Duration::ZERO,
        shots: 3,
        agreeing: 3,
        quality: Some(0.9),
        captured: now(),
        frames: vec![1],
        bbox: None,
        model: ModelId([0; 32]),
        generation: 1,
        index: IndexKind::Exact,
    };
    delivery(n, maker(n).decision(&decision, now()).expect("it may be published"))
}

fn id(camera: &str) -> CameraId {
    CameraId::new(camera).expect("a good name")
}

fn now() -> Moment {
    Moment { mono: Duration::from_secs(1), wall: "2026-03-01T08:30:12Z".parse().expect("valid") }
}

/// One that has numbered `n - 1` events.
fn maker(n: u64) -> EventMaker {
    let maker = EventMaker::new("/watchlistd/box-7", Uuid::nil(), Ids::Numbered);
    let camera = id("x");
    let change = CameraChange {
        camera: &camera,
        epoch: 1,
        state: CameraState::Connecting,
        error: None,
        retry: None,
        info: None,
    };
    (1..n).for_each(|_| drop(maker.camera(&change, now())));
    maker
}
