//! The log against a model of it, in lock-step: after every step both say the same to whoever reads.
//!
//! ```text
//!   random steps ─┬─▶ the log, on a real file
//!                 └─▶ the model: rows in memory, and the rules of ARCHITECTURE.md
//!   after each: the state, every cursor, and all items from the start and from behind each sink are equal
//! ```
//!
//! `WATCHLISTD_MODEL` is how many histories are tried, instead of a few.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::events::LostReason;

/// Sinks: two that are required, one that is not.
const SINKS: [&str; 3] = ["needed", "second", "other"];
/// People, each with lists of their own.
const LISTS: [&[&str]; 4] = [&[], &["gate"], &["vip"], &["gate", "vip"]];
const KEEP: u64 = 30 * DAY;
/// Room for some hundred events.
const BUDGET: u64 = WAL + (96 << 10);
const WAL: u64 = super::super::retention::WAL;

/// What can happen.
#[derive(Debug, Clone)]
enum Step {
    /// Somebody is seen; `None`: an event that is of nobody.
    Accept(Option<usize>),
    /// Many are, of nobody.
    Burst(u64),
    /// A sink has had so many more.
    Had(usize, u64),
    /// Hours pass, and retention looks.
    Hours(u64),
    /// Somebody goes, or comes back under a new key.
    Forget(usize),
    Enrol(usize),
    /// The daemon ends and starts.
    Restart,
    /// The row of an event is altered while the log is closed, or while it is open.
    Alter {
        which: u64,
        open: bool,
    },
    /// The state is altered, so that the log goes on in a new epoch.
    Break {
        open: bool,
    },
    /// The tail of the log goes, while the head stays: the log of the last restart is put back.
    PutBack,
    /// A sink is taken out of the configuration and comes back.
    Reconfigure(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::option::of(0usize..4).prop_map(Step::Accept),
        2 => (10u64..60).prop_map(Step::Burst),
        6 => (0usize..3, 0u64..60).prop_map(|(sink, n)| Step::Had(sink, n)),
        4 => (1u64..1500).prop_map(Step::Hours),
        1 => (0usize..4).prop_map(Step::Forget),
        1 => (0usize..4).prop_map(Step::Enrol),
        2 => Just(Step::Restart),
        2 => (any::<u64>(), any::<bool>()).prop_map(|(which, open)| Step::Alter { which, open }),
        2 => any::<bool>().prop_map(|open| Step::Break { open }),
        1 => Just(Step::PutBack),
        1 => (0usize..3).prop_map(Step::Reconfigure),
    ]
}

/// What a row stands for.
#[derive(Debug, Clone, PartialEq)]
enum What {
    /// An event: its id, and whose it is with the key that its name is sealed under.
    Event {
        id: Uuid,
        who: Option<(usize, u32)>,
    },
    Lost(LostReason),
    Gone,
    /// It is not as it was written, and nobody has seen that yet.
    Altered,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    first: u64,
    last: u64,
    /// Milliseconds.
    at: i64,
    lists: &'static [&'static str],
    what: What,
}

/// The log as it should be.
#[derive(Debug, Clone)]
struct Model {
    rows: Vec<Row>,
    first: u64,
    last: u64,
    cursors: BTreeMap<&'static str, u64>,
    /// Which key somebody has; `None` for who is gone.
    keys: [Option<u32>; 4],
    next_key: u32,
    /// When retention looked last.
    looked: Option<Timestamp>,
}

impl Model {
    fn new() -> Self {
        Self {
            rows: Vec::new(),
            first: 1,
            last: 0,
            cursors: SINKS.map(|name| (name, 0)).into(),
            keys: [Some(0), Some(1), Some(2), Some(3)],
            next_key: 4,
            looked: None,
        }
    }

    fn accept(&mut self, id: Uuid, who: Option<usize>, at: Timestamp) {
        let key = who.and_then(|who| Some((who, self.keys[who]?)));
        let lists = who.map_or(LISTS[0], |who| LISTS[who]);
        self.push(Row {
            first: 0,
            last: 0,
            at: at.as_millisecond(),
            lists,
            what: What::Event { id, who: key },
        });
    }

