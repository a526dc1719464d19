//! Two policies hear the same of one track.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::base::clock::Moment;
use crate::config::Config;
use crate::decide::Shot;
use crate::types::decision::Sight;
use crate::types::geometry::Rect;
use crate::types::ids::{CameraId, ModelId};
use crate::types::matching::{Candidate, IndexKind, ListRule, Publish};

const MODEL: ModelId = ModelId([3; 32]);
const SCORE: f32 = 0.5;

fn at(seconds: f64) -> Moment {
    Moment { mono: Duration::from_secs_f64(seconds), wall: Timestamp::UNIX_EPOCH }
}

/// Everybody scores 0.5 with Ana, who is on a list with this threshold.
fn found(list: Option<f32>) -> Match {
    let rule = ListRule { name: "vip".into(), threshold: list, priority: 0, publish: Publish::Name };
    let ana = Candidate {
        identity: IdentityId(Uuid::from_u128(1)),
        name: "Ana".into(),
        external_id: None,
        lists: [Arc::new(rule)].into(),
        score: SCORE,
    };
    Match { candidates: vec![ana], model: MODEL, generation: 1, index: IndexKind::Exact }
}

/// What both say of a track of four shots, and what was published.
fn compared(decide: config::Decide, shadow: config::Decide, list: Option<f32>) -> (Comparison, Vec<Notice>) {
    let config = Config { decide, shadow: Some(shadow), ..Config::default() };
    let gallery = Gallery { model: MODEL, generation: 1, index: IndexKind::Exact };
    let thresholds = Thresholds::new(0.4, &config.decide, &[]);
    let mut decider = Decider::new(config.decide.clone(), thresholds, gallery, Box::new(Uuid::now_v7));
    let policy = ShadowPolicy::of(&config, 0.4).expect("it is on");
    let mut shadow = Shadow::new(policy, Places::default(), gallery);
    let track = TrackId { camera: CameraId::new("door").expect("a name"), epoch: 1, number: 1 };
    let search = |_: &Embedding| found(list);
    let mut published = Vec::new();
    let mut both = |judge: &dyn Fn(&mut Decider, &Search<'_>) -> Vec<Notice>| {
        shadow.judge(&search, judge);
        let told = judge(&mut decider, &search);
        shadow.heard(&told);
        published.extend(told);
    };
    let bbox = Rect::new(0.0, 0.0, 40.0, 50.0);
    both(&|d, _| d.appeared(&track, Sight { since: at(0.0), captured: at(0.1), sequence: 1, bbox }));
    for number in 0..4u32 {
        let embedding = Embedding::new(MODEL, vec![1.0, f64::from(number) as f32]).expect("a vector");
        let captured = at(0.2 + 0.5 * f64::from(number));
        let shot = Shot { embedding, quality: 0.5, sequence: u64::from(number) + 2, captured, bbox };
        both(&|d, search| d.shot(&track, shot.clone(), search));
    }
    both(&|d, _| d.ended(&track, at(2.0)));
    let [comparison] = &shadow.compared()[..] else { panic!("one track has left") };
    assert!(shadow.compared().is_empty(), "each is told once");
    (comparison.clone(), published)
}

fn decide(threshold: Option<f32>) -> config::Decide {
    config::Decide { threshold: threshold.map(config::Threshold::Score), ..config::Decide::default() }
}

#[test]
fn a_track_that_another_threshold_judges_otherwise_differs_and_only_the_policy_in_force_is_published() {
    let (both, published) = compared(decide(None), decide(Some(0.6)), None);
    assert_eq!((both.decided.word, both.shadow.word), (Some("confirmed"), Some("unknown")));
    assert!(!both.agrees());
    assert_eq!((both.shadow.threshold, both.shadow.score), (Some(0.6), Some(SCORE)));
    let decisions: Vec<_> = published.iter().filter_map(Notice::decision).collect();
    assert!(
        decisions.iter().all(|decision| matches!(decision.verdict, Verdict::Recognized { .. })),
        "{decisions:?}"
    );
}

#[test]
fn the_same_policy_says_the_same() {
    let (both, _) = compared(decide(None), decide(None), None);
    assert!(both.agrees(), "{both:?}");
    assert_eq!(both.decided, both.shadow);
}

#[test]
fn a_threshold_of_the_shadow_holds_for_lists_and_without_one_theirs_do() {
    let (both, _) = compared(decide(None), decide(Some(0.3)), Some(0.7));
    assert_eq!((both.decided.word, both.shadow.word), (Some("unknown"), Some("confirmed")));
    let (both, _) = compared(decide(None), config::Decide { confirm: 9, ..decide(None) }, Some(0.45));
    assert_eq!((both.decided.word, both.shadow.word), (Some("confirmed"), Some("preliminary")));
    assert_eq!(both.shadow.threshold, Some(0.45));
}
