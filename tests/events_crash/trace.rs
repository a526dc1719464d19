//! Five hundred operations on the log, one after the other, with everything that it does: accepting, cursors, retention, the
//! budget, ends and starts. A child carries them out and tells what came of each; the judge looks at what is left.
//!
//! ```text
//!   acks:  epoch E · accepted SEQUENCE ID TIME · having SEQUENCE, had SEQUENCE · clock TIME · degraded, recovered · unopened WHY · done
//! ```

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;
use watchlistd::base::clock::{Clock as _, SimulatedClock};
use watchlistd::events::Data;
use watchlistd::events::log::{EventLog, Item, Seen};

use crate::as_child;
use crate::site::{Site, WAL, finish, sink};

const FOLDER: &str = "WATCHLISTD_EVENTS_TRACE";
const PARTS: &str = "WATCHLISTD_EVENTS_PARTS";

/// Parts of the trace; each begins with a start and ends with an end.
pub const COUNT: usize = 10;
/// Operations of each.
const OPERATIONS: usize = 50;
/// From this part on the budget is small.
const TIGHT: usize = 8;

const NEEDED: &str = "needed";
const KEEP: Duration = Duration::from_secs(600);

/// Begins at a time of its own, whatever the day.
fn begin() -> Timestamp {
    "2026-03-01T08:30:00Z".parse().expect("a time")
}

/// The child that does these parts.
pub fn child_that(parts: std::ops::Range<usize>, folder: &Path) -> Command {
    let mut command = as_child();
    command.env(FOLDER, folder).env(PARTS, format!("{}..{}", parts.start, parts.end));
    command
}

pub fn run_if_child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let parts = std::env::var(PARTS).expect("parts");
    let (first, end) = parts.split_once("..").expect("a range");
    let folder = Path::new(&folder);
    watch_for_failures(folder);
    (first.parse().expect("a number")..end.parse().expect("a number")).for_each(|part| work(folder, part));
    tell(folder, "done");
}

fn tell(folder: &Path, what: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join("acks")).expect("acks");
    file.write_all(format!("{what}\n").as_bytes()).expect("acks");
}

/// Tells when the log says that it fails and that it works again.
fn watch_for_failures(folder: &Path) {
    use tracing_subscriber::layer::SubscriberExt as _;
    struct Watch(std::path::PathBuf);
    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Watch {
        fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            struct Text(String);
            impl tracing::field::Visit for Text {
                fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                    self.0 += &format!("{value:?} ");
                }
            }
            let mut text = Text(String::new());
            event.record(&mut text);
            if text.0.contains("cannot be written: events wait") {
                tell(&self.0, "degraded");
            } else if text.0.contains("is written again") {
                tell(&self.0, "recovered");
            } else if event.metadata().level() <= &tracing::Level::WARN {
                tell(&self.0, &format!("says {}", text.0.replace('\n', " ")));
            }
        }
    }
    let watch = tracing_subscriber::registry().with(Watch(folder.to_owned()));
    tracing::subscriber::set_global_default(watch).expect("none yet");
}

fn site(part: usize, clock: &Arc<SimulatedClock>) -> Site {
    let mut site = Site::new(clock.clone());
    site.sinks = vec![sink(NEEDED, true), sink("other", false)];
    site.rules.keep = KEEP;
    if part >= TIGHT {
        site.rules.budget = WAL + (80 << 10);
    }
    site
}

/// Opens it; where that fails, as whoever starts the daemon again.
fn open(site: &Site, folder: &Path) -> EventLog {
    for _ in 0..100 {
        match site.open(folder) {
            Ok(log) => return log,
            Err(error) => tell(folder, &format!("unopened {:?} {}", error.kind(), error.chain())),
        }
    }
    panic!("it never opens")
}

