//! The daemon's own detector, aligner and embedder, on photographs or on crops.

use super::{Examiner, Failure, Prepared};
use crate::align::Aligner;
use crate::base::error::{Kind, Result};
use crate::config::QualityLimits;
use crate::detect::{DetectOptions, Detector};
use crate::eval::quality::Measured;
use crate::image::codec::decode_image;
use crate::image::warp::stretch;
use crate::infer::Embedder as _;
use crate::infer::embedder::OnnxEmbedder;
use crate::infer::models::Models;
use crate::types::embedding::Embedding;
use crate::types::face::Detection;
use crate::types::frame::{Pixels as _, RgbImage};
use crate::types::geometry::{Point, Size};

/// Which face of a picture is taken, where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one whose box has its centre nearest to the picture's: whom LFW's pictures name.
    Centre,
    /// The one with the largest box.
    Largest,
}

/// Finds the face in a photograph.
struct Finder {
    detector: Box<dyn Detector>,
    look: DetectOptions,
    which: Which,
    /// Its limits refuse nothing: what is measured is the models, not the gate.
    aligner: Aligner,
}

/// Models for one worker.
pub struct ModelExaminer {
    /// `None`: pictures are the embedder's crops already.
    finder: Option<Finder>,
    /// The crop's size.
    size: Size,
    embedder: OnnxEmbedder,
}

impl ModelExaminer {
    /// For photographs.
    ///
    /// # Errors
    /// The models', as `Models` gives them.
    pub fn of_photographs(models: &Models, look: DetectOptions, which: Which) -> Result<Self> {
        let aligner = Aligner::new(models.alignment().clone(), QualityLimits::none())?;
        let finder = Finder { detector: models.detector()?, look, which, aligner };
        Ok(Self { finder: Some(finder), ..Self::of_crops(models)? })
    }

    /// For aligned crops. One of another size than the embedder's is resized.
    ///
    /// # Errors
    /// The models', as `Models` gives them.
    pub fn of_crops(models: &Models) -> Result<Self> {
        Ok(Self { finder: None, size: models.alignment().size(), embedder: models.onnx_embedder()? })
    }
}

impl Examiner for ModelExaminer {
    fn prepare(&mut self, bytes: &[u8]) -> Result<Result<Prepared, Failure>> {
        let picture = match decode_image(bytes, "the file") {
            Ok(picture) => picture,
            Err(cause) if cause.kind() == Kind::Data => {
                let said = cause.chain();
                let detail = said.strip_prefix("the file: ").unwrap_or(&said).to_owned();
                return Ok(Err(Failure::Unreadable(detail)));
            }
            Err(cause) => return Err(cause),
        };
        match &mut self.finder {
            Some(finder) => finder.prepare(&picture),
            None => as_crop(picture, self.size).map(Ok),
        }
    }

    fn embed(&mut self, crops: &[&RgbImage]) -> Result<Vec<Result<Embedding>>> {
        self.embedder.embed_images(crops)
    }

    fn max_batch(&self) -> usize {
        self.embedder.max_batch().max(1)
    }
}

impl Finder {
    fn prepare(&mut self, picture: &RgbImage) -> Result<Result<Prepared, Failure>> {
        let found = self.detector.detect(picture, &self.look)?;
        let Some(face) = choose(&found, self.which, picture.size()) else {
            return Ok(Err(Failure::NoFace));
        };
        let Ok(crop) = self.aligner.align(picture, face) else { return Ok(Err(Failure::NoCrop)) };
        Ok(Ok(Prepared {
            crop: crop.image().clone(),
            measured: Measured::of(crop.quality()),
            faces: u32::try_from(found.len()).unwrap_or(u32::MAX),
        }))
    }
}

fn as_crop(picture: RgbImage, size: Size) -> Result<Prepared> {
    let crop = if picture.size() == size { picture } else { stretch(&picture, size)? };
    let measured = Measured::of_crop(&crop);
    Ok(Prepared { crop, measured, faces: 1 })
}

/// Of equal ones the one with the higher score, then the leftmost.
fn choose(found: &[Detection], which: Which, size: Size) -> Option<&Detection> {
    let middle = Point { x: size.width as f32 / 2.0, y: size.height as f32 / 2.0 };
    // Less is better.
    let rank = |face: &Detection| match which {
        Which::Centre => {
            let centre = face.bbox.center();
            (centre.x - middle.x).hypot(centre.y - middle.y)
        }
        Which::Largest => -face.bbox.area(),
    };
    found.iter().min_by(|a, b| {
        let by_rank = rank(a).total_cmp(&rank(b));
        by_rank.then(b.score.total_cmp(&a.score)).then(a.bbox.x1.total_cmp(&b.bbox.x1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::geometry::Rect;

    fn face(x: f32, side: f32, score: f32) -> Detection {
        let bbox = Rect::new(x, 100.0, x + side, 100.0 + side);
        Detection::new(bbox, [Point::default(); 5], score, Size::new(400, 300)).expect("a face")
    }

    #[test]
    fn the_face_in_the_middle_or_the_largest_is_taken() {
        let found = [face(10.0, 120.0, 0.99), face(170.0, 60.0, 0.8), face(300.0, 80.0, 0.9)];
        let taken = |which| choose(&found, which, Size::new(400, 300)).map(|face| face.bbox.x1);
        assert_eq!([taken(Which::Centre), taken(Which::Largest)], [Some(170.0), Some(10.0)]);
        assert_eq!(choose(&[], Which::Centre, Size::new(400, 300)), None);
        let alike = [face(10.0, 50.0, 0.8), face(340.0, 50.0, 0.9)];
        assert_eq!(choose(&alike, Which::Largest, Size::new(400, 300)).map(|f| f.bbox.x1), Some(340.0));
    }
}
