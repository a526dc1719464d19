//! Pictures: files of known formats, and bare pixels.

use super::What;

/// Picture files, found by their structure: the three bytes a JPEG begins with are anywhere in sealed text now and then.
pub fn files(bytes: &[u8]) -> super::Found {
    let format = |at: usize| {
        let rest = &bytes[at..];
        let format = match rest.first()? {
            0xff => jpeg(rest).then_some("JPEG"),
            0x89 => rest.starts_with(b"\x89PNG\r\n\x1a\n").then_some("PNG"),
            b'B' => bmp(rest).then_some("BMP"),
            b'G' => (rest.starts_with(b"GIF87a") || rest.starts_with(b"GIF89a")).then_some("GIF"),
            b'R' => (rest.starts_with(b"RIFF") && rest.get(8..12)? == b"WEBP").then_some("WebP"),
            b'I' | b'M' => tiff(rest).then_some("TIFF"),
            b'P' => pnm(rest).then_some("PNM"),
            b'f' => boxed(rest).then_some("AVIF or HEIC"),
            b'q' => (rest.starts_with(b"qoif") && matches!(rest.get(12)?, 3 | 4)).then_some("QOI"),
            _ => None,
        }?;
        Some((What::Picture(format), "as it is", at..at + 4))
    };
    (0..bytes.len()).filter_map(format).collect()
}

/// The start, and at least two segments that lie one behind the other.
fn jpeg(rest: &[u8]) -> bool {
    let mut at = 2;
    for _ in 0..2 {
        let Some(&[0xff, marker, high, low]) = rest.get(at..at + 4) else { return false };
        if !matches!(marker, 0xc0..=0xcf | 0xda..=0xef | 0xfe) {
            return false;
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
    rest.starts_with(b"\xff\xd8")
}

fn bmp(rest: &[u8]) -> bool {
    let number = |at: usize| rest.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    rest.starts_with(b"BM")
        && number(6) == Some(0)
        && matches!(number(14), Some(12 | 40 | 52 | 56 | 64 | 108 | 124))
}

fn tiff(rest: &[u8]) -> bool {
    matches!(rest.get(..8), Some([b'I', b'I', 42, 0, _, _, 0, 0] | [b'M', b'M', 0, 42, 0, 0, _, _]))
}

fn pnm(rest: &[u8]) -> bool {
    let header = String::from_utf8_lossy(&rest[..rest.len().min(40)]);
    let mut words = header.split_ascii_whitespace();
    let kind = words.next().is_some_and(|word| matches!(word, "P1" | "P2" | "P3" | "P4" | "P5" | "P6"));
    kind && words.by_ref().take(2).filter(|word| word.parse::<u32>().is_ok()).count() == 2
}

fn boxed(rest: &[u8]) -> bool {
    matches!(rest.get(..8), Some(b"ftypavif" | b"ftypavis" | b"ftypheic" | b"ftypheix" | b"ftypmif1"))
}

/// Bytes looked at together: three lines of a face of 112 pixels.
const WINDOW: usize = 1024;
const STEP: usize = 512;
/// So many windows in a row are pixels: 3 KiB, 32x32 in colour.
const IN_A_ROW: usize = 5;
/// What neighbours may differ, in terms of what bytes far apart do. Of text and of sealed bytes it is about 1, of faces 0.1.
const SMOOTH: f64 = 0.25;

/// Bare pixels, in colour or grey: bytes that differ little from their neighbours and much from others.
pub fn pixels(bytes: &[u8]) -> super::Found {
    let mut found = Vec::new();
    // Grey and planes; RGB; RGBA.
    for lag in [1, 3, 4] {
        let mut row = 0;
        let starts = (0..bytes.len().saturating_sub(WINDOW)).step_by(STEP);
        for at in starts {
            row = if smooth(&bytes[at..at + WINDOW], lag) { row + 1 } else { 0 };
            if row == IN_A_ROW {
                found.push((What::Pixels, "as it is", at - STEP * (IN_A_ROW - 1)..at + WINDOW));
            }
        }
    }
    found
}

fn smooth(window: &[u8], lag: usize) -> bool {
    let mut seen = [false; 256];
    window.iter().for_each(|&b| seen[usize::from(b)] = true);
    let zeros = window.iter().filter(|&&b| b == 0).count();
    if seen.iter().filter(|&&seen| seen).count() < 40 || zeros * 5 > window.len() {
        return false;
    }
    let n = window.len() as f64;
    let mean = window.iter().map(|&b| f64::from(b)).sum::<f64>() / n;
    let variance = window.iter().map(|&b| (f64::from(b) - mean).powi(2)).sum::<f64>() / n;
    let pairs = window.iter().zip(&window[lag..]);
    let change = pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>() / (n - lag as f64);
    change < 2.0 * SMOOTH * variance
}
