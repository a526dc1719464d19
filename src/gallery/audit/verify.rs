//! Reading the whole chain once, and saying all that is wrong with it.
//!
//! ```text
//!             a row follows            a row does not
//!  Proven ──────────────────▶ Proven ─────────────────▶ Broken ──a row follows either its stored MAC or the one that
//!                                                         │        its content gives──▶ Proven: one edit, one problem
//!                                                         └──no row does──▶ Broken: the same problem, one entry longer
//!  any ──a gap──▶ Lost ──any row──▶ Doubtful       Doubtful ──a row follows──▶ Proven
//!  any ──a row that says it is another──▶ Foreign ──a row follows──▶ Proven, else Doubtful
//! ```
//!
//! What cannot be proven for want of the entry before it is no problem of its own: the one that caused it names it.

use super::chain;
use super::entry::Row;
use super::head::Head;
use super::problem::Problem;
use crate::base::error::Result;
use crate::gallery::crypt::Key;

/// So many problems of entries are told, and all of heads; the rest is counted.
pub const MOST_PROBLEMS: usize = 100;

/// What is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Rows that were looked at.
    pub entries: u64,
    /// Where the log ends, as it is stored.
    pub head: Head,
    /// What is wrong. None: all is as it was written.
    pub problems: Vec<Problem>,
    /// More problems than are told.
    pub more: u64,
}

impl Report {
    /// True if nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// What is wrong, one sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("and {} problems more", self.more));
        self.problems.iter().map(ToString::to_string).chain(more).collect()
    }
}

/// Checks the rows, in the order of their sequence, and that the log passes through each head kept outside of it. Memory does
/// not grow with the log. A row that is an error is a problem like another. A label is the subject of a sentence:
/// `gallery.head`, `the head given`.
pub fn verify(key: &Key, rows: impl Iterator<Item = Result<Row>>, against: &[(&str, Head)]) -> Report {
    verify_by(chain::link, key, rows, against)
}

pub(super) type Link = fn(&Key, &[u8; 32], &Row) -> [u8; 32];

/// As [`verify`], with another MAC: tests weaken it, and see that something is no longer found.
pub(super) fn verify_by(
    link: Link,
    key: &Key,
    rows: impl Iterator<Item = Result<Row>>,
    against: &[(&str, Head)],
) -> Report {
    let mut walk = Walk::new(link, key, against);
    for row in rows {
        match row {
            Ok(row) => walk.step(&row),
            Err(e) => walk.lose(e.chain()),
        }
    }
    walk.end()
}

/// What is known of the row before.
#[derive(Debug, Clone, Copy)]
enum Before {
    Proven([u8; 32]),
    /// It does not follow: its MAC as stored, and the one its content would have had.
    Broken([u8; 32], [u8; 32]),
    /// It may be right; the one before it is lost.
    Doubtful([u8; 32]),
    /// It says it is another, and the MAC is probably another's.
    Foreign([u8; 32]),
    /// It is not there.
    Lost,
}

struct Walk<'a> {
    link: Link,
    key: &'a Key,
    /// Heads, and whether the log passed through them.
    heads: Vec<(&'a str, Head, bool)>,
    /// The last row that was read.
    head: Head,
    /// Where it stands, or an unreadable one after it.
    position: u64,
    before: Before,
    /// First and last of the broken rows before.
    run: Option<(u64, u64)>,
    entries: u64,
    problems: Vec<Problem>,
    more: u64,
}

