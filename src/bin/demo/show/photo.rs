//! A photograph in memory, and the few things the demo does to one.

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageReader};
use watchlistd::base::error::{Error, Result};
use watchlistd::err;
use watchlistd::types::frame::{MAX_SIDE, check_size};
use watchlistd::types::geometry::{Point, Rect, Size};

/// An RGB picture.
#[derive(Clone)]
pub struct Photo {
    size: Size,
    pixels: Vec<[u8; 3]>,
}

impl Photo {
    /// Reads a JPEG or PNG; its size is checked before memory is taken for it.
    ///
    /// # Errors
    /// `NoInput` when it is not there, `Data` when it is broken or too large.
    pub fn open(path: &Path) -> Result<Self> {
        let broken = |e: image::ImageError| err!(Data, "{}: not a picture: {e}", path.display());
        let open = || ImageReader::open(path)?.with_guessed_format();
        let missing = |e| Error::io("read the demo's picture (make setup fetches it)", path, e);
        let (width, height) = open().map_err(missing)?.into_dimensions().map_err(broken)?;
        check_size(Size::new(width, height)).map_err(|e| err!(Data, "{}: {e}", path.display()))?;
        let mut reader = open().map_err(missing)?;
        let mut limits = image::Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
        reader.limits(limits);
        let rgb = reader.decode().map_err(broken)?.into_rgb8();
        let pixels = rgb.pixels().map(|p| p.0).collect();
        Ok(Self { size: Size::new(width, height), pixels })
    }

