//! Three years in a few seconds, any history against a model that has no queue, and clocks that are set.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::SignedDuration;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::base::clock::{Clock, SimulatedClock};
use crate::gallery::name::Name;

const DAY: u64 = 86_400;

fn person(number: u128) -> IdentityId {
    IdentityId(Uuid::from_u128(number + 1))
}

fn record(from: Option<Timestamp>, until: Option<Timestamp>) -> Record {
    let name = Name::new("Ana").expect("a name");
    Record { valid_from: from, valid_until: until, ..Record::new(name) }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a moment")
}

fn moment(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

#[test]
fn a_life_has_two_steps_and_neither_is_early() {
    let mut schedule = Schedule::new();
    let (from, until) = (moment("2028-02-29T00:00:00Z"), moment("2028-03-01T00:00:00Z"));
    schedule.set(person(0), &record(Some(from), Some(until)), Standing::Pending);
    let hair = Duration::from_nanos(1);
    assert_eq!(schedule.next(), Some(from));
    assert_eq!(schedule.due(from - hair), []);
    assert_eq!(schedule.wait(from - hair), hair);
    let step = |from, to, due| Transition { id: person(0), from, to, due };
    assert_eq!(schedule.due(from), [step(Standing::Pending, Standing::Active, from)]);
    assert_eq!((schedule.due(from), schedule.next()), (vec![], Some(until)));
    assert_eq!(schedule.due(until - hair), []);
    assert_eq!(schedule.due(until), [step(Standing::Active, Standing::Expired, until)]);
    assert_eq!((schedule.due(until), schedule.next(), schedule.len()), (vec![], None, 1));
    assert_eq!(schedule.wait(until), MAX_WAIT);
    schedule.remove(person(0));
    assert!(schedule.is_empty());
}

#[test]
fn both_passed_unseen_are_one_step_that_says_so() {
    let mut schedule = Schedule::new();
    schedule.set(person(0), &record(Some(at(100)), Some(at(200))), Standing::Pending);
    let step = Transition { id: person(0), from: Standing::Pending, to: Standing::Expired, due: at(200) };
    assert_eq!(schedule.due(at(500)), [step]);
    assert_eq!(schedule.due(at(500)), []);
}

#[test]
fn the_sleep_is_short_before_a_step_and_never_long() {
    let mut schedule = Schedule::new();
    assert_eq!(schedule.wait(at(0)), MAX_WAIT, "nobody is there");
    schedule.set(person(0), &record(None, Some(at(1_000))), Standing::Active);
    assert_eq!(schedule.wait(at(0)), MAX_WAIT, "the clock may be set meanwhile");
    assert_eq!(schedule.wait(at(990)), Duration::from_secs(10));
    assert_eq!(schedule.wait(at(1_000)), Duration::ZERO);
    assert_eq!(schedule.wait(Timestamp::MAX), Duration::ZERO);
    assert_eq!(schedule.wait(Timestamp::MIN), MAX_WAIT);
}

#[test]
fn a_clock_that_goes_back_brings_nobody_back() {
    let mut schedule = Schedule::new();
    let limited = record(Some(at(100)), Some(at(200)));
    schedule.set(person(0), &limited, Standing::Pending);
    schedule.set(person(1), &record(Some(at(100)), None), Standing::Pending);
    assert_eq!(schedule.due(at(300)).len(), 2);
    for now in [50, 150, 200, 300] {
        assert_eq!(schedule.due(at(now)), [], "at {now}");
    }
    // Only another validity does; another name does not.
    let renamed = Record { name: Name::new("Anna").expect("a name"), ..limited.clone() };
    assert_eq!(standing_after_change(&limited, Standing::Expired, &renamed, at(150)), Standing::Expired);
    let longer = Record { valid_until: Some(at(201)), ..limited.clone() };
    let standing = standing_after_change(&limited, Standing::Expired, &longer, at(150));
    assert_eq!(standing, Standing::Active);
    schedule.set(person(0), &longer, standing);
    assert_eq!(schedule.due(at(200)), []);
    assert_eq!(schedule.due(at(201)).len(), 1);
    let later = Record { valid_from: Some(at(500)), valid_until: None, ..limited.clone() };
    assert_eq!(standing_after_change(&limited, Standing::Expired, &later, at(150)), Standing::Pending);
}

#[test]
fn what_could_not_be_stored_is_due_again() {
    let mut schedule = Schedule::new();
    schedule.set(person(0), &record(Some(at(100)), Some(at(200))), Standing::Pending);
    schedule.set(person(1), &record(None, Some(at(90))), Standing::Active);
    let steps = schedule.due(at(100));
    assert_eq!(
        steps.iter().map(|step| step.id).collect::<Vec<_>>(),
        [person(1), person(0)],
        "by when it was due"
    );
    schedule.put_back(&steps);
    assert_eq!(schedule.wait(at(100)), Duration::ZERO);
    assert_eq!(schedule.due(at(100)), steps);
    // Who was changed or removed meanwhile is left alone.
    schedule.set(person(0), &record(None, None), Standing::Active);
    schedule.remove(person(1));
    schedule.put_back(&[Transition { to: Standing::Expired, ..steps[1] }, steps[0]]);
    assert_eq!((schedule.next(), schedule.len()), (None, 1));
}

#[test]
fn a_pending_identity_without_a_start_is_overdue() {
    let mut schedule = Schedule::new();
    schedule.set(person(0), &record(None, Some(at(200))), Standing::Pending);
    let steps = schedule.due(at(100));
    assert_eq!((steps[0].to, steps[0].due), (Standing::Active, at(100)));
    assert_eq!(schedule.next(), Some(at(200)));
}

/// Instants near each other, so that they meet.
fn instant() -> impl Strategy<Value = Option<Timestamp>> {
    prop::option::weighted(0.8, (0i64..60).prop_map(at))
}

proptest! {
    /// Any order of changes, removals and looks, with a clock that goes where it likes, against one pass over everybody.
    #[test]
    fn any_history_equals_a_pass_over_everybody(
        steps in prop::collection::vec((0u8..8, 0u128..6, instant(), instant(), 0i64..60), 1..60),
    ) {
        let mut schedule = Schedule::new();
        let mut model: BTreeMap<IdentityId, (Record, Standing)> = BTreeMap::new();
        for (action, who, from, until, now) in steps {
            let now = at(now);
            match action {
                0 => {
                    schedule.remove(person(who));
                    model.remove(&person(who));
                }
                1..=3 => {
                    let standing = [Standing::Pending, Standing::Active, Standing::Expired][action as usize - 1];
                    schedule.set(person(who), &record(from, until), standing);
                    model.insert(person(who), (record(from, until), standing));
                }
                _ => {
                    let made = schedule.due(now);
                    let mut seen = HashSet::new();
                    for step in &made {
                        prop_assert!(seen.insert(step.id) && step.due <= now && step.from < step.to);
                    }
                    for (id, (record, standing)) in &mut model {
                        let expected = record.standing_at(now).max(*standing);
                        let step = made.iter().find(|step| step.id == *id);
                        prop_assert_eq!(step.map_or(*standing, |step| step.to), expected);
                        prop_assert_eq!(step.map_or(*standing, |step| step.from), *standing);
                        *standing = expected;
                    }
                    prop_assert!(seen.iter().all(|id| model.contains_key(id)));
                    prop_assert!(schedule.next().is_none_or(|next| next > now));
                }
            }
            prop_assert_eq!(schedule.len(), model.len());
        }
    }
}

/// What the store would hold of an identity, and since when.
struct Stored {
    record: Record,
    standing: Standing,
    /// Counts the changes of its validity.
    revision: u32,
    /// Standing and moments when this validity was set: uptime and wall.
    first: Standing,
    set: (Duration, Timestamp),
}

/// A box: its clock, which somebody sets forward now and then, its store, and the steps that were taken.
struct Simulation {
    random: fastrand::Rng,
    clock: SimulatedClock,
    /// What the clock was set forward by, in all.
    ahead: SignedDuration,
    /// Uptime and wall at which the wall clock runs on evenly: the start, and each time it was set.
    even: Vec<(Duration, Timestamp)>,
    /// When the box was off last, in uptime.
    off: (Duration, Duration),
    last_look: Timestamp,
    schedule: Schedule,
    store: HashMap<IdentityId, Stored>,
    taken: HashSet<(IdentityId, u32, Standing)>,
    starts: u64,
    ends: u64,
    skips: u64,
    /// By the oracle: validities whose start and end were passed while they held.
    expected_starts: u64,
    expected_ends: u64,
    latest: Duration,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let start = moment("2026-01-01T00:00:00Z");
        let mut simulation = Self {
            random: fastrand::Rng::with_seed(seed),
            clock: SimulatedClock::new(start),
            ahead: SignedDuration::ZERO,
            even: vec![(Duration::ZERO, start)],
            off: (Duration::ZERO, Duration::ZERO),
            last_look: start,
            schedule: Schedule::new(),
            store: HashMap::new(),
            taken: HashSet::new(),
            starts: 0,
            ends: 0,
            skips: 0,
            expected_starts: 0,
            expected_ends: 0,
            latest: Duration::ZERO,
        };
        (0..10_000).for_each(|number| simulation.set(person(number)));
        simulation
    }

    fn now(&self) -> (Duration, Timestamp) {
        let now = self.clock.now();
        (now.mono, now.wall + self.ahead)
    }

    fn within(&mut self, least: i64, most: i64) -> SignedDuration {
        SignedDuration::from_millis(self.random.i64(least * 1000..most * 1000))
    }

    /// Around now, over the three years, or none; some validities are shorter than a sleep.
    fn validity(&mut self) -> Record {
        let days = DAY as i64;
        let from = self.now().1 + self.within(-180 * days, 1000 * days);
        let length = if self.random.u8(0..4) == 0 { self.within(1, 60) } else { self.within(1, 800 * days) };
        let from_set = self.random.u8(0..10) < 8;
        let until_set = self.random.u8(0..20) < 17;
        record(from_set.then_some(from), until_set.then_some(from + length))
    }

    /// Enrols somebody, or gives somebody another validity.
    fn set(&mut self, id: IdentityId) {
        let (record, set) = (self.validity(), self.now());
        let (standing, revision) = match self.store.get(&id) {
            Some(old) => (standing_after_change(&old.record, old.standing, &record, set.1), old.revision + 1),
            None => (record.standing_at(set.1), 0),
        };
        self.close(id);
        self.schedule.set(id, &record, standing);
        self.store.insert(id, Stored { record, standing, revision, first: standing, set });
    }

    fn forget(&mut self, id: IdentityId) {
        self.close(id);
        self.schedule.remove(id);
        self.store.remove(&id);
    }

    /// A validity is over: what should have happened in it, by the times of the looks alone.
    fn close(&mut self, id: IdentityId) {
        let Some(Stored { record, first, set, .. }) = self.store.get(&id) else { return };
        let passed = |moment: Option<Timestamp>| moment.is_some_and(|m| set.1 < m && m <= self.last_look);
        self.expected_starts += u64::from(passed(record.valid_from) && *first == Standing::Pending);
        self.expected_ends += u64::from(passed(record.valid_until) && *first != Standing::Expired);
    }

    /// The uptime at which the clock first showed `due`.
    fn shown(&self, due: Timestamp) -> Duration {
        let ends = self.even.iter().skip(1).map(|(mono, _)| *mono).chain([Duration::MAX]);
        for (&(mono, wall), end) in self.even.iter().zip(ends) {
            let shown =
                mono.saturating_add(Duration::try_from(wall.duration_until(due)).unwrap_or(Duration::ZERO));
            if shown < end {
                return shown;
            }
        }
        unreachable!("the last stretch has no end")
    }

    /// What the thread does each time it wakes.
    fn look(&mut self) {
        let (mono, now) = self.now();
        for step in self.schedule.due(now) {
            assert!(step.due <= now, "{step:?} is early at {now}");
            let shown = self.shown(step.due);
            let stored = self.store.get_mut(&step.id).expect("nobody who was forgotten has a step");
            assert_eq!((step.from, step.to), (stored.standing, stored.record.standing_at(now)));
            stored.standing = step.to;
            assert!(self.taken.insert((step.id, stored.revision, step.to)), "{step:?} again");
            let since = shown.max(stored.set.0);
            let off = self.off.1.min(mono).saturating_sub(self.off.0.max(since));
            self.latest = self.latest.max(mono.saturating_sub(since).saturating_sub(off));
            match (step.from, step.to) {
                (Standing::Pending, Standing::Active) => self.starts += 1,
                (Standing::Active, Standing::Expired) => self.ends += 1,
                _ => self.skips += 1,
            }
        }
        self.last_look = now;
    }

    /// Nobody is overlooked: right after a look everybody is where the clock says.
    fn check_everybody(&self) {
        for (id, stored) in &self.store {
            assert_eq!(stored.standing, stored.record.standing_at(self.last_look), "{id:?}");
        }
    }

    /// Sets the clock forward by up to three hours.
    fn set_clock(&mut self) {
        let by = self.within(1, 3 * 3600);
        self.ahead += by;
        let now = self.now();
        self.even.push(now);
    }

    /// The box is off for up to three days, and starts from what is stored.
    fn restart(&mut self) {
        let off = self.now().0;
        self.clock.advance(Duration::from_secs(self.random.u64(1..3 * DAY)));
        self.off = (off, self.now().0);
        self.schedule = Schedule::new();
        for (id, stored) in &self.store {
            self.schedule.set(*id, &stored.record, stored.standing);
        }
    }

    /// Sleeps as the thread does, a little longer on a busy box; an operator may come meanwhile.
    fn sleep(&mut self) -> Option<&'static str> {
        let wait = self.schedule.wait(self.now().1);
        assert!(wait <= MAX_WAIT);
        let late = if self.random.u8(0..8) == 0 { self.random.u64(0..20_000) } else { 0 };
        let before = wait.mul_f64(self.random.f64());
        self.clock.advance(before);
        let id = person(u128::from(self.random.u64(0..10_000)));
        let done = match self.random.u32(0..1_000_000) {
            0..2_000 if self.store.contains_key(&id) => {
                self.set(id);
                Some("changes of validity")
            }
            2_000..2_500 if self.store.contains_key(&id) => {
                self.forget(id);
                Some("forgotten")
            }
            2_500..2_520 => {
                self.set_clock();
                Some("times the clock was set forward")
            }
            2_520..2_530 => {
                self.restart();
                return Some("restarts");
            }
            _ => None,
        };
        self.clock.advance(wait - before + Duration::from_millis(late));
        done
    }
}

