//! Lists: their thresholds, what an event names, and what may be said.

use super::*;

const NOTHING: [&str; 0] = [];

fn list(name: &str, threshold: Option<f32>, priority: i32, publish: Publish) -> ListRule {
    ListRule { name: name.into(), threshold, priority, publish }
}

fn staff() -> ListRule {
    list("staff", Some(0.3), 0, Publish::Nothing)
}

fn blocked() -> ListRule {
    list("blocked", Some(0.6), 10, Publish::Name)
}

/// Asks for what the camera asks for: 0.4.
fn guests() -> ListRule {
    list("guests", None, 5, Publish::Pseudonym)
}

/// Only the best shot counts, and one that agrees is enough: a score is what is seen.
fn plain(world: World) -> Scene {
    Scene::with(config::Decide { fuse: 1, confirm: 1, ..rules() }, world)
}

/// A shot that is better than those before it.
fn next(scene: &mut Scene, sequence: u64, scores: &[(usize, f32)]) -> Vec<String> {
    scene.shot(1, shot(sequence, sequence as f64, scores, 0.1 + sequence as f32 / 100.0))
}

#[test]
fn the_lowest_threshold_recognises_and_the_first_list_reached_is_named() {
    let world = || World::of(0..4).on(0, staff()).on(0, blocked()).on(0, guests());
    for (score, expected, threshold, origin) in [
        (0.35, "[staff]", 0.3, ThresholdOrigin::List),
        (0.45, "[guests, staff]", 0.4, ThresholdOrigin::Model),
        (0.65, "[blocked, guests, staff]", 0.6, ThresholdOrigin::List),
    ] {
        let mut scene = plain(world());
        assert_eq!(next(&mut scene, 0, &[(0, score)]), [format!("t1 person 0 Confirmed {expected} v1")]);
        assert_eq!((scene.log[0].threshold, scene.log[0].threshold_origin), (threshold, origin), "{score}");
    }
    let mut scene = plain(world());
    (0..3).for_each(|i| drop(next(&mut scene, i, &[(0, 0.29)])));
    assert_eq!(short(&scene.log[0]), "t1 Unknown v1");
    assert_eq!((scene.log[0].threshold, scene.log[0].threshold_origin), (0.3, ThresholdOrigin::List));
    assert_eq!(scene.log[0].agreeing, 3, "shots that name nobody are counted against the same threshold");
}

#[test]
fn lists_of_one_priority_are_ordered_by_name() {
    let same = |name| list(name, Some(0.5), 1, Publish::Name);
    let mut scene = plain(World::of(0..4).on(0, same("b")).on(0, same("a")).on(0, same("c")));
    assert_eq!(next(&mut scene, 0, &[(0, 0.5)]), ["t1 person 0 Confirmed [a, b, c] v1"]);
}

#[test]
fn a_cameras_threshold_is_that_of_lists_without_one() {
    let mut scene = plain(World::of(0..4).on(0, guests()).on(1, staff()));
    let thresholds = Thresholds::from_parts(THRESHOLD, None, [(CameraId::new("door").unwrap(), 0.7)]);
    let (world, rules) = (scene.world.clone(), scene.decider.rules.clone());
    scene.decider.policy_changed(rules, thresholds, &|p| world.search(p));
    assert_eq!(next(&mut scene, 0, &[(0, 0.65)]), NOTHING);
    assert_eq!(next(&mut scene, 1, &[(0, 0.7)]), ["t1 person 0 Confirmed [guests] v1"]);
    assert_eq!(scene.log[0].threshold_origin, ThresholdOrigin::Camera);
    assert_eq!(
        next(&mut scene, 2, &[(1, 0.35)]),
        ["t1 person 0 Withdrawn [guests] v1", "t1 person 1 Confirmed [staff] v2"],
        "a list's own goes before the camera's, also where it is lower"
    );
}

#[test]
fn another_list_that_is_reached_is_said_and_one_that_is_missed_is_taken_back() {
    let mut scene = plain(World::of(0..4).on(0, guests()).on(0, blocked()));
    assert_eq!(next(&mut scene, 0, &[(0, 0.5)]), ["t1 person 0 Confirmed [guests] v1"]);
    assert_eq!(next(&mut scene, 1, &[(0, 0.65)]), ["t1 person 0 Confirmed [blocked, guests] v1"]);
    assert_eq!(next(&mut scene, 2, &[(0, 0.58)]), NOTHING, "not for a hair");
    assert_eq!(
        next(&mut scene, 3, &[(0, 0.5)]),
        ["t1 person 0 Withdrawn [blocked, guests] v1", "t1 person 0 Confirmed [guests] v2"]
    );
    let withdrawn = &scene.log[2];
    assert_eq!((withdrawn.score, withdrawn.threshold), (Some(0.5), 0.6), "the threshold that is missed");
    assert_eq!(next(&mut scene, 4, &[(0, 0.59)]), NOTHING, "what is not held is reached at its threshold");
    assert_eq!(scene.end(1, 5.0), NOTHING);
}

