//! Templates and crops in every encoding, to be planted: a search that finds nothing proves something only if it finds these.

use std::fmt::Write as _;
use std::io::Cursor;

use watchlistd::image::codec::encode_jpeg;
use watchlistd::types::frame::{Pixels as _, RgbImage};

/// What is planted.
pub struct Seed {
    /// Its encoding.
    pub name: &'static str,
    /// A template's or a crop's.
    pub template: bool,
    /// Encoded.
    pub bytes: Vec<u8>,
}

impl Seed {
    /// True if it is text.
    pub fn is_text(&self) -> bool {
        self.bytes.is_ascii()
    }
}

/// A vector in every encoding.
pub fn templates(vector: &[f32]) -> Vec<Seed> {
    let all = |encode: &dyn Fn(f32) -> Vec<u8>| vector.iter().flat_map(|&v| encode(v)).collect::<Vec<u8>>();
    let raw = all(&|v| v.to_le_bytes().into());
    let most = vector.iter().fold(0f32, |most, v| most.max(v.abs()));
    let full = all(&|v| vec![(v / most * 127.0).round() as i8 as u8]);
    let decimal = |between: &str| {
        let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
        numbers.join(between).into_bytes()
    };
    let debug = format!("{vector:?}").into_bytes();
    let bytes_debug = format!("{raw:?}").into_bytes();
    let seeds = [
        ("f32 LE", raw.clone()),
        ("f32 BE", all(&|v| v.to_be_bytes().into())),
        ("f64 LE", all(&|v| f64::from(v).to_le_bytes().into())),
        ("f64 BE", all(&|v| f64::from(v).to_be_bytes().into())),
        ("f16 LE", all(&|v| half(v).to_le_bytes().into())),
        ("f16 BE", all(&|v| half(v).to_be_bytes().into())),
        ("bf16 LE", all(&|v| ((v.to_bits() >> 16) as u16).to_le_bytes().into())),
        ("bf16 BE", all(&|v| ((v.to_bits() >> 16) as u16).to_be_bytes().into())),
        ("int8, largest 127", full.clone()),
        ("int8, times 127", all(&|v| vec![(v * 127.0).round() as i8 as u8])),
        ("uint8, zero at 128", full.iter().map(|b| b ^ 0x80).collect()),
        ("uint8, least 0 to most 255", affine(vector)),
        ("f32 in hexadecimal", hexadecimal(&raw, "")),
        ("f32 in capital hexadecimal", hexadecimal(&raw, "").to_ascii_uppercase()),
        ("f32 in a hex dump", hexadecimal(&raw, " ")),
        ("f32 as 0x00, 0x01", hexadecimal(&raw, ", 0x")),
        ("f16 in hexadecimal", hexadecimal(&all(&|v| half(v).to_le_bytes().into()), "")),
        ("int8 in hexadecimal", hexadecimal(&full, "")),
        ("f32 in base64", base64(&raw, false, 0, "")),
        ("f32 in base64 for URLs", base64(&raw, true, 0, "")),
        ("f32 in base64, lines of 76", base64(&raw, false, 76, "\r\n")),
        ("f32 in base64, escaped line breaks", base64(&raw, false, 64, "\\n")),
        ("f16 in base64", base64(&all(&|v| half(v).to_le_bytes().into()), false, 0, "")),
        ("int8 in base64", base64(&full, false, 0, "")),
        ("decimal, JSON", [b"[".to_vec(), decimal(","), b"]".to_vec()].concat()),
        ("decimal, between spaces", decimal(" ")),
        ("decimal, between commas", decimal(", ")),
        ("decimal, a line each", decimal("\n")),
        ("decimal, as Rust prints a vector", debug),
        ("f32's bytes in decimal", bytes_debug),
    ];
    seeds.into_iter().map(|(name, bytes)| Seed { name, template: true, bytes }).collect()
}

