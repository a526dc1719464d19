//! Three years of a gallery: the keeper, its store, its audit log and its snapshots as the daemon has them, on a clock that is
//! simulated, and set, and stood still by nobody.
//!
//! ```text
//!   sleep as long as Rounds says, and a little longer ──▶ Rounds::look ──▶ who is searched for now?
//!     │ meanwhile: an operator's command, a clock that is set,                as the clock says, for each whose
//!     │ a daemon that is off, a disk that takes nothing                      moment came, and some others
//!     ▼
//!   at the end: the audit log against the oracle
//! ```

mod moments;
mod oracle;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound::{Excluded, Included};
use std::path::PathBuf;
use std::time::Instant;

use jiff::SignedDuration;
use uuid::Uuid;

use self::moments::{DAY, Moments};
use self::oracle::{Period, Step, Tally, Timeline};
use super::*;
use crate::gallery::bundle::{
    self, BundledIdentity, BundledTemplate, Content, Header, ModelContract, SigningKey,
};
use crate::gallery::command::{AuditFilter, Change, Source, SourceKind};
use crate::gallery::crypt::Key;
use crate::gallery::list::List;
use crate::gallery::record::ListName;
use crate::gallery::report::{AuditEntry, AuditReport, Imported, Receipt, Trust};
use crate::types::ids::TemplateId;

/// How much happens.
struct Scale {
    people: usize,
    /// How many of 100 moments are nobody else's: each costs a transaction of its own.
    own_moments: u8,
    /// Commands of operators a million looks.
    commands: u32,
}

/// What is expected of somebody.
struct Expected {
    id: IdentityId,
    validity: (Option<Timestamp>, Option<Timestamp>),
    standing: Standing,
    /// Where the validity stands among the periods.
    period: usize,
    gone: bool,
    template: Embedding,
}

struct Years {
    site: Site,
    scale: Scale,
    random: fastrand::Rng,
    moments: Moments,
    desk: Option<(Custody, Rounds)>,
    people: Vec<Expected>,
    /// Whose validity begins or ends then; who was changed meanwhile does no harm here.
    coming: BTreeMap<Timestamp, Vec<usize>>,
    /// The wall clock at the last look, or what it was set back to since.
    seen: Timestamp,
    /// Moments came for these while the disk took nothing.
    waiting: Vec<usize>,
    /// These ended while the disk took nothing: not stored, and not searched for.
    hidden: HashSet<usize>,
    /// The disk takes nothing.
    broken: bool,
    timeline: Timeline,
    periods: Vec<Period>,
    /// Entries in the audit log, and since which uptime.
    written: Vec<(u64, Duration)>,
    generation: u64,
    done: BTreeMap<&'static str, u64>,
}

fn standing((from, until): (Option<Timestamp>, Option<Timestamp>), now: Timestamp) -> Standing {
    match (from, until) {
        (_, Some(until)) if until <= now => Standing::Expired,
        (Some(from), _) if from > now => Standing::Pending,
        _ => Standing::Active,
    }
}

impl Years {
    fn new(scale: Scale) -> Self {
        let site = Site::new();
        let start = "2025-12-31T23:00:00Z".parse().expect("a moment");
        site.clock.set_wall(start);
        let mut years = Self {
            random: fastrand::Rng::with_seed(11),
            moments: Moments::new(scale.own_moments),
            desk: None,
            people: Vec::new(),
            coming: BTreeMap::new(),
            seen: start,
            waiting: Vec::new(),
            hidden: HashSet::new(),
            broken: false,
            timeline: Timeline::new(start),
            periods: Vec::new(),
            written: Vec::new(),
            generation: 0,
            done: BTreeMap::new(),
            site,
            scale,
        };
        years.open();
        years.import();
        years.look();
        years
    }

    fn up(&self) -> Duration {
        self.site.clock.now().mono
    }

    fn wall(&self) -> Timestamp {
        self.site.clock.now().wall
    }

    /// A hair: what was at the same moment is before what comes now.
    fn hair(&self) {
        self.site.clock.advance(Duration::from_nanos(1));
    }

    fn open(&mut self) {
        let custody = Custody::of(self.site.opening()).expect("a gallery");
        self.desk = Some((custody.clone(), Rounds::new(custody)));
        self.note();
    }

