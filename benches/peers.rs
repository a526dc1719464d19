//! `make bench-peers`: our stages against the plain Python loop of `benches/peers/loop.py`, over the same video, with the same
//! two models, in one run. Prints medians of interleaved rounds; CPU seconds are the whole process's, all threads.
//!
//! ```text
//!   1. every frame, every face:   our CPU  /  decoding alone + inference alone          at most 1.10
//!   2. embedding alone:           our faces/s  /  the loop's, one thread; both cores    at least 1.6; 2.0
//!   3. tracks and best shots:     the loop's CPU  /  our CPU                            at least 5
//!                                 people the loop sees in 5 frames or more: each has a track and an embedding
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench stops where it fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use watchlistd::align::Aligner;
use watchlistd::base::clock::{Clock, SimulatedClock};
use watchlistd::config::{self, Config};
use watchlistd::detect::DetectOptions;
use watchlistd::gallery::{GallerySnapshot, SharedGallery, snapshot};
use watchlistd::image::resize::{Pad, fit_to_tensor};
use watchlistd::image::tensor::{ChannelOrder, Normalize};
use watchlistd::infer::models::Models;
use watchlistd::infer::prepare::crop_tensor;
use watchlistd::pipeline::judge::Policy;
use watchlistd::pipeline::offline::{self, Observer, Settings, Sighting, Totals};
use watchlistd::pipeline::tuning::Tuning;
use watchlistd::source::gst;
use watchlistd::source::{Next, Source};
use watchlistd::types::decision::Notice;
use watchlistd::types::face::{Detection, FaceCrop};
use watchlistd::types::frame::Frame;
use watchlistd::types::geometry::{Rect, Size};
use watchlistd::types::ids::{CameraId, TrackId};
use watchlistd::types::matching::IndexKind;

/// The loop's and our detector's input: the video is fitted into it.
const INPUT: Size = Size::new(640, 640);
const SCORE: f32 = 0.7;
const ROUNDS: usize = 3;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("WATCHLISTD_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let video = std::env::var_os("WATCHLISTD_VIDEO")
        .map_or_else(|| shared.join("data/video/crowd_1080p.mp4"), PathBuf::from);
    let python = root.join("var/peers/bin/python");
    if !video.is_file() || !python.is_file() {
        println!(
            "skipped: needs {} and {} (make bench-peers makes the latter)",
            video.display(),
            python.display()
        );
        return;
    }
    let bench = Bench::new(root, video, python);
    // PEERS=1,3 runs these parts only.
    let parts = std::env::var("PEERS").unwrap_or_else(|_| "1,2,3".to_owned());
    bench.print_versions();
    for part in parts.split(',') {
        match part {
            "1" => bench.every_face(),
            "2" => bench.embedding_alone(),
            _ => bench.best_shots(),
        }
    }
}

struct Bench {
    root: PathBuf,
    video: PathBuf,
    python: PathBuf,
    models: Models,
    config: Config,
    scratch: tempfile::TempDir,
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds that `run` takes.
fn cpu_of<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let before = cpu();
    let result = run();
    (cpu() - before, result)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A frame's tensor, its shape, and its faces' tensors.
struct Input {
    tensor: Vec<f32>,
    shape: [usize; 4],
    faces: Vec<Vec<f32>>,
}

/// Remembers boxes, crops' tracks and embeddings.
#[derive(Default)]
struct Seen {
    frames: Vec<Vec<(TrackId, Rect)>>,
    embedded: BTreeSet<TrackId>,
}

impl Observer for Seen {
    fn frame(&mut self, _: &Frame, sightings: &[Sighting]) {
        self.frames.push(sightings.iter().map(|s| (s.track.clone(), s.detection.bbox)).collect());
    }
    fn embedded(&mut self, track: &TrackId) {
        self.embedded.insert(track.clone());
    }
    fn notice(&mut self, _: &Notice) {}
}

impl Bench {
    fn new(root: &Path, video: PathBuf, python: PathBuf) -> Self {
        let mut config = Config::default();
        config.models = config::Models {
            detector: root.join("config/models/retinaface-mobilenet025.toml"),
            embedder: root.join("config/models/mobilefacenet-512.toml"),
            folder: root.join("var/models"),
            runtime: Some(root.join("var/lib/libonnxruntime.so")),
        };
        let models = Models::load(&config.models, &config.inference).expect("make setup was run");
        gst::init().expect("GStreamer");
        Self {
            root: root.into(),
            video,
            python,
            models,
            config,
            scratch: tempfile::tempdir().expect("a folder"),
        }
    }