#[test]
fn at_the_end_each_list_holds_strictly() {
    let mut scene = plain(World::of(0..4).on(0, guests()).on(0, blocked()));
    next(&mut scene, 0, &[(0, 0.65)]);
    assert_eq!(next(&mut scene, 1, &[(0, 0.58)]), NOTHING);
    assert_eq!(
        scene.end(1, 2.0),
        ["t1 person 0 Withdrawn [blocked, guests] v1", "t1 person 0 Confirmed [guests] v2"]
    );
}

#[test]
fn a_list_is_added_only_while_it_is_clear_who_it_is() {
    let mut scene = plain(World::of(0..4).on(0, guests()).on(0, blocked()));
    next(&mut scene, 0, &[(0, 0.5)]);
    assert_eq!(next(&mut scene, 1, &[(0, 0.65), (1, 0.63)]), NOTHING, "held as before, and no more");
    assert_eq!(next(&mut scene, 2, &[(0, 0.65)]), ["t1 person 0 Confirmed [blocked, guests] v1"]);
}

#[test]
fn single_shots_agree_against_the_lowest_threshold() {
    let world = World::of(0..4).on(0, list("strict", Some(0.6), 0, Publish::Name)).on(1, staff());
    let mut scene = Scene::with(rules(), world);
    assert_eq!(scene.see(1, 0.0, 0, 0.5), NOTHING);
    assert_eq!(scene.see(1, 0.5, 0, 0.5), ["t1 person 0 Preliminary [strict] v1"], "0.63 fused; none agrees");
    assert_eq!(scene.see(2, 1.0, 1, 0.26), NOTHING);
    assert_eq!(scene.see(2, 1.5, 1, 0.26), ["t2 person 1 Confirmed [staff] v2"], "0.36 fused; both agree");
}

#[test]
fn only_the_best_candidate_is_ever_recognised() {
    let world = || World::of(0..4).on(0, list("strict", Some(0.5), 0, Publish::Name)).on(1, staff());
    // The nearest misses its threshold; the second reaches its own, and is not told from it.
    let mut scene = plain(world());
    (0..3).for_each(|i| assert_eq!(next(&mut scene, i, &[(0, 0.45), (1, 0.42)]), NOTHING));
    assert_eq!(scene.end(1, 3.0), ["t1 Ambiguous v1"]);
    // Clearly further away than somebody it is not: nobody.
    let mut scene = plain(world());
    (0..3).for_each(|i| drop(next(&mut scene, i, &[(0, 0.45), (1, 0.35)])));
    assert_eq!(short(&scene.log[0]), "t1 Unknown v1");
    // And the one that is held loses its place to a better one that is not good enough.
    let mut scene = plain(world());
    assert_eq!(next(&mut scene, 0, &[(1, 0.42)]), ["t1 person 1 Confirmed [staff] v1"]);
    assert_eq!(next(&mut scene, 1, &[(0, 0.45), (1, 0.42)]), ["t1 person 1 Withdrawn [staff] v1"]);
}

#[test]
fn of_the_lists_reached_the_one_that_says_most_counts() {
    let mut scene = plain(World::of(0..4).on(0, staff()).on(0, guests()).on(0, blocked()));
    let mut publish = |sequence, score| {
        next(&mut scene, sequence, &[(0, score)]);
        let last = scene.log.last().unwrap();
        (last.lists.len(), last.publish)
    };
    assert_eq!(publish(0, 0.35), (1, Publish::Nothing));
    assert_eq!(publish(1, 0.45), (2, Publish::Pseudonym));
    assert_eq!(publish(2, 0.65), (3, Publish::Name));
    assert_eq!(scene.log.len(), 3, "the same visit and stage, each with more to say");
    let Verdict::Recognized { name, external_id, .. } = &scene.log[0].verdict else { panic!("recognised") };
    assert_eq!(
        (name.as_deref(), external_id.as_deref()),
        (Some("person 0"), Some("x0")),
        "for the operator's tools"
    );
}

#[test]
fn who_is_recognised_in_silence_is_never_unknown() {
    let mut scene = plain(World::of(0..4).on(0, staff()));
    (0..9).for_each(|i| drop(next(&mut scene, i, &[(0, 0.35)])));
    scene.end(1, 9.0);
    assert_eq!(scene.log.len(), 1);
    assert_eq!(scene.log[0].publish, Publish::Nothing);
}

/// The last withdrawal's name and what may be published of it.
fn withdrawn(scene: &Scene) -> (Option<&str>, Publish) {
    let of = |d: &Decision| match &d.verdict {
        Verdict::Recognized { name, stage: Stage::Withdrawn, .. } => {
            Some((name.as_ref().map(|_| ()), d.publish))
        }
        _ => None,
    };
    let (name, publish) = scene.log.iter().rev().find_map(of).unwrap();
    (name.map(|()| "named"), publish)
}

