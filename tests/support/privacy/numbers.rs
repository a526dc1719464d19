//! Vectors in binary.
//!
//! ```text
//!  bytes ─▶ every offset a start ─▶ values ─▶ 64 in a row of which 55 could be a unit vector's ─▶ a row
//!                                                        row ─▶ whose? the most similar of all known at any place in it
//!  bytes ─▶ i8, u8 ─▶ every 512 that have both signs ─▶ similar to somebody?
//! ```

use std::ops::Range;

use super::What;

/// Somebody's vector, as it is compared with: around its mean, so that it does not matter where a scale has its zero, and of
/// length 1.
pub struct Face {
    who: String,
    whole: Vec<f32>,
    first: Vec<f32>,
}

impl Face {
    /// Of that person.
    pub fn new(who: &str, vector: &[f32]) -> Self {
        let first = &vector[..FIRST.min(vector.len())];
        Self { who: who.to_owned(), whole: centred(vector), first: centred(first) }
    }
}

fn centred(vector: &[f32]) -> Vec<f32> {
    let mean = vector.iter().sum::<f32>() / vector.len() as f32;
    let length = vector.iter().map(|v| (v - mean).powi(2)).sum::<f32>().sqrt();
    vector.iter().map(|v| (v - mean) / length).collect()
}

/// From this cosine on, a vector is somebody's. Two people's is 0 on average with a deviation of 0.1, random numbers' with one of
/// 0.044; two crops of one person have 0.5 and more.
pub const LIKE: f32 = 0.4;

/// So many in a row make a vector: the shortest in use have 128 numbers.
const WINDOW: usize = 64;
/// So many of them have to be a unit vector's. Of the bytes of sealed text 1 of 3 read as f16 is, and fewer as others.
const ENOUGH: usize = 55;
/// Least magnitude of a number: of a unit vector of 4096 numbers one in 25 is less.
const LEAST: f32 = 1.0 / 2048.0;
/// A first part of the vector is compared with, and the rest only if that is like it at all.
const FIRST: usize = 128;
const LIKE_AT_FIRST: f32 = 0.2;

/// How a number lies in the bytes.
struct Lane {
    name: &'static str,
    width: usize,
    read: fn(&[u8]) -> f32,
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes[..N].try_into().expect("as wide as the lane")
}

const LANES: [Lane; 8] = [
    Lane { name: "f64 LE", width: 8, read: |b| f64::from_le_bytes(array(b)) as f32 },
    Lane { name: "f64 BE", width: 8, read: |b| f64::from_be_bytes(array(b)) as f32 },
    Lane { name: "f32 LE", width: 4, read: |b| f32::from_le_bytes(array(b)) },
    Lane { name: "f32 BE", width: 4, read: |b| f32::from_be_bytes(array(b)) },
    Lane { name: "f16 LE", width: 2, read: |b| half(u16::from_le_bytes(array(b))) },
    Lane { name: "f16 BE", width: 2, read: |b| half(u16::from_be_bytes(array(b))) },
    Lane { name: "bf16 LE", width: 2, read: |b| brain(u16::from_le_bytes(array(b))) },
    Lane { name: "bf16 BE", width: 2, read: |b| brain(u16::from_be_bytes(array(b))) },
];

/// IEEE 754 binary16. Subnormal numbers are too small to matter here, and read as 0.
pub fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) =
        (u32::from(bits >> 15), u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    match exponent {
        0 => 0.0,
        31 => f32::INFINITY,
        _ => f32::from_bits(sign << 31 | (exponent + 112) << 23 | fraction << 13),
    }
}

fn brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Rows of floating-point numbers that look like a vector.
pub fn floats(bytes: &[u8], faces: &[Face]) -> super::Found {
    let mut found = Vec::new();
    for lane in &LANES {
        for start in 0..lane.width.min(bytes.len()) {
            let values = || bytes[start..].chunks_exact(lane.width).map(lane.read);
            for row in rows(values()) {
                // What begins or ends with small numbers is compared as a whole.
                let from = row.start.saturating_sub(WINDOW);
                let near: Vec<f32> = values().skip(from).take(row.end + WINDOW - from).collect();
                let own = &near[row.start - from..row.end - from];
                if !varied(own) {
                    continue;
                }
                let what = What::Vector { numbers: own.len(), of: likest(&near, faces) };
                found.push((what, lane.name, start + row.start * lane.width..start + row.end * lane.width));
            }
        }
    }
    found
}

fn plausible(value: f32) -> bool {
    (LEAST..=1.0).contains(&value.abs())
}

