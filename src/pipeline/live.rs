//! The daemon's wiring: cameras, workers, decider and publisher, started, changed and drained together.
//!
//! ```text
//!   start()   workers, decider, gallery watcher; then each camera's lane and supervisor
//!   apply()   a reload: cameras come, go, reconnect or are retuned; thresholds change; the others do not notice
//!   drain()   cameras stop ─▶ tracks end ─▶ shots are embedded ─▶ decisions are made ─▶ events are published
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError, bounded, select};

use super::budget;
use super::calibrator::{self, Beginning, Heard};
use super::fitting::{Fitting, Fittings};
use super::judge::{Judge, Message, Policy};
use super::lane::Lane;
use super::outlet::Outlet;
use super::pool::{Batching, Pool};
use super::roll::Roll;
use super::self_check::{Checker, Samples};
use super::shadow::Comparison;
use super::succession::LiveEmbedders;
use super::tuning::Tuning;
use super::worker::Worker;
use crate::align::Aligner;
use crate::base::clock::{Clock, Moment};
use crate::base::error::{Error, Result};
use crate::base::join::join_within;
use crate::base::shutdown::{self, Stop, Stopper};
use crate::calibrate::tail::MateShape;
use crate::config::diff::{CameraChange, Changes};
use crate::config::{Camera, Config};
use crate::daemon::watchdog::{Beat, Heartbeats};
use crate::err;
use crate::events::{EventMaker, HealthChange, HealthState};
use crate::gallery::GallerySnapshot;
use crate::gallery::custody::Custody;
use crate::gallery::rounds::Rounds;
use crate::gallery::snapshot::Warning;
use crate::infer::models::Models;
use crate::sinks::Publisher;
use crate::snapshots::Snapshots;
use crate::source::supervisor::{Handle, Opener, Supervisor};
use crate::stats::{ShadowVerdict, Stats, recognising_within};
use crate::types::decision::{Decision, Notice};
use crate::types::ids::{CameraId, ModelId, TrackId};

/// How long a reload waits for a camera that it closes.
const RECONNECT: Duration = Duration::from_secs(3);

/// What the pipeline works with. Shared, cheap to clone.
#[derive(Clone)]
pub struct Surroundings {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Stages tell the watchdog through it.
    pub heartbeats: Arc<Heartbeats>,
    /// The enrolled identities.
    pub custody: Custody,
    /// Makes events.
    pub maker: Arc<EventMaker>,
    /// Takes events.
    pub publisher: Arc<Publisher>,
    /// Keeps pictures of who was recognised; `None`, where none are and none were.
    pub snapshots: Option<Arc<Snapshots>>,
    /// Opens cameras.
    pub opener: Arc<dyn Opener>,
}

/// A running camera.
struct Running {
    lane: Arc<Lane>,
    outlet: Arc<Outlet>,
    handle: Handle,
    // Dropped to stop the supervisor.
    stopper: Stopper,
}

/// The running pipeline.
pub struct Live {
    around: Surroundings,
    fittings: Arc<Fittings>,
    /// The threshold of the model that it was started with; the judge knows of another.
    default_threshold: f32,
    pool: Arc<Pool>,
    judge: Sender<Message>,
    cameras: BTreeMap<CameraId, Running>,
    /// Connections already used by cameras that were replaced, so that track ids stay unique.
    epochs: BTreeMap<CameraId, u32>,
    workers: Vec<JoinHandle<()>>,
    decider: JoinHandle<()>,
    calibrator: (Sender<Heard>, Stopper, JoinHandle<()>),
    watcher: (Stopper, JoinHandle<()>),
    checker: (Stopper, JoinHandle<()>),
}

