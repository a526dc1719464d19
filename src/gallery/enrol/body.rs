//! The body of a command that enrols: `dimension` little-endian f32, then the chip's bytes, if there is one.

use zeroize::Zeroizing;

use super::chip::Chip;
use crate::bail;
use crate::base::error::Result;
use crate::gallery::command::TemplateData;
use crate::types::embedding::Embedding;

/// Most numbers in an embedding.
pub const MAX_DIMENSION: usize = 4096;
/// How far a vector's length may be from 1.
const SLACK: f64 = 1e-3;
/// Most bytes of a source's name.
const MAX_SOURCE: usize = 1024;

/// Vector and chip as a command's body.
///
/// # Errors
/// As [`Chip::to_bytes`].
pub fn pack(embedding: &Embedding, chip: Option<&Chip>) -> Result<Zeroizing<Vec<u8>>> {
    let chip = chip.map(Chip::to_bytes).transpose()?;
    let chip = chip.as_ref().map_or(&[][..], |bytes| bytes.as_slice());
    // In one piece: a vector that grows leaves copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(4 * embedding.dimension() + chip.len()));
    embedding.as_slice().iter().for_each(|x| body.extend_from_slice(&x.to_le_bytes()));
    body.extend_from_slice(chip);
    Ok(body)
}

/// Reads what [`pack`] wrote. Everything in `data` but the ids' meaning is checked too: it comes from outside.
///
/// # Errors
/// `Data`, when the vector is missing, not finite or not of length 1, or when the quality, the source or the chip is not what it
/// should be. No message holds a number of the vector.
pub fn unpack(data: &TemplateData, body: &[u8]) -> Result<(Embedding, Option<Chip>)> {
    check(data)?;
    let Some((vector, chip)) = body.split_at_checked(4 * data.dimension) else {
        bail!(Data, "a template of {} numbers in {} bytes", data.dimension, body.len());
    };
    let (numbers, _) = vector.as_chunks::<4>();
    let raw = Zeroizing::new(numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect::<Vec<f32>>());
    let length = raw.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if !length.is_finite() || (length - 1.0).abs() > SLACK {
        bail!(Data, "a template whose vector is not finite and of length 1");
    }
    let embedding = Embedding::new(data.model, raw.to_vec())?;
    let chip = if chip.is_empty() { None } else { Some(Chip::from_bytes(chip)?) };
    Ok((embedding, chip))
}

fn check(data: &TemplateData) -> Result<()> {
    let TemplateData { dimension, quality, source, .. } = data;
    if !(1..=MAX_DIMENSION).contains(dimension) {
        bail!(Data, "a template of {dimension} numbers: expected 1 to {MAX_DIMENSION}");
    }
    if !(0.0..=1.0).contains(quality) {
        bail!(Data, "a template of quality {quality}: expected 0 to 1");
    }
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if source.sha256.len() != 64 || !source.sha256.bytes().all(hexadecimal) {
        bail!(Data, "a template's source: expected its SHA-256 as 64 small hexadecimal digits");
    }
    if source.name.len() > MAX_SOURCE || source.name.chars().any(char::is_control) {
        bail!(
            Data,
            "a template's source: expected a name of at most {MAX_SOURCE} bytes without control characters"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind;
    use crate::gallery::command::{Source, SourceKind};
    use crate::image::testing::noise;
    use crate::types::face::Detection;
    use crate::types::geometry::{Point, Rect, Size};
    use crate::types::ids::ModelId;

    const MODEL: ModelId = ModelId([4; 32]);

    fn data(dimension: usize) -> TemplateData {
        let source = Source { kind: SourceKind::File, name: "a.jpg".to_owned(), sha256: "0a".repeat(32) };
        TemplateData { model: MODEL, dimension, quality: 0.5, source }
    }

    fn embedding() -> Embedding {
        Embedding::new(MODEL, (1..=512).map(|n| (n as f32).sin()).collect()).expect("a vector")
    }

    fn chip() -> Chip {
        let landmarks = [(30.0, 30.0), (50.0, 30.0), (40.0, 40.0), (32.0, 52.0), (48.0, 52.0)];
        let face = Detection {
            bbox: Rect::new(20.0, 15.0, 60.0, 65.0),
            landmarks: landmarks.map(|(x, y)| Point { x, y }),
            score: 0.9,
        };
        Chip::cut(&noise(Size::new(90, 80), 1), &face).expect("a chip")
    }

    #[test]
    fn a_template_survives_the_wire() {
        let embedding = embedding();
        let bare = pack(&embedding, None).expect("packs");
        assert_eq!(bare.len(), 2048);
        let (again, none) = unpack(&data(512), &bare).expect("unpacks");
        assert!(again.similarity(&embedding).is_some_and(|s| s > 0.999_999) && none.is_none());
        let chip = chip();
        let (_, kept) = unpack(&data(512), &pack(&embedding, Some(&chip)).expect("packs")).expect("unpacks");
        assert!(kept == Some(chip));
    }

    #[test]
    fn what_is_no_template_is_refused_without_a_number_of_it() {
        let body = pack(&embedding(), None).expect("packs");
        let refused = |data: &TemplateData, body: &[u8]| {
            let error = unpack(data, body).expect_err("no template");
            assert_eq!(error.kind(), Kind::Data, "{error}");
            error.chain()
        };
        refused(&data(512), &[]);
        refused(&data(513), &body);
        refused(&data(0), &body);
        refused(&data(usize::MAX), &body);
        refused(&data(256), &body);
        refused(&data(512), &[&body[..], b"no chip"].concat());
        for (value, at) in [(f32::NAN, 0), (f32::INFINITY, 511), (f32::MAX, 3), (0.123_456_7, 7)] {
            let mut changed = body.to_vec();
            changed[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
            assert!(!refused(&data(512), &changed).contains("0.123"), "{value}");
        }
        refused(&data(512), &vec![0; 2048]);
        let with = |change: fn(&mut TemplateData)| {
            let mut data = data(512);
            change(&mut data);
            data
        };
        for wrong in [
            with(|d| d.quality = f32::NAN),
            with(|d| d.quality = 1.5),
            with(|d| d.source.sha256.truncate(63)),
            with(|d| d.source.sha256 = "0A".repeat(32)),
            with(|d| d.source.name = "a\u{1b}[31m.jpg".to_owned()),
            with(|d| d.source.name = "x".repeat(2000)),
        ] {
            refused(&wrong, &body);
        }
    }
}
