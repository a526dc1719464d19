//! Models that read what they see from the picture's bytes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{Examiner, Failure, Prepared};
use crate::base::error::Result;
use crate::base::shutdown::Stopper;
use crate::err;
use crate::eval::quality::Measured;
use crate::types::embedding::Embedding;
use crate::types::frame::RgbImage;
use crate::types::geometry::Size;
use crate::types::ids::ModelId;

pub const MODEL: ModelId = ModelId([4; 32]);

/// A "picture" is a word: `no-face`, `no-crop`, `broken`, `fails`, `panics`, `no-vector`, or an angle in whole degrees, 0 to 249.
#[derive(Clone)]
pub struct Fake {
    pub batch: usize,
    /// Pictures it looked at; those that share it count together.
    pub looks: Arc<AtomicUsize>,
    /// Most crops in one batch.
    pub largest: Arc<AtomicUsize>,
    /// Tells everybody to stop, at this look.
    pub stops: Option<(usize, Arc<Mutex<Stopper>>)>,
}

impl Fake {
    pub fn new(batch: usize) -> Self {
        Self { batch, looks: Arc::default(), largest: Arc::default(), stops: None }
    }

    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }
}

impl Examiner for Fake {
    fn prepare(&mut self, bytes: &[u8]) -> Result<Result<Prepared, Failure>> {
        let look = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((_, stopper)) = self.stops.as_ref().filter(|(at, _)| *at == look) {
            stopper.lock().expect("no panic").stop();
        }
        let text = String::from_utf8_lossy(bytes);
        let word = text.split_whitespace().next().unwrap_or_default();
        let degrees = match word {
            "no-face" => return Ok(Err(Failure::NoFace)),
            "no-crop" => return Ok(Err(Failure::NoCrop)),
            "broken" => return Ok(Err(Failure::Unreadable("no picture".to_owned()))),
            "fails" => return Err(err!(Unavailable, "the device is gone")),
            "panics" => panic!("asked for"),
            "no-vector" => 250,
            angle => angle.parse().expect("an angle"),
        };
        let crop = RgbImage::new(Size::new(1, 1), vec![degrees, 0, 0])?;
        Ok(Ok(Prepared { crop, measured: Measured::from_numbers([f32::from(degrees); 7]), faces: 1 }))
    }

    fn embed(&mut self, crops: &[&RgbImage]) -> Result<Vec<Result<Embedding>>> {
        self.largest.fetch_max(crops.len(), Ordering::Relaxed);
        let embedding = |crop: &&RgbImage| {
            let degrees = crop.data().first().copied().unwrap_or_default();
            let angle = f32::from(degrees).to_radians();
            let raw = if degrees == 250 { vec![f32::NAN; 2] } else { vec![angle.cos(), angle.sin()] };
            Embedding::new(MODEL, raw)
        };
        Ok(crops.iter().map(embedding).collect())
    }

    fn max_batch(&self) -> usize {
        self.batch
    }
}

/// Files with these contents, in their order.
pub fn files(folder: &Path, contents: &[&str]) -> Vec<PathBuf> {
    let write = |(n, content): (usize, &&str)| {
        let path = folder.join(format!("{n:04}.jpg"));
        std::fs::write(&path, content).expect("written");
        path
    };
    contents.iter().enumerate().map(write).collect()
}
