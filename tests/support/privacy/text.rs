//! Bytes and numbers that are written as text.

use std::ops::Range;

/// Bytes that text stood for.
pub struct Run {
    /// Decoded.
    pub bytes: Vec<u8>,
    /// Where the text lay.
    pub at: Range<usize>,
}

/// Fewer bytes are no vector: 64 numbers of a byte each.
const LEAST: usize = 64;
/// Fewer numbers in a row are none. A face's landmarks are ten.
pub const LEAST_NUMBERS: usize = 64;

/// What is written in hexadecimal: in one piece, or in groups such as `0a 1b`, `0x0a, 0x1b`, `\x0a\x1b`, `0A:1B`.
pub fn hexadecimal(bytes: &[u8]) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut grouped: Option<Run> = None;
    for at in words(bytes, |b| b.is_ascii_alphanumeric()) {
        let word = &bytes[at.clone()];
        runs.extend(in_one_piece(word, at.start));
        let digits = word.strip_prefix(b"0x").or_else(|| word.strip_prefix(b"x")).unwrap_or(word);
        let group = digits.len().is_multiple_of(2).then(|| unhex(digits)).flatten();
        match (group, &mut grouped) {
            (Some(group), Some(run)) => {
                run.bytes.extend(group);
                run.at.end = at.end;
            }
            (Some(group), None) => grouped = Some(Run { bytes: group, at }),
            (None, _) => runs.extend(grouped.take().filter(long)),
        }
    }
    runs.extend(grouped.filter(long));
    runs
}

fn long(run: &Run) -> bool {
    run.bytes.len() >= LEAST
}

/// Long rows of digits within a word, from either of the first two: nobody says where a byte begins.
fn in_one_piece(word: &[u8], start: usize) -> Vec<Run> {
    if word.len() < 2 * LEAST {
        return Vec::new();
    }
    let pieces = words(word, |b| b.is_ascii_hexdigit()).into_iter().filter(|at| at.len() >= 2 * LEAST);
    let run = |at: &Range<usize>, skipped: usize| {
        let digits = &word[at.start + skipped..at.end];
        let bytes = unhex(&digits[..digits.len() / 2 * 2]).unwrap_or_default();
        Run { bytes, at: start + at.start..start + at.end }
    };
    pieces.flat_map(|at| [run(&at, 0), run(&at, 1)]).collect()
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    digits.chunks_exact(2).map(|pair| Some(value(pair[0])? << 4 | value(pair[1])?)).collect()
}

/// What is written in base64 of either alphabet, with line breaks or without, escaped as in JSON or not. Each of the four
/// beginnings is tried: the word before may have been taken for a part of it.
pub fn base64(bytes: &[u8]) -> Vec<Run> {
    let mut runs = Vec::new();
    let (mut sextets, mut start, mut i) = (Vec::new(), 0, 0);
    while i <= bytes.len() {
        let here = bytes.get(i).copied();
        let escaped = here == Some(b'\\') && matches!(bytes.get(i + 1), Some(b'n' | b'r' | b't'));
        match here {
            _ if escaped => i += 1,
            Some(b) if sextet(b).is_some() => {
                if sextets.is_empty() {
                    start = i;
                }
                sextets.extend(sextet(b));
            }
            Some(b'\\' | b' ' | b'\t' | b'\r' | b'\n') => (),
            _ => {
                if sextets.len() * 3 / 4 >= LEAST {
                    let run = |skipped: usize| Run { bytes: join(&sextets[skipped..]), at: start..i };
                    runs.extend((0..4).map(run));
                }
                sextets.clear();
            }
        }
        i += 1;
    }
    runs
}

fn sextet(b: u8) -> Option<u8> {
    match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

fn join(sextets: &[u8]) -> Vec<u8> {
    let bits =
        |four: &[u8]| (0..4).fold(0u32, |bits, i| bits << 6 | four.get(i).map_or(0, |&s| u32::from(s)));
    let bytes = |four: &[u8]| bits(four).to_be_bytes().into_iter().skip(1).take(four.len() * 3 / 4);
    sextets.chunks(4).flat_map(bytes).collect()
}

/// Long rows of decimal numbers, whatever stands between them: white space, line breaks, punctuation, quotes.
pub fn decimals(bytes: &[u8]) -> Vec<(Vec<f32>, Range<usize>)> {
    let mut rows: Vec<(Vec<f32>, Range<usize>)> = Vec::new();
    let mut row: (Vec<f32>, Range<usize>) = (Vec::new(), 0..0);
    for at in words(bytes, |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')) {
        match number(&bytes[at.clone()]) {
            Some(value) => {
                if row.0.is_empty() {
                    row.1 = at.clone();
                }
                row.0.push(value);
                row.1.end = at.end;
            }
            None => rows.push(std::mem::take(&mut row)),
        }
    }
    rows.push(row);
    rows.retain(|(values, _)| values.len() >= LEAST_NUMBERS);
    rows
}

fn number(word: &[u8]) -> Option<f32> {
    word.iter().any(u8::is_ascii_digit).then(|| std::str::from_utf8(word).ok()?.parse().ok()).flatten()
}

/// The longest pieces whose bytes are all of a kind.
fn words(bytes: &[u8], of_kind: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    for (i, &b) in bytes.iter().chain(std::iter::once(&0)).enumerate() {
        match (of_kind(b), start) {
            (true, None) => start = Some(i),
            (false, Some(from)) => {
                words.push(from..i);
                start = None;
            }
            _ => (),
        }
    }
    words
}

/// The longest word, and its beginning. Whatever it is an encoding of: a SHA-256 has 64 characters, a vector hundreds.
pub fn longest_word(text: &str) -> (usize, String) {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=_-".contains(c));
    let longest = words.max_by_key(|word| word.len()).unwrap_or_default();
    (longest.len(), longest.chars().take(80).collect())
}