    fn print_versions(&self) {
        println!("video        {}", self.video.file_name().unwrap_or_default().display());
        println!(
            "ours         watchlistd {}, {}, {}",
            env!("CARGO_PKG_VERSION"),
            gst::version(),
            self.models.runtime().build()
        );
    }

    // ── 1 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    fn every_face(&self) {
        let (mut ours, mut bare, mut loops, mut tuned) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut totals, mut parts, mut theirs) = (Totals::default(), (0.0, 0.0), Value::Null);
        let inputs = self.inputs();
        for _ in 0..ROUNDS {
            let (cpu, (t, _)) = self.ours(true, None, 1);
            (totals, parts) = (t, (self.decode_alone(), self.inference_alone(&inputs)));
            ours.push(cpu);
            bare.push(parts.0 + parts.1);
            theirs = self.python_video(None, false);
            loops.push(theirs["cpu"].as_f64().expect("a number"));
            tuned.push(self.python_video(None, true)["cpu"].as_f64().expect("a number"));
        }
        let (ours, bare, loops, tuned) = (median(ours), median(bare), median(loops), median(tuned));
        println!("peer         {}", theirs["versions"]);
        println!(
            "\n1. every frame, every face ({} frames, {} faces; the loop: {} and {})",
            totals.frames, totals.embedded, theirs["frames"], theirs["faces"]
        );
        println!("   last round alone: decoding {:.2} s, inference {:.2} s", parts.0, parts.1);
        println!("   ours {ours:.2} CPU s, parts alone {bare:.2} CPU s, the loop {loops:.2} CPU s");
        verdict("ours / (decoding + inference alone)", ours / bare, |r| r <= 1.10, "at most 1.10");
        println!(
            "   the loop / ours: {:.1}; the loop with denormals flushed / ours: {:.1}",
            loops / ours,
            tuned / ours
        );
    }

    /// Our stages over the video: CPU seconds after loading, what went through, and who was seen.
    fn ours(&self, every_face: bool, fps: Option<f32>, workers: usize) -> (f64, (Totals, Seen)) {
        let tuning = Tuning {
            input: INPUT,
            min_score: if every_face { SCORE } else { self.config.track.low_score.min(SCORE) },
            roi: None,
            masks: Vec::new(),
            limits: self.config.quality.clone(),
            track: config::Track { high_score: SCORE, ..self.config.track.clone() },
            gate: false,
            every_face,
            snapshots: None,
        };
        let settings = Settings { workers, tuning, fps };
        let model = snapshot::Model { id: self.models.model_id(), dimension: self.models.dimension() };
        let nobody = GallerySnapshot::empty(model, IndexKind::Exact).expect("an empty gallery");
        let gallery = SharedGallery::new(nobody);
        let gallery = Arc::new(gallery);
        let policy = Policy::of(&self.config, self.models.default_threshold());
        let hands = offline::Hands::start(&self.models, &settings).expect("workers");
        let mut seen = Seen::default();
        let (cpu, totals) = cpu_of(|| {
            let aligner = Aligner::new(self.models.alignment().clone(), self.config.quality.clone())
                .expect("a crop size");
            offline::run_with(&hands, self.open(), camera(), aligner, gallery, policy, &settings, &mut seen)
                .expect("the video runs through")
        });
        (cpu, (totals, seen))
    }

    fn open(&self) -> Box<dyn Source> {
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
        gst::open_file(&self.video, &camera(), &clock).expect("the video opens")
    }

    fn decode_alone(&self) -> f64 {
        cpu_of(|| {
            let mut source = self.open();
            while let Ok(Next::Frame(_)) = source.next(Duration::from_secs(20)) {}
        })
        .0
    }

    fn first_frames(&self, count: usize) -> Vec<Frame> {
        let mut source = self.open();
        let mut frames = Vec::new();
        while frames.len() < count {
            match source.next(Duration::from_secs(20)) {
                Ok(Next::Frame(frame)) => frames.push(frame),
                _ => break,
            }
        }
        frames
    }

    /// What inference takes in over the whole video, made before: each frame's tensor and its faces' tensors.
    fn inputs(&self) -> Vec<Input> {
        let aligner =
            Aligner::new(self.models.alignment().clone(), self.config.quality.clone()).expect("a crop size");
        let options = DetectOptions { input: INPUT, min_score: SCORE, roi: None };
        let mut detector = self.models.detector().expect("a detector");
        let mut inputs = Vec::new();
        let mut source = self.open();
        while let Ok(Next::Frame(frame)) = source.next(Duration::from_secs(20)) {
            let found = detector.detect(frame.pixels(), &options).expect("it runs");
            let crops = found.iter().filter_map(|d| aligner.align(frame.pixels(), d).ok());
            let faces = crops.map(|c| crop_tensor(self.models.embedder_manifest(), c.image())).collect();
            let (tensor, shape) = detector_tensor(&frame);
            inputs.push(Input { tensor, shape, faces });
        }
        inputs
    }

    /// Both sessions alone, on the same inputs in the same order: no frames, no boxes, no crops, no tracks.
    fn inference_alone(&self, inputs: &[Input]) -> f64 {
        let mut detector = self.models.detector_session().expect("a session");
        let mut embedder = self.models.embedder_session().expect("a session");
        let mut run = |input: &Input| {
            detector.run(&input.tensor, input.shape).expect("it runs");
            for face in &input.faces {
                embedder.run(face, [1, 3, 112, 112]).expect("it runs");
            }
        };
        inputs.iter().take(3).for_each(&mut run);
        cpu_of(|| inputs.iter().for_each(&mut run)).0
    }

    /// Real crops of the video's faces.
    fn crops(&self, count: usize) -> Vec<FaceCrop> {
        let aligner =
            Aligner::new(self.models.alignment().clone(), self.config.quality.clone()).expect("a crop size");
        let options = DetectOptions { input: INPUT, min_score: SCORE, roi: None };
        let mut detector = self.models.detector().expect("a detector");
        let mut crops = Vec::new();
        for frame in self.first_frames(60) {
            let found: Vec<Detection> = detector.detect(frame.pixels(), &options).expect("it runs");
            crops.extend(found.iter().filter_map(|d| aligner.align(frame.pixels(), d).ok()));
            if crops.len() >= count {
                break;
            }
        }
        crops.truncate(count);
        crops
    }

    // ── 2 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    fn embedding_alone(&self) {
        let crops = self.crops(32);
        let file = self.scratch.path().join("crops.npy");
        write_npy(&file, &crops);
        println!("\n2. embedding alone, {} real crops", crops.len());
        for (workers, threads, what, goal) in
            [(1, 1, "one thread", 1.6), (2, 0, "both cores, its default session", 2.0)]
        {
            let (mut ours, mut plain, mut tuned) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                ours.push(self.faces_per_second(&crops, workers));
                plain.push(self.python_embed(&file, threads, false));
                tuned.push(self.python_embed(&file, threads, true));
            }
            let (ours, plain, tuned) = (median(ours), median(plain), median(tuned));
            println!(
                "   {what}: ours {ours:.1} faces/s, the loop {plain:.1}, with denormals flushed {tuned:.1}"
            );
            verdict("ours / the loop", ours / plain, |r| r >= goal, &format!("at least {goal}"));
            verdict(
                "ours / the loop with denormals flushed",
                ours / tuned,
                |r| r >= goal,
                &format!("at least {goal}"),
            );
        }
    }

    fn faces_per_second(&self, crops: &[FaceCrop], workers: usize) -> f64 {
        let embedders: Vec<_> = (0..workers).map(|_| self.models.embedder().expect("an embedder")).collect();
        let started = Instant::now();
        let counts: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = embedders
                .into_iter()
                .map(|mut embedder| {
                    scope.spawn(move || {
                        let mut count = 0;
                        while started.elapsed() < Duration::from_secs(3) {
                            for crop in crops {
                                embedder.embed(std::slice::from_ref(crop)).expect("it runs");
                            }
                            count += crops.len();
                        }
                        count
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().expect("no panic")).collect()
        });
        counts.iter().sum::<usize>() as f64 / started.elapsed().as_secs_f64()
    }

    // ── 3 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    fn best_shots(&self) {
        let detail = self.scratch.path().join("loop.json");
        let (mut ours, mut loops, mut tuned, mut last) = (Vec::new(), Vec::new(), Vec::new(), None);
        for _ in 0..ROUNDS {
            let (cpu, result) = self.ours(false, None, 1);
            ours.push(cpu);
            last = Some(result);
            loops.push(self.python_video(None, false)["cpu"].as_f64().expect("a number"));
            tuned.push(self.python_video(Some(&detail), true)["cpu"].as_f64().expect("a number"));
        }
        let (totals, seen) = last.expect("a round");
        let (ours, loops, tuned) = (median(ours), median(loops), median(tuned));
        println!(
            "\n3. tracks and best shots ({} tracks, {} embeddings of {} faces)",
            totals.tracks, totals.embedded, totals.faces
        );
        println!("   ours {ours:.2} CPU s, the loop {loops:.2} CPU s");
        verdict("the loop / ours", loops / ours, |r| r >= 5.0, "at least 5");
        verdict("the loop with denormals flushed / ours", tuned / ours, |r| r >= 5.0, "at least 5");
        let text = std::fs::read_to_string(&detail).expect("the loop wrote it");
        let people = people_of(&serde_json::from_str(&text).expect("JSON"));
        let served = people.iter().filter(|person| has_track_and_embedding(person, &seen)).count();
        println!(
            "   people the loop sees in at least 5 frames: {}; with a track and an embedding of ours: {served}",
            people.len()
        );
        verdict("share of them", served as f64 / people.len() as f64, |r| r >= 1.0, "1");
    }

    // ── the loop ───────────────────────────────────────────────────────────────────────────────────────────────────────

    fn python(&self, arguments: &[&str]) -> Value {
        let output = Command::new(&self.python)
            .arg(self.root.join("benches/peers/loop.py"))
            .args(arguments)
            .output()
            .expect("python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one line of JSON")
    }

    fn python_video(&self, detail: Option<&Path>, flush: bool) -> Value {
        let models = self.root.join("var/models");
        let (detector, embedder) =
            (models.join("retinaface-mobilenet025.onnx"), models.join("mobilefacenet-512.original.onnx"));
        let text = |p: &Path| p.display().to_string();
        let (video, detector, embedder) = (text(&self.video), text(&detector), text(&embedder));
        let detail = detail.map(text);
        let mut arguments = vec!["video", &video, &detector, &embedder];
        if let Some(detail) = &detail {
            arguments.extend(["--tracks", detail]);
        }
        if flush {
            arguments.push("--flush");
        }
        self.python(&arguments)
    }

    fn python_embed(&self, crops: &Path, threads: u32, flush: bool) -> f64 {
        let embedder = self.root.join("var/models/mobilefacenet-512.original.onnx").display().to_string();
        let (crops, threads) = (crops.display().to_string(), threads.to_string());
        let mut arguments = vec!["embed", &crops, &embedder, "--threads", &threads];
        if flush {
            arguments.push("--flush");
        }
        let result = self.python(&arguments);
        result["faces"].as_f64().expect("a number") / result["wall"].as_f64().expect("a number")
    }
}

