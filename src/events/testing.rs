//! Events for the tests of other modules.

use std::time::Duration;

use uuid::Uuid;

use super::{Event, EventMaker};
use crate::base::clock::Moment;
use crate::types::decision::{Asked, Decision, Stage, ThresholdOrigin, Verdict};
use crate::types::ids::{CameraId, IdentityId, ModelId, TrackId};
use crate::types::matching::{IndexKind, Publish};

/// Somebody is recognised at the door.
pub(crate) fn recognized(maker: &EventMaker, at: Moment) -> Event {
    let decision = Decision {
        track: TrackId { camera: CameraId::new("door").expect("a name"), epoch: 1, number: 1 },
        visit: Uuid::now_v7(),
        lists: vec!["vip".into()],
        verdict: Verdict::Recognized {
            identity: IdentityId::generate(),
            name: Some("Ada Lovelace".into()),
            external_id: Some("HR-1815".into()),
            stage: Stage::Confirmed,
        },
        publish: Publish::Name,
        score: Some(0.61),
        margin: Some(0.23),
        threshold: 0.42,
        threshold_origin: ThresholdOrigin::Model,
        asked: Asked::default(),
        looked: Duration::ZERO,
        shots: 3,
        agreeing: 3,
        quality: Some(0.87),
        captured: at,
        frames: vec![1, 2, 3],
        bbox: None,
        model: ModelId([7; 32]),
        generation: 1,
        index: IndexKind::Exact,
    };
    maker.decision(&decision, at).expect("it may be published")
}
