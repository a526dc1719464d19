//! Enrolment with models that read what they see from the picture's bytes.

use std::path::{Path, PathBuf};

use super::*;
use crate::align::Aligner;
use crate::config::QualityLimits;
use crate::detect::{DetectOptions, Detector};
use crate::err;
use crate::infer::{Alignment, Embedder};
use crate::types::face::{Detection, FaceCrop, Refusal};
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Point, Rect, Size};
use crate::types::ids::ModelId;

const MODEL: ModelId = ModelId([3; 32]);

const LIMITS: QualityLimits = QualityLimits {
    min_face: 48.0,
    min_sharpness: 40.0,
    max_yaw: 35.0,
    max_pitch: 30.0,
    max_roll: 45.0,
    min_brightness: 40.0,
    max_brightness: 220.0,
};

/// A "picture" is text, one word a face: `x,size,score,person[,refusal]`; the embedding points to the person.
#[derive(Default)]
struct Fake {
    words: std::cell::RefCell<Vec<String>>,
    calls: usize,
    broken: bool,
}

impl Fake {
    fn field<T: std::str::FromStr>(&self, face: usize, field: usize) -> Option<T> {
        self.words.borrow().get(face)?.split(',').nth(field)?.parse().ok()
    }
}

impl FaceFinder for Fake {
    fn model(&self) -> ModelId {
        MODEL
    }

    fn limits(&self) -> &QualityLimits {
        &LIMITS
    }

    fn decode(&self, bytes: &[u8], _name: &str) -> Result<RgbImage> {
        let text = std::str::from_utf8(bytes).map_err(|e| err!(Data, "not a picture").because(e))?;
        *self.words.borrow_mut() = text.split_whitespace().map(str::to_owned).collect();
        RgbImage::new(Size::new(400, 300), vec![0; 400 * 300 * 3])
    }

    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>> {
        self.calls += 1;
        let count = self.words.borrow().len();
        let face = |n| {
            let (x, size, score) = (self.field(n, 0)?, self.field::<f32>(n, 1)?, self.field(n, 2)?);
            let bbox = Rect::new(x, 10.0, x + size, 10.0 + size);
            Detection::new(bbox, [Point { x: n as f32, y: 0.0 }; 5], score, picture.size())
        };
        Ok((0..count).filter_map(face).collect())
    }

    fn crop(&self, _picture: &RgbImage, face: &Detection) -> Result<FaceCrop, Refusal> {
        let n = face.landmarks[0].x as usize;
        let wanted: Option<String> = self.field(n, 4);
        let refusal = Refusal::ALL.into_iter().find(|r| Some(r.as_str()) == wanted.as_deref());
        let quality = Quality {
            face_pixels: face.face_pixels(),
            sharpness: 12.0,
            yaw: -61.0,
            pitch: 5.0,
            roll: 50.0,
            brightness: 20.0,
            score: 0.8,
            refusal,
        };
        // The person's number travels in the first pixel.
        let mut pixels = vec![0; 3];
        pixels[0] = self.field(n, 3).unwrap_or(0);
        if wanted.as_deref() == Some("no_crop") {
            return Err(Refusal::BadLandmarks);
        }
        let image = RgbImage::new(Size::new(1, 1), pixels).expect("a pixel");
        Ok(FaceCrop::from_aligner(image, quality))
    }

    fn embed(&mut self, crop: &FaceCrop) -> Result<Result<Embedding>> {
        if self.broken {
            return Err(err!(Unavailable, "the device is gone"));
        }
        let angle = f32::from(crop.image().data()[0]).to_radians();
        let vector =
            if crop.image().data()[0] == 255 { vec![f32::NAN; 2] } else { vec![angle.cos(), angle.sin()] };
        Ok(Embedding::new(MODEL, vector))
    }
}

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    fake: Fake,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("gallery.db")).expect("a store");
        Self { folder, store, fake: Fake::default() }
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join("in").join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, content).expect("written");
        path
    }

    fn enroller(&mut self, choice: Choice) -> Enroller<'_> {
        let options = Options { min_score: 0.8, choice, alike: Some(0.9) };
        Enroller::new(&mut self.fake, &mut self.store, options).expect("a readable store")
    }

    fn enrol(&mut self, choice: Choice, name: &str, path: &Path) -> Outcome {
        let name = Name::new(name).expect("a name");
        self.enroller(choice).enrol_file(&name, path).expect("models and store work").outcome
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("in")
    }
}

fn sentence(bench: &mut Bench, choice: Choice, content: &str) -> String {
    let path = bench.write("picture.jpg", content);
    bench.enrol(choice, "Ana", &path).to_string()
}

