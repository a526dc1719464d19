//! The daemon's stages over a recording: at full speed, every frame, and the same answer every time.
//!
//! ```text
//!   source ──▶ detect (n workers) ──▶ put back in order ──▶ analyser ──shots──▶ embed (n workers)
//!                                                              │                      │
//!                                                              ▼                      ▼
//!                              timeline:  [refused] [shot 1 ✓] [shot 2 …] [ended] [shot 3 ✓] ...
//!                                         └─ heard by the judge from the front, only while it is complete ─┘
//! ```
//!
//! Workers answer in any order; what has memory (analyser, judge) hears everything in the recording's order. On a CPU an
//! embedding does not depend on what it is batched with (it is not batched), so the number of workers changes nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, select_biased, unbounded};

use super::analyser::{Analyser, Finding};
use super::judge::{Judge, Message, Policy};
use super::queue::Shot;
use super::shadow::Comparison;
use super::tuning::Tuning;
use crate::align::Aligner;
use crate::base::error::Result;
use crate::decide::NewVisitId;
use crate::detect::Detector;
use crate::gallery::SharedGallery;
use crate::infer::Embedder;
use crate::infer::models::Models;
use crate::source::sampler::Sampler;
use crate::source::{Failure, Next, Source, SourceError};
use crate::stats::CropDrop;
use crate::types::decision::Notice;
use crate::types::embedding::Embedding;
use crate::types::face::Detection;
use crate::types::frame::Frame;
use crate::types::ids::{CameraId, TrackId};
use crate::{bail, err};

/// A file that gives no frame for this long is taken for broken.
const STALL: Duration = Duration::from_secs(20);

/// How to go over the recording.
pub struct Settings {
    /// Worker threads, each with a detector and an embedder of its own.
    pub workers: usize,
    /// What to look for.
    pub tuning: Tuning,
    /// Frames a second that are looked at; `None`: every frame.
    pub fps: Option<f32>,
}

/// A face in a frame, and the track it belongs to.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// The track.
    pub track: TrackId,
    /// The face.
    pub detection: Detection,
    /// False while the track may still be a false alarm.
    pub confirmed: bool,
}

/// Is told what happens, in the recording's order.
pub trait Observer {
    /// A frame was looked at.
    fn frame(&mut self, frame: &Frame, sightings: &[Sighting]);
    /// A shot of the track was embedded.
    fn embedded(&mut self, track: &TrackId);
    /// Somebody appeared or left, or something was decided.
    fn notice(&mut self, notice: &Notice);
    /// A track has left that another policy has judged, too (`[shadow]`).
    fn compared(&mut self, _: &Comparison) {}
}

/// What went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Frames decoded.
    pub frames: u64,
    /// Frames looked at.
    pub inferred: u64,
    /// Faces found in them.
    pub faces: u64,
    /// Tracks that counted.
    pub tracks: u64,
    /// Shots embedded.
    pub embedded: u64,
}

/// Runs the stages over `source` until it ends.
///
/// # Errors
/// `Data`, when the recording breaks off (what came before it was handled); errors of inference.
pub fn run(
    source: Box<dyn Source>,
    camera: CameraId,
    models: &Models,
    gallery: Arc<SharedGallery>,
    policy: Policy,
    settings: &Settings,
    observer: &mut dyn Observer,
) -> Result<Totals> {
    let hands = Hands::start(models, settings)?;
    let aligner = Aligner::new(models.alignment().clone(), settings.tuning.limits.clone())?;
    run_with(&hands, source, camera, aligner, gallery, policy, settings, observer)
}

/// The same with workers that are there already, for benches: loading is not part of it.
///
/// # Errors
/// As [`run`].
#[allow(clippy::too_many_arguments, reason = "the parts of one run, named once")]
pub fn run_with(
    hands: &Hands,
    source: Box<dyn Source>,
    camera: CameraId,
    aligner: Aligner,
    gallery: Arc<SharedGallery>,
    policy: Policy,
    settings: &Settings,
    observer: &mut dyn Observer,
) -> Result<Totals> {
    let mut run = Run {
        source,
        hands,
        settings,
        // There is one model for the whole recording.
        analyser: Analyser::new(camera, gallery.current().model(), aligner),
        judge: Judge::new(policy, gallery, counted_visits(), Arc::default()),
        observer,
        in_flight: 0,
        next_in: 0,
        next_out: 0,
        detected: BTreeMap::new(),
        timeline: VecDeque::new(),
        first_entry: 0,
        sampler: Sampler::new(settings.fps.unwrap_or(0.0)),
        epoch: 0,
        totals: Totals::default(),
    };
    run.play_through()
}

