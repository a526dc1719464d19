//! A folder of pictures with all cores: the same gallery and the same reports as one picture after the other.
//!
//! ```text
//!  1 reader             the caller's thread                               N workers, each with its models
//!  read ─ SHA-256 ─▶ groups ─▶ Known: 128 pictures of one ─▶ pictures ─▶ read ─ decode ─ detect ─ crop ─ embed
//!  (group ahead)               identity a question                          │
//!                  Enrol, report, in the folder's order ◀── window ◀── faces ◀┘
//! ```
//!
//! What waits is bounded: one group with its hashes, and [`WINDOW`] pictures between the question and the report. What the desk
//! has acknowledged is there; a run that was killed is run again and asks before it decodes. A stop lets the pictures in hand
//! come to their end.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use super::Options;
use super::examine::{Examined, Picture, examine};
use super::models::FaceFinder;
use super::offer::{known, offer};
use super::outcome::{Outcome, Reason, Report, Tally};
use super::walk::Job;
use crate::base::error::{Error, Result};
use crate::base::shutdown::{self, Stop};
use crate::err;
use crate::gallery::command::Desk;
use crate::gallery::record::Record;
use crate::types::ids::ModelId;

/// Most pictures in one question to the desk.
pub const GROUP: usize = 128;
/// Most pictures between the question and the report.
pub const WINDOW: usize = 2 * GROUP;

/// Gets each report, with its number (from 1).
pub type OnReport<'a> = dyn FnMut(usize, &Report) -> Result<()> + 'a;

/// Enrols the jobs, each picture a template of its own. `on_report` gets the reports in the jobs' order, each once its picture is
/// stored or refused; an error it gives ends the run.
///
/// # Errors
/// When a model, the desk or `on_report` fails: the first failure in the jobs' order. What was reported before it is done.
pub fn enrol<F: FaceFinder>(
    jobs: &[Job],
    finders: &mut [F],
    desk: &mut dyn Desk,
    options: &Options,
    stop: &Stop,
    on_report: &mut OnReport<'_>,
) -> Result<Tally> {
    let Some(model) = finders.first().map(FaceFinder::model) else {
        return Err(err!(Software, "no models to enrol with"));
    };
    thread::scope(|scope| {
        let (hashed, groups) = bounded(1);
        let (give, given) = bounded(WINDOW);
        let (answer, faces) = bounded(WINDOW);
        // However this closure is left, the workers do not work off what they were given.
        let (_ends, over) = shutdown::channel();
        scope.spawn(move || read_ahead(jobs, &hashed, stop));
        for finder in finders {
            let (given, answer, over) = (given.clone(), answer.clone(), over.clone());
            let stopped = move || stop.is_set() || over.is_set();
            scope.spawn(move || work(jobs, finder, options, stopped, &given, &answer));
        }
        // Only the workers answer: when they are gone, that is seen.
        drop((given, answer));
        let window = Window::default();
        Run { jobs, model, desk, options, on_report, give, window, tally: Tally::default() }
            .run(&groups, &faces)
    })
}

/// Consecutive pictures of one identity with their hashes, or why there is none.
struct Group {
    first: usize,
    hashes: Vec<Result<String, Reason>>,
}

/// The reader: hashes group after group, and waits while one is waiting.
fn read_ahead(jobs: &[Job], to: &Sender<Group>, stop: &Stop) {
    let mut first = 0;
    while first < jobs.len() {
        let rest = jobs.iter().skip(first);
        let record = jobs.get(first).and_then(|job| job.record.as_ref());
        let same = |job: &&Job| match (job.record.as_ref(), record) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let mut hashes = Vec::new();
        for job in rest.take(GROUP).take_while(same) {
            if stop.is_set() {
                return;
            }
            hashes.push(match &job.refused {
                None => Picture::read(&job.path).map(|picture| picture.sha256),
                Some(reason) => Err(reason.clone()),
            });
        }
        let count = hashes.len();
        if to.send(Group { first, hashes }).is_err() {
            return;
        }
        first += count;
    }
}

/// What became of a picture before the desk hears of it.
enum Looked {
    /// A face, and the SHA-256 of the picture it was found in.
    Face(Box<Examined>, String),
    Refused(Reason),
    AlreadyThere,
    /// Told to stop before.
    Untouched,
    Failed(Error),
}

/// A worker: picture after picture, until there are no more.
fn work<F: FaceFinder>(
    jobs: &[Job],
    finder: &mut F,
    options: &Options,
    stopped: impl Fn() -> bool,
    given: &Receiver<usize>,
    answer: &Sender<(usize, Looked)>,
) {
    for position in given {
        let mut answer = Answer { to: answer, position, looked: None };
        let path = jobs.get(position).map(|job| job.path.as_path());
        answer.looked = match path {
            Some(path) if !stopped() => Some(look(finder, options, path)),
            _ => Some(Looked::Untouched),
        };
    }
}

