//! What the tests of this module need.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::cut::{Part, Picture};
use crate::base::clock::Moment;
use crate::types::decision::{Asked, Decision, Stage, ThresholdOrigin, Verdict};
use crate::types::frame::RgbImage;
use crate::types::geometry::{Rect, Size};
use crate::types::ids::{CameraId, IdentityId, ModelId, TrackId};
use crate::types::matching::{IndexKind, Publish};

/// A track of that camera.
pub fn track(camera: &str, number: u64) -> TrackId {
    TrackId { camera: CameraId::new(camera).expect("an id"), epoch: 1, number }
}

fn now() -> Moment {
    Moment { mono: Duration::from_secs(1), wall: "2026-03-01T08:30:00Z".parse().expect("a time") }
}

/// A picture of noise, of that track.
pub fn picture(camera: &str, number: u64, quality: f32) -> Picture {
    let part = |size: Size| {
        let mut random = fastrand::Rng::with_seed(number);
        let pixels = (0..size.area() * 3).map(|_| random.u8(..)).collect();
        Part { image: RgbImage::new(size, pixels).expect("a picture"), own: Rect::new(8.0, 8.0, 24.0, 24.0) }
    };
    let (face, scene) = (part(Size::new(32, 32)), Some(part(Size::new(64, 48))));
    Picture { track: track(camera, number), quality, captured: now(), face, scene }
}

/// A decision about track 1 at the door.
pub fn decision(verdict: Verdict) -> Decision {
    Decision {
        track: track("door", 1),
        visit: Uuid::from_u128(1),
        verdict,
        lists: Vec::new(),
        publish: Publish::Name,
        score: Some(0.7),
        margin: Some(0.3),
        threshold: 0.4,
        threshold_origin: ThresholdOrigin::Model,
        asked: Asked::default(),
        looked: Duration::ZERO,
        shots: 3,
        agreeing: 3,
        quality: Some(0.8),
        captured: now(),
        frames: vec![1],
        bbox: None,
        model: ModelId([1; 32]),
        generation: 1,
        index: IndexKind::Exact,
    }
}

/// Who is recognised in [`recognized`].
pub const SOMEBODY: IdentityId = IdentityId(Uuid::from_u128(9));

/// A recognition of somebody for these lists.
pub fn recognized(stage: Stage, lists: &[&str]) -> Decision {
    let name = Some(Arc::from("Ana"));
    let verdict = Verdict::Recognized { identity: SOMEBODY, name, external_id: None, stage };
    Decision { lists: lists.iter().map(|list| Arc::from(*list)).collect(), ..decision(verdict) }
}
