//! The rules, one by one.

use crate::types::face::Refusal;

use super::*;

const NOTHING: [&str; 0] = [];

#[test]
fn a_first_shot_is_preliminary_and_the_second_that_agrees_confirms() {
    let mut scene = Scene::new();
    assert_eq!(scene.see(1, 0.0, 0, 0.5), ["t1 person 0 Preliminary v1"]);
    assert_eq!(scene.see(1, 0.5, 0, 0.5), ["t1 person 0 Confirmed v1"]);
    assert_eq!(scene.see(1, 1.0, 0, 0.5), NOTHING);
    assert_eq!(scene.end(1, 2.0), NOTHING);
    let confirmed = &scene.log[1];
    assert_eq!((confirmed.shots, confirmed.agreeing, &confirmed.frames), (2, 2, &vec![0, 500]));
    assert!(confirmed.score.unwrap() > 0.6, "two shots of 0.5 with noise of their own fuse to 0.63");
    assert_eq!((confirmed.captured, confirmed.quality), (at(0.5), Some(0.5)));
    assert!(confirmed.bbox.is_some());
}

#[test]
fn one_shot_confirms_at_once_where_one_is_asked_for() {
    let mut scene = Scene::with(config::Decide { confirm: 1, ..rules() }, World::of(0..4));
    assert_eq!(scene.see(1, 0.0, 0, 0.41), ["t1 person 0 Confirmed v1"]);
}

#[test]
fn single_shots_agree_a_little_under_the_threshold_and_no_further() {
    let mut scene = Scene::new();
    assert_eq!(scene.see(1, 0.0, 0, 0.36), NOTHING);
    assert_eq!(scene.see(1, 0.5, 0, 0.36), ["t1 person 0 Confirmed v1"], "fused to 0.48, and both agree");
    let mut scene = Scene::new();
    assert_eq!(scene.see(1, 0.0, 0, 0.34), NOTHING);
    assert_eq!(scene.see(1, 0.5, 0, 0.34), ["t1 person 0 Preliminary v1"], "fused to 0.45, but none agrees");
    assert_eq!(scene.end(1, 1.0), NOTHING, "still supported at the end: it stays preliminary");
}

#[test]
fn a_small_margin_is_ambiguous() {
    let mut scene = Scene::new();
    assert_eq!(scene.shot(1, shot(1, 0.0, &[(0, 0.5), (1, 0.47)], 0.5)), NOTHING);
    assert_eq!(scene.end(1, 0.5), ["t1 Ambiguous v1"]);
    let decision = &scene.log[0];
    assert!((decision.margin.unwrap() - 0.03).abs() < 1e-6 && decision.score == Some(0.5));
}

#[test]
fn a_recognition_that_falls_is_withdrawn_but_not_for_a_hair() {
    let mut scene = Scene::with(config::Decide { fuse: 1, ..rules() }, World::of(0..4));
    let at_quality = |sequence, score, quality| shot(sequence, sequence as f64, &[(0, score)], quality);
    assert_eq!(scene.shot(1, at_quality(0, 0.5, 0.1)), ["t1 person 0 Preliminary v1"]);
    assert_eq!(scene.shot(1, at_quality(1, 0.38, 0.2)), ["t1 person 0 Confirmed v1"], "held, and both agree");
    assert_eq!(scene.shot(1, at_quality(2, 0.36, 0.3)), ["t1 person 0 Withdrawn v1", "t1 Unknown v2"]);
    assert_eq!(scene.log[1].visit, scene.log[2].visit);
    let withdrawn = &scene.log[2];
    assert!((withdrawn.score.unwrap() - 0.36).abs() < 1e-6, "a withdrawal shows the score that caused it");
    assert_eq!(scene.end(1, 3.0), NOTHING, "unknown was said");
}

