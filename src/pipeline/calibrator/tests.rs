use std::sync::Mutex;

use super::*;
use crate::align::Aligner;
use crate::base::clock::SimulatedClock;
use crate::calibrate::budget::Basis;
use crate::calibrate::normal;
use crate::config::QualityLimits;
use crate::eval::random::Random;
use crate::infer::{Alignment, BoxFit};
use crate::pipeline::fitting::Fitting;
use crate::stats::recognising_within;
use crate::types::geometry::Size;

const MODEL: ModelId = ModelId([3; 32]);

fn door() -> CameraId {
    CameraId::new("door").expect("an id")
}

fn fittings(model: ModelId) -> Arc<Fittings> {
    let alignment = Alignment::BoxMargin { size: Size::new(112, 112), margin: 0.1, fit: BoxFit::Stretch };
    let aligner = Aligner::new(alignment, QualityLimits::default()).expect("an aligner");
    Arc::new(Fittings::new(Fitting { model, aligner, threshold: 0.45 }))
}

/// A camera in front of which strangers come by.
struct Scene {
    clock: Arc<SimulatedClock>,
    stats: Arc<Stats>,
    calibrator: Calibrator,
    told: Arc<Mutex<Vec<Change>>>,
    random: Random,
    threshold: f32,
}

impl Scene {
    fn new(path: &Path, model: ModelId, clock: Arc<SimulatedClock>) -> Self {
        Self::with(path, model, clock, 1.0, None)
    }

    /// With so many false alerts a day, and two enrolled people who are so near each other.
    fn with(
        path: &Path,
        model: ModelId,
        clock: Arc<SimulatedClock>,
        per_day: f64,
        nearest: Option<f32>,
    ) -> Self {
        let stats = Arc::new(Stats::new(clock.now()));
        stats.add_camera(&door(), clock.now(), recognising_within(5.0));
        let told: Arc<Mutex<Vec<Change>>> = Arc::default();
        let (heard, path) = (told.clone(), path.to_path_buf());
        let budgets = [(door().into(), AlertBudget { per_day, floor: None })].into();
        let beginning = Beginning { budgets, fittings: fittings(model), mates: None, path };
        let calibrator = Calibrator::new(
            beginning,
            clock.clone(),
            stats.clone(),
            Enrolled {
                identities: Box::new(|| 100),
                on_list: Box::new(|_| 10),
                nearest: Box::new(move || nearest),
            },
            Box::new(move |change, _| heard.lock().expect("whole").push(change.clone())),
        );
        let threshold = match calibrator.thresholds() {
            Message::Estimates(_, own) => own.get(&door().into()).copied().unwrap_or(0.45),
            _ => 0.45,
        };
        Self { clock, stats, calibrator, told, random: Random::seeded(1), threshold }
    }

    /// Minute after minute; where `recognising`, somebody comes by every third.
    fn hours(&mut self, count: u64, recognising: bool) {
        for minute in 0..count * 60 {
            self.clock.advance(Duration::from_secs(60));
            let now = self.clock.now();
            if recognising {
                self.stats.camera(&door()).expect("there").frame_inferred(1, now);
                if minute % 3 == 0 {
                    self.come_by(now);
                }
            }
            if let Some(Message::Estimates(_, own)) = self.calibrator.look() {
                self.threshold = own.get(&door().into()).copied().unwrap_or(0.45);
            }
        }
    }

    fn come_by(&mut self, now: Moment) {
        let one = -(self.random.unit().ln() / 100.0).exp_m1();
        let score = (0.01 - 0.098 * normal::quantile(one)) as f32;
        let threshold = self.threshold;
        let scored =
            Scored { camera: door(), last_seen: now, score, threshold, recognized: score >= threshold };
        self.calibrator.hear(Heard::Scored(MODEL, vec![scored]));
    }

    fn told(&self) -> Vec<Change> {
        self.told.lock().expect("whole").clone()
    }
}

fn clock() -> Arc<SimulatedClock> {
    Arc::new(SimulatedClock::new("2026-03-01T00:00:00Z".parse().expect("a time")))
}