#[test]
fn a_withdrawal_has_no_name_once_the_identity_is_not_found() {
    let mut scene = plain(World::of(0..4).on(0, blocked()));
    next(&mut scene, 0, &[(0, 0.65)]);
    assert_eq!(scene.change_gallery(World::of(1..4)), ["t1 person 0 Withdrawn [blocked] v1"]);
    assert_eq!(withdrawn(&scene), (None, Publish::Pseudonym));
    assert_eq!(scene.log[1].score, None);

    let mut scene = plain(World::of(0..4).on(0, blocked()));
    next(&mut scene, 0, &[(0, 0.65)]);
    next(&mut scene, 1, &[(0, 0.1)]);
    assert_eq!(withdrawn(&scene), (Some("named"), Publish::Name), "it is still there");

    // What was never said is not taken back aloud, and what was said as a pseudonym stays one.
    for (rule, publish) in [(staff(), Publish::Nothing), (guests(), Publish::Pseudonym)] {
        let mut scene = plain(World::of(0..4).on(0, rule));
        next(&mut scene, 0, &[(0, 0.45)]);
        next(&mut scene, 1, &[(0, 0.1)]);
        assert_eq!(withdrawn(&scene).1, publish);
    }

    // A list that names nobody any more: who heard of it hears that it is over, without the name.
    let mut scene = plain(World::of(0..4).on(0, blocked()));
    next(&mut scene, 0, &[(0, 0.65)]);
    let quiet = ListRule { threshold: Some(0.9), publish: Publish::Nothing, ..blocked() };
    assert_eq!(scene.change_gallery(World::of(0..4).on(0, quiet)), ["t1 person 0 Withdrawn [blocked] v1"]);
    assert_eq!(withdrawn(&scene).1, Publish::Pseudonym);
}

#[test]
fn one_tracks_withdrawal_makes_no_other_speak_of_who_is_gone() {
    let mut scene = plain(World::of(0..4));
    scene.see(1, 0.0, 0, 0.9);
    scene.see(2, 0.1, 0, 0.9);
    assert_eq!(scene.change_gallery(World::of(1..4)), ["t1 person 0 Withdrawn v1"]);
    scene.end(1, 1.0);
    scene.end(2, 1.0);
    let named =
        scene.log.iter().skip(1).any(|d| matches!(&d.verdict, Verdict::Recognized { name: Some(_), .. }));
    assert!(!named, "nothing is said of a name that is gone");
}

#[test]
fn changed_lists_take_effect_on_live_tracks() {
    let mut scene = plain(World::of(0..4).on(0, guests()));
    next(&mut scene, 0, &[(0, 0.5)]);
    assert_eq!(
        scene.change_gallery(World::of(0..4).on(0, guests()).on(0, staff())),
        ["t1 person 0 Confirmed [guests, staff] v1"],
        "onto another list"
    );
    assert_eq!(
        scene.change_gallery(World::of(0..4).on(0, staff())),
        ["t1 person 0 Withdrawn [guests, staff] v1", "t1 person 0 Confirmed [staff] v2"],
        "off a list that was named"
    );
    let strict = ListRule { threshold: Some(0.8), ..staff() };
    assert_eq!(scene.change_gallery(World::of(0..4).on(0, strict)), ["t1 person 0 Withdrawn [staff] v2"]);
    let mut scene = plain(World::of(0..4).on(0, guests()));
    next(&mut scene, 0, &[(0, 0.5)]);
    let named = ListRule { publish: Publish::Name, ..guests() };
    assert_eq!(scene.change_gallery(World::of(0..4).on(0, named)), ["t1 person 0 Confirmed [guests] v1"]);
    assert_eq!(scene.log[1].publish, Publish::Name, "it may be named now");
}

#[test]
fn a_visit_gains_lists_over_its_tracks_and_never_goes_back_to_preliminary() {
    let mut scene = Scene::with(rules(), World::of(0..4).on(0, guests()).on(0, blocked()));
    scene.see(1, 0.0, 0, 0.41);
    assert_eq!(scene.see(1, 0.5, 0, 0.41), ["t1 person 0 Confirmed [guests] v1"]);
    scene.end(1, 1.0);
    assert_eq!(scene.see(2, 2.0, 0, 0.7), NOTHING, "the visit is confirmed, the track not yet");
    assert_eq!(scene.see(2, 2.5, 0, 0.7), ["t2 person 0 Confirmed [blocked, guests] v1"]);
    scene.end(2, 3.0);
    scene.see(3, 4.0, 0, 0.41);
    assert_eq!(scene.see(3, 4.5, 0, 0.41), NOTHING, "all of it was said");
}
