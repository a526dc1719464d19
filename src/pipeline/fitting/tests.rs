//! A switch of the model in the middle of a stream, with a worker, a lane and a judge as the daemon has them.

use std::collections::HashMap;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};

use super::*;
use crate::bail;
use crate::base::clock::{Clock, Moment, SimulatedClock};
use crate::base::error::Result;
use crate::config::{self, Camera, CameraSource, Config};
use crate::daemon::watchdog::Heartbeats;
use crate::detect::{DetectOptions, Detector};
use crate::gallery::SharedGallery;
use crate::gallery::snapshot::{self, GallerySnapshot, Person};
use crate::infer::{Alignment, BoxFit};
use crate::pipeline::judge::{Judge, Message, Policy};
use crate::pipeline::lane::Lane;
use crate::pipeline::pool::{Batching, Pool};
use crate::pipeline::tuning::Tuning;
use crate::pipeline::worker::Worker;
use crate::stats::{CropDrop, Stats, recognising_within};
use crate::types::decision::{Decision, Stage, Verdict};
use crate::types::embedding::Embedding;
use crate::types::face::{Detection, FaceCrop};
use crate::types::frame::{Frame, Pixels, RgbImage};
use crate::types::geometry::{Point, Rect, Size};
use crate::types::ids::{CameraId, IdentityId, TemplateId};
use crate::types::matching::IndexKind;

const SIZE: Size = Size::new(640, 480);
const DIMENSION: usize = 8;

/// Crops of a model are as large as no other's, so that a mix-up is seen.
fn crop_size(number: u8) -> Size {
    Size::new(112 + u32::from(number) * 8, 112 + u32::from(number) * 8)
}

fn model(number: u8) -> ModelId {
    ModelId([number; 32])
}

fn vector(number: u8) -> Embedding {
    let mut vector = vec![0.0; DIMENSION];
    vector[usize::from(number)] = 1.0;
    Embedding::new(model(number), vector).expect("a vector")
}

fn fitting(number: u8, threshold: f32) -> Fitting {
    let alignment = Alignment::BoxMargin { size: crop_size(number), margin: 0.1, fit: BoxFit::Stretch };
    let aligner = Aligner::new(alignment, Config::default().quality).expect("a crop size");
    Fitting { model: model(number), aligner, threshold }
}

/// Sees one face, always.
struct OneFace;

impl Detector for OneFace {
    fn detect(&mut self, _: &dyn Pixels, _: &DetectOptions) -> Result<Vec<Detection>> {
        let template = [(38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)];
        let landmarks = template.map(|(x, y)| Point { x: 100.0 + x, y: 100.0 + y });
        let face = Detection::new(Rect::new(100.0, 100.0, 212.0, 212.0), landmarks, 0.95, SIZE);
        Ok(face.into_iter().collect())
    }
}

/// Everybody is Ana; a crop that was cut for another model is an error.
struct Ana(u8);

