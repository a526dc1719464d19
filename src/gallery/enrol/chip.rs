//! What is kept of a picture if the operator wants crops kept: the face with room around it, so that another model's alignment
//! can be cut from it later.
//!
//! ```text
//!  {"version":1,"size":[256,247],"box":[..],"landmarks":[[x,y] x 5],"score":0.98}\n   <JPEG, quality 90>
//! ```
//!
//! All numbers are pixels of the chip. A chip is as sensitive as the face: it is wiped when dropped, and it does not print.

use std::fmt;
use std::io::Cursor;

use image::ImageFormat;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::base::error::Result;
use crate::image::codec::{decode_image, encode_jpeg};
use crate::image::warp::{Affine, Border, warp_into};
use crate::types::face::{Detection, Landmarks};
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Point, Rect, Size};
use crate::{bail, err};

/// The longer side of a chip that is read, in pixels.
pub const MAX_SIDE: u32 = 384;
/// The longer side of a chip that is cut, in pixels: the face itself then has half of it, a little more than an embedder takes.
/// A face that is smaller is not enlarged. Measured (`enrol::measured`) on 12 faces, embedded again from the chip: at least 0.994
/// like the embedding from the picture; with 384 pixels and quality 95, 0.997, for 2.5 times the bytes and the time.
pub const CUT_SIDE: u32 = 256;
/// Most bytes of a chip with its header. Noise of 384 x 384 pixels at quality 95 needs 240 KiB.
pub const MAX_BYTES: usize = 512 << 10;
/// Most bytes of the header with its line break.
const MAX_HEADER: usize = 1024;
/// Chips are embedded again: see [`CUT_SIDE`].
const QUALITY: u8 = 90;
const VERSION: u32 = 1;

/// A face with room around it, as a JPEG with the face's place in it.
#[derive(Clone, PartialEq)]
pub struct Chip {
    detection: Detection,
    size: Size,
    jpeg: Zeroizing<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    size: [u32; 2],
    #[serde(rename = "box")]
    bbox: [f32; 4],
    landmarks: [[f32; 2]; 5],
    score: f32,
}

impl Chip {
    /// Cuts the face out: its box grown to twice its sides, clipped to the picture, and scaled down if a side is longer than
    /// [`CUT_SIDE`]. Pixels that need no scaling are taken as they are.
    ///
    /// # Errors
    /// `Data`, when the box holds no pixel of the picture; `Software`, when the encoder fails.
    pub fn cut(picture: &dyn Pixels, face: &Detection) -> Result<Self> {
        let area = whole_pixels(&grown(&face.bbox), picture.size());
        let (width, height) = (area.width(), area.height());
        if width < 1.0 || height < 1.0 {
            bail!(Data, "the face's box lies outside the picture");
        }
        let scale = (CUT_SIDE as f32 / width.max(height)).min(1.0);
        let side = |length: f32| ((length * scale).round() as u32).clamp(1, CUT_SIDE);
        let size = Size::new(side(width), side(height));
        let mut pixels = RgbImage::new(size, vec![0; size.area() as usize * 3])?;
        warp_into(picture, &Affine::from_crop_to_rect(size, &area), Border::Nearest, &mut pixels);
        let jpeg = Zeroizing::new(encode_jpeg(&pixels, QUALITY)?);
        let (sx, sy) = (size.width as f32 / width, size.height as f32 / height);
        let inside = |p: Point| Point { x: (p.x - area.x1) * sx, y: (p.y - area.y1) * sy };
        let [from, to] =
            [(face.bbox.x1, face.bbox.y1), (face.bbox.x2, face.bbox.y2)].map(|(x, y)| inside(Point { x, y }));
        let bbox = Rect::new(from.x, from.y, to.x, to.y);
        let detection = Detection::new(bbox, face.landmarks.map(inside), face.score, size);
        let detection = detection.ok_or_else(|| err!(Data, "the face's box or landmarks are no numbers"))?;
        Ok(Self { detection, size, jpeg })
    }

    /// The face's box, landmarks and score, in the chip's pixels: what an `Aligner` takes beside [`Chip::image`].
    pub fn detection(&self) -> &Detection {
        &self.detection
    }

    /// The five landmarks, in the chip's pixels.
    pub fn landmarks(&self) -> &Landmarks {
        &self.detection.landmarks
    }

    /// The pixels, decoded.
    ///
    /// # Errors
    /// `Data`, when they are damaged or not of the size that the header says.
    pub fn image(&self) -> Result<RgbImage> {
        let format = ImageFormat::Jpeg;
        let told = image::ImageReader::with_format(Cursor::new(self.jpeg.as_slice()), format)
            .into_dimensions()
            .map_err(|e| err!(Data, "an enrolment crop that is no JPEG").because(e))?;
        // Before memory is taken for it.
        if told != (self.size.width, self.size.height) {
            bail!(Data, "an enrolment crop of {}x{} pixels, its header says {}", told.0, told.1, self.size);
        }
        let picture = decode_image(&self.jpeg, "an enrolment crop")?;
        if picture.size() != self.size {
            bail!(Data, "an enrolment crop that is turned on its side");
        }
        Ok(picture)
    }