    fn push(&mut self, row: Row) {
        self.last += 1;
        self.rows.push(Row { first: self.last, last: self.last, ..row });
    }

    fn had(&mut self, sink: &'static str, sequence: u64) {
        let cursor = self.cursors.entry(sink).or_default();
        *cursor = (*cursor).max(sequence.min(self.last));
    }

    fn delivered(&self) -> u64 {
        [SINKS[0], SINKS[1]].iter().map(|name| self.cursors[name]).min().unwrap_or(self.last)
    }

    fn lists_keep(lists: &[&str]) -> u64 {
        let rule = |list: &&str| if *list == "gate" { DAY } else { 90 * DAY };
        lists.iter().map(rule).max().unwrap_or(KEEP)
    }

    /// Once a minute: what is too old and delivered goes, but for what is not as it was written.
    fn look(&mut self, now: Timestamp) {
        let due = self.looked.is_none_or(|last| now < last || now.duration_since(last).as_secs() >= 60);
        if !due {
            return;
        }
        self.looked = Some(now);
        let delivered = self.delivered();
        for row in &mut self.rows {
            let keep = Self::lists_keep(row.lists) as i64 * 1000;
            let due = row.last <= delivered && row.at < now.as_millisecond() - keep;
            if due && !matches!(row.what, What::Gone | What::Altered) {
                row.what = What::Gone;
            }
        }
        self.tidy();
    }

    /// Somebody alters a row.
    fn alter(&mut self, sequence: u64) {
        let row = self.rows.iter_mut().find(|row| row.last == sequence);
        row.expect("there").what = What::Altered;
    }

    /// What is gone is one row, and none at the front.
    fn tidy(&mut self) {
        let mut rows: Vec<Row> = Vec::new();
        for row in self.rows.drain(..) {
            match rows.last_mut() {
                Some(before) if before.what == What::Gone && row.what == What::Gone => before.last = row.last,
                _ => rows.push(row),
            }
        }
        if rows.first().is_some_and(|row| row.what == What::Gone) {
            self.first = rows.remove(0).last + 1;
        }
        self.rows = rows;
    }

    /// Whoever reads sees what is altered, and a loss takes its place.
    fn read(&mut self, now: Timestamp) {
        for row in self.rows.iter_mut().filter(|row| row.what == What::Altered) {
            (row.what, row.lists, row.at) = (What::Lost(LostReason::Damaged), LISTS[0], now.as_millisecond());
        }
    }

    /// What can be read goes on in a new epoch, with its own numbers. `until` is where the old one ended, as far as is known.
    /// Without the state nobody knows that what is not there had to go.
    fn save(&mut self, until: u64, state_is_known: bool, now: Timestamp) {
        let old = std::mem::take(&mut self.rows);
        let ends_gone = old.last().is_some_and(|row| row.what == What::Gone);
        let (cursors, end) = (self.cursors.clone(), self.last);
        (self.first, self.last) = (1, 0);
        let mut map = Vec::new();
        for row in old {
            if row.what != What::Gone {
                let place = row.last;
                // The name is sealed anew, for whoever is still there.
                let what = match row.what {
                    What::Event { id, who: Some((who, key)) } => {
                        let there = self.keys[who] == Some(key);
                        What::Event { id, who: there.then_some((who, key)) }
                    }
                    what => what,
                };
                self.push(Row { what, ..row });
                map.push((place, self.last));
            }
        }
        if until > end || (!state_is_known && end > 0 && self.last == 0 && !ends_gone) {
            let what = What::Lost(LostReason::Salvaged);
            self.push(Row { first: 0, last: 0, at: now.as_millisecond(), lists: LISTS[0], what });
        }
        for (name, cursor) in cursors {
            let had = map.iter().take_while(|(old, _)| *old <= cursor).last();
            self.cursors.insert(name, had.map_or(0, |(_, new)| *new));
        }
    }