    fn custody(&self) -> Custody {
        self.desk.as_ref().expect("it runs").0.clone()
    }

    fn ask<T: serde::de::DeserializeOwned>(&mut self, command: Command, body: &[u8]) -> T {
        let custody = self.custody();
        let mut keeper = custody.keeper.lock().expect("no panic");
        ask(&mut keeper, command, body)
    }

    /// How long the audit log is, by now.
    fn note(&mut self) -> u64 {
        let head: String = self.ask(Command::AuditHead, &[]);
        let count = head.split(':').next().and_then(|count| count.parse().ok()).expect("count:hex");
        if self.written.last().is_none_or(|(last, _)| *last < count) {
            self.written.push((count, self.up()));
        }
        count
    }

    /// Everybody at once, from another box.
    fn import(&mut self) {
        let created = self.wall();
        let identities: Vec<BundledIdentity> = (0..self.scale.people)
            .map(|number| {
                let validity = self.moments.validity(&mut self.random, created);
                let embedding = self.site.people.template(number);
                let id = IdentityId(Uuid::from_u128(1 + number as u128));
                let source = Source {
                    kind: SourceKind::File,
                    name: "a.jpg".to_owned(),
                    sha256: format!("{:064x}", 1_000_000 + number),
                };
                let template = TemplateId(Uuid::from_u128(1 + number as u128));
                let template = BundledTemplate {
                    id: template,
                    quality: 0.8,
                    source,
                    created,
                    embedding: embedding.clone(),
                };
                self.people.push(Expected {
                    id,
                    validity,
                    standing: standing(validity, created),
                    period: 0,
                    gone: false,
                    template: embedding,
                });
                BundledIdentity {
                    id,
                    record: limited(&format!("Person {number}"), validity),
                    created,
                    revision: 1,
                    standing: Standing::Active,
                    templates: vec![template],
                    crops: Vec::new(),
                }
            })
            .collect();
        let signer = SigningKey::from_seed(&Key::generate().expect("random"));
        let trust = Command::Trust { key: signer.public().to_string(), label: "before".to_owned() };
        self.ask::<Trust>(trust, &[]);
        let opening = self.site.opening().model.expect("a model");
        let model = ModelContract {
            id: opening.id,
            name: opening.name,
            dimension: opening.dimension,
            threshold: 0.5,
        };
        let header = Header { origin: "before".to_owned(), generation: 1, created, models: vec![model] };
        let content = Content { header, lists: vec![List::new(ListName::default())], identities };
        let bytes = bundle::write(&content, &signer).expect("a bundle");
        let import = Command::Import { dry_run: false, force: false, identity: None };
        let report: Imported = self.ask(import, &bytes);
        assert_eq!(report.added, self.scale.people as u64);
        (0..self.people.len()).for_each(|number| self.begin(number));
    }

    /// Somebody's validity was set just now.
    fn begin(&mut self, number: usize) {
        let count = self.note();
        let set = (self.up(), count);
        let period = self.periods.len();
        let person = &mut self.people[number];
        person.period = period;
        let (from, until) = person.validity;
        self.periods.push(Period { who: person.id, from, until, first: person.standing, set, over: None });
        for moment in from.into_iter().chain(until) {
            self.coming.entry(moment).or_default().push(number);
        }
    }

    /// Somebody's validity is over: it was changed, or the person is forgotten.
    fn close(&mut self, number: usize) {
        let over = Some((self.up(), self.note()));
        self.periods[self.people[number].period].over = over;
    }

    /// What the daemon's thread does when it wakes; then who is searched for.
    fn look(&mut self) {
        let (custody, rounds) = self.desk.as_mut().expect("it runs");
        rounds.look();
        let changed = custody.swaps.try_iter().count() > 0;
        let wait = rounds.wait();
        assert!(!wait.is_zero(), "something is due again right after it was done");
        let failed = wait == life::MAX_WAIT && self.broken;
        let generation = custody.shared.current().generation();
        if generation != self.generation {
            self.generation = generation;
            self.note();
        }
        let came = self.came(failed);
        if changed || !came.is_empty() {
            self.check_those(&came);
        }
    }

