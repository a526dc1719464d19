//! What an inference worker does, job by job: detect and analyse a frame, or embed a batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;

use super::analyser::Finding;
use super::fitting::{Fitting, Fittings};
use super::judge::Message;
use super::lane::Lane;
use super::pool::{Job, Pool};
use super::queue::{Dropped, Shot};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::daemon::watchdog::Beat;
use crate::detect::Detector;
use crate::err;
use crate::infer::Embedder;
use crate::snapshots::cut::Picture;
use crate::snapshots::look::look_again;
use crate::snapshots::shelf::Shelf;
use crate::stats::{CropDrop, FrameDrop, SnapshotMiss, Stats};
use crate::types::embedding::Embedding;
use crate::types::frame::Frame;
use crate::types::geometry::Size;

/// A worker's tools: sessions of its own, and where its answers go.
pub struct Worker {
    /// Finds faces.
    pub detector: Box<dyn Detector>,
    /// Embeds them.
    pub embedder: Box<dyn Embedder>,
    /// What the embedder is of.
    pub fitting: Arc<Fitting>,
    /// What is in use: the worker follows it between jobs.
    pub fittings: Arc<Fittings>,
    /// Hands out work.
    pub pool: Arc<Pool>,
    /// The decider.
    pub judge: Sender<Message>,
    /// Where pictures go that may be kept; `None`: none are made.
    pub shelf: Option<Arc<Shelf>>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Tells the watchdog.
    pub beat: Beat,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Worker {
    /// Works until the pool is closed and empty.
    pub fn run(mut self) {
        let pool = self.pool.clone();
        loop {
            match pool.next() {
                Job::Look(lane) => {
                    self.beat.begin_work();
                    self.follow();
                    self.serve(&lane);
                    pool.release(&lane);
                    pool.done();
                    self.beat.end_work();
                }
                Job::Embed(shots, dropped) => {
                    self.beat.begin_work();
                    self.follow();
                    self.stats.inference.queue.set(pool.waiting_shots() as u64);
                    dropped.into_iter().for_each(|d| self.report_drop(d));
                    self.embed(shots);
                    pool.done();
                    self.beat.end_work();
                }
                Job::Idle => {}
                Job::Stop => return,
            }
        }
    }

    /// Changes over to the embedder that is in use. Here, between two jobs: what the job holds was cut out before, for the model
    /// in use or for an earlier one.
    fn follow(&mut self) {
        if let Some((fitting, embedder)) = self.fittings.follow(&self.fitting) {
            tracing::debug!(model = %fitting.model, "a worker embeds with another model");
            (self.fitting, self.embedder) = (fitting, embedder);
        }
    }

    /// The lane's newest frame, and the end of its tracks if the stream is gone.
    fn serve(&mut self, lane: &Arc<Lane>) {
        let ending = lane.take_end();
        if let Some(frame) = lane.take() {
            self.look(lane, &frame);
        }
        if let Some(epoch) = ending {
            let findings = lane.analyser().end(epoch);
            lane.stats().tracks_live.set(lane.analyser().live() as u64);
            self.report(lane, findings);
        }
    }

    fn look(&mut self, lane: &Arc<Lane>, frame: &Frame) {
        let tuning = lane.tuning();
        let options = tuning.detect_options(frame.size());
        let started = Instant::now();
        let detector = &mut self.detector;
        let found = guarded("detection", || detector.detect(frame.pixels(), &options));
        self.stats.inference.detect.record(started.elapsed());
        let found = match found {
            Ok(detections) => detections,
            Err(error) => {
                lane.stats().frames_dropped.add(FrameDrop::Failed, 1);
                self.stats.inference.failures.add(1);
                tracing::error!(camera = %lane.camera(), error = error.chain(), "a frame could not be looked at");
                return;
            }
        };
        let (detections, others) = tuning.chosen(found, frame.size());
        lane.stats().frame_inferred(detections.len() as u64, self.clock.now());
        let mut analyser = lane.analyser();
        analyser.fit(self.fitting.model, &self.fitting.aligner);
        let findings = analyser.look_among(frame, &detections, &others, &tuning);
        drop(analyser);
        lane.stats().tracks_live.set(lane.analyser().live() as u64);
        self.report(lane, findings);
    }

    /// Looks at a picture once more, and leaves it where the decider finds it.
    fn picture(&mut self, picture: Picture, tensor: Size) {
        let Some(shelf) = self.shelf.clone() else { return };
        let started = Instant::now();
        let detector = &mut self.detector;
        let clear = guarded("a second look", || {
            let Picture { face, scene, .. } = picture;
            let face = look_again(face, detector.as_mut(), tensor)?;
            let scene = scene.map(|scene| look_again(scene, detector.as_mut(), tensor)).transpose()?;
            Ok((face, scene))
        });
        let missed = &self.stats.snapshots.missed;
        match clear {
            Ok((Some(face), scene)) => {
                if scene.as_ref().is_some_and(Option::is_none) {
                    missed.add(SnapshotMiss::Unclear, 1);
                }
                let Picture { track, quality, captured, .. } = picture;
                shelf.put(Picture { track, quality, captured, face, scene: scene.flatten() });
            }
            Ok((None, _)) => missed.add(SnapshotMiss::Crowded, 1),
            Err(error) => {
                missed.add(SnapshotMiss::Failed, 1);
                self.stats.inference.failures.add(1);
                tracing::error!(
                    error = error.chain(),
                    "a picture could not be looked at again: it is not kept"
                );
            }
        }
        self.stats.snapshots.made.record(started.elapsed());
    }

    /// Sends on what an analyser found, in order; its shots go to the queue.
    fn report(&mut self, lane: &Lane, findings: Vec<Finding>) {
        for finding in findings {
            match finding {
                Finding::Seen { first: true, .. } => lane.stats().tracks_started.add(1),
                Finding::Seen { .. } => {}
                Finding::Appeared(track, sight) => self.tell(Message::Appeared(track, sight)),
                Finding::Picture(picture) => self.picture(*picture, lane.tuning().input),
                Finding::Crowded => self.stats.snapshots.missed.add(SnapshotMiss::Crowded, 1),
                Finding::Shot(shot) => {
                    self.pool.submit([shot]).into_iter().for_each(|d| self.report_drop(d));
                    self.stats.inference.queue.set(self.pool.waiting_shots() as u64);
                }
                Finding::Refused { track, refusal, confirmed } => {
                    lane.stats().refused.add(refusal, 1);
                    // The judge would remember a track that never counts and never ends.
                    if confirmed {
                        self.tell(Message::Refused(track, refusal));
                    }
                }
                // Nobody else is told of it.
                Finding::Ended { confirmed: false, track, .. } => {
                    self.shelf.iter().for_each(|shelf| shelf.ended(&track));
                }
                Finding::Ended { track, at, shots, .. } => self.tell(Message::Ended { track, at, shots }),
            }
        }
    }

    fn embed(&mut self, shots: Vec<Shot>) {
        let model = self.fitting.model;
        let (shots, others): (Vec<Shot>, Vec<Shot>) = shots.into_iter().partition(|shot| shot.model == model);
        others.into_iter().for_each(|shot| self.report_drop(Dropped { shot, reason: CropDrop::OtherModel }));
        if shots.is_empty() {
            return;
        }
        let crops: Vec<_> = shots.iter().map(|shot| shot.crop.clone()).collect();
        let started = Instant::now();
        let embedder = &mut self.embedder;
        let answer = guarded("embedding", || embedder.embed(&crops));
        self.stats.inference.embed.record(started.elapsed());
        self.stats.inference.crops.add(shots.len() as u64);
        match answer {
            Ok(embeddings) => {
                shots.into_iter().zip(embeddings).for_each(|(shot, e)| self.report_embedding(shot, e))
            }
            Err(error) => {
                self.stats.inference.failures.add(1);
                tracing::error!(shots = shots.len(), error = error.chain(), "shots could not be embedded");
                shots
                    .into_iter()
                    .for_each(|shot| self.report_drop(Dropped { shot, reason: CropDrop::Failed }));
            }
        }
    }

    fn report_embedding(&self, shot: Shot, embedding: Result<Embedding>) {
        match embedding {
            Ok(embedding) => {
                if let Some(camera) = self.stats.camera(&shot.track.camera) {
                    camera.embedded.add(1);
                }
                self.tell(Message::Embedded(shot, embedding));
            }
            Err(error) => {
                tracing::warn!(track = %shot.track, error = error.chain(), "a shot gave no embedding");
                self.report_drop(Dropped { shot, reason: CropDrop::Failed });
            }
        }
    }

    fn report_drop(&self, dropped: Dropped) {
        if let Some(camera) = self.stats.camera(&dropped.shot.track.camera) {
            camera.crops_dropped.add(dropped.reason, 1);
        }
        self.tell(Message::Dropped(dropped.shot.track, dropped.reason));
    }

    fn tell(&self, message: Message) {
        // Fails only when the decider is gone, and then the daemon is going down already.
        let _ = self.judge.send(message);
    }
}

/// Runs foreign code; a panic in it becomes an error, and the worker goes on.
fn guarded<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(err!(Software, "{what} panicked")))
}