    /// What somebody who has had everything up to `cursor` is given.
    fn shown(&self, cursor: u64) -> Vec<String> {
        let mut shown = Vec::new();
        if cursor + 1 < self.first {
            shown.push(format!("gone {}..{}", cursor + 1, self.first - 1));
        }
        for row in self.rows.iter().filter(|row| row.last > cursor) {
            shown.push(match &row.what {
                What::Event { id, who } => {
                    let name =
                        who.filter(|(who, key)| self.keys[*who] == Some(*key)).map(|(who, _)| name(who));
                    format!("{} {id} {name:?}", row.last)
                }
                What::Lost(reason) => format!("{} lost {reason:?}", row.last),
                What::Gone => format!("gone {}..{}", row.first.max(cursor + 1), row.last),
                What::Altered => unreachable!("somebody read it"),
            });
        }
        shown
    }
}

fn name(who: usize) -> String {
    format!("Person {who}")
}

fn person(who: usize) -> IdentityId {
    IdentityId(Uuid::from_u128(who as u128 + 1))
}

/// The log, and the model of it.
struct Pair {
    site: Site,
    log: Option<EventLog>,
    model: Model,
    epoch: Uuid,
    /// The file of the last restart, and the model then.
    before: Option<(Vec<u8>, Model)>,
}

impl Pair {
    fn new() -> Self {
        let mut site = Site::new();
        // Nobody cuts the power here: in memory where there is such a place.
        site.folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        site.sinks = SINKS.map(|name| sink(name, name != "other")).to_vec();
        site.rules.lists = [
            ("vip".to_owned(), Duration::from_secs(90 * DAY)),
            ("gate".to_owned(), Duration::from_secs(DAY)),
        ]
        .into();
        site.rules.budget = BUDGET;
        for who in 0..4 {
            site.ring.know(person(who), key_of(who as u32));
        }
        let log = site.open();
        let epoch = log.state().epoch;
        let mut pair = Self { site, log: Some(log), model: Model::new(), epoch, before: None };
        pair.model.look(pair.now());
        pair
    }

    fn log(&self) -> &EventLog {
        self.log.as_ref().expect("open")
    }

    fn now(&self) -> Timestamp {
        self.site.clock.now().wall
    }

    /// Everything that was asked for is done, and looked after.
    fn settle(&self) {
        (0..2).for_each(|_| assert!(self.log().settle(Duration::from_secs(60))));
    }

    fn close(&mut self) {
        finish(self.log.take().expect("open"));
    }

    fn open(&mut self) {
        self.log = Some(self.site.open());
        // The writer looks at once.
        self.settle();
        self.model.looked = None;
        self.model.look(self.now());
        self.adopt_budget();
    }

