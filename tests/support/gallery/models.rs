//! Models that need no network: a picture says on its crop which it is, and a model's template of it is drawn from that number.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use watchlistd::base::error::{Error, Kind, Result};
use watchlistd::gallery::enrol::Chip;
use watchlistd::gallery::keeper::Model;
use watchlistd::gallery::store::Store;
use watchlistd::gallery::succession::{Embedders, Successor};
use watchlistd::types::embedding::Embedding;
use watchlistd::types::face::Detection;
use watchlistd::types::frame::{Pixels, RgbImage};
use watchlistd::types::geometry::{Point, Rect, Size};
use watchlistd::types::ids::ModelId;

use super::model::{FIRST_MODEL, Template};

pub const DIMENSION: usize = 128;

pub fn id_of(number: u8) -> ModelId {
    ModelId([number; 32])
}

pub fn number_of(id: ModelId) -> u8 {
    id.0[0]
}

pub fn model(number: u8) -> Model {
    Model { id: id_of(number), dimension: DIMENSION, name: format!("model {number}"), threshold: 0.5 }
}

pub fn manifest(number: u8) -> PathBuf {
    PathBuf::from(format!("/manifests/{number}.toml"))
}

thread_local! {
    static FACES: Cell<u8> = const { Cell::new(0) };
}

/// What a daemon would embed faces with, after the gallery that this thread opened last was opened or switched.
pub fn model_of_faces() -> u8 {
    FACES.get()
}

pub fn use_for_faces(number: u8) {
    FACES.set(number);
}

/// The model that a start opens, as `models_in_use` finds it: the one that the gallery says, else the configured one.
pub fn in_use(store: &Path) -> u8 {
    let said = Store::settings(store, None).ok().and_then(|settings| settings.get("model.id").cloned());
    said.and_then(|hex| ModelId::from_hex(&hex)).map_or(FIRST_MODEL, number_of)
}

/// A template. Two pictures of one person (the same hundred) score about 0.6, of two people or by two models about 0.
pub fn template((picture, number): Template) -> Embedding {
    near(number, picture / 100, picture, 0.8)
}

/// A vector `noise` away from a person's centre.
pub fn near(number: u8, person: u64, seed: u64, noise: f32) -> Embedding {
    let gaussian = |seed: u64| {
        let mut rng = fastrand::Rng::with_seed(seed ^ u64::from(number) << 56);
        let uniform = move || (0..12).map(|_| rng.f32()).sum::<f32>() - 6.0;
        std::iter::repeat_with(uniform).take(DIMENSION).collect::<Vec<f32>>()
    };
    let (centre, other) = (gaussian(person ^ 0x5EED_0000_0000), gaussian(seed ^ 0x0714_0000_0000));
    let vector = centre.iter().zip(&other).map(|(c, o)| c + noise * o).collect();
    Embedding::new(id_of(number), vector).expect("a vector with a length")
}

/// Side of a square of the crop, in pixels: black or white, one for each bit of the picture's number.
const SQUARE: u32 = 10;
/// Squares in a row.
const ROW: u32 = 8;
/// What is around the crop in the picture.
const MARGIN: u32 = 8;

/// A crop that says which picture it is of.
pub fn chip(picture: u64) -> Chip {
    let side = ROW * SQUARE + 2 * MARGIN;
    let bit = |x: u32, y: u32| {
        let place = |at: u32| (at.saturating_sub(MARGIN) / SQUARE).min(ROW - 1);
        picture >> (place(y) * ROW + place(x)) & 1
    };
    let pixels = (0..side).flat_map(|y| (0..side).flat_map(move |x| [bit(x, y) as u8 * 255; 3]));
    let drawn = RgbImage::new(Size::new(side, side), pixels.collect()).expect("a picture");
    let landmarks = [(38.0, 42.0), (58.0, 42.0), (48.0, 52.0), (40.0, 60.0), (56.0, 60.0)];
    // Grown to twice its sides it is the squares.
    let face = Rect::new(28.0, 28.0, 68.0, 68.0);
    let face =
        Detection::new(face, landmarks.map(|(x, y)| Point { x, y }), 0.9, drawn.size()).expect("a face");
    Chip::cut(&drawn, &face).expect("a crop")
}

fn picture_on(chip: &Chip) -> Result<u64> {
    let drawn = chip.image()?;
    assert_eq!(drawn.size(), Size::new(ROW * SQUARE, ROW * SQUARE));
    let white = |bit: u32| {
        let (x, y) = (bit % ROW * SQUARE + SQUARE / 2, bit / ROW * SQUARE + SQUARE / 2);
        drawn.data()[(y * ROW * SQUARE + x) as usize * 3] > 127
    };
    Ok((0..u64::BITS).filter(|&bit| white(bit)).map(|bit| 1 << bit).sum())
}

/// All of them.
pub struct Models;

impl Embedders for Models {
    fn configured(&self) -> PathBuf {
        manifest(FIRST_MODEL)
    }

    fn identify(&self, manifest: &Path) -> Result<ModelId> {
        let number = manifest.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        number.map(id_of).ok_or_else(|| Error::new(Kind::NoInput, "no such manifest"))
    }

    fn load(&self, manifest: &Path) -> Result<Box<dyn Successor>> {
        Ok(Box::new(Next(model(number_of(self.identify(manifest)?)))))
    }
}

struct Next(Model);

impl Successor for Next {
    fn model(&self) -> &Model {
        &self.0
    }

    fn embed(&mut self, chips: &[Chip]) -> Result<Vec<Result<Embedding>>> {
        let embed = |chip| Ok(template((picture_on(chip)?, number_of(self.0.id))));
        Ok(chips.iter().map(embed).collect())
    }

    fn take_over(self: Box<Self>) {
        use_for_faces(number_of(self.0.id));
    }
}
