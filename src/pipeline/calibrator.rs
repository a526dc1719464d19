//! Thresholds that keep a budget of false alerts: listens to how searches came out, and tells what follows.
//!
//! ```text
//!  judge ─ Scored ─▶ inbox, 1024 ─▶ Book ──every full hour──▶ changes ─┬▶ judge: Message::Estimates
//!                                    │                                 ├▶ event `threshold`, the log, the audit log
//!                                    ▼                                 └▶ metrics
//!                               scores.json beside the gallery, every six hours and at the end, where a camera has a budget
//! ```
//!
//! What is kept are counts of scores (`crate::calibrate::scores`): no template, no track, no time but the hour.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use jiff::Timestamp;

use super::budget;
use super::fitting::Fittings;
use super::judge::Message;
use super::live::{Surroundings, spawn};
use crate::base::clock::{Clock, Moment};
use crate::base::durable;
use crate::base::error::Result;
use crate::base::shutdown::{self, Stop, Stopper};
use crate::calibrate::book::{Around, Book, Budget, Change};
use crate::calibrate::scores::{Ended, Judged};
use crate::calibrate::tail::MateShape;
use crate::config::AlertBudget;
use crate::daemon::watchdog::Beat;
use crate::decide::Scored;
use crate::err;
use crate::events::ThresholdNews;
use crate::gallery::SharedGallery;
use crate::gallery::keeper::Estimated;
use crate::gallery::review::{EventReview, OperatorVerdict};
use crate::stats::Stats;
use crate::stats::snapshot::ThresholdSnapshot;
use crate::types::ids::{CameraId, ModelId};
use crate::types::scope::Scope;

/// How often it looks who is recognising, and whether an hour is over.
const LOOK: Duration = Duration::from_secs(60);
/// Looks of an hour in which a camera has to be recognising, so that the hour counts.
const LEAST_LOOKS: u32 = 45;
/// Hours between two writes.
const WRITE: i64 = 6;
/// Most templates that are compared with each other: some ten seconds of a core, once an hour at most.
const MOST_COMPARED: usize = 30_000;
/// Without a floor in the configuration, a threshold is at most so far below the model's own.
const FLOOR_BELOW: f32 = 0.1;

/// Where the scores of a gallery are kept.
pub fn path_beside(gallery: &Path) -> PathBuf {
    gallery.with_file_name("scores.json")
}

/// What it is told.
#[derive(Debug)]
pub enum Heard {
    /// Tracks have ended; they were compared with templates of this model.
    Scored(ModelId, Vec<Scored>),
    /// Who has a budget from now on.
    Budgets(BTreeMap<Scope, AlertBudget>),
}

/// What it starts with.
pub struct Beginning {
    /// Cameras, and lists at cameras, with a budget.
    pub budgets: BTreeMap<Scope, AlertBudget>,
    /// The models in use.
    pub fittings: Arc<Fittings>,
    /// How mates score with the model that is in use now, if that was measured.
    pub mates: Option<MateShape>,
    /// Where scores are kept.
    pub path: PathBuf,
}

/// Starts the thread. The judge has the thresholds that were kept before it decides anything.
///
/// # Errors
/// `Temporary`, when the system gives no thread.
pub fn start(
    beginning: Beginning,
    judge: Sender<Message>,
    around: &Surroundings,
) -> Result<(Sender<Heard>, Stopper, JoinHandle<()>)> {
    let (tell, heard) = bounded(budget::DECIDER_QUEUE);
    let (stopper, stop) = shutdown::channel();
    let beat = around.heartbeats.register("calibrator", budget::GALLERY_STUCK);
    let (shared, announcing) = (around.custody.shared.clone(), around.clone());
    let reviews = around.custody.reviews.clone();
    let calibrator = Calibrator::new(
        beginning,
        around.clock.clone(),
        around.stats.clone(),
        Enrolled::of(shared),
        Box::new(move |change, model| announce(change, model, &announcing)),
    );
    let _ = judge.send(calibrator.thresholds());
    let thread = spawn("calibrator".to_owned(), move || {
        calibrator.run(judge, (&heard, &reviews), &stop, &beat);
    })?;
    Ok((tell, stopper, thread))
}

/// What is asked of the gallery.
struct Enrolled {
    identities: Box<dyn Fn() -> usize + Send>,
    /// Identities on a list.
    on_list: Box<dyn Fn(&str) -> usize + Send>,
    /// The highest similarity of two different enrolled people.
    nearest: Box<dyn FnMut() -> Option<f32> + Send>,
}

impl Enrolled {
    fn of(shared: Arc<SharedGallery>) -> Self {
        let (listed, compared) = (shared.clone(), shared.clone());
        let on_list = move |list: &str| {
            let snapshot = listed.current();
            snapshot
                .people()
                .values()
                .filter(|person| person.searched && person.lists.iter().any(|rule| &*rule.name == list))
                .count()
        };
        Self {
            identities: Box::new(move || shared.current().identities()),
            on_list: Box::new(on_list),
            nearest: Box::new(nearest_enrolled(compared)),
        }
    }
}

