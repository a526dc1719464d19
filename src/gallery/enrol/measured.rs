//! What the gate's limits and the chips were chosen by, measured on real faces. Each test prints its figures and holds what the
//! documentation says to account.

use std::path::{Path, PathBuf};

use super::Chip;
use super::gate::{Limits, Neighbours, judge};
use crate::align::Aligner;
use crate::config::{Device, QualityLimits};
use crate::detect::{DetectOptions, Detector};
use crate::gallery::command::Review;
use crate::image::codec::{decode_image, encode_jpeg};
use crate::image::warp::stretch;
use crate::infer::Embedder;
use crate::infer::embedder::OnnxEmbedder;
use crate::infer::plan::PoolPlan;
use crate::infer::testing::{
    detector, embedder, inference, manifest, models_folder, picture, read_picture, shared,
};
use crate::types::embedding::Embedding;
use crate::types::face::Detection;
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Point, Size};
use crate::types::ids::{IdentityId, TemplateId};

/// Twelve faces, 91 to 278 pixels.
const PICTURES: [&str; 7] = [
    "obama.jpg",
    "obama2.jpg",
    "obama3.jpg",
    "biden.jpg",
    "astronaut.png",
    "t1.jpg",
    "obama_partial_face.jpg",
];

/// The shipped models.
struct Rig {
    _folder: tempfile::TempDir,
    detector: Box<dyn Detector>,
    aligner: Aligner,
    embedder: OnnxEmbedder,
}

impl Rig {
    fn open() -> Option<Self> {
        let (folder, detector) = (models_folder()?, detector()?);
        let plan = PoolPlan::for_device(&Device::Cpu, 1, &inference(Device::Cpu));
        let embedder = embedder(folder.path(), plan)?;
        let alignment = manifest("mobilefacenet-512.toml").embedder().ok()?.alignment.clone();
        let aligner = Aligner::new(alignment, QualityLimits::none()).ok()?;
        Some(Self { _folder: folder, detector, aligner, embedder })
    }

    fn find(&mut self, picture: &RgbImage) -> Vec<Detection> {
        let options = DetectOptions { input: Size::new(960, 960), min_score: 0.7, roi: None };
        self.detector.detect(picture, &options).expect("runs")
    }

    /// The face nearest to a place.
    fn near(&mut self, picture: &RgbImage, place: Point) -> Option<Detection> {
        let away = |face: &Detection| {
            let centre = face.bbox.center();
            (centre.x - place.x).hypot(centre.y - place.y)
        };
        self.find(picture).into_iter().min_by(|a, b| away(a).total_cmp(&away(b)))
    }

    fn embed(&mut self, picture: &RgbImage, face: &Detection) -> Embedding {
        let crop = self.aligner.align(picture, face).expect("a crop");
        self.embedder.embed(&[crop]).expect("runs").remove(0).expect("a vector")
    }
}

fn similarity(a: &Embedding, b: &Embedding) -> f32 {
    a.similarity(b).expect("one model")
}

fn least(scores: &[f32]) -> f32 {
    scores.iter().copied().fold(f32::INFINITY, f32::min)
}

fn resized(picture: &RgbImage, factor: f32) -> RgbImage {
    let side = |length: u32| (length as f32 * factor) as u32;
    stretch(picture, Size::new(side(picture.size().width), side(picture.size().height))).expect("a size")
}

#[test]
fn copies_of_a_picture_are_duplicates_and_so_are_chips_as_good_as_the_picture() {
    let Some(mut rig) = Rig::open() else { return };
    let (mut encoded, mut scaled, mut chips, mut faces) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for name in PICTURES {
        let Some(original) = picture(name) else { return };
        for face in rig.find(&original) {
            faces += 1;
            let (reference, centre) = (rig.embed(&original, &face), face.bbox.center());
            let mut score = |copy: &RgbImage, factor: f32| {
                let place = Point { x: centre.x * factor, y: centre.y * factor };
                let found = rig.near(copy, place).expect("a face");
                similarity(&rig.embed(copy, &found), &reference)
            };
            for quality in [50, 70, 95] {
                let bytes = encode_jpeg(&original, quality).expect("a JPEG");
                encoded.push(score(&decode_image(&bytes, name).expect("a picture"), 1.0));
            }
            for factor in [0.75, 1.5, 2.0] {
                scaled.push(score(&resized(&original, factor), factor));
            }
            let bytes = Chip::cut(&original, &face).expect("a chip").to_bytes().expect("bytes");
            let chip = Chip::from_bytes(&bytes).expect("a chip");
            let again = rig.embed(&chip.image().expect("pixels"), chip.detection());
            let score = similarity(&again, &reference);
            eprintln!(
                "{name}: face {:.0}, chip of {} bytes, score {score:.4}",
                face.face_pixels(),
                bytes.len()
            );
            chips.push(score);
        }
    }
    let [encoded, scaled, chip] = [&encoded, &scaled, &chips].map(|scores| least(scores));
    eprintln!(
        "{faces} faces, least scores: re-encoded {encoded:.4}, resized {scaled:.4}, from the chip {chip:.4}"
    );
    assert_eq!(faces, 12);
    assert!(encoded >= 0.97 && scaled >= 0.957, "as the gate's documentation says");
    assert!(least(&[encoded, scaled]) >= Limits::of(0.45).duplicate);
    assert!(chip >= 0.994, "a chip stands for its picture, as its documentation says");
}