/// A crop in every encoding.
pub fn crops(crop: &RgbImage) -> Vec<Seed> {
    let (size, pixels) = (crop.size(), crop.data());
    let jpeg = encode_jpeg(crop, 90).expect("a JPEG");
    let mut png = Vec::new();
    image::RgbImage::from_raw(size.width, size.height, pixels.to_vec())
        .expect("pixels")
        .write_to(&mut Cursor::new(&mut png), image::ImageFormat::Png)
        .expect("a PNG");
    let plane = |channel: usize| pixels.iter().skip(channel).step_by(3).copied();
    let planes: Vec<u8> = (0..3).flat_map(plane).collect();
    let rgba: Vec<u8> = pixels.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    let tensor = planes.iter().flat_map(|&p| ((f32::from(p) - 127.5) / 128.0).to_le_bytes()).collect();
    let halves = planes.iter().flat_map(|&p| half((f32::from(p) - 127.5) / 128.0).to_le_bytes()).collect();
    let seeds = [
        ("JPEG in hexadecimal", hexadecimal(&jpeg, "")),
        ("JPEG in base64", base64(&jpeg, false, 76, "\n")),
        ("JPEG", jpeg),
        ("PNG in base64", base64(&png, false, 0, "")),
        ("PNG", png),
        ("BMP", bmp(crop)),
        // No encoder is at hand; what is looked for is what every such file begins with.
        ("WebP's first bytes", b"RIFF\x2a\x10\0\0WEBPVP8L".to_vec()),
        ("PNM", [format!("P6\n{} {}\n255\n", size.width, size.height).as_bytes(), pixels].concat()),
        ("RGB pixels in base64", base64(pixels, false, 0, "")),
        ("RGB pixels in hexadecimal", hexadecimal(pixels, "")),
        ("RGB pixels in decimal", format!("{pixels:?}").into_bytes()),
        ("RGB pixels", pixels.to_vec()),
        ("RGBA pixels", rgba),
        ("grey pixels", plane(1).collect()),
        ("three planes", planes),
        ("the embedder's input, f32", tensor),
        ("the embedder's input, f16", halves),
    ];
    seeds.into_iter().map(|(name, bytes)| Seed { name, template: false, bytes }).collect()
}

/// IEEE 754 binary16, rounded towards zero; what is too small for a normal number is 0.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, exponent, fraction) = ((bits >> 16 & 0x8000) as u16, bits >> 23 & 255, bits >> 13 & 1023);
    if exponent < 113 { sign } else { sign | ((exponent - 112) << 10 | fraction) as u16 }
}

fn affine(vector: &[f32]) -> Vec<u8> {
    let least = vector.iter().copied().fold(f32::INFINITY, f32::min);
    let most = vector.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    vector.iter().map(|v| ((v - least) / (most - least) * 255.0).round() as u8).collect()
}

fn hexadecimal(bytes: &[u8], between: &str) -> Vec<u8> {
    let mut text = String::new();
    for (i, byte) in bytes.iter().enumerate() {
        let between = if i == 0 { "" } else { between };
        write!(text, "{between}{byte:02x}").expect("memory");
    }
    text.into_bytes()
}

fn base64(bytes: &[u8], url: bool, width: usize, line_break: &str) -> Vec<u8> {
    let tail: &[u8] = if url { b"-_" } else { b"+/" };
    let letters: Vec<u8> =
        (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(tail.iter().copied()).collect();
    let mut text = Vec::new();
    let mut column = 0;
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, i| bits << 8 | u32::from(three.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            if width > 0 && column == width {
                text.extend_from_slice(line_break.as_bytes());
                column = 0;
            }
            let letter = letters[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= three.len() { letter } else { b'=' });
            column += 1;
        }
    }
    text
}

fn bmp(picture: &RgbImage) -> Vec<u8> {
    let (width, height) = (picture.size().width, picture.size().height);
    let mut file = b"BM".to_vec();
    let numbers = [54 + 3 * width * height, 0, 54, 40, width, height, 1 | 24 << 16, 0, 0, 0, 0, 0, 0];
    numbers.iter().for_each(|n: &u32| file.extend_from_slice(&n.to_le_bytes()));
    file.extend_from_slice(picture.data());
    file
}
