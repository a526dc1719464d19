//! Good files, and every bad one we could think of.

use super::*;
use crate::image::testing::{noise, painted, scene};

fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(PngEncoder::new(&mut bytes), picture).expect("encodes");
    bytes
}

fn raw_png(data: &[u8], width: u32, height: u32, kind: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(data, width, height, kind).expect("encodes");
    bytes
}

fn message(bytes: &[u8]) -> String {
    let error = decode_image(bytes, "a.jpg").expect_err("must be refused");
    assert_eq!(error.kind(), Kind::Data);
    let text = error.chain();
    assert!(text.starts_with("a.jpg: ") && !text.contains('\n'), "{text:?}");
    text
}

/// CRC of PNG chunks (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 })
    })
}

/// A PNG whose header claims another size; its checksum is right.
fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(&noise(Size::new(8, 8), 1));
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// A JPEG with an EXIF segment that holds nothing but the orientation.
fn oriented(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let jpeg = encode_jpeg(picture, 95).expect("encodes");
    let tiff =
        [b'M', b'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0];
    let payload = [&b"Exif\0\0"[..], &tiff].concat();
    let length = (payload.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &payload, &jpeg[2..]].concat()
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = scene(Size::new(65, 33));
    let path = folder.path().join("a.PNG");
    write_image(&path, &picture).expect("writes");
    assert!(read_image(&path).expect("reads") == picture);
    for name in ["b.jpg", "b.jpeg"] {
        let path = folder.path().join(name);
        write_image(&path, &picture).expect("writes");
        write_image(&path, &picture).expect("writes over it");
        let read = read_image(&path).expect("reads");
        let sum: u32 = read.data().iter().zip(picture.data()).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum();
        assert!(read.size() == picture.size() && sum / (65 * 33 * 3) < 6);
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3, "nothing temporary is left");
}

#[test]
fn a_picture_that_cannot_be_written_is_one_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = noise(Size::new(8, 8), 1);
    for name in ["a.bmp", "a", ".png"] {
        let error = write_image(&folder.path().join(name), &picture).expect_err(name);
        assert_eq!(error.kind(), Kind::Usage, "{name}");
    }
    let missing = write_image(&folder.path().join("none/a.png"), &picture).expect_err("no folder");
    assert_eq!(missing.kind(), Kind::CannotCreate);
    fs::create_dir(folder.path().join("taken.png")).expect("a folder");
    let taken = write_image(&folder.path().join("taken.png"), &picture).expect_err("a folder is in the way");
    assert_eq!(taken.kind(), Kind::CannotCreate);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing temporary is left");
}

#[test]
fn files_that_are_not_there_are_no_input() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in [folder.path().to_path_buf(), folder.path().join("none.jpg")] {
        let error = read_image(&path).expect_err("no picture");
        assert_eq!(error.kind(), Kind::NoInput);
        assert!(error.chain().contains(&path.display().to_string()) && !error.chain().contains('\n'));
    }
    let empty = folder.path().join("empty.jpg");
    fs::write(&empty, b"").expect("writes");
    let error = read_image(&empty).expect_err("empty");
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.chain().ends_with("empty.jpg: the file is empty"));
}

#[test]
fn what_is_no_picture_is_refused() {
    assert!(message(b"hello, this is text").contains("neither a JPEG nor a PNG"));
    assert!(message(b"GIF89a\x01\x00\x01\x00").contains("neither"));
    message(&[0xFF]);
    message(&[0xFF, 0xD8, 0xFF]);
    message(&[0xFF, 0xD8, 0xFF, 0xD9]);
    message(b"\x89PNG\r\n\x1a\n");
}

#[test]
fn sizes_are_refused_before_memory_is_taken() {
    for (w, h) in [(30_000, 30_000), (60_000, 2), (2, 60_000), (10_000, 10_000)] {
        assert!(message(&png_claiming(w, h)).contains("larger than the limit"), "{w}x{h}");
        let mut jpeg = encode_jpeg(&noise(Size::new(8, 8), 1), 90).expect("encodes");
        let header = jpeg.windows(2).position(|m| m == [0xFF, 0xC0]).expect("a frame header");
        jpeg[header + 5..header + 7].copy_from_slice(&(h as u16).to_be_bytes());
        jpeg[header + 7..header + 9].copy_from_slice(&(w as u16).to_be_bytes());
        assert!(message(&jpeg).contains("larger than the limit"), "{w}x{h}");
    }
    message(&png_claiming(0, 5));
}