impl Embedder for Ana {
    fn model(&self) -> ModelId {
        model(self.0)
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn max_batch(&self) -> usize {
        4
    }

    fn embed(&mut self, crops: &[FaceCrop]) -> Result<Vec<Result<Embedding>>> {
        if crops.iter().any(|crop| crop.image().size() != crop_size(self.0)) {
            bail!(Software, "a crop of another model");
        }
        Ok(crops.iter().map(|_| Ok(vector(self.0))).collect())
    }
}

fn gallery(number: u8, generation: u64, ana: IdentityId) -> Arc<GallerySnapshot> {
    let person = Person { name: "Ana".into(), external_id: None, lists: [].into(), searched: true };
    let searched = snapshot::Model { id: model(number), dimension: DIMENSION };
    let templates = [Ok((ana, TemplateId::generate(), vector(number)))];
    let people = HashMap::from([(ana, person)]);
    Arc::new(
        GallerySnapshot::new(searched, IndexKind::Exact, generation, people, templates).expect("a gallery"),
    )
}

/// A camera, a worker that runs, and a judge.
struct Scene {
    clock: Arc<SimulatedClock>,
    pool: Arc<Pool>,
    lane: Arc<Lane>,
    fittings: Arc<Fittings>,
    shared: Arc<SharedGallery>,
    judge: Judge,
    heard: Receiver<Message>,
    stats: Arc<Stats>,
    worker: std::thread::JoinHandle<()>,
    frames: u64,
    ana: IdentityId,
}

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
        let stats = Arc::new(Stats::new(clock.now()));
        let camera = CameraId::new("door").expect("an id");
        let source = CameraSource::Test { pattern: "ball".to_owned(), size: SIZE, fps: 25 };
        let config = Config::default();
        let tuning = Tuning { gate: false, ..Tuning::of(&Camera::new(camera.clone(), source), &config) };
        let fittings = Arc::new(Fittings::new(fitting(1, 0.4)));
        let counters = stats.add_camera(&camera, clock.now(), recognising_within(5.0));
        let lane = Arc::new(Lane::new(camera, &fittings.current(), tuning, counters));
        let batching = Batching { max: 4, wait: Duration::ZERO };
        let pool = Arc::new(Pool::new(batching, Duration::from_secs(1), clock.clone()));
        let (tell, heard) = unbounded();
        let worker = Worker {
            detector: Box::new(OneFace),
            embedder: Box::new(Ana(1)),
            fitting: fittings.current(),
            fittings: fittings.clone(),
            pool: pool.clone(),
            judge: tell,
            shelf: None,
            stats: stats.clone(),
            beat: Heartbeats::new(clock.clone()).register("worker", Duration::from_secs(60)),
            clock: clock.clone(),
        };
        let worker = std::thread::spawn(move || worker.run());
        let ana = IdentityId::generate();
        let shared =
            Arc::new(SharedGallery::new(Arc::try_unwrap(gallery(1, 1, ana)).expect("nobody else has it")));
        let decide = config::Decide { threshold: None, ..config.decide.clone() };
        let policy = Policy::of(&Config { decide, ..config }, 0.4);
        let judge = Judge::new(policy, shared.clone(), Box::new(uuid::Uuid::now_v7), Arc::default())
            .following(fittings.clone());
        Self { clock, pool, lane, fittings, shared, judge, heard, stats, worker, frames: 0, ana }
    }

    /// A fifth of a second: a frame is looked at, its shots are embedded, and the judge hears of them.
    fn step(&mut self) -> Vec<Decision> {
        self.clock.advance(Duration::from_millis(200));
        let pixels = RgbImage::new(SIZE, vec![90; SIZE.area() as usize * 3]).expect("a picture");
        let now: Moment = self.clock.now();
        let camera = self.lane.camera().clone();
        self.lane.put(Frame::new(camera, 1, self.frames, now, Arc::new(pixels)).expect("a frame"));
        self.frames += 1;
        self.work()
    }

    fn work(&mut self) -> Vec<Decision> {
        self.pool.ring(&self.lane);
        assert!(self.pool.settle(Duration::from_secs(60)), "the worker is stuck");
        let told = self.heard.try_iter().flat_map(|message| self.judge.hear(message));
        told.filter_map(|notice| notice.decision().cloned()).collect()
    }

    fn steps(&mut self, count: usize) -> Vec<Decision> {
        (0..count).flat_map(|_| self.step()).collect()
    }

    /// Ends the stream, and everything.
    fn end(mut self) -> Vec<Decision> {
        self.lane.ask_to_end(1);
        let last = self.work();
        self.pool.close();
        self.worker.join().expect("no panic");
        assert_eq!(self.stats.inference.failures.get(), 0, "a crop was embedded by another model");
        last
    }
}

fn said(decisions: &[Decision]) -> Vec<String> {
    let word = |decision: &Decision| match &decision.verdict {
        Verdict::Recognized { stage: Stage::Preliminary, .. } => "preliminary".to_owned(),
        Verdict::Recognized { stage: Stage::Confirmed, .. } => "confirmed".to_owned(),
        Verdict::Recognized { stage: Stage::Withdrawn, .. } => "withdrawn".to_owned(),
        other => format!("{other:?}"),
    };
    decisions.iter().map(word).collect()
}

