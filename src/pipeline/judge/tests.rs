use std::collections::HashMap;

use uuid::Uuid;

use super::*;
use crate::config::{AlertBudget, Camera, CameraSource, Config, Decide, Threshold};
use crate::gallery::snapshot::Model;
use crate::types::decision::ThresholdOrigin;
use crate::types::ids::CameraId;
use crate::types::scope::Scope;

const MODEL: Model = Model { id: ModelId([1; 32]), dimension: 64 };
const OTHER: ModelId = ModelId([2; 32]);

fn door() -> CameraId {
    CameraId::new("door").expect("a name")
}

/// A camera with a budget, and a gallery of this model.
fn judge() -> Judge {
    let budget = Threshold::Budget(AlertBudget { per_day: 1.0, floor: None });
    let decide = Decide { threshold: Some(budget), ..Decide::default() };
    let camera = Camera::new(door(), CameraSource::V4l2 { device: "/dev/video0".into() });
    let config = Config { decide, cameras: vec![camera], ..Config::default() };
    let gallery = GallerySnapshot::empty(MODEL, IndexKind::Exact).expect("a gallery");
    let policy = Policy::of(&config, 0.45);
    Judge::new(
        policy,
        Arc::new(SharedGallery::new(gallery)),
        Box::new(Uuid::now_v7),
        Arc::new(Timing::default()),
    )
}

fn estimates(value: f32) -> Estimates {
    [(Scope::from(door()), value)].into()
}

#[test]
fn an_estimate_is_in_force_for_the_model_whose_scores_it_is_from_and_no_other() {
    let mut judge = judge();
    let in_force = |judge: &Judge| {
        let own = judge.thresholds().of(&door()).own;
        (own.value, own.origin, judge.least)
    };
    assert_eq!(in_force(&judge), (0.45, ThresholdOrigin::Model, 0.45));
    judge.hear(Message::Estimates(OTHER, estimates(0.3)));
    assert_eq!(in_force(&judge), (0.45, ThresholdOrigin::Model, 0.45));
    judge.hear(Message::Estimates(MODEL.id, estimates(0.4)));
    assert_eq!(in_force(&judge), (0.4, ThresholdOrigin::Budget, 0.4));
    // The model is switched: what was estimated is of another one, until its own comes back.
    let other = Model { id: OTHER, dimension: MODEL.dimension };
    let switched = GallerySnapshot::new(other, IndexKind::Exact, 2, HashMap::new(), Vec::new());
    judge.gallery.swap(Arc::new(switched.expect("a gallery")));
    judge.hear(Message::Gallery);
    assert_eq!(in_force(&judge), (0.45, ThresholdOrigin::Model, 0.45));
}