    /// Whose moment the clock has shown since the last look; what is expected of them follows.
    fn came(&mut self, failed: bool) -> Vec<usize> {
        let now = self.wall();
        let mut came: Vec<usize> = Vec::new();
        if now > self.seen {
            let range = (Excluded(self.seen), Included(now));
            came.extend(self.coming.range(range).flat_map(|(_, people)| people));
        }
        self.seen = now;
        if failed {
            let over = |person: &Expected| {
                person.standing == Standing::Active && standing(person.validity, now) == Standing::Expired
            };
            self.hidden.extend(came.iter().copied().filter(|number| over(&self.people[*number])));
            self.waiting.extend(&came);
        } else {
            came.append(&mut self.waiting);
            self.hidden.clear();
            for number in &came {
                let person = &mut self.people[*number];
                // Never back: who has expired stays so.
                person.standing = person.standing.max(standing(person.validity, now));
            }
        }
        came
    }

    fn is_searched(&self, number: usize) -> bool {
        let person = &self.people[number];
        !person.gone && person.standing == Standing::Active && !self.hidden.contains(&number)
    }

    /// Those whose moment came, and one more; a few of them with a face in front of a camera.
    fn check_those(&mut self, came: &[usize]) {
        let current = self.custody().shared.current();
        let other = self.random.usize(0..self.people.len());
        for (n, number) in came.iter().chain([&other]).enumerate() {
            let person = &self.people[*number];
            let expected = self.is_searched(*number);
            let searched = current.people().get(&person.id).is_some_and(|found| found.searched);
            let what = || format!("{}, {:?} at {}", person.id, person.validity, self.wall());
            assert_eq!(searched, expected, "{}", what());
            if n == 0 {
                let found = current.search(&person.template, 1).best().map(|best| best.identity);
                assert_eq!(found == Some(person.id), expected, "{}", what());
                *self.done.entry("searches").or_default() += 1;
            }
        }
    }

    fn check_everybody(&self) {
        let current = self.custody().shared.current();
        for (number, person) in self.people.iter().enumerate() {
            let searched = current.people().get(&person.id).is_some_and(|found| found.searched);
            assert_eq!(searched, self.is_searched(number), "{} at {}", person.id, self.wall());
        }
    }

    /// Sleeps as the daemon's thread does; a little longer on a busy box, and a hair less when something else wakes it.
    fn sleep(&mut self) {
        let wait = self.desk.as_ref().expect("it runs").1.wait();
        assert!(wait <= life::MAX_WAIT);
        let hair = Duration::from_nanos(1);
        if wait > hair && wait < life::MAX_WAIT && self.random.u8(0..4) == 0 {
            self.site.clock.advance(wait - hair);
            self.look();
            self.site.clock.advance(hair);
            return;
        }
        let late = if self.random.u8(0..8) == 0 { self.random.u64(0..20_000) } else { 0 };
        let before = wait.mul_f64(self.random.f64());
        self.site.clock.advance(before);
        let woken = self.happen();
        self.site.clock.advance(Duration::from_millis(late));
        if !woken {
            self.site.clock.advance((wait - before).max(hair));
        }
    }

    /// Perhaps something happens; true if it wakes the thread.
    fn happen(&mut self) -> bool {
        let commands = self.scale.commands;
        let number = self.random.usize(0..self.people.len());
        let chance = self.random.u32(0..1_000_000);
        let what = match chance {
            _ if chance < commands && !self.people[number].gone => self.command(number),
            _ if (commands..commands + 15).contains(&chance) => self.set_clock(),
            _ if (commands + 15..commands + 250).contains(&chance) => self.nudge_clock(),
            _ if (commands + 250..commands + 262).contains(&chance) => {
                let off = self.random.u64(1..3 * DAY as u64);
                self.restart(Duration::from_secs(off))
            }
            _ if (commands + 262..commands + 266).contains(&chance) => self.break_disk(),
            _ => return false,
        };
        *self.done.entry(what).or_default() += 1;
        !what.starts_with("clock")
    }