#[test]
fn one_good_face_is_enrolled_once() {
    let mut bench = Bench::new();
    let path = bench.write("a.jpg", "10,100,0.95,0");
    assert_eq!(bench.enrol(Choice::Only, "Ana", &path).to_string(), "enrolled (new), quality 0.80");
    let again = bench.write("copy.jpg", "10,100,0.95,0");
    assert_eq!(bench.enrol(Choice::Only, "Ana", &again), Outcome::AlreadyThere);
    assert_eq!(bench.fake.calls, 1, "a picture that is there costs no inference");
    let second = bench.write("b.jpg", "20,100,0.95,1");
    assert_eq!(bench.enrol(Choice::Only, "Ana", &second).to_string(), "enrolled, quality 0.80");
    assert_eq!(bench.store.list().expect("readable")[0].templates, 2);
    assert_eq!(bench.store.templates(MODEL).expect("readable")[0].source, "a.jpg");
}

#[test]
fn no_face_and_several_faces_are_refused_with_what_was_seen() {
    let mut bench = Bench::new();
    let mut say = |choice, content| sentence(&mut bench, choice, content);
    assert_eq!(
        say(Choice::Only, "10,100,0.41,0"),
        "refused: no face found (best candidate score 0.41, 0.80 is needed)"
    );
    assert_eq!(say(Choice::Only, ""), "refused: no face found (not even a candidate)");
    let two = "200,100,0.9,1 10,40,0.85,2 300,90,0.2,3";
    assert_eq!(
        say(Choice::Only, two),
        "refused: 2 faces found, say which with --face N or --largest: \
         [1] 40x40 at 10,10 (score 0.85) [2] 100x100 at 200,10 (score 0.90)"
    );
    assert!(say(Choice::Number(3), two).starts_with("refused: there is no face 3, 2 found: [1] 40x40"));
    assert!(say(Choice::Number(0), two).starts_with("refused: there is no face 0"));
    assert_eq!(bench.store.list().expect("readable").len(), 0, "a refusal leaves no identity behind");
}

#[test]
fn the_face_asked_for_is_the_one_enrolled() {
    let two = "200,100,0.9,70 10,40,0.85,20";
    for (choice, degrees) in
        [(Choice::Largest, 70.0f32), (Choice::Number(1), 20.0), (Choice::Number(2), 70.0)]
    {
        let mut bench = Bench::new();
        let path = bench.write("two.jpg", two);
        assert!(matches!(bench.enrol(choice, "Ana", &path), Outcome::Enrolled { .. }));
        let stored = &bench.store.templates(MODEL).expect("readable")[0];
        assert!((stored.embedding.as_slice()[0] - degrees.to_radians().cos()).abs() < 1e-6, "{choice:?}");
    }
}

#[test]
fn a_bad_face_is_refused_with_value_and_limit() {
    let mut bench = Bench::new();
    let expected = [
        ("too_small", "too small: face of 100 < 48 pixels"),
        ("blurred", "blurred: sharpness 12 < 40"),
        ("extreme_pose", "turned too far: yaw 61 > 35, roll 50 > 45 degrees"),
        ("too_dark", "too dark: brightness 20 < 40"),
        ("too_bright", "too bright: brightness 20 > 220"),
        ("cut_off", "cut off: part of the face lies outside the picture"),
        ("bad_landmarks", "the landmarks found do not make a face"),
        ("no_crop", "the landmarks found do not make a face"),
    ];
    for (refusal, text) in expected {
        let said = sentence(&mut bench, Choice::Only, &format!("10,100,0.95,0,{refusal}"));
        assert_eq!(said, format!("refused: {text}"));
    }
    assert!(sentence(&mut bench, Choice::Only, "10,100,0.95,255").contains("no embedding"));
    assert!(bench.store.list().expect("readable").is_empty());
}

#[test]
fn somebody_under_two_names_is_pointed_out() {
    let mut bench = Bench::new();
    let (a, b, c) = ("10,100,0.9,0", "10,100,0.9,10", "10,100,0.9,90");
    let paths = [a, b, c].map(|content| bench.write(&format!("{content}.jpg"), content));
    bench.enrol(Choice::Only, "Ana", &paths[0]);
    let said = bench.enrol(Choice::Only, "Berta", &paths[1]).to_string();
    assert_eq!(said, "enrolled (new), quality 0.80; WARNING: very like Ana (score 0.98): check both names");
    assert!(!bench.enrol(Choice::Only, "Carla", &paths[2]).to_string().contains("WARNING"));
    let own = bench.write("own.jpg", "11,100,0.9,1");
    let mut enroller = bench.enroller(Choice::Only);
    let report = enroller.enrol_file(&Name::new("Ana").expect("a name"), &own).expect("works");
    let Outcome::Enrolled { like: Some(like), .. } = report.outcome else { panic!("Berta is like Ana") };
    assert_eq!(like.name, "Berta", "one's own templates do not count");
}