impl Live {
    /// Starts everything; cameras may still be connecting when it returns.
    ///
    /// # Errors
    /// What the models give; `Temporary`, when the system gives no thread.
    pub fn start(config: &Config, models: &Models, around: Surroundings) -> Result<Self> {
        let plan = models.plan();
        let batching = Batching { max: plan.max_batch, wait: plan.max_wait };
        let pool = Arc::new(Pool::new(batching, config.inference.max_crop_age, around.clock.clone()));
        let (judge, heard) = bounded(budget::DECIDER_QUEUE);
        let fittings = Arc::new(Fittings::new(Fitting {
            model: models.model_id(),
            aligner: Aligner::new(models.alignment().clone(), config.quality.clone())?,
            threshold: models.default_threshold(),
        }));
        let workers = start_workers(plan.workers, models, &pool, &judge, &fittings, &around)?;
        let policy = Policy::of(config, models.default_threshold());
        let beginning = Beginning {
            budgets: policy.thresholds.budgets().clone(),
            fittings: fittings.clone(),
            mates: models.mates().map(MateShape::from),
            path: calibrator::path_beside(&config.gallery.path),
        };
        let calibrator = calibrator::start(beginning, judge.clone(), &around)?;
        let samples = Arc::new(Samples::default());
        let decider = start_decider(policy, heard, &fittings, (samples.clone(), &calibrator.0), &around)?;
        let checker = start_checker(samples, &around)?;
        let watcher = start_watcher(&around, judge.clone())?;
        let mut live = Self {
            fittings,
            default_threshold: models.default_threshold(),
            around,
            pool,
            judge,
            cameras: BTreeMap::new(),
            epochs: BTreeMap::new(),
            workers,
            decider,
            calibrator,
            watcher,
            checker,
        };
        for camera in &config.cameras {
            live.add(camera, config)?;
        }
        // Only now: whoever switches the model finds workers that follow.
        live.offer_embedders(config);
        Ok(live)
    }

    /// Another model comes with these settings.
    fn offer_embedders(&self, config: &Config) {
        let (workers, stats) = (self.workers.len(), self.around.stats.clone());
        let embedders = LiveEmbedders::new(config.clone(), workers, self.fittings.clone(), stats);
        self.around.custody.set_embedders(Arc::new(embedders));
    }

    /// The model that faces are embedded with, and its own threshold.
    pub fn model(&self) -> (ModelId, f32) {
        let fitting = self.fittings.current();
        (fitting.model, fitting.threshold)
    }

    /// Applies a reload. An untouched camera loses no frame. Answers which cameras could not be started, and why; the
    /// others run.
    pub fn apply(&mut self, config: &Config, changes: &Changes) -> Vec<(CameraId, Error)> {
        // Thresholds first: a camera that comes with this reload is decided on with them.
        let policy = Policy::of(config, self.default_threshold);
        let _ = self.calibrator.0.send(Heard::Budgets(policy.thresholds.budgets().clone()));
        let _ = self.judge.send(Message::Policy(Box::new(policy)));
        self.offer_embedders(config);
        let mut failed = Vec::new();
        for id in &changes.removed {
            self.remove(id, RECONNECT);
        }
        for camera in &config.cameras {
            let reconnect = changes.changed.contains(&(camera.id.clone(), CameraChange::Reconnect));
            if reconnect {
                self.remove(&camera.id, RECONNECT);
            }
            match self.cameras.get(&camera.id) {
                Some(running) => running.retune(camera, config),
                None => failed.extend(self.add(camera, config).err().map(|e| (camera.id.clone(), e))),
            }
        }
        failed
    }

    /// Cameras that wait, for a refused password too, are tried at once.
    pub fn retry_waiting(&self) {
        self.cameras.values().for_each(|running| running.handle.retry_now());
    }

    /// True once every camera's supervisor has ended by itself (files that were played to their end).
    pub fn all_ended(&self) -> bool {
        !self.cameras.is_empty() && self.cameras.values().all(|running| running.handle.is_finished())
    }

    /// Stops the cameras, finishes what was seen, and ends every thread but the publisher's. True if all of it was done
    /// within [`budget::DRAIN`].
    pub fn drain(mut self) -> bool {
        let started = Instant::now();
        let left = || budget::DRAIN.saturating_sub(started.elapsed());
        let ids: Vec<CameraId> = self.cameras.keys().cloned().collect();
        // All told first, then waited for: they stop side by side.
        self.cameras.values_mut().for_each(|running| running.stopper.stop());
        ids.iter().for_each(|id| self.remove(id, left()));
        let settled = self.pool.settle(left());
        self.pool.close();
        self.watcher.0.stop();
        self.checker.0.stop();
        let (scored, mut stopper, calibrator) = self.calibrator;
        stopper.stop();
        drop((self.judge, scored));
        let mut finished = settled;
        let others = [self.decider, self.watcher.1, self.checker.1, calibrator];
        for thread in self.workers.into_iter().chain(others) {
            finished &= join_within(thread, left());
        }
        finished
    }