    fn command(&mut self, number: usize) -> &'static str {
        let who = who(&self.people[number].id.to_string());
        match self.random.u8(0..20) {
            0..3 => {
                let renamed =
                    Change { notes: Some(Some(format!("at {}", self.up().as_nanos()))), ..Change::default() };
                self.ask::<Person>(Command::Change { who, change: Box::new(renamed) }, &[]);
                "changes of something else"
            }
            3..6 => {
                self.ask::<Receipt>(Command::Forget { who, reason: None }, &[]);
                self.people[number].gone = true;
                self.close(number);
                "forgotten"
            }
            6..9 => self.enrol(),
            _ => self.change(number),
        }
    }

    /// Somebody new.
    fn enrol(&mut self) -> &'static str {
        let number = self.people.len();
        let now = self.wall();
        let validity = self.moments.validity(&mut self.random, now);
        let (data, body, template) = self.site.picture(number);
        let record = limited(&format!("Person {number}"), validity);
        let command = Command::Enrol { subject: Subject { record }, template: data, review: Review::Off };
        let Enrolment::Stored { identity: id, .. } = self.ask(command, &body) else { panic!("stored") };
        let standing = standing(validity, now);
        self.people.push(Expected { id, validity, standing, period: 0, gone: false, template });
        self.begin(number);
        "enrolled"
    }

    /// Another validity: earlier, later, none any more, one that is over, or one that brings somebody back.
    fn change(&mut self, number: usize) -> &'static str {
        let now = self.wall();
        let (from, until) = self.people[number].validity;
        let new = self.moments.validity(&mut self.random, now);
        let (from, until) = match self.random.u8(0..6) {
            0 => (None, until),
            1 => (from, None),
            2 => (from, Some(now)),
            3 => (Some(now + SignedDuration::from_secs(self.random.i64(0..90))), None),
            _ => new,
        };
        let ordered = from.zip(until).is_none_or(|(from, until)| from < until);
        let validity = if ordered { (from, until) } else { new };
        let change =
            Change { valid_from: Some(validity.0), valid_until: Some(validity.1), ..Change::default() };
        let who = who(&self.people[number].id.to_string());
        let after: Person = self.ask(Command::Change { who, change: Box::new(change) }, &[]);
        if validity == self.people[number].validity {
            return "changes of nothing";
        }
        self.close(number);
        let person = &mut self.people[number];
        person.validity = validity;
        person.standing = standing(validity, now);
        assert_eq!(after.standing, person.standing, "{validity:?} set at {now}");
        self.begin(number);
        "changes of validity"
    }

    /// By hand, or by a clock that was wrong at the start: up to three hours forward, or an hour back; rarely by a day.
    fn set_clock(&mut self) -> &'static str {
        match self.random.u8(0..8) {
            0..4 => self.step_clock(1_000, 3 * 3_600_000),
            4..7 => self.step_clock(-3_600_000, -1_000),
            _ => self.step_clock(-DAY * 1_000, DAY * 1_000),
        }
        "clock set"
    }

    /// As NTP does it.
    fn nudge_clock(&mut self) -> &'static str {
        self.step_clock(-500, 500);
        "clock set by NTP"
    }

    fn step_clock(&mut self, least: i64, most: i64) {
        self.hair();
        let by = SignedDuration::from_millis(self.random.i64(least..most));
        let wall = self.wall() + by;
        self.site.clock.set_wall(wall);
        self.timeline.set(self.up(), wall);
        self.seen = self.seen.min(wall);
    }

    /// The daemon is off. When it comes back, nobody whose time is over is found, before the first look.
    fn restart(&mut self, off: Duration) -> &'static str {
        self.hair();
        let from = self.up();
        self.desk = None;
        self.site.clock.advance(off / 2);
        if self.random.bool() {
            // A battery that is empty, and the right time from the network.
            self.step_clock(-600_000, 600_000);
        }
        self.site.clock.advance(off - off / 2);
        self.timeline.away(from, self.up());
        self.open();
        self.generation = self.custody().shared.current().generation();
        let came = self.came(false);
        self.check_those(&came);
        "restarts"
    }

    /// The store takes nothing for up to six hours.
    fn break_disk(&mut self) -> &'static str {
        self.hair();
        let from = self.up();
        let (here, there): (PathBuf, PathBuf) = (self.site.path(), self.site.folder().join("elsewhere"));
        std::fs::rename(&here, &there).expect("ours");
        self.broken = true;
        let until = from + Duration::from_secs(self.random.u64(60..6 * 3600));
        while self.up() < until {
            let wait = self.desk.as_ref().expect("it runs").1.wait().max(Duration::from_nanos(1));
            self.site.clock.advance(wait);
            self.look();
        }
        self.hair();
        std::fs::rename(&there, &here).expect("ours");
        self.broken = false;
        self.timeline.away(from, self.up());
        self.site.clock.advance(self.desk.as_ref().expect("it runs").1.wait());
        self.look();
        "disks that took nothing"
    }

    /// What the audit log holds of steps, with the uptime when each was written.
    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (action, to) in [("started", Standing::Active), ("expired", Standing::Expired)] {
            let filter = AuditFilter { action: Some(action.to_owned()), ..AuditFilter::default() };
            let entries: Vec<AuditEntry> = self.ask(Command::AuditShow { filter }, &[]);
            steps.extend(entries.into_iter().map(|entry| {
                assert_eq!(entry.actor, "daemon");
                assert_eq!(entry.detail["standing"], to.as_str());
                let due = entry.detail["due"].as_str().expect("a moment").parse().expect("a moment");
                let at = self.written.partition_point(|(count, _)| *count < entry.sequence);
                let who = entry.identity.expect("somebody");
                Step { who, to, sequence: entry.sequence, due, at: entry.at, written: self.written[at].1 }
            }));
        }
        steps.sort_by_key(|step| step.sequence);
        steps
    }
}