#[test]
fn who_is_recognised_stays_so_through_a_switch_and_no_shot_meets_another_models_templates() {
    let mut scene = Scene::new();
    let before = scene.steps(20);
    assert_eq!(said(&before).last().map(String::as_str), Some("confirmed"), "{:?}", said(&before));
    // The gallery is another model's already, and the worker has not heard of it: its answers are worth nothing, and do no harm.
    scene.shared.swap(gallery(2, 2, scene.ana));
    let between = scene.steps(10);
    assert_eq!(said(&between), Vec::<String>::new());
    scene.fittings.install(fitting(2, 0.3), vec![Box::new(Ana(2))]);
    let after = scene.steps(20);
    assert_eq!(said(&after), Vec::<String>::new(), "nothing is news");
    let camera = scene.stats.camera(scene.lane.camera()).expect("its counters");
    let embedded = camera.embedded.get();
    assert!(embedded >= 3, "{embedded} shots were embedded");
    assert_eq!(said(&scene.end()), Vec::<String>::new(), "and there is nothing to take back");
}

#[test]
fn a_stranger_to_the_new_model_is_withdrawn_only_after_a_fair_look() {
    let mut scene = Scene::new();
    scene.steps(20);
    // Switched by force: nobody has a template of the new model.
    let searched = snapshot::Model { id: model(2), dimension: DIMENSION };
    let empty = GallerySnapshot::new(searched, IndexKind::Exact, 2, HashMap::new(), []).expect("a gallery");
    scene.shared.swap(Arc::new(empty));
    scene.fittings.install(fitting(2, 0.3), vec![Box::new(Ana(2))]);
    assert_eq!(said(&scene.step()), Vec::<String>::new(), "one shot is no fair look");
    let after = said(&scene.steps(40));
    assert_eq!(after.first().map(String::as_str), Some("withdrawn"), "{after:?}");
    scene.end();
}

#[test]
fn a_shot_that_waited_through_the_switch_is_dropped_and_its_track_closes() {
    let scene = Scene::new();
    // The worker is kept from it until the switch is done: both happen before the lane is rung.
    let found = {
        let frame_of = |sequence: u64, clock: &SimulatedClock, camera: CameraId| {
            clock.advance(Duration::from_millis(200));
            let pixels = RgbImage::new(SIZE, vec![90; SIZE.area() as usize * 3]).expect("a picture");
            Frame::new(camera, 1, sequence, clock.now(), Arc::new(pixels)).expect("a frame")
        };
        let tuning = scene.lane.tuning();
        let faces = OneFace.detect(
            &RgbImage::new(SIZE, vec![0; SIZE.area() as usize * 3]).expect("a picture"),
            &tuning.detect_options(SIZE),
        );
        let faces = faces.expect("a face");
        (0..4)
            .flat_map(|n| {
                let frame = frame_of(n, &scene.clock, scene.lane.camera().clone());
                scene.lane.analyser().look(&frame, &faces, &tuning)
            })
            .collect::<Vec<_>>()
    };
    let shots: Vec<_> = found
        .into_iter()
        .filter_map(|finding| match finding {
            crate::pipeline::analyser::Finding::Shot(shot) => Some(shot),
            _ => None,
        })
        .collect();
    assert!(shots.iter().all(|shot| shot.model == model(1)) && !shots.is_empty());
    scene.shared.swap(gallery(2, 2, scene.ana));
    scene.fittings.install(fitting(2, 0.3), vec![Box::new(Ana(2))]);
    assert!(scene.pool.submit(shots).is_empty());
    assert!(scene.pool.settle(Duration::from_secs(60)));
    let reasons: Vec<_> = scene
        .heard
        .try_iter()
        .map(|message| match message {
            Message::Dropped(_, reason) => reason,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(reasons, [CropDrop::OtherModel]);
    scene.end();
}