    fn add(&mut self, camera: &Camera, config: &Config) -> Result<()> {
        let around = &self.around;
        let stats =
            around.stats.add_camera(&camera.id, around.clock.now(), recognising_within(camera.detect_fps));
        let lane = Arc::new(Lane::new(
            camera.id.clone(),
            &self.fittings.current(),
            Tuning::of(camera, config),
            stats,
        ));
        let outlet = Arc::new(Outlet::new(lane.clone(), self.pool.clone(), around));
        let (stopper, stop) = shutdown::channel();
        let first_epoch = self.epochs.get(&camera.id).copied().unwrap_or(0) + 1;
        let handle = Supervisor::spawn(
            camera.clone(),
            first_epoch,
            around.opener.clone(),
            around.clock.clone(),
            stop,
            outlet.clone(),
        )?;
        self.cameras.insert(camera.id.clone(), Running { lane, outlet, handle, stopper });
        Ok(())
    }

    /// Stops a camera and waits at most `patience` for its thread: a stuck tear-down holds nobody up.
    fn remove(&mut self, id: &CameraId, patience: Duration) {
        let Some(mut running) = self.cameras.remove(id) else { return };
        running.stopper.stop();
        running.handle.join_within(patience);
        let epoch = running.outlet.epoch();
        self.epochs.insert(id.clone(), epoch);
        running.lane.ask_to_end(epoch);
        self.pool.ring(&running.lane);
        self.around.stats.remove_camera(id);
    }
}

impl Running {
    fn retune(&self, camera: &Camera, config: &Config) {
        self.lane.retune(Tuning::of(camera, config));
        self.handle.set_detect_fps(camera.detect_fps);
    }
}

fn start_workers(
    count: usize,
    models: &Models,
    pool: &Arc<Pool>,
    judge: &Sender<Message>,
    fittings: &Arc<Fittings>,
    around: &Surroundings,
) -> Result<Vec<JoinHandle<()>>> {
    (1..=count)
        .map(|number| {
            let name = format!("worker {number}");
            let worker = Worker {
                detector: models.detector()?,
                embedder: models.embedder()?,
                fitting: fittings.current(),
                fittings: fittings.clone(),
                pool: pool.clone(),
                judge: judge.clone(),
                shelf: around.snapshots.as_ref().and_then(|snapshots| snapshots.shelf().cloned()),
                stats: around.stats.clone(),
                beat: around.heartbeats.register(&name, budget::INFERENCE_STUCK),
                clock: around.clock.clone(),
            };
            spawn(name, move || worker.run())
        })
        .collect()
}

fn start_decider(
    policy: Policy,
    heard: crossbeam_channel::Receiver<Message>,
    fittings: &Arc<Fittings>,
    (samples, calibrator): (Arc<Samples>, &Sender<Heard>),
    around: &Surroundings,
) -> Result<JoinHandle<()>> {
    let mut judge = Judge::new(
        policy,
        around.custody.shared.clone(),
        Box::new(uuid::Uuid::now_v7),
        around.stats.gallery.search.clone(),
    )
    .following(fittings.clone())
    .checked(samples);
    let beat = around.heartbeats.register("decider", budget::DECISION_STUCK);
    let (around, calibrator) = (around.clone(), calibrator.clone());
    spawn("decider".to_owned(), move || {
        for message in heard {
            let shot = match &message {
                Message::Embedded(shot, _) => Some(shot.captured),
                _ => None,
            };
            let shelf = around.snapshots.as_ref().and_then(|snapshots| snapshots.shelf());
            let track = shelf.and_then(|_| about_the_end_of(&message));
            beat.work(|| judge.hear(message).iter().for_each(|notice| tell(notice, shot, &around)));
            judge.compared().iter().for_each(|compared| note(compared, &around));
            report_scores(&mut judge, &calibrator, &around.stats);
            if let (Some(shelf), Some(track)) = (shelf, track.filter(|track| judge.is_over(track))) {
                shelf.ended(&track);
            }
        }
        // The workers are gone. Whose end none of them told, as one was stuck, is over all the same.
        beat.work(|| judge.finish().iter().for_each(|notice| tell(notice, None, &around)));
        report_scores(&mut judge, &calibrator, &around.stats);
    })
}