/// Where windows are full of plausible numbers of both signs: ranges of numbers.
fn rows(values: impl Iterator<Item = f32>) -> Vec<Range<usize>> {
    let mut rows: Vec<Range<usize>> = Vec::new();
    let mut window = [(false, false); WINDOW];
    let (mut good, mut negative) = (0, 0);
    for (i, value) in values.enumerate() {
        let new = (plausible(value), plausible(value) && value < 0.0);
        let old = std::mem::replace(&mut window[i % WINDOW], new);
        good = good + usize::from(new.0) - usize::from(old.0);
        negative = negative + usize::from(new.1) - usize::from(old.1);
        // Both signs: text read as f16 has one.
        if good >= ENOUGH && negative * 8 >= good && negative * 8 <= good * 7 {
            let start = (i + 1).saturating_sub(WINDOW);
            match rows.last_mut().filter(|row| row.end >= start) {
                Some(row) => row.end = i + 1,
                None => rows.push(start..i + 1),
            }
        }
    }
    rows
}

/// False for a pattern that repeats: a vector's numbers are hardly ever the same twice, a crop's have 256 values.
fn varied(values: &[f32]) -> bool {
    let mut bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
    bits.sort_unstable();
    bits.dedup();
    bits.len() >= WINDOW / 2
}

/// Whose vector lies somewhere among these numbers, and how like it is.
pub fn likest(values: &[f32], faces: &[Face]) -> Option<(String, f32)> {
    let length = faces.first()?.whole.len();
    // What lies around a vector may be anything, and its square more than a number holds.
    let clean = values.iter().map(|v| if v.abs() < 1e6 { *v } else { 0.0 });
    // A vector whose first or last numbers are lost is one all the same.
    let nothing = std::iter::repeat_n(0.0, WINDOW);
    let clean: Vec<f32> = nothing.clone().chain(clean).chain(nothing).collect();
    let found = clean.windows(length).filter_map(|window| whose(window, faces));
    found.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(who, score)| (who.to_owned(), score))
}

/// Vectors with a byte a number, scaled in any way, around any zero.
pub fn bytes(bytes: &[u8], faces: &[Face]) -> super::Found {
    let Some(length) = faces.first().map(|face| face.whole.len()).filter(|&length| bytes.len() >= length)
    else {
        return Vec::new();
    };
    let mut found: super::Found = Vec::new();
    for (name, flip) in [("int8", 0), ("uint8", 0x80)] {
        let values: Vec<f32> = bytes.iter().map(|&b| f32::from((b ^ flip) as i8)).collect();
        let high: Vec<u32> = running(bytes.iter().map(|&b| u32::from(b >= 0x80)));
        for at in 0..=bytes.len() - length {
            // Text has no bytes above 127; of a vector about half are.
            let above = (high[at + length] - high[at]) as usize;
            if above * 8 < length || above * 8 > length * 7 {
                continue;
            }
            let window = &values[at..at + length];
            let Some((who, score)) = whose(window, faces) else { continue };
            match found.last_mut().filter(|(_, encoding, last)| *encoding == name && last.end > at) {
                Some((What::Vector { of: Some((_, most)), .. }, _, _)) if *most >= score => (),
                Some(last) => *last = vector(length, who, score, name, at),
                None => found.push(vector(length, who, score, name, at)),
            }
        }
    }
    found
}

fn vector(
    length: usize,
    who: &str,
    score: f32,
    name: &'static str,
    at: usize,
) -> (What, &'static str, Range<usize>) {
    (What::Vector { numbers: length, of: Some((who.to_owned(), score)) }, name, at..at + length)
}

fn running(values: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut sum = 0;
    let sums = values.map(|value| {
        sum += value;
        sum
    });
    std::iter::once(0).chain(sums).collect()
}

fn whose<'a>(window: &[f32], faces: &'a [Face]) -> Option<(&'a str, f32)> {
    let deviation = |window: &[f32]| {
        let (sum, squares) = (dot(window, None), dot(window, Some(window)));
        (squares - sum * sum / window.len() as f32).max(f32::MIN_POSITIVE).sqrt()
    };
    let first = &window[..FIRST.min(window.len())];
    let least = LIKE_AT_FIRST * deviation(first);
    let mut like = faces.iter().filter(|face| dot(first, Some(&face.first)) >= least).peekable();
    like.peek()?;
    let whole = deviation(window);
    like.map(|face| (face.who.as_str(), dot(window, Some(&face.whole)) / whole))
        .filter(|(_, score)| *score >= LIKE)
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Scalar product; without a second vector the sum.
fn dot(a: &[f32], b: Option<&[f32]>) -> f32 {
    let mut sums = [0f32; 4];
    match b {
        Some(b) => {
            for (a, b) in a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0) {
                (0..4).for_each(|i| sums[i] += a[i] * b[i]);
            }
        }
        None => a.as_chunks::<4>().0.iter().for_each(|a| (0..4).for_each(|i| sums[i] += a[i])),
    }
    sums.iter().sum()
}