/// Visit ids that are the same for the same recording: version 8 UUIDs (RFC 9562) that count from 1.
fn counted_visits() -> NewVisitId {
    let mut last = 0u128;
    Box::new(move || {
        last += 1;
        uuid::Builder::from_custom_bytes(last.to_be_bytes()).into_uuid()
    })
}

enum Job {
    Detect(u64, Frame),
    Embed(u64, Shot),
}

enum Answer {
    Detected(u64, Frame, Result<Vec<Detection>>),
    Embedded(u64, Shot, Result<Embedding>),
}

/// The worker threads. They end when it is dropped.
pub struct Hands {
    frames: Sender<Job>,
    shots: Sender<Job>,
    answers: Receiver<Answer>,
    _threads: Vec<JoinHandle<()>>,
}

impl Hands {
    /// Starts them, each with models of its own.
    ///
    /// # Errors
    /// The models', as they give them; `Temporary`, when the system gives no thread.
    pub fn start(models: &Models, settings: &Settings) -> Result<Self> {
        let (frames, frames_in) = unbounded();
        let (shots, shots_in) = unbounded();
        let (answered, answers) = unbounded();
        let mut threads = Vec::new();
        for number in 1..=settings.workers.max(1) {
            let (detector, embedder) = (models.detector()?, models.embedder()?);
            let (frames_in, shots_in, answered) = (frames_in.clone(), shots_in.clone(), answered.clone());
            let tuning = settings.tuning.clone();
            let thread = std::thread::Builder::new()
                .name(format!("worker {number}"))
                .spawn(move || work(detector, embedder, &tuning, &frames_in, &shots_in, &answered))
                .map_err(|e| err!(Temporary, "cannot start a worker thread").because(e))?;
            threads.push(thread);
        }
        Ok(Self { frames, shots, answers, _threads: threads })
    }
}

/// A worker: shots before frames, until both channels are closed.
fn work(
    mut detector: Box<dyn Detector>,
    mut embedder: Box<dyn Embedder>,
    tuning: &Tuning,
    frames: &Receiver<Job>,
    shots: &Receiver<Job>,
    answered: &Sender<Answer>,
) {
    loop {
        let job = select_biased! {
            recv(shots) -> job => job,
            recv(frames) -> job => job,
        };
        let answer = match job {
            Ok(Job::Detect(number, frame)) => {
                let found = detector.detect(frame.pixels(), &tuning.detect_options(frame.size()));
                Answer::Detected(number, frame, found)
            }
            Ok(Job::Embed(number, shot)) => {
                let embedding = embed_one(embedder.as_mut(), &shot);
                Answer::Embedded(number, shot, embedding)
            }
            Err(_) => return,
        };
        if answered.send(answer).is_err() {
            return;
        }
    }
}

fn embed_one(embedder: &mut dyn Embedder, shot: &Shot) -> Result<Embedding> {
    let mut answers = embedder.embed(std::slice::from_ref(&shot.crop))?;
    answers.pop().unwrap_or_else(|| Err(err!(Software, "the embedder answered nothing")))
}

/// A place in the timeline.
enum Entry {
    Ready(Box<Message>),
    Waiting,
}

struct Run<'a> {
    source: Box<dyn Source>,
    hands: &'a Hands,
    settings: &'a Settings,
    analyser: Analyser,
    judge: Judge,
    observer: &'a mut dyn Observer,
    /// Frames given to workers and not yet analysed.
    in_flight: usize,
    next_in: u64,
    next_out: u64,
    detected: BTreeMap<u64, (Frame, Vec<Detection>)>,
    timeline: VecDeque<Entry>,
    /// Number of the timeline's first entry.
    first_entry: u64,
    sampler: Sampler,
    epoch: u32,
    totals: Totals,
}