/// How searches came out. Nothing waits for the calibrator: what it cannot take is counted, and is missing in its estimates.
fn report_scores(judge: &mut Judge, calibrator: &Sender<Heard>, stats: &Stats) {
    let (model, scored) = judge.scored();
    if scored.is_empty() {
        return;
    }
    if let Err(TrySendError::Full(Heard::Scored(_, lost))) = calibrator.try_send(Heard::Scored(model, scored))
    {
        let cameras = lost.iter().filter_map(|track| stats.camera(&track.camera));
        cameras.for_each(|camera| camera.scores_lost.add(1));
    }
}

/// The track whose last word this may be.
fn about_the_end_of(message: &Message) -> Option<TrackId> {
    match message {
        Message::Embedded(shot, _) => Some(shot.track.clone()),
        Message::Dropped(track, _) | Message::Ended { track, .. } => Some(track.clone()),
        Message::Appeared(..)
        | Message::Refused(..)
        | Message::Policy(_)
        | Message::Gallery
        | Message::Estimates(..) => None,
    }
}

/// Counts what another policy says of a track, and logs where it says something else.
fn note(compared: &Comparison, around: &Surroundings) {
    let verdict = if compared.agrees() { ShadowVerdict::Same } else { ShadowVerdict::Different };
    if let Some(camera) = around.stats.camera(&compared.track.camera) {
        camera.compared(verdict);
    }
    if verdict == ShadowVerdict::Different {
        let (decided, shadow) = (&compared.decided, &compared.shadow);
        tracing::info!(
            track = %compared.track,
            decided = decided.word.unwrap_or("nothing"),
            identity = decided.identity.map(tracing::field::display),
            score = decided.score,
            shadow = shadow.word.unwrap_or("nothing"),
            shadow_identity = shadow.identity.map(tracing::field::display),
            shadow_score = shadow.score,
            shadow_threshold = shadow.threshold,
            "the policy of [shadow] says something else of a track"
        );
    }
}

/// Publishes what is known of a track; see [`announce`] for decisions.
fn tell(notice: &Notice, shot: Option<Moment>, around: &Surroundings) {
    let now = around.clock.now();
    let event = match notice {
        Notice::Appeared(appearance) => around.maker.appeared(appearance, now),
        Notice::Decided(decision) => return announce(decision, shot, around),
        Notice::Left(departure) => around.maker.left(departure, now),
    };
    around.publisher.publish(event);
}

/// Publishes a decision, where the lists of who was recognised allow it, and counts it in any case. Its latency counts if `shot`, captured then, led to it: a verdict at a track's end
/// waited for nobody.
fn announce(decision: &Decision, shot: Option<Moment>, around: &Surroundings) {
    let now = around.clock.now();
    if let Some(camera) = around.stats.camera(&decision.track.camera) {
        let latency = (shot == Some(decision.captured)).then(|| now.since(decision.captured));
        camera.decided((&decision.verdict).into(), latency, now);
    }
    around.snapshots.iter().for_each(|snapshots| snapshots.decided(decision));
    if let Some(mut event) = around.maker.decision(decision, now) {
        // The picture first: whoever reads the event finds it.
        around.snapshots.iter().for_each(|snapshots| snapshots.refer(decision, &mut event));
        around.publisher.publish(event);
    }
}

/// Looks after the gallery: tells the decider of another snapshot, starts and ends validities when their time comes, and asks for a
/// base to be built again.
fn start_watcher(around: &Surroundings, judge: Sender<Message>) -> Result<(Stopper, JoinHandle<()>)> {
    let (stopper, stop) = shutdown::channel();
    let beat = around.heartbeats.register("gallery", budget::GALLERY_STUCK);
    let around = around.clone();
    // Before the thread begins, so that no change is missed.
    let roll = Roll::of(&around.custody.shared.current());
    let builder = start_builder(&around)?;
    let thread = spawn("gallery".to_owned(), move || watch(&stop, &beat, &around, &judge, roll, &builder))?;
    Ok((stopper, thread))
}

