//! Who appears leaves, once, and nothing is told of who may not be told of.

use proptest::prelude::*;

use crate::types::decision::{Appearance, Departure, Undecided, Word};
use crate::types::face::Refusal;

use super::*;

fn left(told: &[Notice], number: u64) -> Departure {
    let of = |notice: &Notice| match notice {
        Notice::Left(left) if left.track.number == number => Some((**left).clone()),
        _ => None,
    };
    let all: Vec<Departure> = told.iter().filter_map(of).collect();
    assert_eq!(all.len(), 1, "track {number} leaves once: {told:?}");
    all[0].clone()
}

fn appeared(told: &[Notice], number: u64) -> Appearance {
    let of = |notice: &Notice| match notice {
        Notice::Appeared(appeared) if appeared.track.number == number => Some(appeared.clone()),
        _ => None,
    };
    told.iter().find_map(of).expect("it appeared")
}

/// The number of the person in a word, if it names one.
fn named(departure: &Departure) -> Option<u128> {
    match departure.word.as_ref()?.verdict {
        Verdict::Recognized { identity, .. } => Some(identity.0.as_u128() - 1),
        _ => None,
    }
}

fn list(name: &str, publish: Publish) -> ListRule {
    ListRule { name: name.into(), threshold: None, priority: 0, publish }
}

#[test]
fn one_visit_id_joins_who_appears_is_recognised_and_leaves() {
    let mut scene = Scene::new();
    scene.appear(1, 0.5);
    assert_eq!(scene.see(1, 0.5, 0, 0.9), ["t1 person 0 Preliminary v1"]);
    assert_eq!(scene.see(1, 1.0, 0, 0.9), ["t1 person 0 Confirmed v1"]);
    scene.end(1, 2.0);
    assert_eq!(appeared(&scene.told, 1).visit.as_u128(), 1);
    let left = left(&scene.told, 1);
    assert_eq!((left.visit.as_u128(), named(&left), left.shots), (1, Some(0), 2));
    assert_eq!((left.first_seen, left.last_seen), (at(0.0), at(2.0)));
}

#[test]
fn somebody_unknown_keeps_the_visit_id() {
    let mut scene = Scene::new();
    scene.appear(1, 0.0);
    for second in 0..3 {
        scene.see(1, f64::from(second), 0, 0.1);
    }
    scene.end(1, 3.0);
    assert_eq!(scene.log.iter().map(short).collect::<Vec<_>>(), ["t1 Unknown v1"]);
    let left = left(&scene.told, 1);
    assert_eq!(left.visit.as_u128(), 1);
    assert_eq!(left.word.expect("it may be told").verdict, Verdict::Unknown);
}

#[test]
fn a_track_that_continues_a_visit_leaves_with_it() {
    let mut scene = Scene::new();
    for number in [1, 2] {
        let start = 5.0 * number as f64;
        scene.appear(number, start);
        scene.see(number, start, 0, 0.9);
        scene.see(number, start + 1.0, 0, 0.9);
        scene.end(number, start + 2.0);
    }
    assert!(scene.log.iter().all(|d| d.track.number == 1), "the second track says nothing again");
    assert_ne!(appeared(&scene.told, 2).visit.as_u128(), 1);
    let left = left(&scene.told, 2);
    assert_eq!((left.visit.as_u128(), named(&left)), (1, Some(0)), "and who it was is told all the same");
}

#[test]
fn of_who_is_on_a_silent_list_only_that_somebody_was_there_is_told() {
    let world = World::of(0..4).on(0, list("staff", Publish::Nothing));
    let mut scene = Scene::with(rules(), world);
    scene.appear(1, 0.0);
    scene.see(1, 0.0, 0, 0.9);
    scene.see(1, 1.0, 0, 0.9);
    scene.end(1, 2.0);
    let first = left(&scene.told, 1);
    assert_eq!((first.word, first.visit.as_u128()), (None, 1));

    // Who was called unknown before stays that: anything else would tell.
    scene.appear(2, 60.0);
    for second in 60..63 {
        scene.see(2, f64::from(second), 1, 0.1);
    }
    for second in 63..73 {
        scene.see(2, f64::from(second), 0, 0.95);
    }
    scene.end(2, 74.0);
    let last = scene.log.last().expect("a decision");
    assert!(matches!(last.verdict, Verdict::Recognized { .. }) && last.publish == Publish::Nothing);
    let word = left(&scene.told, 2).word.expect("what was published");
    assert_eq!(word.verdict, Verdict::Unknown);
}