impl Run<'_> {
    fn play_through(&mut self) -> Result<Totals> {
        let mut ended: Option<std::result::Result<(), SourceError>> = None;
        loop {
            while ended.is_none() && self.in_flight < 2 * self.settings.workers.max(1) {
                ended = self.feed();
            }
            if self.in_flight == 0 && ended.is_some() {
                let findings = self.analyser.end(self.epoch);
                self.note(findings);
                self.hear();
            }
            if self.in_flight == 0 && ended.is_some() && self.timeline.is_empty() {
                break;
            }
            let answer = self.hands.answers.recv();
            self.take(answer.map_err(|_| err!(Software, "the workers are gone"))?)?;
            self.hear();
        }
        match ended {
            Some(Err(error)) => bail!(Data, "{error}"),
            _ => Ok(self.totals),
        }
    }

    /// Gets one frame to the workers; at the end of the recording, says how it ended.
    fn feed(&mut self) -> Option<std::result::Result<(), SourceError>> {
        match self.source.next(STALL) {
            Ok(Next::Frame(frame)) => {
                self.totals.frames += 1;
                if self.sampler.take(frame.captured.mono, frame.sequence) {
                    self.epoch = frame.epoch;
                    self.in_flight += 1;
                    let _ = self.hands.frames.send(Job::Detect(self.next_in, frame));
                    self.next_in += 1;
                }
                None
            }
            Ok(Next::TimedOut) => {
                let message = format!("the recording gave nothing for {} s", STALL.as_secs());
                Some(Err(SourceError { failure: Failure::Stalled, message }))
            }
            Err(error) if error.failure == Failure::Ended => Some(Ok(())),
            Err(error) => Some(Err(error)),
        }
    }

    fn take(&mut self, answer: Answer) -> Result<()> {
        match answer {
            Answer::Detected(number, frame, found) => {
                self.detected.insert(number, (frame, found?));
                while let Some((frame, detections)) = self.detected.remove(&self.next_out) {
                    self.next_out += 1;
                    self.in_flight -= 1;
                    self.analyse(&frame, detections);
                }
            }
            Answer::Embedded(number, shot, embedding) => {
                let message = match embedding {
                    Ok(embedding) => {
                        self.totals.embedded += 1;
                        Message::Embedded(shot, embedding)
                    }
                    Err(error) => {
                        tracing::warn!(track = %shot.track, error = error.chain(), "a shot gave no embedding");
                        Message::Dropped(shot.track, CropDrop::Failed)
                    }
                };
                let place = usize::try_from(number - self.first_entry).unwrap_or(usize::MAX);
                if let Some(entry) = self.timeline.get_mut(place) {
                    *entry = Entry::Ready(Box::new(message));
                }
            }
        }
        Ok(())
    }

    fn analyse(&mut self, frame: &Frame, mut detections: Vec<Detection>) {
        detections.retain(|d| !self.settings.tuning.masks(d, frame.size()));
        self.totals.inferred += 1;
        self.totals.faces += detections.len() as u64;
        let findings = self.analyser.look(frame, &detections, &self.settings.tuning);
        let sightings: Vec<Sighting> = findings
            .iter()
            .filter_map(|finding| match finding {
                Finding::Seen { track, detection, confirmed, .. } => Some(Sighting {
                    track: track.clone(),
                    detection: detections.get(*detection)?.clone(),
                    confirmed: *confirmed,
                }),
                _ => None,
            })
            .collect();
        self.observer.frame(frame, &sightings);
        self.note(findings);
    }

    /// Puts what was found into the timeline, and its shots to the workers.
    fn note(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            match finding {
                Finding::Seen { first, .. } => self.totals.tracks += u64::from(first),
                Finding::Appeared(track, sight) => self.ready(Message::Appeared(track, sight)),
                Finding::Shot(shot) => {
                    let number = self.first_entry + self.timeline.len() as u64;
                    self.timeline.push_back(Entry::Waiting);
                    let _ = self.hands.shots.send(Job::Embed(number, shot));
                }
                // Of a recording no picture is kept.
                Finding::Picture(_) | Finding::Crowded => {}
                Finding::Refused { confirmed: false, .. } => {}
                Finding::Refused { track, refusal, .. } => self.ready(Message::Refused(track, refusal)),
                Finding::Ended { confirmed: false, .. } => {}
                Finding::Ended { track, at, shots, .. } => self.ready(Message::Ended { track, at, shots }),
            }
        }
    }

    fn ready(&mut self, message: Message) {
        self.timeline.push_back(Entry::Ready(Box::new(message)));
    }

    /// Lets the judge hear the timeline from its front, as far as it is complete.
    fn hear(&mut self) {
        while let Some(Entry::Ready(_)) = self.timeline.front() {
            let Some(Entry::Ready(message)) = self.timeline.pop_front() else { return };
            self.first_entry += 1;
            if let Message::Embedded(shot, _) = &*message {
                self.observer.embedded(&shot.track);
            }
            for notice in self.judge.hear(*message) {
                self.observer.notice(&notice);
            }
            self.judge.compared().iter().for_each(|compared| self.observer.compared(compared));
        }
    }
}