/// The highest similarity of two different enrolled people, worked out again where the gallery is another one. `None` for fewer than two,
/// and for so many templates that it would take minutes.
fn nearest_enrolled(shared: Arc<SharedGallery>) -> impl FnMut() -> Option<f32> {
    let mut known = None;
    move || {
        let snapshot = shared.current();
        if snapshot.templates() > MOST_COMPARED {
            return None;
        }
        if let Some((generation, nearest)) = known
            && generation == snapshot.generation()
        {
            return nearest;
        }
        let nearest = snapshot.closest_pairs(1).first().map(|(.., score)| *score);
        known = Some((snapshot.generation(), nearest));
        nearest
    }
}

/// Never silent: the log, the audit log, an event.
fn announce(change: &Change, model: ModelId, around: &Surroundings) {
    let Change { scope: Scope { camera, list }, budget, from, estimate } = change;
    let range = estimate.per_day;
    tracing::info!(
        %camera,
        list,
        from,
        to = estimate.threshold,
        false_alerts_per_day = budget.per_day,
        expected = range.map(|range| range.median),
        at_most = range.map(|range| range.high),
        tracks_per_day = estimate.tracks_per_day.round(),
        scores = estimate.scores,
        "threshold changed: {}",
        estimate.basis.as_str()
    );
    if estimate.threshold >= 1.0 {
        tracing::warn!(%camera, list, false_alerts_per_day = budget.per_day, "no threshold keeps this budget: nobody is recognised");
    }
    around.custody.estimated(Estimated {
        camera: camera.to_string(),
        list: list.clone(),
        from: *from,
        to: estimate.threshold,
        false_alerts_per_day: budget.per_day,
        basis: estimate.basis,
        expected: range,
    });
    let news = ThresholdNews {
        camera: camera.clone(),
        list: list.clone(),
        from: *from,
        budget: budget.per_day,
        estimate: *estimate,
        model,
    };
    around.publisher.publish(around.maker.threshold(&news, around.clock.now()));
}

type Announce = Box<dyn Fn(&Change, ModelId) + Send>;

struct Calibrator {
    clock: Arc<dyn Clock>,
    stats: Arc<Stats>,
    enrolled: Enrolled,
    announce: Announce,
    fittings: Arc<Fittings>,
    /// The model that it began with, and how mates score with it.
    measured: (ModelId, Option<MateShape>),
    budgets: BTreeMap<Scope, AlertBudget>,
    book: Book,
    path: PathBuf,
    /// The hour it is, and how often each camera was recognising in it.
    hour: i64,
    looks: BTreeMap<CameraId, u32>,
    written: i64,
}

impl Calibrator {
    fn new(
        beginning: Beginning,
        clock: Arc<dyn Clock>,
        stats: Arc<Stats>,
        enrolled: Enrolled,
        announce: Announce,
    ) -> Self {
        let Beginning { budgets, fittings, mates, path } = beginning;
        let model = fittings.current().model;
        let mut book = read(&path).unwrap_or_default();
        book.of_model(model);
        let hour = hour_of(clock.now().wall);
        Self {
            clock,
            stats,
            enrolled,
            announce,
            fittings,
            measured: (model, mates),
            budgets,
            book,
            path,
            hour,
            looks: BTreeMap::new(),
            written: hour,
        }
    }

    fn run(
        mut self,
        judge: Sender<Message>,
        (heard, reviews): (&Receiver<Heard>, &Receiver<EventReview>),
        stop: &Stop,
        beat: &Beat,
    ) {
        loop {
            select! {
                recv(heard) -> message => match message {
                    Ok(message) => self.hear(message),
                    Err(_) => break,
                },
                recv(reviews) -> review => if let Ok(review) = review {
                    self.reviewed(&review);
                },
                recv(stop.closed()) -> _ => break,
                default(self.clock.nap(LOOK)) => {}
            }
            if let Some(message) = beat.work(|| self.look()) {
                let _ = judge.send(message);
            }
        }
        // The judge ends when nobody tells it anything any more; what it says until then is heard.
        drop(judge);
        heard.iter().for_each(|message| self.hear(message));
        self.write();
    }

    fn hear(&mut self, message: Heard) {
        match message {
            Heard::Budgets(budgets) => self.budgets = budgets,
            Heard::Scored(model, tracks) => {
                let identities = self.identities();
                for track in tracks {
                    let hour = hour_of(track.last_seen.wall);
                    let judged = Judged { hour, threshold: track.threshold, identities };
                    let how = match track {
                        Scored { recognized: true, .. } => Ended::Alert,
                        Scored { score, threshold, .. } if score < threshold => Ended::NonMatch(score),
                        _ => Ended::Other,
                    };
                    self.book.ended(&track.camera, model, judged, how);
                }
            }
        }
    }