/// 24 people with their embeddings; `None`, with a line that says so, without the measuring data.
fn people() -> Option<Vec<Vec<Embedding>>> {
    let folder = shared("data/aligned_faces")?;
    let list = |folder: &Path| -> Option<Vec<PathBuf>> {
        let mut entries: Vec<_> = std::fs::read_dir(folder).ok()?.flatten().map(|e| e.path()).collect();
        entries.sort();
        Some(entries)
    };
    let people = list(&folder)?;
    let mut rig = Rig::open()?;
    let mut embed = |file: &PathBuf| {
        let crop = read_picture(file);
        rig.embedder.embed_images(&[&crop]).expect("runs").remove(0).expect("a vector")
    };
    people.iter().map(|person| Some(list(person)?.iter().map(&mut embed).collect())).collect()
}

#[test]
fn the_limits_are_where_people_part() {
    let Some(people) = people() else { return };
    let limits = Limits::of(0.45);
    let (mut mated, mut non_mated) = (Vec::new(), Vec::new());
    for (n, person) in people.iter().enumerate() {
        for (i, one) in person.iter().enumerate() {
            mated.extend(person[i + 1..].iter().map(|other| similarity(one, other)));
            non_mated.extend(people[n + 1..].iter().flatten().map(|other| similarity(one, other)));
        }
    }
    let most = |scores: &[f32]| scores.iter().copied().fold(f32::MIN, f32::max);
    let reach = mated.iter().filter(|score| **score >= limits.certain).count() as f64 / mated.len() as f64;
    eprintln!(
        "{} pairs of one person, at most {:.3}, {reach:.2} reach {:.3}; {} pairs of two, at most {:.3}",
        mated.len(),
        most(&mated),
        limits.certain,
        non_mated.len(),
        most(&non_mated)
    );
    assert!(most(&mated) < 0.88 && most(&mated) < limits.duplicate, "other pictures are no duplicates");
    assert!(most(&non_mated) < 0.475 && most(&non_mated) < limits.certain);
    assert!((0.45..0.52).contains(&reach), "{reach}");
}

/// What the gate says of new pictures, each beside `enrolled` pictures of every person: parts that are refused by strict and by
/// standard review, and that are called outliers.
fn judged(people: &[Vec<Embedding>], enrolled: usize, in_own_folder: bool) -> [f64; 3] {
    let (limits, mut rng) = (Limits::of(0.45), fastrand::Rng::with_seed(7));
    let (mut counts, mut trials) = ([0u32; 3], 0u32);
    while trials < 10_000 {
        let galleries: Vec<Vec<&Embedding>> = people
            .iter()
            .map(|person| rng.choose_multiple(person.iter(), (enrolled + 1).min(person.len())))
            .collect();
        let person = rng.usize(..people.len());
        // The probe is the one that is not enrolled; somebody with too few pictures is left out.
        let Some((probe, _)) = galleries[person].split_last().filter(|(_, own)| own.len() == enrolled) else {
            continue;
        };
        trials += 1;
        let folder =
            if in_own_folder { person } else { (person + rng.usize(1..people.len())) % people.len() };
        let mut neighbours = Neighbours::default();
        for (n, gallery) in galleries.iter().enumerate() {
            let scores = gallery.iter().take(enrolled).map(|template| similarity(template, probe));
            if n == folder {
                // Of somebody else's picture it has to be told that it is not like these, wherever its own are.
                neighbours.own = scores.map(|score| (TemplateId::generate(), score)).collect();
            } else if n != person {
                let best = scores.fold(f32::MIN, f32::max);
                neighbours.others.push((IdentityId::generate(), String::new(), best));
            }
        }
        let outlier =
            neighbours.own.len() >= 2 && neighbours.own.iter().all(|(_, score)| *score < limits.outlier);
        let refused = |review| judge(&neighbours, &limits, review).refused;
        for (count, yes) in
            counts.iter_mut().zip([refused(Review::Strict), refused(Review::Standard), outlier])
        {
            *count += u32::from(yes);
        }
    }
    counts.map(|count| f64::from(count) / f64::from(trials))
}

#[test]
fn good_pictures_are_seldom_refused_and_wrong_ones_are_doubted() {
    let Some(people) = people() else { return };
    for (enrolled, strict, outliers, caught) in
        [(1, 0.06, 0.0, 0.0), (2, 0.035, 0.015, 0.95), (3, 0.025, 0.01, 0.94), (5, 0.03, 0.004, 0.93)]
    {
        let (good, wrong) = (judged(&people, enrolled, true), judged(&people, enrolled, false));
        eprintln!(
            "{enrolled} enrolled: good [strict, standard, outlier] {good:.4?}; wrong folder {wrong:.4?}"
        );
        assert!(good[0] <= strict && good[1] <= 0.003 && good[2] <= outliers, "{enrolled}: {good:?}");
        assert!(wrong[2] >= caught, "{enrolled}: {wrong:?}");
    }
}
