//! A folder of pictures with all cores: the same gallery and the same reports as one picture after the other.
//!
//! ```text
//!  1 reader             the caller's thread                               N workers, each with its models
//!  read ─ SHA-256 ─▶ groups ─▶ Known: 128 pictures of one ─▶ pictures ─▶ read ─ decode ─ detect ─ crop ─ embed
//!  (group ahead)               identity a question                          │
//!      EnrolMany: all that are ready, report, in the folder's order ◀── window ◀── faces ◀┘
//! ```
//!
//! Faces are offered several at a time, so that the disk is waited for once for all of them: as soon as there are
//! [`MOST_OFFERS`], or when the first of them has waited for [`HOLD`]. What waits is bounded: one group with its hashes, and [`WINDOW`] pictures between the
//! question and the report. What the desk has acknowledged is there; a run that was killed is run again and asks before it
//! decodes. A stop lets the pictures in hand come to their end.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select};

use super::Options;
use super::examine::{Examined, Picture, examine};
use super::models::FaceFinder;
use super::offer::{Candidate, known, offer_all};
use super::outcome::{Outcome, Reason, Report, Tally};
use super::walk::Job;
use crate::base::error::{Error, Kind, Result};
use crate::base::faults;
use crate::base::shutdown::{self, Stop};
use crate::err;
use crate::gallery::command::{Desk, MOST_OFFERS};
use crate::types::ids::ModelId;

/// Most pictures in one question to the desk.
pub const GROUP: usize = 128;
/// Most pictures between the question and the report.
pub const WINDOW: usize = 2 * GROUP;

/// How long a face waits for others to be stored with. A kill loses no more than the work of that time.
pub const HOLD: Duration = Duration::from_millis(200);

/// Gets each report, with how many there are so far.
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
        spawn(scope, "enrol-read", move || read_ahead(jobs, &hashed, stop))?;
        for finder in finders {
            let (given, answer, over) = (given.clone(), answer.clone(), over.clone());
            let stopped = move || stop.is_set() || over.is_set();
            spawn(scope, "enrol-look", move || work(jobs, finder, options, stopped, &given, &answer))?;
        }
        // Only the workers answer: when they are gone, that is seen.
        drop((given, answer));
        let (window, ready, due, tally) = (Window::default(), Vec::new(), None, Tally::default());
        Run { jobs, model, desk, options, on_report, give, window, ready, due, tally }.run(&groups, &faces)
    })
}

fn spawn<'s>(scope: &'s Scope<'s, '_>, name: &str, run: impl FnOnce() + Send + 's) -> Result<()> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, run);
    spawned.map(drop).map_err(|cause| err!(Unavailable, "cannot start a thread").because(cause))
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
    /// A face, and the digest of its source.
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
    let examined = examine(finder, options, options.choice, &bytes, &name);
    faults::point("enrol.examined");
    match examined {
        Ok(Ok(face)) => {
            let source = face.source(sha256);
            Looked::Face(Box::new(face), source)
        }
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
    /// Out of the window, in order, and not reported yet.
    ready: Vec<(&'a Job, Settled)>,
    /// When these are to be stored and reported at the latest.
    due: Option<Instant>,
    tally: Tally,
}

/// A picture that is only to be reported, or whose face is to be offered before.
enum Settled {
    Done(Outcome),
    Face(Box<Examined>, String),
}

impl Run<'_, '_> {
    fn run(mut self, groups: &Receiver<Group>, faces: &Receiver<(usize, Looked)>) -> Result<Tally> {
        let (full, mut ended) = (never(), false);
        loop {
            while let Some((position, looked)) = self.window.take() {
                self.settle(position, looked)?;
            }
            let waiting = self.window.slots.len();
            let due = self.due.is_some_and(|due| due <= Instant::now());
            if due || (ended && waiting == 0) {
                self.store()?;
            }
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
                recv(self.due.map_or_else(never, at)) -> _ => {}
            }
        }
    }

    /// Asks which of a group are there, and hands out the others.
    fn accept(&mut self, group: Group) -> Result<()> {
        let asked: Vec<String> = group.hashes.iter().filter_map(|hash| hash.as_ref().ok().cloned()).collect();
        let record = self.jobs.get(group.first).and_then(|job| job.record.clone());
        let known = match &record {
            Some(record) if !asked.is_empty() => known(self.desk, record, self.model, asked),
            _ => Ok(Vec::new()),
        };
        // Who cannot be told from somebody else keeps nobody else waiting.
        let (known, ambiguous) = match known {
            Ok(known) => (known, None),
            Err(cause) if cause.kind() == Kind::Usage => (Vec::new(), Some(cause.chain())),
            Err(cause) => return Err(cause),
        };
        let mut known = known.into_iter();
        for (position, hash) in (group.first..).zip(group.hashes) {
            let slot = match hash {
                Err(reason) => Some(Looked::Refused(reason)),
                Ok(_) => match &ambiguous {
                    Some(detail) => Some(Looked::Refused(Reason::Ambiguous { detail: detail.clone() })),
                    None if known.next() == Some(true) => Some(Looked::AlreadyThere),
                    None => None,
                },
            };
            if slot.is_none() && self.give.send(position).is_err() {
                return Err(err!(Software, "all workers ended in the middle of the folder"));
            }
            self.window.slots.push_back(slot);
        }
        Ok(())
    }

    /// Takes the next picture out of the window.
    fn settle(&mut self, position: usize, looked: Looked) -> Result<()> {
        let Some(job) = self.jobs.get(position) else { return Ok(()) };
        let settled = match looked {
            Looked::Untouched => return Ok(()),
            Looked::Failed(cause) => {
                // What came before it is done.
                self.store()?;
                return Err(cause);
            }
            Looked::AlreadyThere => Settled::Done(Outcome::AlreadyThere),
            Looked::Refused(reason) => Settled::Done(Outcome::Refused { reason }),
            Looked::Face(face, sha256) => Settled::Face(face, sha256),
        };
        self.ready.push((job, settled));
        self.due.get_or_insert_with(|| Instant::now() + HOLD);
        if self.ready.len() >= MOST_OFFERS { self.store() } else { Ok(()) }
    }

    /// Stores and reports what is ready.
    fn store(&mut self) -> Result<()> {
        self.due = None;
        let (mut faces, mut settled) = (Vec::new(), Vec::new());
        for (job, what) in self.ready.drain(..) {
            settled.push((
                job,
                match (what, &job.record) {
                    (Settled::Done(outcome), _) => Some(outcome),
                    (Settled::Face(face, sha256), Some(record)) => {
                        faces.push(Candidate { record, path: &job.path, sha256, face });
                        None
                    }
                    (Settled::Face(..), None) => {
                        return Err(err!(Software, "a picture that belongs to nobody"));
                    }
                },
            ));
        }
        let mut stored = Vec::new();
        if !faces.is_empty() {
            stored = offer_all(self.desk, faces, self.options.review)?;
        }
        let mut stored = stored.into_iter();
        for (job, outcome) in settled {
            // As many answers as faces: `offer_all` has looked.
            let Some(outcome) = outcome.or_else(|| stored.next()) else { continue };
            let name = job.record.as_ref().map(|record| record.name.to_string());
            let report = Report { path: job.path.clone(), name, outcome };
            self.tally.count(&report.outcome);
            (self.on_report)(self.tally.reported(), &report)?;
        }
        Ok(())
    }
}