    fn accept(&mut self, who: Option<usize>) {
        let event = match who {
            Some(who) => self.site.recognized(person(who), &name(who), LISTS[who]),
            None => self.site.event("door"),
        };
        self.model.accept(event.id, who, self.now());
        let sequence = self.log().accept(event).expect("accepted");
        assert_eq!(sequence, self.model.last);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Accept(who) => self.accept(who),
            Step::Burst(count) => {
                for _ in 0..count {
                    self.accept(None);
                    self.settle();
                    self.adopt_budget();
                }
            }
            Step::Had(sink, more) => {
                let name = SINKS[sink];
                let sequence = self.model.cursors[name] + more;
                assert!(self.log().reading().had(&Arc::from(name), sequence, Vec::new()));
                self.model.had(name, sequence);
            }
            Step::Hours(hours) => {
                self.site.clock.advance(Duration::from_secs(hours * 3600));
                self.settle();
                self.model.look(self.now());
            }
            Step::Forget(who) => {
                self.site.ring.forget(person(who));
                self.model.keys[who] = None;
            }
            Step::Enrol(who) => {
                let key = self.model.next_key;
                self.model.next_key += 1;
                self.site.ring.know(person(who), key_of(key));
                self.model.keys[who] = Some(key);
            }
            Step::Restart => {
                self.close();
                self.before = Some((std::fs::read(self.site.path()).expect("there"), self.model.clone()));
                self.open();
            }
            Step::Alter { which, open } => self.alter(which, open),
            Step::Break { open } => self.break_it(open),
            Step::PutBack => self.put_back(),
            Step::Reconfigure(sink) => {
                self.close();
                let place = self.site.sinks.remove(sink);
                self.open_without(SINKS[sink]);
                self.close();
                self.site.sinks.insert(sink, place);
                self.model.cursors.insert(SINKS[sink], self.model.first - 1);
                self.open();
            }
        }
        self.settle();
        self.model.look(self.now());
        self.adopt_budget();
    }

    /// Without a sink nothing waits for it; retention takes no more than with it in these steps, as no time passes.
    fn open_without(&mut self, name: &'static str) {
        self.log = Some(self.site.open());
        self.settle();
        self.model.looked = None;
        // Who is not there holds nothing.
        self.model.cursors.insert(name, self.model.last);
        self.model.look(self.now());
        self.adopt_budget();
    }

    fn alter(&mut self, which: u64, open: bool) {
        let rows = &self.model.rows;
        let Some(sequence) = rows.get(which as usize % rows.len().max(1)).map(|row| row.last) else { return };
        if !open {
            self.close();
        }
        let sql = "UPDATE events SET body = CAST(body || ' ' AS BLOB) WHERE sequence = ?1";
        assert_eq!(self.site.raw().execute(sql, [sequence as i64]).expect("changed"), 1);
        self.model.alter(sequence);
        if !open {
            self.open();
        }
        self.model.read(self.now());
        let mut reading = self.log().reading();
        for _ in 0..3 {
            let cursor = self.model.first - 1;
            reading.after(self.log().state().epoch, cursor, 10_000).expect("read");
            self.settle();
        }
    }

    fn break_it(&mut self, open: bool) {
        if !open {
            self.close();
        }
        assert_eq!(self.site.raw().execute("UPDATE state SET mac = zeroblob(32)", []).expect("changed"), 1);
        if open {
            assert!(self.log().reading().after(self.epoch, 0, 10).is_err());
            self.settle();
            self.model.save(self.model.last, false, self.now());
            self.model.look(self.now());
        } else {
            self.model.save(self.model.last, false, self.now());
            self.open();
        }
        self.new_epoch();
    }

    /// The file of before is back; what came since then is known to the head only.
    fn put_back(&mut self) {
        let Some((file, mut model)) = self.before.take() else { return };
        if model.last > self.model.last {
            return;
        }
        self.close();
        std::fs::write(self.site.path(), file).expect("written");
        (model.keys, model.next_key) = (self.model.keys, self.model.next_key);
        let until = self.model.last;
        self.model = model;
        if until > self.model.last {
            self.model.save(until, true, self.now());
            self.open();
            self.new_epoch();
        } else {
            self.open();
        }
    }

    fn new_epoch(&mut self) {
        assert_ne!(self.log().state().epoch, self.epoch, "another epoch");
        self.epoch = self.log().state().epoch;
        self.before = None;
    }

    /// How many bytes rows take is SQLite's business: the model takes over how many had to go, if they were the right ones.
    fn adopt_budget(&mut self) {
        let state = self.log().state();
        if state.first > self.model.first {
            assert!(state.first <= self.model.delivered() + 1, "what was not delivered went without a word");
            self.model.rows.retain(|row| row.last >= state.first);
            self.model.first = state.first;
            assert_eq!(
                self.model.rows.first().map_or(state.last + 1, |row| row.first),
                state.first,
                "a row was split"
            );
        }
        let seen = self.log().reading().after(state.epoch, state.first - 1, 2).expect("read");
        for item in &seen.items {
            let Item::Event { sequence, event, .. } = item else { continue };
            let Data::Lost(lost) = &event.data else { continue };
            let (LostReason::Budget, Some(first), Some(last)) = (lost.reason, lost.first, lost.last) else {
                continue;
            };
            if lost.of_log.is_some() {
                continue;
            }
            assert_eq!(last, *sequence);
            let known = |row: &Row| row.last == last && row.what == What::Lost(LostReason::Budget);
            if self.model.rows.iter().any(known) {
                continue;
            }
            assert!(last > self.model.delivered(), "delivered, and told as lost");
            // A loss that somebody has heard of stays, and the next one begins behind it.
            let told = |row: &&Row| {
                matches!(row.what, What::Lost(_))
                    && self.model.cursors.values().any(|cursor| *cursor >= row.last)
            };
            let front = self.model.rows.first().filter(told).map_or(self.model.first, |row| row.last + 1);
            assert_eq!(first, front, "the oldest go first");
            self.model.rows.retain(|row| row.last < first || row.last > last);
            let at = self.model.rows.iter().position(|row| row.first > last).unwrap_or(self.model.rows.len());
            let row = Row {
                first,
                last,
                at: self.now().as_millisecond(),
                lists: LISTS[0],
                what: What::Lost(LostReason::Budget),
            };
            self.model.rows.insert(at, row);
        }
    }

    fn compare(&self, after: &Step) {
        let (log, model) = (self.log(), &self.model);
        let expected = State { epoch: self.epoch, first: model.first, last: model.last };
        assert_eq!(log.state(), expected, "after {after:?}");
        for (name, cursor) in &model.cursors {
            assert_eq!(log.reading().cursor(name), Some(*cursor), "{name} after {after:?}");
        }
        for cursor in model.cursors.values().copied().chain([0, model.last / 2]) {
            assert_eq!(shown_after(log, cursor), model.shown(cursor), "behind {cursor}, after {after:?}");
        }
        assert_eq!(self.site.stats.events.log_failing.get(), 0, "after {after:?}");
    }
}

