//! A hundred thousand searches for people who were forgotten.

use std::path::Path;

use crate::faults::{fail_at, quick_folder};
use crate::gallery::access::open;
use crate::gallery::driver::{Job, acks};
use crate::gallery::judge::judge;
use crate::gallery::model::{State, Step};
use crate::gallery::models::{near, template};
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
            match gone {
                30 => steps.push(Step::Switch { model: 2 }),
                // The templates of the model before are searched again, but for those of the forgotten.
                60 => steps.push(Step::Rollback),
                _ => {}
            }
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

/// What searches found.
#[derive(Default)]
struct Tally {
    probes: usize,
    /// Those whose best candidate scores above 0.3.
    near: usize,
    /// Candidates who were forgotten.
    returned: usize,
}

impl Tally {
    /// Probes of those who are forgotten: from the enrolled picture itself to another picture of the same face and beyond.
    fn search(&mut self, folder: &Path, state: &State, probes: usize, rng: &mut fastrand::Rng) {
        let keeper = open(folder).expect("a gallery");
        let snapshot = keeper.shared().current();
        let model = state.held.model;
        let gone: Vec<u64> =
            state.forgotten.values().map(|pictures| pictures.first().expect("a picture") / 100).collect();
        for _ in 0..probes {
            let probe = near(model, *rng.choice(&gone).expect("somebody"), rng.u64(..), rng.f32());
            let found = snapshot.nearest_of_all(&probe, 5);
            self.probes += 1;
            self.near += usize::from(found.first().is_some_and(|candidate| candidate.score > 0.3));
            let searched = snapshot.search(&probe, 5).candidates;
            let all = found.iter().chain(&searched);
            self.returned += all.filter(|found| state.forgotten.contains_key(&*found.name)).count();
        }
        // The same search does find who is there.
        for person in state.held.people.values() {
            for picture in person.pictures(model) {
                assert!(snapshot.search(&template((picture, model)), 1).candidates[0].score > 0.999);
            }
        }
    }
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
    let all = how_many("WATCHLISTD_PROBES", 100_000);
    let mut tally = Tally::default();
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
        if !possible[found].forgotten.is_empty() {
            tally.search(folder.path(), possible[found], all / 40, &mut rng);
        }
        let reached = part.iter().position(|(_, after)| std::ptr::eq(after, possible[found]));
        done += reached.map_or(0, |at| at + 1);
        std::fs::remove_file(folder.path().join("acks")).unwrap_or_default();
    }

    let last = &steps.last().expect("steps").1;
    assert_eq!((last.held.people.len(), last.forgotten.len()), (PEOPLE as usize - FORGOTTEN, FORGOTTEN));
    let between = tally.probes;
    tally.search(folder.path(), last, all.saturating_sub(between), &mut rng);
    let Tally { probes, near, returned } = tally;
    eprintln!(
        "{PEOPLE} people, {FORGOTTEN} forgotten, {openings} openings, {kills} kills; {probes} probes, {between} of them between \
         the openings: {returned} return somebody who was forgotten ({near} score above 0.3 with somebody else)"
    );
    assert!(kills > 10 && between > 0 && probes >= all);
    assert_eq!(returned, 0);
}