#[test]
fn what_cannot_be_read_is_refused_and_a_broken_model_is_an_error() {
    let mut bench = Bench::new();
    let garbage = bench.write("garbage.jpg", [0xFF, 0xD8, 0xFF, 0x00]);
    assert!(bench.enrol(Choice::Only, "Ana", &garbage).to_string().starts_with("refused: not a picture"));
    let missing = bench.root().join("missing.jpg");
    assert!(bench.enrol(Choice::Only, "Ana", &missing).to_string().contains("cannot be read"));
    let folder = bench.root();
    assert!(bench.enrol(Choice::Only, "Ana", &folder).to_string().contains("is no file"));
    let huge = bench.root().join("huge.jpg");
    std::fs::File::create(&huge).and_then(|f| f.set_len(MAX_FILE + 1)).expect("a sparse file");
    assert!(bench.enrol(Choice::Only, "Ana", &huge).to_string().contains("larger than 64 MiB"));

    let good = bench.write("good.jpg", "10,100,0.95,0");
    bench.fake.broken = true;
    let failed = bench.enroller(Choice::Only).enrol_file(&Name::new("Ana").expect("a name"), &good);
    assert_eq!(failed.expect_err("broken").kind(), Kind::Unavailable);
}

#[test]
fn a_folder_is_enrolled_in_order_and_again_for_nothing() {
    let mut bench = Bench::new();
    for (path, content) in [
        ("Ana/2.PNG", "10,100,0.9,1"),
        ("Ana/1.jpeg", "10,100,0.9,0"),
        ("Ana/notes.txt", "hello"),
        ("Ana/.hidden.jpg", "10,100,0.9,0"),
        ("王小明/1.jpg", "10,100,0.9,90 200,100,0.9,91"),
        (".git/1.jpg", "10,100,0.9,0"),
        ("bad\u{1b}name/1.jpg", "10,100,0.9,0"),
        ("README.md", "how to"),
        ("stray.jpg", "10,100,0.9,0"),
    ] {
        bench.write(path, content);
    }
    std::fs::create_dir(bench.root().join("Nobody")).expect("made");
    let (root, mut seen) = (bench.root(), Vec::new());
    let reports = bench
        .enroller(Choice::Only)
        .enrol_dir(&root, |done, all, report| seen.push((done, all, report.path.clone())))
        .expect("works");
    let said: Vec<String> = reports
        .iter()
        .map(|r| r.to_string().replace(&format!("{}/", root.display()), "").chars().take(60).collect())
        .collect();
    let starts = [
        "Ana/1.jpeg: Ana: enrolled (new)",
        "Ana/2.PNG: Ana: enrolled, quality",
        "Ana/notes.txt: Ana: refused: no picture",
        "Nobody: Nobody: refused: the folder holds no picture",
        "bad\\u{1b}name: ?: refused: name",
        "stray.jpg: ?: refused: lies in no identity's folder",
        "王小明/1.jpg: 王小明: refused: 2 faces",
    ];
    assert_eq!(said.len(), starts.len(), "{said:#?}");
    for (said, start) in said.iter().zip(starts) {
        assert!(said.starts_with(start), "{said}");
    }
    assert_eq!(seen.len(), 7);
    assert_eq!(seen.last().map(|s| (s.0, s.1)), Some((7, 7)));

    let generation = bench.store.generation().expect("readable");
    let again = bench.enroller(Choice::Only).enrol_dir(&root, |_, _, _| ()).expect("works");
    assert_eq!(again.iter().filter(|r| r.outcome == Outcome::AlreadyThere).count(), 2);
    assert_eq!(bench.store.generation().expect("readable"), generation);
}

#[test]
fn an_interrupted_run_keeps_what_it_did() {
    let mut bench = Bench::new();
    for n in 0..5 {
        bench.write(&format!("Ana/{n}.jpg"), format!("10,100,0.9,{n}"));
    }
    let root = bench.root();
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        bench.enroller(Choice::Only).enrol_dir(&root, |done, _, _| assert!(done < 3, "pulled the plug"))
    }));
    assert!(stopped.is_err());
    let store = Store::open_read_only(&bench.folder.path().join("gallery.db")).expect("a store");
    assert_eq!(store.list().expect("readable")[0].templates, 3);
}

#[test]
fn an_empty_or_missing_folder_is_an_error() {
    let mut bench = Bench::new();
    let root = bench.root();
    assert_eq!(
        bench.enroller(Choice::Only).enrol_dir(&root, |_, _, _| ()).expect_err("missing").kind(),
        Kind::NoInput
    );
    std::fs::create_dir(&root).expect("made");
    assert_eq!(
        bench.enroller(Choice::Only).enrol_dir(&root, |_, _, _| ()).expect_err("empty").kind(),
        Kind::NoInput
    );
    let file = bench.write("a.jpg", "");
    assert_eq!(plan(&file).expect_err("a file").kind(), Kind::NoInput);
}