impl<'a> Walk<'a> {
    fn new(link: Link, key: &'a Key, against: &[(&'a str, Head)]) -> Self {
        let head = Head::start(key);
        Self {
            link,
            key,
            heads: against.iter().map(|&(label, outside)| (label, outside, outside == head)).collect(),
            head,
            position: 0,
            before: Before::Proven(head.mac),
            run: None,
            entries: 0,
            problems: Vec::new(),
            more: 0,
        }
    }

    fn step(&mut self, row: &Row) {
        self.entries += 1;
        let next = self.position.saturating_add(1);
        if row.sequence < next {
            return self.tell(Problem::OutOfOrder { sequence: row.sequence, after: self.position });
        }
        if row.sequence > next {
            self.close();
            self.tell(Problem::Missing { from: next, to: row.sequence - 1 });
            self.before = Before::Lost;
        }
        self.before = self.judge(row);
        self.position = row.sequence;
        self.head = Head { count: row.sequence, mac: row.mac };
        for (_, outside, met) in &mut self.heads {
            *met |= *outside == self.head;
        }
    }

    /// What the next row has to follow.
    fn judge(&mut self, row: &Row) -> Before {
        let stamp = Stamp::of(row);
        let recomputed = match self.follows(row) {
            Ok(()) => {
                self.close();
                self.check_stamp(row, stamp);
                return Before::Proven(row.mac);
            }
            Err(recomputed) => recomputed,
        };
        if let Ok(Stamp { sequence: says, .. }) = stamp
            && says != row.sequence
        {
            self.close();
            self.tell(Problem::Misplaced { at: row.sequence, says });
            return Before::Foreign(row.mac);
        }
        let Some(recomputed) = recomputed else { return Before::Doubtful(row.mac) };
        match self.before {
            Before::Foreign(_) | Before::Lost => return Before::Doubtful(row.mac),
            Before::Doubtful(_) => self.run = Some((row.sequence - 1, row.sequence)),
            Before::Proven(_) => self.run = Some((row.sequence, row.sequence)),
            Before::Broken(..) => self.run = self.run.map(|(from, _)| (from, row.sequence)),
        }
        Before::Broken(row.mac, recomputed)
    }

    /// If not: the MAC the row should have, going by contents alone, if there is something before it.
    fn follows(&self, row: &Row) -> Result<(), Option<[u8; 32]>> {
        let link = |previous: &[u8; 32]| (self.link)(self.key, previous, row);
        match &self.before {
            Before::Proven(mac) | Before::Doubtful(mac) | Before::Foreign(mac) => {
                let expected = link(mac);
                if expected == row.mac { Ok(()) } else { Err(Some(expected)) }
            }
            Before::Broken(stored, recomputed) => {
                let expected = link(recomputed);
                if expected == row.mac || link(stored) == row.mac { Ok(()) } else { Err(Some(expected)) }
            }
            Before::Lost => Err(None),
        }
    }

    /// A proven row was written by whoever has the key; that its body and columns disagree is a mistake of theirs.
    fn check_stamp(&mut self, row: &Row, stamp: Result<Stamp, serde_json::Error>) {
        match stamp {
            Err(e) => self.tell(Problem::Unreadable { near: row.sequence, why: format!("no entry: {e}") }),
            Ok(stamp) if stamp.sequence != row.sequence => {
                self.tell(Problem::Misplaced { at: row.sequence, says: stamp.sequence });
            }
            Ok(stamp) if stamp.sealed != row.sealed.is_some() => {
                let why = "its body and its columns disagree on whether it has a sealed part".to_owned();
                self.tell(Problem::Unreadable { near: row.sequence, why });
            }
            Ok(_) => (),
        }
    }

    /// A row that could not be read stands where the next one is expected.
    fn lose(&mut self, why: String) {
        self.close();
        self.entries += 1;
        self.position = self.position.saturating_add(1);
        self.tell(Problem::Unreadable { near: self.position, why });
        self.before = Before::Lost;
    }

    /// Tells of the broken rows that end here.
    fn close(&mut self) {
        if let Some((from, to)) = self.run.take() {
            self.tell(Problem::Edited { from, to });
        }
    }

    fn tell(&mut self, problem: Problem) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }

    fn end(mut self) -> Report {
        match self.run {
            Some((1, to)) if to > 1 && to == self.entries => {
                self.tell(Problem::NothingFits { entries: to });
            }
            _ => self.close(),
        }
        let last = self.position;
        // However much else is wrong, this is told.
        self.problems.extend(self.heads.iter().filter(|(.., met)| !met).map(
            |&(label, Head { count, .. }, _)| {
                let label = label.to_owned();
                if count > last {
                    Problem::CutOff { last, label, count }
                } else {
                    Problem::OtherHead { label, count }
                }
            },
        ));
        Report { entries: self.entries, head: self.head, problems: self.problems, more: self.more }
    }
}

/// What a body says of its own row.
#[derive(serde::Deserialize)]
struct Stamp {
    sealed: bool,
    sequence: u64,
}

impl Stamp {
    fn of(row: &Row) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&row.body)
    }
}