/// Builds the gallery's base again when it is asked to, at a low priority. It ends when nobody can ask any more; nobody waits for it
/// at the end, as nothing stops a build that has begun.
fn start_builder(around: &Surroundings) -> Result<Sender<()>> {
    let (ask, asked) = bounded(1);
    let custody = around.custody.clone();
    spawn("index".to_owned(), move || {
        last_in_line();
        for () in asked {
            if let Err(error) = custody.rebuild() {
                tracing::warn!(
                    error = error.chain(),
                    "the gallery's index could not be built again; the last one answers"
                );
            }
        }
    })?;
    Ok(ask)
}

/// Holds an approximate index against exact search, a probe now and then, at a low priority.
fn start_checker(samples: Arc<Samples>, around: &Surroundings) -> Result<(Stopper, JoinHandle<()>)> {
    let (stopper, stop) = shutdown::channel();
    let custody = around.custody.clone();
    let mut checker = Checker::new(custody.shared.clone(), samples, around.stats.clone());
    let thread = spawn("index-check".to_owned(), move || {
        last_in_line();
        while !stop.wait(budget::CHECK_PAUSE) {
            if checker.look() {
                custody.swapped_beside();
            }
        }
    })?;
    Ok((stopper, thread))
}

/// This thread, and those that it starts, have a tenth of a core where the others want all of it. On Linux that is a thread's, not the
/// process's.
fn last_in_line() {
    // Not allowed: then it is as important as the others.
    let _ = rustix::process::nice(10);
}

fn watch(
    stop: &Stop,
    beat: &Beat,
    around: &Surroundings,
    judge: &Sender<Message>,
    mut roll: Roll,
    builder: &Sender<()>,
) {
    let mut rounds = Rounds::new(around.custody.clone());
    let mut failing = false;
    loop {
        select! {
            recv(around.custody.swaps) -> _ => {
                let snapshot = around.custody.shared.current();
                note_gallery(&snapshot, &around.custody.warnings(), &around.stats);
                let _ = judge.send(Message::Gallery);
                if let Some(news) = beat.work(|| roll.call(&snapshot)) {
                    around.publisher.publish(around.maker.gallery(&news, around.clock.now()));
                }
            },
            recv(stop.closed()) -> _ => return,
            default(rounds.wait()) => {}
        }
        beat.work(|| rounds.look());
        if around.custody.shared.current().wants_rebuilding() {
            // Full: it is asked already.
            let _ = builder.try_send(());
        }
        if std::mem::replace(&mut failing, rounds.failing()) != rounds.failing() {
            note_health_of_gallery(rounds.failing(), around);
        }
        around.stats.gallery.reviews_due(rounds.reviews_due());
    }
}

/// The log says why; the message of an event goes to whoever reads events.
fn note_health_of_gallery(failing: bool, around: &Surroundings) {
    let change = if failing {
        let message = "the gallery cannot be kept up to date: who is due to begin or end waits; see the log";
        HealthChange::of_part(HealthState::Degraded, "gallery", message)
    } else {
        HealthChange::of_part(HealthState::Recovered, "gallery", "the gallery is kept up to date again")
    };
    around.publisher.publish(around.maker.health(change, around.clock.now()));
}

/// Counts and logs the snapshot in use.
pub fn note_gallery(snapshot: &GallerySnapshot, warnings: &[Warning], stats: &Stats) {
    let (identities, templates) = (snapshot.identities(), snapshot.templates());
    let generation = snapshot.generation();
    stats.gallery.swapped(snapshot.index(), identities as u64, templates as u64, generation);
    let index = snapshot.index().as_str();
    tracing::info!(identities, templates, generation, index, "gallery in use");
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
}

pub(super) fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(run)
        .map_err(|e| err!(Temporary, "cannot start the thread {name:?}").because(e))
}
