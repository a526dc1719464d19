//! Pictures in and out of files: JPEG and PNG. Everything is bounded before it is decoded.

use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::{PngDecoder, PngEncoder};
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, Limits};

use super::jpeg;
use crate::base::error::{Error, Kind, Result};
use crate::types::frame::{Pixels, RgbImage, check_size};
use crate::types::geometry::Size;
use crate::{bail, err};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;
/// Memory a decoder may take besides the picture itself.
const MAX_DECODER_MEMORY: u64 = 512 << 20;
/// Quality of the JPEGs that tools write, 1 to 100.
const WRITTEN_QUALITY: u8 = 92;

/// Reads a JPEG or PNG file. See [`decode_image`].
///
/// # Errors
/// `NoInput`, when there is no such file or it is a folder; `Permission` or `Io`, when it cannot be read; and those
/// of [`decode_image`].
pub fn read_image(path: &Path) -> Result<RgbImage> {
    let unreadable = |e| Error::io("read", path, e);
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        bail!(Data, "{}: larger than the limit of {} MiB for a picture", path.display(), MAX_FILE >> 20);
    }
    decode_image(&bytes, &path.display().to_string())
}

/// Decodes a JPEG or PNG and turns it upright as its EXIF orientation says. Gray becomes RGB, 16 bits become 8,
/// transparent parts become black. `name` is for the error's message.
///
/// # Errors
/// `Data`, when the bytes are empty, no JPEG or PNG, of a size outside the limits, damaged or cut short.
pub fn decode_image(bytes: &[u8], name: &str) -> Result<RgbImage> {
    if bytes.is_empty() {
        bail!(Data, "{name}: the file is empty");
    }
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => {
            let decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(|e| damaged(name, "JPEG", e))?;
            let picture = decode(decoder, name, "JPEG")?;
            if !jpeg::is_complete(bytes) {
                bail!(Data, "{name}: a JPEG that is cut short: its end is missing");
            }
            Ok(picture)
        }
        Ok(ImageFormat::Png) => {
            let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits());
            decode(decoder.map_err(|e| damaged(name, "PNG", e))?, name, "PNG")
        }
        _ => Err(err!(Data, "{name}: neither a JPEG nor a PNG picture")),
    }
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODER_MEMORY);
    limits
}

fn damaged(name: &str, format: &str, cause: image::ImageError) -> Error {
    // Some causes end in a line break or hold several lines.
    let cause = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    err!(Data, "{name}: a damaged {format} picture: {cause}")
}

fn decode(mut decoder: impl ImageDecoder, name: &str, format: &str) -> Result<RgbImage> {
    let (width, height) = decoder.dimensions();
    check_size(Size::new(width, height)).map_err(|e| err!(Data, "{name}: {e}"))?;
    decoder.set_limits(limits()).map_err(|e| damaged(name, format, e))?;
    let orientation = decoder.orientation().map_err(|e| damaged(name, format, e))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| damaged(name, format, e))?;
    picture.apply_orientation(orientation);
    let size = Size::new(picture.width(), picture.height());
    RgbImage::new(size, opaque(picture))
}

/// The bytes of the picture as RGB, its transparent parts over black.
fn opaque(picture: DynamicImage) -> Vec<u8> {
    if !picture.color().has_alpha() {
        return picture.into_rgb8().into_raw();
    }
    let over_black = |c: u8, alpha: u8| ((u16::from(c) * u16::from(alpha) + 127) / 255) as u8;
    let rgba = picture.into_rgba8().into_raw();
    let (pixels, _) = rgba.as_chunks::<4>();
    pixels.iter().flat_map(|&[r, g, b, a]| [r, g, b].map(|c| over_black(c, a))).collect()
}

/// Encodes a JPEG; `quality` is 1 to 100.
///
/// # Errors
/// `Software`, when the encoder fails.
pub fn encode_jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100));
    encode(encoder, picture)?;
    Ok(bytes)
}

fn encode(encoder: impl ImageEncoder, picture: &RgbImage) -> Result<()> {
    let size = picture.size();
    encoder
        .write_image(picture.data(), size.width, size.height, ExtendedColorType::Rgb8)
        .map_err(|e| err!(Software, "cannot encode a picture of {size}").because(e))
}

/// Writes a picture as the path's extension says: `.png`, or `.jpg` / `.jpeg`. The file is complete or not there:
/// it is written under another name beside it and renamed.
///
/// # Errors
/// `Usage` for another extension; `CannotCreate` when the file cannot be written.
pub fn write_image(path: &Path, picture: &RgbImage) -> Result<()> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    let bytes = match extension.as_str() {
        "jpg" | "jpeg" => encode_jpeg(picture, WRITTEN_QUALITY)?,
        "png" => {
            let mut bytes = Vec::new();
            encode(PngEncoder::new(&mut bytes), picture)?;
            bytes
        }
        _ => bail!(Usage, "{}: expected a name that ends in .png, .jpg or .jpeg", path.display()),
    };
    let temporary = beside(path);
    let written = write_all(&temporary, &bytes).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|e| {
        // It may not be there; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        Error::new(Kind::CannotCreate, format!("cannot write {}", path.display())).because(e)
    })
}

/// A hidden name in the same folder, so that renaming stays within one file system.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{:08x}", std::process::id(), fastrand::u32(..)))
}

fn write_all(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
