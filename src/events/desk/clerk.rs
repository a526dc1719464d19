//! Answers questions from the log itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::question::{MOST_ROWS, Question};
use super::report::{Buried, Entry, Found, HeadState, Page, Place, Sink, Verification};
use crate::base::error::Result;
use crate::events::log::{Head, Inspector, Part, Piece, State, Verified, Witness};
use crate::gallery::command::Reply;
use crate::{bail, err};

/// Bytes of events in one answer; the last one may go over it.
const BYTES: usize = 4 << 20;

/// The longest that a question waits for events. Whoever follows the log asks again.
const WAIT: Duration = Duration::from_secs(5);

/// Questions that may wait at the same time: the control socket has 16 connections, and others want some.
const WAITING: usize = 8;

/// Answers questions about one log, from many threads at once.
#[derive(Clone)]
pub struct Clerk {
    inspector: Inspector,
    waiting: Arc<AtomicUsize>,
}

impl Clerk {
    /// Of that log.
    pub fn new(inspector: Inspector) -> Self {
        Self { inspector, waiting: Arc::default() }
    }

    /// Answers.
    ///
    /// # Errors
    /// `NoInput`, where there is no log; `Usage`, for what cannot be asked; `Temporary`, when too many wait already; as SQLite, and
    /// `Data`, when the log's file is damaged.
    pub fn answer(&self, question: &Question) -> Result<Reply> {
        let inspector = &self.inspector;
        match question {
            Question::Read { log, after, most, wait_ms } => self.read(*log, *after, *most, *wait_ms),
            Question::Back { before, rows } => {
                let (state, cursor) = inspector.back(*before, *rows)?;
                reply(&place(state, cursor))
            }
            Question::Since { at } => {
                let (state, cursor) = inspector.since(at.as_millisecond())?;
                reply(&place(state, cursor))
            }
            Question::Find { id } => {
                let (state, sequence) = inspector.find(*id)?;
                reply(&Found { log: state.epoch, sequence })
            }
            Question::Sinks => self.sinks(),
            Question::Dead { sink, sequence, behind } => {
                let behind = behind.as_ref().map(|(sink, sequence)| (sink.as_str(), *sequence));
                let letters = inspector.dead(sink.as_deref(), *sequence, behind, MOST_ROWS)?;
                let told = |letter: crate::events::log::DeadLetter| Buried {
                    sink: letter.sink,
                    sequence: letter.sequence,
                    at: time(letter.at),
                    why: letter.why,
                };
                reply(&letters.into_iter().map(told).collect::<Vec<_>>())
            }
            Question::Head => reply(&inspector.head()?.to_string()),
            Question::Verify { head } => self.verify(head.as_deref()),
        }
    }

    fn read(&self, log: Option<Uuid>, after: u64, most: usize, wait_ms: u64) -> Result<Reply> {
        if !(1..=MOST_ROWS).contains(&most) {
            bail!(Usage, "most {most}: expected 1 to {MOST_ROWS} rows at a time");
        }
        let mut part = self.inspector.after(log, after, most, BYTES)?;
        let mut ended = false;
        let same = log.is_none_or(|log| log == part.state.epoch);
        if wait_ms > 0 && same && part.pieces.is_empty() {
            ended = self.wait(part.state.epoch, after, Duration::from_millis(wait_ms).min(WAIT))?;
            // What came meanwhile, and what came last.
            part = self.inspector.after(log, after, most, BYTES)?;
        }
        page(part, ended)
    }

    fn wait(&self, log: Uuid, after: u64, time: Duration) -> Result<bool> {
        let place = Waiting::begin(&self.waiting)?;
        let ended = self.inspector.wait(log, after, time);
        drop(place);
        Ok(ended)
    }

    fn sinks(&self) -> Result<Reply> {
        let (state, standings) = self.inspector.sinks()?;
        let told = |standing: crate::events::log::Standing| Sink {
            behind: state.last.saturating_sub(standing.cursor),
            name: standing.name,
            required: standing.required,
            cursor: standing.cursor,
            waiting_since: standing.waiting_since.map(time),
            dead: standing.dead,
        };
        reply(&standings.into_iter().map(told).collect::<Vec<_>>())
    }

    fn verify(&self, head: Option<&str>) -> Result<Reply> {
        let given = head.map(str::parse::<Head>).transpose()?.map(|head| self.inspector.witness(head));
        let (seen, beside) = self.inspector.verify()?;
        let head = self.inspector.head()?.to_string();
        reply(&verification(seen, beside, given, head))
    }
}

/// A place among those who wait; free again when dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(all: &'a AtomicUsize) -> Result<Self> {
        let place = Self(all);
        if all.fetch_add(1, Ordering::AcqRel) >= WAITING {
            return Err(err!(
                Temporary,
                "{WAITING} others follow the event log already: end one of them, or configure a sink (docs/configuration.md)"
            ));
        }
        Ok(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn page(part: Part, ended: bool) -> Result<Reply> {
    let State { epoch, first, last } = part.state;
    let mut body = Vec::new();
    let entry = |piece: Piece| match piece {
        Piece::Event { first, sequence, at, event } => {
            body.extend_from_slice(event.to_line().as_bytes());
            body.push(b'\n');
            Entry::Event { first, sequence, at: time(at) }
        }
        Piece::Gone { first, last } => Entry::Gone { first, last },
        Piece::Damaged { first, last } => Entry::Damaged { first, last },
        Piece::Unread { sequence } => Entry::Unread { sequence },
    };
    let entries = part.pieces.into_iter().map(entry).collect();
    let value = value(&Page { log: epoch, first, last, until: part.until, ended, entries })?;
    Ok(Reply { value, body })
}

fn verification(seen: Verified, beside: Witness, given: Option<Witness>, head: String) -> Verification {
    let Verified { state, events, expired, damaged, names, .. } = seen;
    let (open, closed) = sum(&names);
    let state_of = |witness| match witness {
        Witness::NotOurs => HeadState::NotOurs,
        Witness::Missing => HeadState::Missing,
        Witness::Head(head) if head.epoch != state.epoch => {
            HeadState::OtherLog { log: head.epoch, last: head.last }
        }
        Witness::Head(head) if head.last > state.last => HeadState::Cut { last: head.last },
        Witness::Head(head) => HeadState::Agrees { last: head.last },
    };
    Verification {
        log: state.epoch,
        first: state.first,
        last: state.last,
        events,
        names: open,
        closed_names: closed,
        expired: joined(expired),
        damaged: joined(damaged),
        head_beside: state_of(beside),
        head_given: given.map(state_of),
        head,
    }
}

fn sum<K>(names: &BTreeMap<K, (u64, u64)>) -> (u64, u64) {
    names.values().fold((0, 0), |sum, names| (sum.0 + names.0, sum.1 + names.1))
}

/// Ranges that touch each other become one.
fn joined(ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if before.1 + 1 == first => before.1 = last,
            _ => joined.push((first, last)),
        }
    }
    joined
}

fn place(state: State, cursor: u64) -> Place {
    Place { log: state.epoch, first: state.first, last: state.last, cursor }
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn value(report: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(report).map_err(|e| err!(Software, "a report that is no JSON").because(e))
}

fn reply(report: &impl Serialize) -> Result<Reply> {
    Ok(Reply { value: value(report)?, body: Vec::new() })
}

impl super::Desk for Clerk {
    fn ask(&mut self, question: &Question) -> Result<Reply> {
        self.answer(question)
    }
}