    /// Pixels of one's own making; `None` if they do not fill `size`.
    pub fn new(size: Size, pixels: Vec<[u8; 3]>) -> Option<Self> {
        (pixels.len() as u64 == size.area() && size.area() > 0).then_some(Self { size, pixels })
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The rows, top to bottom.
    pub fn rows(&self) -> impl Iterator<Item = &[[u8; 3]]> {
        self.pixels.chunks_exact(self.size.width.max(1) as usize)
    }

    /// A part, rounded to whole pixels; `None` if it is not wholly inside.
    pub fn crop(&self, part: &Rect) -> Option<Photo> {
        let [x1, y1, x2, y2] = [part.x1, part.y1, part.x2, part.y2].map(|side| side.round() as usize);
        let rows = self.rows().skip(y1).take(y2.checked_sub(y1)?);
        let rows = rows.map(|row| row.get(x1..x2)).collect::<Option<Vec<_>>>()?;
        let size = Size::new((x2 - x1) as u32, (y2 - y1) as u32);
        Photo::new(size, rows.concat())
    }

    /// Turned clockwise around a point by `degrees`; what comes in from outside repeats the edge.
    pub fn turned(&self, around: Point, degrees: f32) -> Photo {
        if degrees == 0.0 {
            return self.clone();
        }
        let (sin, cos) = degrees.to_radians().sin_cos();
        let rows: Vec<&[[u8; 3]]> = self.rows().collect();
        let texel = |x: f32, y: f32| {
            let row = rows.get((y.max(0.0) as usize).min(rows.len() - 1))?;
            row.get((x.max(0.0) as usize).min(row.len() - 1))
        };
        let sample = |x: f32, y: f32| -> [u8; 3] {
            let (dx, dy) = (x + 0.5 - around.x, y + 0.5 - around.y);
            let (sx, sy) = (around.x + dx * cos + dy * sin - 0.5, around.y - dx * sin + dy * cos - 0.5);
            let (fx, fy) = (sx - sx.floor(), sy - sy.floor());
            let corners = [
                (texel(sx.floor(), sy.floor()), (1.0 - fx) * (1.0 - fy)),
                (texel(sx.floor() + 1.0, sy.floor()), fx * (1.0 - fy)),
                (texel(sx.floor(), sy.floor() + 1.0), (1.0 - fx) * fy),
                (texel(sx.floor() + 1.0, sy.floor() + 1.0), fx * fy),
            ];
            let mut sum = [0.5; 3];
            for (texel, weight) in corners.into_iter().filter_map(|(t, w)| Some((t?, w))) {
                sum.iter_mut().zip(texel).for_each(|(s, &value)| *s += f32::from(value) * weight);
            }
            sum.map(|value| value as u8)
        };
        let (width, height) = (self.size.width as u16, self.size.height as u16);
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (f32::from(x), f32::from(y))));
        Photo { size: self.size, pixels: pixels.map(|(x, y)| sample(x, y)).collect() }
    }

    /// Left and right exchanged.
    pub fn mirrored(&self) -> Photo {
        let pixels = self.rows().flat_map(|row| row.iter().rev().copied()).collect();
        Photo { size: self.size, pixels }
    }

    /// As if lit anew: darker middle tones, and a warm light from the right.
    pub fn relit(&self) -> Photo {
        const GAMMA: f32 = 1.2;
        const TINT: [f32; 3] = [1.04, 1.0, 0.93];
        let curve: Vec<f32> = (0..=255u8).map(|v| 255.0 * (f32::from(v) / 255.0).powf(GAMMA)).collect();
        let width = self.size.width as f32;
        let lit = |(x, pixel): (usize, &[u8; 3])| {
            let light = 0.8 + 0.45 * (x as f32 / width);
            let mut out = *pixel;
            for (value, tint) in out.iter_mut().zip(TINT) {
                let base = curve.get(usize::from(*value)).copied().unwrap_or_default();
                *value = (base * light * tint).round() as u8; // saturates
            }
            out
        };
        let pixels = self.rows().flat_map(|row| row.iter().enumerate().map(lit)).collect();
        Photo { size: self.size, pixels }
    }

    /// The picture as a JPEG file.
    ///
    /// # Errors
    /// `Software`, which no picture of a good size causes.
    pub fn to_jpeg(&self, quality: u8) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        JpegEncoder::new_with_quality(&mut file, quality)
            .encode(self.pixels.as_flattened(), self.size.width, self.size.height, ExtendedColorType::Rgb8)
            .map_err(|e| err!(Software, "cannot make a JPEG of {}: {e}", self.size))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo() -> Photo {
        let pixels = (0..12u8).map(|i| [i * 10, i, 200]).collect();
        Photo::new(Size::new(4, 3), pixels).expect("12 pixels")
    }

    #[test]
    fn a_crop_is_that_part() {
        let part = photo().crop(&Rect::new(1.0, 1.0, 3.0, 3.0)).expect("inside");
        let first: Vec<u8> = part.pixels.iter().map(|p| p[1]).collect();
        assert_eq!(first, [5, 6, 9, 10]);
        assert!(photo().crop(&Rect::new(2.0, 0.0, 5.0, 2.0)).is_none(), "over the edge");
        assert!(photo().crop(&Rect::new(0.0, 0.0, 4.0, 4.0)).is_none(), "under the edge");
    }

    #[test]
    fn mirrored_twice_is_the_same_and_once_is_not() {
        assert_eq!(photo().mirrored().pixels[0][1], 3);
        assert_eq!(photo().mirrored().mirrored().pixels, photo().pixels);
    }

    #[test]
    fn a_quarter_turn_goes_clockwise() {
        let dot = |x: usize, y: usize| {
            let mut pixels = vec![[0; 3]; 25];
            pixels[y * 5 + x] = [255; 3];
            Photo::new(Size::new(5, 5), pixels).expect("25 pixels")
        };
        let turned = dot(2, 0).turned(Point { x: 2.5, y: 2.5 }, 90.0);
        assert_eq!(turned.pixels, dot(4, 2).pixels, "from the top to the right");
    }

    #[test]
    fn relighting_falls_from_the_right() {
        let flat = Photo::new(Size::new(64, 1), vec![[128; 3]; 64]).expect("a row");
        let lit = flat.relit();
        assert!(lit.pixels[0][1] < 128 && lit.pixels[63][1] > lit.pixels[0][1] + 20);
    }

    #[test]
    fn a_missing_or_broken_picture_says_which() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("nobody.jpg");
        let error = Photo::open(&missing).err().expect("missing").chain();
        assert!(error.contains("nobody.jpg") && error.contains("make setup"), "{error}");
        let whole = photo().to_jpeg(90).expect("a JPEG");
        for bytes in [&b""[..], b"no picture at all", &whole[..whole.len() / 3]] {
            std::fs::write(&missing, bytes).expect("written");
            let error = Photo::open(&missing).err().expect("broken");
            assert_eq!(error.kind(), watchlistd::base::error::Kind::Data, "{}", error.chain());
        }
    }
}