#[test]
fn a_jpeg_cut_short_anywhere_is_an_error() {
    let bytes = encode_jpeg(&scene(Size::new(120, 90)), 90).expect("encodes");
    assert!(decode_image(&bytes, "a.jpg").is_ok());
    for length in (1..bytes.len()).step_by(7).chain(bytes.len() - 20..bytes.len()) {
        message(&bytes[..length]);
    }
    // A thumbnail in a segment has an end marker of its own, which must not count.
    let thumbnail = [&[0xFF, 0xD8, 0xFF, 0xE2, 0, 6, 0xFF, 0xD9, 0, 0], &bytes[2..]].concat();
    assert!(decode_image(&thumbnail, "a.jpg").is_ok());
    message(&thumbnail[..thumbnail.len() / 2]);
    // What a phone appends does no harm.
    assert!(decode_image(&[&bytes[..], b"trailer"].concat(), "a.jpg").is_ok());
}

#[test]
fn a_png_cut_short_anywhere_is_an_error() {
    let bytes = png(&scene(Size::new(60, 40)));
    // The last 12 bytes only say that the end is reached, and the 4 before them are a checksum.
    for length in (1..bytes.len() - 24).step_by(5) {
        message(&bytes[..length]);
    }
}

#[test]
fn damage_is_never_a_panic() {
    let picture = scene(Size::new(60, 40));
    let mut random = fastrand::Rng::with_seed(8);
    for good in [png(&picture), encode_jpeg(&picture, 90).expect("encodes")] {
        for _ in 0..300 {
            let mut bytes = good.clone();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            // Not all damage can be seen; what decodes has a lawful size.
            if let Ok(read) = decode_image(&bytes, "a") {
                assert!(check_size(read.size()).is_ok());
            }
        }
    }
}

#[test]
fn every_orientation_is_turned_upright() {
    // Red at the left, green at the right, blue below.
    let upright = painted(Size::new(32, 16), |x, y| match (x < 16, y < 8) {
        (_, false) => [0, 0, 255],
        (true, true) => [255, 0, 0],
        (false, true) => [0, 255, 0],
    });
    let at = |p: &RgbImage, x: u32, y: u32| -> usize {
        let i = (y * p.size().width + x) as usize * 3;
        let pixel = &p.data()[i..i + 3];
        (0..3).max_by_key(|&c| pixel[c]).unwrap_or(9)
    };
    // Where, in the picture turned upright, the stored picture's upper left (red), upper right (green) and bottom
    // (blue) come to lie: EXIF 2.32, 4.6.4.
    let cases: [(u8, bool, [usize; 4]); 8] = [
        (1, false, [0, 1, 2, 2]),
        (2, false, [1, 0, 2, 2]),
        (3, false, [2, 2, 1, 0]),
        (4, false, [2, 2, 0, 1]),
        (5, true, [0, 2, 1, 2]),
        (6, true, [2, 0, 2, 1]),
        (7, true, [2, 1, 2, 0]),
        (8, true, [1, 2, 0, 2]),
    ];
    for (orientation, turned, corners) in cases {
        let read = decode_image(&oriented(&upright, orientation), "a").expect("decodes");
        let size = if turned { Size::new(16, 32) } else { Size::new(32, 16) };
        assert_eq!(read.size(), size, "orientation {orientation}");
        let (r, b) = (size.width - 2, size.height - 2);
        let got = [at(&read, 1, 1), at(&read, r, 1), at(&read, 1, b), at(&read, r, b)];
        assert_eq!(got, corners, "orientation {orientation}");
    }
}

#[test]
fn gray_alpha_and_deep_pictures_become_rgb() {
    let gray = decode_image(&raw_png(&[0, 100, 255, 7], 2, 2, ExtendedColorType::L8), "a").expect("decodes");
    assert_eq!(gray.data(), [0, 0, 0, 100, 100, 100, 255, 255, 255, 7, 7, 7]);
    let rgba = [200, 100, 50, 255, 200, 100, 50, 0, 200, 100, 50, 128];
    let alpha = decode_image(&raw_png(&rgba, 3, 1, ExtendedColorType::Rgba8), "a").expect("decodes");
    assert_eq!(alpha.data(), [200, 100, 50, 0, 0, 0, 100, 50, 25]);
    let deep: Vec<u8> = [65_535u16, 0, 32_896].iter().flat_map(|x| x.to_ne_bytes()).collect();
    let deep = decode_image(&raw_png(&deep, 1, 1, ExtendedColorType::Rgb16), "a").expect("decodes");
    assert_eq!(deep.data(), [255, 0, 128]);
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
    encoder.write_image(&[90; 64], 8, 8, ExtendedColorType::L8).expect("encodes");
    let gray = decode_image(&jpeg, "a").expect("decodes");
    assert!(gray.size() == Size::new(8, 8) && gray.data().iter().all(|x| x.abs_diff(90) < 2));
}