fn camera() -> CameraId {
    CameraId::new("file").expect("an id")
}

fn verdict(what: &str, ratio: f64, good: impl Fn(f64) -> bool, goal: &str) {
    println!("   {what}: {ratio:.2} ({goal}: {})", if good(ratio) { "met" } else { "NOT met" });
}

/// The frame as RetinaFace takes it: BGR minus (104, 117, 127).
fn detector_tensor(frame: &Frame) -> (Vec<f32>, [usize; 4]) {
    let normalize = Normalize { order: ChannelOrder::Bgr, mean: [104.0, 117.0, 127.0], scale: [1.0; 3] };
    let mut tensor = Vec::new();
    let fit = fit_to_tensor(frame.pixels(), None, INPUT, Pad::None, &normalize, &mut tensor);
    (tensor, [1, 3, fit.size.height as usize, fit.size.width as usize])
}

/// Crops as the loop reads them: uint8, BGR, [n, 112, 112, 3].
fn write_npy(path: &Path, crops: &[FaceCrop]) {
    use watchlistd::types::frame::Pixels;
    let size = crops[0].image().size();
    let mut header = format!(
        "{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, {}, {}, 3), }}",
        crops.len(),
        size.height,
        size.width
    );
    let padding = 64 - (10 + header.len() + 1) % 64;
    header += &" ".repeat(padding);
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    for crop in crops {
        bytes.extend(crop.image().data().chunks_exact(3).flat_map(|rgb| [rgb[2], rgb[1], rgb[0]]));
    }
    std::fs::write(path, bytes).expect("writable");
}