    /// Header and JPEG.
    ///
    /// # Errors
    /// `Software`, when the header cannot be written, or the whole is larger than [`MAX_BYTES`].
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>> {
        let Rect { x1, y1, x2, y2 } = self.detection.bbox;
        let header = Header {
            version: VERSION,
            size: [self.size.width, self.size.height],
            bbox: [x1, y1, x2, y2],
            landmarks: self.detection.landmarks.map(|p| [p.x, p.y]),
            score: self.detection.score,
        };
        let header = serde_json::to_vec(&header)
            .map_err(|e| err!(Software, "the header of an enrolment crop").because(e))?;
        let length = header.len() + 1 + self.jpeg.len();
        if header.len() >= MAX_HEADER || length > MAX_BYTES {
            bail!(Software, "an enrolment crop of {length} bytes: expected at most {MAX_BYTES}");
        }
        // In one piece: a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        bytes.extend_from_slice(&header);
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.jpeg);
        Ok(bytes)
    }

    /// Reads what [`Chip::to_bytes`] wrote, and decodes it once to see that it can be.
    ///
    /// # Errors
    /// `Data`, when it is too large, of another version, damaged, or places the face outside its pixels.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            bail!(Data, "an enrolment crop of {} bytes: expected at most {MAX_BYTES}", bytes.len());
        }
        let line = bytes.iter().take(MAX_HEADER).position(|&b| b == b'\n');
        let Some((header, rest)) = line.and_then(|at| bytes.split_at_checked(at)) else {
            bail!(Data, "an enrolment crop without a header");
        };
        let header: Header = serde_json::from_slice(header)
            .map_err(|e| err!(Data, "an enrolment crop with another header").because(e))?;
        let chip = Self::described(&header, rest.get(1..).unwrap_or_default())?;
        chip.image()?;
        Ok(chip)
    }

    fn described(header: &Header, jpeg: &[u8]) -> Result<Self> {
        let [width, height] = header.size;
        let size = Size::new(width, height);
        if header.version != VERSION {
            bail!(Data, "an enrolment crop of version {}: expected {VERSION}", header.version);
        }
        if width == 0 || height == 0 || width.max(height) > MAX_SIDE {
            bail!(Data, "an enrolment crop of {size} pixels: expected at most {MAX_SIDE} a side");
        }
        let [x1, y1, x2, y2] = header.bbox;
        let landmarks = header.landmarks.map(|[x, y]| Point { x, y });
        let near = |p: &Point| p.x.abs() <= 4.0 * MAX_SIDE as f32 && p.y.abs() <= 4.0 * MAX_SIDE as f32;
        let detection = Detection::new(Rect::new(x1, y1, x2, y2), landmarks, header.score, size)
            .filter(|face| face.landmarks.iter().all(near))
            .ok_or_else(|| err!(Data, "an enrolment crop that places the face outside its pixels"))?;
        Ok(Self { detection, size, jpeg: Zeroizing::new(jpeg.to_vec()) })
    }
}

impl fmt::Debug for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chip({}, {} bytes)", self.size, self.jpeg.len())
    }
}

/// The box with half its sides added on each side.
fn grown(rect: &Rect) -> Rect {
    let (dx, dy) = (rect.width() / 2.0, rect.height() / 2.0);
    Rect { x1: rect.x1 - dx, y1: rect.y1 - dy, x2: rect.x2 + dx, y2: rect.y2 + dy }
}