fn work(folder: &Path, part: usize) {
    let clock = Arc::new(SimulatedClock::new(Told::read(folder).clock));
    let site = site(part, &clock);
    let mut rng = fastrand::Rng::with_seed(part as u64);
    let mut log = open(&site, folder);
    tell(folder, &format!("epoch {}", log.state().epoch));
    let name: Arc<str> = Arc::from(NEEDED);
    for _ in 0..OPERATIONS {
        match rng.u8(..20) {
            0..=12 => accept(&log, &site, folder),
            13..=15 => {
                let sequence = log.state().last.saturating_sub(rng.u64(..6));
                tell(folder, &format!("having {sequence}"));
                assert!(log.reading().had(&name, sequence, vec![(sequence, "refused".to_owned())]));
                tell(folder, &format!("had {sequence}"));
            }
            16 | 17 => {
                // Retention looks once a minute, after the next group.
                clock.advance(Duration::from_secs(rng.u64(61..300)));
                tell(folder, &format!("clock {}", clock.now().wall));
                accept(&log, &site, folder);
            }
            18 => {
                let mut reading = log.reading();
                let _ = reading.after(log.state().epoch, reading.cursor(NEEDED).unwrap_or(0), 100);
            }
            _ => {
                finish(log);
                log = open(&site, folder);
            }
        }
    }
    // The log looks after itself behind each group.
    assert!(log.settle(Duration::from_secs(60)));
    finish(log);
}

fn accept(log: &EventLog, site: &Site, folder: &Path) {
    let event = site.event();
    let id = event.id;
    let sequence = log.accept(event).expect("accepted");
    tell(folder, &format!("accepted {sequence} {id} {}", site.clock.now().wall));
}

/// What the child has told.
#[derive(Debug)]
pub struct Told {
    pub epoch: Option<Uuid>,
    pub accepted: Vec<(u64, Uuid, Timestamp)>,
    pub having: u64,
    pub had: u64,
    pub clock: Timestamp,
    /// How often the log said that it fails, and how often that it works again.
    pub degraded: usize,
    pub recovered: usize,
    /// How often it ended while the disk still failed, and said that its head is behind.
    pub behind: usize,
    /// Up to there it gave delivered events back, while the disk stayed full.
    pub given: u64,
    pub unopened: Vec<String>,
    pub done: bool,
}

impl Told {
    pub fn read(folder: &Path) -> Self {
        Self::of(&std::fs::read_to_string(folder.join("acks")).unwrap_or_default())
    }

    pub fn of(text: &str) -> Self {
        let mut told = Self {
            epoch: None,
            accepted: Vec::new(),
            having: 0,
            had: 0,
            clock: begin(),
            degraded: 0,
            recovered: 0,
            behind: 0,
            given: 0,
            unopened: Vec::new(),
            done: false,
        };
        for line in text.lines() {
            let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
            let number = || rest.parse().expect("a number");
            match what {
                "epoch" => {
                    let epoch = rest.parse().expect("an epoch");
                    assert!(told.epoch.is_none_or(|before| before == epoch), "another epoch: {text}");
                    told.epoch = Some(epoch);
                }
                "accepted" => {
                    let mut words = rest.splitn(3, ' ');
                    let mut next = || words.next().expect("a word");
                    let (sequence, id, at) = (next().parse(), next().parse(), next().parse());
                    told.accepted.push((
                        sequence.expect("a number"),
                        id.expect("an id"),
                        at.expect("a time"),
                    ));
                }
                "having" => told.having = told.having.max(number()),
                "had" => told.had = told.had.max(number()),
                "clock" => told.clock = rest.parse().expect("a time"),
                "degraded" => told.degraded += 1,
                "recovered" => told.recovered += 1,
                "unopened" => told.unopened.push(rest.to_owned()),
                "done" => told.done = true,
                "says" => {
                    told.behind += usize::from(rest.contains("head is behind"));
                    told.given = told.given.max(given(rest));
                }
                other => panic!("{other}"),
            }
        }
        told
    }
}

/// Up to which event the log says that it made room on a disk that stays full.
fn given(says: &str) -> u64 {
    let number = says.split_once("delivered events up to ").and_then(|(_, rest)| rest.split_once(' '));
    number.map_or(0, |(number, _)| number.parse().expect("a number"))
}

