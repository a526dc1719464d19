//! A hundred thousand searches for people who were forgotten.

use std::collections::BTreeSet;

use crate::faults::{fail_at, quick_folder};
use crate::gallery::access::{near, open, template};
use crate::gallery::driver::{Job, acks};
use crate::gallery::judge::judge;
use crate::gallery::model::{State, Step};
use crate::{aside, how_many};

const PEOPLE: u64 = 200;
const FORGOTTEN: usize = 100;

/// Everybody is enrolled, half of them are forgotten at any moment between, in an order from a seed.
fn story(rng: &mut fastrand::Rng) -> Vec<Step> {
    let name = |number: u64| format!("Person {number}");
    let mut there: Vec<u64> = Vec::new();
    let mut coming: Vec<u64> = (1..=PEOPLE).collect();
    let mut steps = Vec::new();
    let mut gone = 0;
    rng.shuffle(&mut coming);
    while !coming.is_empty() || gone < FORGOTTEN {
        let forgets = gone < FORGOTTEN && !there.is_empty() && (coming.is_empty() || rng.u8(..3) == 0);
        if forgets {
            let number = there.swap_remove(rng.usize(..there.len()));
            steps.push(Step::Forget { name: name(number) });
            gone += 1;
        } else if let Some(number) = coming.pop() {
            for k in 0..2 {
                let picture = number * 100 + k;
                steps.push(Step::Enrol { name: name(number), external_id: None, pending: false, picture });
            }
            there.push(number);
        }
    }
    steps
}

#[test]
fn nobody_who_was_forgotten_is_returned_in_a_hundred_thousand_probes() {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut state = State::new();
    let states = story(&mut rng).into_iter().map(|step| {
        state = state.after(&step);
        (step, state.clone())
    });
    let steps: Vec<(Step, State)> = states.collect();

    let folder = quick_folder();
    let start = State::new();
    let (mut done, mut kills, mut openings) = (0, 0, 0);
    while done < steps.len() {
        let before = done.checked_sub(1).map_or(&start, |at| &steps[at].1);
        // As far as a kill at any operation lets it, at most fifty commands between two openings.
        let part = &steps[done..steps.len().min(done + 50)];
        let job = Job { before, steps: part, aside: aside(), closes: rng.bool() };
        let fault = format!("KILL:{}", rng.u32(1..1200));
        let (output, counts) = fail_at(&fault, &mut job.in_folder(folder.path()), folder.path());
        openings += 1;
        kills += usize::from(!output.status.success());
        assert_eq!(
            output.status.success(),
            counts.failures == 0,
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let possible = job.possible(&acks(folder.path()));
        let found =
            judge(folder.path(), &possible).unwrap_or_else(|wrong| panic!("{fault} after {done}: {wrong}"));
        let reached = part.iter().position(|(_, after)| std::ptr::eq(after, possible[found]));
        done += reached.map_or(0, |at| at + 1);
        std::fs::remove_file(folder.path().join("acks")).unwrap_or_default();
    }

    let last = &steps.last().expect("steps").1;
    assert_eq!((last.held.people.len(), last.forgotten.len()), (PEOPLE as usize - FORGOTTEN, FORGOTTEN));
    let keeper = open(folder.path()).expect("a gallery");
    let snapshot = keeper.shared().current();
    let gone: Vec<(&String, u64)> = last
        .forgotten
        .iter()
        .map(|(name, pictures)| (name, pictures.first().expect("a picture") / 100))
        .collect();
    let names: BTreeSet<&str> = gone.iter().map(|(name, _)| name.as_str()).collect();
    let here: Vec<u64> =
        last.held.people.values().flat_map(|person| person.pictures.iter().copied()).collect();
    let (mut probes, mut near_ones, mut returned) = (0, 0, 0);
    for _ in 0..how_many("WATCHLISTD_PROBES", 100_000) {
        let (_, number) = *rng.choice(&gone).expect("somebody");
        // From the enrolled picture itself to another picture of the same face and beyond.
        let probe = near(number, rng.u64(..), rng.f32());
        let found = snapshot.nearest_of_all(&probe, 5);
        probes += 1;
        near_ones += usize::from(found.first().is_some_and(|candidate| candidate.score > 0.3));
        returned += found.iter().filter(|candidate| names.contains(&*candidate.name)).count();
        returned += snapshot.search(&probe, 5).candidates.iter().filter(|c| names.contains(&*c.name)).count();
    }
    // The same search does find who is there.
    let finds = |&picture: &u64| snapshot.search(&template(picture), 1).candidates[0].score > 0.999;
    assert!(here.iter().all(finds));
    eprintln!(
        "{PEOPLE} people, {FORGOTTEN} forgotten, {openings} openings, {kills} kills; {probes} probes: {returned} return somebody \
         who was forgotten ({near_ones} score above 0.3 with somebody else)"
    );
    assert_eq!(returned, 0);
}