#[test]
fn three_years_of_ten_thousand_identities() {
    let mut simulation = Simulation::new(7);
    let (mut looks, mut done) = (0u64, BTreeMap::<&str, u64>::new());
    while simulation.now().1 < moment("2029-01-01T00:00:00Z") {
        simulation.look();
        looks += 1;
        if looks.is_multiple_of(20_000) {
            simulation.check_everybody();
        }
        if let Some(what) = simulation.sleep() {
            *done.entry(what).or_default() += 1;
        }
    }
    simulation.look();
    simulation.check_everybody();
    let everybody: Vec<IdentityId> = simulation.store.keys().copied().collect();
    everybody.into_iter().for_each(|id| simulation.close(id));
    let Simulation { starts, ends, skips, latest, .. } = simulation;
    eprintln!(
        "3 years, 10,000 identities, {looks} looks: {starts} starts, {ends} ends, {skips} passed unseen, each once"
    );
    eprintln!("none early, the latest {:.1} s late; {done:?}", latest.as_secs_f64());
    assert_eq!(starts + skips, simulation.expected_starts);
    assert_eq!(ends + skips, simulation.expected_ends);
    assert!(latest < Duration::from_secs(60), "{latest:?}");
    assert!(starts > 5_000 && ends > 5_000 && skips > 50, "the simulation shows little");
    assert!(done.len() == 4 && done.values().all(|&n| n >= 5), "{done:?}");
}
