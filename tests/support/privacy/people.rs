//! The people of the demo's scene: their faces, cut out and embedded by the models themselves.

use std::path::Path;

use watchlistd::align::Aligner;
use watchlistd::config::load::load_without_credentials;
use watchlistd::config::place::Place;
use watchlistd::config::{Config, QualityLimits};
use watchlistd::detect::{DetectOptions, Detector};
use watchlistd::image::codec::{decode_image, encode_jpeg, read_image};
use watchlistd::infer::Embedder;
use watchlistd::infer::models::Models;
use watchlistd::types::frame::{Pixels as _, RgbImage};
use watchlistd::types::geometry::Size;
use watchlistd::types::ids::ModelId;

/// A face in a photograph.
pub struct Portrait {
    /// Who.
    pub who: String,
    /// The vector.
    pub vector: Vec<f32>,
    /// Another vector of the same face, from a worse copy of the photograph.
    pub worse: Vec<f32>,
    /// The aligned crop.
    pub crop: RgbImage,
}

/// The configured models.
pub struct Eyes {
    detector: Box<dyn Detector>,
    aligner: Aligner,
    embedder: Box<dyn Embedder>,
}

/// The configuration that a file gives.
pub fn configuration(file: &Path) -> Config {
    load_without_credentials(Some(file), [], &Place::default()).expect("a good configuration").config
}

impl Eyes {
    /// Those of a configuration, and the embedder's id.
    pub fn open(config: &Config) -> (ModelId, Self) {
        let models = Models::load(&config.models, &config.inference).expect("the models of set-up");
        let aligner = Aligner::new(models.alignment().clone(), QualityLimits::none()).expect("an alignment");
        let (detector, embedder) = (models.detector().expect("opens"), models.embedder().expect("opens"));
        (models.model_id(), Self { detector, aligner, embedder })
    }

    /// The largest face in a picture: its crop and its vector.
    pub fn face(&mut self, picture: &RgbImage) -> (RgbImage, Vec<f32>) {
        let options = DetectOptions { input: Size::new(640, 640), min_score: 0.5, roi: None };
        let found = self.detector.detect(picture, &options).expect("runs");
        let largest =
            found.into_iter().max_by(|a, b| a.bbox.area().total_cmp(&b.bbox.area())).expect("a face");
        let crop = self.aligner.align(picture, &largest).expect("a crop");
        let vector =
            self.embedder.embed(std::slice::from_ref(&crop)).expect("runs").remove(0).expect("a vector");
        (crop.image().clone(), vector.as_slice().to_vec())
    }

    /// The vectors of all faces in a picture.
    pub fn faces(&mut self, picture: &RgbImage) -> Vec<Vec<f32>> {
        let options = DetectOptions { input: Size::new(640, 640), min_score: 0.5, roi: None };
        let found = self.detector.detect(picture, &options).expect("runs");
        let crops: Vec<_> =
            found.iter().map(|face| self.aligner.align(picture, face).expect("a crop")).collect();
        let vectors = self.embedder.embed(&crops).expect("runs");
        vectors.into_iter().map(|v| v.expect("a vector").as_slice().to_vec()).collect()
    }

    /// The face in a photograph, once more in a worse copy.
    pub fn portrait(&mut self, who: &str, picture: &RgbImage) -> Portrait {
        let (crop, vector) = self.face(picture);
        let copy = decode_image(&encode_jpeg(picture, 20).expect("a JPEG"), who).expect("a picture");
        let (_, worse) = self.face(&copy);
        Portrait { who: who.to_owned(), vector, worse, crop }
    }

    /// Everybody who comes into the scene, from the photographs that the camera shows.
    pub fn scene(&mut self, images: &Path) -> Vec<Portrait> {
        let scene = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/scene.toml");
        let scene: toml::Table =
            toml::from_str(&std::fs::read_to_string(scene).expect("readable")).expect("TOML");
        let visits = scene["visits"].as_array().expect("visits");
        visits
            .iter()
            .map(|visit| {
                let text = |key: &str| visit[key].as_str().expect("text");
                let picture = read_image(&images.join(text("image"))).expect("a photograph");
                let crop: Vec<u32> = visit["crop"]
                    .as_array()
                    .expect("four numbers")
                    .iter()
                    .map(|side| side.as_integer().and_then(|side| u32::try_from(side).ok()).expect("pixels"))
                    .collect();
                self.portrait(text("who"), &cut(&picture, &crop))
            })
            .collect()
    }
}

/// A part of a picture: left, top, right, bottom.
fn cut(picture: &RgbImage, sides: &[u32]) -> RgbImage {
    let &[left, top, right, bottom] = sides else { panic!("four sides") };
    let (size, width) = (Size::new(right - left, bottom - top), picture.size().width);
    let line =
        |y: u32| &picture.data()[((y * width + left) * 3) as usize..((y * width + right) * 3) as usize];
    let pixels = (top..bottom).flat_map(line).copied().collect();
    RgbImage::new(size, pixels).expect("a picture")
}
