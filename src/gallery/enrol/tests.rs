//! Enrolment of single pictures with models that read what they see from the picture's bytes.

use std::path::{Path, PathBuf};

use super::fixture::{Fake, Folder, LIMITS, MODEL, Memory, options, record};
use super::*;
use crate::align::Aligner;
use crate::base::error::{Kind, Result};
use crate::detect::{DetectOptions, Detector};
use crate::infer::{Alignment, Embedder};
use crate::types::embedding::Embedding;
use crate::types::face::{Detection, FaceCrop};
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Point, Rect, Size};
use crate::types::ids::ModelId;

mod folder;
mod sheet;

struct Bench {
    folder: Folder,
    memory: Memory,
    fake: Fake,
    options: Options,
}

impl Bench {
    fn new() -> Self {
        Self { folder: Folder::new(), memory: Memory::default(), fake: Fake::default(), options: options() }
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        self.folder.write(path, content)
    }

    fn enrol(&mut self, choice: Choice, name: &str, path: &Path) -> Outcome {
        self.report(choice, name, path).outcome
    }

    fn report(&mut self, choice: Choice, name: &str, path: &Path) -> Report {
        let mut enroller = Enroller::new(&mut self.fake, &mut self.memory, self.options.clone());
        enroller.enrol_face(&record(name), path, choice).expect("models and desk work")
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
    let second = bench.write("b.jpg", "20,100,0.95,30");
    assert_eq!(bench.enrol(Choice::Only, "Ana", &second).to_string(), "enrolled, quality 0.80");
    assert_eq!(bench.memory.contents(), [("Ana".to_owned(), vec!["a.jpg".to_owned(), "b.jpg".to_owned()])]);
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
    assert!(bench.memory.people.is_empty(), "a refusal leaves no identity behind");
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
        let stored = &bench.memory.people[0].templates[0];
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
    assert!(bench.memory.people.is_empty());
}

#[test]
fn what_the_gate_doubts_is_told_or_refused_as_the_review_says() {
    // In degrees: Ana at 0, a copy of it, Ana's other picture, somebody like Ana, somebody else in Ana's folder.
    let pictures = [
        ("Ana", "10,100,0.9,0", "enrolled (new), quality 0.80"),
        ("Ana", "10,100,0.9,5", "a duplicate of template "),
        ("Ana", "10,100,0.9,40", "enrolled, quality 0.80"),
        ("Berta", "10,100,0.9,70", "very like Ana (score 0.87): check both names"),
        ("Ana", "10,100,0.9,140", "unlike the identity's other pictures (score -0.17 < 0.22)"),
    ];
    let refused = |review| {
        let mut bench = Bench::new();
        bench.options.review = review;
        let mut refused = Vec::new();
        for (n, (name, content, said)) in pictures.iter().enumerate() {
            let path = bench.write(&format!("{n}.jpg"), content);
            let outcome = bench.enrol(Choice::Only, name, &path);
            // Where Berta was refused, nobody is nearer to the last picture than Ana.
            assert!(outcome.to_string().contains(said), "{review:?}: {outcome}");
            if let Outcome::Refused { reason } = &outcome {
                assert!(matches!(reason, Reason::Doubtful { .. }), "{reason:?}");
                refused.push(n);
            }
        }
        refused
    };
    assert_eq!(refused(Review::Off), [] as [usize; 0]);
    assert_eq!(refused(Review::Standard), [1, 3]);
    assert_eq!(refused(Review::Strict), [1, 3, 4]);
}

#[test]
fn what_cannot_be_read_is_refused_and_a_broken_model_is_an_error() {
    let mut bench = Bench::new();
    let garbage = bench.write("garbage.jpg", [0xFF, 0xD8, 0xFF, 0x00]);
    assert!(bench.enrol(Choice::Only, "Ana", &garbage).to_string().starts_with("refused: not a picture"));
    let missing = bench.folder.root().join("missing.jpg");
    assert!(bench.enrol(Choice::Only, "Ana", &missing).to_string().contains("cannot be read"));
    let folder = bench.folder.root();
    assert!(bench.enrol(Choice::Only, "Ana", &folder).to_string().contains("is no file"));
    let huge = bench.folder.root().join("huge.jpg");
    std::fs::File::create(&huge).and_then(|f| f.set_len(MAX_FILE + 1)).expect("a sparse file");
    assert!(bench.enrol(Choice::Only, "Ana", &huge).to_string().contains("larger than 64 MiB"));

    let good = bench.write("good.jpg", "10,100,0.95,0");
    bench.fake.broken = true;
    let mut enroller = Enroller::new(&mut bench.fake, &mut bench.memory, options());
    let failed = enroller.enrol_file(&record("Ana"), &good);
    assert_eq!(failed.expect_err("broken").kind(), Kind::Unavailable);
    bench.fake.broken = false;
    bench.memory.room = Some(0);
    let mut enroller = Enroller::new(&mut bench.fake, &mut bench.memory, options());
    assert_eq!(enroller.enrol_file(&record("Ana"), &good).expect_err("full").kind(), Kind::Io);
}

#[test]
fn reports_are_json_without_vectors() {
    let mut bench = Bench::new();
    let path = bench.write("a.jpg", "10,100,0.95,0");
    let enrolled = serde_json::to_value(bench.report(Choice::Only, "Ana", &path)).expect("serialises");
    assert_eq!((&enrolled["outcome"], &enrolled["name"]), (&"enrolled".into(), &"Ana".into()));
    assert_eq!(enrolled["quality"]["sharpness"], 12.0);
    assert_eq!(enrolled["doubts"], serde_json::json!([]));
    let id = enrolled["template"].as_str().expect("an id").parse::<crate::types::ids::TemplateId>();
    assert_eq!(id.ok(), Some(bench.memory.people[0].templates[0].id));
    assert!(enrolled["identity"].is_string() && enrolled.get("embedding").is_none());

    let two = bench.write("b.jpg", "10,100,0.95,0 200,50,0.9,1");
    let several = serde_json::to_value(bench.report(Choice::Only, "Ana", &two)).expect("serialises");
    assert_eq!((&several["outcome"], &several["reason"]), (&"refused".into(), &"several_faces".into()));
    assert_eq!(several["faces"][1]["number"], 2);

    bench.options.review = Review::Standard;
    let copy = bench.write("c.jpg", "11,100,0.95,0");
    let doubtful = serde_json::to_value(bench.report(Choice::Only, "Ana", &copy)).expect("serialises");
    assert_eq!(
        (&doubtful["reason"], &doubtful["doubts"][0]["doubt"]),
        (&"doubtful".into(), &"duplicate".into())
    );
}

#[test]
fn a_name_that_drives_a_terminal_is_spelled_out_before_it_is_kept() {
    let mut bench = Bench::new();
    let path = bench.write("a\u{1b}[31m.jpg", "10,100,0.95,0");
    bench.enrol(Choice::Only, "Ana", &path);
    assert_eq!(bench.memory.people[0].templates[0].data.source.name, "a\\u{1b}[31m.jpg");
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
fn the_real_codec_and_aligner_enrol_and_refuse_and_cut_a_chip_if_crops_are_kept() {
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
        detector: Box::new(OneFace),
        input: Size::new(640, 640),
        aligner: aligner.expect("a size"),
        embedder: Box::new(MeanColor),
    };
    bench.memory.keeps_crops = true;
    let chips = describe(&mut bench.memory).expect("a description").keeps_crops;
    let mut enroller = Enroller::new(&mut models, &mut bench.memory, Options { chips, ..options() });
    let mut enrol =
        |path: &Path| enroller.enrol_file(&record("Ana"), path).expect("works").outcome.to_string();
    assert!(enrol(&sharp).starts_with("enrolled (new), quality"), "{}", enrol(&sharp));
    assert_eq!(enrol(&sharp), "already enrolled");
    assert_eq!(enrol(&flat), "refused: blurred: sharpness 0 < 40");
    assert!(enrol(&cut).starts_with("refused: a damaged PNG"), "{}", enrol(&cut));
    let stored = &bench.memory.people[0].templates[0];
    assert_eq!(stored.embedding.dimension(), 3);
    let chip = stored.chip.as_ref().expect("kept");
    assert_eq!(
        chip.image().expect("a picture").size(),
        Size::new(245, 250),
        "twice the box, inside the picture"
    );
}

#[test]
fn two_faces_of_one_picture_are_two_sources_and_each_is_known_again() {
    let mut bench = Bench::new();
    let two = bench.write("two.jpg", "10,100,0.95,0 200,100,0.95,90");
    let mut say = |number, name: &str| bench.enrol(Choice::Number(number), name, &two).to_string();
    assert!(say(1, "Ana").starts_with("enrolled (new)"));
    assert!(say(2, "Ben").starts_with("enrolled (new)"));
    assert_eq!(
        (say(1, "Ana"), say(2, "Ben")),
        ("already enrolled".to_owned(), "already enrolled".to_owned())
    );
    // The other face is another face, whoever it is put to.
    assert_ne!(say(2, "Ana"), "already enrolled");
    let source = |of: usize| bench.memory.people[of].templates[0].data.source.sha256.clone();
    assert_ne!(source(0), source(1));
    assert!([source(0), source(1)].iter().all(|digest| digest.len() == 64));
}