/// A key that is the same each time.
fn key_of(number: u32) -> Key {
    Key::from_bytes(&[number as u8 + 1; 32]).expect("a key")
}

fn shown_after(log: &EventLog, cursor: u64) -> Vec<String> {
    let (mut reading, mut cursor, mut shown) = (log.reading(), cursor, Vec::new());
    loop {
        let seen = reading.after(log.state().epoch, cursor, 97).unwrap_or_else(|e| panic!("{}", e.chain()));
        for item in &seen.items {
            shown.push(match item {
                Item::Gone { first, last } => format!("gone {first}..{last}"),
                Item::Event { sequence, event, .. } => match &event.data {
                    Data::Lost(lost) => format!("{sequence} lost {:?}", lost.reason),
                    _ => {
                        let name = event.identity().and_then(|identity| identity.name.clone());
                        format!("{sequence} {} {name:?}", event.id)
                    }
                },
            });
        }
        if seen.until == cursor {
            return shown;
        }
        cursor = seen.until;
    }
}

fn histories() -> u32 {
    std::env::var("WATCHLISTD_MODEL").map_or(32, |text| text.parse().expect("WATCHLISTD_MODEL: a number"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_log_and_its_model_say_the_same_after_every_step(steps in prop::collection::vec(any_step(), 5..40)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.step(step);
            pair.compare(step);
        }
        pair.close();
    }
}

/// Histories in which a log that was wrong on purpose, or this model, once failed.
#[test]
fn the_log_and_its_model_agree_on_histories_that_once_failed() {
    use Step::{Accept, Alter, Break, Burst, Had, Hours};
    let histories = [
        vec![Accept(None), Alter { which: 0, open: false }],
        // The front is gone, so that the new epoch has other numbers.
        vec![Accept(None), Had(0, 1), Hours(187), Had(1, 1), Hours(534), Break { open: false }],
        vec![
            Burst(3),
            Had(0, 1),
            Had(1, 1),
            Hours(800),
            Burst(2),
            Had(0, 2),
            Had(1, 3),
            Break { open: true },
        ],
        // A loss that was told stands at the front when the budget is reached.
        vec![Accept(None), Alter { which: 0, open: true }, Had(2, 1), Burst(160)],
    ];
    for steps in &histories {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
            pair.compare(step);
        }
        pair.close();
    }
}