    /// An operator says whether an alert was right. What cannot be told, and what another model alerted, tells nothing.
    fn reviewed(&mut self, review: &EventReview) {
        let camera = CameraId::new(&review.camera);
        if let Some(stats) = camera.as_ref().ok().and_then(|camera| self.stats.camera(camera)) {
            stats.reviewed(review.verdict);
        }
        let right = match review.verdict {
            OperatorVerdict::Confirm => true,
            OperatorVerdict::Reject => false,
            OperatorVerdict::Unsure => return,
        };
        let Ok(camera) = camera else { return };
        let Some(score) = review.score.filter(|_| review.model == self.fittings.current().model.hex()) else {
            return;
        };
        let hour = hour_of(review.captured_at);
        let judged = Judged { hour, threshold: review.threshold as f32, identities: self.identities() };
        self.book.reviewed(&camera, judged, score as f32, right);
    }

    /// Counts who is recognising; when an hour is over, makes the estimates that are due. The answer is for the judge.
    fn look(&mut self) -> Option<Message> {
        let now = self.clock.now();
        let hour = hour_of(now.wall);
        if hour == self.hour {
            self.count(now);
            return None;
        }
        for (camera, looks) in std::mem::take(&mut self.looks) {
            if looks >= LEAST_LOOKS {
                self.book.watched(&camera, self.hour);
            }
        }
        self.hour = hour;
        let model = self.fittings.current().model;
        let around = self.around();
        let changes = self.book.look(hour, &around, &self.budgets());
        changes.iter().for_each(|change| (self.announce)(change, model));
        self.show();
        if !changes.is_empty() || hour - self.written >= WRITE {
            self.write();
        }
        (!changes.is_empty()).then(|| self.thresholds())
    }

    /// One look a minute, however often it is woken.
    fn count(&mut self, now: Moment) {
        let minute = now.wall.as_second().rem_euclid(3_600) / 60;
        for camera in self.stats.cameras() {
            let recognising = self.stats.camera(&camera).is_some_and(|stats| stats.recognising(now));
            let looks = self.looks.entry(camera).or_default();
            if recognising && i64::from(*looks) <= minute {
                *looks += 1;
            }
        }
    }

    fn identities(&self) -> u32 {
        u32::try_from((self.enrolled.identities)()).unwrap_or(u32::MAX)
    }

    fn around(&mut self) -> Around {
        let between_enrolled = if self.budgets.is_empty() { None } else { (self.enrolled.nearest)() };
        let lists: BTreeSet<&String> = self.budgets.keys().filter_map(|scope| scope.list.as_ref()).collect();
        let on = |list: &str| u32::try_from((self.enrolled.on_list)(list)).unwrap_or(u32::MAX);
        let on_list = lists.into_iter().map(|list| (list.clone(), on(list))).collect();
        let fitting = self.fittings.current();
        let measured = self.measured.1.filter(|_| self.measured.0 == fitting.model);
        Around {
            model: fitting.model,
            threshold: fitting.threshold,
            mates: measured.unwrap_or(MateShape::USUAL),
            identities: self.identities(),
            on_list,
            between_enrolled,
        }
    }

    fn budgets(&self) -> BTreeMap<Scope, Budget> {
        let model = self.fittings.current().threshold;
        let floor = |budget: &AlertBudget| budget.floor.unwrap_or((model - FLOOR_BELOW).max(0.0));
        let own = |budget: &AlertBudget| Budget { per_day: budget.per_day, floor: floor(budget) };
        self.budgets.iter().map(|(scope, budget)| (scope.clone(), own(budget))).collect()
    }

    fn thresholds(&self) -> Message {
        Message::Estimates(self.fittings.current().model, self.book.thresholds())
    }

    /// What metrics say.
    fn show(&self) {
        let mut estimates: BTreeMap<CameraId, Vec<ThresholdSnapshot>> = BTreeMap::new();
        for (Scope { camera, list }, estimate, budget) in self.book.estimates() {
            estimates.entry(camera).or_default().push(ThresholdSnapshot {
                list,
                threshold: estimate.threshold,
                basis: estimate.basis,
                budget: budget.per_day,
                expected: estimate.per_day,
                tracks_per_day: estimate.tracks_per_day,
                scores: estimate.scores,
            });
        }
        for camera in self.stats.cameras() {
            let Some(stats) = self.stats.camera(&camera) else { continue };
            stats.set_thresholds(estimates.remove(&camera).unwrap_or_default());
        }
    }

    /// Nothing comes to the disk that nobody asked for: scores are kept where a camera has a budget.
    fn write(&mut self) {
        self.written = self.hour;
        if self.budgets.is_empty() {
            return;
        }
        let written = serde_json::to_vec(&self.book).map_err(|e| err!(Software, "scores").because(e));
        if let Err(error) = written.and_then(|bytes| durable::write(&self.path, &bytes, 0o600)) {
            tracing::warn!(
                error = error.chain(),
                "scores are not kept: thresholds are estimated anew after a restart"
            );
        }
    }
}

fn hour_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(3_600)
}

/// The scores that were kept. What cannot be read is told and left: new ones come.
fn read(path: &Path) -> Option<Book> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "kept scores cannot be read: thresholds are estimated anew");
            return None;
        }
    };
    let book = serde_json::from_slice(&bytes);
    if book.is_err() {
        tracing::warn!(path = %path.display(), "kept scores are damaged: thresholds are estimated anew");
    }
    book.ok()
}

#[cfg(test)]
mod tests;