fn limited(name: &str, (valid_from, valid_until): (Option<Timestamp>, Option<Timestamp>)) -> Record {
    Record { valid_from, valid_until, ..record(name) }
}

/// All of it, for `make life-gallery`: nearly every moment is one person's, and operators are busy.
fn scale() -> Scale {
    if std::env::var_os("WATCHLISTD_LIFE").is_some_and(|value| value == "whole") {
        Scale { people: 10_000, own_moments: 95, commands: 3_000 }
    } else {
        Scale { people: 10_000, own_moments: 3, commands: 300 }
    }
}

#[test]
fn three_years_of_ten_thousand_identities_in_a_real_gallery() {
    let begun = Instant::now();
    let mut years = Years::new(scale());
    eprintln!("made after {:.1} s", begun.elapsed().as_secs_f64());
    let (mut looks, mut week_off) = (0u64, false);
    let end: Timestamp = "2029-01-01T00:00:00Z".parse().expect("a moment");
    while years.wall() < end {
        years.sleep();
        years.look();
        looks += 1;
        if looks.is_multiple_of(10_000) {
            years.check_everybody();
        }
        if !week_off && years.wall() > "2028-02-25T00:00:00Z".parse().expect("a moment") {
            years.restart(Duration::from_secs(7 * DAY as u64));
            week_off = true;
        }
    }
    years.check_everybody();
    let verdict: AuditReport = years.ask(Command::AuditVerify { head: None }, &[]);
    assert_eq!(verdict.problems, Vec::<String>::new());
    let everybody: Vec<Person> = years.ask(Command::List { list: None, standing: None, text: None }, &[]);
    let stored: HashMap<IdentityId, Standing> =
        everybody.iter().map(|person| (person.id, person.standing)).collect();
    for person in &years.people {
        assert_eq!(
            stored.get(&person.id).copied(),
            (!person.gone).then_some(person.standing),
            "{}",
            person.id
        );
    }
    let steps = years.steps();
    let tally = oracle::check(&years.timeline, &years.periods, &steps, years.up())
        .unwrap_or_else(|why| panic!("{why}"));
    let Tally { starts, ends, unseen, latest } = tally;
    let commits = years.written.len();
    eprintln!(
        "3 years, {} identities, {looks} looks, {} entries in {commits} transactions: {starts} starts and {ends} ends on record, \
         each once, {unseen} starts passed unseen",
        years.people.len(),
        verdict.entries,
    );
    eprintln!("none early, the latest {:.1} s late; {:?}", latest.as_secs_f64(), years.done);
    eprintln!("{:.1} s", begun.elapsed().as_secs_f64());
    assert!(starts > 4_000 && ends > 4_000 && unseen > 0, "the simulation shows little");
    let counted = |what: &str| years.done.get(what).copied().unwrap_or(0);
    for (what, least) in [
        ("changes of validity", 200),
        ("forgotten", 50),
        ("enrolled", 50),
        ("restarts", 10),
        ("clock set", 10),
        ("clock set by NTP", 300),
        ("disks that took nothing", 3),
        ("searches", 1_500),
    ] {
        assert!(counted(what) >= least, "{what}: {:?}", years.done);
    }
}