#[test]
fn shots_weigh_the_same_unless_their_quality_is_to_count() {
    let fused = |fusion, quality: [f32; 2]| {
        let mut scene = Scene::with(config::Decide { fusion, ..rules() }, World::of(0..4));
        scene.shot(1, shot(0, 0.0, &[(0, 0.9)], quality[0]));
        scene.shot(1, shot(1, 0.5, &[(0, 0.5)], quality[1]));
        scene.log.last().and_then(|decision| decision.score).unwrap()
    };
    use super::config::Fusion::{Mean, Quality};
    assert!((fused(Mean, [0.9, 0.1]) - fused(Mean, [0.2, 0.8])).abs() < 1e-6);
    let (good_first, good_last) = (fused(Quality, [0.9, 0.1]), fused(Quality, [0.2, 0.8]));
    let mean = fused(Mean, [0.9, 0.1]);
    assert!(good_first > mean && mean > good_last, "{good_first}, {mean}, {good_last}");
}

#[test]
fn at_the_end_the_threshold_holds_strictly() {
    let mut scene = Scene::with(config::Decide { fuse: 1, ..rules() }, World::of(0..4));
    scene.shot(1, shot(0, 0.0, &[(0, 0.5)], 0.1));
    assert_eq!(scene.shot(1, shot(1, 0.1, &[(0, 0.39)], 0.2)), ["t1 person 0 Confirmed v1"]);
    assert_eq!(scene.end(1, 0.2), ["t1 person 0 Withdrawn v1", "t1 TooShort v2"]);
}

#[test]
fn another_identity_that_wins_takes_its_place_after_a_withdrawal() {
    let mut scene = Scene::with(config::Decide { fuse: 1, ..rules() }, World::of(0..4));
    scene.shot(1, shot(0, 0.0, &[(0, 0.5)], 0.1));
    let texts = scene.shot(1, shot(1, 0.5, &[(1, 0.6)], 0.2));
    assert_eq!(texts, ["t1 person 0 Withdrawn v1", "t1 person 1 Preliminary v2"]);
}

#[test]
fn unknown_needs_a_fair_look_and_is_said_once() {
    let mut scene = Scene::new();
    assert_eq!(scene.see(1, 0.0, 0, 0.1), NOTHING);
    assert_eq!(scene.see(1, 0.4, 0, 0.1), NOTHING);
    assert_eq!(scene.see(1, 0.8, 0, 0.1), NOTHING, "three shots, but too short a look");
    assert_eq!(scene.see(1, 1.0, 0, 0.1), ["t1 Unknown v1"]);
    assert_eq!(scene.see(1, 9.0, 0, 0.1), NOTHING);
    assert_eq!(scene.end(1, 9.0), NOTHING);
    assert_eq!((scene.log[0].shots, scene.log[0].agreeing), (4, 4));
}

#[test]
fn a_recognition_after_unknown_replaces_it_under_its_visit_id() {
    let mut scene = Scene::new();
    for i in 0..3 {
        scene.shot(1, shot(i, i as f64, &[(0, 0.1)], 0.1));
    }
    assert_eq!(scene.log.iter().map(short).collect::<Vec<_>>(), ["t1 Unknown v1"]);
    assert_eq!(scene.shot(1, shot(3, 3.0, &[(0, 0.9)], 0.9)), ["t1 person 0 Preliminary v1"]);
    assert_eq!(scene.shot(1, shot(4, 4.0, &[(0, 0.9)], 0.9)), ["t1 person 0 Confirmed v1"]);
    scene.end(1, 5.0);
    scene.see(2, 10.0, 0, 0.9);
    assert_eq!(scene.see(2, 11.0, 0, 0.9), NOTHING, "the visit goes on under that id");
}

#[test]
fn unknown_is_corrected_even_where_the_visit_has_said_all() {
    let mut scene = Scene::new();
    scene.see(1, 0.0, 0, 0.9);
    scene.see(1, 0.5, 0, 0.9);
    scene.end(1, 1.0);
    for i in 0..3 {
        scene.shot(2, shot(i, 2.0 + i as f64, &[(0, 0.1)], 0.1));
    }
    assert_eq!(scene.shot(2, shot(5, 5.0, &[(0, 0.9)], 0.9)), ["t2 person 0 Preliminary v2"]);
    assert_eq!(scene.shot(2, shot(6, 6.0, &[(0, 0.9)], 0.9)), ["t2 person 0 Confirmed v2"]);
    scene.end(2, 40.0);
    scene.see(3, 60.0, 0, 0.9);
    assert_eq!(scene.see(3, 61.0, 0, 0.9), NOTHING, "its sightings made the visit last");
}