/// One person of the loop: a face in each of some frames.
type Person = BTreeMap<usize, Rect>;

/// Links the loop's faces from frame to frame, by overlap alone and independently of our tracker; a face may be missed for up
/// to 5 frames. Keeps who is seen in at least 5.
fn people_of(faces: &Value) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::new();
    for face in faces.as_array().expect("a list") {
        let frame = face["frame"].as_u64().expect("a number") as usize;
        let b: Vec<f32> = face["box"]
            .as_array()
            .expect("four")
            .iter()
            .map(|x| x.as_f64().expect("a number") as f32)
            .collect();
        let rect = Rect::new(b[0], b[1], b[2], b[3]);
        let overlap = |person: &Person| {
            let (last, seen) = person.last_key_value().expect("never empty");
            let near = *last < frame && frame - last <= 6;
            if near { seen.iou(&rect) } else { 0.0 }
        };
        let best = (0..people.len()).max_by(|&a, &b| overlap(&people[a]).total_cmp(&overlap(&people[b])));
        match best.filter(|&i| overlap(&people[i]) >= 0.3) {
            Some(i) => drop(people[i].insert(frame, rect)),
            None => people.push(BTreeMap::from([(frame, rect)])),
        }
    }
    people.retain(|person| person.len() >= 5);
    people
}

/// True if a track of ours that was embedded covers the person in at least half of the frames it is seen in.
fn has_track_and_embedding(person: &Person, seen: &Seen) -> bool {
    let mut votes: BTreeMap<&TrackId, usize> = BTreeMap::new();
    for (frame, rect) in person {
        let ours = seen.frames.get(*frame).into_iter().flatten();
        for (track, _) in ours.filter(|(_, b)| b.iou(rect) >= 0.4) {
            *votes.entry(track).or_default() += 1;
        }
    }
    let embedded: usize =
        votes.iter().filter(|(track, _)| seen.embedded.contains(**track)).map(|(_, n)| n).sum();
    embedded * 2 >= person.len()
}