/// Looks at what is left in the folder, with a disk that works. What is wrong, if anything is.
pub fn judge(folder: &Path, told: &Told, last_part: usize) -> Result<(), String> {
    let clock = Arc::new(SimulatedClock::new(told.clock));
    let mut site = site(last_part, &clock);
    // Nothing goes while we look.
    (site.rules.keep, site.rules.budget) = (Duration::from_secs(1 << 30), 1 << 40);
    let log = site.open(folder).map_err(|e| format!("does not open: {}", e.chain()))?;
    let result = look(&log, told, last_part).and_then(|()| go_on(&log, &site));
    log.finish(Duration::from_secs(60)).map_err(|e| e.chain())?;
    result
}

fn look(log: &EventLog, told: &Told, last_part: usize) -> Result<(), String> {
    let state = log.state();
    if told.epoch.is_some_and(|epoch| epoch != state.epoch) {
        let id = |item: Item| if let Item::Event { event, .. } = item { Some(event.id) } else { None };
        let there: HashSet<Uuid> = all(log)?.into_iter().filter_map(id).collect();
        let pinned = told.accepted.iter().filter(|(sequence, ..)| *sequence > told.having);
        let lost = pinned.filter(|(_, id, _)| !there.contains(id)).count();
        return Err(format!("another epoch: {lost} accepted and lost"));
    }
    for (n, (sequence, ..)) in (1..).zip(&told.accepted) {
        if *sequence != n {
            return Err(format!("accepted as {sequence}, and should be {n}"));
        }
    }
    let count = told.accepted.len() as u64;
    // At most one was in flight.
    if !(count..=count + 1).contains(&state.last) {
        return Err(format!(
            "{} accepted and lost: the last of {count} is {}",
            count.saturating_sub(state.last),
            state.last
        ));
    }
    let cursor = log.reading().cursor(NEEDED).unwrap_or(0);
    if count > 0 && !(told.had..=told.having).contains(&cursor) {
        return Err(format!("the cursor is at {cursor}; had {}, having {}", told.had, told.having));
    }
    let too_old = told.clock.checked_sub(KEEP).expect("a time");
    let mut next = 1;
    for item in all(log)? {
        match item {
            Item::Gone { first, last } => {
                for (sequence, _, at) in told.accepted.iter().filter(|(n, ..)| (first..=last).contains(n)) {
                    let for_room = last_part >= TIGHT || *sequence <= told.given;
                    if *sequence > told.having || !(for_room || *at < too_old) {
                        return Err(format!("{sequence} is gone"));
                    }
                }
                next = if first == next { last + 1 } else { return Err(format!("{first} follows {next}")) };
            }
            Item::Event { sequence, event, .. } => {
                if sequence != next {
                    return Err(format!("{sequence} instead of {next}"));
                }
                next += 1;
                if let Data::Lost(lost) = &event.data {
                    return Err(format!("lost: {lost:?}"));
                }
                let expected = told.accepted.get(sequence as usize - 1).map(|(_, id, _)| *id);
                if expected.is_some_and(|id| id != event.id) {
                    return Err(format!("{sequence} is another event"));
                }
            }
        }
    }
    if next == state.last + 1 { Ok(()) } else { Err(format!("ends before {next} of {}", state.last)) }
}

/// Everything that the log gives.
fn all(log: &EventLog) -> Result<Vec<Item>, String> {
    let (mut reading, epoch, mut cursor, mut found) = (log.reading(), log.state().epoch, 0, Vec::new());
    loop {
        let Seen { items, until, .. } = reading.after(epoch, cursor, 200).map_err(|e| e.chain())?;
        found.extend(items);
        if until == cursor {
            return Ok(found);
        }
        cursor = until;
    }
}

/// It accepts again, in the next place.
fn go_on(log: &EventLog, site: &Site) -> Result<(), String> {
    let next = log.state().last + 1;
    let sequence = log.accept(site.event()).map_err(|e| e.chain())?;
    if sequence == next { Ok(()) } else { Err(format!("goes on with {sequence} instead of {next}")) }
}