#[test]
fn a_list_that_is_silenced_meanwhile_silences_the_end() {
    let mut scene = Scene::with(rules(), World::of(0..4).on(0, list("vip", Publish::Name)));
    scene.appear(1, 0.0);
    scene.see(1, 0.0, 0, 0.9);
    scene.see(1, 1.0, 0, 0.9);
    scene.change_gallery(World::of(0..4).on(0, list("vip", Publish::Nothing)));
    scene.end(1, 2.0);
    assert_eq!(left(&scene.told, 1).word, None);
    scene.appear(2, 100.0);
    scene.change_gallery(World::of(0..4).on(0, list("vip", Publish::Pseudonym)));
    scene.see(2, 100.0, 0, 0.9);
    scene.end(2, 102.0);
    let word = left(&scene.told, 2).word.expect("a pseudonym");
    assert_eq!((word.publish, &*word.lists[0]), (Publish::Pseudonym, "vip"));
}

#[test]
fn who_is_never_seen_well_leaves_too() {
    let mut scene = Scene::new();
    scene.appear(1, 0.0);
    scene.decider.refused(&track(1), Refusal::Blurred);
    scene.end(1, 1.0);
    let left = left(&scene.told, 1);
    let undecided = Verdict::Undecided { reason: Undecided::NoGoodShot, refusal: Some(Refusal::Blurred) };
    assert_eq!((left.word.expect("undecided").verdict, left.shots), (undecided, 0));
    assert_eq!(scene.log[0].visit, left.visit);
}

#[test]
fn whoever_is_crowded_out_or_left_over_leaves() {
    let mut scene = Scene::new();
    let many = MAX_TRACKS as u64 + 10;
    for number in 0..many {
        scene.decider.appeared(
            &track(number),
            Sight { since: at(0.0), captured: at(1.0), sequence: 1, bbox: Rect::new(0.0, 0.0, 4.0, 5.0) },
        );
    }
    let finished = scene.decider.finish();
    let gone = finished.iter().filter(|notice| matches!(notice, Notice::Left(_))).count();
    assert_eq!(gone, MAX_TRACKS, "the other ten were ended when there was no room");
    assert_eq!(scene.decider.load().0, 0);
    assert!(scene.decider.finish().is_empty());
    assert!(scene.appear(many - 1, 2.0).is_empty(), "a track that is over does not appear again");
}

/// Checks what is told of each track: appeared, then decisions, then left, which agrees with them.
/// `worlds` are the galleries by the number of notices that were told before.
fn check_presence(told: &[Notice], worlds: &[(usize, World)]) -> Result<(), String> {
    let mut seen: BTreeSet<Uuid> = BTreeSet::new();
    let mut open: HashMap<TrackId, (Uuid, Option<Decision>, bool)> = HashMap::new();
    let mut over: BTreeSet<TrackId> = BTreeSet::new();
    for (i, notice) in told.iter().enumerate() {
        match notice {
            Notice::Appeared(appeared) => {
                let fresh = seen.insert(appeared.visit) && !over.contains(&appeared.track);
                let first = open.insert(appeared.track.clone(), (appeared.visit, None, true));
                if !fresh || first.is_some() {
                    return Err(format!("{} appeared again, or under an old id", appeared.track));
                }
            }
            Notice::Decided(decision) => {
                let Some((own, last, first)) = open.get_mut(&decision.track) else {
                    return Err(format!("{} was not there", short(decision)));
                };
                if *first && decision.visit != *own && !seen.contains(&decision.visit) {
                    return Err(format!("{} is joined to nothing", short(decision)));
                }
                (*last, *first) = (Some((**decision).clone()).filter(told_of).or(last.take()), false);
                seen.insert(decision.visit);
            }
            Notice::Left(left) => {
                let Some((_, last, _)) = open.remove(&left.track) else {
                    return Err(format!("{} left without having appeared", left.track));
                };
                over.insert(left.track.clone());
                let world = worlds.iter().rev().find(|(before, _)| *before <= i);
                agrees(left, last.as_ref(), &world.ok_or("no world")?.1)?;
            }
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("never left: {:?}", open.keys())) }
}

fn told_of(decision: &Decision) -> bool {
    decision.publish > Publish::Nothing
}