#[test]
fn a_track_that_ends_undecided_says_why() {
    let refuse = |scene: &mut Scene, refusal, times| {
        for _ in 0..times {
            assert!(scene.decider.refused(&track(1), refusal).is_empty());
        }
    };
    let mut scene = Scene::new();
    refuse(&mut scene, Refusal::TooSmall, 2);
    refuse(&mut scene, Refusal::Blurred, 5);
    refuse(&mut scene, Refusal::ExtremePose, 5);
    assert_eq!(scene.end(1, 1.0), ["t1 NoGoodShot Blurred v1"], "of equals, the first in the table");
    let decision = &scene.log[0];
    assert_eq!((decision.score, decision.shots, decision.captured), (None, 0, at(1.0)));
    assert_eq!((decision.model, decision.generation), (MODEL, 1));

    let mut scene = Scene::new();
    assert_eq!(scene.end(1, 1.0), ["t1 TooShort v1"]);
    refuse(&mut scene, Refusal::Blurred, 1);
    assert_eq!(scene.end(1, 1.0), NOTHING, "a track ends once");

    let mut scene = Scene::new();
    refuse(&mut scene, Refusal::Blurred, 1);
    assert!(scene.decider.dropped(&track(1)).is_empty());
    assert_eq!(scene.end(1, 1.0), ["t1 Overload v1"]);

    let mut scene = Scene::new();
    scene.see(1, 0.0, 0, 0.1);
    refuse(&mut scene, Refusal::Blurred, 9);
    assert_eq!(scene.end(1, 1.0), ["t1 TooShort v1"]);

    let mut scene = Scene::new();
    scene.see(1, 0.0, 0, 0.1);
    scene.decider.dropped(&track(1));
    scene.decider.dropped(&track(1));
    assert_eq!(scene.end(1, 1.0), ["t1 Overload v1"], "without the drops it would have been a fair look");
}

#[test]
fn one_visit_says_each_stage_once() {
    let mut scene = Scene::new();
    scene.see(1, 0.0, 0, 0.9);
    scene.end(1, 0.1);
    assert_eq!(scene.see(2, 10.0, 0, 0.9), NOTHING, "preliminary was said");
    assert_eq!(scene.see(2, 10.5, 0, 0.9), ["t2 person 0 Confirmed v1"]);
    scene.end(2, 11.0);
    scene.see(3, 41.0, 0, 0.9);
    assert_eq!(scene.see(3, 200.0, 0, 0.9), NOTHING, "exactly the cool-down later, and live ever since");
    scene.end(3, 300.0);
    assert_eq!(scene.see(4, 330.001, 0, 0.9), ["t4 person 0 Preliminary v2"], "after it, a new visit");
    assert_eq!(
        scene.see(5, 331.0, 1, 0.9),
        ["t5 person 1 Preliminary v3"],
        "another identity, another visit"
    );
}

#[test]
fn another_camera_is_another_visit() {
    let mut scene = Scene::new();
    scene.see(1, 0.0, 0, 0.9);
    let hall = TrackId { camera: CameraId::new("hall").unwrap(), ..track(1) };
    let world = scene.world.clone();
    let made = scene.decider.shot(&hall, shot(1, 0.0, &[(0, 0.9)], 0.5), &|p| world.search(p));
    assert_eq!(scene.note(made), ["t1 person 0 Preliminary v2"]);
}

#[test]
fn one_track_speaks_for_a_visit_and_the_next_takes_over() {
    let mut scene = Scene::new();
    scene.see(1, 0.0, 0, 0.9);
    scene.see(2, 0.1, 0, 0.9);
    assert_eq!(scene.see(2, 0.6, 0, 0.9), NOTHING, "track 1 speaks");
    assert_eq!(scene.end(1, 1.0), ["t2 person 0 Confirmed v1"]);
}

