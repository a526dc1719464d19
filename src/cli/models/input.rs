//! What the families of models usually take.

use crate::image::tensor::{ChannelOrder, CropScaling, Normalize};
use crate::infer::manifest::Family;
use crate::infer::{Alignment, BoxFit};
use crate::types::geometry::{Point, Size};

/// What the published models of a family take.
pub(super) fn usual_scaling(family: Family) -> Option<CropScaling> {
    let fixed = |order, mean, scale| Some(CropScaling::Fixed(Normalize::uniform(order, mean, scale)));
    match family {
        Family::RetinaFace => Some(CropScaling::Fixed(Normalize {
            order: ChannelOrder::Bgr,
            mean: [104.0, 117.0, 123.0],
            scale: [1.0; 3],
        })),
        Family::YuNet => fixed(ChannelOrder::Bgr, 0.0, 1.0),
        Family::Scrfd | Family::FaceNet => fixed(ChannelOrder::Rgb, 127.5, 1.0 / 128.0),
        Family::ArcFace => fixed(ChannelOrder::Rgb, 127.5, 1.0 / 127.5),
        // OpenCV's FaceRecognizerSF: the crop as it is, red first.
        Family::SFace => fixed(ChannelOrder::Rgb, 0.0, 1.0),
        Family::MobileFaceNet => None,
    }
}

/// Ways to cut a face out that go with a crop of that size: five landmarks as for 112 x 112, scaled; and the box with a margin.
pub(super) fn alignments(size: Size, family: Option<Family>, margin: Option<f32>) -> Vec<Alignment> {
    let by_box = |margin| Alignment::BoxMargin { size, margin, fit: BoxFit::Stretch };
    if let Some(margin) = margin {
        return vec![by_box(margin)];
    }
    let (x, y) = (size.width as f32 / 112.0, size.height as f32 / 112.0);
    let template = crate::align::TEMPLATE.map(|(left, top)| Point { x: left * x, y: top * y });
    let by_landmarks = Alignment::FivePoint { size, template };
    match family {
        Some(Family::FaceNet) => vec![by_box(0.15)],
        Some(_) => vec![by_landmarks],
        None => vec![by_landmarks, by_box(0.15)],
    }
}

pub(super) fn in_words(scaling: &CropScaling) -> String {
    let order = |order| if order == ChannelOrder::Rgb { "RGB" } else { "BGR" };
    match scaling {
        CropScaling::Fixed(n) => format!("{}, (sample - {}) * {}", order(n.order), n.mean[0], n.scale[0]),
        CropScaling::Whiten(channels) => format!("{}, whitened", order(*channels)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::frame::RgbImage;

    /// As OpenCV's `blobFromImage(crop, 1, Size(112, 112), Scalar(0, 0, 0), swapRB = true)` makes it of a BGR crop.
    #[test]
    fn sface_takes_the_crop_as_it_is_red_first() {
        let size = Size::new(112, 112);
        let data: Vec<u8> = (0..112 * 112).flat_map(|n: u32| [n as u8, 200, 255 - n as u8]).collect();
        let crop = RgbImage::new(size, data).expect("a picture");
        let mut tensor = vec![-1.0; 3 * 112 * 112];
        usual_scaling(Family::SFace).expect("an input").write(&crop, &mut tensor);
        assert_eq!(tensor[..3], [0.0, 1.0, 2.0], "the red plane");
        assert!(tensor[112 * 112..2 * 112 * 112].iter().all(|&x| x == 200.0), "the green one");
        assert_eq!(tensor[2 * 112 * 112..][..3], [255.0, 254.0, 253.0], "the blue one");
    }
}