/// What is told at the end against what was told last.
fn agrees(left: &Departure, last: Option<&Decision>, world: &World) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{why}: {left:?} after {:?}", last.map(short)));
    match (left.word.as_ref(), last.map(|last| &last.verdict)) {
        (Some(word), _) if word.publish == Publish::Nothing => wrong("nothing may be said"),
        (Some(Word { verdict: Verdict::Recognized { identity, .. }, publish, .. }), before) => {
            let number = (identity.0.as_u128() - 1) as usize;
            let lists = world.lists.get(&number).cloned().unwrap_or_default();
            let allowed = lists.iter().map(|rule| rule.publish).max().unwrap_or_default();
            if *publish > allowed {
                return wrong("more than the lists allow");
            }
            match before {
                Some(Verdict::Recognized { identity: before, stage, .. })
                    if before != identity && *stage != Stage::Withdrawn =>
                {
                    wrong("another identity")
                }
                _ => Ok(()),
            }
        }
        (Some(word), Some(before)) if word.verdict == *before => Ok(()),
        (Some(_), _) => wrong("another verdict"),
        (None, Some(Verdict::Unknown | Verdict::Undecided { .. })) => wrong("what was said is missing"),
        (None, _) => Ok(()),
    }
}

fn any_list() -> impl Strategy<Value = (usize, ListRule)> {
    let publish = prop::sample::select(vec![Publish::Nothing, Publish::Pseudonym, Publish::Name]);
    (0usize..3, 0u8..3, prop::option::of(0.2f32..0.7), publish).prop_map(|(who, name, threshold, publish)| {
        let rule = ListRule { name: format!("list {name}").into(), threshold, priority: 0, publish };
        (who, rule)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any history, with ends that are told and ends that are not, and with lists that are silenced on the way.
    #[test]
    fn who_appears_leaves_once_and_says_what_may_be_said(
        lists in prop::collection::vec(any_list(), 0..6),
        silent: bool,
        steps in prop::collection::vec((0u64..4, 0u8..12, 0usize..3, 0.0f32..0.9), 1..60),
    ) {
        let mut world = World::of(0..3);
        for (who, rule) in &lists {
            let known = world.lists.get(who).is_some_and(|all| all.iter().any(|known| known.name == rule.name));
            world = if known { world } else { world.on(*who, rule.clone()) };
        }
        let mut scene =
            Scene::with(config::Decide { cooldown: Duration::from_secs(3), ..rules() }, world.clone());
        let mut generation = [0u64; 4];
        let mut begun = BTreeSet::new();
        let mut worlds = vec![(0, world.clone())];
        for (i, &(slot, action, who, score)) in steps.iter().enumerate() {
            let seconds = 0.5 * i as f64;
            let number = slot + 4 * generation[slot as usize];
            if action > 1 && begun.insert(number) {
                prop_assert_eq!(scene.appear(number, seconds).len(), 1);
                prop_assert!(scene.appear(number, seconds).is_empty(), "once");
            }
            match action {
                0 if begun.contains(&number) => {
                    scene.end(number, seconds);
                    generation[slot as usize] += 1;
                }
                1 => {
                    world = World { identities: (0..3).filter(|i| *i != who || score > 0.4).collect(), ..world };
                    if silent && score < 0.2 {
                        let hush = |rule: &Arc<ListRule>| Arc::new(ListRule { publish: Publish::Nothing, ..(**rule).clone() });
                        let hushed = world.lists.get(&who).map(|all| all.iter().map(hush).collect());
                        world.lists.extend(hushed.map(|all| (who, all)));
                    }
                    worlds.push((scene.told.len(), world.clone()));
                    scene.change_gallery(world.clone());
                }
                2 => drop(scene.decider.refused(&track(number), Refusal::Blurred)),
                0 => {}
                _ => drop(scene.see(number, seconds, who, score)),
            }
        }
        let made = scene.decider.finish();
        scene.note(made);
        if let Err(why) = check_presence(&scene.told, &worlds) {
            return Err(TestCaseError::fail(why));
        }
    }
}

#[test]
fn the_check_sees_what_it_is_for() {
    let mut scene = Scene::new();
    scene.appear(1, 0.0);
    scene.see(1, 0.0, 0, 0.9);
    scene.end(1, 2.0);
    let world = [(0, World::of(0..4))];
    assert_eq!(check_presence(&scene.told, &world), Ok(()));
    let mut twice = scene.told.clone();
    twice.push(scene.told.last().expect("left").clone());
    assert!(check_presence(&twice, &world).is_err(), "left twice");
    assert!(check_presence(&scene.told[..scene.told.len() - 1], &world).is_err(), "never left");
    assert!(check_presence(&scene.told[1..], &world).is_err(), "never appeared");
    let silent = [(0, World::of(0..4).on(0, list("staff", Publish::Nothing)))];
    assert!(check_presence(&scene.told, &silent).is_err(), "told of who may not be told of");
}