#[test]
fn a_withdrawal_ends_the_visit_and_who_still_holds_it_opens_another() {
    let mut scene = Scene::with(config::Decide { fuse: 1, ..rules() }, World::of(0..4));
    scene.shot(1, shot(0, 0.0, &[(0, 0.9)], 0.1));
    scene.shot(2, shot(1, 0.1, &[(0, 0.9)], 0.1));
    assert_eq!(
        scene.shot(1, shot(2, 0.5, &[(0, 0.1)], 0.9)),
        ["t1 person 0 Withdrawn v1", "t2 person 0 Preliminary v2"]
    );
    // A track that said nothing has nothing to withdraw.
    scene.shot(3, shot(3, 0.6, &[(0, 0.9)], 0.1));
    assert_eq!(scene.shot(3, shot(4, 0.7, &[(0, 0.1)], 0.9)), NOTHING);
}

#[test]
fn with_an_empty_gallery_everybody_is_unknown() {
    let mut scene = Scene::with(rules(), World::of([]));
    for i in 0..3 {
        scene.see(1, f64::from(i), 0, 0.9);
    }
    assert_eq!(scene.log.iter().map(short).collect::<Vec<_>>(), ["t1 Unknown v1"]);
    assert_eq!((scene.log[0].score, scene.log[0].margin), (None, None));
}

#[test]
fn nothing_matches_the_templates_of_another_model() {
    let mut scene = Scene::with(rules(), World { model: ModelId([8; 32]), ..World::of(0..4) });
    for i in 0..3 {
        scene.see(1, f64::from(i), 0, 1.0);
    }
    assert_eq!(scene.log.iter().map(short).collect::<Vec<_>>(), ["t1 Unknown v1"]);
    assert_eq!((scene.log[0].score, scene.log[0].model), (None, MODEL));
}

#[test]
fn shots_of_a_new_model_start_the_look_over() {
    let mut scene = Scene::new();
    scene.see(1, 0.0, 0, 0.9);
    scene.world.model = ModelId([8; 32]);
    let Shot { quality, sequence, captured, bbox, .. } = shot(1, 0.5, &[], 0.5);
    let mut vector = vec![0.0; DIMENSIONS];
    vector[1] = 1.0;
    let embedding = Embedding::new(ModelId([8; 32]), vector).unwrap();
    let texts = scene.shot(1, Shot { embedding, quality, sequence, captured, bbox });
    assert_eq!(texts, ["t1 person 0 Withdrawn v1", "t1 person 1 Preliminary v2"]);
    assert_eq!(scene.log[2].shots, 1);
}

#[test]
fn a_camera_has_its_own_threshold_and_the_decision_says_so() {
    let mut scene = Scene::new();
    let door = CameraId::new("door").unwrap();
    let world = scene.world.clone();
    let thresholds = Thresholds::from_parts(THRESHOLD, None, [(door, 0.7)]);
    assert!(scene.decider.policy_changed(rules(), thresholds, &|p| world.search(p)).is_empty());
    assert_eq!(scene.see(1, 0.0, 0, 0.6), NOTHING);
    scene.see(1, 0.5, 0, 0.9);
    let decision = scene.log.last().unwrap();
    assert_eq!((decision.threshold, decision.threshold_origin), (0.7, ThresholdOrigin::Camera));
}

#[test]
fn a_new_policy_applies_to_live_tracks_at_once() {
    let mut scene = Scene::new();
    scene.see(1, 0.0, 0, 0.5);
    let world = scene.world.clone();
    let thresholds = Thresholds::from_parts(THRESHOLD, Some(0.6), []);
    let made = scene.decider.policy_changed(rules(), thresholds, &|p| world.search(p));
    assert_eq!(scene.note(made), ["t1 person 0 Withdrawn v1"]);
    assert_eq!(scene.log[1].threshold_origin, ThresholdOrigin::Config);
}

