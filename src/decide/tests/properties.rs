//! What must hold for any history, on embeddings clustered by identity.

use proptest::prelude::*;

use crate::types::face::Refusal;

use super::super::evidence::{Evidence, Weighing};
use super::super::judge::{Outcome, judge};
use super::*;

/// A unit vector of independent numbers.
fn direction(random: &mut fastrand::Rng) -> Vec<f32> {
    let mut vector: Vec<f32> =
        (0..DIMENSIONS).map(|_| (0..12).map(|_| random.f32()).sum::<f32>() - 6.0).collect();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

/// A shot of `identity` as a model gives it: its template with noise that brings the score to about `score`, and
/// small scores for everybody else.
fn noisy(
    random: &mut fastrand::Rng,
    identity: usize,
    score: f32,
    sequence: u64,
    seconds: f64,
    quality: f32,
) -> Shot {
    let mut vector = direction(random);
    let noise = (1.0 - score * score).max(0.0).sqrt();
    vector.iter_mut().for_each(|x| *x *= noise);
    vector[identity] += score;
    Shot { embedding: Embedding::new(MODEL, vector).unwrap(), ..shot(sequence, seconds, &[], quality) }
}

/// The verdict that a track's events leave.
fn last_word(log: &[Decision], number: u64) -> Option<String> {
    let last = log.iter().rfind(|decision| decision.track.number == number)?;
    Some(short(last).rsplit_once(" v").unwrap().0.to_owned())
}

/// Fusion, and numbers of shots: small enough that shots are displaced and stages differ.
fn any_rules() -> impl Strategy<Value = config::Decide> {
    let fusion = prop::sample::select(vec![config::Fusion::Mean, config::Fusion::Quality]);
    (1u32..6, fusion, 1u32..4, 1u32..6).prop_map(|(fuse, fusion, confirm, fair_shots)| config::Decide {
        fuse,
        fusion,
        confirm,
        fair_shots,
        ..rules()
    })
}

/// Lists of three identities, some at thresholds of their own.
fn any_lists() -> impl Strategy<Value = Vec<(usize, ListRule)>> {
    let publish = prop::sample::select(vec![Publish::Nothing, Publish::Pseudonym, Publish::Name]);
    let rule = (0usize..3, 0u8..4, prop::option::of(0.2f32..0.7), 0i32..3, publish);
    let rule = rule.prop_map(|(who, name, threshold, priority, publish)| {
        (who, ListRule { name: format!("list {name}").into(), threshold, priority, publish })
    });
    prop::collection::vec(rule, 0..6)
}

/// With these lists; an identity is on each at most once.
fn with_lists(world: World, lists: &[(usize, ListRule)]) -> World {
    lists.iter().fold(world, |world, (who, rule)| {
        let known =
            world.lists.get(who).is_some_and(|rules| rules.iter().any(|known| known.name == rule.name));
        if known { world } else { world.on(*who, rule.clone()) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The same set of shots in any order leaves the same verdict. Who is shown is mixed on purpose: one track
    /// of two people is where an order could matter most.
    #[test]
    fn the_order_of_shots_does_not_change_the_final_verdict(
        rules in any_rules(),
        lists in any_lists(),
        seed: u64,
        shots in prop::collection::vec((0usize..2, 0.2f32..0.7, 0u8..10), 1..10),
        order: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut shots: Vec<Shot> = shots
            .iter()
            .enumerate()
            .map(|(i, &(who, score, quality))| {
                noisy(&mut random, who, score, i as u64, 0.3 * i as f64, f32::from(quality) / 10.0)
            })
            .collect();
        let verdict = |shots: &[Shot]| {
            let mut scene = Scene::with(rules.clone(), with_lists(World::of(0..4), &lists));
            for shot in shots {
                scene.shot(1, shot.clone());
            }
            scene.end(1, 3.0);
            last_word(&scene.log, 1)
        };
        let first = verdict(&shots);
        prop_assert!(first.is_some());
        fastrand::Rng::with_seed(order).shuffle(&mut shots);
        prop_assert_eq!(first, verdict(&shots));
    }

    /// What is true of a weighted mean of unit vectors, normalised: with one template, a fused score of at least 0
    /// and room among the fused shots, a shot that scores at least the fused score never lowers it. (The mean's
    /// numerator grows by w * s, its length by at most w: the triangle inequality.) With one identity in the
    /// gallery the verdict cannot fall either. Not true in general: a better shot may displace one that scored
    /// higher, and with several identities a shot may help the second more than the first.
    #[test]
    fn a_shot_that_scores_no_less_never_lowers_the_score(
        rules in any_rules(),
        seed: u64,
        qualities in prop::collection::vec(0.0f32..1.0, 1..8),
        more in 0.0f32..0.3,
        quality in 0.0f32..1.0,
    ) {
        let world = World::of([0]);
        let search = |probe: &Embedding| world.search(probe);
        let rules = config::Decide { fuse: 20, ..rules };
        let how = Weighing { fuse: 20, fusion: rules.fusion, keep: 20, base: base() };
        let mut random = fastrand::Rng::with_seed(seed);
        let mut evidence = Evidence::default();
        for (i, quality) in qualities.iter().enumerate() {
            let score = random.f32() * 0.6;
            evidence.add(noisy(&mut random, 0, score, i as u64, i as f64, *quality), &how, &search);
        }
        let before = evidence.score_of(person(0)).unwrap().0;
        let verdict_before = judge(&evidence, &rules, &base(), None);
        prop_assume!(before >= 0.0);

        // Exactly `before + more` on the template's axis, and any direction otherwise.
        let score = (before + more).min(1.0);
        let mut vector = direction(&mut random);
        vector[0] = 0.0;
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x *= (1.0 - score * score).max(0.0).sqrt() / length);
        vector[0] = score;
        let embedding = Embedding::new(MODEL, vector).unwrap();
        evidence.add(Shot { embedding, ..shot(99, 99.0, &[], quality) }, &how, &search);

        let after = evidence.score_of(person(0)).unwrap().0;
        prop_assert!(after >= before - 1e-6, "{before} fell to {after}");
        if let Outcome::Recognized { stage, .. } = verdict_before
            && (before - THRESHOLD).abs() > 1e-5
        {
            let Outcome::Recognized { stage: now, .. } = judge(&evidence, &rules, &base(), None) else {
                return Err(TestCaseError::fail("the recognition was lost"));
            };
            prop_assert!(stage == Stage::Preliminary || now == Stage::Confirmed);
        }
    }

    /// Any history of several tracks, with ends and galleries that change, publishes only legal sequences, by track
    /// and by visit (`Scene` checks after each call), and no ended track's last word is a withdrawal.
    #[test]
    fn any_history_is_legal(
        rules in any_rules(),
        lists in any_lists(),
        other_lists in any_lists(),
        seed: u64,
        steps in prop::collection::vec((0u64..4, 0u8..12, 0usize..3, 0.2f32..0.8, 0u8..10), 1..60),
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = with_lists(World::of(0..3), &lists);
        let mut scene = Scene::with(config::Decide { cooldown: Duration::from_secs(3), ..rules }, world);
        let mut generation_of = [0u64; 4];
        for (i, &(slot, action, who, score, quality)) in steps.iter().enumerate() {
            let seconds = 0.5 * i as f64;
            let number = slot + 4 * generation_of[slot as usize];
            match action {
                0 => {
                    scene.end(number, seconds);
                    generation_of[slot as usize] += 1;
                }
                1 => {
                    scene.change_gallery(with_lists(World::of((0..3).filter(|&i| i != who)), &other_lists));
                }
                2 => {
                    scene.change_gallery(with_lists(World::of(0..3), &lists));
                }
                3 => {
                    let made = scene.decider.refused(&track(number), Refusal::Blurred);
                    prop_assert!(made.is_empty());
                }
                _ => {
                    let quality = f32::from(quality) / 10.0;
                    scene.shot(number, noisy(&mut random, who, score, i as u64, seconds, quality));
                }
            }
        }
        for slot in 0..4 {
            scene.end(slot + 4 * generation_of[slot as usize], 0.5 * steps.len() as f64);
        }
        prop_assert_eq!(scene.decider.load().0, 0, "nothing of an ended track is kept");
        let last: HashMap<u64, &Decision> = scene.log.iter().map(|d| (d.track.number, d)).collect();
        for decision in last.into_values() {
            let withdrawn = matches!(decision.verdict, Verdict::Recognized { stage: Stage::Withdrawn, .. });
            prop_assert!(!withdrawn, "{} is no final verdict", short(decision));
        }
        for decision in &scene.log {
            let recognized = matches!(decision.verdict, Verdict::Recognized { .. });
            prop_assert!(recognized || (decision.lists.is_empty() && decision.publish == Publish::Name));
            if let Verdict::Recognized { name: None, stage, .. } = &decision.verdict {
                prop_assert!(*stage == Stage::Withdrawn && decision.publish < Publish::Name);
            }
        }
    }

    /// One identity that comes and goes: as many visits as there are gaps longer than the cool-down.
    #[test]
    fn the_cooldown_counts_exactly(
        stays in prop::collection::vec((0u32..8_000, prop_oneof![0u32..60_000, Just(30_000u32), Just(30_001u32)]), 1..20),
    ) {
        let mut scene = Scene::with(config::Decide { confirm: 1, ..rules() }, World::of(0..4));
        let (mut now, mut expected, mut sequence) = (0u32, 1, 0);
        for (number, &(stay, gap)) in stays.iter().enumerate() {
            let seconds = |ms: u32| f64::from(ms) / 1000.0;
            let texts = scene.shot(number as u64, shot(sequence, seconds(now), &[(0, 0.9)], 0.5));
            prop_assert!(number > 0 || texts.len() == 1);
            sequence += 1;
            now += stay;
            scene.end(number as u64, seconds(now));
            now += gap;
            expected += usize::from(gap > 30_000 && number + 1 < stays.len());
        }
        prop_assert_eq!(scene.log.len(), expected);
        let visits: std::collections::HashSet<_> = scene.log.iter().map(|d| d.visit).collect();
        prop_assert_eq!(visits.len(), expected, "each with an id of its own");
    }
}