#[test]
fn reports_are_json_without_vectors() {
    let mut bench = Bench::new();
    let path = bench.write("a.jpg", "10,100,0.95,0");
    let enrolled = serde_json::to_value(bench.enrol(Choice::Only, "Ana", &path)).expect("serialises");
    assert_eq!(enrolled["outcome"], "enrolled");
    assert_eq!(enrolled["quality"]["sharpness"], 12.0);
    assert!(enrolled["identity"].is_string() && enrolled.get("embedding").is_none());
    let two = bench.write("b.jpg", "10,100,0.95,0 200,50,0.9,1");
    let name = Name::new("Ana").expect("a name");
    let report = bench.enroller(Choice::Only).enrol_file(&name, &two).expect("works");
    let json = serde_json::to_value(&report).expect("serialises");
    assert_eq!((&json["outcome"], &json["reason"]), (&"refused".into(), &"several_faces".into()));
    assert_eq!(json["faces"][1]["number"], 2);
    assert_eq!(json["name"], "Ana");
}

/// The usual five points of a 112 x 112 crop, enlarged by half, with the box around them.
struct OneFace;

impl Detector for OneFace {
    fn detect(&mut self, picture: &dyn Pixels, options: &DetectOptions) -> Result<Vec<Detection>> {
        assert!(options.min_score < 0.5, "faint candidates are asked for, to say how faint they are");
        let landmarks = template().map(|p| Point { x: 30.0 + p.x * 1.5, y: 20.0 + p.y * 1.5 });
        let bbox = Rect::new(50.0, 40.0, 180.0, 180.0);
        Ok(Detection::new(bbox, landmarks, 0.97, picture.size()).into_iter().collect())
    }
}

fn template() -> [Point; 5] {
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
        .map(|(x, y)| Point { x, y })
}

/// Embeds the mean colour.
struct MeanColor;

impl Embedder for MeanColor {
    fn model(&self) -> ModelId {
        MODEL
    }

    fn dimension(&self) -> usize {
        3
    }

    fn max_batch(&self) -> usize {
        1
    }

    fn embed(&mut self, crops: &[FaceCrop]) -> Result<Vec<Result<Embedding>>> {
        let mean = |crop: &FaceCrop| {
            assert_eq!(crop.image().size(), Size::new(112, 112));
            let (pixels, _) = crop.image().data().as_chunks::<3>();
            (0..3).map(|c| pixels.iter().map(|p| f32::from(p[c])).sum::<f32>()).collect()
        };
        Ok(crops.iter().map(|crop| Embedding::new(MODEL, mean(crop))).collect())
    }
}

#[test]
fn the_real_codec_and_aligner_enrol_and_refuse() {
    let mut bench = Bench::new();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut picture = |name: &str, contrast: u8| {
        let data = (0..300 * 260 * 3).map(|_| 100 + rng.u8(0..=contrast)).collect();
        let image = RgbImage::new(Size::new(300, 260), data).expect("a picture");
        let path = bench.write(name, "");
        crate::image::codec::write_image(&path, &image).expect("written");
        path
    };
    let (sharp, flat) = (picture("sharp.png", 60), picture("flat.png", 0));
    let cut = bench.write("cut.png", &std::fs::read(&sharp).expect("a file")[..5000]);
    let aligner =
        Aligner::new(Alignment::FivePoint { size: Size::new(112, 112), template: template() }, LIMITS);
    let mut models = Models {
        detector: &mut OneFace,
        input: Size::new(640, 640),
        aligner: &aligner.expect("a size"),
        embedder: &mut MeanColor,
    };
    let options = Options { min_score: 0.8, choice: Choice::Only, alike: None };
    let mut enroller = Enroller::new(&mut models, &mut bench.store, options).expect("a store");
    let mut enrol = |path: &Path| {
        enroller.enrol_file(&Name::new("Ana").expect("a name"), path).expect("works").outcome.to_string()
    };
    assert!(enrol(&sharp).starts_with("enrolled (new), quality"), "{}", enrol(&sharp));
    assert_eq!(enrol(&sharp), "already enrolled");
    assert_eq!(enrol(&flat), "refused: blurred: sharpness 0 < 40");
    assert!(enrol(&cut).starts_with("refused: a damaged PNG"), "{}", enrol(&cut));
    assert_eq!(bench.store.templates(MODEL).expect("readable")[0].embedding.dimension(), 3);
}