/// Widened to whole pixels inside a picture.
fn whole_pixels(rect: &Rect, size: Size) -> Rect {
    Rect { x1: rect.x1.floor(), y1: rect.y1.floor(), x2: rect.x2.ceil(), y2: rect.y2.ceil() }.clamp_to(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::{noise, painted};

    fn face(x: f32, y: f32, side: f32) -> Detection {
        let at = |dx: f32, dy: f32| Point { x: x + dx * side, y: y + dy * side };
        Detection {
            bbox: Rect::new(x, y, x + side, y + side),
            landmarks: [at(0.3, 0.4), at(0.7, 0.4), at(0.5, 0.6), at(0.35, 0.8), at(0.65, 0.8)],
            score: 0.9,
        }
    }

    #[test]
    fn a_chip_is_twice_the_box_inside_the_picture_and_never_enlarged() {
        let picture = noise(Size::new(400, 300), 1);
        let chip = Chip::cut(&picture, &face(150.0, 100.0, 80.0)).expect("a chip");
        assert_eq!(chip.size, Size::new(160, 160));
        assert_eq!(chip.detection().bbox, Rect::new(40.0, 40.0, 120.0, 120.0));
        assert_eq!(chip.landmarks()[2], Point { x: 80.0, y: 88.0 });
        let corner = Chip::cut(&picture, &face(0.0, 0.0, 80.0)).expect("a chip");
        assert_eq!(corner.size, Size::new(120, 120), "clipped on two sides");
        let large = Chip::cut(&noise(Size::new(2000, 1800), 2), &face(300.0, 300.0, 1000.0)).expect("a chip");
        assert_eq!(large.size, Size::new(CUT_SIDE, CUT_SIDE));
        assert!((large.detection().face_pixels() - 1000.0 * CUT_SIDE as f32 / 1800.0).abs() < 0.5);
    }

    #[test]
    fn unscaled_pixels_are_the_pictures_own() {
        let picture = painted(Size::new(200, 200), |x, y| [x as u8, y as u8, 128]);
        let chip = Chip::cut(&picture, &face(60.5, 70.5, 50.0)).expect("a chip");
        assert_eq!(chip.size, Size::new(101, 101), "widened to whole pixels");
        let pixels = chip.image().expect("a picture");
        for (i, pixel) in pixels.data().chunks(3).enumerate() {
            let (x, y) = (35 + i % 101, 45 + i / 101);
            assert!(pixel[0].abs_diff(x as u8) <= 4 && pixel[1].abs_diff(y as u8) <= 4, "{x},{y}: {pixel:?}");
        }
    }

    #[test]
    fn a_chip_survives_its_bytes_and_says_nothing_in_debug() {
        let chip = Chip::cut(&noise(Size::new(400, 300), 3), &face(100.0, 100.0, 60.0)).expect("a chip");
        let bytes = chip.to_bytes().expect("bytes");
        let again = Chip::from_bytes(&bytes).expect("a chip");
        assert!(again == chip);
        assert_eq!(again.image().expect("a picture"), chip.image().expect("a picture"));
        assert_eq!(format!("{chip:?}"), format!("Chip(120x120, {} bytes)", chip.jpeg.len()));
    }

    #[test]
    fn the_largest_chip_fits_the_bound() {
        let noisy = Chip::cut(&noise(Size::new(400, 400), 4), &face(100.0, 100.0, 200.0)).expect("a chip");
        assert_eq!(noisy.size.width, CUT_SIDE);
        assert!(noisy.to_bytes().expect("bytes").len() < MAX_BYTES, "even noise");
        let largest = encode_jpeg(&noise(Size::new(MAX_SIDE, MAX_SIDE), 5), 95).expect("a JPEG");
        assert!(largest.len() + MAX_HEADER < MAX_BYTES, "and larger chips, from elsewhere");
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let chip = Chip::cut(&noise(Size::new(400, 300), 5), &face(100.0, 100.0, 60.0)).expect("a chip");
        let good = chip.to_bytes().expect("bytes");
        let line = good.iter().position(|&b| b == b'\n').expect("a header");
        let refused = |bytes: &[u8]| {
            let kind = Chip::from_bytes(bytes).err().map(|e| e.kind());
            assert_eq!(kind, Some(crate::base::error::Kind::Data), "{} bytes", bytes.len());
        };
        refused(&[]);
        refused(&good[..line]);
        refused(&good[..=line]);
        refused(&good[..good.len() - 2]);
        refused(&vec![b'{'; 4096]);
        refused(&vec![0; MAX_BYTES + 1]);
        let header = String::from_utf8(good[..line].to_vec()).expect("JSON");
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("[120,120]", "[121,120]"),
            ("[120,120]", "[0,120]"),
            ("[120,120]", "[60000,60000]"),
            ("\"score\"", "\"more\":1,\"score\""),
            ("[30.0,30.0,90.0,90.0]", "[30.0,30.0,30.0,90.0]"),
            ("[30.0,30.0,90.0,90.0]", "[1e39,30.0,90.0,90.0]"),
            ("\"landmarks\":[[", "\"landmarks\":[[99999"),
        ] {
            let changed = header.replace(from, to);
            assert_ne!(changed, header, "{from}");
            refused(&[changed.as_bytes(), &good[line..]].concat());
        }
    }

    #[test]
    fn a_face_outside_the_picture_has_no_chip() {
        let picture = noise(Size::new(100, 100), 6);
        let mut outside = face(10.0, 10.0, 20.0);
        outside.bbox = Rect::new(300.0, 300.0, 320.0, 320.0);
        assert!(Chip::cut(&picture, &outside).is_err());
        outside.bbox = Rect { x1: f32::NAN, ..outside.bbox };
        assert!(Chip::cut(&picture, &outside).is_err());
    }
}
