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
use crate::stats::{CropDrop, FrameDrop, Stats};
use crate::types::embedding::Embedding;
use crate::types::frame::Frame;

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
        let mut detections = match found {
            Ok(detections) => detections,
            Err(error) => {
                lane.stats().frames_dropped.add(FrameDrop::Failed, 1);
                self.stats.inference.failures.add(1);
                tracing::error!(camera = %lane.camera(), error = error.chain(), "a frame could not be looked at");
                return;
            }
        };
        detections.retain(|d| !tuning.masks(d, frame.size()));
        lane.stats().frame_inferred(detections.len() as u64, self.clock.now());
        let mut analyser = lane.analyser();
        analyser.fit(self.fitting.model, &self.fitting.aligner);
        let findings = analyser.look(frame, &detections, &tuning);
        drop(analyser);
        lane.stats().tracks_live.set(lane.analyser().live() as u64);
        self.report(lane, findings);
    }

    /// Sends on what an analyser found, in order; its shots go to the queue.
    fn report(&self, lane: &Lane, findings: Vec<Finding>) {
        for finding in findings {
            match finding {
                Finding::Seen { first: true, .. } => lane.stats().tracks_started.add(1),
                Finding::Seen { .. } => {}
                Finding::Appeared(track, sight) => self.tell(Message::Appeared(track, sight)),
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
                Finding::Ended { confirmed: false, .. } => {}
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