fn look<F: FaceFinder>(finder: &mut F, options: &Options, path: &Path) -> Looked {
    let Picture { bytes, sha256 } = match Picture::read(path) {
        Ok(picture) => picture,
        Err(reason) => return Looked::Refused(reason),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match examine(finder, options, options.choice, &bytes, &name) {
        Ok(Ok(face)) => Looked::Face(Box::new(face), sha256),
        Ok(Err(reason)) => Looked::Refused(reason),
        Err(cause) => Looked::Failed(cause),
    }
}

/// An answer that is given even if the worker panics: the window would wait for it for ever.
struct Answer<'a> {
    to: &'a Sender<(usize, Looked)>,
    position: usize,
    looked: Option<Looked>,
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let broken = || Looked::Failed(err!(Software, "a worker ended in the middle of a picture"));
        // Nobody listens any more after a failure elsewhere.
        let _ = self.to.send((self.position, self.looked.take().unwrap_or_else(broken)));
    }
}

/// Pictures between the question and the report, in order. `None`: a worker has it.
#[derive(Default)]
struct Window {
    first: usize,
    slots: VecDeque<Option<Looked>>,
}

impl Window {
    fn put(&mut self, position: usize, looked: Looked) {
        let slot = position.checked_sub(self.first).and_then(|at| self.slots.get_mut(at));
        if let Some(slot) = slot {
            *slot = Some(looked);
        }
    }

    /// The next in order, if it is done.
    fn take(&mut self) -> Option<(usize, Looked)> {
        let looked = self.slots.front_mut()?.take()?;
        self.slots.pop_front();
        self.first += 1;
        Some((self.first - 1, looked))
    }
}

/// The caller's thread: asks, hands out, stores and reports.
struct Run<'a, 'b> {
    jobs: &'a [Job],
    model: ModelId,
    desk: &'a mut dyn Desk,
    options: &'a Options,
    on_report: &'a mut OnReport<'b>,
    give: Sender<usize>,
    window: Window,
    tally: Tally,
}

impl Run<'_, '_> {
    fn run(mut self, groups: &Receiver<Group>, faces: &Receiver<(usize, Looked)>) -> Result<Tally> {
        let (full, mut ended) = (never(), false);
        loop {
            while let Some((position, looked)) = self.window.take() {
                self.settle(position, looked)?;
            }
            let waiting = self.window.slots.len();
            if ended && waiting == 0 {
                self.tally.untouched = self.jobs.len() - self.tally.reported();
                return Ok(self.tally);
            }
            let next = if ended || waiting + GROUP > WINDOW { &full } else { groups };
            select! {
                recv(next) -> group => match group {
                    Ok(group) => self.accept(group)?,
                    Err(_) => ended = true,
                },
                recv(faces) -> face => match face {
                    Ok((position, looked)) => self.window.put(position, looked),
                    Err(_) => return Err(err!(Software, "all workers ended in the middle of the folder")),
                },
            }
        }
    }

    /// Asks which of a group are there, and hands out the others.
    fn accept(&mut self, group: Group) -> Result<()> {
        let asked: Vec<String> = group.hashes.iter().filter_map(|hash| hash.as_ref().ok().cloned()).collect();
        let record = self.jobs.get(group.first).and_then(|job| job.record.clone());
        let known = match &record {
            Some(record) if !asked.is_empty() => known(self.desk, record, self.model, asked)?,
            _ => Vec::new(),
        };
        let mut known = known.into_iter();
        for (position, hash) in (group.first..).zip(group.hashes) {
            let slot = match hash {
                Err(reason) => Some(Looked::Refused(reason)),
                Ok(_) if known.next() == Some(true) => Some(Looked::AlreadyThere),
                Ok(_) => None,
            };
            if slot.is_none() && self.give.send(position).is_err() {
                return Err(err!(Software, "all workers ended in the middle of the folder"));
            }
            self.window.slots.push_back(slot);
        }
        Ok(())
    }

    /// Stores and reports the next picture.
    fn settle(&mut self, position: usize, looked: Looked) -> Result<()> {
        let Some(job) = self.jobs.get(position) else { return Ok(()) };
        let outcome = match (looked, &job.record) {
            (Looked::Untouched, _) => return Ok(()),
            (Looked::Failed(cause), _) => return Err(cause),
            (Looked::AlreadyThere, _) => Outcome::AlreadyThere,
            (Looked::Refused(reason), _) => Outcome::Refused { reason },
            (Looked::Face(face, sha256), Some(record)) => self.offer(record, &job.path, sha256, &face)?,
            (Looked::Face(..), None) => return Err(err!(Software, "a picture that belongs to nobody")),
        };
        let name = job.record.as_ref().map(|record| record.name.to_string());
        let report = Report { path: job.path.clone(), name, outcome };
        self.tally.count(&report.outcome);
        (self.on_report)(position + 1, &report)
    }

    fn offer(&mut self, record: &Record, path: &Path, sha256: String, face: &Examined) -> Result<Outcome> {
        offer(self.desk, record, path, sha256, face, self.options.review)
    }
}