#[test]
fn a_threshold_follows_from_what_the_camera_saw_and_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scores.json");
    let mut scene = Scene::new(&path, MODEL, clock());
    scene.hours(40, true);
    assert_eq!((scene.told(), scene.threshold), (Vec::new(), 0.45), "too few days");
    scene.hours(24 * 5, true);
    let told = scene.told();
    assert_eq!((told[0].from, told[0].estimate.basis), (0.45, Basis::Scores));
    assert_eq!(told.last().map(|change| change.estimate.threshold), Some(scene.threshold));
    let shown = scene.stats.camera(&door()).expect("there").snapshot(scene.clock.now()).thresholds;
    let [shown] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!((shown.threshold, shown.budget), (scene.threshold, 1.0));
    scene.calibrator.write();
    // The same box again: the threshold is in force before anything is estimated, and nothing is told.
    let again = Scene::new(&path, MODEL, scene.clock.clone());
    assert_eq!((again.threshold, again.told()), (scene.threshold, Vec::new()));
    // With another model nothing of it holds.
    assert_eq!(Scene::new(&path, ModelId([9; 32]), clock()).threshold, 0.45);
    std::fs::write(&path, b"{ not whole").expect("written");
    assert_eq!(Scene::new(&path, MODEL, clock()).threshold, 0.45, "damaged: from the beginning");
}

#[test]
fn a_threshold_is_not_below_what_two_enrolled_people_score_with_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let after = |nearest| {
        let mut scene = Scene::with(&folder.path().join("none.json"), MODEL, clock(), 30.0, nearest);
        scene.hours(24 * 4, true);
        (scene.threshold, scene.told().last().map(|change| change.estimate.basis))
    };
    let (free, _) = after(None);
    assert!(free < 0.40, "{free}");
    assert_eq!(after(Some(0.41)), (0.41, Some(Basis::Enrolled)));
    assert_eq!(after(Some(0.9)), (0.45, Some(Basis::Enrolled)), "one person enrolled twice, or twins");
}

#[test]
fn hours_in_which_a_camera_was_not_recognising_do_not_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut scene = Scene::new(&folder.path().join("scores.json"), MODEL, clock());
    for _ in 0..6 {
        scene.hours(12, true);
        scene.hours(12, false);
    }
    assert_eq!(scene.told(), Vec::new(), "no day is whole");
}

#[test]
fn an_operators_verdict_is_counted_with_the_alert_it_is_about_and_no_other_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(SimulatedClock::new("2026-03-01T00:00:00Z".parse().expect("a time")));
    let mut scene = Scene::new(&folder.path().join("scores.json"), MODEL, clock);
    let now = scene.clock.now();
    let alert = Scored { camera: door(), score: 0.52, threshold: 0.45, recognized: true, last_seen: now };
    scene.calibrator.hear(Heard::Scored(MODEL, vec![alert]));
    let review = |verdict, model: ModelId| EventReview {
        event: uuid::Uuid::nil(),
        verdict,
        identity: crate::types::ids::IdentityId::generate(),
        captured_at: now.wall,
        camera: "door".to_owned(),
        track: "door/1/1".to_owned(),
        score: Some(0.5196),
        threshold: 0.45,
        model: model.hex(),
    };
    let counted = |scene: &Scene| {
        let book = serde_json::to_value(&scene.calibrator.book).expect("JSON").to_string();
        let after = |key: &str| book.split(key).nth(1).map(|rest| rest[..8].to_owned()).unwrap_or_default();
        (after("\"confirmed\":"), after("\"rejected\":"))
    };
    let before = counted(&scene);
    scene.calibrator.reviewed(&review(OperatorVerdict::Unsure, MODEL));
    scene.calibrator.reviewed(&review(OperatorVerdict::Reject, ModelId([9; 32])));
    assert_eq!(counted(&scene), before, "neither tells anything");
    scene.calibrator.reviewed(&review(OperatorVerdict::Reject, MODEL));
    let rejected = counted(&scene);
    assert_ne!(rejected.1, before.1);
    scene.calibrator.reviewed(&review(OperatorVerdict::Confirm, MODEL));
    assert_ne!(counted(&scene).0, rejected.0);
    let told = scene.stats.camera(&door()).expect("there").snapshot(now).reviews;
    let told: Vec<_> = told.iter().map(|(verdict, count)| (verdict.as_str(), *count)).collect();
    assert_eq!(told, [("confirm", 1), ("reject", 2), ("unsure", 1)], "the metric has them all");
}