#[test]
fn who_is_removed_is_withdrawn_and_who_is_added_is_found() {
    let mut scene = Scene::new();
    scene.see(1, 0.0, 0, 0.9);
    scene.see(2, 0.1, 7, 0.9);
    let mut texts = scene.change_gallery(World::of(1..8));
    texts.sort();
    assert_eq!(texts, ["t1 person 0 Withdrawn v1", "t2 person 7 Preliminary v2"]);
    assert_eq!(scene.log[1].score, None, "who is not in the gallery has no score");
    assert_eq!(scene.log[2].generation, 2);
    // Also without the call: the next answer shows the new generation, and older votes do not count.
    scene.world = World { generation: 3, ..World::of(8..9) };
    assert_eq!(scene.see(2, 0.5, 7, 0.9), ["t2 person 7 Withdrawn v2"]);
}

#[test]
fn late_news_of_an_ended_track_is_ignored() {
    let mut scene = Scene::new();
    scene.see(1, 0.0, 0, 0.9);
    assert_eq!(scene.decider.load(), (1, 1));
    scene.end(1, 1.0);
    assert_eq!(scene.see(1, 0.5, 0, 0.9), NOTHING);
    scene.decider.refused(&track(1), Refusal::Blurred);
    assert_eq!(scene.decider.load(), (0, 1), "its embeddings are gone");
    scene.end(2, 100.0);
    assert_eq!(scene.decider.load(), (0, 0), "and the visit after its cool-down");
}

#[test]
fn memory_is_bounded_in_tracks_and_shots() {
    let mut scene = Scene::new();
    for number in 0..MAX_TRACKS as u64 {
        scene.decider.refused(&track(number + 10), Refusal::Blurred);
    }
    scene.see(1, 5.0, 0, 0.9);
    assert_eq!(scene.decider.load().0, MAX_TRACKS);
    scene.decider.refused(&track(2), Refusal::Blurred);
    assert_eq!(scene.decider.load().0, MAX_TRACKS);

    let mut scene = Scene::with(config::Decide { fuse: u32::MAX, confirm: 1000, ..rules() }, World::of(0..4));
    for i in 0..200 {
        scene.see(1, f64::from(i), 0, 0.9);
    }
    let searches = std::cell::Cell::new(0);
    let world = scene.world.clone();
    scene.decider.policy_changed(rules(), Thresholds::from_parts(THRESHOLD, None, []), &|probe| {
        searches.set(searches.get() + 1);
        world.search(probe)
    });
    assert_eq!(searches.get(), MAX_KEPT + 1);
}

#[test]
fn a_shot_costs_at_most_two_searches() {
    let mut scene = Scene::new();
    for i in 0..20u32 {
        let searches = std::cell::Cell::new(0);
        let world = scene.world.clone();
        let quality = if i < 10 { 0.5 } else { 0.1 };
        let shot = shot(i.into(), f64::from(i), &[(0, 0.5)], quality);
        scene.decider.shot(&track(1), shot, &|probe| {
            searches.set(searches.get() + 1);
            world.search(probe)
        });
        let expected = if i == 0 || i >= 5 { 1 } else { 2 };
        assert_eq!(searches.get(), expected, "shot {i}: the fused embedding is searched when it changes");
    }
}

#[test]
fn of_two_who_look_alike_nobody_is_newly_sure() {
    let mut scene = Scene::with(config::Decide { fuse: 1, ..rules() }, World::of(0..4));
    assert_eq!(scene.shot(1, shot(1, 0.0, &[(0, 0.6), (1, 0.4)], 0.1)), ["t1 person 0 Preliminary v1"]);
    // It names the same by itself, and brings the other to within the margin.
    assert_eq!(scene.shot(1, shot(2, 0.5, &[(0, 0.6), (1, 0.59)], 0.9)), NOTHING);
    assert_eq!(scene.end(1, 1.0), ["t1 person 0 Withdrawn v1", "t1 Ambiguous v2"]);
}
